"""The processes of one environment, from their first start to their end."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from typing import Self

from aimm_plugins._config.values import EnvironmentRules
from aimm_plugins._environments.frames import END_SECONDS
from aimm_plugins._environments.process import PluginProcess
from aimm_plugins._environments.restarts import Restarts


class Slot:
    """The place of one process, which is started again there."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.process: PluginProcess | None = None
        self.has_started = False


class Processes:
    """The processes of an environment, whoever starts and calls them.

    Attributes:
        successor: Takes the calls, once it has replaced this environment.
    """

    def __init__(self, rules: EnvironmentRules, place: str) -> None:
        self.rules = rules
        self.successor: Self | None = None
        self.is_closed = False
        self.closed_for = ""
        self.restarts = Restarts(rules, place)
        self.slots = [Slot() for _ in range(rules.processes)]
        _ALL.add(self)

    @property
    def is_up(self) -> bool:
        """Whether a process runs, or the next call starts one."""
        runs = any(slot.process is not None and slot.process.is_running for slot in self.slots)
        return runs or not self.restarts.is_exhausted

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
