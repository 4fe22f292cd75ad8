"""`aimm-plugins plan`."""

from __future__ import annotations

import click

from aimm_plugins._diagnostics.naming import identity_cells, why_no_plugins
from aimm_plugins._diagnostics.take_inventory import take_inventory
from aimm_plugins._system.text import one_line, text_once, type_name
from aimm_plugins._values.report import PluginRecord
from aimm_plugins.cli import _output as output


@click.command("plan")
@output.format_option
@output.conf_option
@output.path_option
def command(form: str, conf: str | None) -> int:
    """Show what `initialize` would do with a conf: order, origin, state and reason.

    No plugin is imported, nor a parent package of one. Keys, conflicts and failures are foreseen as
    far as metadata, sources and installed files tell. Findings go to stderr; the exit status is 1
    if a plugin would fail or is missing, or a secret cannot be read.
    """
    inventory = take_inventory(conf)
    report = inventory.report
    lacks_secrets = any(finding.code == "secret-missing" for finding in report.findings)
    status = 0 if report.ok and not lacks_secrets else 1
    if form == "json":
        output.print_json(report.to_dict())
        return status
    if not report.plugins:
        output.echo(why_no_plugins(inventory), err=True)
    with_options = any(record.options for record in report)
    columns = ["#", "state", "name", "distribution", "version", "origin", "module", "keys"]
    output.print_table(
        [*columns, *(["options"] if with_options else []), "reason"],
        [
            [str(number), record.state, *_cells(record, with_options)]
            for number, record in enumerate(report, start=1)
        ],
    )
    told: set[str] = set()
    for record in report.failures:
        if record.error is not None:
            text = f"{type_name(record.error)}: {text_once(record.error, told)}"
            output.echo(f"error  {one_line(record.name)}: {text}", err=True)
        if record.remedy:
            output.echo(f"       to do: {record.remedy}", err=True)
    output.print_findings(report.findings)
    return status


def _cells(record: PluginRecord, with_options: bool) -> list[str]:
    keys = " ".join(f"{action}:{key}" for action, key in record.provides)
    if not keys and record.state == "planned":
        keys = "?"
    options = [record.options_told] if with_options else []
    return [cell or "-" for cell in (*identity_cells(record), keys, *options, record.reason)]
