"""Frames between a host and a process: a kind, a number, a body, and buffers.

Small frames go through the socket. Large ones go through memory that both sides map: it has no
name, and its descriptor travels with the frame, so the kernel frees it when the last side lets go
of it, however that side ends.

A sender fills memory that it has filled before once the receiver has let go of it, because new
memory costs three times what copying costs. It announces the memory before it fills it: mapping it
takes the receiver half as long as the copy, and so goes on meanwhile.
"""

from __future__ import annotations

import errno
import mmap
import os
import select
import socket
import struct
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from aimm_plugins._environments.memory import POPULATE_READ, LentMemory, advise, padded

Data = bytes | bytearray | memoryview

_HEAD = struct.Struct("<4sBIQQQ")
"""Magic, kind, number of buffers, number, size of the body, and the memory it is in, or 0."""

MAGIC = b"aim\x04"
"""Begins each frame; the last byte changes when frames or their contents do."""

LOAD, CALL, RESULT, ERROR, EVENT, ANSWER, CANCEL, DROP, END = range(1, 10)
"""Kinds of frames: to the process, from it, and both ways."""

NUMBER = struct.Struct("<q")
"""Of the instance that comes with a result; negative for none."""

RELEASE, MEMORY, WITHDRAW = 0, 254, 255
"""Kinds of frames about memory: it may be filled again, is about to be filled, or will not be."""

SHARED_FROM = 1 << 20
"""Bytes of a frame from which on it goes through memory."""

_MAPPED_FROM = 8 << 20
"""Bytes from which on memory is mapped rather than read: each mapping takes a descriptor as long as
an array of it lives, and there are about a thousand."""

_KEPT, _KEPT_BYTES = 2, 256 << 20
"""How much memory a sender keeps to fill it again: the last result is often still in use."""

_AT_ONCE = 500
_POLL_SECONDS = 0.5
_SOON_MS, _LATER_MS = 10, 1000
_NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_MAP_OPTIONS: Any = {"trackfd": False} if sys.version_info >= (3, 13) else {}


class Frame(NamedTuple):
    """What was received.

    Attributes:
        number: Of the call that it belongs to.
        buffers: What the body refers to, each writable and nobody else's.
        problem: Why there is no content, where this process has no room for it.
    """

    kind: int
    number: int
    body: Data
    buffers: Sequence[Data] = ()
    problem: Exception | None = None


class ProtocolError(Exception):
    """The other side does not speak as this one does."""


class GoneError(OSError):
    """The other side has ended; a class of its own, since signal handlers raise `OSError` too."""


class BusyError(OSError):
    """The other side takes nothing in time."""


class Channel:
    """One side of a connection, with its Unix socket; any thread may send, and one receives."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._waiting = select.poll()
        self._waiting.register(connection, select.POLLIN)
        self._sending = threading.Lock()
        self._notes: deque[tuple[int, int]] = deque()
        self._memory: dict[int, LentMemory] = {}
        self._last_memory = 0
        self._keeping = threading.Lock()
        self._announced: dict[int, mmap.mmap | Exception] = {}
        self._borrowed: dict[int, Any] = {}
        self.closed = False
        _CHANNELS.add(self)

    def send(
        self,
        kind: int,
        number: int,
        body: Data = b"",
        buffers: Sequence[Data] = (),
        *,
        until: float | None = None,
    ) -> None:
        """Send a frame, or give up at a time (`until`) of `time.monotonic`.

        Raises `BusyError` (a part of the frame may be sent), `GoneError`, or an `OSError` where
        the system has no memory for it.
        """
        parts = [memoryview(part).cast("B") for part in (body, *buffers)]
        sizes = [part.nbytes for part in parts]
        total = sum(map(padded, sizes))
        memory = None
        try:
            if sum(sizes) >= SHARED_FROM:
                memory = self._lend(total)
                head = _HEAD.pack(MAGIC, MEMORY, 0, memory.number, total, 0)
                self._write([memoryview(head)], memory.handle, until)
                memory.fill(parts)
                parts = []
            reference = 0 if memory is None else memory.number
            head = _HEAD.pack(MAGIC, kind, len(buffers), number, sizes[0], reference)
            rest = struct.pack(f"<{len(buffers)}Q", *sizes[1:])
            self._write([memoryview(head + rest), *parts], None, until)
        except BaseException as error:
            if memory is not None:  # nobody else will let go of it
                self._memory.pop(memory.number, None)
                self.note(WITHDRAW, memory.number)
            if type(error) is OSError:
                text = f"no shared memory for {total} bytes ({error.strerror})"
                raise OSError(error.errno, text) from error
            raise
        self._send_notes()

    def note(self, kind: int, number: int) -> None:
        """Send a frame without content, at once or when there is room; never waits or raises.

        For finalizers: they run in any thread at any time, also within `send`.
        """
        self._notes.append((kind, number))
        self._send_notes()

    def _send_notes(self) -> None:
        while self._notes and not self.closed and self._sending.acquire(blocking=False):
            try:
                if not self._notes:  # another thread was faster
                    return
                kind, number = self._notes[0]
                head = _HEAD.pack(MAGIC, kind, 0, number, 0, 0)
                self._socket.send(head, socket.MSG_DONTWAIT | _NO_SIGNAL)
                self._notes.popleft()  # others add at the other end alone
            except OSError:  # there is no room, or the other side is gone
                return
            finally:
                self._sending.release()

    def receive(self) -> Frame:
        """The next frame; an `EOFError` where the other side is gone."""
        while True:
            # Once it is closed, its descriptor may be that of another file.
            while not (self.closed or self._waiting.poll(_SOON_MS if self._notes else _LATER_MS)):
                self._send_notes()  # those for which there was no room
            handles: list[int] = []
            head = self._read(_HEAD.size, handles)
            magic, kind, count, number, size, reference = _HEAD.unpack(head)
            if magic != MAGIC:
                raise ProtocolError(
                    f"host and environment speak differently ({bytes(magic)!r}, and here {MAGIC!r})"
                    ": install one version of aimm-plugins in both, then start the host again"
                )
            if kind == RELEASE:
                memory = self._memory.get(number)
                if memory is not None:
                    memory.is_lent = False
                continue
            if kind == MEMORY:
                self._announced[number] = _mapped(handles, size)
                continue
            if kind == WITHDRAW:
                self._announced.pop(number, None)
                continue
            sizes = (size, *struct.unpack(f"<{count}Q", self._read(8 * count)))
            rooms = [padded(each) if reference else each for each in sizes]
            if reference:
                try:
                    whole = self._borrow(reference)
                except (OSError, MemoryError) as error:
                    self.note(RELEASE, reference)
                    return Frame(kind, number, b"", problem=error)
            else:
                whole = self._read(sum(rooms))
            view, parts = memoryview(whole), []
            for each, room in zip(sizes, rooms, strict=True):
                parts.append(view[:each])
                view = view[room:]
            return Frame(kind, number, parts[0], parts[1:])

    def close(self) -> None:
        """End the connection; wakes whoever receives."""
        self.closed = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self.forget()

    def forget(self) -> None:
        """Let go of the connection, which goes on where it was copied by a fork."""
        self.closed = True
        self._socket.close()
        self._memory.clear()
        self._announced.clear()

    # The socket

    def _write(self, parts: list[memoryview], handle: int | None, until: float | None) -> None:
        wait = -1 if until is None else max(until - time.monotonic(), 0)
        if not self._sending.acquire(timeout=wait):
            raise BusyError("the process takes no calls")
        attached: Any = []
        if handle is not None:
            attached = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", handle))]
        began = False
        try:
            while parts:
                had_begun, began = began, True
                try:
                    flags = socket.MSG_DONTWAIT | _NO_SIGNAL
                    sent = self._socket.sendmsg(parts[:_AT_ONCE], attached, flags)
                except BlockingIOError:
                    began = had_begun
                    self._wait_for_room(until)
                    continue
                except OSError as error:
                    raise GoneError("the process has ended") from error
                attached = []
                while parts and sent >= parts[0].nbytes:
                    sent -= parts.pop(0).nbytes
                if sent:
                    parts[0] = parts[0][sent:]
        except BaseException:
            if began:  # nobody could read on after half a frame
                self.close()
            raise
        finally:
            self._sending.release()

    def _wait_for_room(self, until: float | None) -> None:
        if until is not None and time.monotonic() >= until:
            raise BusyError("the process takes no calls")
        room = select.poll()
        with suppress(ValueError):  # another thread has closed it
            room.register(self._socket, select.POLLOUT)
        room.poll(_POLL_SECONDS * 1000)

    def _read(self, size: int, handles: list[int] | None = None) -> bytearray:
        content = bytearray(size)
        view = memoryview(content)
        while view.nbytes:
            try:
                if handles is None:
                    count = self._socket.recv_into(view)
                else:
                    room = socket.CMSG_SPACE(struct.calcsize("i"))
                    count, attached, *_ = self._socket.recvmsg_into([view], room, _CLOSE_ON_EXEC)
                    handles += (struct.unpack("i", data[:4])[0] for *_, data in attached)
            except OSError as error:
                raise EOFError("the connection is lost") from error
            if count == 0:
                raise EOFError("the other side has ended")
            view = view[count:]
        return content

    # Memory that is lent to the other side

    def _lend(self, size: int) -> LentMemory:
        """Memory that the other side has let go of, else new."""
        kept = self._memory
        with self._keeping:
            fitting = [m for m in kept.values() if not m.is_lent and m.size >= size]
            if fitting:
                memory = min(fitting, key=lambda m: m.size)
                memory.is_lent = True
                return memory
            self._last_memory += 1
            memory = LentMemory(self._last_memory, size)
            if size <= _KEPT_BYTES:
                while kept and (
                    len(kept) == _KEPT or sum(m.size for m in kept.values()) + size > _KEPT_BYTES
                ):
                    del kept[next((n for n, m in kept.items() if not m.is_lent), next(iter(kept)))]
                kept[memory.number] = memory
            return memory

    # Memory that is borrowed from it

    def _borrow(self, number: int) -> Data:
        mapping = self._announced.pop(number)
        if isinstance(mapping, Exception):
            raise mapping
        if len(mapping) < _MAPPED_FROM:
            content = bytearray(mapping)
            self.note(RELEASE, number)
            return content
        channel = weakref.ref(self)

        def release(_: object) -> None:
            lender = channel()
            if lender is not None and lender._borrowed.pop(number, None) is not None:
                lender.note(RELEASE, number)

        self._borrowed[number] = weakref.ref(mapping, release)
        return memoryview(mapping)


def _mapped(handles: list[int], size: int) -> mmap.mmap | Exception:
    """Memory that the other side is about to fill, or why it cannot be had."""
    if not handles:  # the system has dropped it
        return OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    (handle,) = handles
    try:
        # Private: what is written to an array stays in this process, and out of its forks.
        mapping = mmap.mmap(
            handle, size, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE, **_MAP_OPTIONS
        )
    except (OSError, MemoryError) as error:
        return error
    finally:
        os.close(handle)
    advise(mapping, POPULATE_READ)
    return mapping


_CHANNELS: weakref.WeakSet[Channel] = weakref.WeakSet()


def _before_fork() -> None:
    for channel in list(_CHANNELS):
        channel._borrowed.clear()  # never given back, because the fork goes on reading it


def _after_fork_in_child() -> None:
    # The connection is the parent's: what both read, none could understand.
    for channel in list(_CHANNELS):
        channel._keeping = threading.Lock()  # another thread may have held it
        channel.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
