"""Ctrl-C in the middle of a change."""

from __future__ import annotations

import itertools
import linecache
import sys
from collections.abc import Callable


def interrupted_at(number: int, change: Callable[[], object]) -> bool:
    """Whether a change has as many lines, when it is interrupted before that one.

    Only lines of this package and of pluggy count, and no `with` and no `try`: Python traces the
    end of the one, and the other, where it takes no signals and would leave locks held.
    """
    lines = itertools.count(1)

    def trace(frame, event, _):
        if not frame.f_globals.get("__name__", "").startswith(("aimm_plugins", "pluggy")):
            return None
        if event == "line":
            text = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
            if not text.startswith(("with ", "yield", "try:")) and next(lines) == number:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        change()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False
