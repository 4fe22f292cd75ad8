"""One process of an environment, as the host has it: started, spoken with, and ended."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from queue import Empty, SimpleQueue

from aimm_plugins._dispatch.cancelling import Cancellation
from aimm_plugins._environments import channel
from aimm_plugins._environments.channel import BusyError, Channel, Frame, GoneError, ProtocolError
from aimm_plugins._environments.payload import Packed
from aimm_plugins._environments.site import EnvironmentSite
from aimm_plugins._system.child import ended
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.text import printable
from aimm_plugins.errors import Cancelled, EnvironmentLost

GRACE_SECONDS = 3.0
"""What a call that is cancelled has until its process is ended."""

END_SECONDS = 5.0
"""What a process has to leave by itself."""

_SLICE_SECONDS = 1.0
_POLL_SECONDS = 0.05
_OUTPUT_SECONDS = 2.0
"""For the end of its output; what it has started may go on writing for ever."""
_TAIL_LINES, _TAIL_BYTES = 40, 16_384


Inbox = SimpleQueue[Frame | None]
"""What comes for one call; `None` when the process has ended."""


class NotTakenError(Exception):
    """A call was not even sent, since its process has ended or is about to leave."""


class PluginProcess:
    """A process of an environment.

    Attributes:
        status: Its exit status, negative for a signal; `None` while it runs.
        why: Why it was ended, if we ended it.
    """

    def __init__(self, environment: str, site: EnvironmentSite) -> None:
        self.environment = environment
        self.status: int | None = None
        self.why: str | None = None
        self._numbers = count(1)
        self._calls: dict[int, Inbox] = {}
        self._lock = threading.Lock()
        self._is_over = self._is_leaving = False
        self._leaves: str | None = None
        self._gone = threading.Event()
        self._tail = b""
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        try:
            self._child = site.start(theirs.fileno(), writing)
        except BaseException:
            ours.close()
            os.close(reading)
            raise
        finally:
            theirs.close()
            os.close(writing)
        self.pid = self._child.pid
        self._channel = Channel(ours)
        self._listener = threading.Thread(target=self._copy_output, args=(reading,), daemon=True)
        self._listener.start()
        threading.Thread(target=self._read, daemon=True).start()

    def __str__(self) -> str:
        return f"process {self.pid} of environment {self.environment}"

    @property
    def is_running(self) -> bool:
        return not self._is_over

    @property
    def load(self) -> int:
        return len(self._calls)

    # Calls

    def converse(
        self,
        kind: int,
        content: Packed,
        *,
        about: str,
        on_event: Callable[[Frame], Packed] | None = None,
        cancellations: Sequence[Cancellation] = (),
        seconds: float | None = None,
    ) -> Frame:
        """Send a request, and wait for the frame of its result or of what the plugin raised.

        State events are handled in this thread; the plugin is answered what `on_event` returns.

        Raises:
            NotTakenError: The process has ended before.
            EnvironmentLost: It has ended meanwhile.
            TimeoutError: It took too long; the process was ended.
            Cancelled: It was cancelled, and went on; the process was ended.
            BaseException: What interrupts this thread; the plugin is asked to end.
        """
        inbox: Inbox = SimpleQueue()
        until = None if seconds is None else time.monotonic() + seconds
        number = self._open(inbox)
        is_over = True
        try:
            self._channel.send(kind, number, *content, until=until)
            while True:
                received = self._next(inbox, until, cancellations)
                if received is None:
                    reasons = (getattr(c, "reason", None) for c in cancellations if c.is_set())
                    return self._end_call(number, inbox, about, next(reasons, None))
                if received.problem is not None:
                    raise received.problem
                if received.kind != channel.EVENT:
                    return received
                assert on_event is not None
                self._channel.send(channel.ANSWER, number, *on_event(received), until=until)
        except (GoneError, BusyError) as error:
            if isinstance(error, GoneError) or self._is_dead():
                self.wait(END_SECONDS)
                raise self.lost(about) from None
            why = f"{about} took more than {seconds:g} s"
            self.end(why)
            raise TimeoutError(f"{why} in {self}, which was ended") from None
        except BaseException:
            is_over = not self.is_running
            if not is_over:
                given = (number, inbox, about)
                threading.Thread(target=self._end_unheard, args=given, daemon=True).start()
            raise
        finally:
            if is_over:
                self._close(number)

    def _next(
        self, inbox: Inbox, until: float | None, cancellations: Sequence[Cancellation] = ()
    ) -> Frame | None:
        """The next frame of a call; `None` if it is cancelled, a `BusyError` if time is over."""
        pause = _POLL_SECONDS if cancellations else _SLICE_SECONDS
        while True:
            left = pause if until is None else until - time.monotonic()
            if left <= 0:
                raise BusyError
            with suppress(Empty):
                received = inbox.get(timeout=min(left, pause))
                if received is None:
                    raise GoneError
                return received
            if any(cancellation.is_set() for cancellation in cancellations):
                return None
            if self._is_dead():
                self._channel.close()  # what it has started may hold the connection open

    def _end_call(self, number: int, inbox: Inbox, about: str, reason: str | None) -> Frame:
        """Have the plugin end a call: by its next state event, else with its process."""
        until = time.monotonic() + GRACE_SECONDS
        body = b"" if reason is None else str(reason).encode(errors="replace")
        with suppress(OSError):
            self._channel.send(channel.CANCEL, number, body, until=until)
        try:
            while True:
                received = self._next(inbox, until)
                if received is not None and received.kind != channel.EVENT:
                    return received
        except BusyError:
            self.end(f"{about} was cancelled, and went on for {GRACE_SECONDS:g} s")
            raise Cancelled(reason=reason) from None

    def _end_unheard(self, number: int, inbox: Inbox, about: str) -> None:
        """End a call whose caller was interrupted."""
        with suppress(GoneError, Cancelled):
            self._end_call(number, inbox, about, "its caller was interrupted")
        self._close(number)

    def _open(self, inbox: Inbox) -> int:
        number = next(self._numbers)
        with self._lock:
            # The thread that reads may not have met its end yet, nor that of the connection, which
            # a call closes that is interrupted while it sends.
            if self._is_over or self._is_leaving or self._channel.closed or self._is_dead():
                raise NotTakenError
            self._calls[number] = inbox
        return number

    def _close(self, number: int) -> None:
        with self._lock:
            self._calls.pop(number, None)
        if self._leaves is not None:
            self.leave_when_idle(self._leaves)

    def let_go(self, number: int) -> None:
        """Let an instance go, for finalizers: at once or later, in any thread."""
        self._channel.note(channel.DROP, number)

    # Its end

    def lost(self, about: str | None = None) -> EnvironmentLost:
        if self.why is not None:
            how = f"was ended: {self.why}"
        else:
            how = "has ended" if self.status is None else ended(self.status)
        text = f"{self} {how}"
        if about is not None and self.why is None:
            text += f", during {about}"
        lines = self._tail.decode(errors="replace").splitlines()[-_TAIL_LINES:]
        tail = printable("\n".join(lines))
        if tail:
            text += "\n  the last that it wrote:\n    " + tail.replace("\n", "\n    ")
        return EnvironmentLost(
            text, environment=self.environment, pid=self.pid, status=self.status, stderr=tail
        )

    def end(self, why: str | None) -> None:
        if self.why is None and not self._is_over:
            self.why = why
        self._kill()
        self._gone.wait(END_SECONDS)

    def ask_to_leave(self, why: str) -> None:
        """Have it leave when it is idle, as a program does that has come to its end."""
        with self._lock:
            self.why, self._is_leaving = self.why or why, True
        with suppress(OSError):
            self._channel.send(channel.END, 0, until=time.monotonic() + END_SECONDS)

    def leave_when_idle(self, why: str) -> None:
        """Have it leave after the calls that are under way."""
        with self._lock:
            self._leaves = why
            is_idle = not self._calls and not self._is_leaving
            self._is_leaving = self._is_leaving or is_idle
        if is_idle:
            self.ask_to_leave(why)
            timer = threading.Timer(END_SECONDS, self.end, [why])
            timer.daemon = True
            timer.start()

    def wait(self, seconds: float) -> bool:
        return self._gone.wait(seconds)

    def forget(self) -> None:
        """In a fork: it is the parent's."""
        self._is_over = True
        self.why = "it belongs to the process that this one was forked from"
        if self._child.stdin is not None:
            with suppress(OSError):
                self._child.stdin.close()
        self._child.returncode = 0  # nobody here has to wait for it

    def _kill(self) -> None:
        # As long as it was not waited for, its id is nobody else's.
        if self._child.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def _is_dead(self) -> bool:
        """Whether it has ended, without waiting for it."""
        if self._child.returncode is not None:
            return True
        with suppress(ChildProcessError):
            flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, self.pid, flags) is not None
        return True

    # Threads

    def _read(self) -> None:
        """Hand out what the process sends, until it ends."""
        try:
            while True:
                frame = self._channel.receive()
                inbox = self._calls.get(frame.number)
                if inbox is not None:
                    inbox.put(frame)
                del frame, inbox  # arrays in it would live until the next one
        except EOFError:
            pass
        except ProtocolError as error:
            self.why = str(error)
        except Exception as error:
            self.why = f"what it sent cannot be read: {error!r}"
        self._finish()

    def _finish(self) -> None:
        with self._lock:
            self._is_over = True
        if self.why is None:  # it may be about to end by itself
            deadline = time.monotonic() + END_SECONDS
            while not self._is_dead() and time.monotonic() < deadline:
                time.sleep(0.001)
            if not self._is_dead():
                self.why = "it has closed its connection"
        self._kill()
        self.status = self._child.wait()
        assert self._child.stdin is not None
        with suppress(OSError):
            self._child.stdin.close()  # its watchdog ends what else it has started
        self._channel.close()
        self._listener.join(_OUTPUT_SECONDS)
        self._gone.set()
        with self._lock:
            calls, self._calls = list(self._calls.values()), {}
        for inbox in calls:
            inbox.put(None)

    def _copy_output(self, output: int) -> None:
        """Copy what the process writes to this one's stderr, and keep the end of it."""
        waiting = select.poll()
        waiting.register(output, select.POLLIN)
        with open(output, "rb", buffering=0) as stream:
            # What gevent has put in the place of threads would all wait for a read without this.
            while waiting.poll() and (content := stream.read(65536)):
                self._tail = (self._tail + content)[-_TAIL_BYTES:]
                with guarded():
                    sys.stderr.write(content.decode(errors="replace"))
                    sys.stderr.flush()
