"""The processes of one environment, from their first start to their end."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections import deque
from typing import Self

from aimm_plugins._config.values import EnvironmentRules
from aimm_plugins._discovery.scan import Scan
from aimm_plugins._environments.process import END_SECONDS, PluginProcess
from aimm_plugins.errors import EnvironmentLost

_MINUTE = 60.0


class Slot:
    """The place of one process, which is started again there."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.process: PluginProcess | None = None
        self.has_started = False


class Processes:
    """The processes of an environment; a `successor` takes the calls once it has replaced it.

    The `place` is where the conf names it.
    """

    def __init__(self, rules: EnvironmentRules, place: str, installed: Scan) -> None:
        self.rules, self.installed, self._place = rules, installed, place
        self.successor: Self | None = None
        self.is_closed = False
        self.closed_for = ""
        self.last_loss: EnvironmentLost | None = None  # how the last process was lost
        self._restarts: deque[float] = deque()
        self.slots = [Slot() for _ in range(rules.processes)]
        _ALL.add(self)

    @property
    def is_up(self) -> bool:
        """Whether a process runs, or the next call starts one."""
        runs = any(slot.process is not None and slot.process.is_running for slot in self.slots)
        return runs or not self._is_exhausted

    @property
    def _is_exhausted(self) -> bool:
        """Whether there were as many restarts within a minute as the conf allows."""
        while self._restarts and time.monotonic() - self._restarts[0] > _MINUTE:
            self._restarts.popleft()
        return len(self._restarts) >= self.rules.restarts_per_minute

    def count_restart(self) -> None:
        self._restarts.append(time.monotonic())

    def check_restarts(self) -> None:
        """Raise `EnvironmentLost` rather than have a lost process started again too often."""
        if not self._is_exhausted:
            return
        name, limit = self.rules.name, f"(restarts_per_minute of {self._place})"
        text = f"environment {name} is started again by unload_all and initialize alone {limit}"
        if self._restarts:
            wait = _MINUTE - (time.monotonic() - self._restarts[0])
            text = (
                f"environment {name} is not started again for {wait:.0f} s: its processes were "
                f"started again {len(self._restarts)} times within a minute {limit}"
            )
        last = self.last_loss
        if last is not None:
            text += f"\nThe last time: {last}"
        raise EnvironmentLost(text, environment=name, stderr="" if last is None else last.stderr)

    def retire(self, why: str, successor: Self | None = None) -> None:
        """Take no new calls; each process leaves after those that it has.

        A successor takes the calls that come all the same.
        """
        self.successor, self.closed_for = successor, why
        self.is_closed = True
        for slot in self.slots:
            if slot.process is not None:
                slot.process.leave_when_idle(why)

    def close(self, why: str) -> None:
        """End all processes: they may leave by themselves, and are ended if they do not."""
        self.closed_for, self.is_closed = why, True
        processes = [slot.process for slot in self.slots if slot.process is not None]
        for process in processes:
            process.ask_to_leave(why)
        deadline = time.monotonic() + END_SECONDS
        for process in processes:
            if not process.wait(max(deadline - time.monotonic(), 0)):
                process.end(why)

    def forget(self) -> None:
        """In a fork: the processes are the parent's; the next call starts others."""
        for slot in self.slots:
            if slot.process is not None:
                slot.process.forget()
        self.slots = [Slot() for _ in self.slots]


_ALL: weakref.WeakSet[Processes] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Let the processes leave as programs do; those that do not are ended."""
    for processes in list(_ALL):
        processes.close("the host has ended")


def _forget_all() -> None:
    for processes in list(_ALL):
        processes.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
