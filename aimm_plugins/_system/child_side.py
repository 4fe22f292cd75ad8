"""The child's side of `child`: do the task that comes by stdin, and write its answers.

Imports as little as possible, because what is loaded here is not counted as a plugin's where a task
measures an import. Nothing of a plugin runs before the task does.
"""

from __future__ import annotations

import importlib
import marshal
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

END = "the end of the answers"


def serve() -> NoReturn:
    """Do the task and leave at once, since threads of a plugin would hold the process.

    A task that raises ends with status 1 and a traceback.
    """
    status, watchdog = 1, None
    try:
        module, name, args, keywords, folder = marshal.load(sys.stdin.buffer)
        answers = _take_stdout()
        watchdog = end_with_host(take_stdin(), folder)
        sys.argv[:] = [""]
        task = getattr(importlib.import_module(module), name)
        with open(answers, "wb") as stream:
            for answer in task(*args, **keywords):
                marshal.dump(answer, stream)
                stream.flush()
            marshal.dump(END, stream)
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with suppress(BaseException):  # a plugin may have closed or replaced it
            sys.stdout.flush()
        end_watchdog(watchdog)
        os._exit(status)


def _take_stdout() -> int:
    """The file of the answers; what is printed goes to stderr from now on."""
    sys.stdout.flush()
    answers = os.dup(1)
    # What a sitecustomize has printed there is no answer.
    os.ftruncate(answers, 0)
    os.lseek(answers, 0, os.SEEK_SET)
    os.dup2(2, 1)
    return answers


def take_stdin() -> int:
    """The pipe that the host holds open; stdin is empty from now on."""
    pipe = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return pipe


def end_with_host(pipe: int, folder: str | None = None, others: Sequence[int] = ()) -> int | None:
    """Have this process and all that it starts ended when the host has ended; the watchdog's id.

    The watchdog is a process, where the system can fork. A thread would get no turn while an import
    holds the interpreter's lock, and Python warns of a fork in a process with threads.
    """
    if not hasattr(os, "fork"):
        import threading

        threading.Thread(target=_watch, args=(pipe, os.getpid(), folder), daemon=True).start()
        return None
    watched = os.getpid()
    watchdog = os.fork()
    if watchdog == 0:
        for descriptor in others:
            os.close(descriptor)
        _watch(pipe, watched, folder)
    os.close(pipe)
    return watchdog


def end_watchdog(watchdog: int | None) -> None:
    """End what `end_with_host` has started, since this process leaves by itself."""
    if watchdog is not None:
        with suppress(OSError):
            # This raises in a fork, whose child it is not.
            is_running = os.waitpid(watchdog, os.WNOHANG) == (0, 0)
            if is_running:
                os.kill(watchdog, signal.SIGKILL)
                os.waitpid(watchdog, 0)


def _watch(pipe: int, watched: int, folder: str | None) -> NoReturn:
    os.read(pipe, 1)
    if folder is not None:
        import shutil

        if hasattr(os, "fork"):
            with suppress(ProcessLookupError):
                os.kill(watched, signal.SIGKILL)  # before it writes more into the folder
        shutil.rmtree(folder, ignore_errors=True)
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
