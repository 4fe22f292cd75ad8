"""What a plugin's import changed of the process besides its own modules.

Changes are reported and never undone: another thread may have made the same change meanwhile, and
may need it.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

from aimm_plugins._system.guard import SIGNALS, guarded, signal_handlers
from aimm_plugins._system.text import type_name

_WARNING = 30
"""The root logger's level before anybody has set it."""

_FIRST_HANDLERS = signal_handlers()
"""The handlers until somebody loads signal."""


# Without the GIL each context may have filters of its own.
_warning_filters = getattr(warnings, "_get_filters", lambda: warnings.filters)


class Surroundings(NamedTuple):
    """The process at one moment, as far as imports are apt to change it."""

    environ: dict[Any, Any]
    path: tuple[object, ...]
    folder: str | None
    filters: tuple[object, ...]
    handlers: tuple[Any, ...]
    log_handlers: tuple[object, ...]
    log_level: int
    threads: frozenset[Any]


def observe() -> Surroundings | None:
    """The process now, or `None` where an earlier plugin left what raises when it is looked at.

    Takes some ten microseconds.
    """
    with guarded():
        return _observed()
    return None


def _observed() -> Surroundings:
    # What is not loaded has nothing that could change; loading it here takes longer than all else.
    logging, threading = sys.modules.get("logging"), sys.modules.get("threading")
    root = None if logging is None else logging.getLogger()
    return Surroundings(
        # As the mapping keeps it where it can be had: to decode all takes longer than the rest.
        dict(getattr(os.environ, "_data", os.environ)),
        _items(sys.path),
        _folder(),
        _items(_warning_filters()),
        signal_handlers() if "signal" in sys.modules else _FIRST_HANDLERS,
        () if root is None else _items(root.handlers),
        _WARNING if root is None else root.level,
        frozenset()
        if threading is None
        else frozenset(threading.enumerate()) - {threading.main_thread()},
    )


def changes(before: Surroundings | None) -> list[str]:
    """What is different now, a phrase each."""
    if before is None:
        return ["what cannot be told: an earlier plugin changed what would have to be looked at"]
    with guarded() as attempt:
        return _changes(before, _observed())
    assert attempt.error is not None
    return [f"what cannot be told: looking at it raised {type_name(attempt.error)}"]


def _changes(before: Surroundings, now: Surroundings) -> list[str]:
    found = []
    same = before.environ == now.environ
    for name in () if same else sorted(before.environ.keys() | now.environ.keys()):
        old, new = before.environ.get(name), now.environ.get(name)
        if old != new:
            what = "set" if old is None else "removed" if new is None else "changed"
            found.append(f"os.environ: {what} {os.fsdecode(name)}")
    if before.path != now.path:
        detail = [f"added {item!r}" for item in now.path if item not in before.path]
        detail += [f"removed {item!r}" for item in before.path if item not in now.path]
        found.append("sys.path: " + (", ".join(detail) or "reordered"))
    if before.folder != now.folder:
        found.append(f"working directory: {before.folder} became {now.folder}")
    if before.filters != now.filters:
        found.append("warning filters: changed")
    found += [
        f"signal handlers: {_signal_name(number)} changed"
        for number, old, new in zip(SIGNALS, before.handlers, now.handlers, strict=True)
        if old is not new and old != new
    ]
    if before.log_handlers != now.log_handlers:
        found.append("root logging handlers: changed")
    if before.log_level != now.log_level:
        found.append("root logging level: changed")
    found += [
        f"threads: {thread.name!r} was left running"
        for thread in sorted(now.threads - before.threads, key=lambda thread: thread.name)
        if thread.is_alive()
    ]
    return found


def _items(value: Iterable[object] | object) -> tuple[object, ...]:
    """As a tuple, whatever an earlier plugin has put in place of a list."""
    if type(value) is list:  # to ask for an abstract class takes longer than the copy
        return tuple(value)
    return tuple(value) if isinstance(value, Iterable) else (value,)


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None


def _signal_name(number: int) -> str:
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return str(int(number))
