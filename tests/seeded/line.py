"""A line through points, fitted by stochastic gradient steps: a plugin that is in order."""

from __future__ import annotations

import json
import random

from aimm_plugins import (
    StateCallback,
    data_access,
    deserialize,
    fit,
    instantiate,
    predict,
    serialize,
)


class Line:
    """A slope and an offset; the slope is `None` before the fit."""

    def __init__(self, rate: float, seed: int, names: list[str]) -> None:
        self.rate = rate
        self.seed = seed
        self.names = list(names)
        self.slope: float | None = None
        self.offset = 0.0


@instantiate("line")
def make(rate: float = 0.05, seed: int = 0, names: list[str] | None = None) -> Line:
    """Make a line that is not fitted."""
    return Line(rate, seed, [] if names is None else names)


@fit(["line"], state_cb_arg_name="state_cb")
def learn(
    line: Line, x: list[float], y: list[float], epochs: int = 4, *, state_cb: StateCallback
) -> Line:
    """Fit from scratch; the line changes when the last epoch is done."""
    order = list(range(len(x)))
    generator = random.Random(line.seed)
    slope = offset = 0.0
    for epoch in range(1, epochs + 1):
        generator.shuffle(order)
        for place in order:
            error = slope * x[place] + offset - y[place]
            slope -= line.rate * error * x[place]
            offset -= line.rate * error
        state_cb({"phase": "fit", "step": epoch, "total": epochs, "unit": "epoch"})
    line.slope, line.offset = slope, offset
    return line


@predict(["line"], state_cb_arg_name="state_cb")
def guess(line: Line, x: list[float], *, state_cb: StateCallback) -> list[float]:
    """The line's values at `x`."""
    if line.slope is None:
        raise ValueError("this line is not fitted yet; fit it first")
    values = [line.slope * each + line.offset for each in x]
    state_cb({"phase": "predict", "step": len(x), "total": len(x)})
    return values


@serialize(["line"])
def save(line: Line) -> bytes:
    """The line as JSON."""
    return json.dumps(vars(line)).encode()


@deserialize(["line"])
def load(instance_bytes: bytes) -> Line:
    """The line that `save` made the bytes of."""
    try:
        state = json.loads(instance_bytes)
        line = Line(state["rate"], state["seed"], state["names"])
        line.slope, line.offset = state["slope"], state["offset"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"not a saved line: {error!r}") from error
    return line


@data_access("points", state_cb_arg_name="state_cb")
def points(columns: list[str], count: int, *, state_cb: StateCallback) -> dict[str, list[float]]:
    """As many points as asked for, by column."""
    state_cb({"phase": "read", "step": count, "total": count})
    return {name: [float(each) for each in range(count)] for name in columns}
