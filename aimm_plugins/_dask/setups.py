"""At the host: see to it that all workers have its plugins, or refuse its calls.

A setup stays with the scheduler, which gives it to every worker that joins. No plugin is run by it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from distributed import Client, stealing

from aimm_plugins._dask import worker
from aimm_plugins._dask.events import GRACE
from aimm_plugins._dask.messages import KEPT, PREFIX
from aimm_plugins._parity.fingerprint import Fingerprint
from aimm_plugins._system.log import logger
from aimm_plugins._system.text import printable
from aimm_plugins._values.difference import Difference
from aimm_plugins.errors import ParityError

_Confs = Sequence[Mapping[str, object] | str]


class Setups:
    """What one executor has its workers set up by; the last one counts."""

    def __init__(self, client: Client, executor: str) -> None:
        self._client = client
        self._executor = executor
        self._sent = 0
        self._current: tuple[_Confs, Fingerprint] | None = None

    def start(self) -> None:
        """Forget hosts that ended without a word, and see that the cluster has this package."""
        stale: Any = ()
        try:
            stale = self._client.run_on_scheduler(clean_scheduler)
        except ImportError as error:
            raise ParityError(f"the scheduler at {self._address} {_lacks(error)}") from error
        except Exception as error:  # old setups only keep out hosts with other confs
            logger().debug("the scheduler was not cleaned: %s", error)
        for name in stale:
            with suppress(Exception):
                self._client.unregister_worker_plugin(name)
        if not self._check_workers():
            logger().warning(
                "no worker is connected to the scheduler at %s; calls wait for the first",
                self._address,
            )

    def apply(self, confs: _Confs, expected: Fingerprint) -> None:
        """Initialize all workers, those that come later too; on failure as they were before."""
        try:
            self._send(confs, expected)
            self._check_workers()
        except BaseException:
            if self._current is not None:
                with suppress(Exception):  # what went wrong first matters more
                    self._send(*self._current, again=True)
            raise
        self._current = (confs, expected)

    def apply_again(self) -> None:
        """Initialize all workers as before, where the scheduler may be a new one."""
        if self._current is not None:
            self._send(*self._current)
            self._check_workers()

    def stop(self) -> None:
        """Leave the cluster as it was, but for the modules that its workers imported."""
        worker.forget(self._executor)  # where workers are in this process
        if self._sent:
            for_a_while(self._client.unregister_worker_plugin, self._name)

    @property
    def _name(self) -> str:
        return f"{self._executor}-{self._sent}"

    @property
    def _address(self) -> str:
        return str(self._client.scheduler_info()["address"])

    def _send(self, confs: _Confs, expected: Fingerprint, again: bool = False) -> None:
        with suppress(Exception):  # a kept instance that can be pickled needs it not
            self._client.run_on_scheduler(never_move_kept)
        before = self._name
        self._sent += 1
        setup = worker.Setup(
            executor=self._executor, name=self._name, confs=confs, expected=expected, again=again
        )
        self._client.register_plugin(setup, name=setup.name)
        if self._sent > 1:
            # Afterwards: a worker that is set up for no executor refuses what it is sent.
            with suppress(ValueError):  # a new scheduler knows of none before
                self._client.unregister_worker_plugin(before)

    def _check_workers(self) -> int:
        """Ask all workers how they fared, and return how many there are."""
        answers: Any = self._client.run(worker.status, self._executor, on_error="return")
        problems: list[str] = []
        differences: tuple[Difference, ...] = ()
        for address, answer in sorted(answers.items()):
            if isinstance(answer, Exception):
                problems.append(f"worker {address} {_lacks(answer)}")
            elif answer is not None and not answer.ok:
                problems.append(f"worker {address}: {answer.problem}")
                differences = differences or answer.differences
        if problems:
            counts = f"{len(problems)} of {len(answers)} workers run no plugin"
            raise ParityError("\n".join((counts, *problems)), differences=differences)
        return len(answers)


def _lacks(error: Exception) -> str:
    return (
        f"cannot read what this host sends ({printable(str(error))}); install the same version of "
        "aimm-plugins there: pip install 'aimm-plugins[dask]'"
    )


def clean_scheduler(dask_scheduler: Any) -> list[str]:
    """On the scheduler: drop the topics of clients that are gone, and name their setups."""
    present = tuple(f"{PREFIX}{client}" for client in dask_scheduler.clients)

    def of_the_gone(names: Iterable[str]) -> list[str]:
        return [name for name in names if name.startswith(PREFIX) and not name.startswith(present)]

    with suppress(AttributeError):  # Dask has no public way to drop a topic
        topics = dask_scheduler._broker._topics
        for topic in of_the_gone(topics):
            del topics[topic]
    return of_the_gone(dask_scheduler.worker_plugins)


def never_move_kept() -> None:
    """On the scheduler: have no idle worker take a task from the worker that has its instance."""
    stealing.fast_tasks.add(KEPT)  # Dask has no public way


def for_a_while(function: Callable[..., object], *args: Any, **kwargs: Any) -> None:
    """Do what may fail, and what a cluster that does not answer must not hold up for long."""

    def work() -> None:
        with suppress(Exception):
            function(*args, **kwargs)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(GRACE)
