"""Online learning in function style: a model that may learn while it predicts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from river import linear_model, optim, preprocessing

from aimm_plugins import StateCallback, deserialize, fit, instantiate, predict, serialize

MODEL_TYPE = "wine.online"
FORMAT = 1
"""Raised when what `save` writes changes, so that an old reader says so."""

INTERCEPT = "(intercept)"
"""Name of the feature that is always 1; river's softmax regression has no intercept of its own."""

Label = int | str


class OnlineModel:
    """A standard scaler and a multinomial logistic regression, both updated sample by sample.

    Attributes:
        rate: Learning rate, more than 0.
        scaler: Running mean and variance of each feature.
        classifier: Weights of each class.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.scaler = preprocessing.StandardScaler()
        self.classifier = linear_model.SoftmaxRegression(optimizer=optim.SGD(rate))

    def learn(self, x: dict[str, float], label: Label) -> None:
        """Learn from one sample."""
        self.scaler.learn_one(x)
        self.classifier.learn_one(self._scaled(x), label)

    def guess(self, x: dict[str, float]) -> Label | None:
        """Label of one sample; `None` before the first sample was learned."""
        label: Label | None = self.classifier.predict_one(self._scaled(x))
        return label

    def _scaled(self, x: dict[str, float]) -> dict[Any, float]:  # river's keys are any hashable
        return {**self.scaler.transform_one(x), INTERCEPT: 1.0}


@instantiate(MODEL_TYPE)
def make(rate: float = 0.05) -> OnlineModel:
    """Make an empty model.

    Args:
        rate: Learning rate, more than 0, without unit.

    Raises:
        ValueError: `rate` is not a number more than 0.
    """
    if not 0 < rate < math.inf:
        raise ValueError(f"rate is more than 0 and finite, not {rate}")
    return OnlineModel(rate)


@fit([MODEL_TYPE], state_cb_arg_name="state_cb")
def learn(
    instance: OnlineModel,
    x: Any,
    y: Iterable[Any],
    *,
    epochs: int = 1,
    state_cb: StateCallback,
) -> OnlineModel:
    """Learn from samples one after the other, in place.

    Args:
        instance: As `make` returns it; goes on from what it has learned.
        x: A pandas frame, a 2-d array of shape (n_samples, n_features), or an iterable of dicts
            from feature name to number; in any units, since features are scaled; all finite.
            Features without a name are called "0", "1" and so on. The order of the samples
            matters: sorted by class, the model forgets the first ones.
        y: Labels, int or str, one a sample.
        epochs: Passes over the samples, at least 1.
        state_cb: Called once an epoch with the share of samples whose label was guessed before it
            was learned. What it raises ends the fit; what was learned until then stays.

    Returns:
        The same instance.

    Raises:
        ValueError: `x` and `y` differ in length, a feature is not a finite number, or `epochs` is
            less than 1; nothing is learned then.
        TypeError: A label is neither int nor str; nothing is learned then.
    """
    if epochs < 1:
        raise ValueError(f"epochs is at least 1, not {epochs}")
    samples, labels = list(_samples(x)), [_label(label) for label in y]
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
                "message": "",
                "metrics": {"progressive_accuracy": round(right / max(len(samples), 1), 4)},
            }
        )
    return instance


@predict([MODEL_TYPE])
def label(
    instance: OnlineModel, x: Any, *, learn_from: Iterable[Any] | None = None
) -> list[Label | None]:
    """Predict, and learn from each sample right after its prediction where its label is known.

    Args:
        instance: The model. With `learn_from` it is changed in place: go on with the instance that
            `exec_predict` returns, which where plugins run elsewhere may be a copy.
        x: As for the fit.
        learn_from: True labels, int or str, one a sample, `None` where unknown.

    Returns:
        A label a sample; `None` from a model that has not learned anything.

    Raises:
        ValueError: `learn_from` and `x` differ in length, or a feature is not a finite number;
            nothing is learned then.
        TypeError: A label is neither int nor str nor `None`; nothing is learned then.
    """
    samples = list(_samples(x))
    known: list[Label | None] = [None] * len(samples)
    if learn_from is not None:
        known = [None if truth is None else _label(truth) for truth in learn_from]
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
    scaler, classifier = instance.scaler, instance.classifier
    state = {
        "format": FORMAT,
        "rate": instance.rate,
        "scaler": {
            name: [scaler.counts[name], scaler.means[name], scaler.vars[name]]
            for name in scaler.counts
        },
        # Pairs rather than an object: the keys of an object are strings, labels may be numbers.
        "classes": [[label, dict(weights)] for label, weights in classifier.weights.items()],
    }
    return json.dumps(state, allow_nan=False).encode()


@deserialize([MODEL_TYPE])
def load(instance_bytes: bytes) -> OnlineModel:
    """The model that `save` made the bytes of.

    Raises:
        ValueError: The bytes are no such model, or of another format.
    """
    try:
        state = json.loads(bytes(instance_bytes))
        if state["format"] != FORMAT:
            raise ValueError(f"format {state['format']!r}, and this version reads {FORMAT}")
        instance = make(_finite(state["rate"]))
        scaler, classifier = instance.scaler, instance.classifier
        for name, (count, mean, variance) in state["scaler"].items():
            if type(count) is not int or count < 1 or _finite(variance) < 0:
                raise ValueError(f"feature {name!r} has count {count!r}, variance {variance!r}")
            scaler.counts[name] = count
            scaler.means[name] = _finite(mean)
            scaler.vars[name] = _finite(variance)
        for label, weights in state["classes"]:
            if _label(label) in classifier.weights:
                raise ValueError(f"class {label!r} is there twice")
            unknown = [name for name in weights if name not in {*scaler.counts, INTERCEPT}]
            if unknown:
                raise ValueError(f"class {label!r} weighs features without a scale: {unknown}")
            classifier.weights[label].update(
                {name: _finite(weight) for name, weight in weights.items()}
            )
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"not a saved {MODEL_TYPE}: {error!r}") from error
    return instance


def _samples(x: Any) -> Iterator[dict[str, float]]:
    """Rows as dicts from feature name to number."""
    rows: Iterable[Iterable[tuple[Any, Any]]]
    if hasattr(x, "columns"):
        rows = (zip(x.columns, row, strict=True) for row in x.itertuples(index=False, name=None))
    else:
        rows = (row.items() if isinstance(row, dict) else enumerate(row) for row in x)
    for row in rows:
        sample = {str(name): _number(value) for name, value in row}
        if INTERCEPT in sample:
            raise ValueError(f"no feature can be called {INTERCEPT}: the model has its own")
        yield sample


def _label(value: Any) -> Label:
    """A label as Python knows it: numpy's own numbers are no JSON."""
    plain = value.item() if hasattr(value, "item") else value
    # True and 1 would be one class in a dict, and two after JSON.
    if isinstance(plain, bool) or not isinstance(plain, int | str):
        raise TypeError(f"labels are int or str, and {plain!r} is a {type(plain).__name__}")
    return plain


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        _refuse(value)
    return number


def _finite(value: Any) -> float:
    """A number of a file, where the text "1" is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse(value)
    try:
        return _number(value)
    except OverflowError:
        _refuse(value)


def _refuse(value: Any) -> NoReturn:
    raise ValueError(f"{value!r} is not a finite number")
