"""What happens on a worker: it gets its host's plugins, or refuses; then it runs calls.

The host has these functions run here, and Dask pickles them by their names. What a process knows as
a worker is in one object, `WORKER`.
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


class _Worker:
    """What this process knows as a worker; with `processes=False` it is the host's too."""

    def __init__(self) -> None:
        self.inside: ContextVar[bool] = ContextVar("aimm_plugins.dask", default=False)
        self._token = uuid.uuid4().hex
        # By executor: the name of the last setup, and how this process fared.
        self._statuses: dict[str, tuple[str, workers.WorkerStatus]] = {}
        # By attempt: the call that it belongs to, and how to end it.
        self._running: dict[str, tuple[str, CancelToken]] = {}
        # Some of their tasks may be about to begin. The last hundred, since no report says when.
        self._ended_calls: deque[str] = deque(maxlen=100)

    @property
    def process(self) -> tuple[int, str]:
        return os.getpid(), self._token

    def set_up(self, setup: Setup) -> None:
        if setup.host == self.process:  # what is registered here is the host's
            status = workers.WorkerStatus(pid=os.getpid(), digest=setup.expected.digest)
        else:
            status = self._refusal(setup) or self._initialize(setup)
            if status.problem is not None:
                logger().error("%s", status.problem)
        self._statuses[setup.executor] = (setup.name, status)

    def _refusal(self, setup: Setup) -> workers.WorkerStatus | None:
        """Why not, if plugins are loaded here for another host, whose calls go on."""
        digests = {
            status.digest
            for executor, (_, status) in self._statuses.items()
            if executor != setup.executor and status.ok
        }
        if digests <= {setup.expected.digest}:
            return None
        differences = compare(setup.expected, fingerprint())
        return workers.WorkerStatus(
            pid=os.getpid(),
            problem=f"this worker (process {os.getpid()}) serves a host with other plugins, and "
            f"this one when that has left; first: this host, second: this worker\n{differences}",
            differences=tuple(differences),
        )

    def _initialize(self, setup: Setup) -> workers.WorkerStatus:
        with suppress(Exception):  # `attempt` finds what is wrong, and reports it
            if setup.again or not any(status.ok for _, status in self._statuses.values()):
                lifecycle.unload_all(PROCESS.runtime)  # what earlier hosts left
            else:
                lifecycle.refresh(PROCESS.runtime)
        # Not the initializer of `workers`: that would refuse the calls of other hosts too.
        return workers.attempt(setup.confs, setup.expected)

    def tear_down(self, setup: Setup) -> None:
        """Forget an executor, and the plugins with the last one."""
        if setup.host == self.process:
            return  # other workers may be in this process too; the host forgets it itself
        if self._statuses.get(setup.executor, ("",))[0] == setup.name:  # the last setup
            self.forget(setup.executor)
            if not self._statuses:
                lifecycle.unload_all(PROCESS.runtime)

    def forget(self, executor: str) -> None:
        self._statuses.pop(executor, None)

    def status(self, executor: str) -> workers.WorkerStatus | None:
        return self._statuses.get(executor, (None, None))[1]

    def check(self, executor: str) -> None:
        """Refuse a call of an executor whose host has other plugins."""
        status = self.status(executor)
        if status is None:
            raise ParityError(
                f"this worker (process {os.getpid()}) was not initialized for the executor that "
                "sends it work, and runs no plugin; the executor may have been switched off"
            )
        if status.problem is not None:
            raise ParityError(status.problem, differences=status.differences)

    def end_call(self, call: str) -> None:
        """Have the next state event of each of a call's tasks raise `Cancelled`."""
        self._ended_calls.append(call)
        for running_call, token in list(self._running.values()):
            if running_call == call:
                token.cancel()

    @contextmanager
    def attempting(self, task: Task, index: int = 0) -> Generator[Reporter]:
        """One attempt to run a task; what the block raises is carried by `RaisedOnWorker`."""
        reporter = Reporter(task, get_worker(), index)
        inside = self.inside.set(True)
        self._running[reporter.attempt] = (task.call, reporter.token)
        reporter.send("begin")
        failed = True
        try:
            if task.call in self._ended_calls:
                reporter.token.cancel()
                reporter.token.check()
            self.check(task.executor)
            yield reporter
            failed = False
        except BaseException as error:
            raise RaisedOnWorker.of(error, reporter.address) from None
        finally:
            del self._running[reporter.attempt]
            reporter.send("end", failed=failed)
            self.inside.reset(inside)


WORKER = _Worker()
"""This process as a worker."""


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
    host: tuple[int, str] = field(default_factory=lambda: WORKER.process)

    def setup(self, worker: object) -> None:
        WORKER.set_up(self)

    def teardown(self, worker: object) -> None:
        WORKER.tear_down(self)


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
    return WORKER.status(executor)


def end_call(call: str) -> None:
    WORKER.end_call(call)


def run_task(task: Task, *arguments: Any) -> Any:
    with WORKER.attempting(task) as reporter:
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
    with WORKER.attempting(task, index) as reporter:
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
