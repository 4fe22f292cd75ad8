"""Data access: CSV in chunks, SQL, and a bundled data set."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import sqlalchemy

from aimm_plugins import data_access

StateCallback = Callable[[dict[str, Any]], None]
Data = pd.DataFrame | tuple[pd.DataFrame, pd.Series]


@data_access("csv", state_cb_arg_name="state_cb")
def read_csv(
    path: str | os.PathLike[str],
    *,
    target: str | None = None,
    columns: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    chunk_rows: int = 10_000,
    state_cb: StateCallback,
) -> Data:
    """Read a CSV file in chunks.

    Args:
        path: A UTF-8 file with a header line.
        target: Column to split off as labels.
        columns: Feature columns to keep, in this order; all by default.
        chunk_rows: Rows that are parsed at a time, at least 1.
        state_cb: Called after each chunk with the bytes that were read so far and in all.

    Returns:
        The frame, or `(features, labels)` with a `target`; shapes (n_rows, n_columns), (n_rows,).

    Raises:
        OSError: The file cannot be read.
        ValueError: A column is not there, or the file is no CSV.
    """
    if chunk_rows < 1:
        raise ValueError(f"chunk_rows is at least 1, not {chunk_rows}")
    total = Path(path).stat().st_size
    chunks = []
    with open(path, "rb") as stream, pd.read_csv(stream, chunksize=chunk_rows) as reader:
        for chunk in reader:
            chunks.append(chunk)
            state_cb({"phase": "read", "step": stream.tell(), "total": total, "unit": "byte"})
    return _split(pd.concat(chunks, ignore_index=True), target, columns, names)


@data_access("sql", state_cb_arg_name="state_cb")
def read_sql(
    query: str,
    *,
    url: str = "sqlite://",
    parameters: Mapping[str, Any] | None = None,
    target: str | None = None,
    columns: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    chunk_rows: int = 10_000,
    state_cb: StateCallback,
) -> Data:
    """Read the rows of a query.

    Args:
        query: SQL; values go into `:name` placeholders, never into the text.
        url: Any SQLAlchemy URL, such as `sqlite:///wines.db`; an empty SQLite database in memory
            by default.
        parameters: Values of the placeholders.
        target: Column to split off as labels.
        columns: Feature columns to keep, in this order; all by default.
        chunk_rows: Rows that are fetched at a time, at least 1.
        state_cb: Called after each chunk with the rows that were read so far.

    Returns:
        As `read_csv`.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The database refuses.
        ValueError: A column is not there.
    """
    if chunk_rows < 1:
        raise ValueError(f"chunk_rows is at least 1, not {chunk_rows}")
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect() as connection:
            result = connection.execution_options(yield_per=chunk_rows).execute(
                sqlalchemy.text(query), dict(parameters or {})
            )
            names = list(result.keys())
            rows: list[tuple[Any, ...]] = []
            for partition in result.partitions(chunk_rows):
                rows += [tuple(row) for row in partition]
                state_cb({"phase": "read", "step": len(rows), "unit": "row"})
    finally:
        engine.dispose()
    return _split(pd.DataFrame(rows, columns=keys), target, columns, names)


@data_access("wine")
def wine(*, split: Literal["all", "train", "test"] = "all", target: bool = True) -> Data:
    """The wine recognition data of UCI: 178 wines of three cultivars, 13 measurements each.

    Source: Aeberhard and Forina (1992), Wine, UCI Machine Learning Repository,
    https://doi.org/10.24432/C5PC7J, licensed CC BY 4.0.

    Args:
        split: Every fourth wine is in `test`, the others are in `train`: always the same ones.
        target: Whether to return the labels too.

    Returns:
        `(features, labels)`, or the features alone: float64 of shape (n, 13), int64 of shape (n,)
        with cultivars 0, 1 and 2.

    Raises:
        ValueError: There is no such split.
    """
    if split not in ("all", "train", "test"):
        raise ValueError(f"split is all, train or test, not {split!r}")
    with as_file(files(__name__) / "wine.csv") as path:
        frame = pd.read_csv(path)
    test = frame.index % 4 == 3
    if split != "all":
        frame = frame[test if split == "test" else ~test].reset_index(drop=True)
    features, labels = frame.drop(columns="cultivar"), frame["cultivar"]
    return (features, labels) if target else features


def _split(frame: pd.DataFrame, target: str | None, columns: Sequence[str] | None) -> Data:
    wanted = [*(columns or ()), *([target] if target is not None else ())]
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise ValueError(f"no column {', '.join(missing)}; there are {', '.join(frame.columns)}")
    labels = None if target is None else frame[target]
    if columns is not None:
        frame = frame[list(columns)]
    elif target is not None:
        frame = frame.drop(columns=target)
    return frame if labels is None else (frame, labels)
