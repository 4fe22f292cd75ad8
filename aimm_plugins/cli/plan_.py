"""`aimm-plugins plan`."""

from __future__ import annotations

import click

from aimm_plugins._api import plan
from aimm_plugins._system.text import one_line
from aimm_plugins.cli._output import (
    conf_option,
    echo,
    format_option,
    print_findings,
    print_json,
    print_table,
)


@click.command("plan")
@click.argument("file", metavar="[CONF]", required=False)
@format_option
@conf_option
def command(file: str | None, form: str, conf: str | None) -> int:
    """Show what `initialize` would do with a conf: order, origin, state and reason.

    No plugin is imported, nor a parent package of one. Keys, conflicts and shadowing are shown as
    far as plugins publish their keys. Findings go to stderr; the exit status is 1 if a plugin would
    fail or is missing.
    """
    report = plan(file if file is not None else conf)
    if form == "json":
        print_json(report.to_dict())
    else:
        with_options = any(record.options for record in report.plugins)
        columns = ["#", "state", "name", "distribution", "version", "origin", "module", "keys"]
        print_table(
            [*columns, *(["options"] if with_options else []), "reason"],
            [
                (
                    str(number),
                    record.state,
                    record.name,
                    record.distribution or "-",
                    record.version or "-",
                    record.origin or "-",
                    record.module + (f":{record.attribute}" if record.attribute else "") or "-",
                    " ".join(f"{action}:{key}" for action, key in record.provides)
                    or ("?" if record.state == "planned" else "-"),
                    *([record.options_told or "-"] if with_options else []),
                    record.reason or "-",
                )
                for number, record in enumerate(report.plugins, start=1)
            ],
        )
        for record in report.failures:
            echo(f"error  {one_line(record.name)}: {record.error}", err=True)
        print_findings(report.findings)
    return 0 if report.ok else 1
