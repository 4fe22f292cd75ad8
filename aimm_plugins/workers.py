"""The same plugins in the workers of a pool as in the process that uses it.

    executor = ProcessPoolExecutor(
        initializer=aimm_plugins.workers.initializer,
        initargs=(conf, aimm_plugins.fingerprint()),
    )
    aimm_plugins.workers.check(executor)

The same for `multiprocessing.Pool` and for joblib. In a worker whose plugins differ every `exec_*`
raises `ParityError` with the differences before any code of a plugin is run.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from aimm_plugins._config.values import Conf
from aimm_plugins._dispatch.hookspecs import hookimpl
from aimm_plugins._dispatch.manager import HOOKS
from aimm_plugins._parity import fingerprint as _fingerprint
from aimm_plugins._parity.differences import Differences, compare
from aimm_plugins._parity.fingerprint import Fingerprint
from aimm_plugins._startup import lifecycle as _lifecycle
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._system.guard import interruption
from aimm_plugins._system.log import logger
from aimm_plugins._system.text import described, indented, printable
from aimm_plugins._values.difference import Difference
from aimm_plugins._values.report import Report
from aimm_plugins.errors import ParityError

__all__ = ["WorkerStatus", "check", "initializer", "status"]

_NAME = "aimm_plugins.workers"
"""Of the plugin that holds the status of this process in its plugin manager."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """Whether a process has the plugins that its host has.

    Attributes:
        pid: The process.
        digest: Digest of its fingerprint; `None` where it was never initialized as a worker, or
            could not be.
        problem: What is wrong, as text; `None` if nothing is.
        differences: What differs, host first.
    """

    pid: int
    digest: str | None = None
    problem: str | None = None
    differences: tuple[Difference, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it may run plugins."""
        return self.problem is None


def initializer(
    conf: Mapping[str, object] | str | os.PathLike[str] | None = None,
    fingerprint: Fingerprint | None = None,
) -> None:
    """Initialize a worker as its host was, and compare its plugins with the host's.

    To be handed to a pool as its `initializer`, with `(conf, fingerprint)` as `initargs`. Never
    raises: a pool whose initializer does breaks without a cause, or starts workers for ever. What
    is wrong is raised by every later `exec_*` of this process instead, as `ParityError`; calling
    the initializer again tries again.

    Args:
        conf: As for `aimm_plugins.initialize`; the host's. A path has to lead to the same file in
            the worker.
        fingerprint: The host's `aimm_plugins.fingerprint()`; `None` compares nothing.

    Example:
        >>> from aimm_plugins import fingerprint, workers
        >>> workers.initializer({"names": [], "entry_points": {"enabled": False}}, fingerprint())
        >>> workers.status().ok
        True
    """
    found = attempt([conf], fingerprint)
    manager = PROCESS.runtime.manager
    if manager.has_plugin(_NAME):
        manager.unregister(name=_NAME)
    manager.register(_holder(found), _NAME)
    if found.problem is not None:
        logger().error("%s", found.problem)


def status() -> WorkerStatus:
    """How this process fared as a worker; a fork of an initialized one counts as that one.

    Returns:
        The account of this process.

    Example:
        >>> from aimm_plugins import workers
        >>> workers.status().ok  # nobody has called `initializer` here
        False
    """
    holder = PROCESS.runtime.manager.get_plugin(_NAME)
    if holder is None:
        return WorkerStatus(
            pid=os.getpid(),
            problem="it was never initialized as a worker: give the pool "
            "initializer=aimm_plugins.workers.initializer, "
            "initargs=(conf, aimm_plugins.fingerprint())",
        )
    found: WorkerStatus = holder.status
    return found


def attempt(confs: Sequence[Conf], expected: Fingerprint | None) -> WorkerStatus:
    """Initialize a worker by what its host was initialized by, in order, and compare.

    As `initializer`, but nothing is refused later on.
    """
    me = os.getpid()
    try:
        # A worker answers its calls itself, whatever the conf says of executors.
        reports = [_lifecycle.initialize(PROCESS.runtime, conf) for conf in confs]
        here = _fingerprint.fingerprint()
        found = Differences() if expected is None else compare(expected, here)
    except BaseException as error:  # SystemExit would end the worker, and a pool start the next
        if not isinstance(interruption(error), KeyboardInterrupt | None):
            raise
        problem = (
            f"this worker (process {me}) could not be initialized, and runs no plugin\n"
            f"{described(error)}"
        )
        return WorkerStatus(pid=me, problem=printable(problem))
    if not found:
        return WorkerStatus(pid=me, digest=here.digest)
    problem = (
        f"this worker (process {me}) has other plugins than its host, and runs none of them; "
        f"first: the host, second: this worker\n{found}{_failures(reports)}"
    )
    return WorkerStatus(
        pid=me, digest=here.digest, problem=printable(problem), differences=tuple(found)
    )


def _failures(reports: Sequence[Report]) -> str:
    """What `on_error: isolate` let pass, which mostly is the reason."""
    lines = [
        f"\n  {record.provenance}\n    {indented(described(record.error))}"
        for report in reports
        for record in report.failures
        if record.error is not None
    ]
    return "\nFailed in this worker:" + "".join(lines) if lines else ""


def _holder(status: WorkerStatus) -> SimpleNamespace:
    """A plugin that holds the status of this process, and refuses every call if it is not ok."""
    members: dict[str, Any] = {"status": status}
    for hook in () if status.ok else HOOKS:

        @hookimpl(wrapper=True, tryfirst=True, specname=hook)
        def before_wrappers() -> Generator[None, Any, Any]:
            _refuse(status)
            return (yield)

        # Never reached. But where a plain implementation may answer, a deferred plugin is not
        # imported before the hook is called.
        @hookimpl(tryfirst=True, specname=hook)
        def before_router() -> None:
            _refuse(status)

        members[f"wrap_{hook}"], members[hook] = before_wrappers, before_router
    return SimpleNamespace(**members)


def _refuse(status: WorkerStatus) -> None:
    # A new error each time: one that is raised twice collects notes.
    raise ParityError(status.problem or "", differences=status.differences)


# Asking a pool


def check(
    pool: Executor | Any, *, workers: int | None = None, timeout: float = 60.0
) -> tuple[WorkerStatus, ...]:
    """Ask every worker of a pool, before there is work, whether it has the host's plugins.

    As many questions as there are workers are submitted at once, again until all workers have
    answered; this starts workers that a pool starts when they are needed. Meanwhile the pool does
    nothing else: ask when it is idle.

    Args:
        pool: A `concurrent.futures` executor (loky's too), a `multiprocessing.Pool`, or a
            `joblib.Parallel`.
        workers: How many workers it has; by default as many as the pool was made with.
        timeout: Seconds until all of them have to have answered.

    Returns:
        The status of each worker that answered, by process.

    Raises:
        ParityError: A worker has other plugins, or was not initialized; with the status of each.
        TimeoutError: Fewer than `workers` answered in time; those that did are in order.
        TypeError: It is no pool, or does not tell how many workers it has.
    """
    count = _size(pool) if workers is None else workers
    until = time.monotonic() + timeout
    answers = _ask(pool, count, until)
    while len(answers) < count and time.monotonic() < until:
        answers |= _ask(pool, count, until)
    found = tuple(answers[pid] for pid in sorted(answers))
    wrong = [answer for answer in found if not answer.ok]
    if wrong:
        texts = [f"worker {answer.pid}: {answer.problem}" for answer in wrong]
        raise ParityError(
            f"{len(wrong)} of {len(found)} workers run no plugin\n" + "\n".join(texts),
            differences=wrong[0].differences,
        )
    if len(found) < count:
        raise TimeoutError(
            f"{len(found)} of {count} workers answered within {timeout} s; the pool is busy, has "
            "fewer, or its workers die when they start"
        )
    return found


def _size(pool: Any) -> int:
    # No pool says it in public; these have been there since Python 3.2, and in loky.
    for name in ("_max_workers", "_processes"):
        count = getattr(pool, name, None)
        if isinstance(count, int):
            return count
    count = getattr(pool, "n_jobs", None)
    joblib: Any = sys.modules.get("joblib")
    if isinstance(count, int) and joblib is not None:
        return int(joblib.effective_n_jobs(count))
    raise TypeError(f"a {type(pool).__name__} does not tell how many workers it has; give workers=")


def _ask(pool: Any, count: int, until: float) -> dict[int, WorkerStatus]:
    """The statuses of the workers that answer one of some questions, by process."""
    if hasattr(pool, "submit"):
        futures = [pool.submit(_answer) for _ in range(count)]
        answers = [future.result() for future in futures]
    elif hasattr(pool, "apply_async"):
        results = [pool.apply_async(_answer) for _ in range(count)]
        # `Pool` starts another worker for one that dies, without end, and no word of its task.
        for result in results:
            result.wait(max(until - time.monotonic(), 0))
        answers = [result.get() for result in results if result.ready()]
    elif hasattr(pool, "n_jobs"):
        answers = list(pool([(_answer, (), {})] * count))
    else:
        raise TypeError(f"a pool has submit or apply_async, and was given {type(pool).__name__}")
    return {answer.pid: answer for answer in answers}


def _answer() -> WorkerStatus:
    # So that an idle worker takes the next question; joblib gives several short ones to one.
    time.sleep(0.2)
    return status()
