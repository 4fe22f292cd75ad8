"""Data access: CSV in chunks, SQL, and a bundled data set.

Each access returns a frame of features or, with a target, `(features, labels)`: a caller that hands
the result to a fit passes a tuple on as positional arguments. With `names` it is a dict instead,
which is passed on as keyword arguments, so that a model whose arguments have other names can be
given the same data.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import sqlalchemy

from aimm_plugins import StateCallback, data_access

Series = pd.Series  # pandas' own class takes no type argument at run time
Data = pd.DataFrame | tuple[pd.DataFrame, Series] | dict[str, pd.DataFrame | Series]


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
        path: A UTF-8 file with a header line; not compressed.
        target: Column to split off as labels.
        columns: Feature columns to keep, in this order; all but the target by default.
        names: Names for the features and, with a target, the labels in a dict.
        chunk_rows: Rows that are parsed at a time, at least 1.
        state_cb: Called after each chunk; step and total are bytes of the file. What it raises
            ends the reading, and the file is closed.

    Returns:
        The features, shape (n_rows, n_columns); with a `target`, `(features, labels)`, the labels
        of shape (n_rows,); with `names`, a dict of these. dtypes are those that pandas finds; a
        column whose chunks differ gets one that holds both.

    Raises:
        OSError: The file cannot be read.
        ValueError: A column is not there, the file is no CSV, `chunk_rows` is less than 1, or
            `names` are not as many as there are results.
    """
    if chunk_rows < 1:
        raise ValueError(f"chunk_rows is at least 1, not {chunk_rows}")
    total = Path(path).stat().st_size
    chunks = []
    rows = 0
    with open(path, "rb") as stream, pd.read_csv(stream, chunksize=chunk_rows) as reader:
        for chunk in reader:
            chunks.append(chunk)
            rows += len(chunk)
            state_cb(
                {
                    "phase": "read",
                    "step": stream.tell(),
                    "total": total,
                    "unit": "byte",
                    "message": f"{rows} rows",
                    "metrics": {},
                }
            )
    return _split(pd.concat(chunks, ignore_index=True), target, columns, names)


@data_access("sql", state_cb_arg_name="state_cb")
def read_sql(
    query: str,
    *,
    url: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    target: str | None = None,
    columns: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    chunk_rows: int = 10_000,
    state_cb: StateCallback,
) -> Data:
    """Read the rows of a query; nothing is committed.

    Args:
        query: SQL; values go into `:name` placeholders, never into the text.
        url: Any SQLAlchemy URL, such as `sqlite:///wines.db`; its driver has to be installed. By
            default an SQLite database in memory whose one table, `wine`, is the bundled data.
        parameters: Values of the placeholders.
        target: Column to split off as labels.
        columns: Feature columns to keep, in this order; all but the target by default.
        names: As for `read_csv`.
        chunk_rows: Rows that are fetched at a time, at least 1.
        state_cb: Called after each chunk; step is rows, and total `None`, since a database does
            not tell how many there will be. What it raises ends the reading, and the connection
            is closed.

    Returns:
        As `read_csv`.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The URL is wrong or the database refuses.
        ValueError: The query returns no rows at all (not even none, as an update), a column is not
            there, `chunk_rows` is less than 1, or `names` are not as many as there are results.
    """
    if chunk_rows < 1:
        raise ValueError(f"chunk_rows is at least 1, not {chunk_rows}")
    engine = sqlalchemy.create_engine("sqlite://" if url is None else url)
    try:
        if url is None:
            _bundled().to_sql("wine", engine, index=False)
        with engine.connect() as connection:
            result = connection.execution_options(yield_per=chunk_rows).execute(
                sqlalchemy.text(query), dict(parameters or {})
            )
            if not result.returns_rows:
                raise ValueError("the query returns no rows: write a SELECT")
            keys = list(result.keys())
            rows: list[tuple[Any, ...]] = []
            for partition in result.partitions(chunk_rows):
                rows += [tuple(row) for row in partition]
                state_cb(
                    {
                        "phase": "read",
                        "step": len(rows),
                        "total": None,
                        "unit": "row",
                        "message": f"{len(rows)} rows",
                        "metrics": {},
                    }
                )
    finally:
        engine.dispose()
    return _split(pd.DataFrame(rows, columns=keys), target, columns, names)


@data_access("wine")
def wine(
    *,
    split: Literal["all", "train", "test"] = "all",
    target: bool = True,
    shuffle: int | None = None,
    names: Sequence[str] | None = None,
) -> Data:
    """The wine recognition data of UCI: 178 wines of three cultivars, 13 measurements each.

    The measurements and their ranges: `alcohol_percent` 11.0 to 14.8 (% by volume), `malic_acid`
    0.74 to 5.80, `ash` 1.36 to 3.23, `alcalinity_of_ash` 10.6 to 30.0, `magnesium` 70 to 162,
    `total_phenols` 0.98 to 3.88, `flavanoids` 0.34 to 5.08, `nonflavanoid_phenols` 0.13 to 0.66,
    `proanthocyanins` 0.41 to 3.58, `color_intensity` 1.3 to 13.0, `hue` 0.48 to 1.71,
    `od280_od315_of_diluted_wines` 1.27 to 4.00, `proline` 278 to 1680. The source states no units.
    Usual in such analyses, and in keeping with the ranges, are g/L for acid, ash and phenols, meq/L
    for the alcalinity and mg/L for magnesium and proline; colour intensity, hue and OD280/OD315
    are absorbances and their ratios, without unit.

    Source: Aeberhard and Forina (1992), Wine, UCI Machine Learning Repository,
    https://doi.org/10.24432/C5PC7J, licensed CC BY 4.0.

    Args:
        split: Every fourth wine is in `test` (44), the others are in `train` (134): always the
            same ones. The file is sorted by cultivar, so both hold each in the same share.
        target: Whether to return the labels too.
        shuffle: Seed of the order, 0 or more; by default the order of the file. What learns row
            by row wants it, or it sees one cultivar after the other.
        names: As for `read_csv`.

    Returns:
        `(features, labels)`, or the features alone, or with `names` a dict of these. Features are
        float64 of shape (n, 13) without missing values; labels int64 of shape (n,), cultivars 0, 1
        and 2.

    Raises:
        ValueError: There is no such split, or `names` are not as many as there are results.
    """
    if split not in ("all", "train", "test"):
        raise ValueError(f"split is all, train or test, not {split!r}")
    frame = _bundled()
    test = frame.index % 4 == 3
    if split != "all":
        frame = frame[test if split == "test" else ~test]
    if shuffle is not None:
        frame = frame.sample(frac=1, random_state=shuffle)
    frame = frame.reset_index(drop=True)
    features, labels = frame.drop(columns="cultivar"), frame["cultivar"]
    return _named(features, labels if target else None, names)


def _bundled() -> pd.DataFrame:
    with as_file(files(__name__) / "wine.csv") as path:
        frame = pd.read_csv(path)
    return frame.astype({name: "float64" for name in frame.columns if name != "cultivar"})


def _split(
    frame: pd.DataFrame,
    target: str | None,
    columns: Sequence[str] | None,
    names: Sequence[str] | None,
) -> Data:
    wanted = [*(columns or ()), *([target] if target is not None else ())]
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        there = ", ".join(map(str, frame.columns))
        raise ValueError(f"no column {', '.join(missing)}; there are {there}")
    labels = None if target is None else frame[target]
    if columns is not None:
        frame = frame[list(columns)]
    elif target is not None:
        frame = frame.drop(columns=target)
    return _named(frame, labels, names)


def _named(features: pd.DataFrame, labels: Series | None, names: Sequence[str] | None) -> Data:
    results = (features,) if labels is None else (features, labels)
    if names is None:
        return results[0] if len(results) == 1 else (features, results[1])
    if isinstance(names, str) or len(names) != len(results):
        raise ValueError(f"names is a list of {len(results)}, one a result, and not {names!r}")
    return dict(zip(names, results, strict=True))
