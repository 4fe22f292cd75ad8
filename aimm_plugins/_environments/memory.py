"""Memory that a sender fills and a receiver maps; without a name, nothing of it stays behind."""

from __future__ import annotations

import errno
import mmap
import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

_ALIGNED = 64

_MAPPED_FROM = 8 << 20
"""Bytes from which on memory stays mapped, not copied: each mapping takes a descriptor as long as
an array of it lives, and there are about a thousand."""

_MAP_OPTIONS: Any = {"trackfd": False} if sys.version_info >= (3, 13) else {}
_POPULATE_READ = 22  # of Linux 5.14; `mmap` has no name for it


@contextmanager
def filled(parts: Sequence[memoryview]) -> Generator[int]:
    """The descriptor of memory that holds some parts, each at an aligned place."""
    with _unnamed_file() as file:
        try:
            for part in parts:
                file.write(part)
                file.write(bytes(padded(part.nbytes) - part.nbytes))
            file.flush()
        except OSError as error:
            size = sum(padded(part.nbytes) for part in parts)
            text = f"no shared memory for {size} bytes ({error.strerror})"
            raise OSError(error.errno, text) from error
        yield file.fileno()


def _unnamed_file() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("aimm-plugins", os.MFD_CLOEXEC), "wb")
    from tempfile import TemporaryFile  # 20 ms, which Linux does without

    return TemporaryFile()


def mapped(handles: Sequence[int], size: int) -> memoryview:
    """What the other side has filled; an `OSError` or `MemoryError` where it cannot be had."""
    if not handles:  # the system has dropped it
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    (handle,) = handles
    try:
        # Private: what is written to an array stays in this process, and out of its forks.
        mapping = mmap.mmap(
            handle, size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE, **_MAP_OPTIONS
        )
    finally:
        os.close(handle)
    if sys.platform == "linux":
        with suppress(OSError):
            mapping.madvise(_POPULATE_READ)  # all pages at once
    return memoryview(mapping if size >= _MAPPED_FROM else bytearray(mapping))


def padded(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
