"""Opening files in whose place there may be anything."""

from __future__ import annotations

import os

OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Without O_NONBLOCK a named pipe in the place of a file would hold the host for ever."""


def opener(path: str, flags: int) -> int:
    """For `open`: a named pipe that nobody writes to is empty; one with a writer is waited for."""
    handle = os.open(path, flags | OPEN_FLAGS)
    if hasattr(os, "O_NONBLOCK"):
        os.set_blocking(handle, True)
    return handle
