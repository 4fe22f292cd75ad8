"""What is the host's, and what is not, when code of others raises."""

from __future__ import annotations

import contextlib
import doctest
import functools
import signal
from collections.abc import Callable, Iterator

import pytest

from aimm_plugins._system import guard
from aimm_plugins._system.guard import guarded, interruption, signal_handlers

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs SIGUSR1")


class OutOfTime(Exception):
    """What hosts raise to stop what takes too long."""


def raises(number: int, frame: object) -> None:
    raise OutOfTime


def deep(number: int, frame: object) -> None:
    raises(number, frame)


class Limit:
    def strike(self, number: int, frame: object) -> None:
        raise OutOfTime

    def __call__(self, number: int, frame: object) -> None:
        raise OutOfTime


@functools.wraps(raises)
def wrapped(*args: object) -> None:
    raise OutOfTime


HANDLERS = {
    "function": raises,
    "function that calls another": deep,
    "method": Limit().strike,
    "object": Limit(),
    "partial": functools.partial(lambda more, *_: raises(*_), 1),
    "partial of a method": functools.partial(Limit().strike),
    "wrapper": wrapped,
    "cached": functools.cache(raises),
}


@pytest.fixture
def handle() -> Iterator[Callable[[object], None]]:
    """Sets the handler of SIGUSR1."""
    before = signal.getsignal(signal.SIGUSR1)
    yield lambda handler: signal.signal(signal.SIGUSR1, handler)
    signal.signal(signal.SIGUSR1, before)


def test_examples_run():
    assert doctest.testmod(guard).failed == 0


@pytest.mark.parametrize("handler", HANDLERS.values(), ids=HANDLERS)
def test_what_a_signal_handler_raises_passes(handle, handler):
    handle(handler)
    with pytest.raises(OutOfTime), guarded():
        signal.raise_signal(signal.SIGUSR1)


def converts() -> None:
    try:
        signal.raise_signal(signal.SIGUSR1)
    except OutOfTime as error:
        raise ImportError("no extra") from error


def hides() -> None:
    try:
        converts()
    except ImportError:
        raise KeyError("x") from None


@pytest.mark.parametrize("code", [converts, hides])
def test_it_passes_where_the_code_has_made_another_error_of_it(handle, code):
    handle(raises)
    with pytest.raises(OutOfTime), guarded():
        code()


def test_error_of_code_that_has_survived_a_signal_is_its_own(handle):
    handle(raises)

    def survives() -> None:
        with contextlib.suppress(OutOfTime):
            signal.raise_signal(signal.SIGUSR1)
        raise KeyError("own")

    with guarded() as attempt:
        survives()
    assert isinstance(attempt.error, KeyError)


def fails() -> guarded:
    with guarded() as attempt:
        raise KeyError("own")
    return attempt


def test_error_of_code_that_is_called_while_a_signal_is_handled_is_its_own(handle):
    handle(raises)
    try:
        signal.raise_signal(signal.SIGUSR1)
    except OutOfTime:
        attempt = fails()
    assert isinstance(attempt.error, KeyError)
    assert isinstance(attempt.error.__context__, OutOfTime)


def test_class_of_the_hosts_exception_alone_does_not_make_it_the_hosts(handle):
    handle(raises)
    with guarded() as attempt:
        raise OutOfTime
    assert isinstance(attempt.error, OutOfTime)


def test_handler_that_was_not_there_before_is_not_the_hosts(handle):
    before = signal_handlers()
    handle(raises)
    with pytest.raises(OutOfTime) as caught:
        signal.raise_signal(signal.SIGUSR1)
    assert interruption(caught.value) is caught.value
    assert interruption(caught.value, before) is None


def test_circle_of_causes_is_followed_once():
    one, other = KeyError(1), KeyError(2)
    one.__cause__, other.__cause__ = other, one
    with guarded() as attempt:
        raise one
    assert attempt.error is one
