"""Making a plugin's own exception a member of `PluginLoadError`, or carrying it there.

pickle is loaded when an exception needs a trial, since most starts need none. A plugin may have
broken imports for everybody by then, and this does without it.
"""

from __future__ import annotations

import sys
from types import FunctionType, NoneType
from typing import Any

from aimm_plugins._system.text import described
from aimm_plugins._values.provenance import Provenance
from aimm_plugins.errors import PluginImportError

_PLAIN = frozenset(
    {
        AssertionError,
        AttributeError,
        ImportError,
        KeyError,
        ModuleNotFoundError,
        NameError,
        NotImplementedError,
        OSError,
        FileNotFoundError,
        RuntimeError,
        TypeError,
        ValueError,
    }
)
"""Exceptions that most failures are. With contents of `_SIMPLE` they need no trial."""

_EXTRAS = ("name", "path", "filename", "filename2")
_SIMPLE = frozenset({str, int, float, bool, bytes, NoneType})


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
        except BaseException:  # a stranger's exception may forbid it, in any way; it counts without
            return error
        return error
    carrier = PluginImportError(
        f"{provenance} failed at import: {described(error)}",
        name=provenance.module,
        path=provenance.file,
    )
    carrier.__cause__ = error
    carrier.add_note(text)
    return carrier


def _survives_pickling(error: Exception) -> bool:
    if type(error) in _PLAIN and _is_plain(error):
        return True
    try:
        import io
        import pickle

        class Pickler(pickle.Pickler):
            """Imports nothing: a class of a module that failed would have that module run again."""

            def reducer_override(self, obj: Any) -> Any:
                if isinstance(obj, type | FunctionType) and obj.__module__ not in sys.modules:
                    raise pickle.PicklingError(f"{obj.__module__} is not imported")
                return NotImplemented

        stream = io.BytesIO()
        Pickler(stream).dump(error)
        again = pickle.loads(stream.getvalue())
        return type(again) is type(error) and str(again) == str(error)
    except KeyboardInterrupt:
        raise
    except BaseException:  # a stranger's __reduce__ and __str__ may raise anything
        return False


def _is_plain(error: Exception) -> bool:
    """Whether all that an exception of Python's own holds is text, numbers and nothing."""
    held = [*error.args, *(getattr(error, name, None) for name in _EXTRAS)]
    notes = error.__dict__.get("__notes__", ())
    if type(notes) not in (tuple, list) or len(error.__dict__) > ("__notes__" in error.__dict__):
        return False
    return all(type(each) in _SIMPLE for each in (*held, *notes))
