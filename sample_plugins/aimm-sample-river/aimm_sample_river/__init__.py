"""Online learning in function style: a model that may learn while it predicts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from river import linear_model, multiclass, optim, preprocessing

from aimm_plugins import deserialize, fit, instantiate, predict, serialize

MODEL_TYPE = "wine.online"
FORMAT = 1


class OnlineModel:
    """A standard scaler and one logistic regression a class, all updated sample by sample.

    Attributes:
        rate: Learning rate, more than 0.
        scaler: Running mean and variance of each feature.
        classifier: One-vs-rest logistic regressions.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.scaler = preprocessing.StandardScaler()
        self.classifier = multiclass.OneVsRestClassifier(
            linear_model.LogisticRegression(optimizer=optim.SGD(rate))
        )

    def learn(self, x: dict[str, float], label: Any) -> None:
        """Learn from one sample."""
        self.scaler.learn_one(x)
        self.classifier.learn_one(self.scaler.transform_one(x), label)

    def guess(self, x: dict[str, float]) -> Any:
        """Label of one sample; `None` before the first sample was learned."""
        return self.classifier.predict_one(self.scaler.transform_one(x))


@instantiate(MODEL_TYPE)
def make(rate: float = 0.05) -> OnlineModel:
    """Make an empty model.

    Args:
        rate: Learning rate, more than 0.

    Raises:
        ValueError: `rate` is not more than 0.
    """
    if not rate > 0:
        raise ValueError(f"rate is more than 0, not {rate}")
    return OnlineModel(rate)


@fit([MODEL_TYPE], state_cb_arg_name="state_cb")
def learn(
    instance: OnlineModel,
    x: Any,
    y: Iterable[Any],
    *,
    epochs: int = 1,
    state_cb: Callable[[dict[str, Any]], None],
) -> OnlineModel:
    """Learn from samples one after the other, in place.

    Args:
        instance: As `make` returns it; goes on from what it has learned.
        x: A data frame, a 2-d array of shape (n_samples, n_features), or an iterable of dicts.
        y: Labels, int or str, one a sample.
        epochs: Passes over the samples, at least 1.
        state_cb: Called once an epoch.

    Returns:
        The same instance.

    Raises:
        ValueError: `x` and `y` differ in length, or `epochs` is less than 1.
    """
    if epochs < 1:
        raise ValueError(f"epochs is at least 1, not {epochs}")
    samples, labels = list(_samples(x)), [_plain(label) for label in y]
    if len(samples) != len(labels):
        raise ValueError(f"{len(samples)} samples, and {len(labels)} labels")
    for epoch in range(1, epochs + 1):
        right = 0
        for sample, label in zip(samples, labels, strict=True):
            right += instance.guess(sample) == label
            instance.learn(sample, label)
        state_cb(
            {
                "phase": "fit",
                "step": epoch,
                "total": epochs,
                "unit": "epoch",
                "metrics": {"progressive_accuracy": round(right / max(len(samples), 1), 4)},
            }
        )
    return instance


@predict([MODEL_TYPE])
def label(instance: OnlineModel, x: Any, *, learn_from: Iterable[Any] | None = None) -> list[Any]:
    """Predict, and learn from each sample right after its prediction where its label is known.

    Args:
        instance: The model; with `learn_from` it is another one afterwards, in place.
        x: As for the fit.
        learn_from: True labels, one a sample, `None` where unknown.

    Returns:
        A label a sample; `None` from a model that has not learned anything.

    Raises:
        ValueError: `learn_from` and `x` differ in length; nothing is learned then.
    """
    samples = list(_samples(x))
    known = [None] * len(samples) if learn_from is None else [_plain(each) for each in learn_from]
    if len(known) != len(samples):
        raise ValueError(f"{len(samples)} samples, and {len(known)} labels in learn_from")
    labels = []
    for sample, truth in zip(samples, known, strict=True):
        labels.append(instance.guess(sample))
        if truth is not None:
            instance.learn(sample, truth)
    return labels


@serialize([MODEL_TYPE])
def save(instance: OnlineModel) -> bytes:
    """The statistics and weights as JSON: numbers and names, nothing that could run."""
    scaler = instance.scaler
    return json.dumps(
        {
            "format": FORMAT,
            "rate": instance.rate,
            "scaler": {
                name: [scaler.counts[name], scaler.means[name], scaler.vars[name]]
                for name in scaler.counts
            },
            "classes": [
                [name, dict(one.weights), one.intercept, one.optimizer.n_iterations]
                for name, one in instance.classifier.classifiers.items()
            ],
        }
    ).encode()


@deserialize([MODEL_TYPE])
def load(instance_bytes: bytes) -> OnlineModel:
    """The model that `save` made the bytes of.

    Raises:
        ValueError: The bytes are no such model, or of a newer format.
    """
    try:
        state = json.loads(bytes(instance_bytes))
        if state["format"] != FORMAT:
            raise ValueError(f"format {state['format']!r}, and this version reads {FORMAT}")
        instance = make(_finite(state["rate"]))
        for name, (count, mean, variance) in state["scaler"].items():
            instance.scaler.counts[name] = int(count)
            instance.scaler.means[name] = _finite(mean)
            instance.scaler.vars[name] = _finite(variance)
        for name, weights, intercept, iterations in state["classes"]:
            one = linear_model.LogisticRegression(optimizer=optim.SGD(instance.rate))
            one._weights.update({key: _finite(value) for key, value in weights.items()})
            one.intercept = _finite(intercept)
            one.optimizer.n_iterations = int(iterations)
            instance.classifier.classifiers[name] = one
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"not a saved {MODEL_TYPE}: {error}") from error
    return instance


def _samples(x: Any) -> Iterator[dict[str, float]]:
    """Rows as dicts from feature name to number."""
    if hasattr(x, "columns"):
        names = [str(name) for name in x.columns]
        for row in x.itertuples(index=False, name=None):
            yield dict(zip(names, map(float, row), strict=True))
        return
    for row in x:
        if isinstance(row, dict):
            yield {str(name): float(value) for name, value in row.items()}
        else:
            yield {str(index): float(value) for index, value in enumerate(row)}


def _plain(value: Any) -> Any:
    """A label as Python knows it: numpy's own numbers are no JSON."""
    return value.item() if hasattr(value, "item") else value


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number")
    return number
