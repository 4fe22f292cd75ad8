"""What changed between two reports, two freezes, or one of them and this environment.

In come two sides, read from files or from an inventory; out go changes. What only one side can tell
is not compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aimm_plugins._policy.lockfile import Lock, parse_lock
from aimm_plugins._startup.inventory import ACTIVE_STATES, Inventory
from aimm_plugins._system.names import normalized
from aimm_plugins.errors import ConfigError

Kind = Literal["distribution", "plugin", "key", "finding"]
Table = dict[str, dict[str, str | None]]
"""Fields by name of what they are about."""

_MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is on one side only, or differs; `schemas/diff.yaml` describes the fields."""

    kind: Kind
    subject: str
    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one side says. A freeze knows distributions alone.

    Attributes:
        name: What messages call it.
        is_report: Whether it knows plugins, keys and findings.
        distributions: Version, and digest of RECORD or origin.
        plugins: State, reason and error.
        keys: Who provides an `action:key`.
        unsure: Owners of plugins whose keys are not known.
        findings: Code and subject.
    """

    name: str
    is_report: bool = False
    distributions: Table = field(default_factory=dict)
    plugins: Table = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)
    findings: frozenset[tuple[str, str]] = frozenset()


def read_side(path: str) -> Side:
    """A report or a freeze from a file.

    Args:
        path: JSON of a report, of `list`, `plan` or `freeze`, or the text of a freeze.

    Raises:
        ConfigError: It is none of these.
    """
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
    frozen: Table = {normalized(n): {"version": v, "record": digest} for n, v, digest in rows}
    return Side(name=name, distributions=frozen)


def side_of_inventory(inventory: Inventory) -> Side:
    """What is installed here, under a conf."""
    plugins = [item.to_dict() for item in inventory.plugins]
    findings = [finding.to_dict() for finding in inventory.findings]
    return side_of_report("this environment", plugins, findings)


def side_of_report(
    name: str, plugins: Iterable[Mapping[str, Any]], findings: Iterable[Mapping[str, Any]]
) -> Side:
    """A side from the parts of a report.

    Args:
        name: What messages call it.
        plugins: Records, as in `schemas/report.yaml` or `schemas/list.yaml`.
        findings: Findings of the report.
    """
    side = Side(
        name=name,
        is_report=True,
        findings=frozenset((found["code"], found["subject"]) for found in findings),
    )
    for record in plugins:
        owner = record["distribution"] or record["module"] or record["name"]
        if record["distribution"]:
            side.distributions[normalized(record["distribution"])] = {
                "version": record["version"],
                "origin": record["origin"],
            }
        active = record["state"] in ACTIVE_STATES
        label = owner if record["name"] == owner else f"{owner} ({record['name']})"
        side.plugins[label] = {
            "state": "active" if active else record["state"],
            "reason": None if active else record["reason"],
            "error": None if record["error"] is None else record["error"]["message"],
        }
        for provided in record["provides"]:
            side.keys[f"{provided['action']}:{provided['key']}"] = owner
        if active and not record["provides"] and not record.get("complete", False):
            side.unsure.add(owner)
    return side


def list_changes(one: Side, other: Side) -> list[Change]:
    """What differs, of what both sides can tell; sorted by kind and subject.

    Whether a plugin is loaded, deferred or only planned makes no difference, nor do times. Keys of
    a plugin that one side could not tell are not compared.
    """
    found = [*_in_tables("distribution", one.distributions, other.distributions)]
    if not (one.is_report and other.is_report):
        return found
    found += _in_tables("plugin", one.plugins, other.plugins)
    unsure = one.unsure | other.unsure
    for key in sorted(one.keys.keys() | other.keys.keys()):
        before, after = one.keys.get(key), other.keys.get(key)
        if before != after and not {before, after} & unsure:
            found.append(
                Change(kind="key", subject=key, field="provider", before=before, after=after)
            )
    for code, subject in sorted(one.findings ^ other.findings):
        is_new = (code, subject) in other.findings
        before, after = (None, code) if is_new else (code, None)
        found.append(
            Change(kind="finding", subject=subject, field="presence", before=before, after=after)
        )
    return found


def _in_tables(kind: Kind, one: Table, other: Table) -> Iterator[Change]:
    for name in sorted(one.keys() | other.keys()):
        if name in one and name in other:
            fields = [f for f in one[name] if f in other[name] and one[name][f] != other[name][f]]
            for changed in fields:
                before, after = one[name][changed], other[name][changed]
                yield Change(kind=kind, subject=name, field=changed, before=before, after=after)
        else:
            # The first field, a version or state, stands for the whole.
            there = next(iter((one.get(name) or other[name]).values())) or "there"
            before, after = (there, None) if name in one else (None, there)
            yield Change(kind=kind, subject=name, field="presence", before=before, after=after)
