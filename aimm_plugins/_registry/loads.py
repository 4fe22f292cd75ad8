"""The loads that some thread is in the middle of, for the log, errors and reports meanwhile.

An import that hangs gives nothing back, so another thread tells of it. That thread sleeps until an
import has taken ten seconds, and ends with the load.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock, start_new_thread  # without threading, which takes a millisecond
from collections.abc import Iterable
from contextlib import suppress
from time import perf_counter

from aimm_plugins._system.guard import guarded
from aimm_plugins._system.log import logger
from aimm_plugins._values.report import PluginRecord

SLOW_SECONDS = 10.0
"""What an import takes before the log tells of it; it does so again at each doubling."""


class ImportWatch:
    """A load, which is one of those under way while this is open; its long imports are told."""

    __slots__ = ("_done", "_loads", "_slow_seconds", "importing")

    def __init__(self, loads: list[ImportWatch], slow_seconds: float = SLOW_SECONDS) -> None:
        # The plugin whose import is under way, and when that began, by `perf_counter`.
        self.importing: tuple[PluginRecord, float] | None = None
        self._loads = loads
        self._slow_seconds = slow_seconds
        self._done = allocate_lock()

    def __enter__(self) -> ImportWatch:
        self._loads.append(self)
        return self

    def __exit__(self, *raised: object) -> None:
        with suppress(ValueError):  # a forked child has forgotten all loads
            self._loads.remove(self)
        if self._done.locked():
            self._done.release()

    def begin(self, record: PluginRecord) -> None:
        if "logging" in sys.modules:  # else nothing listens
            with guarded():  # handlers and filters may raise
                logger().debug("importing %s", record.provenance, extra=record.log_fields)
        self.importing = record, perf_counter()
        if self._done.acquire(blocking=False):
            with suppress(RuntimeError):  # the system has no thread to give; then nothing is told
                start_new_thread(self._watch, ())

    def end(self) -> None:
        self.importing = None

    def _watch(self) -> None:
        told, limit, pause = None, 0.0, self._slow_seconds
        while not self._done.acquire(timeout=pause):
            importing, pause = self.importing, self._slow_seconds
            if importing is None:
                continue
            record, begin = importing
            if importing is not told:
                told, limit = importing, self._slow_seconds
            seconds = perf_counter() - begin
            if seconds >= limit:
                _tell(record, seconds)
                while limit <= seconds:
                    limit *= 2
            pause = max(begin + limit - perf_counter(), 0)


def _tell(record: PluginRecord, seconds: float) -> None:
    """Log a line from a thread that threading does not know.

    logging asks threading for the current thread, and threading keeps what it makes up for an
    unknown one. So another thread logs. If threading was imported here for the first time, it would
    take this thread for the main thread.
    """
    text = f"the import of {record.provenance} has taken {seconds:.0f} s so far"

    def log() -> None:
        with guarded():
            logger().warning("%s", text, extra={**record.log_fields, "seconds": seconds})

    with guarded():
        if "logging" in sys.modules:
            from threading import Thread

            # Without `daemon`, and with `join`, threading would look at this thread after all.
            Thread(target=log, name="aimm_plugins log", daemon=True).start()
        elif sys.stderr is not None:  # as logging does where nobody has configured it
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()


def imports_under_way(loads: Iterable[ImportWatch]) -> list[tuple[PluginRecord, str]]:
    """The plugins that are being imported now, each with a phrase that names it and its time."""
    return [
        (
            record,
            f"{record.provenance} is being imported, for {perf_counter() - begin:.1f} s so far",
        )
        for load in tuple(loads)
        if load.importing is not None
        for record, begin in [load.importing]
    ]
