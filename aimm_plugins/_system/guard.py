"""Survive code of others, without keeping from the host what is the host's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import CodeType, FrameType, TracebackType

try:
    # The C half of signal, which itself wraps each answer in an enum: 150 us for all signals.
    import _signal  # type: ignore[import-not-found]  # CPython's and PyPy's own  # pyright: ignore[reportMissingImports]
except ImportError:
    import signal as _signal

SIGNALS: tuple[int, ...] = tuple(sorted(_signal.valid_signals()))
"""The numbers of all signals."""

# Past what the class of an exception makes of its attributes.
_TRACEBACK = vars(BaseException)["__traceback__"].__get__
_CAUSE = vars(BaseException)["__cause__"].__get__
_CONTEXT = vars(BaseException)["__context__"].__get__


def signal_handlers() -> tuple[object, ...]:
    return tuple(map(_signal.getsignal, SIGNALS))


def interruption(
    error: BaseException, handlers: Iterable[object] | None = None
) -> BaseException | None:
    """What the host has raised in the middle of other code, if that is where `error` comes from.

    That is a `KeyboardInterrupt`, or what a signal handler raises: its frame is part of the
    traceback. Code that was interrupted may have raised another error of it since. `handlers` are
    those of the host, where the code may have set up its own.
    """
    codes = {code for handler in handlers or signal_handlers() for code in _codes(handler)}
    seen: set[int] = set()
    chain = [error]
    while chain:
        link = chain.pop()
        seen.add(id(link))
        frames = list(_frames(_TRACEBACK(link)))
        if issubclass(type(link), KeyboardInterrupt) or any(f.f_code in codes for f in frames):
            return link
        for earlier in (_CAUSE(link), _CONTEXT(link)):
            # What was being handled when the code was called was caught further out.
            trace = None if earlier is None or id(earlier) in seen else _TRACEBACK(earlier)
            if earlier is not None and trace is not None and trace.tb_frame in frames:
                chain.append(earlier)
    return None


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, its causes and contexts, and the members of groups among them."""
    seen: set[int] = set()
    links: list[BaseException | None] = [error]
    while links:
        link = links.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            yield link
            members = link.exceptions if isinstance(link, BaseExceptionGroup) else ()
            links += [*members, _CAUSE(link), _CONTEXT(link)]


def reraise_interruption(error: BaseException, handlers: Iterable[object] | None = None) -> None:
    """Raise what the host has raised in the middle of other code, if that is what was caught."""
    raised = interruption(error, handlers)
    if raised is not None:
        raise raised


def _frames(trace: TracebackType | None) -> Iterator[FrameType]:
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def _codes(handler: object) -> Iterator[CodeType]:
    """The code of a signal handler: a function, a method, a partial or an object to call."""
    for inner in (handler, getattr(type(handler), "__call__", None)):  # noqa: B004  # looked at
        while inner is not None:
            code = getattr(inner, "__code__", None)
            if isinstance(code, CodeType):
                yield code
            names = ("__func__", "func", "__wrapped__")
            inner = next((found for n in names if (found := getattr(inner, n, None))), None)


class guarded:  # noqa: N801  # used as a function; a generator would take twice as long
    """Catch what the block raises, whatever it is, but for what the host raises from outside.

    Plugins, their metadata and objects may raise anything: SystemExit and own BaseExceptions too.
    A `KeyboardInterrupt` and what signal handlers raise pass; see `interruption`.

    Example:
        >>> with guarded() as attempt:
        ...     raise SystemExit(3)
        >>> attempt.error
        SystemExit(3)
    """

    __slots__ = ("error",)

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __enter__(self) -> guarded:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if error is not None:
            reraise_interruption(error)
        self.error = error
        return True
