"""State callbacks: how a plugin tells its caller how far it is, and how the caller tells it to end.

A callback takes any JSON-serializable dict. Authors who use the keys of `StateEvent` are understood
by progress bars; `progress` sends such events for a loop. Callers choose what stands between the
plugin and their callback by `reporting`; without it the plugin is given the callback itself.
"""

from __future__ import annotations

import time
from _thread import allocate_lock  # that of threading, which takes a millisecond to load
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from math import inf, isfinite
from typing import Any, Literal, Protocol, TypedDict, TypeVar

from aimm_plugins._system.log import logger
from aimm_plugins._values.actions import StateCallback, ignore_state
from aimm_plugins.errors import Cancelled

T = TypeVar("T")

_NOTHING: Any = object()


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
        >>> state_event(phase="fit", step=3, total=20, unit="epoch", metrics={"loss": 0.5})
        {'phase': 'fit', 'step': 3, 'total': 20, 'unit': 'epoch', 'metrics': {'loss': 0.5}}
    """
    event: dict[str, Any] = {}
    if phase is not None:
        event["phase"] = _text("phase", phase)
    if step is not None:
        event["step"] = _count("step", step)
    if total is not None:
        event["total"] = _count("total", total)
    if unit is not None:
        event["unit"] = _text("unit", unit)
    if message is not None:
        event["message"] = _text("message", message)
    if metrics is not None:
        event["metrics"] = {_text("a metric's name", k): _metric(k, v) for k, v in metrics.items()}
    if warning is not None:
        event["warning"] = _text("warning", warning)
    return event


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} of a state event is a str, and was given {value!r}")
    return value


def _count(name: str, value: Any) -> int | float:
    number = _pythonic(value)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise TypeError(f"{name} of a state event is a number, and was given {value!r}")
    if not (number >= 0 and isfinite(number)):
        raise ValueError(f"{name} of a state event is 0 or more, and was given {value!r}")
    return number


def _metric(name: str, value: Any) -> int | float | str | bool | None:
    plain = _pythonic(value)
    if isinstance(plain, float) and not isfinite(plain):
        return None
    if plain is None or isinstance(plain, int | float | str):
        return plain
    raise TypeError(
        f"metric {name!r} of a state event is a number, a text, a boolean or None, and was given "
        f"{value!r}"
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

    Raises:
        TypeError: An argument is not of its kind; see `state_event`.

    Example:
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


class Cancellation(Protocol):
    """What `reporting` asks whether to go on: a `CancelToken`, a `threading.Event`."""

    def is_set(self) -> bool:
        """Whether the caller has cancelled."""
        ...


class CancelToken:
    """A caller's cancel: set by any thread or signal handler, seen by a plugin's next state event.

    Example:
        >>> token = CancelToken()
        >>> with reporting(print, cancel=token) as state_cb:
        ...     state_cb({"step": 1})
        ...     token.cancel("the user closed the window")
        ...     state_cb({"step": 2})
        Traceback (most recent call last):
        aimm_plugins.errors.Cancelled: cancelled by the caller: the user closed the window

    Attributes:
        reason: Why it was cancelled, if that was said.
    """

    __slots__ = ("_set", "reason")

    def __init__(self) -> None:
        self._set = False
        self.reason: str | None = None

    def cancel(self, reason: str | None = None) -> None:
        """Cancel. Takes no lock, so that a signal handler may call it; the first reason stands."""
        if not self._set:
            self.reason = reason
            self._set = True

    def is_set(self) -> bool:
        """Whether it was cancelled."""
        return self._set

    def check(self) -> None:
        """Raise if it was cancelled.

        Raises:
            Cancelled: It was.
        """
        if self._set:
            raise Cancelled(reason=self.reason)

    def __repr__(self) -> str:
        state = f"cancelled: {self.reason}" if self._set else "not cancelled"
        return f"<CancelToken, {state}>"


@contextmanager
def reporting(
    state_cb: StateCallback | None,
    *,
    on_error: Literal["raise", "log"] = "raise",
    max_per_second: float | None = None,
    stall_after: float | None = None,
    cancel: Cancellation | None = None,
) -> Generator[StateCallback]:
    """A callback to pass to `exec_*`, which stands between the plugin and the caller's own.

    Leaving the block delivers the event that the limit held back, if there is one, and ends the
    watchdog. An exception that leaves the block is never replaced by one of the callback: that one
    is logged then.

    Args:
        state_cb: The caller's callback; `None` where only `cancel` matters.
        on_error: What becomes of an exception of `state_cb`: `raise` lets it pass through the
            plugin to the caller, which is how callers end a fit; `log` logs the first one of the
            block and lets the plugin go on. `Cancelled` always passes.
        max_per_second: The least time between two deliveries is the inverse of this; of the events
            in between the last is kept, until the next delivery or the end. `None`: no limit.
        stall_after: After this many seconds without an event, `state_cb` is given the last event
            once more, with `warning` as `stalled` and a `message`; once for each silence. **It is
            called by the watchdog's own thread then**, maybe while the plugin's thread calls it
            too. What it raises there is raised by the plugin's next event, or by leaving the block.
        cancel: Once it is set, the plugin's next event raises `Cancelled`, also one that the limit
            would hold back.

    Returns:
        A context manager that gives the callback. Any thread may call that.

    Raises:
        ValueError: An option is none of its values, or not more than 0.

    Example:
        >>> with reporting(print, max_per_second=1) as state_cb:
        ...     for step in range(1000):
        ...         state_cb({"step": step})
        {'step': 0}
        {'step': 999}
    """
    if on_error not in ("raise", "log"):
        raise ValueError(f"on_error is 'raise' or 'log', and was given {on_error!r}")
    for name, value in (("max_per_second", max_per_second), ("stall_after", stall_after)):
        if value is not None and not (value > 0 and isfinite(value)):
            raise ValueError(f"{name} is more than 0 and finite, and was given {value!r}")
    if state_cb is not None and not callable(state_cb):
        raise TypeError(f"state_cb is a callable or None, and was given {state_cb!r}")
    if cancel is not None and not callable(getattr(cancel, "is_set", None)):
        raise TypeError(f"cancel is a CancelToken or a threading.Event, and was given {cancel!r}")
    callback = ignore_state if state_cb is None else state_cb
    reporter = _Reporter(callback, on_error == "log", max_per_second, cancel)
    watchdog = None if stall_after is None else _Watchdog(reporter, stall_after)
    if watchdog is not None:
        watchdog.start()
    try:
        yield reporter.callback if watchdog is None else reporter.watched
    except BaseException:
        if watchdog is not None:
            watchdog.stop()
        reporter.finish(failed=True)
        raise
    if watchdog is not None:
        watchdog.stop()
    reporter.finish(failed=False)


class _Reporter:
    """One block's state: what is held back, what went wrong."""

    def __init__(
        self,
        state_cb: StateCallback,
        logs: bool,
        max_per_second: float | None,
        cancel: Cancellation | None,
    ) -> None:
        self._state_cb = state_cb
        self._logs = logs
        self._logged = False
        self._ended = False
        self.pending: BaseException | None = None
        self.latest: Any = None
        self.latest_time = time.monotonic()
        self.callback, self._take_held = self._limited(max_per_second, cancel)

    def _limited(
        self, max_per_second: float | None, cancel: Cancellation | None
    ) -> tuple[StateCallback, Callable[[], Any]]:
        # Closures: most events of a busy plugin end here, and attributes cost twice as much.
        interval = 0.0 if max_per_second is None else 1 / max_per_second
        cancelled = None if cancel is None else cancel.is_set
        monotonic, lock = time.monotonic, allocate_lock()
        free_at = -inf
        held: Any = _NOTHING

        def callback(state: dict[str, Any]) -> None:
            nonlocal free_at, held
            if cancelled is not None and cancelled():
                raise Cancelled(reason=getattr(cancel, "reason", None))
            if interval:
                now = monotonic()
                if now < free_at:
                    held = state
                    return
                with lock:
                    if now < free_at:  # another thread was faster
                        held = state
                        return
                    free_at = now + interval
                    held = _NOTHING
            self.deliver(state)

        def take_held() -> Any:
            nonlocal held
            taken, held = held, _NOTHING
            return taken

        return callback, take_held

    def watched(self, state: dict[str, Any]) -> None:
        """As `callback`, under a watchdog."""
        self.latest, self.latest_time = state, time.monotonic()
        if self.pending is not None:
            error, self.pending = self.pending, None
            raise error
        self.callback(state)

    def deliver(self, state: dict[str, Any]) -> None:
        try:
            self._state_cb(state)
        except BaseException as error:
            if self._logs and isinstance(error, Exception) and not isinstance(error, Cancelled):
                self._log(error)
                return
            self._ended = True
            raise

    def warn(self, state: dict[str, Any]) -> None:
        """Deliver from the watchdog's thread, where nobody could catch anything."""
        try:
            self.deliver(state)
        except BaseException as error:
            self.pending = error

    def _log(self, error: BaseException) -> None:
        if not self._logged:
            self._logged = True
            logger().error("state callback %r failed", self._state_cb, exc_info=error)

    def finish(self, *, failed: bool) -> None:
        """Deliver what is held back, as far as that cannot hide why the block was left."""
        held, pending, self.pending = self._take_held(), self.pending, None
        if not failed:
            if pending is not None:
                raise pending
            if held is not _NOTHING:
                self.deliver(held)
            return
        if pending is not None:
            self._log(pending)
        if held is not _NOTHING and not self._ended:
            try:
                self._state_cb(held)
            except Exception as error:
                self._log(error)


class _Watchdog:
    """A thread that tells of silence."""

    def __init__(self, reporter: _Reporter, stall_after: float) -> None:
        self._reporter = reporter
        self._stall_after = stall_after
        import threading
        from contextvars import copy_context

        self._stopped = threading.Event()
        context = copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._watch,), name="aimm_plugins-watchdog", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        # A warning may be on its way; a callback that never returns must not hold up its caller.
        self._thread.join(timeout=1.0)

    def _watch(self) -> None:
        warned_of = -inf
        wait = self._stall_after
        while not self._stopped.wait(wait):
            since = self._reporter.latest_time
            silence = time.monotonic() - since
            if silence < self._stall_after:
                wait = self._stall_after - silence
                continue
            wait = self._stall_after
            if since != warned_of:
                warned_of = since
                self._reporter.warn(self._warning(silence))

    def _warning(self, silence: float) -> dict[str, Any]:
        latest = self._reporter.latest
        event = dict(latest) if isinstance(latest, dict) else {}
        event |= state_event(message=f"no event for {silence:.3g} s", warning="stalled")
        return event
