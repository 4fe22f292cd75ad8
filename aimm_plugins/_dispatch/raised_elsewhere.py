"""Carry what a plugin raised out of another process, whatever the exception is."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from aimm_plugins._system.guard import guarded
from aimm_plugins._system.text import described, printable, safe_text
from aimm_plugins.errors import AimmPluginsError


def pickled_as_it_is(error: BaseException) -> bytes:
    """The exception pickled by its own class, whatever others have registered for exceptions."""
    import io

    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, protocol=5)
    pickler.dispatch_table = {}
    pickler.dump(error)
    return stream.getvalue()


class RaisedElsewhere(NamedTuple):
    """An exception on its way."""

    text: str  # its class and message
    pickled: bytes | None  # itself, if it can be pickled
    notes: tuple[str, ...]  # its notes, which pickling loses, and the traceback over there

    @classmethod
    def of(
        cls,
        error: BaseException,
        where: str,
        ways: Sequence[Callable[[BaseException], bytes]] = (pickled_as_it_is,),
    ) -> RaisedElsewhere:
        """Carry an exception that was raised in the process that `where` names.

        Of the ways to pickle it the first one counts that gives the same exception again.
        """
        trace = described(error)
        with guarded():
            import traceback  # where nothing is raised, a process does without

            trace = "".join(traceback.format_exception(error))
        notes = [note for note in getattr(error, "__notes__", ()) if isinstance(note, str)]
        data = next(filter(None, (_pickled(error, way) for way in ways)), None)
        return cls(printable(described(error)), data, (*notes, printable(f"{where}:\n{trace}")))

    def original(
        self,
        kind: type[BaseException] = BaseException,
        loads: Callable[[bytes], object] = pickle.loads,
    ) -> BaseException:
        """The exception; an `AimmPluginsError` with its text if it is none of `kind` here."""
        error: BaseException = AimmPluginsError(self.text)
        if self.pickled is not None:
            with guarded():
                loaded = loads(self.pickled)
                error = loaded if isinstance(loaded, kind) else error
        for note in self.notes:
            if note not in getattr(error, "__notes__", ()):
                with suppress(Exception):  # a plugin's exception may forbid it
                    error.add_note(note)
        return error


def _pickled(error: BaseException, way: Callable[[BaseException], bytes]) -> bytes | None:
    """The exception pickled in a way that gives the same one again; `None` where it does not."""
    with guarded():  # its `__reduce__` and `__str__` may raise anything
        data = way(error)
        copy = pickle.loads(data)
        if type(copy) is type(error) and safe_text(copy) == safe_text(error):
            return data
    return None
