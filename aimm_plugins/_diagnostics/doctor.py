"""What is wrong with the installed plugins, and what to do about it.

In comes an inventory, taken with sources; out go findings, each with a remedy. Nothing is imported.
"""

from __future__ import annotations

from collections.abc import Iterator

from aimm_plugins._diagnostics.inventory import Inventory, InventoryItem
from aimm_plugins._diagnostics.naming import subject_of
from aimm_plugins._system.text import described
from aimm_plugins._values.report import Finding

_FAULTY_VERSIONS = (
    (
        "importlib-metadata",
        ">=8.7,<10",
        "one malformed entry point of any installed distribution makes its `entry_points` raise, "
        "for everybody in the process who calls it; aimm_plugins itself reads past it",
        "pip install 'importlib-metadata>=10'",
    ),
    (
        "pluggy",
        "<1.7",
        "a parameter with a default in a hook implementation is never passed its value",
        "pip install 'pluggy>=1.7'",
    ),
)
"""Distribution, versions, fault and remedy."""


def examine(inventory: Inventory) -> tuple[Finding, ...]:
    """Everything that an operator or author should mend, sorted by code and subject.

    Args:
        inventory: Taken with sources; of one with imports, failures are findings too.
    """
    found = [*inventory.findings, *_of_libraries(inventory)]
    for item in inventory.plugins:
        found += _of_plugin(item, inventory.loaded)
    return tuple(sorted(dict.fromkeys(found), key=lambda f: (f.code, f.subject, f.message)))


def _of_libraries(inventory: Inventory) -> Iterator[Finding]:
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version

    for name, versions, fault, remedy in _FAULTY_VERSIONS:
        distribution = inventory.installed.find(name)
        if distribution is None or distribution.version is None:
            continue
        try:
            version = Version(distribution.version)
        except InvalidVersion:
            continue
        if version in SpecifierSet(versions, prereleases=True):
            yield Finding(
                code="known-fault",
                subject=f"{name} {distribution.version}",
                message=fault,
                place=distribution.place,
                remedy=f"Upgrade it: {remedy}.",
            )


def _of_plugin(item: InventoryItem, loaded: bool) -> Iterator[Finding]:
    record = item.record
    if record.error is not None:
        yield _failure(item, loaded)
        if loaded:  # the failure says more than the source
            return
    if record.state in ("denied", "missing") or item.source is None:
        return
    if fault := item.fault:
        yield fault
        return
    if item.keys_from == "metadata":
        yield from _of_published_keys(item)
    if _declares_nothing(item):
        yield Finding(
            code="declares-nothing",
            subject=subject_of(record),
            message=f"{record.attribute or record.module} declares nothing: no decorator of "
            "aimm_plugins and no hook implementation stands in its source",
            place=record.provenance.place,
            remedy="Remove the entry point or the config name, or declare something there.",
        )


def _failure(item: InventoryItem, loaded: bool) -> Finding:
    record = item.record
    assert record.error is not None
    code = "failed" if loaded else "would-fail"
    if record.state == "missing":
        code = "required-missing"
    if record.state == "missing" and record.environment is not None:
        remedy = f"Do what is found there, or remove the environment ({record.config_place})."
        return Finding(
            "environment-missing",
            record.environment,
            described(record.error),
            record.config_place,
            remedy,
        )
    # Without --load, `explain` would not know of a failure that only the import shows.
    command = f"aimm-plugins explain {record.distribution or record.module}"
    return Finding(
        code=code,
        subject=subject_of(record),
        message=described(record.error),
        place=record.config_place or record.provenance.place,
        remedy=f"`{command}{' --load' if loaded else ''}` tells more.",
    )


def _declares_nothing(item: InventoryItem) -> bool:
    """Whether the source surely declares nothing, for the entry point's object if it names one."""
    source = item.source
    if source is None or source.gaps or source.hooks or source.declarations:
        return False
    return item.record.attribute is None or source.names is not None


def _of_published_keys(item: InventoryItem) -> Iterator[Finding]:
    assert item.source is not None
    published = set(item.keys)
    declared = {(found.action, found.key) for found in item.source.declarations}
    certain = {(found.action, found.key) for found in item.source.declarations if found.certain}
    # What the source leaves open may declare the keys that are missing from it.
    missing = set() if item.source.gaps else published - declared
    parts = [
        f"{what} {', '.join(f'{action}:{key}' for action, key in sorted(slots))}"
        for what, slots in (
            ("publishes but does not declare", missing),
            ("declares but does not publish", certain - published),
        )
        if slots
    ]
    if parts:
        yield Finding(
            code="published-keys-differ",
            subject=subject_of(item.record),
            message="; ".join(parts),
            place=item.record.provenance.place,
            remedy="Tell its author: `aimm-plugins entry-points --write` publishes what the code "
            "declares, once it is installed again.",
        )
