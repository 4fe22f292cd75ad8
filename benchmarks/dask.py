"""What the Dask executor costs beside plain Dask."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.measuring import Figure, Loop, Section, Series


def _loop(name: str, statement: str, setup: str = "one_worker") -> Loop:
    return Loop(
        name=name, setup=setup, statement=statement, script="cluster.py", needs=("distributed",)
    )


def section(quick: bool) -> Section:
    """Figures about calls that run on a cluster."""
    chunks, steps = (40, 10_000) if quick else (1_000, 15_000_000)
    calls = (
        Figure(
            name="the check of a worker's plugins, by the round trip of an empty task",
            subject=_loop("check", "check(executor.name)"),
            reference=_loop("empty task", "client.submit(nothing, pure=False).result()"),
            target=targets.PARITY_CHECK,
        ),
        Figure(
            name="`exec_predict`, instance kept there, by `client.submit`",
            subject=_loop("exec_predict", "exec_predict(key, kept, None, x)"),
            reference=_loop(
                "client.submit", "client.submit(function, kept, x, pure=False).result()"
            ),
            target=targets.PREDICT_BY_SUBMIT,
        ),
    )
    many = Figure(
        name=f"`map` over {chunks:,} chunks, by `client.map`",
        subject=_loop("map", f"executor.map(key, kept, chunks({chunks}))"),
        reference=_loop(
            "client.map",
            f"client.gather(client.map(function, [kept] * {chunks}, chunks({chunks}), pure=False))",
        ),
        target=targets.MAP_BY_MAP,
    )
    both = _loop("two fits, two workers", f"fit_two({steps})", "two_workers")
    scaling = (
        Figure(
            name="two CPU-bound fits on two workers, by on one",
            subject=both,
            reference=_loop("two fits, one worker", f"fit_two({steps})"),
            target=targets.TWO_WORKERS,
        ),
        Figure(
            name="two CPU-bound fits on two workers, by `client.submit`",
            subject=both,
            reference=_loop(
                "two fits, two workers, client.submit", f"submit_two({steps})", "two_workers"
            ),
            target=targets.TWO_BY_SUBMIT,
        ),
    )
    return Section(
        name="dask",
        title="Dask",
        text="Wall time, because three processes work: other work on the machine is in both sides "
        "of a ratio, and the spread is wide. The first figures are of a cluster of one worker "
        "process with one thread, and lists of 100 numbers. The last two are of a cluster of two "
        "workers, and fits that are loops in Python. Two workers are as much faster as the machine "
        "has a free second processor; the last figure, beside plain Dask on the same workers, does "
        "not depend on that.",
        series=(
            Series(calls, rounds=2 if quick else 24),
            Series((many,), rounds=1 if quick else 8),
            Series(scaling, rounds=1 if quick else 12),
        ),
    )
