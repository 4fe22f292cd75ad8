"""What host and workers send to each other.

Instances of these classes are unpickled by the scheduler too, which therefore needs this package.
"""

from __future__ import annotations

import io
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pickle import Pickler
from typing import Any

from distributed import Future
from distributed.protocol import pickle

from aimm_plugins._system.text import described, printable, safe_text
from aimm_plugins._values.actions import Action
from aimm_plugins.errors import AimmPluginsError

PREFIX = "aimm_plugins.dask-"
"""Names of executors begin with it; those of one client go on with its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to call.

    Attributes:
        executor: Name of the executor that sends it.
        topic: Where its events go; `None` if the caller gave no callback.
        call: Which call of the executor this is.
        action: The action.
        key: The data access name or model type.
        keeps_result: Whether what is returned stays on the cluster.
        names: Names of the keyword arguments, whose values come last.
    """

    executor: str
    topic: str | None
    call: str
    action: Action
    key: str
    keeps_result: bool
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Value:
    """Keeps an argument from Dask, which would look for tasks and futures in it."""

    content: Any


def wrapped(argument: Any) -> Any:
    """An argument as it is sent: a future for Dask to resolve, anything else in an envelope."""
    return argument if isinstance(argument, Future) else Value(argument)


def unwrapped(argument: Any) -> Any:
    """An argument as it arrives: out of its envelope, or the result of a future."""
    return argument.content if type(argument) is Value else argument


class RaisedOnWorker(Exception):  # noqa: N818  # it carries an error
    """Carries what a plugin raised: Dask shortens long messages, and ends workers by SystemExit.

    Args:
        text: The exception, as text.
        pickled: The exception itself, if it can be pickled.
        notes: Its notes, which pickling loses, and the traceback on the worker.
    """

    def __init__(self, text: str, pickled: bytes | None, notes: tuple[str, ...]) -> None:
        super().__init__(text, pickled, notes)

    def __str__(self) -> str:
        return str(self.args[0])[:1000]  # Dask would put its own exception in place of a long one

    def __repr__(self) -> str:
        return str(self)  # workers log it

    @classmethod
    def of(cls, error: BaseException, worker: str) -> RaisedOnWorker:
        """Carry an exception that was raised on the worker with that address."""
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        notes = (
            *(note for note in getattr(error, "__notes__", ()) if isinstance(note, str)),
            printable(f"on worker {worker}:\n{text}"),
        )
        return cls(printable(described(error)), _pickled(error), notes)

    def original(self) -> BaseException:
        """The plugin's exception, or an `AimmPluginsError` with its text if it cannot travel."""
        text, pickled, notes = self.args
        error: BaseException = AimmPluginsError(text)
        if pickled is not None:
            with suppress(Exception):
                error = pickle.loads(pickled)
        for note in notes:
            if note not in getattr(error, "__notes__", ()):
                with suppress(Exception):  # a plugin's exception may forbid it
                    error.add_note(note)
        return error


def _pickled(error: BaseException) -> bytes | None:
    """The exception as bytes that give the same one again; `None` if there are none."""
    for dumps in (_pickled_as_it_is, pickle.dumps):
        with suppress(Exception):
            data: bytes = dumps(error)
            copy = pickle.loads(data)
            if type(copy) is type(error) and safe_text(copy) == safe_text(error):
                return data
    return None


def _pickled_as_it_is(error: BaseException) -> bytes:
    # Dask has exceptions pickled by tblib, which forgets the code of a SystemExit and the like.
    stream = io.BytesIO()
    pickler = Pickler(stream, protocol=5)
    pickler.dispatch_table = {}
    pickler.dump(error)
    return stream.getvalue()
