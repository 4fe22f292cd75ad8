"""LightGBM's training, told as state events and ended by what the state callback raises."""

from __future__ import annotations

from typing import Any

import lightgbm
from aimm_plugins import StateCallback, state_event
from lightgbm.callback import CallbackEnv


class RoundReporter:
    """A LightGBM callback that sends a state event after each boosting round.

    Args:
        state_cb: What it raises passes through `lightgbm.train`, which knows one exception only.
            That one, its `EarlyStopException`, it takes for its own early stopping and returns a
            model, so it travels in a `_CallerStop`.

    Attributes:
        done: Boosting rounds that are done.
        order: LightGBM calls callbacks in this order.
        before_iteration: Not before a round, but after it.
    """

    def __init__(self, state_cb: StateCallback) -> None:
        self._state_cb = state_cb
        self.done = 0
        # Before LightGBM's early stopping (30), so that each round is told; of the instance, since
        # LightGBM gives an order of its own to those that have none in their __dict__.
        self.order = 20
        self.before_iteration = False

    def __call__(self, env: CallbackEnv) -> None:
        """Tell of the round that `env` is about."""
        self.done = env.iteration - env.begin_iteration + 1
        event = state_event(
            phase="fit",
            step=self.done,
            total=env.end_iteration - env.begin_iteration,
            unit="round",
            metrics={
                f"{data}_{metric}": round(float(value), 6)
                for data, metric, value, *_ in env.evaluation_result_list or ()
            },
        )
        try:
            self._state_cb(event)
        except lightgbm.EarlyStopException as error:
            raise _CallerStop(error) from None


class _CallerStop(Exception):  # noqa: N818  # it never leaves this module
    def __init__(self, error: lightgbm.EarlyStopException) -> None:
        self.error = error


def train(
    params: dict[str, Any],
    data: lightgbm.Dataset,
    rounds: int,
    *,
    validation: lightgbm.Dataset | None = None,
    patience: int | None = None,
    state_cb: StateCallback,
) -> lightgbm.Booster:
    """`lightgbm.train` with state events.

    Args:
        params: As for `lightgbm.train`.
        data: What to learn from; its loss is among the metrics of each event.
        rounds: The most boosting rounds, at least 1.
        validation: What early stopping looks at; its loss is among the metrics too.
        patience: End after this many rounds without a better loss of `validation`, at least 1; a
            last event says so then. `None`: all rounds are done.
        state_cb: Called after each round. What it raises ends the training and comes out as it is.

    Returns:
        The model; after early stopping, up to its best round.
    """
    reporter = RoundReporter(state_cb)
    callbacks: list[Any] = [reporter]
    sets, names = [data], ["training"]
    if validation is not None:
        sets.append(validation)
        names.append("validation")
        if patience is not None:
            callbacks.append(lightgbm.early_stopping(patience, verbose=False))
    booster = stop = None
    try:
        booster = lightgbm.train(
            params, data, rounds, valid_sets=sets, valid_names=names, callbacks=callbacks
        )
    except _CallerStop as carrier:
        stop = carrier.error
    if booster is None:
        # Not in the except clause, which would leave its traces in the caller's exception.
        assert stop is not None
        raise stop
    if reporter.done < rounds:
        state_cb(
            state_event(
                phase="fit",
                step=reporter.done,
                total=reporter.done,
                unit="round",
                message=f"no better for {patience} rounds; the best was {booster.best_iteration}",
            )
        )
    return booster
