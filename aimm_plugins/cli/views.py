"""The verbs that render the inventory: `list`, `plan`, `show`, `explain`, `doctor`, `report`."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

import click

import aimm_plugins
from aimm_plugins._diagnostics.doctor import examine
from aimm_plugins._diagnostics.explanation import Reason, explain
from aimm_plugins._diagnostics.take_inventory import take_inventory
from aimm_plugins._options.limits import Allowance, UnjudgedError
from aimm_plugins._options.schema import KnownOption, read_schema
from aimm_plugins._registry.providers import Slot
from aimm_plugins._startup.inventory import Inventory, InventoryItem, InventoryKey
from aimm_plugins._system.text import did_you_mean, one_line, text_once, type_name
from aimm_plugins._values.actions import ACTIONS
from aimm_plugins._values.report import PluginRecord, Report
from aimm_plugins.cli import _output as output
from aimm_plugins.errors import DeclarationError, PluginImportError


@click.command("list")
@click.option(
    "--provides",
    "wanted",
    metavar="ACTION[:KEY]|KEY",
    help="Only plugins that declare this: `fit`, `fit:iris.svc` or `iris.svc`.",
)
@output.inventory_options
def list_(wanted: str | None, load: bool, form: str, conf: str | None) -> None:
    """List installed plugins, and those that a conf names, without importing them.

    Keys come from metadata, else from the source; a `?` means that there may be others, which only
    the import can tell. Findings, such as broken metadata, go to stderr.
    """
    inventory = output.inventory_of(conf, load)
    items = [
        item
        for item in inventory.plugins
        if wanted is None or any(wanted in (*slot, ":".join(slot)) for slot in item.keys)
    ]
    if form == "json":
        output.print_json(
            {
                "plugins": [item.to_dict() for item in items],
                "findings": [finding.to_dict() for finding in inventory.findings],
            }
        )
        return
    if not inventory.plugins:
        output.echo(inventory.why_empty, err=True)
    elif wanted is not None and not items:
        slots = [slot for item in inventory.plugins for slot in item.keys]
        known = {text for slot in slots for text in (*slot, ":".join(slot))}
        hint = did_you_mean(wanted, known) or "see `aimm-plugins list`"
        output.echo(f"no plugin declares {wanted}; {hint}", err=True)
    output.print_table(
        ["name", "distribution", "version", "origin", "module", "state", "keys", "reason"],
        [_list_row(item) for item in items],
    )
    output.print_findings(inventory.findings)


def _list_row(item: InventoryItem) -> list[str]:
    state = "installed" if item.record.state == "planned" else item.record.state
    keys = _keys(item.keys, may_be_more=not item.complete and bool(item.record.module))
    return [cell or "-" for cell in (*item.identity_cells, state, keys, item.account)]


def _keys(slots: Iterable[Slot], *, may_be_more: bool) -> str:
    """The keys on one line, the actions of a key together: `fit,predict:iris.svc`."""
    actions: dict[str, set[str]] = {}
    for action, key in slots:
        actions.setdefault(key, set()).add(action)
    parts = [
        f"{','.join(action for action in ACTIONS if action in found)}:{key}"
        for key, found in actions.items()
    ]
    return " ".join([*parts, "?"] if may_be_more else parts)


@click.command("plan")
@output.conf_options
def plan_(form: str, conf: str | None) -> int:
    """Show what `initialize` would do with a conf: order, origin, state and reason.

    No plugin is imported, nor a parent package of one. Keys, conflicts and failures are foreseen as
    far as metadata, sources and installed files tell. Findings go to stderr; the exit status is 1
    if a plugin would fail or is missing, or a secret cannot be read.
    """
    inventory = take_inventory(conf)
    report = inventory.report
    status = _status(report)
    if form == "json":
        output.print_json(report.to_dict())
        return status
    if not report.plugins:
        output.echo(inventory.why_empty, err=True)
    with_options = any(record.options for record in report)
    columns = ["#", "state", "name", "distribution", "version", "origin", "module", "keys"]
    output.print_table(
        [*columns, *(["options"] if with_options else []), "reason"],
        [
            [str(number), item.record.state, *_plan_cells(item, with_options)]
            for number, item in enumerate(inventory.plugins, start=1)
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


def _status(report: Report) -> int:
    """1 where a start would fail, or has failed: a secret that is missing fails it as a whole."""
    lacks_secrets = any(finding.code == "secret-missing" for finding in report.findings)
    return 0 if report.ok and not lacks_secrets else 1


def _plan_cells(item: InventoryItem, with_options: bool) -> list[str]:
    record = item.record
    keys = _keys(record.provides, may_be_more=not record.provides_known)
    options = [record.options_told] if with_options else []
    return [cell or "-" for cell in (*item.identity_cells, keys, *options, record.reason)]


@click.command("show")
@click.argument("key")
@output.inventory_options
def show_(key: str, load: bool, form: str, conf: str | None) -> int:
    """Show who provides KEY: `fit:iris.svc`, or `iris.svc` for all actions.

    Provider, place, signature and docstring come from metadata and from the source; with --load
    from the imported plugin. The exit status is 1 if nobody provides it.
    """
    # With --load, signatures and schemas come from objects of the plugins, which may print.
    with output.stdout_kept():
        inventory = take_inventory(conf, load=load)
        found = inventory.keys_named(key)
        allowance = Allowance()
        options = [_known_options(inventory, declared.item.record, allowance) for declared in found]
        data = [_key_data(*described) for described in zip(found, options, strict=True)]
        blocks = [_key_block(*described) for described in zip(found, options, strict=True)]
    if form == "json":
        output.print_json({"key": key, "providers": data})
    else:
        output.print_blocks(blocks)
    if not found:
        answer = explain(inventory, key)
        nothing = answer.reasons[0]
        kind = f"is a {' and a '.join(answer.kinds)}, and no key; " if answer.kinds else ""
        told = f"{key}: {kind}{nothing.why}. {nothing.remedy or ''}"
        output.echo(one_line(told.rstrip()), err=True)
    return 0 if any(declared.answers for declared in found) else 1


def _known_options(
    inventory: Inventory, record: PluginRecord, allowance: Allowance
) -> list[KnownOption]:
    """The options that a plugin's schema names, where it may be looked at."""
    published = inventory.scans[record.environment].options_of(record.module, record.distribution)
    if len(published) != 1 or record.state == "denied":  # whom nobody can give options
        return []
    try:
        denial = inventory.admission.denial_of if inventory.loaded else None
        with allowance.of(published[0]):
            return read_schema(published[0], denial).known()
    except (DeclarationError, PluginImportError, UnjudgedError):
        # A finding or the plugin's reason says so.
        return []


def _key_data(key: InventoryKey, options: list[KnownOption]) -> dict[str, Any]:
    declaration, record = key.declaration, key.item.record
    return {
        "action": declaration.action,
        "key": declaration.key,
        "provides": key.answers,
        "state": record.state,
        "reason": key.why_not,
        "plugin": record.name,
        "distribution": record.distribution,
        "version": record.version,
        "origin": record.origin,
        "module": declaration.module,
        "function": declaration.qualname or None,
        "file": declaration.file,
        "line": declaration.line,
        "signature": declaration.signature,
        "docstring": declaration.docstring,
        "known_from": key.item.keys_from,
        "options": list(record.options),
        "options_schema": record.options_schema,
        "options_known": [option._asdict() for option in options],
        "environment": record.environment,
    }


def _key_block(key: InventoryKey, options: list[KnownOption]) -> tuple[str, output.Pairs]:
    declaration, record = key.declaration, key.item.record
    settings = None
    if record.options or record.options_schema is not None:
        lines = [f"set: {', '.join(record.options) or 'none'}"]
        lines += [f"schema: {record.options_schema or 'none'}", *map(str, options)]
        settings = "\n".join(lines)
    who = f"{record.name}  {record.distribution or '-'} {record.version or ''}".rstrip()
    return key.slot, [
        ("provided by" if key.answers else "could be by", who),
        ("state", record.state),
        ("reason", key.why_not),
        ("origin", record.origin),
        ("environment", record.environment),
        ("function", f"{declaration.module}:{declaration.qualname or '?'}"),
        ("place", key.place),
        ("signature", declaration.signature or "unknown"),
        ("docstring", declaration.docstring or "-"),
        ("options", settings),
    ]


@click.command("explain")
@click.argument("subject", metavar="KEY|DISTRIBUTION|MODULE")
@output.inventory_options
def explain_(subject: str, load: bool, form: str, conf: str | None) -> int:
    """Explain why a key, distribution, module or plugin is there or is not, and what to change.

    The exit status is 1 if it is not there: no call of the key, or of any key of it, would be
    answered.
    """
    answer = explain(output.inventory_of(conf, load), subject)
    if form == "json":
        output.print_json(asdict(answer))
    else:
        subjects: dict[Reason, list[str]] = {}
        for reason in answer.reasons:  # what is the same of several actions is shown once
            subjects.setdefault(replace(reason, subject=""), []).append(reason.subject)
        output.print_blocks(
            (
                f"{', '.join(named)}: {'there' if reason.there else 'not there'}",
                [
                    ("who", reason.who),
                    ("state", reason.state),
                    ("why", reason.why),
                    ("to change", reason.remedy),
                ],
            )
            for reason, named in subjects.items()
        )
    if answer.kinds == ("plugin",):
        output.echo(f"{subject} is a plugin; no key of this name is known", err=True)
    if answer.there and not load:
        _say_what_load_does()
    return 0 if answer.there else 1


def _say_what_load_does() -> None:
    output.echo("No plugin was imported; --load tells whether that succeeds.", err=True)


@click.command("doctor")
@output.inventory_options
def doctor_(load: bool, form: str, conf: str | None) -> int:
    """Look for what is wrong with the installed plugins, and say what to do about each.

    Broken metadata, doubles, entry points that lead nowhere, modules that declare nothing,
    published keys that the code does not bear out, rules that match nothing, conflicts, and
    requirements that are not met. With --load also what fails when it is imported. The exit status
    is 1 if anything was found.
    """
    inventory = output.inventory_of(conf, load)
    found = examine(inventory)
    if not inventory.plugins:
        output.echo(inventory.why_empty, err=True)
    if form == "json":
        output.print_json({"ok": not found, "findings": [finding.to_dict() for finding in found]})
    elif not found:
        output.echo("nothing found")
        if not load:
            _say_what_load_does()
    else:
        output.print_blocks(
            (
                f"{finding.code}: {finding.subject}",
                [("found", finding.message), ("place", finding.place), ("to do", finding.remedy)],
            )
            for finding in found
        )
    return 1 if found else 0


@click.command("report")
@output.file_option("--html", help="Write one self-contained page instead.")
@output.inventory_options
def report_(html: str | None, load: bool, form: str, conf: str | None) -> int:
    """Give the whole account: each plugin with state, keys and reason, and the findings.

    With --html as a page: plugins, who provides what, conflicts and findings, to filter and sort,
    without network. The exit status is 1 if a plugin fails, would fail or is missing, or
    a secret cannot be read.
    """
    inventory = output.inventory_of(conf, load)
    report = inventory.report
    if html is not None:
        from aimm_plugins._diagnostics.html_report import html_report

        about = {
            "Host": platform.node(),
            "Python": f"{platform.python_version()}, {sys.prefix}",
            "Conf": "none" if conf is None else os.path.abspath(conf),
            "aimm-plugins": aimm_plugins.__version__,
        }
        output.write_file(html, html_report(inventory, about))
        output.echo(f"wrote {html}", err=True)
    elif form == "json":
        output.print_json(report.to_dict())
    else:
        output.echo(str(report))
    return _status(report)
