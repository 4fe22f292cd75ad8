"""What changed between two reports, two freezes, or one of them and this environment.

In come two sides, read from files or from an inventory; out go changes. What only one side can tell
is not compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aimm_plugins._policy.lockfile import Lock, parse_lock
from aimm_plugins._startup.inventory import ACTIVE_STATES, Inventory
from aimm_plugins._system.names import normalized
from aimm_plugins.errors import ConfigError

Kind = Literal["distribution", "plugin", "key", "finding"]
Fields = Mapping[str, str | None]

_MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportChange:
    """What is on one side only, or differs; `schemas/diff.yaml` describes the fields."""

    kind: Kind
    subject: str
    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Side:
    name: str
    facts: Mapping[Kind, Mapping[str, Fields]]  # by subject; without kinds that it cannot tell of
    unsure: frozenset[str] = frozenset()  # owners of plugins whose keys are not known
    findings: frozenset[tuple[str, str]] = frozenset()  # code and subject

    @property
    def is_report(self) -> bool:
        """Whether it is more than a freeze, which knows distributions alone."""
        return "plugin" in self.facts


def read_side(path: str) -> Side:
    """A side from a file: JSON of `report`, `list`, `plan` or `freeze`, or the text of a freeze."""
    try:
        with open(path, "rb") as stream:
            content = stream.read(_MAX_BYTES)  # once: it may be a pipe
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot be read: {reason}", file=path) from error
    if text.lstrip()[:1] not in ("{", "["):
        return side_of_freeze(parse_lock(text, path))
    try:
        data = json.loads(text)
        if "frozen" in data:
            rows = [(entry["name"], entry["version"], entry["record"]) for entry in data["frozen"]]
            return _side_of_rows(path, rows)
        return side_of_report(path, data["plugins"], data.get("findings", ()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(
            f"is no report and no freeze: {error!r}",
            file=path,
            expected="JSON of `aimm-plugins report`, `list`, `plan` or `freeze`, or a freeze file",
        ) from error


def side_of_freeze(lock: Lock) -> Side:
    """What a freeze file says; its name is that of the side."""
    entries = lock.entries.values()
    return _side_of_rows(lock.file, [(e.name, e.version, e.digest) for e in entries])


def _side_of_rows(name: str, rows: Iterable[tuple[str, str, str]]) -> Side:
    frozen = {normalized(n): {"version": v, "record": digest} for n, v, digest in rows}
    return Side(name, {"distribution": frozen})


def side_of_inventory(inventory: Inventory) -> Side:
    """What is installed here, under a conf."""
    plugins = [item.to_dict() for item in inventory.plugins]
    findings = [finding.to_dict() for finding in inventory.findings]
    return side_of_report("this environment", plugins, findings)


def side_of_report(
    name: str, plugins: Iterable[Mapping[str, Any]], findings: Iterable[Mapping[str, Any]]
) -> Side:
    """A side from the parts of a report, as in `schemas/report.yaml` or `schemas/list.yaml`."""
    facts: dict[Kind, dict[str, Fields]] = {"distribution": {}, "plugin": {}, "key": {}}
    unsure = set()
    for record in plugins:
        owner = record["distribution"] or record["module"] or record["name"]
        who = owner if record["name"] == owner else f"{owner} ({record['name']})"
        if record["module"] and record.get("environment"):
            who, owner = (f"{text}@{record['environment']}" for text in (who, owner))
        if record["distribution"]:
            known = {"version": record["version"], "origin": record["origin"]}
            key = normalized(record["distribution"])
            # Each environment may have its own version.
            key = key if facts["distribution"].get(key, known) == known else normalized(owner)
            facts["distribution"][key] = known
        active = record["state"] in ACTIVE_STATES
        facts["plugin"][who] = {
            "state": "active" if active else record["state"],
            "reason": None if active else record["reason"],
            "error": None if record["error"] is None else record["error"]["message"],
        }
        for provided in record["provides"]:
            facts["key"][f"{provided['action']}:{provided['key']}"] = {"provider": owner}
        if active and not record.get("provides_known", True):
            unsure.add(owner)
    told = frozenset((found["code"], found["subject"]) for found in findings)
    return Side(name, facts, frozenset(unsure), told)


def list_changes(one: Side, other: Side) -> list[ReportChange]:
    """What differs, of what both sides can tell; sorted by kind and subject.

    Whether a plugin is loaded, deferred or only planned makes no difference, nor do times. Keys of
    a plugin that one side could not tell are not compared.
    """
    unsure = one.unsure | other.unsure
    changes = [
        change
        for kind, subjects in one.facts.items()
        if kind in other.facts
        for subject in sorted(subjects.keys() | other.facts[kind].keys())
        for change in _changes(kind, subject, one.facts[kind], other.facts[kind])
        if kind != "key" or not {change.before, change.after} & unsure
    ]
    if one.is_report and other.is_report:
        for code, subject in sorted(one.findings ^ other.findings):
            was, now = (None, code) if (code, subject) in other.findings else (code, None)
            changes.append(
                ReportChange(
                    kind="finding", subject=subject, field="presence", before=was, after=now
                )
            )
    return changes


def _changes(
    kind: Kind, subject: str, one: Mapping[str, Fields], other: Mapping[str, Fields]
) -> Iterator[ReportChange]:
    before, after = one.get(subject), other.get(subject)
    if before is not None and after is not None:
        fields = [name for name in before if name in after and before[name] != after[name]]
    else:  # the first field, a version or state, stands for the whole
        name, value = next(iter((before or after or {}).items()))
        fields = [name if kind == "key" else "presence"]
        before, after = ({fields[0]: value or "there"} if side else {} for side in (before, after))
    for name in fields:
        was, now = before.get(name), after.get(name)
        yield ReportChange(kind=kind, subject=subject, field=name, before=was, after=now)
