"""At the host: from what workers report to the callbacks of callers.

The scheduler passes events on to the client's own thread, which sorts them by call; the thread of
the caller takes them from there and calls the callback.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from distributed import Client, Future
from distributed.protocol import pickle

from aimm_plugins._dask.messages import PREFIX, RaisedOnWorker
from aimm_plugins._dispatch.state_events import state_event
from aimm_plugins._system.log import logger
from aimm_plugins._values.actions import StateCallback

GRACE = 10.0
"""Seconds that events may come later than the result, and that workers have to answer an end."""

_POLL = 0.1
"""Seconds between looks at tasks of which Dask may report nothing more."""

_Queue = SimpleQueue[dict[str, Any]]


class ClientEvents:
    """The events that workers send to one client, whatever number of executors it has.

    One topic a client, because a scheduler keeps topics for ever; see `clean_scheduler`.
    """

    _known: ClassVar[WeakKeyDictionary[Client, ClientEvents]] = WeakKeyDictionary()

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self._queues: dict[str, _Queue] = {}

    @classmethod
    def of(cls, client: Client) -> ClientEvents:
        found = cls._known.setdefault(client, cls(f"{PREFIX}{client.id}"))
        client.subscribe_topic(found.topic, found._receive)
        return found

    @contextmanager
    def queue(self, call: str) -> Generator[_Queue]:
        queue = self._queues[call] = SimpleQueue()
        try:
            yield queue
        finally:
            del self._queues[call]

    def _receive(self, event: tuple[float, dict[str, Any]]) -> None:
        """Called in the client's own thread, which must not be held up."""
        queue = self._queues.get(event[1]["call"])
        if queue is not None:
            queue.put(event[1])


class Relay:
    """Calls the callback of a call, in the thread of the caller.

    A task begins again if its worker dies, also when it was done and only its result is lost. So
    Dask may take back that a task is done; and may say that it is done before its last events come.
    """

    def __init__(
        self, queue: _Queue, futures: list[Future[Any]], state_cb: StateCallback, counts: bool
    ) -> None:
        self._queue = queue
        self._futures = futures
        self._state_cb = state_cb
        self._counts = counts
        self._begun: dict[int, dict[str, Any]] = {}  # with what event the last attempt began
        self._ended: set[int] = set()  # of which all events of the last attempt have come
        self._done: set[int] = set()  # of which Dask said so, and which are not counted
        self._uncounted = set(range(len(futures)))
        self._failed = False

    def run(self) -> None:
        """Return when all tasks are done; or one failed, which raises where futures are awaited."""
        for index, future in enumerate(self._futures):
            future.add_done_callback(partial(self._put_done, index))
        silence = 0.0
        while not self._failed and self._uncounted:
            try:
                event = self._queue.get(timeout=_POLL if self._done else None)
            except Empty:
                silence += _POLL
                for index in sorted(self._done):
                    self._settle(index, is_late=silence >= GRACE)
            else:
                silence = 0.0
                self._handle(event)

    def _put_done(self, index: int, future: object) -> None:
        self._queue.put({"kind": "done", "index": index})

    def _handle(self, event: dict[str, Any]) -> None:
        index, kind = event["index"], event["kind"]
        last = self._begun.get(index)
        if kind == "done":
            self._done.add(index)
            self._settle(index)
        elif kind == "begin":
            self._begun[index] = event
            self._ended.discard(index)
            if last is not None:
                text = (
                    f"worker {last['worker']} was lost; the work begins again on {event['worker']}"
                )
                self._call(state_event(message=text, warning="restarted"), index)
        elif last is None or event["attempt"] != last["attempt"]:
            return  # its worker was taken for dead
        elif kind == "state":
            self._call(pickle.loads(event["state"]), index)
        else:
            self._ended.add(index)
            self._failed = event["failed"]
            self._settle(index)

    def _settle(self, index: int, is_late: bool = False) -> None:
        """Count a task that is done, if all its events have come; or see that it failed."""
        future, ended = self._futures[index], index in self._ended
        if future.status in ("error", "cancelled"):
            # A task that was killed or cancelled has no attempt that will end.
            error = future.exception() if future.status == "error" else None
            if ended or is_late or not isinstance(error, RaisedOnWorker):
                self._failed = True
        elif future.status == "finished" and index in self._done and (ended or is_late):
            if not ended:
                logger().warning("events of %s are late, and are not awaited", future.key)
            self._done.discard(index)
            self._uncounted.discard(index)
            if self._counts:
                total = len(self._futures)
                done = total - len(self._uncounted)
                self._state_cb(state_event(phase="predict", step=done, total=total, unit="chunk"))

    def _call(self, state: Any, index: int) -> None:
        if self._counts and isinstance(state, dict):
            state = {**state, "chunk": index}
        self._state_cb(state)
