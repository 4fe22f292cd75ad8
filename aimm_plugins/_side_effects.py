"""What a plugin's import changed of the process besides its own modules.

Only told of, never undone: another thread may have made the same change meanwhile, and may need it.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aimm_plugins._report import type_name

_SIGNALS = tuple(sorted(signal.valid_signals()))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The process at one moment, as far as imports are apt to change it."""

    environ: dict[str, str]
    path: tuple[object, ...]
    folder: str | None
    filters: tuple[object, ...]
    handlers: tuple[Any, ...]
    log_handlers: tuple[object, ...]
    log_level: int
    threads: frozenset[threading.Thread]


def observe() -> Surroundings:
    """The process now. Takes some ten microseconds."""
    root = logging.getLogger()
    return Surroundings(
        environ=dict(os.environ),
        path=_items(sys.path),
        folder=_folder(),
        filters=_items(warnings.filters),
        handlers=tuple(map(signal.getsignal, _SIGNALS)),
        log_handlers=_items(root.handlers),
        log_level=root.level,
        threads=frozenset(threading.enumerate()),
    )


def changes(before: Surroundings) -> list[str]:
    """What is different now, a phrase each."""
    try:
        return _changes(before, observe())
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # what a plugin has put there may raise whatever is asked of it
        return [f"what cannot be told: looking at it raised {type_name(error)}"]


def _changes(before: Surroundings, now: Surroundings) -> list[str]:
    found = []
    for name in sorted(before.environ.keys() | now.environ.keys()):
        if name not in before.environ:
            found.append(f"os.environ: set {name}")
        elif name not in now.environ:
            found.append(f"os.environ: removed {name}")
        elif before.environ[name] != now.environ[name]:
            found.append(f"os.environ: changed {name}")
    if before.path != now.path:
        added = [each for each in now.path if each not in before.path]
        gone = [each for each in before.path if each not in now.path]
        detail = [f"added {each!r}" for each in added] + [f"removed {each!r}" for each in gone]
        found.append("sys.path: " + (", ".join(detail) or "reordered"))
    if before.folder != now.folder:
        found.append(f"working directory: {before.folder} became {now.folder}")
    if before.filters != now.filters:
        found.append("warning filters: changed")
    found += [
        f"signal handlers: {_signal_name(number)} changed"
        for number, old, new in zip(_SIGNALS, before.handlers, now.handlers, strict=True)
        if old is not new and old != new
    ]
    if before.log_handlers != now.log_handlers:
        found.append("root logging handlers: changed")
    if before.log_level != now.log_level:
        found.append("root logging level: changed")
    found += [
        f"threads: {thread.name!r} was left running"
        for thread in sorted(now.threads - before.threads, key=lambda each: each.name)
        if thread.is_alive()
    ]
    return found


def _items(value: Iterable[object] | object) -> tuple[object, ...]:
    """As a tuple, whatever an earlier plugin has put in place of a list."""
    return tuple(value) if isinstance(value, Iterable) else (value,)


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(int(number))
