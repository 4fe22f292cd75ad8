"""What is wrong with the installed plugins, and what to do about it.

In comes an inventory; out go findings, each with a remedy. Nothing is imported.
"""

from __future__ import annotations

from collections.abc import Iterator

from aimm_plugins._discovery.distribution import Distribution, requires
from aimm_plugins._discovery.scan import faults_of_metadata
from aimm_plugins._inventory.dependencies import always_unmet
from aimm_plugins._inventory.module_files import changed_entry_points
from aimm_plugins._inventory.remedies import FOR_CONFLICT, in_environment
from aimm_plugins._startup.inventory import Inventory, InventoryItem
from aimm_plugins._system.names import ANEW, pip_install
from aimm_plugins._system.text import described, single_errors
from aimm_plugins._values.report import Finding, PluginRecord
from aimm_plugins.errors import PluginConflictError


def examine(inventory: Inventory) -> tuple[Finding, ...]:
    """Everything that an operator or author should mend, sorted by code and subject."""
    found = [*inventory.findings, *_of_requirements(inventory)]
    found += faults_of_metadata(inventory.installed.distributions())
    for distribution in inventory.installed.distributions():
        # One that uses this package, and whose entry points are none: half written, say.
        is_user = requires(distribution, "aimm-plugins")
        if is_user and not inventory.of_distribution(distribution.name):
            found += lost_entry_points(distribution)
    found += map(_of_conflict, found_conflicts(inventory))
    found += (
        _failure(inventory, item)
        for item in inventory.plugins
        if item.record.error is not None and not isinstance(item.record.error, PluginConflictError)
    )
    return tuple(sorted(dict.fromkeys(found), key=lambda f: (f.code, f.subject, f.message)))


def _of_requirements(inventory: Inventory) -> Iterator[Finding]:
    """Requirements of plugins that are not met; a start meets them when the import fails."""
    records = [item.record for item in inventory.plugins if item.active]
    for name, where in dict.fromkeys((r.distribution, r.environment) for r in records):
        installed = inventory.scans[where]
        distribution = installed.find(name) if name is not None else None
        for requirement in always_unmet(distribution, installed) if distribution else ():
            yield Finding(
                code="requirement-not-met",
                subject=requirement.distribution.who,
                message=f"it {requirement.fault}",
                place=requirement.distribution.place,
                remedy=in_environment(where, requirement.command),
            )


def lost_entry_points(distribution: Distribution) -> Iterator[Finding]:
    file = changed_entry_points(distribution)
    if file is not None:
        yield Finding(
            code="broken-metadata",
            subject=distribution.subject,
            message="its entry_points.txt is not as it was installed, by its hash in RECORD",
            place=file,
            remedy=f"{pip_install(distribution.name, ANEW)}.",
        )


def found_conflicts(inventory: Inventory) -> list[PluginConflictError]:
    """The conflicts, each once, whoever has lost keys by it."""
    failures = (item.record.error for item in inventory.plugins if item.record.error is not None)
    errors = (error for failure in failures for error in single_errors(failure))
    return [*dict.fromkeys(error for error in errors if isinstance(error, PluginConflictError))]


def _of_conflict(error: PluginConflictError) -> Finding:
    return Finding(
        code="conflict",
        subject=f"{error.action}:{error.key}" if len(error.actions) == 1 else str(error.key),
        message=described(error),
        place=error.providers[0].place,
        remedy=FOR_CONFLICT,
    )


def _failure(inventory: Inventory, item: InventoryItem) -> Finding:
    record = item.record
    assert record.error is not None
    is_seen = inventory.loaded and record.state != "missing"
    return Finding(
        code="failed" if is_seen else _code(record, record.error),
        subject=record.subject,
        message=described(record.error),
        place=item.place or record.config_place or record.provenance.place,
        remedy=inventory.remedy(item),
    )


def _code(record: PluginRecord, error: BaseException) -> str:
    """The kind of a failure that is foreseen."""
    if record.state == "missing":
        return "required-missing" if record.environment is None else "environment-missing"
    if isinstance(error, ModuleNotFoundError) and f"{record.module}.".startswith(f"{error.name}."):
        return "module-not-found"
    if isinstance(error, ImportError) and record.module:
        return "import-not-found"
    return "object-not-found" if isinstance(error, AttributeError) else "would-fail"
