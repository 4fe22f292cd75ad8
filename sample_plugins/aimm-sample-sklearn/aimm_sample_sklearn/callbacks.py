"""scikit-learn's callbacks, told as state events.

scikit-learn has callbacks since 1.9, for some of its estimators, and says that their interface may
still change. With an older one, or an estimator without them, nothing is told in between.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from aimm_plugins import StateCallback, state_event


class StateReporter:
    """A scikit-learn `FitCallback` that sends an event for each task of a fit that is done.

    What the state callback raises passes through scikit-learn's `fit` and ends it.

    Args:
        state_cb: Told of all estimators of the fit; their name is the phase.
    """

    max_propagation_depth: int | None = None
    """Also the steps of a pipeline are told of, however deep."""

    def __init__(self, state_cb: StateCallback) -> None:
        self._state_cb = state_cb

    def setup(self, estimator: Any, context: Any) -> None:
        """Nothing is to be prepared."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """Nothing is to be put away."""

    def on_fit_task_begin(self, estimator: Any, context: Any, **more: Any) -> None:
        """Only what is done is told."""

    def on_fit_task_end(self, estimator: Any, context: Any, **more: Any) -> bool:
        """Tell of one task: an iteration, a step of a pipeline, a candidate of a search.

        Returns:
            `False`: to end a fit is the state callback's business.
        """
        parent = context.parent
        if parent is not None:  # the whole fit says nothing that its caller does not know
            self._state_cb(
                state_event(
                    phase=context.estimator_name,
                    step=context.task_id + 1,
                    total=parent.max_subtasks,
                    unit=context.task_name,
                )
            )
        return False


@contextmanager
def watched(estimator: Any, state_cb: StateCallback) -> Generator[None]:
    """While open, fits of `estimator` send state events, where scikit-learn can do that.

    Args:
        estimator: Keeps no trace of it afterwards, so that it can be saved.
        state_cb: Where events go.
    """
    set_callbacks = getattr(estimator, "set_callbacks", None)
    if set_callbacks is None:
        yield
        return
    set_callbacks(StateReporter(state_cb))
    try:
        yield
    finally:
        set_callbacks()
