"""How a cluster comes to answer calls: for a block, or as long as the conf says.

An executor is switched on after all workers have been initialized, and switched off before they are
let go.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Collection, Generator, Mapping
from contextlib import ExitStack, contextmanager
from typing import get_args

from distributed import Client, LocalCluster

from aimm_plugins._api import starting
from aimm_plugins._config.environment import conf_or_default
from aimm_plugins._config.values import Conf, DaskRules
from aimm_plugins._dask.executor import DaskExecutor
from aimm_plugins._dispatch.executor import Executor
from aimm_plugins._parity.fingerprint import fingerprint, of_snapshot
from aimm_plugins._registry.snapshot import Snapshot
from aimm_plugins._startup.cluster import sendable
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._system.log import logger
from aimm_plugins._values.actions import Action


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

    To be entered after `initialize`. Keys that no plugin provides here are unknown there too.

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
            that joins later raises it from each call that it is given. Or a worker or the
            scheduler lacks this package.
        TypeError: The client is asynchronous, or `actions` or `keys` is a bare string.
        ValueError: There is no such action.
    """
    if client.asynchronous:
        raise TypeError("dask_executor needs a client that is not asynchronous: Client(address)")
    _check_choice(actions, keys)
    executor = DaskExecutor(client, actions, keys, keep_on_cluster)
    manager = starting.get_plugin_manager()
    with ExitStack() as stack:
        stack.callback(executor.setups.stop)
        executor.setups.start()
        executor.setups.apply([sendable(conf_or_default(conf))], fingerprint())
        manager.register(executor, executor.name)
        stack.callback(manager.unregister, executor)
        yield executor


def _check_choice(actions: Collection[str] | None, keys: Collection[str] | None) -> None:
    for name, value in (("actions", actions), ("keys", keys)):
        if isinstance(value, str):
            raise TypeError(f"{name} is a list of names, and was given the string {value!r}")
    known = get_args(Action)
    unknown = sorted(set(actions or ()).difference(known))
    if unknown:
        raise ValueError(f"no such action: {', '.join(unknown)}; they are {', '.join(known)}")


@contextmanager
def cluster_client(address: str) -> Generator[Client]:
    """A client of the cluster at an address; of one worker process of its own for `local`."""
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


class _Connection:
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
            stack.callback(self.executor.setups.stop)
            self.executor.setups.start()
            self._stack = stack.pop_all()
        # Before Dask's own, which would end a local cluster under its client.
        atexit.register(self.close)

    def is_ready(self, snapshot: Snapshot) -> bool:
        return self._closed or of_snapshot(snapshot).digest == self._digest

    def prepare(self, confs: list[Mapping[str, object] | str], snapshot: Snapshot) -> None:
        with self._lock:
            if self._closed:
                return
            expected = of_snapshot(snapshot)
            self.executor.setups.apply(confs, expected)
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


def connect(rules: DaskRules) -> Executor:
    return _Connection(rules)


def current_executor() -> DaskExecutor:
    """The executor that a conf has switched on, for its `map`.

    Raises:
        LookupError: None has.
    """
    executor = PROCESS.runtime.executor
    if not isinstance(executor, _Connection):
        raise LookupError(
            "no conf has switched on an executor: add dask: {address: ...} to it, or use the one "
            "that dask_executor gives"
        )
    return executor.executor
