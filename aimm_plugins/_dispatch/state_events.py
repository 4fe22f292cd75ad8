"""State events: how a plugin reports its progress to its caller.

A callback takes any JSON-serializable dict. Authors who use the keys of `StateEvent` are understood
by progress bars; `progress` sends such events for a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from math import inf, isfinite
from typing import Any, TypedDict, TypeVar

from aimm_plugins._system.text import shown
from aimm_plugins._values.actions import StateCallback, ignore_state

T = TypeVar("T")


class StateEvent(TypedDict, total=False):
    """The keys of a state event that callers understand; all optional, others may stand beside.

    A plain dict when it is sent. The schema is `schemas/state-event.yaml`.

    Attributes:
        phase: What is being done, in a word or two, such as `fit`.
        step: How many of `total` are done, from 0.
        total: How many there will be; `None` where nobody knows.
        unit: What is counted, in the singular, such as `epoch`.
        message: A line for people.
        metrics: Names to numbers, texts, booleans or `None`.
        warning: What is wrong, in a word; `reporting` sends `stalled`.
    """

    phase: str
    step: int | float
    total: int | float | None
    unit: str
    message: str
    metrics: dict[str, int | float | str | bool | None]
    warning: str


def state_event(
    *,
    phase: str | None = None,
    step: float | None = None,
    total: float | None = None,
    unit: str | None = None,
    message: str | None = None,
    metrics: Mapping[str, Any] | None = None,
    warning: str | None = None,
) -> dict[str, Any]:
    """A checked state event, ready to be sent.

    Numbers of other libraries (numpy's, say) become Python's; what JSON cannot hold, NaN and the
    infinities, becomes `None` among the metrics.

    Args:
        phase: What is being done, in a word or two.
        step: How many of `total` are done, at least 0.
        total: How many there will be, at least 0.
        unit: What is counted, in the singular.
        message: A line for people.
        metrics: Names to numbers, texts, booleans or `None`.
        warning: What is wrong, in a word.

    Returns:
        A new dict that holds what was given; it is a `StateEvent`.

    Raises:
        TypeError: A value is not of its kind.
        ValueError: `step` or `total` is negative or not finite.

    Example:
        >>> from aimm_plugins import state_event
        >>> state_event(phase="fit", step=3, total=20, unit="epoch", metrics={"loss": 0.5})
        {'phase': 'fit', 'step': 3, 'total': 20, 'unit': 'epoch', 'metrics': {'loss': 0.5}}
    """
    given: dict[str, tuple[Callable[[str, Any], Any], object]] = {
        "phase": (_text, phase),
        "step": (_count, step),
        "total": (_count, total),
        "unit": (_text, unit),
        "message": (_text, message),
        "metrics": (_metrics, metrics),
        "warning": (_text, warning),
    }
    return {name: check(name, value) for name, (check, value) in given.items() if value is not None}


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} of a state event is a str, and was given {shown(value)}")
    return value


def _count(name: str, value: Any) -> int | float:
    number = _pythonic(value)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise TypeError(f"{name} of a state event is a number, and was given {shown(value)}")
    if not 0 <= number < inf:
        raise ValueError(f"{name} of a state event is 0 or more, and was given {shown(value)}")
    return number


def _metrics(name: str, value: Any) -> dict[str, int | float | str | bool | None]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} of a state event is a mapping, and was given {shown(value)}")
    return {_text("a metric's name", key): _metric(key, metric) for key, metric in value.items()}


def _metric(name: str, value: Any) -> int | float | str | bool | None:
    plain = _pythonic(value)
    if isinstance(plain, float) and not isfinite(plain):
        return None
    if plain is None or isinstance(plain, int | float | str):
        return plain
    raise TypeError(
        f"metric {name!r} of a state event is a number, a text, a boolean or None, and was given "
        f"{shown(value)}"
    )


def _pythonic(value: Any) -> Any:
    """The Python number in a number of numpy or a tensor of one element."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    # Also of a subclass such as numpy.float64, which prints as what it is.
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "ndim", 0) == 0 else value


def progress(
    state_cb: StateCallback | None,
    iterable: Iterable[T],
    *,
    total: float | None = None,
    phase: str | None = None,
    unit: str | None = None,
    message: str | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> Iterator[T]:
    """The items of `iterable`, with an event before the first and after each that is done.

    An item counts as done when the loop asks for the next one, so an item that `break` ends is not
    counted. What the callback raises comes out of the loop.

    Args:
        state_cb: As the plugin was given it; `None` reports to nobody.
        iterable: What to loop over.
        total: How many items there are; by default `len(iterable)`, where it has one.
        phase: What is being done, in a word or two.
        unit: What an item is, in the singular.
        message: A line for people.
        metrics: Read anew for each event, so that the loop may fill a dict that it passes here.

    Returns:
        An iterator over the items.

    Raises:
        TypeError: An argument is not of its kind; see `state_event`.

    Example:
        >>> from aimm_plugins import progress
        >>> events = []
        >>> for epoch in progress(events.append, range(2), phase="fit", unit="epoch"):
        ...     pass
        >>> [(event["step"], event["total"]) for event in events]
        [(0, 2), (1, 2), (2, 2)]
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    # Checked here and not at the first `next`, which may be far from the mistake.
    fixed = state_event(phase=phase, total=total, unit=unit, message=message, metrics=metrics)
    callback = ignore_state if state_cb is None else state_cb
    return _reported(callback, iterable, fixed, metrics)


def _reported(
    state_cb: StateCallback,
    iterable: Iterable[T],
    fixed: dict[str, Any],
    metrics: Mapping[str, Any] | None,
) -> Iterator[T]:
    def event(step: int) -> dict[str, Any]:
        made = {**fixed, "step": step}
        if metrics is not None:
            made |= state_event(metrics=metrics)
        return made

    step = 0
    state_cb(event(step))
    for item in iterable:
        yield item
        step += 1
        state_cb(event(step))
