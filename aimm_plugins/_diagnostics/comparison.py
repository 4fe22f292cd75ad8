"""What differs between two reports, two freezes, or one of them and this environment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aimm_plugins._diagnostics.survey import Survey
from aimm_plugins._policy.lockfile import read_lock
from aimm_plugins._system.names import normalized
from aimm_plugins.errors import ConfigError

Kind = Literal["distribution", "plugin", "key", "finding"]
_ACTIVE = ("loaded", "deferred", "planned")
_MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is on one side only, or not the same on both.

    Attributes:
        kind: What it is.
        subject: Its name.
        field: What of it differs; `presence` where one side lacks it.
        before: On the first side; `None` where it is not there.
        after: On the second side; `None` where it is not there.
    """

    kind: Kind
    subject: str
    field: str
    before: str | None
    after: str | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-serializable, as in `schemas/diff.yaml`."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Side:
    """What one side says, by name; `None` is what it cannot say.

    Attributes:
        name: What messages call it.
        distributions: Version and digest of RECORD.
        plugins: State and what else is worth comparing.
        keys: Who provides an `action:key`.
        unsure: Plugins whose keys are not known.
        findings: Code and subject.
    """

    name: str
    distributions: dict[str, dict[str, str | None]] = field(default_factory=dict)
    plugins: dict[str, dict[str, str | None]] | None = None
    keys: dict[str, str] | None = None
    unsure: set[str] = field(default_factory=set)
    findings: set[tuple[str, str]] | None = None


def read_side(path: str) -> Side:
    """A report or a freeze from a file.

    Args:
        path: JSON of a report, of `list`, `plan` or `freeze`, or the text of a freeze.

    Raises:
        ConfigError: It is none of these.
    """
    try:
        with open(path, "rb") as stream:
            content = stream.read(_MAX_BYTES)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", file=path) from error
    if content.lstrip()[:1] not in (b"{", b"["):
        lock = read_lock(path)
        return Side(
            path,
            {
                name: {"version": entry.version, "record": entry.digest}
                for name, entry in lock.entries.items()
            },
        )
    try:
        data = json.loads(content)
        return _of_json(path, data)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(
            f"is no report and no freeze: {error!r}",
            file=path,
            expected="JSON of `aimm-plugins report`, `list`, `plan` or `freeze`, or a freeze file",
        ) from error


def _of_json(path: str, data: Mapping[str, Any]) -> Side:
    if "frozen" in data:
        return side_of_freeze(path, data["frozen"])
    return side_of_report(path, data["plugins"], data.get("findings", ()))


def side_of_freeze(name: str, frozen: Iterable[Mapping[str, str]]) -> Side:
    """A side from the entries of a freeze, as in `schemas/freeze.yaml`."""
    return Side(
        name,
        {
            normalized(each["name"]): {"version": each["version"], "record": each["record"]}
            for each in frozen
        },
    )


def side_of_report(
    name: str, plugins: Iterable[Mapping[str, Any]], findings: Iterable[Mapping[str, Any]]
) -> Side:
    """A side from the parts of a report.

    Args:
        name: What messages call it.
        plugins: Records, as in `schemas/report.yaml` or `schemas/list.yaml`.
        findings: Findings of the report.
    """
    side = Side(name, plugins={}, keys={}, findings={(f["code"], f["subject"]) for f in findings})
    assert side.plugins is not None and side.keys is not None
    for record in plugins:
        who = record["distribution"] or record["module"] or record["name"]
        if record["distribution"]:
            key = normalized(record["distribution"])
            side.distributions[key] = {"version": record["version"], "origin": record["origin"]}
        label = f"{who} ({record['name']})" if record["name"] != who else who
        state = record["state"]
        side.plugins[label] = {
            "state": "active" if state in _ACTIVE else state,
            "reason": None if state in _ACTIVE else record["reason"],
            "error": None if record["error"] is None else record["error"]["message"],
        }
        for each in record["provides"]:
            side.keys[f"{each['action']}:{each['key']}"] = who
        if not record["provides"] and state in _ACTIVE and not record.get("complete", False):
            side.unsure.add(who)
    return side


def side_of_survey(survey: Survey) -> Side:
    """What is installed here, under a conf."""
    told = [plugin.to_dict() for plugin in survey.plugins]
    findings = [finding.to_dict() for finding in survey.findings]
    return side_of_report("this environment", told, findings)


def compare(one: Side, other: Side) -> tuple[Difference, ...]:
    """What differs, of what both sides can tell; sorted by kind and subject.

    Whether a plugin is loaded, deferred or only planned makes no difference, nor do times. Keys of
    a plugin that one side could not tell are not compared.
    """
    found = [*_of_tables("distribution", one.distributions, other.distributions)]
    if one.plugins is not None and other.plugins is not None:
        found += _of_tables("plugin", one.plugins, other.plugins)
    if one.keys is not None and other.keys is not None:
        unsure = one.unsure | other.unsure
        for key in sorted(one.keys.keys() | other.keys.keys()):
            before, after = one.keys.get(key), other.keys.get(key)
            if before != after and not {before, after} & unsure:
                found.append(
                    Difference(
                        kind="key", subject=key, field="provider", before=before, after=after
                    )
                )
    if one.findings is not None and other.findings is not None:
        for code, subject in sorted(one.findings ^ other.findings):
            there = (code, subject) in other.findings
            found.append(
                Difference(
                    kind="finding",
                    subject=subject,
                    field="presence",
                    before=None if there else code,
                    after=code if there else None,
                )
            )
    return tuple(found)


def _of_tables(
    kind: Kind,
    one: Mapping[str, Mapping[str, str | None]],
    other: Mapping[str, Mapping[str, str | None]],
) -> Iterator[Difference]:
    for name in sorted(one.keys() | other.keys()):
        if name not in one or name not in other:
            there = one.get(name) or other.get(name) or {}
            told = next(iter(there.values()), None) or "there"
            yield Difference(
                kind=kind,
                subject=name,
                field="presence",
                before=told if name in one else None,
                after=told if name in other else None,
            )
            continue
        before, after = one[name], other[name]
        for column in before:
            if column in after and before[column] != after[column]:
                yield Difference(
                    kind=kind,
                    subject=name,
                    field=column,
                    before=before[column],
                    after=after[column],
                )
