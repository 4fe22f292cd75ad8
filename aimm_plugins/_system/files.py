"""Opening files that an operator names, in whose place there may be anything."""

from __future__ import annotations

import os


def opener(path: str, flags: int) -> int:
    """For `open`: a named pipe that nobody writes to is empty; one with a writer is waited for."""
    if not hasattr(os, "O_NONBLOCK"):
        return os.open(path, flags)
    handle = os.open(path, flags | os.O_NONBLOCK)
    os.set_blocking(handle, True)
    return handle
