"""At the host: answers calls by having them run on the cluster."""

from __future__ import annotations

import operator
import os
import threading
import time
import uuid
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager, suppress
from typing import Any

from dask.base import is_dask_collection
from dask.delayed import Delayed
from distributed import Client, Future

from aimm_plugins._api import starting
from aimm_plugins._dask import worker
from aimm_plugins._dask.events import ClientEvents, Relay
from aimm_plugins._dask.messages import KEPT, PREFIX, RaisedOnWorker, Task, Value, wrapped
from aimm_plugins._dask.setups import Setups, for_a_while
from aimm_plugins._dispatch.hookspecs import Result, hookimpl
from aimm_plugins._values.actions import Action, StateCallback, ignore_state

_POLL = 0.1
"""Seconds between looks at a connection that is made again."""


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
        self.name = f"{PREFIX}{client.id}-{uuid.uuid4().hex}"
        self.setups = Setups(client, self.name)
        self._events = ClientEvents.of(client)
        self._connection = client.scheduler_comm
        self._connecting = threading.Lock()

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
        if worker.returns_instance(model_type):
            raise TypeError(
                f"predict:{model_type} returns another instance (returns_instance=True), and many "
                "calls at once would each return their own; use exec_predict, one after the other"
            )
        if state_cb is not None and not callable(state_cb):
            raise TypeError(f"state_cb is a callable or None, and was given {state_cb!r}")
        self._see_connection()
        parts, more = self._as_sent(chunks), Value((args, kwargs))
        if not parts:
            return []
        task = self._task("predict", model_type, state_cb, keeps_result=True)
        held = instance if isinstance(instance, Future) else self._scatter(instance)

        def submit() -> list[Future[Any]]:
            nonlocal parts
            place = self._place(task, instance)
            sent, parts = parts, []  # a computed chunk goes as soon as its prediction is there
            futures: list[Future[Any]] = self._client.map(
                worker.predict_chunk,
                sent,
                range(len(sent)),
                task=task,
                instance=held,
                more=more,
                pure=False,
                **place,
            )
            return futures

        with self._running(task, submit, state_cb, counts=True) as futures:
            results: Any = self._client.gather(futures)
        return list(results)

    def _place(self, task: Task, instance: Any) -> dict[str, Any]:
        """The workers for the tasks of a map: all, or those that have an unpicklable instance."""
        if not isinstance(instance, Future):
            return {"key": task.name}
        key = task.name_where_kept
        if self._client.submit(worker.is_movable, instance, key=key).result():
            return {"key": task.name}
        holders: Any = self._client.who_has([instance])
        # Dask puts the tasks of a map wherever there is room. Others take them only if these
        # workers are lost, when Dask makes the instance again.
        return {"key": key, "workers": list(holders[instance.key]), "allow_other_workers": True}

    def _as_sent(self, chunks: Any) -> list[Any]:
        """Futures of the chunks that are on the cluster, and an envelope for each of the others."""
        parts = _partitions(chunks) if is_dask_collection(chunks) else list(chunks)
        lazy = [index for index, part in enumerate(parts) if is_dask_collection(part)]
        if lazy:
            computed: Any = self._client.compute([parts[index] for index in lazy])
            for index, future in zip(lazy, computed, strict=True):
                parts[index] = future
        return [wrapped(part) for part in parts]

    # The hookimpls

    @hookimpl
    def aimm_data_access(self, name: Any, state_cb: Any, args: Any, kwargs: Any) -> Result | None:
        return self._answer("data_access", name, (), state_cb, args, kwargs)

    @hookimpl
    def aimm_instantiate(
        self, model_type: Any, state_cb: Any, args: Any, kwargs: Any
    ) -> Result | None:
        return self._answer("instantiate", model_type, (), state_cb, args, kwargs)

    @hookimpl
    def aimm_fit(
        self, model_type: Any, instance: Any, state_cb: Any, args: Any, kwargs: Any
    ) -> Result | None:
        return self._answer("fit", model_type, (instance,), state_cb, args, kwargs)

    @hookimpl
    def aimm_predict(
        self, model_type: Any, instance: Any, state_cb: Any, args: Any, kwargs: Any
    ) -> Result | None:
        return self._answer("predict", model_type, (instance,), state_cb, args, kwargs)

    @hookimpl
    def aimm_serialize(self, model_type: Any, instance: Any) -> Result | None:
        return self._answer("serialize", model_type, (instance,), None, (), {})

    @hookimpl
    def aimm_deserialize(self, model_type: Any, instance_bytes: Any) -> Result | None:
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
        is_there = bool(given) and isinstance(given[0], Future)
        if not self._takes(action, key, is_there):
            return None
        self._see_connection()
        keeps = action not in ("data_access", "serialize") and (self._keep or is_there)
        splits = action == "predict" and keeps and worker.returns_instance(key)
        if action == "predict" and keeps and not is_there:
            given = (self._scatter(given[0]),)
        task = self._task(action, key, state_cb, keeps_result=keeps, names=tuple(kwargs))
        values = [wrapped(value) for value in (*given, *args, *kwargs.values())]

        def submit() -> list[Future[Any]]:
            name = task.name_where_kept if is_there else task.name
            return [self._client.submit(worker.run_task, task, *values, key=name, pure=False)]

        with self._running(task, submit, state_cb) as (future,):
            if splits:
                after, prediction = (
                    self._client.submit(
                        operator.itemgetter(index), future, key=f"{KEPT}-{task.call}-{index}"
                    )
                    for index in (0, 1)
                )
                return Result((after, prediction.result()))
            if action == "predict" and keeps:
                return Result((given[0], future.result()))
            if not keeps:
                return Result(future.result())
            if future.exception() is not None:  # waits
                future.result()  # raises it as Dask does
        return Result(future)

    def _takes(self, action: Action, key: str, is_there: bool) -> bool:
        """Whether a call runs on the cluster; one that is given a future (`is_there`) has to."""
        is_covered = (self._actions is None or action in self._actions) and (
            self._keys is None or key in self._keys
        )
        if worker.INSIDE.get() or not (is_there or is_covered):
            return False
        if os.getpid() != self._process:
            # A fork answers its calls itself, as the workers of a pool do: it has none of the
            # client's threads, and would wait for ever.
            if is_there:
                raise RuntimeError(
                    f"{action}:{key} was given a future, and this process (a fork of the one that "
                    "is connected to the cluster) has no connection to it; give it the instance"
                )
            return False
        # Without a provider, the call raises the one error for unknown keys.
        return (action, key) in starting.providers(action, key)

    def _task(
        self,
        action: Action,
        key: str,
        state_cb: StateCallback | None,
        *,
        keeps_result: bool,
        names: tuple[str, ...] = (),
    ) -> Task:
        listens = state_cb is not None and state_cb is not ignore_state
        return Task(
            executor=self.name,
            topic=self._events.topic if listens else None,
            call=uuid.uuid4().hex,
            action=action,
            key=key,
            keeps_result=keeps_result,
            names=names,
        )

    def _scatter(self, instance: Any) -> Future[Any]:
        """An instance on all workers, so that it outlives any of them."""
        # In a list, whose items are what is scattered. Not by `broadcast`, which copies for ever
        # where a worker leaves meanwhile; without the copies, calls fetch what they need.
        scattered: Any = self._client.scatter([instance], hash=False)
        for_a_while(self._client.replicate, scattered)
        future: Future[Any] = scattered[0]
        return future

    def _see_connection(self) -> None:
        """After the connection was lost, set up again what a new scheduler does not know."""
        with self._connecting:
            while self._client.status == "connecting":
                time.sleep(_POLL)
            if self._client.scheduler_comm is not self._connection:
                ClientEvents.of(self._client)
                self.setups.apply_again()
                self._connection = self._client.scheduler_comm

    @contextmanager
    def _running(
        self,
        task: Task,
        submit: Callable[[], list[Future[Any]]],
        state_cb: StateCallback | None,
        counts: bool = False,
    ) -> Generator[list[Future[Any]]]:
        """Submit, pass events on, then run the block, which waits for the futures.

        What leaves it is what the plugin has raised, and ends the work.
        """
        futures: list[Future[Any]] = []
        try:
            with self._events.queue(task.call) as queue:
                futures = submit()
                if task.topic is not None and state_cb is not None:
                    Relay(queue, futures, state_cb, counts).run()
                yield futures
        except BaseException as error:
            self._cancel(task.call, futures)
            if isinstance(error, RaisedOnWorker):
                raise error.original() from None
            raise

    def _cancel(self, call: str, futures: list[Future[Any]]) -> None:
        """Drop what has not begun, and end what has; what ended the call matters more."""
        if all(future.done() for future in futures):
            return
        with suppress(Exception):
            self._client.cancel(futures)
        for_a_while(self._client.run, worker.end_call, call, on_error="ignore")


def _partitions(collection: Any) -> list[Any]:
    """The parts of a Dask collection, in order, still lazy."""
    if isinstance(collection, Delayed) or not hasattr(collection, "to_delayed"):
        return [collection]
    if any(number > 1 for number in getattr(collection, "numblocks", ())[1:]):
        raise ValueError(
            f"an array is predicted for by whole rows, and its chunks are {collection.chunks}: "
            "rechunk it, such as by x.rechunk({1: -1})"
        )
    parts = collection.to_delayed()
    return list(getattr(parts, "flat", parts))  # an array's come as an array
