"""An executor that runs `exec_*` on a Dask cluster.

    with Client("tcp://scheduler:8786") as client, dask_executor(client, conf=conf):
        model = exec_fit("iris.svc", exec_instantiate("iris.svc"), print, x, y)

Every worker, one that joins late or is restarted too, is initialized with the same conf and held
against the host's fingerprint; one that differs runs no plugin. Needs
`pip install aimm-plugins[dask]`, here and on the workers.
"""

from __future__ import annotations

import copy
import io
import operator
import os
import traceback
import uuid
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pickle import Pickler as PlainPickler
from queue import Empty, SimpleQueue
from typing import Any, get_args

from aimm_plugins import _api, workers
from aimm_plugins._actions import Action
from aimm_plugins._fingerprint import Fingerprint, fingerprint
from aimm_plugins._hooks import Result, hookimpl
from aimm_plugins._log import logger
from aimm_plugins._report import printable, safe_text, type_name
from aimm_plugins._runtime import RUNTIME
from aimm_plugins._state import CancelToken, StateCallback, ignore_state, state_event
from aimm_plugins.errors import AimmPluginsError, ParityError

try:
    from distributed import (
        Client,
        Future,
        LocalCluster,
        WorkerPlugin,
        as_completed,
        get_worker,
    )
    from distributed.protocol import pickle
except ImportError as error:
    raise ImportError(
        "aimm_plugins.dask needs distributed: pip install 'aimm-plugins[dask]'", name=error.name
    ) from error

__all__ = ["DaskExecutor", "cluster_client", "dask_executor"]

Conf = Mapping[str, object] | str | os.PathLike[str] | None

_GRACE = 10.0
"""Seconds that events may come later than the result, which takes the same way."""


# On the workers

_accounts: dict[str, workers.WorkerStatus] = {}
"""How this process fared as a worker, by executor."""

_PROCESS = uuid.uuid4().hex
"""Tells this process from others; a fork of it has another id."""

_running: dict[str, CancelToken] = {}
"""The calls that run in this process."""

_inside: ContextVar[bool] = ContextVar("aimm_plugins.dask", default=False)
"""Whether this is a call on a worker: with `processes=False` that is the host's process too."""


class _Setup(WorkerPlugin):
    """Makes every worker one with the host's plugins, or one that refuses."""

    def __init__(self, executor: str, conf: Conf, expected: Fingerprint) -> None:
        self.name = executor
        self._conf = conf
        self._expected = expected
        self._host = (os.getpid(), _PROCESS)

    def setup(self, worker: object) -> None:
        """Called when a worker starts, and in those that run already."""
        if self._host == (os.getpid(), _PROCESS):
            # With `processes=False`; what refuses in a worker would refuse the host's calls.
            digest = self._expected.digest
            _accounts[self.name] = workers.WorkerStatus(pid=os.getpid(), digest=digest)
            return
        workers.initializer(self._conf, self._expected)
        _accounts[self.name] = workers.status()

    def teardown(self, worker: object) -> None:
        """Called when the executor is switched off, or the worker ends."""
        _accounts.pop(self.name, None)


def _account(executor: str) -> workers.WorkerStatus | None:
    return _accounts.get(executor)


def _end(call: str) -> None:
    """Have the plugin's next state event raise."""
    token = _running.get(call)
    if token is not None:
        token.cancel()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What to call, as it is sent.

    Attributes:
        executor: Who sends it, and the topic of its events.
        call: Which call this is.
        action: The action.
        key: The data access name or model type.
        listens: Whether somebody waits for state events.
        takes: Whether there is an instance (or its bytes).
        stays: Whether what is returned stays on the cluster.
    """

    executor: str
    call: str
    action: Action
    key: str
    listens: bool
    takes: bool
    stays: bool


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the result of a future goes; futures are sent beside the arguments."""

    index: int


class _Arguments:
    """The arguments of a call, opaque to Dask, which would look for tasks and futures in them."""

    __slots__ = ("args", "kwargs")

    def __init__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.args = args
        self.kwargs = kwargs

    def __reduce__(self) -> tuple[type[_Arguments], tuple[Any, ...]]:
        return (_Arguments, (self.args, self.kwargs))

    @classmethod
    def sent(
        cls, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[_Arguments, list[Future[Any]]]:
        """The arguments, and the futures among them."""
        futures: list[Future[Any]] = []

        def place(value: Any) -> Any:
            if not isinstance(value, Future):
                return value
            futures.append(value)
            return _Place(len(futures) - 1)

        placed = cls(tuple(map(place, args)), {k: place(v) for k, v in kwargs.items()})
        return placed, futures

    def received(self, results: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments, with the results of the futures in their places."""

        def fill(value: Any) -> Any:
            return results[value.index] if type(value) is _Place else value

        return [fill(value) for value in self.args], {k: fill(v) for k, v in self.kwargs.items()}


class _Raised(Exception):  # noqa: N818  # a carrier
    """Carries what a plugin raised: Dask shortens long messages, and ends workers by SystemExit."""

    def __init__(self, shown: str, pickled: bytes | None, notes: tuple[str, ...]) -> None:
        super().__init__(shown, pickled, notes)

    def __str__(self) -> str:
        return str(self.args[0])[:1000]  # Dask would put its own exception in place of a long one

    @classmethod
    def carrying(cls, error: BaseException, worker: str) -> _Raised:
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        notes = (
            *(note for note in getattr(error, "__notes__", ()) if isinstance(note, str)),
            printable(f"on worker {worker}:\n{text}"),
        )
        shown = printable(f"{type_name(error)}: {safe_text(error)}")
        return cls(shown, _pickled(error), notes)

    def carried(self) -> BaseException:
        """The plugin's exception, or one of ours that tells of it if it cannot travel."""
        shown, pickled, notes = self.args
        error: BaseException = AimmPluginsError(shown)
        if pickled is not None:
            with suppress(Exception):
                error = pickle.loads(pickled)
        for note in notes:
            if note not in getattr(error, "__notes__", ()):
                with suppress(Exception):  # a stranger's exception may forbid it
                    error.add_note(note)
        return error


def _pickled(error: BaseException) -> bytes | None:
    """An exception as bytes that give the same one again, if there are any."""
    for dumps in (_as_it_says, pickle.dumps):
        with suppress(Exception):
            data: bytes = dumps(error)
            again = pickle.loads(data)
            if type(again) is type(error) and safe_text(again) == safe_text(error):
                return data
    return None


def _as_it_says(error: BaseException) -> bytes:
    # Dask has exceptions pickled by tblib, which forgets the code of a SystemExit and the like.
    stream = io.BytesIO()
    pickler = PlainPickler(stream, protocol=5)
    pickler.dispatch_table = {}
    pickler.dump(error)
    return stream.getvalue()


class _Sender:
    """Sends what happens in one attempt to run a call; also the plugin's state callback."""

    def __init__(self, task: _Task, worker: Any) -> None:
        self._worker = worker
        self._topic = task.executor
        self._listens = task.listens
        self._common = {"call": task.call, "attempt": uuid.uuid4().hex, "worker": worker.address}
        self.token = CancelToken()

    def send(self, kind: str, **more: object) -> None:
        if self._listens:
            self._worker.log_event(self._topic, {**self._common, "kind": kind, **more})

    def __call__(self, state: dict[str, Any]) -> None:
        self.token.check()
        # Pickled at once: plugins may change the dict after this, and Dask's own way has no word
        # for numbers of numpy's.
        self.send("state", state=pickle.dumps(state))


def _check(executor: str) -> None:
    """Refuse a worker that is not as its host.

    Raises:
        ParityError: It is not.
    """
    account = _accounts.get(executor)
    if account is None:
        raise ParityError(
            f"this worker (process {os.getpid()}) was not initialized for the executor that sends "
            "it work, and runs no plugin; the block of dask_executor may have ended"
        )
    if account.problem is not None:
        raise ParityError(account.problem, differences=account.differences)


def _execute(task: _Task, arguments: _Arguments, *results: Any) -> Any:
    """Run a call in a worker."""
    worker = get_worker()
    sender = _Sender(task, worker)
    inside = _inside.set(True)
    _running[task.call] = sender.token
    sender.send("begin")
    try:
        _check(task.executor)
        args, kwargs = arguments.received(results)
        return _called(task, sender, args, kwargs)
    except BaseException as error:
        raise _Raised.carrying(error, worker.address) from None
    finally:
        _running.pop(task.call, None)
        sender.send("end")
        _inside.reset(inside)


def _called(task: _Task, state_cb: StateCallback, args: list[Any], kwargs: dict[str, Any]) -> Any:
    given: list[Any] = [args.pop(0)] if task.takes else []
    # What Dask stores is never worked on: others hold it, and a second attempt begins with it.
    changes = task.action == "fit"
    if task.action == "predict" and task.stays:
        changes = _returns_instance(task.key)
    if changes:
        given = [copy.deepcopy(given[0])]
    function = getattr(_api, f"exec_{task.action}")
    if task.action in ("serialize", "deserialize"):
        return function(task.key, *given)
    result = function(task.key, *given, state_cb, *args, **kwargs)
    if task.action == "predict" and task.stays and not changes:
        return result[1]
    return result


def _predict_chunk(chunk: Any, *, task: _Task, instance: Any, more: _Arguments) -> Any:
    """Predict for one of many chunks."""
    inside = _inside.set(True)
    try:
        _check(task.executor)
        if type(chunk) is _Arguments:
            (chunk,) = chunk.args
        return _api.exec_predict(task.key, instance, None, chunk, *more.args, **more.kwargs)[1]
    except BaseException as error:
        raise _Raised.carrying(error, get_worker().address) from None
    finally:
        _inside.reset(inside)


def _returns_instance(model_type: str) -> bool:
    """Whether predict returns another instance; loads a deferred plugin.

    Raises:
        UnknownPluginError: Nobody provides it.
    """
    declaration = RUNTIME.dispatcher.direct_plan("predict", model_type).provider.declaration
    return declaration is not None and declaration.returns_instance


# At the host


class DaskExecutor:
    """What `dask_executor` gives; a plugin of the plugin manager meanwhile."""

    def __init__(
        self,
        client: Client,
        conf: Conf,
        actions: frozenset[Action] | None,
        keys: frozenset[str] | None,
        keep: bool,
    ) -> None:
        self._client = client
        self._conf = os.path.abspath(conf) if isinstance(conf, str | os.PathLike) else conf
        self._actions = actions
        self._keys = keys
        self._keep = keep
        self.name = f"aimm_plugins.dask-{uuid.uuid4().hex}"
        self._queues: dict[str, SimpleQueue[dict[str, Any] | None]] = {}

    def start(self) -> None:
        """Initialize all workers.

        Raises:
            ParityError: A worker has other plugins, or could not be initialized.
        """
        self._client.subscribe_topic(self.name, self._received)
        try:
            self._client.register_plugin(
                _Setup(self.name, self._conf, fingerprint()), name=self.name
            )
            answers: Any = self._client.run(_account, self.name)
            accounts: dict[str, workers.WorkerStatus | None] = answers
            wrong = {
                address: account
                for address, account in sorted(accounts.items())
                if account is not None and not account.ok
            }
            if wrong:
                texts = [f"worker {address}: {each.problem}" for address, each in wrong.items()]
                raise ParityError(
                    f"{len(wrong)} of {len(accounts)} workers run no plugin\n" + "\n".join(texts),
                    differences=next(iter(wrong.values())).differences,
                )
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Leave the cluster as it was, but for the modules that its workers imported."""
        with suppress(Exception):  # the cluster may be gone, and what ended the block matters more
            self._client.unsubscribe_topic(self.name)
            self._client.unregister_worker_plugin(self.name)

    def map(
        self,
        model_type: str,
        instance: Any,
        chunks: Sequence[Any],
        state_cb: StateCallback | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> list[Any]:
        """Predictions for many chunks of data, with one instance that is sent once.

        Args:
            model_type: Key of the model.
            instance: The instance, or a future of one.
            chunks: The first argument of each call after the instance; values or futures.
            state_cb: Called after each chunk that is done, with how many are. What it raises ends
                the work, but for chunks that are under way. What plugins report is not passed on.
            *args: Passed to the plugin, after the chunk.
            **kwargs: Passed to the plugin.

        Returns:
            The prediction for each chunk, in order.

        Raises:
            TypeError: The model's predict returns another instance, which many calls at once
                cannot do; or there is an argument too much or too little.
            UnknownPluginError: No plugin provides it.
            ParityError: A worker has other plugins.
            Exception: Whatever the plugin or the callback raises, as it is, with a note.
        """
        if _returns_instance(model_type):
            raise TypeError(
                f"predict:{model_type} returns another instance (returns_instance=True), and many "
                "calls at once would each return their own; use exec_predict, one after the other"
            )
        if not chunks:
            return []
        client = self._client
        call = uuid.uuid4().hex
        (held,) = (instance,) if isinstance(instance, Future) else self._held(instance)
        task = _Task(
            executor=self.name,
            call=call,
            action="predict",
            key=model_type,
            listens=False,
            takes=True,
            stays=True,
        )
        futures = client.map(
            _predict_chunk,
            [each if isinstance(each, Future) else _Arguments((each,), {}) for each in chunks],
            task=task,
            instance=held,
            more=_Arguments(args, kwargs),
            key=f"predict:{model_type}-{call}",
            pure=False,
        )
        try:
            if state_cb is not None:
                done = as_completed(futures, loop=client.loop)
                for count, future in enumerate(done, start=1):
                    if future.status != "finished":
                        break
                    state_cb(
                        state_event(phase="predict", step=count, total=len(futures), unit="chunk")
                    )
            gathered: Any = client.gather(futures)
        except _Raised as raised:
            client.cancel(futures)
            raise raised.carried() from None
        except BaseException:
            client.cancel(futures)
            raise
        results: list[Any] = gathered
        return results

    # The hookimpls

    @hookimpl
    def aimm_data_access(self, name: Any, state_cb: Any, args: Any, kwargs: Any) -> Result | None:
        """Access data on the cluster; they come here."""
        return self._answer("data_access", name, (), state_cb, args, kwargs)

    @hookimpl
    def aimm_instantiate(
        self, model_type: Any, state_cb: Any, args: Any, kwargs: Any
    ) -> Result | None:
        """Make an instance on the cluster."""
        return self._answer("instantiate", model_type, (), state_cb, args, kwargs)

    @hookimpl
    def aimm_fit(
        self, model_type: Any, instance: Any, state_cb: Any, args: Any, kwargs: Any
    ) -> Result | None:
        """Fit a copy of an instance on the cluster."""
        return self._answer("fit", model_type, (instance,), state_cb, args, kwargs)

    @hookimpl
    def aimm_predict(
        self, model_type: Any, instance: Any, state_cb: Any, args: Any, kwargs: Any
    ) -> Result | None:
        """Predict on the cluster."""
        return self._answer("predict", model_type, (instance,), state_cb, args, kwargs)

    @hookimpl
    def aimm_serialize(self, model_type: Any, instance: Any) -> Result | None:
        """Serialize on the cluster."""
        return self._answer("serialize", model_type, (instance,), None, (), {})

    @hookimpl
    def aimm_deserialize(self, model_type: Any, instance_bytes: Any) -> Result | None:
        """Deserialize on the cluster."""
        if isinstance(instance_bytes, memoryview):
            instance_bytes = bytes(instance_bytes)
        return self._answer("deserialize", model_type, (instance_bytes,), None, (), {})

    def _answer(
        self,
        action: Action,
        key: str,
        given: tuple[Any, ...],
        state_cb: StateCallback | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Result | None:
        there = bool(given) and isinstance(given[0], Future)
        if _inside.get() or not (there or self._covers(action, key)):
            return None
        if (action, key) not in _api.providers(action, key):
            return None  # the one error for keys that nobody provides
        stays = action not in ("data_access", "serialize") and (self._keep or there)
        splits = action == "predict" and stays and _returns_instance(key)
        if action == "predict" and stays and not there:
            given = self._held(given[0])
        task = _Task(
            executor=self.name,
            call=uuid.uuid4().hex,
            action=action,
            key=key,
            listens=state_cb is not None and state_cb is not ignore_state,
            takes=bool(given),
            stays=stays,
        )
        future = self._run(task, _Arguments.sent((*given, *args), kwargs), state_cb)
        if splits:
            parts = [
                self._client.submit(operator.itemgetter(index), future, pure=False)
                for index in (0, 1)
            ]
            return Result((parts[0], parts[1].result()))
        if action == "predict" and stays:
            return Result((given[0], future.result()))
        return Result(future if stays else future.result())

    def _covers(self, action: Action, key: str) -> bool:
        return (self._actions is None or action in self._actions) and (
            self._keys is None or key in self._keys
        )

    def _held(self, instance: Any) -> tuple[Future[Any]]:
        """An instance on all workers, so that it outlives any of them."""
        # In a list, whose items are what is scattered.
        scattered: Any = self._client.scatter([instance], broadcast=True, hash=False)
        return (scattered[0],)

    def _run(
        self,
        task: _Task,
        sent: tuple[_Arguments, list[Future[Any]]],
        state_cb: StateCallback | None,
    ) -> Future[Any]:
        """The future of a call that is done, and was no failure."""
        arguments, futures = sent
        queue: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        if task.listens:
            self._queues[task.call] = queue
        future = self._client.submit(
            _execute,
            task,
            arguments,
            *futures,
            key=f"{task.action}:{task.key}-{task.call}",
            pure=False,
        )
        try:
            if task.listens and state_cb is not None:
                self._relay(queue, future, state_cb)
            failure = future.exception()  # waits
        except BaseException:
            self._cancel(task.call, future)
            raise
        finally:
            self._queues.pop(task.call, None)
        if future.status != "finished":
            if isinstance(failure, _Raised):
                raise failure.carried()
            future.result()  # raises what Dask has to say, such as KilledWorker
        return future

    def _received(self, event: tuple[float, dict[str, Any]]) -> None:
        """Sort events by call; in the client's own thread, which nobody may hold up."""
        queue = self._queues.get(event[1]["call"])
        if queue is not None:
            queue.put(event[1])

    def _relay(
        self,
        queue: SimpleQueue[dict[str, Any] | None],
        future: Future[Any],
        state_cb: StateCallback,
    ) -> None:
        """Call the caller's callback, in the caller's thread, until the call is done."""
        future.add_done_callback(lambda _: queue.put(None))
        attempt, worker = "", ""
        done = ended = False
        while not (done and ended):
            try:
                event = queue.get(timeout=_GRACE if done else None)
            except Empty:
                logger().warning("events of %s are late, and not waited for", future.key)
                return
            if event is None:
                done = True
                if future.status != "finished" and not isinstance(future.exception(), _Raised):
                    return  # killed or cancelled: there is no attempt that ends
            elif event["kind"] == "begin":
                if attempt:
                    state_cb(
                        state_event(
                            message=f"worker {worker} was lost; the work begins again on "
                            f"{event['worker']}",
                            warning="restarted",
                        )
                    )
                attempt, worker, ended = event["attempt"], event["worker"], False
            elif event["attempt"] == attempt:
                if event["kind"] == "end":
                    ended = True
                else:
                    state_cb(pickle.loads(event["state"]))

    def _cancel(self, call: str, future: Future[Any]) -> None:
        with suppress(Exception):  # what ended the call matters more
            future.cancel()
            self._client.run(_end, call, on_error="ignore")


@contextmanager
def dask_executor(
    client: Client,
    *,
    conf: Conf = None,
    actions: Collection[Action] | None = None,
    keys: Collection[str] | None = None,
    keep_on_cluster: bool = False,
) -> Generator[DaskExecutor]:
    """Run `exec_*` of this process on a cluster, as long as the block lasts.

    To be entered after `initialize`. Keys that nobody provides here are unknown there too.

    Args:
        client: A connected client that is not asynchronous.
        conf: The host's conf, for the workers; a mapping, or a path that leads to the same file
            on every worker. `None` as for `initialize`.
        actions: Only these; `None` for all.
        keys: Only these; `None` for all.
        keep_on_cluster: `exec_instantiate`, `exec_fit`, `exec_deserialize` and `exec_predict`
            return futures of instances, which stay where they were made. A call that is given a
            future as instance always runs on the cluster, and returns a future.

    Returns:
        A context manager that gives the executor.

    Raises:
        ParityError: A worker has other plugins than this process, or could not be initialized. One
            that joins later raises it from each call that it is given.
        TypeError: The client is asynchronous, or `actions` or `keys` is a bare string.
        ValueError: There is no such action.
    """
    if client.asynchronous:
        raise TypeError("dask_executor needs a client that is not asynchronous: Client(address)")
    for name, value in (("actions", actions), ("keys", keys)):
        if isinstance(value, str):
            raise TypeError(f"{name} is a list of names, and was given the string {value!r}")
    unknown = sorted(set(actions or ()) - set(get_args(Action)))
    if unknown:
        raise ValueError(
            f"no such action: {', '.join(unknown)}; they are {', '.join(get_args(Action))}"
        )
    executor = DaskExecutor(
        client,
        conf,
        None if actions is None else frozenset(actions),
        None if keys is None else frozenset(keys),
        keep_on_cluster,
    )
    manager = _api.get_plugin_manager()
    executor.start()
    try:
        manager.register(executor, executor.name)
        try:
            yield executor
        finally:
            manager.unregister(executor)
    finally:
        executor.stop()


@contextmanager
def cluster_client(address: str) -> Generator[Client]:
    """A client of a cluster, for the command line.

    Args:
        address: Of the scheduler; or `local` for a worker process of its own.

    Raises:
        OSError: Nobody answers there.
    """
    if address == "local":
        # One worker: the steps of a job follow each other. No limit, as without Dask.
        with (
            LocalCluster(
                n_workers=1,
                threads_per_worker=1,
                processes=True,
                memory_limit=None,
                dashboard_address=":0",
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client
    else:
        with Client(address, set_as_default=False) as client:
            yield client
