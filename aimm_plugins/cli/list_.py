"""`aimm-plugins list`."""

from __future__ import annotations

import click

from aimm_plugins._diagnostics.survey import Surveyed, survey
from aimm_plugins._system.text import described
from aimm_plugins._values.actions import ACTIONS
from aimm_plugins.cli._output import (
    conf_option,
    format_option,
    load_option,
    print_findings,
    print_json,
    print_table,
    stdout_kept,
)

_HEADING = ("name", "distribution", "version", "origin", "module", "state", "keys", "reason")


@click.command("list")
@click.option(
    "--provides",
    "wanted",
    metavar="ACTION[:KEY]|KEY",
    help="Only plugins that declare this: `fit`, `fit:iris.svc` or `iris.svc`.",
)
@load_option
@format_option
@conf_option
def command(wanted: str | None, load: bool, form: str, conf: str | None) -> None:
    """List installed plugins, and those that a conf names, without importing them.

    Keys come from metadata, else from the source; a `?` means that there may be others, which only
    the import can tell. Findings, such as broken metadata, go to stderr.
    """
    with stdout_kept():
        seen = survey(conf, load=load)
    plugins = [each for each in seen.plugins if wanted is None or _declares(each, wanted)]
    if form == "json":
        print_json(
            {
                "plugins": [each.to_dict() for each in plugins],
                "findings": [finding.to_dict() for finding in seen.findings],
            }
        )
        return
    print_table(_HEADING, [_row(each) for each in plugins])
    print_findings(seen.findings)


def _declares(plugin: Surveyed, wanted: str) -> bool:
    return any(wanted in (action, key, f"{action}:{key}") for action, key in plugin.keys)


def _row(plugin: Surveyed) -> tuple[str, ...]:
    record = plugin.record
    why = record.reason
    if why is None and record.error is not None:
        why = described(record.error).partition("\n")[0]
    return (
        record.name,
        record.distribution or "-",
        record.version or "-",
        record.origin or "-",
        record.module + (f":{record.attribute}" if record.attribute else "") or "-",
        "installed" if record.state == "planned" else record.state,
        keys_text(plugin),
        why or "-",
    )


def keys_text(plugin: Surveyed) -> str:
    """Its keys on one line, the actions of a key together: `fit,predict:iris.svc`."""
    actions: dict[str, list[str]] = {}
    for action, key in plugin.keys:
        actions.setdefault(key, []).append(action)
    parts = []
    for key, found in actions.items():
        ordered = [action for action in ACTIONS if action in found]
        parts.append(f"{','.join(ordered)}:{key}")
    if not plugin.complete and plugin.record.module:
        parts.append("?")
    return " ".join(parts) or "-"
