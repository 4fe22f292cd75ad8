"""Values as bytes and buffers, for an environment with other versions of everything.

Both sides have their own Python and their own libraries. Pickle protocol 5 is common to all of
them; what libraries pickle is not, so names that numpy has moved are translated. For tables see
`tables`.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from aimm_plugins._environments.tables import Reduce
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.text import described

Data = bytes | bytearray | memoryview

_REFERRED_FROM = 1 << 14
"""Bytes from which on a buffer is not copied into the pickle."""

_NO_REDUCERS: Mapping[type, Reduce] = {}


class Packed(NamedTuple):
    """A pickle, and the buffers that it refers to, not copied."""

    body: Data
    buffers: list[memoryview]


class UnreadableError(Exception):
    """What the other side has sent (`what`, an object of some class) cannot be made here."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(why)
        self.what = what


def pack(value: object, reducers: Mapping[type, Reduce] = _NO_REDUCERS) -> Packed:
    """Pickle a value, some classes by a reducer; raises whatever its classes do."""
    buffers: list[memoryview] = []

    def is_copied(buffer: pickle.PickleBuffer) -> bool:
        content = buffer.raw()
        if content.nbytes >= _REFERRED_FROM:
            buffers.append(content)
        return content.nbytes < _REFERRED_FROM

    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, 5, buffer_callback=is_copied)
    pickler.dispatch_table = {**copyreg.dispatch_table, **reducers}
    pickler.dump(value)
    return Packed(stream.getvalue(), buffers)


def unpack(body: Data, buffers: Sequence[Data], withheld: Collection[str] = ()) -> Any:
    """The value that was packed; arrays use the buffers without a copy.

    The top-level packages that are `withheld` are not imported here for it. An `UnreadableError`
    is about a class that is not to be had here, or cannot be made of what it was there.
    """
    unpickler = _Unpickler(io.BytesIO(body), buffers, withheld)
    with guarded() as attempt:
        return unpickler.load()
    error = attempt.error
    assert error is not None
    if isinstance(error, UnreadableError | MemoryError):
        raise error
    what = f"something with {unpickler.last} in it"
    raise UnreadableError(what, described(error)) from error


class _Unpickler(pickle.Unpickler):
    """Finds classes under the names that they have in this process."""

    def __init__(
        self, stream: io.BytesIO, buffers: Sequence[Data], withheld: Collection[str]
    ) -> None:
        super().__init__(stream, buffers=buffers)
        self._withheld = withheld
        self.last = "no class"
        """The last class or function that it has met."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        if module_name.startswith(("numpy.core.", "numpy._core.")):
            import numpy  # which has moved in version 2 what its pickles name

            is_old = numpy.__version__.startswith(("0.", "1."))
            core = "numpy.core" if is_old else "numpy._core"
            module_name = f"{core}.{module_name.partition('core.')[2]}"
        self.last = f"{module_name}.{global_name}"
        what = f"an object of {self.last}"
        if module_name.partition(".")[0] in self._withheld and module_name not in sys.modules:
            raise UnreadableError(what, f"{module_name} is not imported here")
        try:
            return super().find_class(module_name, global_name)
        except (ImportError, AttributeError) as error:
            raise UnreadableError(what, str(error)) from error


VERSION = sys.version.partition(" ")[0]
"""Of Python."""


def python_here() -> str:
    return f"Python {VERSION}"


def culprit(
    instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], reducers: Mapping[type, Reduce]
) -> str:
    """Which of the things to be sent cannot be, with its class."""
    named = [("the instance", instance)]
    named += [(f"argument {place}", value) for place, value in enumerate(args, start=1)]
    named += [(f"argument {name!r}", value) for name, value in kwargs.items()]
    for name, value in named:
        with guarded():
            pack(value, reducers)
            continue
        kind = type(value)
        return f"{name}, an object of {kind.__module__}.{kind.__qualname__},"
    return "an argument"
