"""Read files without blocking on a named pipe, and write files whole or not at all."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from aimm_plugins._system.ceilings import METADATA_BYTES

OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""O_NONBLOCK, because opening a named pipe without a writer would block for ever."""

FIRST_READ = 8192
"""Bytes of the first read; nearly every metadata file is shorter."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_CHUNK = 65536


def opener(path: str, flags: int) -> int:
    """An `opener` for `open`: a named pipe without a writer reads as empty instead of blocking."""
    if not hasattr(os, "O_NONBLOCK"):
        return os.open(path, flags)
    handle = os.open(path, flags | os.O_NONBLOCK)
    os.set_blocking(handle, True)
    return handle


def read_file(path: str, limit: int = METADATA_BYTES) -> bytes | None:
    """The file's bytes, `None` without a file; `OSError` for a long one or no regular one."""
    try:
        handle = os.open(path, OPEN_FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        content = os.read(handle, FIRST_READ)
        if 0 < len(content) < FIRST_READ:
            return content
        return read_handle(handle, limit, content)
    finally:
        os.close(handle)


def has_same_content(file: str, other: str) -> bool:
    """Whether two files can be read and have the same bytes; also where they are one file."""
    content = readable(file)
    return content is not None and content == readable(other)


def readable(path: str, limit: int = METADATA_BYTES) -> bytes | None:
    """As `read_file`; `None` also where the file cannot be read."""
    try:
        return read_file(path, limit)
    except (OSError, ValueError):
        return None


def read_handle(handle: int, limit: int = METADATA_BYTES, content: bytes = b"") -> bytes:
    """What was read of an open file before, and the rest of it, up to `limit` bytes."""
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a regular file")
    parts = [content]
    size = len(content)
    # One read of the size that the file has is enough, unless somebody is writing it.
    while more := os.read(handle, min(max(status.st_size - size, 0) + 1, _CHUNK)):
        parts.append(more)
        size += len(more)
        if size > limit:
            raise OSError(f"longer than {limit} bytes")
        if size == status.st_size:
            break
    return b"".join(parts)


def writable_target(path: str) -> str:
    """The file that writing to a path replaces: of a link, the one that it leads to."""
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{path} cannot be written: there is no folder {folder}")
    if os.path.exists(target):
        if not os.path.isfile(target):  # replacing a device would destroy it
            raise OSError(f"{path} is there, and is no regular file")
        if not os.access(target, os.W_OK):
            raise PermissionError(f"{path} is there, and may not be written")
    return target


def write_atomically(path: str, content: bytes) -> None:
    """Write a file whole or not at all, even if the process is killed meanwhile.

    A file that is there keeps its permissions. A link stays: the file that it leads to is replaced.
    """
    target = writable_target(path)
    mode = stat.S_IMODE(os.stat(target).st_mode) if os.path.exists(target) else None
    name = os.path.join(os.path.dirname(target), f".aimm-plugins-{os.urandom(8).hex()}")
    try:
        # The umask is taken off from what a new file has. What another one had comes at the end.
        handle = os.open(name, _NEW, 0o666 if mode is None else 0o600)
    except OSError as error:  # which names the file that would have taken its place
        raise type(error)(f"{path} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if mode is not None:
            os.chmod(name, mode)
        os.replace(name, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise
