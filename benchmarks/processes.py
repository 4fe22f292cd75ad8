"""What plugins in processes of their own cost beside a pool, and beside starting one by hand."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.environments import PROBES
from benchmarks.measuring import Constant, Figure, Fresh, Loop, Section, Series


def _loop(name: str, statement: str, setup: str = "environment") -> Loop:
    return Loop(name=name, setup=setup, statement=statement, script="cluster.py", needs=("numpy",))


def _sync(name: str, quick: bool, *arguments: str) -> Fresh:
    arguments = (str(PROBES / "sync.py"), *arguments)
    return Fresh(name=name, arguments=arguments, whole=True, best_of=1 if quick else 3)


def section(quick: bool) -> Section:
    """Figures about environments."""
    call = _loop("call", "call(x)")
    submit = _loop("ProcessPoolExecutor", "submit(x)")
    one = _loop("one environment", "start()", "starting")
    calls = (
        Figure(
            name="a call of an empty function, by `ProcessPoolExecutor.submit().result()`",
            subject=call,
            reference=submit,
            target=targets.CALL_BY_POOL,
        ),
        Figure(
            name="100 MB there and back, by two copies and that call",
            subject=_loop("array", "call(array)"),
            reference=_loop("two copies", "copy_twice()") + submit,
            target=targets.ARRAY_BY_COPIES,
        ),
    )
    starts = (
        Figure(
            name="`initialize` with an environment, by starting Python and importing the plugin",
            subject=one,
            reference=_loop("by hand", "by_hand()", "starting"),
            target=targets.ENVIRONMENT_BY_HAND,
        ),
        Figure(
            name="`initialize` with two environments, by with one",
            subject=_loop("two environments", "start()", "starting_two"),
            reference=one,
            target=targets.TWO_ENVIRONMENTS,
        ),
        Figure(
            name="`env sync` that finds all in place, beyond `--help`, by 0.2 s",
            subject=_sync("sync", quick) - _sync("sync --help", quick, "--help"),
            reference=Constant(name="0.2 s", value=2e8, counts="ns"),
            target=targets.SYNC,
        ),
    )
    return Section(
        name="environments",
        title="Environments",
        text="Wall time, as for Dask. A plugin that imports numpy, in a process of this "
        "interpreter. `initialize` is that of a process that has called it before, with the end of "
        "the environment by `unload_all`; what the first one costs beside is among the figures of "
        "the start. `env sync` is counted by CPU time, as commands are.",
        series=(
            Series(calls, rounds=2 if quick else 24),
            Series(starts, rounds=1 if quick else 12),
        ),
    )
