"""The report as one static HTML page, which needs no other file and no network.

In comes an inventory; out goes the page. It is complete without scripts: the script only filters
and sorts. All text from plugins is escaped, and the page's Content-Security-Policy lets no other
script or style run.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from types import MappingProxyType

from aimm_plugins._diagnostics.doctor import found_conflicts
from aimm_plugins._startup.inventory import ACTIVE_STATES, Inventory, InventoryKey
from aimm_plugins._system.text import counted, described, printable
from aimm_plugins._values.actions import ACTIONS

_BAD_STATES = frozenset({"failed", "missing", "undone"})
_NONE = '<p class="note">None.</p>'


def html_report(inventory: Inventory, about: Mapping[str, str] = MappingProxyType({})) -> str:
    """The page, with what it is about, such as the host, by label."""
    conflicts = [
        f"<pre>{_wrappable(described(error))}</pre>" for error in found_conflicts(inventory)
    ]
    sections = [
        ("plugins", "Plugins", _plugins(inventory)),
        ("providers", "Who provides what", _providers(inventory)),
        ("conflicts", f"Conflicts ({len(conflicts)})", "\n".join(conflicts) or _NONE),
        ("findings", "Findings", _findings(inventory)),
    ]
    states = sorted({item.record.state for item in inventory.plugins})
    style, script = _asset("css"), _asset("js")
    values = {
        "SUMMARY": escape(_summary(inventory, len(conflicts))),
        "ABOUT": "".join(
            f"<div><dt>{escape(label)}<dd>{_wrappable(text)}</div>" for label, text in about.items()
        ),
        "NAV": "".join(f'<a href="#{name}">{escape(head)}</a>' for name, head, _ in sections),
        "STATES": "".join(f"<option>{escape(state)}</option>" for state in states),
        "SECTIONS": "\n".join(
            f'<section id="{name}" aria-labelledby="{name}-head">'
            f'<h2 id="{name}-head">{escape(head)}</h2>\n{body}\n</section>'
            for name, head, body in sections
        ),
        "STYLE": style,
        "SCRIPT": script,
        "STYLE_HASH": _csp_hash(style),
        "SCRIPT_HASH": _csp_hash(script),
    }
    parts = _asset("html").split("@@")
    # Filled in one pass, so that `@@NAME@@` in a plugin's text is never taken for a place to fill.
    parts[1::2] = [values[name] for name in parts[1::2]]
    return printable("".join(parts))


def _asset(kind: str) -> str:
    return (files("aimm_plugins._diagnostics") / f"html_report.{kind}").read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    """The hash by which a Content-Security-Policy allows an inline script or style."""
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode()


def _summary(inventory: Inventory, conflicts: int) -> str:
    states = [item.record.state for item in inventory.plugins]
    counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    findings = len(inventory.findings)
    return "; ".join(
        [counts or "no plugins", counted(conflicts, "conflict"), counted(findings, "finding")]
    )


def _table(caption: str, columns: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """A table of rows: the state of the plugin, to filter by, or nothing; and cells, as HTML."""
    head = "".join(f'<th scope="col">{escape(column)}' for column in columns)
    tags = [f'<td data-label="{escape(column)}">' for column in columns]
    lines = []
    for state, cells in rows:
        marked = f" data-state={escape(state)}" if state else ""
        # End tags that HTML does not need are left out: there are thousands of cells. That of the
        # row is needed: a line break in the last cell makes that one not `:empty`.
        content = "".join(tag + cell for tag, cell in zip(tags, cells, strict=True))
        lines.append(f"<tr{marked}>{content}</tr>")
    if not lines:
        return _NONE
    body = "\n".join(lines)
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(caption)}">'
        f'<table class="rows"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _wrappable(text: str) -> str:
    """Text that browsers break at separators within names, and nowhere else in a word."""
    return re.sub(r"([._/:=,])(?=[^\W\d])", r"\1<wbr>", escape(text))


def _texts(*texts: str | None) -> list[str]:
    return [_wrappable(text or "") for text in texts]


def _code(text: str) -> str:
    return f"<code>{_wrappable(text)}</code>" if text else ""


def _plugins(inventory: Inventory) -> str:
    with_options = any(item.record.options_told is not None for item in inventory.plugins)
    columns = ["State", "Name", "Distribution", "Version", "Origin", "Module", "Keys"]
    rows = []
    for item in inventory.plugins:
        state = item.record.state
        kind = "good" if state in ACTIVE_STATES else "bad" if state in _BAD_STATES else "held"
        *names, target = item.identity_cells
        keys = sorted({key for _, key in item.keys})
        keys += [] if item.complete or not item.record.module else ["?"]
        cells = [f"<span class={kind}>{escape(state)}</span>", *_texts(*names), _code(target)]
        options = [item.record.options_told] if with_options else []
        cells += _texts(", ".join(keys), *options, item.account, inventory.remedy(item))
        rows.append((state, cells))
    return _table(
        "All plugins, in the order of loading",
        [*columns, *(["Options"] if with_options else []), "Reason", "Remedy"],
        rows,
    )


def _providers(inventory: Inventory) -> str:
    # A row for each plugin's answering actions of a key, and one for each reason not to answer.
    groups: dict[tuple[str, int, str], list[InventoryKey]] = {}
    for number, item in enumerate(inventory.plugins):
        for key in inventory.keys_of(item):
            why = (key.why_not or "").partition("\n")[0]
            groups.setdefault((key.declaration.key, number, why), []).append(key)
    rows = []
    for (name, _, why), keys in sorted(groups.items(), key=lambda group: group[0]):
        first, record = keys[0], keys[0].item.record
        actions = {key.declaration.action for key in keys}
        cells = [
            _code(name),
            ", ".join(action for action in ACTIONS if action in actions),
            *_texts(record.distribution or record.module, record.version),
            _code(first.place or ""),
            "yes" if first.answers else _wrappable(f"no: {why}"),
        ]
        rows.append((record.state, cells))
    return _table(
        "Keys, with who declares them and whether calls reach it",
        ["Key", "Actions", "Provider", "Version", "Place", "Answers"],
        rows,
    )


def _findings(inventory: Inventory) -> str:
    return _table(
        "What is no plugin's failure",
        ["Code", "Subject", "Found", "Place", "Remedy"],
        [
            ("", _texts(found.code, found.subject, found.message, found.place, found.remedy))
            for found in inventory.findings
        ],
    )
