"""Checks of state events and state callbacks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from aimm_plugins.errors import Cancelled
from aimm_plugins.testing import _events
from aimm_plugins.testing._checks.registry import WORK, check
from aimm_plugins.testing._events import StateEvents
from aimm_plugins.testing._subject import Inapplicable, Subject


@check("model", "data")
def events_are_valid(subject: Subject) -> None:
    """State events are JSON and as `schemas/state-event.yaml`."""
    _refuse_faults(subject, _events.invalid)


@check("model", "data")
def events_go_forward(subject: Subject) -> None:
    """The steps of a phase never go back, nor beyond the total."""
    _refuse_faults(subject, _events.backward)


@check("model", "data")
def events_arrive(subject: Subject) -> None:
    """The last step of a phase is its total, where it has one."""
    _refuse_faults(subject, _events.unfinished)


@check("model", "data")
def events_are_separate(subject: Subject) -> None:
    """Each state event is a dict of its own."""
    _refuse_faults(subject, lambda events: _events.shared(events.sent))


def _refuse_faults(subject: Subject, find_faults: Callable[[StateEvents], list[str]]) -> None:
    sent = subject.events().items()
    faults = [f"{action}: {fault}" for action, events in sent for fault in find_faults(events)]
    if faults:
        raise AssertionError("\n".join(faults[:10]))


_AFTERWARDS = 0.5
"""Seconds after a call in which its threads must not send anything."""


@check("model", "data")
def events_end_with_the_call(subject: Subject) -> None:
    """No state event comes after the call has returned."""
    for action, call in subject.calls_with_callback().items():
        events = StateEvents()
        call(events)
        count, end = len(events), time.monotonic() + _AFTERWARDS
        while threading.active_count() > 1 and len(events) == count and time.monotonic() < end:
            time.sleep(0.01)
        if len(events) > count:
            raise AssertionError(f"{action} sent {len(events) - count} events after its return")


class _StopError(Exception):
    pass


def _raising(error: BaseException, at: int) -> Callable[[dict[str, Any]], None]:
    """A state callback that raises at an event, counted from 0, and at each after it."""
    count = 0

    def state_cb(state: dict[str, Any]) -> None:
        nonlocal count
        count += 1
        if count > at:
            raise error

    return state_cb


def _passes_through(subject: Subject, make: Callable[[], BaseException]) -> None:
    """Fail unless what a callback raises comes out, whichever event it answers."""
    for action, events in subject.events().items():
        call = subject.calls_with_callback()[action]
        for at in sorted({0, len(events) // 2, len(events) - 1}):
            error = make()
            what = f"{action}: the callback raised {type(error).__name__} at event {at + 1}, and"
            try:
                call(_raising(error, at))
            except BaseException as raised:
                if raised is not error:
                    raise AssertionError(
                        f"{what} {type(raised).__name__} came out: {raised}"
                    ) from raised
            else:
                raise AssertionError(f"{what} nothing came out")


@check("model", "data")
def callback_errors_reach_the_caller(subject: Subject) -> None:
    """What the state callback raises comes out of the call as it is."""
    _passes_through(subject, lambda: _StopError("raised by a check"))


@check("model", "data")
def cancelled_reaches_the_caller(subject: Subject) -> None:
    """`Cancelled`, raised by the state callback, unwinds the call."""
    _passes_through(subject, Cancelled)


@check("model", "data")
def interrupts_reach_the_caller(subject: Subject) -> None:
    """`KeyboardInterrupt`, raised while the state callback runs, comes out of the call."""
    _passes_through(subject, KeyboardInterrupt)


@check("model", needs=WORK)
def callback_errors_leave_a_usable_instance(subject: Subject) -> None:
    """An instance whose fit the callback ended predicts or says why not, and can be fitted."""
    events = subject.events().get("fit")
    if events is None:
        raise Inapplicable("fit sends no state event")
    for at in sorted({0, len(events) // 2}):
        instance = subject.instantiate()
        try:
            subject.fit(instance, 0, _raising(_StopError("raised by a check"), at))
        except _StopError:
            pass
        else:
            raise Inapplicable("the fit did not end by the callback's error")
        try:
            subject.predict(instance)
        except Exception as error:
            if isinstance(error, AttributeError | KeyError | IndexError | NameError) or not str(
                error
            ):
                raise AssertionError(
                    f"after a fit that the callback ended, predict raised {type(error).__name__}: "
                    f"{error}; say that the instance is not fitted, or keep it usable"
                ) from error
        subject.predict(subject.fit(instance))


@check("model", "data", claim="deterministic")
def callback_changes_nothing(subject: Subject) -> None:
    """Calls without a state callback, and with one, come to the same."""
    subject.calls_with_callback()
    without, with_one = (subject.result(state_cb=state_cb) for state_cb in (None, StateEvents()))
    subject.same(without, with_one, "the result depends on whether there is a state callback")
