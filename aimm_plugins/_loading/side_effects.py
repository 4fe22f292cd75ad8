"""What a plugin's import changed of the process besides its own modules.

Changes are reported and never undone: another thread may have made the same change meanwhile, and
may need it.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from aimm_plugins._system.guard import SIGNALS, guarded, signal_handlers
from aimm_plugins._system.text import type_name

_WARNING = 30
"""The root logger's level before anybody has set it."""

HANDLERS = "signal handlers"

Surroundings = dict[str, Any]
"""The process at one moment, as far as imports are apt to change it."""

# Without the GIL each context may have filters of its own.
_warning_filters = getattr(warnings, "_get_filters", lambda: warnings.filters)


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
    return {
        # As the mapping keeps it where it can be had: to decode all takes longer than the rest.
        "os.environ": dict(getattr(os.environ, "_data", os.environ)),
        "sys.path": list(sys.path),
        "working directory": _folder(),
        "warning filters": list(_warning_filters()),
        HANDLERS: dict(zip(SIGNALS, signal_handlers(), strict=True)),
        "root logging handlers": [] if root is None else list(root.handlers),
        "root logging level": _WARNING if root is None else root.level,
        "threads": set() if threading is None else _threads(threading),
    }


def changes(before: Surroundings | None) -> list[str]:
    """What is different now, a phrase each."""
    if before is None:
        return ["what cannot be told: an earlier plugin changed what would have to be looked at"]
    with guarded() as attempt:
        now = _observed()
        return [
            f"{what}: {change}"
            for what, old in before.items()
            if old != now[what]
            for change in _changes(old, now[what])
        ]
    assert attempt.error is not None
    return [f"what cannot be told: looking at it raised {type_name(attempt.error)}"]


def _changes(old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict):
        for name in sorted(old.keys() | new.keys()):
            if name not in old or name not in new or old[name] != new[name]:
                how = "set" if name not in old else "removed" if name not in new else "changed"
                yield f"{how} {_shown(name)}"
    elif isinstance(old, list):
        found = [f"added {item!r}" for item in new if item not in old]
        found += [f"removed {item!r}" for item in old if item not in new]
        yield ", ".join(found) or "reordered"
    elif isinstance(old, set):  # threads, which end by themselves
        yield from (f"added {name!r}" for name in sorted(new - old))
    else:
        yield f"{old} became {new}"


def _threads(threading: Any) -> set[str]:
    main = threading.main_thread()
    return {thread.name for thread in threading.enumerate() if thread is not main}


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None


def _shown(name: str | bytes | int) -> str:
    """A variable, or a signal by its number."""
    if not isinstance(name, int):
        return os.fsdecode(name)
    import signal

    with suppress(ValueError):
        return signal.Signals(name).name
    return str(int(name))
