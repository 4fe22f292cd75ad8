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
import time
from collections.abc import Iterable
from dataclasses import replace
from types import FunctionType
from typing import Any

from aimm_plugins._declarations import Book, importing
from aimm_plugins._hooks import PluginManager
from aimm_plugins._provenance import Provenance
from aimm_plugins._registry import Loaded
from aimm_plugins._report import PluginRecord, safe_text
from aimm_plugins.errors import DeclarationError, PluginImportError

_LOG = logging.getLogger("aimm_plugins")


def load(
    records: Iterable[PluginRecord], book: Book, manager: PluginManager
) -> tuple[list[PluginRecord], list[Loaded]]:
    """Import what is planned; every plugin is tried, whatever the others do.

    Args:
        records: The plan, in order.
        book: Where the modules declare.
        manager: Judges their hookimpls.

    Returns:
        The records, `failed` where the import or the object was no good, and what was loaded.

    Raises:
        KeyboardInterrupt: Passed through; nothing was registered.
    """
    accounts: list[PluginRecord] = []
    loaded: list[Loaded] = []
    for record in records:
        if record.state != "planned":
            accounts.append(record)
            continue
        present = record.module in sys.modules
        begin = time.perf_counter()
        try:
            with importing(record.module):
                module = importlib.import_module(record.module)
            seconds = None if present else time.perf_counter() - begin
            manager.check(module)
            target = _target(module, record, book)
        except KeyboardInterrupt:
            book.sweep()
            raise
        except BaseException as error:  # sys.exit(), CancelledError and the like end no host
            book.sweep()
            seconds = None if present else time.perf_counter() - begin
            failed = replace(
                record,
                state="failed",
                error=as_member(error, record.provenance),
                import_seconds=seconds,
            )
            accounts.append(failed)
            continue
        file = getattr(module, "__file__", None)
        record = replace(
            record,
            import_seconds=seconds,
            file=file if isinstance(file, str) else record.file,
        )
        accounts.append(record)
        loaded.append(Loaded(record, target))
    return accounts, loaded


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
        except Exception:  # a stranger's exception may forbid it
            _LOG.debug("no note could be added to %s", type(error).__name__)
        return error
    carrier = PluginImportError(
        f"{provenance} failed at import: {type(error).__name__}: {safe_text(error)}",
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
