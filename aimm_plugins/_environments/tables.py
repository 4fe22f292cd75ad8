"""Tables of pandas between two versions of pandas, as Arrow.

Within one version pandas pickles its tables exactly and without a copy, and so they travel. Another
version may not read these pickles.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

Reduce = Callable[[Any], tuple[Any, ...] | str]
"""How an object is pickled; see `object.__reduce__`."""


def as_arrow() -> Mapping[type, Reduce]:
    """How tables are pickled as Arrow; nothing where this process has not imported pandas."""
    pandas: Any = sys.modules.get("pandas")
    if not (hasattr(pandas, "DataFrame") and hasattr(pandas, "Series")):
        return {}
    return {pandas.DataFrame: _reduce, pandas.Series: _reduce}


def _reduce(table: Any) -> tuple[Any, ...] | str:
    is_series = table.ndim == 1
    content = _arrow(table.to_frame("values") if is_series else table)
    if content is not None:
        return (_series_of, (table.name, *content)) if is_series else (_frame_of, content)
    reduced: tuple[Any, ...] | str = table.__reduce_ex__(5)
    return reduced


def _arrow(frame: Any) -> tuple[Any, ...] | None:
    """A data frame as Arrow, with what Arrow does not hold; `None` if it would become another."""
    import pyarrow  # pyright: ignore[reportMissingImports]  # plugins may have it

    objects = {}
    plain = frame.copy(deep=False)
    for place, dtype in enumerate(frame.dtypes):
        column = frame.iloc[:, place]
        if not _is_plain(column):
            if str(dtype) != "object":
                return None
            objects[place] = column.to_numpy()  # lists, dicts, and whatever else
            plain.isetitem(place, None)
    if not (_is_plain(frame.columns, "iu") and _is_plain(frame.index)):
        return None
    try:
        none = pyarrow.Table.from_pandas(plain.iloc[:0]).to_pandas()
        if list(none.dtypes) != list(plain.dtypes):
            return None
        table = pyarrow.Table.from_pandas(plain)
    except (pyarrow.ArrowException, ValueError, TypeError):
        return None  # columns of one name, and the like
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    freq = getattr(frame.index, "freqstr", None)
    content = pickle.PickleBuffer(sink.getvalue())
    return content, objects, frame.attrs, frame.flags.allows_duplicate_labels, freq


def _is_plain(values: Any, kinds: str = "biufMm") -> bool:
    """Whether a column or an index holds strings, or is of a kind that Arrow has too."""
    import pandas  # pyright: ignore[reportMissingImports]

    if isinstance(values, pandas.MultiIndex):
        return all(_is_plain(level, kinds) for level in values.levels)
    if isinstance(values.dtype, pandas.CategoricalDtype):
        return _is_plain(values.dtype.categories)
    if values.dtype.kind in kinds:
        return True
    return pandas.api.types.infer_dtype(values, skipna=True) in ("string", "empty")


def _frame_of(
    content: Any, objects: Any, attrs: Any, allows_duplicate_labels: bool, freq: str | None
) -> Any:
    import pyarrow  # pyright: ignore[reportMissingImports]

    with pyarrow.ipc.open_stream(pyarrow.py_buffer(content)) as reader:
        frame = reader.read_pandas()
    for place, values in objects.items():
        frame.isetitem(place, values)
    frame.attrs = attrs
    if freq is not None:
        with suppress(ValueError):  # versions of pandas have other names for frequencies
            frame.index.freq = freq
    return frame.set_flags(allows_duplicate_labels=allows_duplicate_labels)


def _series_of(name: Any, *content: Any) -> Any:
    return _frame_of(*content).iloc[:, 0].rename(name)
