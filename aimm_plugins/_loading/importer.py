"""Importing the plugins of a plan.

Imports are the only place where foreign code runs. No lock of ours is held meanwhile: what a module
declares goes to the book, and nothing of it can be called before the whole call is committed. So a
failure has nothing to undo but the book's pages of the modules that failed, and calls and other
threads go on.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, MutableMapping
from itertools import islice
from time import perf_counter
from types import ModuleType

from aimm_plugins._declarations.ledger import Book, importing
from aimm_plugins._dispatch.hooks import PluginManager
from aimm_plugins._loading.exceptions import as_member
from aimm_plugins._loading.side_effects import changes, observe
from aimm_plugins._policy.plan import Plan
from aimm_plugins._registry.resolution import Loaded
from aimm_plugins._system.modules import contents, is_initializing
from aimm_plugins._system.text import type_name
from aimm_plugins._values.report import Finding, PluginRecord
from aimm_plugins.errors import DeclarationError

Versions = MutableMapping[str, tuple[str | None, str | None]]
"""By plugin module: the distribution and version that were installed when it was imported."""

ImportAccount = tuple[float | None, tuple[tuple[str, int], ...]]
"""Seconds that an import took, and how many modules it brought, by top-level name."""

_PACKAGE = sys.modules["aimm_plugins"]
_MODULES = sys.modules
"""The interpreter itself goes on with this table, whatever somebody puts in its place."""


class Outcome:
    """What became of a plan's imports.

    Attributes:
        records: The accounts, in order: `failed` where the import or the object was no good.
        loaded: The plugins whose modules are imported and sound.
        findings: What failed imports changed of the process.
        judged: The modules whose hookimpls were found sound.
    """

    __slots__ = ("findings", "judged", "loaded", "records")

    def __init__(self) -> None:
        self.judged: set[str] = set()
        self.records: list[PluginRecord] = []
        self.loaded: list[Loaded] = []
        self.findings: list[Finding] = []


def load(
    plan: Plan,
    book: Book,
    manager: PluginManager,
    versions: Versions,
    *,
    probe: Callable[[str], None] | None = None,
) -> Outcome:
    """Import what is planned; every plugin is tried, whatever the others do.

    A deferred plugin whose module another one has imported meanwhile is loaded too, since nothing
    is left to wait for.

    Args:
        plan: What is to be done, in order.
        book: Where the modules declare.
        manager: Judges their hookimpls.
        versions: What was installed when a module was imported; kept up to date here.
        probe: Raises where the import of a module fails in a child process; `None` for no child.

    Raises:
        KeyboardInterrupt: Passed through; nothing was registered.
    """
    outcome = Outcome()
    waiting = []
    for record in plan.records:
        if record.state == "planned" or record.identity in plan.demanded:
            _load(record, plan, book, manager, versions, probe, outcome)
        else:
            waiting.append(record)
    if waiting:
        for record in waiting:
            if record.state == "deferred" and _is_imported(record.module):
                _load(record, plan, book, manager, versions, probe, outcome)
            else:
                outcome.records.append(record)
        places = {record.identity: place for place, record in enumerate(plan.records)}
        outcome.records.sort(key=lambda record: places[record.identity])
        outcome.loaded.sort(key=lambda entry: places[entry.record.identity])
    _fail_changed(outcome, manager)
    return outcome


def _fail_changed(outcome: Outcome, manager: PluginManager) -> None:
    """Fail the plugins that pluggy would refuse for what others did to them since their import."""
    for entry in outcome.loaded:
        record = entry.record
        try:
            manager.check_again(manager.checked[record.module])
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # another plugin's `__dir__` in a module may raise anything
            failed = record._replace(
                state="failed",
                provides=(),
                reason=None,
                error=as_member(error, record.provenance),
            )
            # By identity: what compares them may be a stranger's.
            outcome.loaded = [each for each in outcome.loaded if each is not entry]
            outcome.records = [failed if each is record else each for each in outcome.records]


def _imported(module: str, book: Book) -> ModuleType:
    """What `sys.modules` holds of a module once it is imported, which may be no module at all."""
    if book.has(module):
        # It ran already, and Python would ask it for its spec: others may have changed its class.
        found = sys.modules.get(module)
        if found is not None and issubclass(type(found), ModuleType) and _is_imported(module):
            return found
    with importing(module):
        return importlib.import_module(module)


def _is_whole() -> bool:
    """Whether `sys.modules` is what it should be, and has this very package."""
    try:
        return type(sys.modules) is dict and sys.modules.get("aimm_plugins") is _PACKAGE
    except AttributeError:  # it was deleted
        return False


def _put_back(record: PluginRecord, whole: bool, *, failed: bool = False) -> list[Finding]:
    """Undo what a plugin did to `sys.modules` that would stop every import after it.

    Without the table nothing can be imported, and with another copy of this package in it the
    plugins to come would declare where nobody looks.

    Args:
        record: The plugin.
        whole: Whether the table was whole before; what others broke is not this plugin's.
        failed: Whether the import failed; Python took the module out of the wrong table then.

    Returns:
        A finding that tells what was put back, if anything was.
    """
    if not whole or _is_whole():
        return []
    repairs = []
    if getattr(sys, "modules", None) is not _MODULES:
        sys.modules = _MODULES
        if failed:
            _MODULES.pop(record.module, None)
        repairs.append("sys.modules: was replaced, and is put back")
    if _MODULES.get("aimm_plugins") is not _PACKAGE:
        _MODULES["aimm_plugins"] = _PACKAGE
        for each in list(vars(_PACKAGE).values()):
            if type(each) is ModuleType and each.__name__.startswith("aimm_plugins."):
                _MODULES[each.__name__] = each
        repairs.append("sys.modules: aimm_plugins was taken out or replaced, and is put back")
    return [
        Finding(
            code="side-effects",
            subject=str(record.provenance),
            message="its import broke all imports after it: " + "; ".join(repairs),
            place=record.file,
        )
    ]


def _file(module: object) -> str | None:
    """Where a module says that it comes from."""
    try:
        file = getattr(module, "__file__", None)
    except KeyboardInterrupt:
        raise
    except BaseException:  # others may have changed its class
        return None
    return file if type(file) is str else None


def _is_imported(module: str) -> bool:
    """Whether a module is imported to its end."""
    found = sys.modules.get(module)
    if found is None:
        return False
    if issubclass(type(found), ModuleType):
        return not is_initializing(contents(found).get("__spec__"))
    try:
        spec = getattr(found, "__spec__", None)
    except KeyboardInterrupt:
        raise
    except BaseException:  # an object of a stranger's in place of a module
        return True
    return not is_initializing(spec)


def _load(
    record: PluginRecord,
    plan: Plan,
    book: Book,
    manager: PluginManager,
    versions: Versions,
    probe: Callable[[str], None] | None,
    outcome: Outcome,
) -> None:
    was_deferred = record.state == "deferred"
    before = observe()
    present, count, whole = False, 0, _is_whole()
    begin = perf_counter()
    account: ImportAccount | None = None
    try:
        # Within, since an earlier plugin may have put anything in the place of `sys.modules`.
        present, count = record.module in sys.modules, len(sys.modules)
        if probe is not None and not present:
            probe(record.module)
            begin = perf_counter()
        module = manager.checked.get(record.module)
        # What was imported and found sound is not asked for again: Python looks at its spec then,
        # and there may be anything in its place.
        if module is None or sys.modules.get(record.module) is not module:
            module = _imported(record.module, book)
            outcome.findings += _put_back(record, whole)
            if present and not isinstance(module, ModuleType) and not book.has(record.module):
                raise ImportError(
                    f"sys.modules holds an object of class {type_name(module)} under the name "
                    f"{record.module}, put there by somebody else: the module was never imported",
                    name=record.module,
                )
        if not _is_imported(record.module):
            raise ImportError(
                f"{record.module} is still being imported: it is loaded by its own import",
                name=record.module,
            )
        account = _import_account(record, present, begin, count)
        book.settle()
        manager.settle()
        if record.module not in outcome.judged:  # what it got since is another plugin's doing
            manager.check(module)
            manager.checked[record.module] = module
            outcome.judged.add(record.module)
        target = _target(module, record, book)
        file = _file(module)
    except KeyboardInterrupt:
        _put_back(record, whole, failed=True)
        book.sweep()
        manager.settle()
        raise
    except BaseException as error:  # sys.exit(), CancelledError and the like end no host
        repairs = _put_back(record, whole, failed=True)
        book.sweep()
        manager.settle()
        if account is None:
            account = _import_account(record, present, begin, count)
        outcome.records.append(
            record._replace(
                state="failed",
                provides=(),
                reason=None,
                error=as_member(error, record.provenance),
                import_seconds=account[0],
                imports=account[1],
            )
        )
        side_effects = changes(before)
        if side_effects:
            outcome.findings.append(
                Finding(
                    code="side-effects",
                    subject=str(record.provenance),
                    message="its failed import left behind: " + "; ".join(side_effects),
                    place=record.file,
                    remedy="Nothing of it was undone, since others may have come to need it.",
                )
            )
        outcome.findings += repairs
        return
    record = record._replace(
        state="planned",
        reason=None if was_deferred else record.reason,
        file=file or record.file,
        import_seconds=account[0],
        imports=account[1],
    )
    record = _running_version(record, present, versions)
    outcome.records.append(record)
    outcome.loaded.append(
        Loaded(record, target, plan.published.get(record.identity, ()), lazily=was_deferred)
    )


def _import_account(record: PluginRecord, present: bool, begin: float, count: int) -> ImportAccount:
    """What a record tells of an import that has just ended."""
    if present:
        return record.import_seconds, record.imports
    seconds = perf_counter() - begin
    imports: dict[str, int] = {}
    try:
        for name in _newest(count):
            top = name.partition(".")[0]
            imports[top] = imports.get(top, 0) + 1
    except KeyboardInterrupt:
        raise
    except BaseException:  # the plugin has replaced `sys.modules`, or put into it what is no name
        return seconds, ()
    return seconds, tuple(imports.items())


def _newest(count: int) -> list[str]:
    """The modules that came after so many, in the order of their import."""
    # `sys.modules` keeps the order of insertion, so the new ones stand at its end.
    new = max(len(sys.modules) - count, 0)
    try:
        names = list(islice(reversed(sys.modules), new))
    except RuntimeError:  # another thread is importing
        names = list(islice(reversed(sys.modules.copy()), new))
    names.reverse()
    return names


def _running_version(record: PluginRecord, present: bool, versions: Versions) -> PluginRecord:
    """The record with the version that was installed when its module was imported."""
    now = (record.distribution, record.version)
    then = versions.get(record.module, now) if present else now
    if then[0] != now[0] or then[1] == now[1]:
        versions[record.module] = now
        return record
    return record._replace(
        version=then[1],
        reason=f"{record.distribution} {record.version} is installed by now, and {then[1]} was "
        "imported: a restart is needed",
    )


def _target(module: object, record: PluginRecord, book: Book) -> object | None:
    """The decorated object that an entry point `module:object` names."""
    if record.attribute is None:
        return None
    found = module
    for name in record.attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise AttributeError(
                f"{record.module} has no {record.attribute!r}, which {record.provenance} names; "
                "correct the entry point or the module"
            ) from error
    if not any(each.target is found for each in book.declarations()):
        raise DeclarationError(
            f"{record.module}:{record.attribute} is not decorated, so {record.provenance} "
            "declares nothing; decorate it, or name the module alone"
        )
    return found
