"""What progress reports cost."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.measuring import Figure, Loop, Section, Series


def section(quick: bool) -> Section:
    """Figures about state callbacks."""
    call = "exec_predict(key, instance, callback, x)"
    figures = (
        Figure(
            name="an event that the rate limit holds back, by a bare call",
            subject=Loop(
                name="held back",
                setup="held_back",
                statement="limited(event)",
                needs=("aimm_plugins:reporting",),
            ),
            reference=Loop(name="bare callback", setup="bare", statement="receive(event)"),
            target=targets.HELD_BACK,
        ),
        Figure(
            name="`exec_predict` that hands on a callback, by the original's",
            subject=Loop(name="exec_predict, callback", setup="ours_state", statement=call),
            reference=Loop(
                name="original, callback", setup="original_state", statement=call, needs=("aimm",)
            ),
            target=targets.STATE_BY_ORIGINAL,
        ),
    )
    return Section(
        name="state",
        title="State events",
        text="`reporting(callback, max_per_second=1)` called with an event that it holds back, "
        "beside a Python function that takes the event and does nothing; and a call of a plugin "
        "that asks for the callback.",
        series=(Series(figures, rounds=1 if quick else 24),),
    )
