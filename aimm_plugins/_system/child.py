"""Run a task in a fresh Python process, and end that process with all that it started.

A task is a function of this package with plain arguments, which yields plain answers; `child_side`
calls it. Tasks and answers travel by marshal: reading an answer runs no code, so no plugin can come
into this process that way.

The child ends when its task is done, when it gives no answer in time, and when this process ends,
even if that is killed: the child's stdin is a pipe whose other end only this process holds. Nothing
is left in the folder of temporary files either, because what is written there has no name.
"""

from __future__ import annotations

import marshal
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import IO, Any

from aimm_plugins._system.child_side import END

Task = partial[Iterator[Any]]
"""A function at the top of a module of this package, with arguments that marshal takes."""

START_SECONDS = 120.0
"""For starting an interpreter and importing what it needs; generous, since machines are busy."""

OUTPUT_LIMIT = 16 * 1024 * 1024
"""Most bytes that are kept of what a child writes."""

# The path comes first: everything else is imported by it.
_BOOTSTRAP = (
    "import marshal, sys; sys.path[:] = marshal.load(sys.stdin.buffer); "
    "from aimm_plugins._system.child_side import serve; serve()"
)
_POLL_SECONDS = 0.02
# Not `pythonservice.exe`, by which pywin32 runs a service of Windows.
_PYTHON = re.compile(r"(platform-)?(python|pypy|graalpy)w?(_d)?([\d.-].*)?", re.IGNORECASE)


class ChildError(RuntimeError):
    """No child process can be started here; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildResult:
    """What a child process answered, and how it ended."""

    answers: list[Any]
    finished: bool  # whether it did all of its task
    # Negative where a signal ended it; `None` where it gave no answer in time and was ended.
    status: int | None
    allowed: float  # seconds for the last answer
    output: bytes  # what it wrote to stdout and stderr

    @property
    def text(self) -> str:
        return self.output.decode(errors="replace")

    @property
    def ended(self) -> str:
        if self.status is None:
            return f"gave no answer for {self.allowed:g} seconds"
        return ended(self.status)


def ended(status: int) -> str:
    """How a process has ended, as a sentence without its subject: `left with status 3`."""
    if status >= 0:
        return f"left with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal
        return f"was ended by signal {-status}"


def interpreter() -> str:
    """The Python that runs this process.

    A `ChildError` in a frozen program, or one that embeds Python: started again, it would do its
    own work again, and not ours.
    """
    program = sys.executable
    if getattr(sys, "frozen", False):
        reason = "this program is frozen, so sys.executable would start the program again"
    elif sys.platform == "emscripten":
        reason = "WebAssembly has no processes"
    elif not program:
        reason = "sys.executable is empty; set it to a Python that has the same packages"
    elif not _PYTHON.fullmatch(os.path.basename(program)):
        reason = (
            f"sys.executable is {program}, which is no Python interpreter; set it to one that has "
            "the same packages"
        )
    else:
        return program
    raise ChildError(f"no child process can be started: {reason}")


def run_task(
    task: Task,
    *,
    seconds: float = math.inf,
    start_seconds: float = 0.0,
    shown: bool = False,
    flags: Sequence[str] = (),
    environment: Mapping[str, str | None] = MappingProxyType({}),
    in_new_folder: bool = False,
) -> ChildResult:
    """Do a task in a fresh Python process.

    The process has this one's `sys.path`, environment, working directory and options as `-O`, and
    neither its import hooks nor what it has imported. Its stdin is empty, its stdout is its stderr.
    It leaves as soon as the task is done, and its threads and what it has started end with it.

    Args:
        task: What to do.
        seconds: Time between two answers after which it counts as hanging.
        start_seconds: What the first answer may take more, for starting and importing.
        shown: Whether its output goes to this process's stderr, and not into the result.
        flags: Further options of the interpreter.
        environment: Variables beyond this process's; `None` for one that it is not to have.
        in_new_folder: Whether its working directory is an empty one, which is removed afterwards.
    """
    command = [interpreter(), *_own_flags(), *flags, "-c", _BOOTSTRAP]
    variables = {**os.environ, **environment}
    with ExitStack() as stack:
        try:
            from tempfile import TemporaryDirectory, TemporaryFile  # environments do without

            answers = stack.enter_context(TemporaryFile())
            captured = stack.enter_context(TemporaryFile())
            folder = None
            if in_new_folder:
                folder = stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True))
            child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=answers,
                stderr=None if shown else captured,
                cwd=folder,
                env={name: value for name, value in variables.items() if value is not None},
                start_new_session=True,
            )
        except OSError as error:
            raise ChildError(f"no child process can be started: {error}") from error
        try:
            _feed(child, _job(task, folder))
            status, allowed = _wait(child, answers, captured, seconds, start_seconds)
        finally:
            _end(child)
        found, finished = _read(answers)
        captured.seek(0)
        return ChildResult(
            answers=found,
            finished=finished,
            status=status,
            allowed=allowed,
            output=captured.read(OUTPUT_LIMIT),
        )


def _own_flags() -> Iterator[str]:
    """The options of this process that decide what an import runs, finds and writes."""
    # With -I or -P no module of the working directory comes before Python's own.
    yield "-I" if sys.flags.isolated else "-P"
    yield from ["-O"] * sys.flags.optimize
    yield from ["-E"] * sys.flags.ignore_environment
    yield from ["-S"] * sys.flags.no_site
    yield from ["-s"] * sys.flags.no_user_site
    yield from ["-B"] * bool(sys.dont_write_bytecode)


def _job(task: Task, folder: str | None) -> bytes:
    path = [entry for entry in sys.path if isinstance(entry, str)]
    if folder is not None:  # where relative entries would lead nowhere
        path = [os.path.abspath(entry) for entry in path]
    job = (task.func.__module__, task.func.__qualname__, task.args, task.keywords, folder)
    return marshal.dumps(path) + marshal.dumps(job)


def _feed(child: subprocess.Popen[bytes], content: bytes) -> None:
    """Write the job in a thread: a child that hangs before it reads must not hold this one up.

    Subinterpreters have no daemon threads. This one ends when the child does.
    """
    pipe = child.stdin
    assert pipe is not None

    def write() -> None:
        with suppress(OSError, ValueError):  # the child has ended
            pipe.write(content)
            pipe.flush()

    threading.Thread(target=write, daemon=False).start()


def _wait(
    child: subprocess.Popen[bytes],
    answers: IO[bytes],
    captured: IO[bytes],
    seconds: float,
    start_seconds: float,
) -> tuple[int | None, float]:
    """Wait for the child's end: its exit status, and the seconds that it had for an answer."""
    size, allowed = 0, start_seconds + seconds
    deadline = time.monotonic() + allowed
    while True:
        with suppress(subprocess.TimeoutExpired):
            return child.wait(_POLL_SECONDS), allowed
        now = os.fstat(answers.fileno()).st_size
        if now != size:
            size, allowed = now, seconds
            deadline = time.monotonic() + allowed
        elif time.monotonic() > deadline:
            return None, allowed
        if os.fstat(captured.fileno()).st_size > OUTPUT_LIMIT:
            captured.truncate(OUTPUT_LIMIT)


def _end(child: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        if child.returncode is None:
            # `wait` takes a lock that stays held where a signal has interrupted it (gh-29988).
            with suppress(ChildProcessError):  # it was interrupted after it had waited
                os.waitpid(child.pid, 0)
            child.returncode = -signal.SIGKILL
    else:
        with suppress(PermissionError):
            child.kill()
        child.wait()
    with suppress(OSError):  # what was not written has no reader any more
        assert child.stdin is not None
        child.stdin.close()


def _read(stream: IO[bytes]) -> tuple[list[Any], bool]:
    """The answers that were written whole, and whether they are all."""
    stream.seek(0)
    found = []
    with suppress(EOFError, ValueError, TypeError):  # a crash cut the last one off
        while (answer := marshal.load(stream)) != END:
            found.append(answer)
        return found, True
    return found, False
