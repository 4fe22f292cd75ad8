"""Callbacks between a plugin and its caller: guard, rate limit, watchdog, cancel.

Callers choose them by `reporting`; without it the plugin is given the caller's own callback.
"""

from __future__ import annotations

import time
from _thread import allocate_lock  # without threading, which takes a millisecond to import
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from functools import partial
from math import inf
from numbers import Real
from typing import Any, Literal

from aimm_plugins._dispatch.cancelling import Cancellation
from aimm_plugins._dispatch.state_events import state_event
from aimm_plugins._system.guard import interruption, reraise_interruption
from aimm_plugins._system.log import loggable, logger
from aimm_plugins._system.text import shown
from aimm_plugins._values.actions import StateCallback, ignore_state
from aimm_plugins.errors import Cancelled

_NOTHING: Any = object()


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
        TypeError: An option is not of its kind.
        ValueError: `on_error` is none of its values, or a number not more than 0.

    Example:
        >>> from aimm_plugins import reporting
        >>> with reporting(print, max_per_second=1) as state_cb:
        ...     for step in range(1000):
        ...         state_cb({"step": step})
        {'step': 0}
        {'step': 999}
    """
    if on_error not in ("raise", "log"):
        raise ValueError(f"on_error is 'raise' or 'log', and was given {shown(on_error)}")
    _check_number("max_per_second", max_per_second)
    _check_number("stall_after", stall_after)
    if state_cb is not None and not callable(state_cb):
        raise TypeError(f"state_cb is a callable or None, and was given {shown(state_cb)}")
    if cancel is not None and not callable(getattr(cancel, "is_set", None)):
        raise TypeError(
            f"cancel is a CancelToken or a threading.Event, and was given {shown(cancel)}"
        )
    callback = ignore_state if state_cb is None else state_cb
    with _Reporter(callback, on_error == "log", max_per_second, cancel) as reporter:
        # A partial, since a bound method takes no attributes.
        given: Any = partial(reporter.callback if stall_after is None else reporter.watched)
        if cancel is not None:
            given.cancellation = cancel  # for `cancellation_of`
        with nullcontext() if stall_after is None else _Watchdog(reporter, stall_after):
            yield given


def _check_number(name: str, value: float | None) -> None:
    if value is not None:
        if not isinstance(value, Real):
            raise TypeError(f"{name} is a number, and was given {shown(value)}")
        if not 0 < value < inf:
            raise ValueError(f"{name} is more than 0 and finite, and was given {shown(value)}")


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
        self._interval = 0.0 if max_per_second is None else 1 / max_per_second
        self._cancel = cancel
        self._lock = allocate_lock()
        self._free_at = -inf
        self._held: Any = _NOTHING
        self._logged = False
        self._ended = False
        self.pending: BaseException | None = None
        self.latest: Any = None
        self.latest_time = time.monotonic()

    def callback(self, state: dict[str, Any]) -> None:
        """What the plugin is given."""
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled(reason=getattr(self._cancel, "reason", None))
        if self._interval:
            now = time.monotonic()
            if now < self._free_at:
                self._held = state
                return
            with self._lock:
                if now < self._free_at:  # another thread was faster
                    self._held = state
                    return
                # In this order: what another thread holds back from now on is newer.
                self._held = _NOTHING
                self._free_at = now + self._interval
        self.deliver(state)

    def watched(self, state: dict[str, Any]) -> None:
        """As `callback`, under a watchdog."""
        self.latest, self.latest_time = state, time.monotonic()
        error = self.pending
        if error is not None:
            self.pending = None
            raise error
        self.callback(state)

    def deliver(self, state: dict[str, Any]) -> None:
        try:
            self._state_cb(state)
        except BaseException as error:
            is_failure = isinstance(error, Exception) and not isinstance(error, Cancelled)
            if self._logs and is_failure and interruption(error) is None:
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
            logger().error(
                "state callback %s failed", shown(self._state_cb), exc_info=loggable(error)
            )

    def __enter__(self) -> _Reporter:
        return self

    def __exit__(self, kind: object, *raised: object) -> None:
        """Deliver what is held back, as far as that cannot hide why the block was left."""
        held, self._held = self._held, _NOTHING
        pending, self.pending = self.pending, None
        if kind is None:
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
                reraise_interruption(error)
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

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *raised: object) -> None:
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
