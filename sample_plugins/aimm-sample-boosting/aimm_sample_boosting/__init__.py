"""Gradient boosted trees by LightGBM, as a model class."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from typing import Any, Self

import lightgbm
import numpy as np
from aimm_plugins import StateCallback, model

from aimm_sample_boosting.callbacks import train

MODEL_TYPE = "wine.boosting"
FORMAT = 1
"""Raised when what `serialize` writes changes, so that an old reader says so."""

Label = int | str
Array = np.ndarray[Any, Any]


@model(model_type=MODEL_TYPE, state_cb_arg_name="state_cb")
class Boosting:
    """A classifier of gradient boosted decision trees; one tree a class in each boosting round.

    One seed and the same data give equal models, whatever the number of threads.

    Args:
        seed: 0 to 2**31 - 1.
        learning_rate: What each round counts, more than 0, without unit.
        leaves: Most leaves of a tree, 2 to 131072.
        leaf_samples: Fewest samples of a leaf, at least 1.

    Attributes:
        seed: As given.
        learning_rate: As given.
        leaves: As given.
        leaf_samples: As given.
        booster: LightGBM's model; `None` before the fit.
        classes: The labels that it tells apart, in order.
        features: Names of the columns that it was fitted on, where they had names.

    Raises:
        ValueError: An argument is out of its range.
        TypeError: An argument is not a number, or not a whole one.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        learning_rate: float = 0.1,
        leaves: int = 15,
        leaf_samples: int = 5,
    ) -> None:
        self.seed = _whole("seed", seed, 0, 2**31 - 1)
        self.leaves = _whole("leaves", leaves, 2, 131072)
        self.leaf_samples = _whole("leaf_samples", leaf_samples, 1)
        if isinstance(learning_rate, bool) or not isinstance(learning_rate, int | float):
            raise TypeError(f"learning_rate is a number, not {learning_rate!r}")
        if not 0 < learning_rate < math.inf:
            raise ValueError(f"learning_rate is more than 0 and finite, not {learning_rate}")
        self.learning_rate = float(learning_rate)
        self.booster: lightgbm.Booster | None = None
        self.classes: list[Label] = []
        self.features: list[str] | None = None

    def fit(
        self,
        x: Any,
        y: Iterable[Any],
        *,
        rounds: int = 100,
        validation: tuple[Any, Iterable[Any]] | None = None,
        patience: int | None = None,
        threads: int = 1,
        state_cb: StateCallback,
    ) -> Self:
        """Fit anew, from scratch, and return this instance.

        The instance changes only when the last round is done: what the callback raises leaves it
        as it was.

        Args:
            x: A frame or array of features in any units (trees ask for an order only), shape
                (n_samples, n_features), taken as float64; NaN is a missing value.
            y: Labels, all int or all str, one a sample, at least two different ones.
            rounds: The most boosting rounds, at least 1.
            validation: Further `(x, y)`, not learned from: their loss is told too. Its labels are
                among those of `y`.
            patience: End after this many rounds, at least 1, without a better loss of
                `validation`, and keep the model of the best round. By default, all are done.
            threads: Threads of LightGBM, at least 1. With more than one, a process that is forked
                afterwards hangs in LightGBM; started by spawn, it works.
            state_cb: Called after each boosting round with its metrics: `training_multi_logloss`
                and, with `validation`, `validation_multi_logloss`, both the mean of -ln of the
                probability given to the true label, 0 or more. What it raises ends the fit.

        Raises:
            ValueError: An argument is out of its range, `x` and `y` do not fit together, a feature
                is infinite, or there are fewer than two classes.
            TypeError: Labels are neither all int nor all str.
        """
        _whole("rounds", rounds, 1)
        if patience is not None:
            _whole("patience", patience, 1)
            if validation is None:
                raise ValueError("patience is about the loss of the validation: give that too")
        params = self._params(threads)
        features = [str(name) for name in x.columns] if hasattr(x, "columns") else None
        values, labels = _pair(x, y, features)
        classes: list[Label] = sorted(set(labels))
        if len(classes) < 2:
            raise ValueError(f"at least two classes are needed, and y holds {classes}")
        params["num_class"] = len(classes)
        data = lightgbm.Dataset(values, label=_codes(labels, classes), params=params)
        held_out = None
        if validation is not None:
            values, labels = _pair(*validation, features, values.shape[1])
            held_out = data.create_valid(values, label=_codes(labels, classes), params=params)
        booster = train(
            params, data, rounds, validation=held_out, patience=patience, state_cb=state_cb
        )
        self.booster, self.classes, self.features = booster, classes, features
        return self

    def predict(self, x: Any, *, threads: int = 1) -> Array:
        """Predict the most probable labels.

        Args:
            x: Features as for `fit`, shape (n_samples, n_features). Columns of a frame are found
                by name where the model was fitted on a frame, further ones are left out; an array
                has to have the order of the fit.
            threads: As for `fit`.

        Returns:
            Labels, shape (n_samples,), int64 or str.

        Raises:
            ValueError: The model is not fitted, columns are missing or too many, or a feature is
                infinite.
        """
        if self.booster is None:
            raise ValueError("this model is not fitted yet; fit it first")
        _whole("threads", threads, 1)
        values = _values(x, self.features, self.booster.num_feature())
        labels = np.asarray(self.classes)
        if not len(values):  # LightGBM refuses what is empty
            return labels[:0]
        chances: Array = np.asarray(self.booster.predict(values, num_threads=threads))
        best: Array = labels[chances.argmax(axis=1)]
        return best

    def serialize(self) -> bytes:
        """The arguments and LightGBM's own text format, in JSON: nothing that could run."""
        text = None if self.booster is None else self.booster.model_to_string()
        state = {
            "format": FORMAT,
            "arguments": {
                "seed": self.seed,
                "learning_rate": self.learning_rate,
                "leaves": self.leaves,
                "leaf_samples": self.leaf_samples,
            },
            "classes": self.classes,
            "features": self.features,
            "sha256": None if text is None else _digest(text),
            "model": text,
        }
        return json.dumps(state, allow_nan=False).encode()

    @classmethod
    def deserialize(cls, instance_bytes: bytes) -> Self:
        """The model that `serialize` made the bytes of.

        Damage is found. Malice is not: LightGBM's reader trusts its text, so read only what comes
        from somebody you trust; `aimm_plugins.pack` can sign.

        Raises:
            ValueError: The bytes are no such model, of another format, or damaged.
        """
        try:
            state = json.loads(bytes(instance_bytes))
            if state["format"] != FORMAT:
                raise ValueError(f"format {state['format']!r}, and this version reads {FORMAT}")
            loaded = cls(**state["arguments"])
            if state["model"] is not None:
                loaded._load(state)
        except (
            KeyError,
            TypeError,
            AttributeError,
            ValueError,
            RecursionError,
            lightgbm.basic.LightGBMError,
        ) as error:
            raise ValueError(f"not a saved {MODEL_TYPE}: {error!r}") from error
        return loaded

    def _load(self, state: dict[str, Any]) -> None:
        text, classes, features = state["model"], state["classes"], state["features"]
        # Before LightGBM sees it: of 16 texts that were cut off, 15 ended the process and one hung.
        if _digest(text) != state["sha256"]:
            raise ValueError("the model's text is damaged: its SHA-256 is another one")
        if _labels(classes) != classes or len(set(classes)) != len(classes) or len(classes) < 2:
            raise ValueError(f"{classes!r} are no classes")
        _read_in_one_thread()
        booster = lightgbm.Booster(model_str=text)
        if booster.num_model_per_iteration() != len(classes):
            raise ValueError(
                f"{booster.num_model_per_iteration()} trees a round, and {len(classes)} classes"
            )
        if features is not None:
            if not all(isinstance(name, str) for name in features):
                raise ValueError(f"{features!r} are no names of features")
            if len(features) != booster.num_feature():
                raise ValueError(f"{len(features)} names of {booster.num_feature()} features")
        self.booster, self.classes, self.features = booster, classes, features

    def _params(self, threads: int) -> dict[str, Any]:
        return {
            "objective": "multiclass",
            "seed": self.seed,
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.leaf_samples,
            # Equal models on every run; force_row_wise since LightGBM else tries what is faster.
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": _whole("threads", threads, 1),
            "verbosity": -1,  # it prints to stdout, which belongs to the host
        }


def _whole(name: str, value: Any, least: int, most: int = 2**31 - 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is a whole number, not {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{name} is {least} to {most}, not {value}")
    return value


def _pair(
    x: Any, y: Iterable[Any], features: list[str] | None, columns: int | None = None
) -> tuple[Array, list[Label]]:
    values, labels = _values(x, features, columns), _labels(y)
    if len(values) != len(labels):
        raise ValueError(f"{len(values)} samples, and {len(labels)} labels")
    return values, labels


def _values(x: Any, features: list[str] | None, columns: int | None = None) -> Array:
    """Features as LightGBM takes them, float64 of shape (n_samples, n_features)."""
    if features is not None and hasattr(x, "columns"):
        x = x.rename(columns=str)
        missing = [name for name in features if name not in x.columns]
        if missing:
            raise ValueError(f"x lacks the columns {', '.join(missing)}")
        x = x[features]
    values: Array = np.asarray(x, dtype="float64")
    if values.ndim != 2:
        raise ValueError(f"x has the shape (n_samples, n_features), not {values.shape}")
    if columns is not None and values.shape[1] != columns:
        raise ValueError(f"x has {values.shape[1]} columns, and the model knows {columns}")
    if np.isinf(values).any():
        raise ValueError("x holds an infinite number")
    return values


def _labels(y: Iterable[Any]) -> list[Label]:
    """Labels as Python knows them: numpy's own numbers are no JSON."""
    labels = [label.item() if hasattr(label, "item") else label for label in y]
    kinds = {type(label) for label in labels}
    if not (kinds <= {int} or kinds <= {str}):
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise TypeError(f"labels are all int or all str, and these are {names}")
    return labels


def _codes(labels: list[Label], classes: list[Label]) -> list[int]:
    """What LightGBM calls the labels: numbers from 0."""
    codes = {label: code for code, label in enumerate(classes)}
    unknown = sorted({repr(label) for label in labels} - {repr(label) for label in classes})
    if unknown:
        raise ValueError(f"labels that y does not hold: {', '.join(unknown)}")
    return [codes[label] for label in labels]


def _read_in_one_thread() -> None:
    """Have LightGBM read models in this thread.

    Its reader takes no parameters: it starts a thread for each processor, unless the last ones
    that LightGBM was given said otherwise. A process that is forked afterwards would hang.
    """
    params = {"num_threads": 1, "verbosity": -1}
    lightgbm.Dataset(np.zeros((1, 1)), params=params).construct()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
