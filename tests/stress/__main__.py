"""Stress the registry: `python -m tests.stress --seconds 3600`.

One thread changes the registry in random ways, others call, the main thread forks and is interrupted
in the middle of changes. Every answer has to be one that some registry, which was or is, would give:

- `stay` is never taken away, so that calls of it never fail;
- `turn` is taken by one of two plugins at a time; while everything is unloaded calls of it may fail;
- what the plugin `guarded` answers has passed its own wrapper;
- a forked child can call, and can change the registry.

It prints counts as JSON, and ends with status 1 if any answer was wrong or any child hung.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import json
import os
import random
import signal
import sys
import tempfile
import textwrap
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import aimm_plugins
from aimm_plugins import Result, UnknownPluginError, hookimpl

HEADER = "from aimm_plugins import *\n"
SOURCES = {
    "stress_stay": "@predict(['stay'])\ndef f(m, x): return ('stay', x)\n",
    "stress_guarded": """
        @predict(['turn'])
        def f(m, x): return ('guarded', x)

        @hookimpl(wrapper=True)
        def aimm_predict(model_type):
            result = yield
            instance, answer = result.value
            if answer[0] != 'guarded':
                return result
            return Result((instance, (*answer, 'by its wrapper')))
        """,
    "stress_plain": "@predict(['turn'])\ndef f(m, x): return ('plain', x)\n",
}
RIGHT = {("guarded", 7, "by its wrapper"), ("plain", 7)}
CHILD_SECONDS = 60  # a busy machine lets a child wait
HUNG = (1, -signal.SIGABRT)  # by faulthandler, and by `wait`


class Wrapper:
    """A wrapper of a host, which lets everything pass."""

    @hookimpl(wrapper=True)
    def aimm_predict(self, model_type: str) -> Any:
        return (yield)


class Stress:
    """The threads, and what they counted."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.counts: collections.Counter[str] = collections.Counter()
        self.wrong: list[str] = []
        self.stop = threading.Event()
        self.absent = 0  # counts the moments from which on `turn` may have nobody
        self.away = threading.Event()

    def initialize(self, *modules: str) -> None:
        """Register plugins, and those that stay."""
        names = ["stress_stay", *modules]
        aimm_plugins.initialize({"names": names, "entry_points": {"enabled": False}})

    def call(self) -> None:
        """Call until the end, and judge the answers."""
        while not self.stop.is_set():
            self.judge("stay", {("stay", 7)})
            self.judge("turn", RIGHT)

    def judge(self, key: str, right: set[tuple[Any, ...]]) -> None:
        """Call one key once."""
        before, away = self.absent, self.away.is_set()
        try:
            _, answer = aimm_plugins.exec_predict(key, None, None, 7)
        except UnknownPluginError as error:
            may_fail = away or self.away.is_set() or self.absent != before
            self.counts["unknown while away"] += may_fail
            if not may_fail:
                self.wrong.append(f"{key}: {error}"[:300])
        except BaseException as error:
            self.wrong.append(f"{key}: {error!r}"[:300])
        else:
            self.counts[f"{key} answered"] += 1
            if answer not in right:
                self.wrong.append(f"{key}: {answer!r}")

    def replace(self) -> None:
        """Give `turn` to another plugin by way of an empty registry."""
        self.absent += 1
        self.away.set()
        try:
            aimm_plugins.unload_all()
            self.initialize(self.random.choice(["stress_guarded", "stress_plain"]))
        finally:
            # An interrupt may have left nothing registered.
            while "turn" not in {key for _, key in aimm_plugins.providers()}:
                self.initialize("stress_plain")
            self.away.clear()

    def add(self) -> None:
        """Initialize once more, which changes nothing."""
        self.initialize()

    def refresh(self) -> None:
        """Catch up with what is installed, which is nothing new."""
        aimm_plugins.refresh()

    def wrap(self) -> None:
        """Register and unregister a wrapper."""
        manager, wrapper = aimm_plugins.get_plugin_manager(), Wrapper()
        try:
            manager.register(wrapper)
        finally:
            if manager.is_registered(wrapper):
                manager.unregister(wrapper)

    def monitor(self) -> None:
        """Add and end a monitor."""

        def see(*_: object) -> None: ...

        aimm_plugins.get_plugin_manager().add_hookcall_monitoring(see, see)()

    def declare(self) -> None:
        """Declare by hand, again and again."""
        aimm_plugins.predict(["by hand"])(lambda m, x: Result(x))

    def change(self) -> None:
        """Change the registry until the end."""
        changes = [self.add, self.refresh, self.wrap, self.monitor, self.declare, self.replace]
        while not self.stop.is_set():
            change = self.random.choice(changes)
            try:
                change()
                self.counts[change.__name__] += 1
            except BaseException:
                self.wrong.append(f"{change.__name__}: {traceback.format_exc()}"[-1500:])

    def fork(self) -> None:
        """Fork a child that calls and changes."""
        pid = os.fork()
        if pid == 0:
            status = 4
            try:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                faulthandler.dump_traceback_later(CHILD_SECONDS, exit=True)
                _, answer = aimm_plugins.exec_predict("stay", None, None, 7)
                self.wrap()
                self.monitor()
                self.initialize()
                status = 0 if answer == ("stay", 7) else 3
            except UnknownPluginError:
                status = 0 if self.away.is_set() else 5
            finally:
                os._exit(status)
        status = self.wait(pid)
        self.counts["children"] += 1
        if status in HUNG and not getattr(sys, "_is_gil_enabled", lambda: True)():
            # CPython 3.14t leaves any dict locked in a child that threads fought for at the fork.
            self.counts["children that hung without the GIL"] += 1
        elif status:
            self.wrong.append(f"a child ended with {status}")

    def wait(self, pid: int) -> int:
        """The exit status of a child; one that hangs before it can tell where is made to tell."""
        end = time.monotonic() + 3 * CHILD_SECONDS
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > end:
                os.kill(pid, signal.SIGABRT)
                end += CHILD_SECONDS
            time.sleep(0.001)

    def interrupt(self, seconds: float) -> None:
        """Interrupt changes of the main thread at random moments."""

        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        signal.signal(signal.SIGALRM, stop)
        changes = [self.add, self.wrap, self.declare]
        if self.counts["interrupts of monitors"] < 100:
            changes.append(self.monitor)
        for change in changes:
            try:
                signal.setitimer(signal.ITIMER_REAL, self.random.uniform(1e-5, seconds))
                change()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                self.counts["interrupts"] += 1
                # The monitor may stay, and nobody can end it: a thousand are deeper than Python's stack.
                self.counts["interrupts of monitors"] += change == self.monitor

    def run(self, seconds: float, callers: int) -> None:
        """Do all of it for so long."""
        self.initialize("stress_plain")
        workers = [threading.Thread(target=self.call, daemon=True) for _ in range(callers)]
        workers.append(threading.Thread(target=self.change, daemon=True))
        for worker in workers:
            worker.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.wrong:
            if hasattr(os, "fork"):
                self.fork()
            # From 3.12 on Python may be interrupted between a lock's __enter__ and the body of its
            # `with`, and keeps the lock for ever (gh-29988).
            if hasattr(signal, "setitimer") and sys.version_info < (3, 12):
                self.interrupt(0.01)
        self.stop.set()
        for worker in workers:
            worker.join(CHILD_SECONDS)
            if worker.is_alive():
                self.wrong.append("a thread hangs")


def main() -> int:
    """Run the program."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--callers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=None)
    arguments = parser.parse_args()
    faulthandler.enable()  # also of a child, for its SIGABRT
    warnings.simplefilter("ignore")  # of forks beside threads, which is what this is about
    sys.setswitchinterval(1e-6)
    seed = random.randrange(2**32) if arguments.seed is None else arguments.seed
    with tempfile.TemporaryDirectory() as folder:
        for name, source in SOURCES.items():
            Path(folder, f"{name}.py").write_text(HEADER + textwrap.dedent(source))
        sys.path.insert(0, folder)
        stress = Stress(seed)
        stress.run(arguments.seconds, arguments.callers)
    told = {"seed": seed, **stress.counts, "wrong": stress.wrong[:5]}
    sys.stdout.write(json.dumps(told, indent=2) + "\n")
    sys.stdout.flush()
    os._exit(bool(stress.wrong))  # threads that hang would keep the process


if __name__ == "__main__":
    main()
