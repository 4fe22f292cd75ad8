"""Values as bytes and buffers, for an environment with other versions of everything.

Both sides have their own Python and their own libraries. Pickle protocol 5 is common to all of
them; what libraries pickle is not, so names that numpy has moved are translated, and tables of
pandas travel as Arrow where both sides have pyarrow.
"""

from __future__ import annotations

import copyreg
import importlib.util
import io
import pickle
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

Data = bytes | bytearray | memoryview
Reduce = Callable[[Any], tuple[Any, ...] | str]

_REFERRED_FROM = 1 << 14
"""Bytes from which on a buffer is not copied into the pickle."""

_NO_REDUCERS: Mapping[type, Reduce] = {}


class Packed(NamedTuple):
    """A pickle, and the buffers that it refers to, not copied."""

    body: Data
    buffers: list[memoryview]


class MissingClassError(Exception):
    """A class of the other side is not to be had here; `name` is that of the class."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name} {why}")
        self.name = name


def pack(
    value: object, *, as_arrow: bool = False, reducers: Mapping[type, Reduce] = _NO_REDUCERS
) -> Packed:
    """Pickle a value; raises whatever its classes do.

    Args:
        value: The value.
        as_arrow: Whether tables travel as Arrow.
        reducers: How instances of classes are pickled, beyond what they say themselves.
    """
    buffers: list[memoryview] = []

    def is_copied(buffer: pickle.PickleBuffer) -> bool:
        content = buffer.raw()
        if content.nbytes >= _REFERRED_FROM:
            buffers.append(content)
        return content.nbytes < _REFERRED_FROM

    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, 5, buffer_callback=is_copied)
    table: dict[type, Reduce] = {**copyreg.dispatch_table, **reducers}
    pandas = sys.modules.get("pandas")
    if as_arrow and pandas is not None:
        table[pandas.DataFrame] = _reduce_frame
    pickler.dispatch_table = table
    pickler.dump(value)
    return Packed(stream.getvalue(), buffers)


def unpack(body: Data, buffers: Sequence[Data], withheld: Collection[str] = ()) -> Any:
    """The value that was packed; arrays use the buffers without a copy.

    Args:
        body: As received.
        buffers: As received.
        withheld: Top-level packages that must not be imported here for it.

    Raises:
        MissingClassError: It holds an instance of a class that is not to be had here.
    """
    return _Unpickler(io.BytesIO(body), buffers, withheld).load()


class _Unpickler(pickle.Unpickler):
    """Finds classes under the names that they have in this process."""

    def __init__(
        self, stream: io.BytesIO, buffers: Sequence[Data], withheld: Collection[str]
    ) -> None:
        super().__init__(stream, buffers=buffers)
        self._withheld = withheld

    def find_class(self, module_name: str, global_name: str) -> Any:
        if module_name.startswith(("numpy.core.", "numpy._core.")):
            module_name = f"{_numpy_core()}.{module_name.partition('core.')[2]}"
        if module_name.partition(".")[0] in self._withheld and module_name not in sys.modules:
            name = f"{module_name}.{global_name}"
            raise MissingClassError(name, f"needs {module_name}, which is not imported here")
        try:
            return super().find_class(module_name, global_name)
        except (ImportError, AttributeError) as error:
            raise MissingClassError(f"{module_name}.{global_name}", f"({error})") from error


def _numpy_core() -> str:
    """Where this process's numpy has what its pickles name: it has moved in version 2."""
    import numpy

    return "numpy.core" if numpy.__version__.startswith(("0.", "1.")) else "numpy._core"


def _reduce_frame(frame: Any) -> tuple[Any, ...] | str:
    """A data frame as Arrow, unless it would come back as something else."""
    import pandas  # pyright: ignore[reportMissingImports]  # plugins may have it
    import pyarrow  # pyright: ignore[reportMissingImports]

    plain = all(
        dtype.kind in "biufMm"
        or isinstance(dtype, pandas.CategoricalDtype)
        or pandas.api.types.infer_dtype(frame.iloc[:, place], skipna=False) == "string"
        for place, dtype in enumerate(frame.dtypes)
    )
    if plain:
        try:
            table = pyarrow.Table.from_pandas(frame)
        except (pyarrow.ArrowException, ValueError, TypeError):
            pass  # columns of one name, and the like
        else:
            sink = pyarrow.BufferOutputStream()
            with pyarrow.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)
            return _frame_of, (pickle.PickleBuffer(sink.getvalue()),)
    reduced: tuple[Any, ...] | str = frame.__reduce_ex__(5)
    return reduced


def _frame_of(content: Data) -> Any:
    import pyarrow  # pyright: ignore[reportMissingImports]

    with pyarrow.ipc.open_stream(pyarrow.py_buffer(content)) as reader:
        return reader.read_pandas()


# What this side is, for messages and for the other side

VERSION = sys.version.partition(" ")[0]
"""Of Python."""


@cache
def has_arrow() -> bool:
    """Whether tables can travel as Arrow."""
    return importlib.util.find_spec("pyarrow") is not None


def python_here() -> str:
    """The Python of this process, for messages."""
    return f"Python {VERSION}"


def culprit(
    instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], reducers: Mapping[type, Reduce]
) -> str:
    """Which of the things to be sent cannot be, with its class."""
    named = [("the instance", instance)]
    named += [(f"argument {place}", value) for place, value in enumerate(args, start=1)]
    named += [(f"argument {name!r}", value) for name, value in kwargs.items()]
    for name, value in named:
        try:
            pack(value, reducers=reducers)
        except Exception:
            kind = type(value)
            return f"{name}, an object of {kind.__module__}.{kind.__qualname__},"
    return "an argument"
