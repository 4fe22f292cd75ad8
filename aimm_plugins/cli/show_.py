"""`aimm-plugins show`."""

from __future__ import annotations

from typing import Any

import click

from aimm_plugins._diagnostics.explanation import answers, explain, matching, place_of, why_not
from aimm_plugins._diagnostics.survey import Survey, Surveyed, survey
from aimm_plugins._options.schema import KnownOption, read_schema
from aimm_plugins._source.declarations import SourceDeclaration
from aimm_plugins._system.text import one_line
from aimm_plugins._values.report import PluginRecord
from aimm_plugins.cli._completion import complete_keys
from aimm_plugins.cli._output import (
    conf_option,
    echo,
    format_option,
    load_option,
    print_json,
    print_pairs,
    stdout_kept,
)
from aimm_plugins.errors import DeclarationError


@click.command("show")
@click.argument("key", shell_complete=complete_keys)
@load_option
@format_option
@conf_option
def command(key: str, load: bool, form: str, conf: str | None) -> int:
    """Show who provides KEY: `fit:iris.svc`, or `iris.svc` for all actions.

    Provider, place, signature and docstring come from metadata and from the source; with --load
    from the imported plugin. The exit status is 1 if nobody provides it.
    """
    with stdout_kept():
        seen = survey(conf, load=load, sources=True)
        found = matching(seen, key)
        told = [_told(seen, plugin, sighting) for plugin, sighting in found]
    if form == "json":
        print_json({"key": key, "providers": told})
    else:
        for number, each in enumerate(told):
            if number:
                click.echo()
            _print(each)
    if not found:
        nothing = explain(seen, key).reasons[0]
        echo(one_line(f"{key}: {nothing.why}. {nothing.remedy or ''}".rstrip()), err=True)
    return 0 if any(each["provides"] for each in told) else 1


def _told(seen: Survey, plugin: Surveyed, sighting: SourceDeclaration) -> dict[str, Any]:
    record = plugin.record
    there = answers(plugin, sighting)
    return {
        "action": sighting.action,
        "key": sighting.key,
        "provides": there,
        "state": record.state,
        "reason": None if there else why_not(seen, plugin, sighting),
        "plugin": record.name,
        "distribution": record.distribution,
        "version": record.version,
        "origin": record.origin,
        "module": sighting.module,
        "function": sighting.qualname or None,
        "file": sighting.file,
        "line": sighting.line,
        "signature": sighting.signature,
        "docstring": sighting.docstring,
        "known_from": plugin.keys_from,
        "options": list(record.options),
        "options_schema": record.options_schema,
        "options_known": [each.to_dict() for each in _known_options(seen, record)],
    }


def _known_options(seen: Survey, record: PluginRecord) -> list[KnownOption]:
    """The options that a plugin's schema names, where it may be looked at."""
    published = seen.installed.options_of(record.module, record.distribution)
    if len(published) != 1 or not (published[0].is_file or seen.loaded):
        return []
    try:
        return read_schema(published[0]).known()
    except DeclarationError:  # a finding says so
        return []


def _options_told(told: dict[str, Any]) -> str | None:
    if not told["options"] and told["options_schema"] is None:
        return None
    lines = [f"set: {', '.join(told['options']) or 'none'}"]
    lines.append(f"schema: {told['options_schema'] or 'none'}")
    return "\n".join([*lines, *(str(KnownOption(**each)) for each in told["options_known"])])


def _print(told: dict[str, Any]) -> None:
    who = f"{told['distribution'] or '-'} {told['version'] or ''}".strip()
    place = None
    if told["file"] is not None:
        place = place_of(
            SourceDeclaration(
                action=told["action"],
                key=told["key"],
                module=told["module"],
                qualname=told["function"] or "",
                file=told["file"],
                line=told["line"],
            )
        )
    function = f"{told['module']}:{told['function'] or '?'}"
    echo(one_line(f"{told['action']}:{told['key']}"))
    print_pairs(
        [
            ("provided by" if told["provides"] else "could be by", f"{told['plugin']}  {who}"),
            ("state", told["state"]),
            ("reason", told["reason"]),
            ("origin", told["origin"]),
            ("function", function),
            ("place", place),
            ("signature", told["signature"] or "unknown"),
            ("docstring", told["docstring"] or "-"),
            ("options", _options_told(told)),
        ]
    )
