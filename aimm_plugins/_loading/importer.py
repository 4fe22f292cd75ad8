"""Import the plugins of a plan.

What a module declares goes to the ledger, and nothing of it can be called before the whole call is
committed.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, MutableMapping
from itertools import islice
from time import perf_counter
from types import ModuleType
from typing import NamedTuple

from aimm_plugins._declarations.ledger import DeclarationLedger
from aimm_plugins._discovery.entry_points import with_parents
from aimm_plugins._dispatch.manager import PluginManager
from aimm_plugins._loading.exceptions import to_group_member
from aimm_plugins._loading.side_effects import changes, observe
from aimm_plugins._policy.plan import Plan
from aimm_plugins._registry.outcome import Loaded
from aimm_plugins._system.modules import contents, is_initializing
from aimm_plugins._system.text import type_name
from aimm_plugins._values.report import Finding, PluginRecord

Versions = MutableMapping[str, tuple[str | None, str | None]]
"""By plugin module: the distribution and version that were installed when it was imported."""


_MOST_DEADLOCKS = 3


class Outcome:
    """What became of a plan's imports.

    Attributes:
        records: The accounts, in order: `failed` where the import or the object was no good.
        loaded: The plugins whose modules are imported and sound.
        findings: What failed imports changed of the process.
    """

    __slots__ = ("findings", "loaded", "records")

    def __init__(self) -> None:
        self.records: list[PluginRecord] = []
        self.loaded: list[Loaded] = []
        self.findings: list[Finding] = []

    def add(self, other: Outcome) -> None:
        """Add what became of another plan."""
        self.records += other.records
        self.loaded += other.loaded
        self.findings += other.findings

    def fail(self, record: PluginRecord, error: BaseException) -> None:
        """Account for a plugin that was loaded and turned out to be no good."""
        failed = failed_record(record, error)
        self.loaded = [entry for entry in self.loaded if entry.record is not record]
        self.records = [failed if known is record else known for known in self.records]


class Loader(NamedTuple):
    """What imports need to know of the process.

    Attributes:
        ledger: Where the modules declare.
        manager: Judges their hookimpls.
        versions: What was installed when a module was imported; kept up to date here.
        denial: Tells why a plugin must not be imported, as things are then; `None` where no rule
            could concern one.
        probe: Raises where the import of a module fails in a child process; `None` for no child.
    """

    ledger: DeclarationLedger
    manager: PluginManager
    versions: Versions
    denial: Callable[[PluginRecord], str | None] | None = None
    probe: Callable[[str], None] | None = None

    def load(self, plan: Plan) -> Outcome:
        """Import what is planned; every plugin is tried, whatever the others do.

        A deferred plugin whose module another one has imported meanwhile is loaded too, since
        nothing is left to wait for.

        Args:
            plan: What is to be done, in order.

        Raises:
            KeyboardInterrupt: Passed through; nothing was registered.
        """
        outcome = Outcome()
        waiting = []
        for record in plan.records:
            if record.state == "planned" or record.identity in plan.demanded:
                self._load(record, plan, outcome)
            else:
                waiting.append(record)
        if waiting:
            for record in waiting:
                if record.state == "deferred" and is_imported(record.module):
                    self._load(record, plan, outcome)
                else:
                    outcome.records.append(record)
            places = {record.identity: place for place, record in enumerate(plan.records)}
            outcome.records.sort(key=lambda record: places[record.identity])
            outcome.loaded.sort(key=lambda entry: places[entry.record.identity])
        return outcome

    def _load(self, record: PluginRecord, plan: Plan, outcome: Outcome) -> None:
        was_deferred = record.state == "deferred"
        before = observe()
        size = self.manager.size
        was_imported = record.module in sys.modules
        clock = _ImportClock()
        try:
            self._admit(record)
            if self.probe is not None and not was_imported:
                self.probe(record.module)
                clock = _ImportClock()
            module = self._import(record)
            if not was_imported:
                record = clock.account(record)
            self.ledger.confirm_imports()
            self.manager.rollback_failed_imports()
            has_hooks = isinstance(module, ModuleType) and self.manager.check(module)
            target = self._target(module, record)
        except KeyboardInterrupt:
            self._discard()
            raise
        except _DeniedError as denied:
            self._discard()
            outcome.records.append(_denied_record(record, denied.reason))
            return
        except BaseException as error:  # sys.exit(), CancelledError and the like end no host
            self._discard()
            if not was_imported and record.import_seconds is None:
                record = clock.account(record)
            outcome.records.append(failed_record(record, error))
            if side_effects := changes(before):
                outcome.findings.append(_left_behind(record, side_effects))
            return
        file = getattr(module, "__file__", None)
        record = record._replace(
            state="planned",
            reason=None if was_deferred else record.reason,
            file=file if isinstance(file, str) else record.file,
        )
        stale = _running_version(record, was_imported, self.versions)
        record = stale or record
        outcome.records.append(record)
        published = plan.published.get(record.identity, ())
        has_hooks = has_hooks or self.manager.size > size
        outcome.loaded.append(
            Loaded(
                record,
                target,
                published,
                lazily=was_deferred,
                may_be_empty=has_hooks,
                is_stale=stale is not None,
            )
        )

    def _discard(self) -> None:
        self.ledger.discard_failed_imports()
        self.manager.rollback_failed_imports()

    def _import_as_judged(self, record: PluginRecord) -> object:
        if self.denial is not None:
            # A parent package may lead to another file than was foreseen when it is run.
            for parent in [*with_parents(record.module)][:0:-1]:
                if parent not in sys.modules:
                    self._admit(record)
                    _import_module(parent)
            self._admit(record)
        return _import_module(record.module)

    def _admit(self, record: PluginRecord) -> None:
        reason = None if self.denial is None else self.denial(record)
        if reason is not None:
            raise _DeniedError(reason)

    def _import(self, record: PluginRecord) -> object:
        """What Python holds under the plugin's name after the import; mostly a module."""
        found = sys.modules.get(record.module)
        is_object = found is not None and not isinstance(found, ModuleType)
        if is_object and not self.ledger.has(record.module):
            raise ImportError(
                f"sys.modules holds an object of class {type_name(found)} under the name "
                f"{record.module}, put there by somebody else: the module was never imported",
                name=record.module,
            )
        module = self.ledger.importing(record.module, lambda _: self._import_as_judged(record))
        if not is_imported(record.module):
            raise ImportError(
                f"{record.module} is still being imported: it is loaded by its own import",
                name=record.module,
            )
        return module

    def _target(self, module: object, record: PluginRecord) -> object | None:
        """The decorated object that an entry point `module:object` names."""
        if record.attribute is None:
            return None
        found = module
        for name in record.attribute.split("."):
            try:
                found = getattr(found, name)
            except AttributeError as error:
                from aimm_plugins._inventory.foresight import no_such_object

                names = frozenset(contents(module)) if isinstance(module, ModuleType) else None
                raise no_such_object(record, names) from error
        declared = self.ledger.declared_keys()
        if not any(entry.declaration.target is found for entry in declared):
            from aimm_plugins._inventory.foresight import not_decorated

            raise not_decorated(record)
        return found


def _import_module(name: str) -> object:
    """Import a module, again where Python has ended the import to avoid a deadlock.

    It does so when two threads import modules that import each other. By the next try the other
    thread has finished its own.
    """
    if not all(name.split(".")):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    for _ in range(_MOST_DEADLOCKS):
        try:
            return importlib.import_module(name)
        except RuntimeError as error:
            if type(error).__name__ != "_DeadlockError":  # importlib has no public name for it
                raise
    return importlib.import_module(name)


class _DeniedError(Exception):
    """The rules have come to deny an import that was planned."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _ImportClock:
    """Measures one import: its time, and the modules that it brought."""

    __slots__ = ("_begin", "_count")

    def __init__(self) -> None:
        self._count = len(sys.modules)
        self._begin = perf_counter()

    def account(self, record: PluginRecord) -> PluginRecord:
        """The record with what its import, which has just ended, took and brought."""
        seconds = perf_counter() - self._begin
        imports: dict[str, int] = {}
        for name in self._newest():
            top = name.partition(".")[0]
            imports[top] = imports.get(top, 0) + 1
        return record._replace(import_seconds=seconds, imports=tuple(imports.items()))

    def _newest(self) -> list[str]:
        """The modules that came since, in the order of their import."""
        # `sys.modules` keeps the order of insertion, so the new ones are at its end.
        new = max(len(sys.modules) - self._count, 0)
        try:
            names = list(islice(reversed(sys.modules), new))
        except RuntimeError:  # another thread is importing
            names = list(islice(reversed(sys.modules.copy()), new))
        names.reverse()
        return names


def failed_record(record: PluginRecord, error: BaseException) -> PluginRecord:
    """The account of a plugin that failed."""
    return record._replace(
        state="failed",
        provides=(),
        reason=None,
        error=to_group_member(error, record.provenance),
    )


def _denied_record(record: PluginRecord, reason: str) -> PluginRecord:
    return record._replace(state="denied", provides=(), reason=reason)


def _left_behind(record: PluginRecord, side_effects: list[str]) -> Finding:
    return Finding(
        code="side-effects",
        subject=str(record.provenance),
        message="its failed import left behind: " + "; ".join(side_effects),
        place=record.file,
        remedy="Nothing of it was undone, since others may have come to need it.",
    )


def is_imported(module: str) -> bool:
    """Whether a module is imported to its end."""
    found = sys.modules.get(module)
    if found is None:
        return False
    if isinstance(found, ModuleType):
        return not is_initializing(contents(found).get("__spec__"))
    return not is_initializing(getattr(found, "__spec__", None))


def _running_version(
    record: PluginRecord, was_imported: bool, versions: Versions
) -> PluginRecord | None:
    """The record with the version that was imported, where that is not the one installed by now."""
    now = (record.distribution, record.version)
    then = versions.get(record.module, now) if was_imported else now
    if then[0] != now[0] or then[1] == now[1]:
        versions[record.module] = now
        return None
    return record._replace(
        version=then[1],
        reason=f"{record.distribution} {record.version} is installed by now, and {then[1]} was "
        "imported: a restart is needed",
    )
