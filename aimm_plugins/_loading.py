"""Importing the plugins of a plan.

Imports are the only place where foreign code runs. No lock of ours is held meanwhile: what a module
declares goes to the book, and nothing of it can be called before the whole call is committed. So a
failure has nothing to undo but the book's pages of the modules that failed, and calls and other
threads go on.
"""

from __future__ import annotations

import importlib
import io
import logging
import pickle
import sys
from collections.abc import MutableMapping
from dataclasses import dataclass, field, replace
from itertools import islice
from time import perf_counter
from types import FunctionType
from typing import Any

from aimm_plugins._declarations import Book, importing
from aimm_plugins._hooks import PluginManager
from aimm_plugins._plan import Plan
from aimm_plugins._provenance import Provenance
from aimm_plugins._report import Finding, PluginRecord, described, type_name
from aimm_plugins._resolution import Loaded
from aimm_plugins._side_effects import changes, observe
from aimm_plugins.errors import DeclarationError, PluginImportError

_LOG = logging.getLogger("aimm_plugins")

Versions = MutableMapping[str, tuple[str | None, str | None]]
"""By plugin module: the distribution and version that were installed when it was imported."""


@dataclass(slots=True)
class Outcome:
    """What became of a plan's imports.

    Attributes:
        records: The accounts, in order: `failed` where the import or the object was no good.
        loaded: The plugins whose modules are imported and sound.
        findings: What failed imports changed of the process.
    """

    records: list[PluginRecord] = field(default_factory=list)
    loaded: list[Loaded] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def load(
    plan: Plan,
    book: Book,
    manager: PluginManager,
    versions: Versions,
    *,
    probe_seconds: float | None = None,
) -> Outcome:
    """Import what is planned; every plugin is tried, whatever the others do.

    A deferred plugin whose module another one has imported meanwhile is loaded too, since nothing
    is left to wait for.

    Args:
        plan: What is to be done, in order.
        book: Where the modules declare.
        manager: Judges their hookimpls.
        versions: What was installed when a module was imported; kept up to date here.
        probe_seconds: Time for importing each module in a child process first; `None` for none.

    Raises:
        KeyboardInterrupt: Passed through; nothing was registered.
    """
    outcome = Outcome()
    for wait in (False, True):
        for record in plan.records:
            now = record.state == "planned" or record.identity in plan.demanded
            if now is wait:
                continue
            if now or (record.state == "deferred" and _is_imported(record.module)):
                _load(record, plan, book, manager, versions, probe_seconds, outcome)
            else:
                outcome.records.append(record)
    places = {record.identity: place for place, record in enumerate(plan.records)}
    outcome.records.sort(key=lambda record: places[record.identity])
    outcome.loaded.sort(key=lambda entry: places[entry.record.identity])
    return outcome


def _is_imported(module: str) -> bool:
    """Whether a module is imported to its end."""
    found = sys.modules.get(module)
    if found is None:
        return False
    try:
        return not getattr(getattr(found, "__spec__", None), "_initializing", False)
    except Exception:  # an object of a stranger's in place of a module
        return True


def _load(
    record: PluginRecord,
    plan: Plan,
    book: Book,
    manager: PluginManager,
    versions: Versions,
    probe_seconds: float | None,
    outcome: Outcome,
) -> None:
    present = record.module in sys.modules
    was_deferred = record.state == "deferred"
    before = observe()
    count = len(sys.modules)
    begin = perf_counter()
    try:
        if probe_seconds is not None and not present:
            from aimm_plugins._probe import probe

            probe(record.module, probe_seconds)
            begin = perf_counter()
        with importing(record.module):
            module = importlib.import_module(record.module)
        if not _is_imported(record.module):
            raise ImportError(
                f"{record.module} is still being imported: it is loaded by its own import",
                name=record.module,
            )
        record = _timed(record, present, begin, count)
        book.settle()
        manager.check(module)
        target = _target(module, record, book)
        file = getattr(module, "__file__", None)
    except KeyboardInterrupt:
        book.sweep()
        raise
    except BaseException as error:  # sys.exit(), CancelledError and the like end no host
        book.sweep()
        outcome.records.append(
            replace(
                record if record.import_seconds else _timed(record, present, begin, count),
                state="failed",
                provides=(),
                reason=None,
                error=as_member(error, record.provenance),
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
        return
    record = replace(
        record,
        state="planned",
        reason=None if was_deferred else record.reason,
        file=file if type(file) is str else record.file,
    )
    record = _running_version(record, present, versions)
    outcome.records.append(record)
    outcome.loaded.append(
        Loaded(record, target, plan.published.get(record.identity, ()), lazily=was_deferred)
    )


def _timed(record: PluginRecord, present: bool, begin: float, count: int) -> PluginRecord:
    """The record with the account of an import that has just ended."""
    if present:
        return record
    seconds = perf_counter() - begin
    imports: dict[str, int] = {}
    # `sys.modules` keeps the order of insertion, so the new ones stand at its end. Copied first:
    # another thread may be importing.
    new = max(len(sys.modules) - count, 0)
    for name in reversed(list(islice(reversed(sys.modules.copy()), new))):
        top = name.partition(".")[0]
        imports[top] = imports.get(top, 0) + 1
    return replace(record, import_seconds=seconds, imports=tuple(imports.items()))


def _running_version(record: PluginRecord, present: bool, versions: Versions) -> PluginRecord:
    """The record with the version that was installed when its module was imported."""
    now = (record.distribution, record.version)
    then = versions.get(record.module, now) if present else now
    if then[0] != now[0] or then[1] == now[1]:
        versions[record.module] = now
        return record
    return replace(
        record,
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


def as_member(error: BaseException, provenance: Provenance) -> Exception:
    """The exception itself, with a note that names the plugin; or a carrier of it.

    An exception group takes no `SystemExit`, and a group that cannot be pickled is lost on its way
    out of a worker.
    """
    text = f"while loading {provenance}"
    if isinstance(error, Exception) and _survives_pickling(error):
        try:
            if text not in getattr(error, "__notes__", ()):
                error.add_note(text)
        except KeyboardInterrupt:
            raise
        except BaseException:  # a stranger's exception may forbid it, in any way
            _LOG.debug("no note could be added to %s", type_name(error))
        return error
    carrier = PluginImportError(
        f"{provenance} failed at import: {described(error)}",
        name=provenance.module,
        path=provenance.file,
    )
    carrier.__cause__ = error
    carrier.add_note(text)
    return carrier


class _Pickler(pickle.Pickler):
    """Imports nothing: pickling a class of a module that failed would run that module again."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, type | FunctionType) and obj.__module__ not in sys.modules:
            raise pickle.PicklingError(f"{obj.__module__} is not imported")
        return NotImplemented


def _survives_pickling(error: Exception) -> bool:
    try:
        stream = io.BytesIO()
        _Pickler(stream).dump(error)
        again = pickle.loads(stream.getvalue())
        return type(again) is type(error) and str(again) == str(error)
    except KeyboardInterrupt:
        raise
    except BaseException:  # a stranger's __reduce__ and __str__ may raise anything
        return False
