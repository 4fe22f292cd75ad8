"""Fresh interpreters that answer piece by piece, and are ended when they hang."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The path comes first: what unpickling the job imports is found by it.
_BOOTSTRAP = """\
import json, sys
head = json.loads(sys.stdin.buffer.readline())
sys.path[:] = head["path"]
sys.argv[:] = [""]
from aimm_plugins.testing._child import serve
serve(head["answers"], sys.stdin.buffer.read())
"""

_START_SECONDS = 120.0
"""For starting an interpreter and importing what it needs; generous, since machines are busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a child process told.

    Attributes:
        told: Its answers, in order.
        ended: `None` where it came to its end, else how it ended instead.
        output: What it wrote to stdout and stderr.
    """

    told: list[Any] = field(default_factory=list)
    ended: str | None = None
    output: str = ""


def ask(
    task: str,
    job: Mapping[str, Any],
    *,
    seconds: float,
    environment: Mapping[str, str | None] | None = None,
    folder: str | None = None,
    start_seconds: float = _START_SECONDS,
) -> Answers:
    """Run a task of `_child` in a fresh interpreter, with this process's `sys.path`.

    Args:
        task: Name of the task.
        job: What it is given; has to pickle.
        seconds: Time between two answers after which it counts as hanging.
        start_seconds: What the first answer may take more, for starting and importing.
        environment: Variables beyond this process's; `None` for one that it is not to have.
        folder: Its working directory.

    Raises:
        Exception: The job cannot be pickled.
    """
    path = [os.path.abspath(each) for each in sys.path if isinstance(each, str)]
    variables: dict[str, str | None] = {**os.environ, **(environment or {})}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        answers = os.path.join(scratch, "answers")
        output = os.path.join(scratch, "output")
        head = json.dumps({"path": path, "answers": answers}).encode() + b"\n"
        content = head + pickle.dumps((task, dict(job)))
        with open(answers, "wb"), open(output, "w+b") as stream:
            child = subprocess.Popen(
                [sys.executable, "-c", _BOOTSTRAP],
                stdin=subprocess.PIPE,
                stdout=stream,
                stderr=stream,
                cwd=folder,
                env={name: value for name, value in variables.items() if value is not None},
                start_new_session=True,
            )
            try:
                ended = _wait(child, content, answers, seconds, start_seconds)
            finally:
                _end(child)
            stream.seek(0)
            text = stream.read(1_000_000).decode(errors="replace")
        with open(answers, "rb") as told_by_child:
            told, finished = _read(told_by_child.read())
    return Answers(told=told, ended=None if finished else ended, output=text)


def _wait(
    child: subprocess.Popen[bytes],
    content: bytes,
    answers: str,
    seconds: float,
    start_seconds: float,
) -> str:
    """Feed the child and wait for its end; how it ended, for when it did not finish."""
    assert child.stdin is not None
    try:
        child.stdin.write(content)
        child.stdin.close()
    except OSError:  # it ended before it had read all
        pass
    size, allowed = 0, start_seconds + seconds
    deadline = time.monotonic() + allowed
    while True:
        try:
            # Polling: a child that hangs must be noticed, and one that crashes must not be awaited.
            status = child.wait(0.005)
        except subprocess.TimeoutExpired:
            pass
        else:
            return _how(status)
        now = os.path.getsize(answers)
        if now != size:
            size, allowed = now, seconds
            deadline = time.monotonic() + allowed
        elif time.monotonic() > deadline:
            return f"gave no answer for {allowed:g} seconds"


def _end(child: subprocess.Popen[bytes]) -> None:
    """Stop the child and all that it started."""
    try:
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
    except (ProcessLookupError, PermissionError):
        pass
    child.wait()


def _how(status: int) -> str:
    if status < 0:
        return f"was ended by signal {-status}"
    return f"left with status {status}"


def _read(content: bytes) -> tuple[list[Any], bool]:
    """The answers that were written whole, and whether the last one says that all is done."""
    told = []
    while len(content) >= 8:
        size = int.from_bytes(content[:8], "big")
        if len(content) < 8 + size:
            break
        told.append(pickle.loads(content[8 : 8 + size]))
        content = content[8 + size :]
    if told and told[-1] == ("end",):
        return told[:-1], True
    return told, False


class ProcessError(RuntimeError):
    """Code in a fresh process failed; the message has its traceback or its output."""


class FreshProcess:
    """Runs code in fresh interpreters that find modules where this one does.

    Args:
        seconds: Time that the code may take; starting the interpreter does not count.
    """

    def __init__(self, seconds: float = 60.0) -> None:
        self.seconds = seconds

    def __call__(self, code: str, /, **names: Any) -> Any:
        """Execute code and return what it left in `result`, or `None`.

        Args:
            code: Python source.
            **names: Names that it finds; the values are pickled.

        Raises:
            ProcessError: It raised, hung or crashed.
        """
        answers = ask("execute", {"code": code, "names": names}, seconds=self.seconds)
        if not answers.told:
            raise ProcessError(f"the process {answers.ended}\n{answers.output}".rstrip())
        kind, value = answers.told[0]
        if kind == "error":
            raise ProcessError(value)
        return pickle.loads(value)
