"""What happens on a worker: it gets its host's plugins, or refuses; then it runs calls.

The host has these functions run here, and Dask pickles them by their names. With `processes=False`
a worker is in the host's own process, and all workers are in one.
"""

from __future__ import annotations

import copy
import os
import uuid
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from distributed import WorkerPlugin, get_worker
from distributed.protocol import pickle
from distributed.protocol.serialize import serialize

from aimm_plugins import workers
from aimm_plugins._api import calling
from aimm_plugins._dask.messages import RaisedOnWorker, Task, Value, unwrapped
from aimm_plugins._dispatch.cancelling import CancelToken
from aimm_plugins._parity.differences import compare
from aimm_plugins._parity.fingerprint import Fingerprint, fingerprint
from aimm_plugins._startup import lifecycle
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._system.log import logger
from aimm_plugins._values.actions import ACTIONS, StateCallback
from aimm_plugins.errors import ParityError

INSIDE: ContextVar[bool] = ContextVar("aimm_plugins.dask", default=False)
"""Whether this thread runs a task."""

_TOKEN = uuid.uuid4().hex

_STATUSES: dict[str, tuple[str, workers.WorkerStatus]] = {}
"""By executor: the name of the last setup, and how this process fared."""

_RUNNING: dict[str, tuple[str, CancelToken]] = {}
"""By attempt: the call that it belongs to, and how to end it."""

_ENDED_CALLS: deque[str] = deque(maxlen=100)
"""Some of their tasks may be about to begin. The last hundred, since no report says when."""


def _process() -> tuple[int, str]:
    return os.getpid(), _TOKEN


@dataclass(frozen=True, kw_only=True, eq=False)
class Setup(WorkerPlugin):
    """Makes every worker one with the host's plugins, or one that refuses.

    Of several that an executor has sent, the last one counts.

    Attributes:
        again: Whether to unload first what was loaded for the executor.
    """

    executor: str
    name: str
    confs: Sequence[Mapping[str, object] | str]
    expected: Fingerprint
    again: bool = False
    host: tuple[int, str] = field(default_factory=_process)

    def setup(self, worker: object) -> None:
        if self.host == _process():  # what is registered here is the host's
            found = workers.WorkerStatus(pid=os.getpid(), digest=self.expected.digest)
        else:
            found = self._refusal() or self._initialize()
            if found.problem is not None:
                logger().error("%s", found.problem)
        _STATUSES[self.executor] = (self.name, found)

    def _refusal(self) -> workers.WorkerStatus | None:
        """Why not, if plugins are loaded here for another host, whose calls go on."""
        digests = {
            status.digest
            for executor, (_, status) in _STATUSES.items()
            if executor != self.executor and status.ok
        }
        if digests <= {self.expected.digest}:
            return None
        differences = compare(self.expected, fingerprint())
        return workers.WorkerStatus(
            pid=os.getpid(),
            problem=f"this worker (process {os.getpid()}) serves a host with other plugins, and "
            f"this one when that has left; first: this host, second: this worker\n{differences}",
            differences=tuple(differences),
        )

    def _initialize(self) -> workers.WorkerStatus:
        with suppress(Exception):  # `attempt` finds what is wrong, and reports it
            if self.again or not any(status.ok for _, status in _STATUSES.values()):
                lifecycle.unload_all(PROCESS.runtime)  # what earlier hosts left
            else:
                lifecycle.refresh(PROCESS.runtime)
        # Not the initializer of `workers`: that would refuse the calls of other hosts too.
        return workers.attempt(self.confs, self.expected)

    def teardown(self, worker: object) -> None:
        """Forget the executor, and the plugins with the last one."""
        if self.host == _process():
            return  # other workers may be in this process too; the host forgets it itself
        if _STATUSES.get(self.executor, ("",))[0] == self.name:  # the last setup
            forget(self.executor)
            if not _STATUSES:
                lifecycle.unload_all(PROCESS.runtime)


def forget(executor: str) -> None:
    _STATUSES.pop(executor, None)


def check(executor: str) -> None:
    """Refuse a call of an executor whose host has other plugins."""
    found = status(executor)
    if found is None:
        raise ParityError(
            f"this worker (process {os.getpid()}) was not initialized for the executor that "
            "sends it work, and runs no plugin; the executor may have been switched off"
        )
    if found.problem is not None:
        raise ParityError(found.problem, differences=found.differences)


@contextmanager
def _attempting(task: Task, index: int = 0) -> Generator[Reporter]:
    """One attempt to run a task; what the block raises is carried by `RaisedOnWorker`."""
    reporter = Reporter(task, get_worker(), index)
    inside = INSIDE.set(True)
    _RUNNING[reporter.attempt] = (task.call, reporter.token)
    reporter.send("begin")
    failed = True
    try:
        if task.call in _ENDED_CALLS:
            reporter.token.cancel()
            reporter.token.check()
        check(task.executor)
        yield reporter
        failed = False
    except BaseException as error:
        raise RaisedOnWorker.of(error, reporter.address) from None
    finally:
        del _RUNNING[reporter.attempt]
        reporter.send("end", failed=failed)
        INSIDE.reset(inside)


class Reporter:
    """Sends the events of one attempt to run a task; it is the plugin's state callback too."""

    def __init__(self, task: Task, worker: Any, index: int) -> None:
        self.attempt = uuid.uuid4().hex
        self.token = CancelToken()
        self.address: str = worker.address
        self._worker = worker
        self._topic = task.topic
        self._event = {
            "call": task.call,
            "index": index,
            "attempt": self.attempt,
            "worker": self.address,
        }

    def send(self, kind: str, **more: object) -> None:
        if self._topic is not None:
            self._worker.log_event(self._topic, {**self._event, "kind": kind, **more})

    def __call__(self, state: dict[str, Any]) -> None:
        self.token.check()
        # Pickled at once, because plugins may change the dict after this, and msgpack does not know
        # the numbers of numpy.
        self.send("state", state=pickle.dumps(state))


# What the host has run here


def status(executor: str) -> workers.WorkerStatus | None:
    return _STATUSES.get(executor, (None, None))[1]


def end_call(call: str) -> None:
    """Have the next state event of each of a call's tasks raise `Cancelled`."""
    _ENDED_CALLS.append(call)
    for running_call, token in list(_RUNNING.values()):
        if running_call == call:
            token.cancel()


def run_task(task: Task, *arguments: Any) -> Any:
    with _attempting(task) as reporter:
        values = [unwrapped(argument) for argument in arguments]
        count = len(values) - len(task.names)
        kwargs = dict(zip(task.names, values[count:], strict=True))
        return _call(task, reporter, values[:count], kwargs)


def _call(task: Task, state_cb: StateCallback, args: list[Any], kwargs: dict[str, Any]) -> Any:
    # What Dask stores is never changed: other tasks use it, and a second attempt begins with it.
    changes = task.action == "fit"
    if task.action == "predict" and task.keeps_result:
        changes = returns_instance(task.key)
    given = [args.pop(0)] if ACTIONS[task.action].takes is not None else []
    if changes:
        given = [copy.deepcopy(given[0])]
    if ACTIONS[task.action].free_arguments:
        given.append(state_cb)
    result = calling.EXEC[task.action](task.key, *given, *args, **kwargs)
    if task.action == "predict" and task.keeps_result and not changes:
        return result[1]
    return result


def predict_chunk(chunk: Any, index: int, *, task: Task, instance: Any, more: Value) -> Any:
    """Predict for one of many chunks; `more` holds the arguments after it."""
    with _attempting(task, index) as reporter:
        args, kwargs = more.content
        try:
            return calling.exec_predict(
                task.key, instance, reporter, unwrapped(chunk), *args, **kwargs
            )[1]
        except BaseException as error:
            with suppress(Exception):  # a plugin's exception may forbid it
                error.add_note(f"in chunk {index}")
            raise


def is_movable(instance: Any) -> bool:
    """Whether an instance can be sent to another worker."""
    with suppress(TypeError):  # whatever went wrong
        serialize(instance, on_error="raise")
        return True
    return False


def returns_instance(model_type: str) -> bool:
    """Whether predict returns another instance; loads a deferred plugin."""
    declaration = PROCESS.runtime.loaded_provider("predict", model_type).declaration
    return declaration is not None and declaration.returns_instance
