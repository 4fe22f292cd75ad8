"""Write predictions as CSV or JSON lines, whatever kind of table, array or iterable they are.

Data frames and arrays are recognized by their methods, so that neither pandas nor numpy is needed
here. Reading predictions may run plugin code: they may be a generator.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any


def encode(prediction: Any, path: str) -> bytes:
    """Predictions as CSV, or as JSON lines for a path that ends with `.jsonl`."""
    columns, rows = as_table(prediction)
    return _json_lines(columns, rows) if path.endswith(".jsonl") else _csv(columns, rows)


def as_table(prediction: Any) -> tuple[list[str] | None, list[Any]]:
    """Names of columns, where the predictions have some, and the rows.

    Each row is a list, a dict that names its own columns, or a scalar.
    """
    if hasattr(prediction, "itertuples") and hasattr(prediction, "columns"):  # as pandas has them
        rows = prediction.itertuples(index=False, name=None)
        return [str(column) for column in prediction.columns], [list(row) for row in rows]
    for name in ("to_dicts", "to_pylist"):  # polars, arrow
        if callable(getattr(prediction, name, None)):
            return None, [_row(row) for row in getattr(prediction, name)()]
    names = getattr(getattr(prediction, "dtype", None), "names", None)
    prediction = _builtin(prediction)
    if names:  # an array of records
        return list(names), [list(row) for row in prediction]
    if isinstance(prediction, Mapping):
        columns = [str(key) for key in prediction]
        values = [_builtin(value) for value in prediction.values()]
        if not values or not all(isinstance(value, list | tuple) for value in values):
            return columns, [list(prediction.values())]
        return columns, [list(row) for row in zip(*values, strict=True)]
    if isinstance(prediction, Iterable) and not isinstance(prediction, str | bytes | bytearray):
        return None, [_row(row) for row in prediction]
    return None, [prediction]


def _row(row: Any) -> Any:
    row = _builtin(row)
    if isinstance(row, Mapping):
        return {str(_builtin(key)): value for key, value in row.items()}
    return list(row) if isinstance(row, tuple) else row


def _builtin(value: Any) -> Any:
    """Arrays, series and their scalars as lists and numbers of Python; other values as they are."""
    dtype = getattr(value, "dtype", None)
    if getattr(dtype, "kind", "") in "mM" and str(dtype).endswith("[ns]"):
        value = value.astype(str(dtype).replace("[ns]", "[us]"))  # `tolist` makes numbers of `ns`
    convert = getattr(value, "tolist", None)
    return convert() if callable(convert) else value


def _csv(columns: list[str] | None, rows: list[Any]) -> bytes:
    if columns is None:
        columns = _columns(rows[0] if rows else None)
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for number, row in enumerate(rows, start=1):
        writer.writerow([_cell(value) for value in _in_columns(row, columns, number)])
    return stream.getvalue().encode()


def _columns(first: Any) -> list[str]:
    """The columns of rows whose predictions name none, by the first row."""
    if isinstance(first, dict):
        return list(first)
    if isinstance(first, list):
        return [f"prediction_{index}" for index in range(len(first))]
    return ["prediction"]


def _in_columns(row: Any, columns: list[str], number: int) -> list[Any]:
    """The values of a row in the order of the columns."""
    if isinstance(row, dict):
        unknown = [key for key in row if key not in columns]
        if unknown:
            raise ValueError(f"prediction {number} has columns the first has not: {unknown}")
        return [row.get(column) for column in columns]
    values: list[Any] = row if isinstance(row, list) else [row]
    if len(values) != len(columns):
        raise ValueError(
            f"prediction {number} is of another width than the first: {len(values)} values, and "
            f"{len(columns)} columns"
        )
    return values


def _cell(value: Any) -> Any:
    value = _builtin(value)
    if isinstance(value, list | tuple | Mapping):
        return json.dumps(_json_value(value), ensure_ascii=False)
    if isinstance(value, bytes | bytearray):
        raise TypeError("bytes cannot be written as CSV; predict text or numbers")
    return None if not isinstance(value, float) and _is_missing(value) else value


def _json_lines(columns: list[str] | None, rows: list[Any]) -> bytes:
    if columns is not None:
        if len(set(columns)) < len(columns):
            raise ValueError(f"columns of the same name cannot be written as JSON: {columns}")
        rows = [dict(zip(columns, row, strict=True)) for row in rows]
    return "".join(
        json.dumps(_json_value(row), ensure_ascii=False, allow_nan=False) + "\n" for row in rows
    ).encode()


def _json_value(value: Any) -> Any:
    """A value as JSON has it; missing values, as numpy and pandas know them, become null."""
    value = _builtin(value)
    if _is_missing(value):
        return None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isinf(value):
            raise ValueError(f"JSON has no number for {value}; CSV can hold it")
        return value
    if isinstance(value, Mapping):
        return {str(_builtin(key)): _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if callable(getattr(value, "isoformat", None)):
        return value.isoformat()
    raise TypeError(f"a prediction of type {type(value).__name__} cannot be written as JSON")


def _is_missing(value: Any) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    return type(value).__name__ in ("NAType", "NaTType")
