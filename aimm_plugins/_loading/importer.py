"""Import the plugins of a plan.

What a module declares goes to the ledger, and nothing of it can be called before the whole call is
committed.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from itertools import chain
from operator import attrgetter
from time import perf_counter
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from aimm_plugins._declarations.ledger import DeclarationLedger, DeclaredKey
from aimm_plugins._dispatch.manager import PluginManager
from aimm_plugins._loading.exceptions import shorten_traceback, to_group_member
from aimm_plugins._loading.side_effects import HANDLERS, changes, observe
from aimm_plugins._policy.plan import Plan
from aimm_plugins._registry.change import Loaded
from aimm_plugins._registry.loads import ImportWatch
from aimm_plugins._system.guard import guarded, reraise_interruption
from aimm_plugins._system.modules import contents, import_whole, is_initializing
from aimm_plugins._system.names import with_parents
from aimm_plugins._system.text import nearest, type_name
from aimm_plugins._values.report import Finding, PluginRecord

if TYPE_CHECKING:
    from aimm_plugins._discovery.distribution import Distribution
    from aimm_plugins._discovery.scan import Scan
    from aimm_plugins._environments.processes import Processes


class Installed(NamedTuple):
    """What was installed when a module was imported; `stamp` differs after another installation."""

    distribution: str | None
    version: str | None
    stamp: object = None


Versions = MutableMapping[str, Installed]
"""By plugin module: the distribution and version that were installed when it was imported."""


_MOST_DEADLOCKS = 3

_UNDER_WAY = "its own import has led to this one; its keys are registered as it declares them"


class Outcome:
    """What became of a plan's imports; `undo` ends the environments that have begun by it."""

    __slots__ = ("environments", "findings", "loaded", "records", "undo")

    def __init__(self) -> None:
        self.environments: Mapping[str, Processes] = {}  # what has begun by it
        self.undo: Callable[[], None] = lambda: None
        self.records: list[PluginRecord] = []
        self.loaded: list[Loaded] = []
        self.findings: list[Finding] = []

    def add(self, other: Outcome) -> None:
        self.records += other.records
        self.loaded += other.loaded
        self.findings += other.findings

    def fail(self, record: PluginRecord, error: BaseException) -> None:
        """Account for a plugin that turned out to be no good."""
        self.loaded = [entry for entry in self.loaded if entry.record is not record]
        self.replace(record, _failed(record, error))

    def replace(self, record: PluginRecord, by: PluginRecord) -> None:
        self.records = [by if known is record else known for known in self.records]


class Loader(NamedTuple):
    """What imports need to know of the process."""

    ledger: DeclarationLedger  # where the modules declare
    manager: PluginManager  # judges their hookimpls
    versions: Versions  # kept up to date here
    loads: list[ImportWatch]  # those under way, this one among them meanwhile
    # Tells why a plugin must not be imported, as things are then, if a rule could concern one.
    denial: Callable[[PluginRecord], str | None] | None = None
    # Raises where the import of a plugin fails in a child process, if there is to be one.
    probe: Callable[[PluginRecord], None] | None = None
    find: Callable[[str], Distribution | None] = lambda _: None  # what is installed by now

    def load(self, plan: Plan) -> Outcome:
        """Import what is planned; every plugin is tried, whatever the others do.

        A deferred plugin whose module another one has imported meanwhile is loaded too, since
        nothing is left to wait for. Only what the host raises in the middle of it passes.
        """
        outcome = Outcome()
        waiting = []
        with ImportWatch(self.loads) as watch:
            for record in plan.records:
                wanted = ("planned", "deferred") if plan.demanded else ("planned",)
                if record.state in wanted and record.environment is None:
                    self._load(record, outcome, watch)
                else:
                    waiting.append(record)
            for record in waiting:
                is_deferred = record.state == "deferred" and record.environment is None
                if is_deferred and is_imported(record.module):
                    self._load(record, outcome, watch)
                else:
                    outcome.records.append(record)
        if waiting:
            places = {record.identity: place for place, record in enumerate(plan.records)}
            outcome.records.sort(key=lambda record: places[record.identity])
            outcome.loaded.sort(key=lambda entry: places[entry.record.identity])
        return outcome

    def _load(self, record: PluginRecord, outcome: Outcome, watch: ImportWatch) -> None:
        has_run, was_imported = _has_run(record), record.module in sys.modules
        before = None if has_run else observe()
        size = self.manager.size
        try:
            self._admit(record)
            if self.probe is not None and not has_run:
                self.probe(record)
                self._admit(record)
            begin, count = perf_counter(), len(sys.modules)
            if not was_imported:
                watch.begin(record)
            try:
                imported = self._import(record)
            finally:
                watch.end()
                if not was_imported:
                    record = _with_cost(record, begin, count)
            if imported is None:
                outcome.records.append(record._replace(state="deferred", reason=_UNDER_WAY))
                return
            module, target = imported
            self._discard()
            has_hooks = isinstance(module, ModuleType) and self.manager.check(module)
            self._refuse_undeclared(record, target)
        except _DeniedError as denied:
            self._discard()
            outcome.records.append(record._replace(state="denied", provides=(), reason=str(denied)))
            return
        except BaseException as error:  # sys.exit(), CancelledError and the like end no host
            self._discard()
            reraise_interruption(error, before and before[HANDLERS].values())
            shorten_traceback(error)
            outcome.records.append(_failed(record, error))
            if not has_run and (side_effects := changes(before)):
                outcome.findings.append(_left_behind(record, side_effects))
            return
        may_be_empty = has_hooks or self.manager.size > size
        loaded = self._loaded(record, module, was_imported)
        loaded = loaded._replace(target=target, may_be_empty=may_be_empty)
        outcome.records.append(loaded.record)
        outcome.loaded.append(loaded)

    def _loaded(self, record: PluginRecord, module: object, was_imported: bool) -> Loaded:
        was_deferred = record.state == "deferred"
        file = getattr(module, "__file__", None)
        record = record._replace(
            state="planned",
            reason=None if was_deferred else record.reason,
            file=file if isinstance(file, str) else record.file,
        )
        by = None if record.distribution is None else self.find(record.distribution)
        now = Installed(record.distribution, record.version, by and by.stamp)
        then = self.versions.get(record.module, now) if was_imported else now
        stale = self._stale(record, then, by) if then != now else None
        if stale is None:
            self.versions[record.module] = now
        return Loaded(stale or record, lazily=was_deferred, is_stale=stale is not None)

    def _stale(
        self, record: PluginRecord, then: Installed, by: Distribution | None
    ) -> PluginRecord | None:
        """The account of a plugin that was imported from what is not installed any more, if so."""
        now, version = f"{record.distribution} {record.version}", then.version
        what = f"is installed by now, and {version} was imported"
        if then.distribution != record.distribution:
            if then.distribution is None or by is None or self.find(then.distribution):
                return None
            what = f"is installed by now, and {then.distribution} {version} was imported"
            version = record.version
        elif version == record.version:
            if by is None or by.stamp is None or then.stamp is None or by.editable_root:
                return None
            what = "was installed again after its import"
        reason = f"{now} {what}: a restart is needed"
        return record._replace(version=version, reason=reason)

    def _discard(self) -> None:
        """Forget what was declared and registered in imports that failed."""
        self.ledger.discard_failed_imports()
        self.manager.rollback_failed_imports()

    def _admit(self, record: PluginRecord) -> None:
        reason = None if self.denial is None else self.denial(record)
        if reason is not None:
            raise _DeniedError(reason)

    def _import(self, record: PluginRecord) -> tuple[object, object | None] | None:
        """What Python holds under the plugin's name after the import, mostly a module.

        With it comes the object that an entry point `module:object` names. To look it up belongs to
        the import, because a package may import it only when it is asked for it. `None` for a
        module whose import is what has called this.
        """
        found = sys.modules.get(record.module)
        is_object = found is not None and not isinstance(found, ModuleType)
        if is_object and not self.ledger.has(record.module):
            raise ImportError(
                f"sys.modules holds an object of class {type_name(found)} under the name "
                f"{record.module}, put there by somebody else: the module was never imported",
                name=record.module,
            )
        # What a failed import by hand has left would look like what this one replaces.
        self.ledger.discard_failed_imports()
        return self.ledger.importing(record.module, lambda _: self._import_plugin(record))

    def _import_plugin(self, record: PluginRecord) -> tuple[object, object | None] | None:
        name = record.module
        # A parent package may lead to another file than was foreseen when it is run.
        for parent in [*with_parents(name)][:0:-1] if self.denial else ():
            if parent not in sys.modules:
                _import_module(parent)
                self._admit(record)
        module = _import_module(name)
        if sys.modules.get(name) is None:
            raise ImportError(f"{name} has taken itself out of sys.modules", name=name)
        if not is_imported(name):
            return None
        if record.attribute is None:
            return module, None
        try:
            return module, attrgetter(record.attribute)(module)
        except AttributeError:
            from aimm_plugins._inventory.foresight import no_such_object

            names = sorted(contents(module)) if isinstance(module, ModuleType) else ()
            raise no_such_object(record, nearest(record.attribute, names)) from None

    def _refuse_undeclared(self, record: PluginRecord, target: object | None) -> None:
        if record.attribute is None:
            return
        # All that is declared is gone through only for what another module has decorated.
        modules: list[Iterable[DeclaredKey]] = [self.ledger.declared_by(record.module)]
        for declared in chain(modules, self.ledger.modules()):
            if any(entry.declaration.target is target for entry in declared):
                return
        from aimm_plugins._inventory.foresight import not_decorated

        raise not_decorated(record)


def _has_run(record: PluginRecord) -> bool:
    """Whether nothing is left to import for a plugin."""
    module = sys.modules.get(record.module)
    if record.attribute is None or not isinstance(module, ModuleType):
        return module is not None
    return record.attribute.partition(".")[0] in contents(module)


def _import_module(name: str) -> object:
    """Import a module, again where Python has ended the import to avoid a deadlock.

    It does so when two threads import modules that import each other. By the next try the other
    thread has finished its own.
    """
    if not all(name.split(".")):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    for _ in range(_MOST_DEADLOCKS):
        try:
            return import_whole(name)
        except RuntimeError as error:
            if type(error).__name__ != "_DeadlockError":  # importlib has no public name for it
                raise
    return import_whole(name)


class _DeniedError(Exception):
    """The rules have come to deny an import that was planned; its text is the reason."""


def _with_cost(record: PluginRecord, begin: float, count: int) -> PluginRecord:
    """The record with what its import, which has just ended, took and brought.

    It began at `begin`, with `count` modules. The new ones are at the end of `sys.modules`.
    """
    seconds = perf_counter() - begin
    brought = Counter(name.partition(".")[0] for name in list(sys.modules)[count:])
    return record._replace(import_seconds=seconds, imports=tuple(brought.items()))


def _failed(record: PluginRecord, error: BaseException) -> PluginRecord:
    return record.failed(to_group_member(error, record.provenance), record.remedy)


def account_for(outcome: Outcome, installed: Scan) -> None:
    """Say what to do about failures, and whether what was imported is what was installed.

    A plugin may have broken imports, and so those of what is used here.
    """
    with guarded():
        from aimm_plugins._inventory.module_files import foreign_module

        for place, record in enumerate(outcome.records):
            if record.error is not None and record.remedy is None:
                from aimm_plugins._inventory.remedies import remedy_for_failure

                remedy = remedy_for_failure(record, record.error, installed)
                outcome.records[place] = record._replace(remedy=remedy)
        for place, entry in enumerate(outcome.loaded):
            foreign = foreign_module(entry.record, installed)
            if foreign is not None:
                outcome.findings.append(foreign)
                outcome.loaded[place] = entry._replace(may_be_empty=True)
        for record in outcome.records:
            foreign = foreign_module(record, installed) if record.state == "failed" else None
            if foreign is not None:
                outcome.findings.append(foreign)


def _left_behind(record: PluginRecord, side_effects: list[str]) -> Finding:
    return Finding(
        code="side-effects",
        subject=str(record.provenance),
        message="its failed import left behind: " + "; ".join(side_effects),
        place=record.file,
        remedy="Mend it, and restart the host: others may have come to need what it left.",
    )


def is_imported(module: str) -> bool:
    """Whether a module is imported to its end."""
    found = sys.modules.get(module)
    is_module = isinstance(found, ModuleType)
    spec = contents(found).get("__spec__") if is_module else getattr(found, "__spec__", None)
    return found is not None and not is_initializing(spec)
