"""The report as one static page, which needs nothing but itself.

It is written out in full, so that it reads without scripts too; the script only filters and sorts.
Whatever plugins are called is escaped, and the page's own policy lets no other script or style run,
and nothing be fetched.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

from aimm_plugins._diagnostics.explanation import GOOD, answers, place_of, why_not
from aimm_plugins._diagnostics.survey import Survey, Surveyed
from aimm_plugins._system.text import described, printable
from aimm_plugins._values.actions import ACTIONS
from aimm_plugins._values.report import PluginRecord

_BAD = frozenset({"failed", "missing", "undone"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One import in the waterfall.

    Attributes:
        name: The plugin.
        distribution: Who brings it, or `None`.
        seconds: Wall time of its import.
        note: What of it is worth knowing.
    """

    name: str
    distribution: str | None
    seconds: float
    note: str = ""


def bars_of_survey(survey: Survey) -> list[Bar]:
    """The imports of a survey that loaded, in their order."""
    return [
        Bar(
            name=record.name,
            distribution=record.distribution,
            seconds=record.import_seconds,
            note=", ".join(f"{name} {count}" for name, count in _largest(record)),
        )
        for record in survey.report.plugins
        if record.import_seconds is not None
    ]


def bars_of_profile(profile: Mapping[str, Any]) -> list[Bar]:
    """The imports that `aimm-plugins profile --format json` measured.

    Raises:
        KeyError, TypeError: It is something else.
    """
    bars = []
    for each in profile["plugins"]:
        if each["seconds"] is not None:
            own = str(each["module"]).partition(".")[0]
            others = [d for d in each["dependencies"] if d["name"] != own][:3]
            note = ", ".join(f"{d['name']} {d['seconds']:.3f} s" for d in others)
            bars.append(
                Bar(
                    name=str(each["name"]),
                    distribution=each["distribution"],
                    seconds=float(each["seconds"]),
                    note=note,
                )
            )
    return bars


def _largest(record: PluginRecord) -> list[tuple[str, int]]:
    return sorted(record.imports, key=lambda each: (-each[1], each[0]))[:3]


def page(survey: Survey, bars: Sequence[Bar] = (), title: str = "Plugins") -> str:
    """The page.

    Args:
        survey: What it shows.
        bars: Imports, in their order, for the waterfall.
        title: Heading, and the name of the window.
    """
    sections = [
        ("plugins", "Plugins", _plugins(survey)),
        ("providers", "Who provides what", _providers(survey)),
        ("conflicts", "Conflicts", _conflicts(survey)),
        ("startup", "Start-up", _waterfall(bars)),
        ("findings", "Findings", _findings(survey)),
    ]
    style, script = _part("css"), _part("js")
    values = {
        "TITLE": escape(title),
        "SUMMARY": escape(_summary(survey)),
        "NAV": "".join(f'<a href="#{name}">{escape(head)}</a>' for name, head, _ in sections),
        "STATES": "".join(
            f"<option>{escape(state)}</option>"
            for state in sorted({each.record.state for each in survey.plugins})
        ),
        "SECTIONS": "\n".join(
            f'<section id="{name}" aria-labelledby="{name}-head">'
            f'<h2 id="{name}-head">{escape(head)}</h2>\n{body}\n</section>'
            for name, head, body in sections
        ),
        "STYLE": style,
        "SCRIPT": script,
        "STYLE_HASH": _hash(style),
        "SCRIPT_HASH": _hash(script),
    }
    parts = _part("html").split("@@")
    # One pass, so that what plugins are called is never taken for a place to fill in.
    parts[1::2] = [values[name] for name in parts[1::2]]
    return printable("".join(parts))


def _part(kind: str) -> str:
    return (files("aimm_plugins._diagnostics") / f"page.{kind}").read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode()


def _summary(survey: Survey) -> str:
    states: dict[str, int] = {}
    for plugin in survey.plugins:
        states[plugin.record.state] = states.get(plugin.record.state, 0) + 1
    told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    count = len(survey.findings)
    return f"{told or 'no plugins'}; {count} finding{'' if count == 1 else 's'}"


def _table(
    caption: str,
    columns: Sequence[tuple[str, str]],
    rows: Iterable[tuple[str | None, Sequence[str]]],
) -> str:
    """A table; columns are heading and kind, rows state and cells of HTML."""
    head = "".join(
        f'<th scope="col"{f" data-kind={kind}" if kind else ""}>{escape(name)}'
        for name, kind in columns
    )
    number = ' class="number"'
    lines = []
    for state, cells in rows:
        marked = f" data-state={escape(state)}" if state else ""
        told = "".join(
            f"<td{number if kind == 'number' else ''}>{cell}"
            for cell, (_, kind) in zip(cells, columns, strict=True)
        )
        lines.append(f"<tr{marked}>{told}")
    if not lines:
        return '<p class="note">None.</p>'
    body = "\n".join(lines)
    # End tags that HTML does not need are left out: there are thousands of cells.
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(caption)}">'
        f'<table class="rows"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _plugins(survey: Survey) -> str:
    with_options = any(plugin.record.options_told is not None for plugin in survey.plugins)
    return _table(
        "All plugins, in the order of loading",
        [
            ("State", ""),
            ("Name", ""),
            ("Distribution", ""),
            ("Version", ""),
            ("Origin", ""),
            ("Module", ""),
            ("Keys", ""),
            *([("Options", "")] if with_options else []),
            ("Reason", ""),
        ],
        (
            (
                plugin.record.state,
                (
                    _state(plugin.record.state),
                    escape(plugin.record.name),
                    escape(plugin.record.distribution or ""),
                    escape(plugin.record.version or ""),
                    escape(plugin.record.origin or ""),
                    f"<code>{escape(_module(plugin.record))}</code>",
                    escape(", ".join(_keys(plugin))),
                    *([escape(plugin.record.options_told or "")] if with_options else []),
                    escape(_why(plugin.record)),
                ),
            )
            for plugin in survey.plugins
        ),
    )


def _state(state: str) -> str:
    kind = "good" if state in GOOD else "bad" if state in _BAD else "held"
    return f"<span class={kind}>{escape(state)}</span>"


def _module(record: PluginRecord) -> str:
    return record.module + (f":{record.attribute}" if record.attribute else "")


def _keys(plugin: Surveyed) -> list[str]:
    keys = sorted({key for _, key in plugin.keys})
    return keys if plugin.complete or not plugin.record.module else [*keys, "?"]


def _why(record: PluginRecord) -> str:
    # The first line: a conflict's others stand in a section of their own.
    error = described(record.error).partition("\n")[0] if record.error else ""
    parts = [record.reason or "", error]
    return "; ".join(part for part in parts if part)


def _providers(survey: Survey) -> str:
    found: dict[tuple[str, int], list[Any]] = {}
    for plugin_number, plugin in enumerate(survey.plugins):
        for sighting in plugin.sightings:
            there = answers(plugin, sighting)
            row = found.setdefault(
                (sighting.key, plugin_number), [plugin, [], place_of(sighting), [], sighting]
            )
            row[1 if there else 3].append(sighting.action)
    rows = []
    for (key, _), (plugin, there, place, not_there, sighting) in sorted(
        found.items(), key=lambda item: item[0]
    ):
        record = plugin.record
        for actions, verdict in ((there, ""), (not_there, "no")):
            if actions:
                ordered = [action for action in ACTIONS if action in actions]
                why = why_not(survey, plugin, sighting).partition("\n")[0] if verdict else ""
                rows.append(
                    (
                        record.state,
                        (
                            f"<code>{escape(key)}</code>",
                            escape(", ".join(ordered)),
                            escape(record.distribution or record.module),
                            escape(record.version or ""),
                            f"<code>{escape(place or '')}</code>",
                            escape(f"no: {why}") if verdict else "yes",
                        ),
                    )
                )
    return _table(
        "Keys, with who declares them and whether calls reach it",
        [
            ("Key", ""),
            ("Actions", ""),
            ("Provider", ""),
            ("Version", ""),
            ("Place", ""),
            ("Answers", ""),
        ],
        rows,
    )


def _conflicts(survey: Survey) -> str:
    errors = dict.fromkeys(
        described(record.error)
        for record in survey.report.failures
        if record.error is not None and getattr(record.error, "providers", None)
    )
    if not errors:
        return '<p class="note">None.</p>'
    return "\n".join(f"<pre>{escape(error)}</pre>" for error in errors)


def _waterfall(bars: Sequence[Bar]) -> str:
    if not bars:
        return (
            '<p class="note">Nothing was imported for this page. <code>--load</code>, or '
            "<code>--profile FILE</code> with what <code>aimm-plugins profile --format json</code> "
            "wrote, adds what each import took.</p>"
        )
    total = sum(bar.seconds for bar in bars) or 1.0
    rows = []
    begin = 0.0
    for bar in bars:
        x, width = 1000 * begin / total, max(1000 * bar.seconds / total, 1)
        begin += bar.seconds
        rows.append(
            (
                None,
                (
                    escape(bar.name),
                    escape(bar.distribution or ""),
                    f"{bar.seconds:.3f}",
                    escape(bar.note),
                    '<svg viewBox="0 0 1000 16" preserveAspectRatio="none" aria-hidden="true">'
                    f'<rect x="{x:.1f}" width="{width:.1f}" height="16"/></svg>',
                ),
            )
        )
    return _table(
        f"Imports one after the other, {total:.3f} seconds in all",
        [
            ("Plugin", ""),
            ("Distribution", ""),
            ("Seconds", "number"),
            ("Most of it", ""),
            ("From begin to end", "picture"),
        ],
        rows,
    )


def _findings(survey: Survey) -> str:
    return _table(
        "What is no plugin's failure",
        [("Code", ""), ("Subject", ""), ("Found", ""), ("Place", ""), ("Remedy", "")],
        (
            (
                None,
                tuple(
                    escape(text or "")
                    for text in (
                        finding.code,
                        finding.subject,
                        finding.message,
                        finding.place,
                        finding.remedy,
                    )
                ),
            )
            for finding in survey.findings
        ),
    )
