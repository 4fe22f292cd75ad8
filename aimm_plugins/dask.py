"""An executor that runs `exec_*` on a Dask cluster.

    with Client("tcp://scheduler:8786") as client, dask_executor(client, conf=conf):
        model = exec_fit("iris.svc", exec_instantiate("iris.svc"), print, x, y)

Every worker, one that joins late or is restarted too, is initialized with the same conf and held
against the host's fingerprint; one that differs runs no plugin. Needs
`pip install aimm-plugins[dask]`, here and on the workers.
"""

from __future__ import annotations

import atexit
import copy
import io
import operator
import os
import threading
import traceback
import uuid
from collections import deque
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pickle import Pickler as PlainPickler
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, get_args

from aimm_plugins import workers
from aimm_plugins._api import calling, starting
from aimm_plugins._config.environment import conf_or_default
from aimm_plugins._config.values import Conf, DaskRules
from aimm_plugins._dispatch.cancelling import CancelToken
from aimm_plugins._dispatch.hookspecs import Result, hookimpl
from aimm_plugins._dispatch.state_events import state_event
from aimm_plugins._parity.differences import compare
from aimm_plugins._parity.fingerprint import Fingerprint, fingerprint, of_snapshot
from aimm_plugins._startup import lifecycle as _lifecycle
from aimm_plugins._startup.cluster import sendable
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._system.log import logger
from aimm_plugins._system.text import printable, safe_text, type_name
from aimm_plugins._values.actions import Action, StateCallback, ignore_state
from aimm_plugins.errors import AimmPluginsError, ParityError

try:
    from dask.base import is_dask_collection
    from dask.delayed import Delayed
    from distributed import Client, Future, LocalCluster, WorkerPlugin, get_worker
    from distributed.protocol import pickle
except ImportError as error:
    raise ImportError(
        "aimm_plugins.dask needs distributed: pip install 'aimm-plugins[dask]'", name=error.name
    ) from error

if TYPE_CHECKING:
    from aimm_plugins._registry.snapshot import Snapshot

__all__ = ["DaskExecutor", "cluster_client", "connect", "current_executor", "dask_executor"]

_PREFIX = "aimm_plugins.dask-"

_GRACE = 10.0
"""Seconds that events may come later than the result, which takes the same way; and that workers
have to answer that they were told to end."""


# On the workers

_accounts: dict[str, tuple[str, workers.WorkerStatus]] = {}
"""How this process fared as a worker, by executor; with the name of what has set it up."""

_PROCESS = uuid.uuid4().hex
"""Tells this process from others; a fork of it has another id."""

_running: dict[str, tuple[str, CancelToken]] = {}
"""What runs in this process, by attempt: the call that it belongs to, and how it is ended."""

_ended: deque[str] = deque(maxlen=100)
"""The last calls that were ended, some of whose tasks may still be about to begin."""

_inside: ContextVar[bool] = ContextVar("aimm_plugins.dask", default=False)
"""Whether this is a call on a worker: with `processes=False` that is the host's process too."""


class _Setup(WorkerPlugin):
    """Makes every worker one with the host's plugins, or one that refuses.

    Args:
        executor: For whom.
        number: How many the executor has sent; the last one counts.
        confs: What the host was initialized by, in order.
        expected: The host's fingerprint.
        anew: Whether to forget what the worker has loaded for the executor.
    """

    def __init__(
        self,
        executor: str,
        number: int,
        confs: Sequence[Conf],
        expected: Fingerprint,
        anew: bool = False,
    ) -> None:
        self.name = f"{executor}-{number}"
        self._executor = executor
        self._confs = confs
        self._expected = expected
        self._anew = anew
        self._host = (os.getpid(), _PROCESS)

    def setup(self, worker: object) -> None:
        """Called when a worker starts, and in those that run already."""
        if self._host == (os.getpid(), _PROCESS):
            # With `processes=False`: what is registered here is the host's.
            account = workers.WorkerStatus(pid=os.getpid(), digest=self._expected.digest)
        else:
            account = self._among_others() or self._set_up()
            if account.problem is not None:
                logger().error("%s", account.problem)
        _accounts[self._executor] = (self.name, account)

    def _among_others(self) -> workers.WorkerStatus | None:
        """The refusal, if other plugins are loaded here for another host, which are to stay."""
        others = {
            account.digest
            for executor, (_, account) in _accounts.items()
            if executor != self._executor and account.ok
        }
        if others <= {self._expected.digest}:
            return None
        differences = compare(self._expected, fingerprint())
        return workers.WorkerStatus(
            pid=os.getpid(),
            problem=f"this worker (process {os.getpid()}) serves a host with other plugins, and "
            f"this one when that has left; first: this host, second: this worker\n{differences}",
            differences=tuple(differences),
        )

    def _set_up(self) -> workers.WorkerStatus:
        with suppress(Exception):  # what is wrong is found below, and told
            if self._anew or not any(account.ok for _, account in _accounts.values()):
                _lifecycle.unload_all(PROCESS.runtime)  # what hosts of before have had loaded
            else:
                _lifecycle.refresh(PROCESS.runtime)
        # Not the initializer of `workers`: that would refuse the calls of other hosts too.
        return workers.attempt(self._confs, self._expected)

    def teardown(self, worker: object) -> None:
        """Called when the executor is switched off, or the worker ends."""
        if self._host == (os.getpid(), _PROCESS):
            return  # other workers may be in this process too
        if _accounts.get(self._executor, ("",))[0] != self.name:
            return  # a later one has come
        del _accounts[self._executor]
        if not _accounts:
            _lifecycle.unload_all(PROCESS.runtime)


def _account(executor: str) -> workers.WorkerStatus | None:
    found = _accounts.get(executor)
    return None if found is None else found[1]


def _end(call: str) -> None:
    """Have the next state event of each of a call's tasks raise."""
    _ended.append(call)
    for each, token in list(_running.values()):
        if each == call:
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

    def __repr__(self) -> str:
        return str(self)  # workers log it

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
    """Sends what happens in one attempt to run a task; also the plugin's state callback."""

    def __init__(self, task: _Task, worker: Any, index: int) -> None:
        self._worker = worker
        self._topic = task.executor
        self._listens = task.listens
        self.attempt = uuid.uuid4().hex
        self._common = {
            "call": task.call,
            "index": index,
            "attempt": self.attempt,
            "worker": worker.address,
        }
        self.token = CancelToken()

    def send(self, kind: str, **more: object) -> None:
        if self._listens:
            self._worker.log_event(self._topic, {**self._common, "kind": kind, **more})

    def __call__(self, state: dict[str, Any]) -> None:
        self.token.check()
        # Pickled at once: plugins may change the dict after this, and Dask's own way has no word
        # for numbers of numpy's.
        self.send("state", state=pickle.dumps(state))


@contextmanager
def _attempt(task: _Task, index: int = 0) -> Generator[_Sender]:
    """One attempt to run a task, or the one of many with this index, in a worker.

    Raises:
        ParityError: The worker is not as its host; carried, as whatever the block raises.
    """
    worker = get_worker()
    sender = _Sender(task, worker, index)
    inside = _inside.set(True)
    _running[sender.attempt] = (task.call, sender.token)
    sender.send("begin")
    try:
        if task.call in _ended:
            sender.token.cancel()
            sender.token.check()
        _check(task.executor)
        yield sender
    except BaseException as error:
        raise _Raised.carrying(error, worker.address) from None
    finally:
        del _running[sender.attempt]
        sender.send("end")
        _inside.reset(inside)


def _check(executor: str) -> None:
    """Refuse a worker that is not as its host.

    Raises:
        ParityError: It is not.
    """
    account = _account(executor)
    if account is None:
        raise ParityError(
            f"this worker (process {os.getpid()}) was not initialized for the executor that sends "
            "it work, and runs no plugin; the executor may have been switched off"
        )
    if account.problem is not None:
        raise ParityError(account.problem, differences=account.differences)


def _execute(task: _Task, arguments: _Arguments, *results: Any) -> Any:
    """Run a call in a worker."""
    with _attempt(task) as sender:
        args, kwargs = arguments.received(results)
        return _called(task, sender, args, kwargs)


def _called(task: _Task, state_cb: StateCallback, args: list[Any], kwargs: dict[str, Any]) -> Any:
    given: list[Any] = [args.pop(0)] if task.takes else []
    # What Dask stores is never worked on: others hold it, and a second attempt begins with it.
    changes = task.action == "fit"
    if task.action == "predict" and task.stays:
        changes = _returns_instance(task.key)
    if changes:
        given = [copy.deepcopy(given[0])]
    function = calling.EXEC[task.action]
    if task.action in ("serialize", "deserialize"):
        return function(task.key, *given)
    result = function(task.key, *given, state_cb, *args, **kwargs)
    if task.action == "predict" and task.stays and not changes:
        return result[1]
    return result


def _predict_chunk(chunk: Any, index: int, *, task: _Task, instance: Any, more: _Arguments) -> Any:
    """Predict for one of many chunks."""
    with _attempt(task, index) as sender:
        if type(chunk) is _Arguments:
            (chunk,) = chunk.args
        try:
            return calling.exec_predict(
                task.key, instance, sender, chunk, *more.args, **more.kwargs
            )[1]
        except BaseException as error:
            with suppress(Exception):  # a stranger's exception may forbid it
                error.add_note(f"in chunk {index}")
            raise


def _returns_instance(model_type: str) -> bool:
    """Whether predict returns another instance; loads a deferred plugin.

    Raises:
        UnknownPluginError: Nobody provides it.
    """
    declaration = PROCESS.runtime.loaded_provider("predict", model_type).declaration
    return declaration is not None and declaration.returns_instance


# On the scheduler


def _stale(dask_scheduler: Any) -> list[str]:
    """The setups whose clients are gone."""
    return [
        name
        for name in dask_scheduler.worker_plugins
        if name.startswith(_PREFIX)
        and not any(name.startswith(f"{_PREFIX}{client}-") for client in dask_scheduler.clients)
    ]


# At the host


class DaskExecutor:
    """What `dask_executor` gives; a plugin of the plugin manager meanwhile."""

    def __init__(
        self,
        client: Client,
        actions: Collection[Action] | None,
        keys: Collection[str] | None,
        keep: bool,
    ) -> None:
        self._client = client
        self._actions = None if actions is None else frozenset(actions)
        self._keys = None if keys is None else frozenset(keys)
        self._keep = keep
        self._process = os.getpid()
        self.name = f"{_PREFIX}{client.id}-{uuid.uuid4().hex}"
        self._queues: dict[str, SimpleQueue[dict[str, Any]]] = {}
        self._sent = 0
        self._standing: tuple[Sequence[Conf], Fingerprint] | None = None

    def start(self) -> None:
        """Have events come here, and forget hosts that ended without a word."""
        self._client.subscribe_topic(self.name, self._received)
        with suppress(Exception):  # they only stand in the way of other confs
            stale: Any = self._client.run_on_scheduler(_stale)
            for name in stale:
                self._client.unregister_worker_plugin(name)

    def set_up(self, confs: Sequence[Conf], expected: Fingerprint) -> None:
        """Initialize all workers, those that come later too.

        Raises:
            ParityError: A worker has other plugins, or could not be initialized; all are set up
                again as they were before.
        """
        try:
            self._send(confs, expected)
            self._ask()
        except BaseException:
            if self._standing is not None:
                with suppress(Exception):  # what went wrong first matters more
                    self._send(*self._standing, anew=True)
            raise
        self._standing = (confs, expected)

    def _send(self, confs: Sequence[Conf], expected: Fingerprint, anew: bool = False) -> None:
        before = f"{self.name}-{self._sent}"
        self._sent += 1
        setup = _Setup(self.name, self._sent, [sendable(conf) for conf in confs], expected, anew)
        self._client.register_plugin(setup, name=setup.name)
        if self._sent > 1:
            # Afterwards: a worker without an account refuses what it is sent.
            self._client.unregister_worker_plugin(before)

    def _ask(self) -> None:
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

    def stop(self) -> None:
        """Leave the cluster as it was, but for the modules that its workers imported."""
        with suppress(Exception):  # the cluster may be gone, and what ended the block matters more
            self._client.unsubscribe_topic(self.name)
            if self._sent:
                self._client.unregister_worker_plugin(f"{self.name}-{self._sent}")

    def map(
        self,
        model_type: str,
        instance: Any,
        chunks: Any,
        state_cb: StateCallback | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> list[Any]:
        """Predictions for many chunks of data, with one instance that is sent once.

        Args:
            model_type: Key of the model.
            instance: The instance, or a future of one.
            chunks: The first argument of each call after the instance: an iterable of values,
                futures and Dask's lazy objects, or a Dask collection (array, dataframe, bag), each
                of whose partitions is a chunk. What is lazy is computed on the cluster, and stays
                there for no longer than it takes to predict.
            state_cb: Called with what the plugin reports, in order for each chunk, each event with
                the chunk's index as `chunk`; and after each chunk that is done with how many are.
                What it raises ends the work: chunks that have not begun are dropped, and in those
                that are under way the plugin's next state event raises `Cancelled`.
            *args: Passed to the plugin, after the chunk.
            **kwargs: Passed to the plugin.

        Returns:
            The prediction for each chunk, in order.

        Raises:
            TypeError: The model's predict returns another instance, which many calls at once
                cannot do; or there is an argument too much or too little.
            ValueError: The chunks of an array are not whole rows.
            UnknownPluginError: No plugin provides it.
            ParityError: A worker has other plugins.
            Exception: Whatever the plugin or the callback raises, as it is, with a note; the work
                on other chunks ends.
        """
        if _returns_instance(model_type):
            raise TypeError(
                f"predict:{model_type} returns another instance (returns_instance=True), and many "
                "calls at once would each return their own; use exec_predict, one after the other"
            )
        if state_cb is not None and not callable(state_cb):
            raise TypeError(f"state_cb is a callable or None, and was given {state_cb!r}")
        parts = self._parts(chunks)
        if not parts:
            return []
        task = _Task(
            executor=self.name,
            call=uuid.uuid4().hex,
            action="predict",
            key=model_type,
            listens=state_cb is not None and state_cb is not ignore_state,
            takes=True,
            stays=True,
        )
        (held,) = (instance,) if isinstance(instance, Future) else self._held(instance)

        def submit() -> list[Future[Any]]:
            nonlocal parts
            sent, parts = parts, []  # a computed chunk goes as soon as its prediction is there
            futures: list[Future[Any]] = self._client.map(
                _predict_chunk,
                sent,
                range(len(sent)),
                task=task,
                instance=held,
                more=_Arguments(args, kwargs),
                key=f"predict:{model_type}-{task.call}",
                pure=False,
            )
            return futures

        with self._watched(task, submit, state_cb, counts=True) as futures:
            gathered: Any = self._client.gather(futures)
        results: list[Any] = gathered
        return results

    def _parts(self, chunks: Any) -> list[Any]:
        """The chunks as they are sent: futures, and values in an envelope."""
        parts = _partitions(chunks) if is_dask_collection(chunks) else list(chunks)
        lazy = [index for index, each in enumerate(parts) if is_dask_collection(each)]
        if lazy:
            computed: Any = self._client.compute([parts[index] for index in lazy])
            for index, future in zip(lazy, computed, strict=True):
                parts[index] = future
        return [each if isinstance(each, Future) else _Arguments((each,), {}) for each in parts]

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
        if os.getpid() != self._process:
            # A fork answers its calls itself, as the workers of a pool do: it has none of the
            # client's threads, and would wait for ever.
            if there:
                raise RuntimeError(
                    f"{action}:{key} was given a future, and this process (a fork of the one that "
                    "is connected to the cluster) has no connection to it; give it the instance"
                )
            return None
        if (action, key) not in starting.providers(action, key):
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
        arguments, futures = _Arguments.sent((*given, *args), kwargs)

        def submit() -> list[Future[Any]]:
            key = f"{action}:{task.key}-{task.call}"
            return [self._client.submit(_execute, task, arguments, *futures, key=key, pure=False)]

        with self._watched(task, submit, state_cb) as (future,):
            if splits:
                parts = [
                    self._client.submit(operator.itemgetter(index), future, pure=False)
                    for index in (0, 1)
                ]
                return Result((parts[0], parts[1].result()))
            if action == "predict" and stays:
                return Result((given[0], future.result()))
            if not stays:
                return Result(future.result())
            failure = future.exception()  # waits
            if failure is not None:
                future.result()  # raises it as Dask does
        return Result(future)

    def _covers(self, action: Action, key: str) -> bool:
        return (self._actions is None or action in self._actions) and (
            self._keys is None or key in self._keys
        )

    def _held(self, instance: Any) -> tuple[Future[Any]]:
        """An instance on all workers, so that it outlives any of them."""
        # In a list, whose items are what is scattered.
        scattered: Any = self._client.scatter([instance], broadcast=True, hash=False)
        return (scattered[0],)

    @contextmanager
    def _watched(
        self,
        task: _Task,
        submit: Callable[[], list[Future[Any]]],
        state_cb: StateCallback | None,
        counts: bool = False,
    ) -> Generator[list[Future[Any]]]:
        """Submit, pass events on, then run the block, which waits for the futures.

        What leaves it is what the plugin has raised, and ends the work.
        """
        queue: SimpleQueue[dict[str, Any]] = SimpleQueue()
        if task.listens:
            self._queues[task.call] = queue
        futures: list[Future[Any]] = []
        try:
            futures = submit()
            if task.listens and state_cb is not None:
                _relay(queue, futures, state_cb, counts)
            yield futures
        except BaseException as error:
            self._cancel(task.call, futures)
            if isinstance(error, _Raised):
                raise error.carried() from None
            raise
        finally:
            self._queues.pop(task.call, None)

    def _received(self, event: tuple[float, dict[str, Any]]) -> None:
        """Sort events by call; in the client's own thread, which nobody may hold up."""
        queue = self._queues.get(event[1]["call"])
        if queue is not None:
            queue.put(event[1])

    def _cancel(self, call: str, futures: list[Future[Any]]) -> None:
        """Drop what has not begun, and end what has; what ended the call matters more."""
        if all(future.done() for future in futures):
            return
        with suppress(Exception):
            self._client.cancel(futures)
        # In a thread: a worker that does not answer is not to hold up the caller.
        telling = threading.Thread(target=self._tell_end, args=(call,), daemon=True)
        telling.start()
        telling.join(_GRACE)

    def _tell_end(self, call: str) -> None:
        with suppress(Exception):
            self._client.run(_end, call, on_error="ignore")


@dataclass(slots=True)
class _Followed:
    """What is known at the host of one task.

    Attributes:
        attempt: The one that runs, or ran last.
        worker: Where.
        ended: Whether all its events have come.
        done: Whether there is a result or an error.
        counted: Whether its end was told.
    """

    attempt: str = ""
    worker: str = ""
    ended: bool = False
    done: bool = False
    counted: bool = False


def _relay(
    queue: SimpleQueue[dict[str, Any]],
    futures: list[Future[Any]],
    state_cb: StateCallback,
    counts: bool,
) -> None:
    """Call the caller's callback, in the caller's thread, until all is done or one has failed."""

    def tell(state: Any, index: int) -> None:
        state_cb({**state, "chunk": index} if counts and isinstance(state, dict) else state)

    for index, future in enumerate(futures):
        future.add_done_callback(partial(_put_done, queue, index))
    tasks = [_Followed() for _ in futures]
    late: set[int] = set()
    count = 0
    while count < len(futures):
        try:
            event = queue.get(timeout=_GRACE if late else None)
        except Empty:
            logger().warning("events of %s are late, and not waited for", futures[min(late)].key)
            return
        index = event["index"]
        task, future = tasks[index], futures[index]
        if event["kind"] == "done":
            task.done = True
            if future.status != "finished" and not isinstance(future.exception(), _Raised):
                return  # killed or cancelled: there is no attempt that ends
        elif event["kind"] == "begin":
            if task.attempt:
                text = f"worker {task.worker} was lost; the work begins again on {event['worker']}"
                tell(state_event(message=text, warning="restarted"), index)
            task.attempt, task.worker, task.ended = event["attempt"], event["worker"], False
        elif event["attempt"] == task.attempt:
            if event["kind"] == "end":
                task.ended = True
            else:
                tell(pickle.loads(event["state"]), index)
        if not task.done or task.counted:
            continue
        if not task.ended:
            late.add(index)
            continue
        if future.status != "finished":
            return  # whoever waits for it raises what it has
        late.discard(index)
        task.counted = True
        count += 1
        if counts:
            state_cb(state_event(phase="predict", step=count, total=len(futures), unit="chunk"))


def _put_done(queue: SimpleQueue[dict[str, Any]], index: int, future: object) -> None:
    queue.put({"kind": "done", "index": index})


def _partitions(collection: Any) -> list[Any]:
    """The parts of a Dask collection, in order, still lazy.

    Raises:
        ValueError: It is an array with several chunks along another axis than the first.
    """
    if isinstance(collection, Delayed) or not hasattr(collection, "to_delayed"):
        return [collection]
    if any(number > 1 for number in getattr(collection, "numblocks", ())[1:]):
        raise ValueError(
            f"an array is predicted for by whole rows, and its chunks are {collection.chunks}: "
            "rechunk it, such as by x.rechunk({1: -1})"
        )
    parts = collection.to_delayed()
    return list(getattr(parts, "flat", parts))  # an array's come as an array


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
    executor = DaskExecutor(client, actions, keys, keep_on_cluster)
    manager = starting.get_plugin_manager()
    executor.start()
    try:
        executor.set_up([conf_or_default(conf)], fingerprint())
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


# Switched on by a conf


class _Connected:
    """The executor of a conf, with a client of its own; see `aimm_plugins.executors.Executor`."""

    def __init__(self, rules: DaskRules) -> None:
        self.rules = rules
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._closed = False
        self._digest: str | None = None
        with ExitStack() as stack:
            client = stack.enter_context(cluster_client(rules.address))
            self.executor = DaskExecutor(client, rules.actions, rules.keys, rules.keep_on_cluster)
            stack.callback(self.executor.stop)
            self.executor.start()
            self._stack = stack.pop_all()
        # Before Dask's own, which would end a local cluster under its client.
        atexit.register(self.close)

    def is_ready(self, snapshot: Snapshot) -> bool:
        return self._closed or of_snapshot(snapshot).digest == self._digest

    def prepare(self, confs: list[Conf], snapshot: Snapshot) -> None:
        with self._lock:
            if self._closed:
                return
            expected = of_snapshot(snapshot)
            self.executor.set_up(confs, expected)
            self._digest = expected.digest

    def switch_on(self) -> None:
        if not self._closed and not PROCESS.runtime.manager.is_registered(self.executor):
            PROCESS.runtime.manager.register(self.executor, self.executor.name)

    def close(self) -> None:
        if PROCESS.runtime.manager.is_registered(self.executor):
            PROCESS.runtime.manager.unregister(self.executor)
        if os.getpid() != self._process:
            return  # a fork has none of the client's threads, which would have to close it
        with self._lock:
            if self._closed:
                return
            self._closed = True
            atexit.unregister(self.close)
            try:
                self._stack.close()
            except Exception as error:  # the cluster may be gone
                logger().warning("leaving the cluster at %s: %s", self.rules.address, error)


def connect(rules: DaskRules) -> _Connected:
    """Connect to the cluster of a conf; `initialize` does.

    Raises:
        OSError: Nobody answers there.
    """
    return _Connected(rules)


def current_executor() -> DaskExecutor:
    """The executor that a conf has switched on, for its `map`.

    Raises:
        LookupError: None has.
    """
    executor = PROCESS.runtime.executor
    if not isinstance(executor, _Connected):
        raise LookupError(
            "no conf has switched on an executor: add dask: {address: ...} to it, or use the one "
            "that dask_executor gives"
        )
    return executor.executor
