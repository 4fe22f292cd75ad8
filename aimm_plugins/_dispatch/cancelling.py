"""A caller's cancel, which a plugin's next state event raises."""

from __future__ import annotations

from typing import Any, Protocol

from aimm_plugins.errors import Cancelled


class Cancellation(Protocol):
    """The object that cancels a `reporting`: a `CancelToken`, a `threading.Event`."""

    def is_set(self) -> bool:
        """Whether the caller has cancelled."""
        ...


class CancelToken:
    """A caller's cancel: set by any thread or signal handler, seen by a plugin's next state event.

    Example:
        >>> from aimm_plugins import CancelToken, reporting
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


def cancellation_of(state_cb: Any) -> Cancellation | None:
    """What ends the work of those who are given a callback, where `reporting` has made it.

    Most plugins see it by their next state event. A process of an environment can be ended too.
    """
    found: Cancellation | None = getattr(state_cb, "cancellation", None)
    return found if callable(getattr(found, "is_set", None)) else None
