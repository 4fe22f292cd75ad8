"""Survive code of others, without keeping from the host what is the host's."""

from __future__ import annotations

from types import TracebackType


class guarded:  # noqa: N801  # used as a function; a generator would take twice as long
    """Catch what the block raises, whatever it is, but for KeyboardInterrupt.

    Plugins, their metadata and objects may raise anything: SystemExit and own BaseExceptions too.

    Attributes:
        error: What the block raised; `None` so far.

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
        if isinstance(error, KeyboardInterrupt):
            return False
        self.error = error
        return True
