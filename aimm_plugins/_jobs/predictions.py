"""What becomes of predictions: a file of CSV or JSON lines, and an evaluation by what is true.

Data frames and arrays are recognized by their methods, so that neither pandas nor numpy is needed
here; nor is scikit-learn, whose metrics the figures are. Reading predictions may run plugin code:
they may be a generator.
"""

from __future__ import annotations

import csv
import io
import json
import math
import numbers
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from aimm_plugins._system.text import one_line

PLOT_ENDINGS = (".png", ".svg", ".pdf")
"""The formats of a plot, by the ending of its file."""

_MOST_LETTERED = 25
"""Classes beyond which the fields of a confusion matrix are too small for text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """How well one class was recognized; `taken_for` counts what else its rows were taken for."""

    label: str
    rows: int
    right: int
    precision: float
    recall: float
    f1: float
    taken_for: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a comparison of predictions with the truth came to."""

    kind: str  # `labels` or `numbers`
    rows: int
    # `right` and `accuracy` of labels; `rmse` and `mae`, in the unit of the numbers, and `r2` of
    # numbers, which is `None` for less than two rows.
    metrics: Mapping[str, float | None]
    classes: tuple[ClassScore, ...] = ()  # none for numbers
    truth: Sequence[Any] = field(repr=False)
    predicted: Sequence[Any] = field(repr=False)
    plot: str | None = None  # the file of the plot, if one was drawn

    def __str__(self) -> str:
        if self.kind == "labels":
            share = self.metrics["accuracy"]
            return f"{self.metrics['right']} of {self.rows} right (accuracy {share:.3f})"
        names = {"rmse": "RMSE", "mae": "MAE", "r2": "R2"}
        shown = [f"{names[name]} {x:.4g}" for name, x in self.metrics.items() if x is not None]
        return f"{', '.join(shown)}, of {self.rows} numbers"

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "rows": self.rows,
            "metrics": dict(self.metrics),
            "classes": [asdict(score) for score in self.classes],
            "plot": self.plot,
        }


def evaluate(truth: Any, prediction: Any, kind: str | None = None) -> Evaluation:
    """Compare predictions with what is true, or raise ValueError or TypeError."""
    true, predicted = _column(truth, "true value"), _column(prediction, "prediction")
    if len(true) != len(predicted):
        raise ValueError(f"there are {len(predicted)} predictions, and {len(true)} true values")
    if not true:
        raise ValueError("there are no predictions to evaluate")
    if kind is None:
        found = [value for value in (*true, *predicted) if isinstance(value, numbers.Number)]
        are_counts = all(isinstance(value, numbers.Integral) for value in found)
        kind = "labels" if are_counts else "numbers"
    return _of_labels(true, predicted) if kind == "labels" else _of_numbers(true, predicted)


def _column(values: Any, what: str) -> list[Any]:
    column: list[Any] = []
    for number, row in enumerate(as_table(values)[1], start=1):
        cells = list(row.values()) if isinstance(row, Mapping) else row
        cells = cells if isinstance(cells, list) else [cells]
        if len(cells) != 1:
            raise ValueError(
                f"{what} {number} has {len(cells)} values, and an evaluation needs one a row"
            )
        column += cells
    return column


def _of_labels(true: list[Any], predicted: list[Any]) -> Evaluation:
    # As text: what was read from a file and what was predicted often differ in type alone.
    are_numbers = any(type(value) in (int, float) for value in (*true, *predicted))
    true, predicted = (
        [_label(int(v) if are_numbers and isinstance(v, bool) else v) for v in values]
        for values in (true, predicted)
    )
    labels = _in_order({*true, *predicted})
    pairs = Counter(zip(true, predicted, strict=True))
    rows, guesses = Counter(true), Counter(predicted)
    taken_for: dict[str, dict[str, int]] = {label: {} for label in labels}
    for (label, guess), count in pairs.most_common():
        if label != guess:
            taken_for[label][guess] = count
    right = {label: pairs[label, label] for label in labels}
    right_rows = sum(right.values())
    return Evaluation(
        kind="labels",
        rows=len(true),
        metrics={"right": right_rows, "accuracy": right_rows / len(true)},
        classes=tuple(
            ClassScore(
                label=label,
                rows=rows[label],
                right=right[label],
                precision=right[label] / guesses[label] if guesses[label] else 0.0,
                recall=right[label] / rows[label] if rows[label] else 0.0,
                f1=2 * right[label] / (rows[label] + guesses[label]),
                taken_for=taken_for[label],
            )
            for label in labels
        ),
        truth=true,
        predicted=predicted,
    )


def _label(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    return one_line(str(value))


def _in_order(labels: set[str]) -> list[str]:
    try:
        return sorted(labels, key=lambda label: (float(label), label))
    except ValueError:
        return sorted(labels)


def _of_numbers(true: list[Any], predicted: list[Any]) -> Evaluation:
    true, predicted = _numbers(true, "true value"), _numbers(predicted, "prediction")
    count, mean = len(true), math.fsum(true) / len(true)
    off = [a - b for a, b in zip(true, predicted, strict=True)]
    squares = math.fsum(x * x for x in off)
    spread = math.fsum((a - mean) ** 2 for a in true)
    r2 = 1 - squares / spread if spread else float(squares == 0)
    metrics = {
        "rmse": math.sqrt(squares / count),
        "mae": math.fsum(map(abs, off)) / count,
        "r2": r2 if count > 1 else None,
    }
    return Evaluation(
        kind="numbers", rows=len(true), metrics=metrics, truth=true, predicted=predicted
    )


def _numbers(values: list[Any], what: str) -> list[float]:
    found = []
    for number, value in enumerate(values, start=1):
        if isinstance(value, str) or not hasattr(value, "__float__"):
            raise TypeError(f"{what} {number} is no number: {value!r}")
        found.append(float(value))
        if not math.isfinite(found[-1]):
            raise ValueError(f"{what} {number} is {found[-1]}, which cannot be compared")
    return found


def draw(evaluation: Evaluation, ending: str) -> bytes:
    """A picture of an evaluation: a confusion matrix, or predicted against true numbers."""
    # Not by pyplot, which would look for a display and keep the figure.
    from matplotlib.figure import Figure  # pyright: ignore[reportMissingImports]

    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.set_title(str(evaluation), fontsize="medium", parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if evaluation.kind == "labels":
        labels = [score.label for score in evaluation.classes]
        counts = [{**score.taken_for, score.label: score.right} for score in evaluation.classes]
        matrix = [[row.get(label, 0) for label in labels] for row in counts]
        axes.imshow(matrix, cmap="Blues")
        if len(labels) <= _MOST_LETTERED:
            most = max(map(max, matrix))
            for y, row in enumerate(matrix):
                for x, count in enumerate(row):
                    colour = "white" if count > most / 2 else "black"
                    axes.text(x, y, str(count), ha="center", va="center", color=colour)
            axes.set_xticks(range(len(labels)), labels, parse_math=False)
            axes.set_yticks(range(len(labels)), labels, parse_math=False)
    else:
        axes.scatter(evaluation.predicted, evaluation.truth, s=12, alpha=0.6)
        both = [*evaluation.truth, *evaluation.predicted]
        ends = [min(both), max(both)]
        axes.plot(ends, ends, color="grey", linewidth=1)
    stream = io.BytesIO()
    figure.savefig(stream, format=ending.removeprefix("."), dpi=120)
    return stream.getvalue()


# Files


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
