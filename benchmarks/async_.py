"""What awaiting a call by key costs."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.measuring import Figure, Loop, Section, Series


def section(quick: bool) -> Section:
    """Figures about `exec_predict_async`."""
    figure = Figure(
        name="`await exec_predict_async`, by `exec_predict` and a direct `await`",
        subject=Loop(
            name="exec_predict_async",
            setup="ours_async",
            statement="await exec_predict_async(key_async, instance, None, x)",
            awaits=True,
            needs=("aimm_plugins:exec_predict_async",),
        ),
        reference=Loop(
            name="exec_predict of a sync function",
            setup="ours_async",
            statement="exec_predict(key, instance, None, x)",
        )
        + Loop(
            name="direct await",
            setup="ours_async",
            statement="await predict_async(instance, x)",
            awaits=True,
        ),
        target=targets.ASYNC,
    )
    return Section(
        name="async",
        title="Async",
        text="An `async def` function that awaits nothing, in a running event loop.",
        series=(Series((figure,), rounds=1 if quick else 24),),
    )
