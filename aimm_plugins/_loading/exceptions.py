"""Make a plugin's own exception a member of `PluginLoadError`, or carry it there."""

from __future__ import annotations

import importlib
import os
import sys
from types import FunctionType, TracebackType
from typing import Any

from aimm_plugins._declarations import ledger
from aimm_plugins._system import modules
from aimm_plugins._system.guard import chain, guarded
from aimm_plugins._system.masking import tells_a_secret
from aimm_plugins._system.text import described
from aimm_plugins._values.provenance import Provenance
from aimm_plugins.errors import PluginImportError

_FRAMES_OF_IMPORTS = (
    "<frozen importlib._bootstrap",
    importlib.__file__,
    ledger.__file__,
    modules.__file__,
    os.path.join(os.path.dirname(__file__), ""),
)


def shorten_traceback(error: BaseException) -> None:
    """Leave out how the import got to the plugin: frames of this package and of importlib.

    What was raised before code of the plugin ran, or after it, has no frame then.
    """
    with guarded():  # an exception class may override what is read and set here
        for link in chain(error):
            # From 3.12 on Python imports the module once more where it writes the traceback, to
            # tell what may have been meant.
            if getattr(link, "name_from", None) and getattr(link, "name", None) not in sys.modules:
                link.name_from = None  # type: ignore[attr-defined]  # of an ImportError
        frames = []
        traceback = error.__traceback__
        while traceback is not None:
            file = traceback.tb_frame.f_code.co_filename
            if not file.startswith(_FRAMES_OF_IMPORTS):
                frames.append(traceback)
            traceback = traceback.tb_next
        shortened: TracebackType | None = None
        for frame in reversed(frames):
            shortened = TracebackType(shortened, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
        error.__traceback__ = shortened


def to_group_member(error: BaseException, provenance: Provenance) -> Exception:
    """The exception itself, with a note that names the plugin; or a `PluginImportError` of it.

    An exception group takes no `SystemExit`, a group that cannot be pickled is lost on its way out
    of a worker, and no traceback may tell a secret.
    """
    text = f"while loading {provenance}"
    secret = tells_a_secret(error)
    if isinstance(error, Exception) and not secret and _survives_pickling(error):
        with guarded():  # an exception class may override `add_note`; it counts without one
            if text not in getattr(error, "__notes__", ()):
                error.add_note(text)
        return error
    carrier = PluginImportError(
        f"{provenance} failed at import: {described(error)}",
        name=provenance.module,
        path=provenance.file,
    )
    if secret:
        carrier.__traceback__ = error.__traceback__
    else:
        carrier.__cause__ = error
    carrier.add_note(text)
    return carrier


def _survives_pickling(error: Exception) -> bool:
    # Most starts have no failure. Nothing of ours is imported here: the plugin may have left a
    # finder that raises.
    import io
    import pickle

    class Pickler(pickle.Pickler):
        """Imports nothing: a class of a module that failed would have that module run again."""

        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, type | FunctionType) and obj.__module__ not in sys.modules:
                raise pickle.PicklingError(f"{obj.__module__} is not imported")
            return NotImplemented

    with guarded():  # the exception's __reduce__ and __str__ may raise anything
        stream = io.BytesIO()
        Pickler(stream).dump(error)
        again = pickle.loads(stream.getvalue())
        return type(again) is type(error) and str(again) == str(error)
    return False
