"""Memory that a sender fills and a receiver maps; without a name, nothing of it stays behind."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

_ALIGNED = 64
_PIECE = 16 << 20
"""Copied at once. Less is copied by way of the caches, which takes half as long again."""
POPULATE_READ, POPULATE_WRITE = 22, 23  # of Linux 5.14; `mmap` has no names for them


class LentMemory:
    """Memory that frames are written to; mapped when it is filled for the second time.

    A sender that is filling it has its own reference, so another thread may drop it from those that
    are kept.
    """

    def __init__(self, number: int, size: int) -> None:
        self.number, self.size = number, size
        self.is_lent = True
        self.handle = -1
        self._mapping: mmap.mmap | None = None
        self._filled = False
        if hasattr(os, "memfd_create"):
            self.handle = os.memfd_create("aimm-plugins", os.MFD_CLOEXEC)
        else:
            import tempfile  # 20 ms, which Linux does without

            with tempfile.TemporaryFile() as file:
                self.handle = os.dup(file.fileno())
        os.ftruncate(self.handle, size)

    def fill(self, parts: Sequence[memoryview]) -> None:
        if self._filled and self._mapping is None:
            self._mapping = mmap.mmap(self.handle, self.size)
            advise(self._mapping, POPULATE_WRITE)
        self._filled = True
        place = 0
        for part in parts:
            # Not at once, so that other threads get their turns.
            for begin in range(0, part.nbytes, _PIECE):
                piece = part[begin : begin + _PIECE]
                if self._mapping is not None:
                    self._mapping[place + begin : place + begin + piece.nbytes] = piece
                else:
                    _write_at(self.handle, piece, place + begin)
            place += padded(part.nbytes)

    def __del__(self) -> None:
        if self._mapping is not None:
            self._mapping.close()
        if self.handle >= 0:
            os.close(self.handle)


def padded(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED


def advise(mapping: mmap.mmap, advice: int) -> None:
    """Have the pages of a mapping there at once, where the system can."""
    if sys.platform == "linux":
        with suppress(OSError):
            mapping.madvise(advice)


def _write_at(handle: int, content: memoryview, place: int) -> None:
    while content.nbytes:
        count = os.pwrite(handle, content, place)
        content, place = content[count:], place + count
