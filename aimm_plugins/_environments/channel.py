"""Frames between a host and a process: a kind, a number, a body, and buffers.

Small frames go through the socket. Large ones go through memory that both sides map: it has no
name, and its descriptor travels with the frame, so the kernel frees it when the last side lets go
of it, however that side ends.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from aimm_plugins._environments.memory import filled, mapped, padded

Data = bytes | bytearray | memoryview

_HEAD = struct.Struct("<4sBIQQ?")
"""Magic, kind, number of buffers, number, size of the body, and whether memory comes with it."""

MAGIC = b"aim\x05"
"""Begins each frame; the last byte changes when frames or their contents do."""

LOAD, CALL, RESULT, ERROR, EVENT, ANSWER, CANCEL, DROP, END = range(1, 10)
"""Kinds of frames: to the process, from it, and both ways."""

NUMBER = struct.Struct("<q")
"""Of the instance that comes with a result; negative for none."""

SHARED_FROM = 1 << 20
"""Bytes of a frame from which on it goes through memory."""

_AT_ONCE = 500
_POLL_SECONDS = 0.5
_SOON_MS, _LATER_MS = 10, 1000
_NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


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
        is_shared = sum(sizes) >= SHARED_FROM
        head = _HEAD.pack(MAGIC, kind, len(buffers), number, sizes[0], is_shared)
        head += struct.pack(f"<{len(buffers)}Q", *sizes[1:])
        if is_shared:
            with filled(parts) as memory:
                self._write([memoryview(head)], memory, until)
        else:
            self._write([memoryview(head), *parts], None, until)
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
                head = _HEAD.pack(MAGIC, kind, 0, number, 0, False)
                self._socket.send(head, socket.MSG_DONTWAIT | _NO_SIGNAL)
                self._notes.popleft()  # others add at the other end alone
            except OSError:  # there is no room, or the other side is gone
                return
            finally:
                self._sending.release()

    def receive(self) -> Frame:
        """The next frame; an `EOFError` where the other side is gone."""
        # Once it is closed, its descriptor may be that of another file.
        while not (self.closed or self._waiting.poll(_SOON_MS if self._notes else _LATER_MS)):
            self._send_notes()  # those for which there was no room
        handles: list[int] = []
        head = self._read(_HEAD.size, handles)
        magic, kind, count, number, size, is_shared = _HEAD.unpack(head)
        if magic != MAGIC:
            raise ProtocolError(
                f"host and environment speak differently ({bytes(magic)!r}, and here {MAGIC!r}): "
                "install one version of aimm-plugins in both, then start the host again"
            )
        sizes = (size, *struct.unpack(f"<{count}Q", self._read(8 * count)))
        rooms = [padded(each) if is_shared else each for each in sizes]
        if is_shared:
            try:
                view = mapped(handles, sum(rooms))
            except (OSError, MemoryError) as error:
                return Frame(kind, number, b"", problem=error)
        else:
            view = memoryview(self._read(sum(rooms)))
        parts = []
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


_CHANNELS: weakref.WeakSet[Channel] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    # The connection is the parent's: what both read, none could understand.
    for channel in list(_CHANNELS):
        channel.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
