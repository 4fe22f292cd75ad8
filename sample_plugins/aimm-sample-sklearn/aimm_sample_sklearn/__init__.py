"""A scikit-learn pipeline as a model class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from skops import io as skops_io

from aimm_plugins import Model, model

TRUSTED: tuple[str, ...] = ()
"""Types beyond skops' own safe list that a saved model may hold: none.

The list belongs here, in code. Taken from the artifact it would be the artifact's author who
decides what is run.
"""


@model(model_type="wine.classifier", state_cb_arg_name="state_cb")
class WineClassifier(Model):
    """A linear classifier on standardized features, trained in epochs.

    Args:
        seed: Seed of the shuffling, 0 or more; one seed and the same data give equal models.
        alpha: Strength of the L2 penalty, more than 0.
    """

    def __init__(self, *, seed: int = 0, alpha: float = 1e-3) -> None:
        self.seed = seed
        self.alpha = alpha
        self.pipeline: Pipeline | None = None

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        epochs: int = 20,
        state_cb: Callable[[dict[str, Any]], None],
    ) -> WineClassifier:
        """Fit anew, from scratch, and return this instance.

        The instance changes only when the last epoch is done: what the callback raises leaves it
        as it was.

        Args:
            x: Features, shape (n_samples, n_features), float, no NaN.
            y: Class labels, shape (n_samples,), at least two classes.
            epochs: Passes over the data, at least 1.
            state_cb: Called once an epoch with phase, step, total and the training accuracy.

        Raises:
            ValueError: `epochs` is less than 1, or scikit-learn refuses the data.
        """
        if epochs < 1:
            raise ValueError(f"epochs is at least 1, not {epochs}")
        features, labels = np.asarray(x, dtype=float), np.asarray(y)
        scaler = StandardScaler()
        classifier = SGDClassifier(loss="log_loss", alpha=self.alpha, random_state=self.seed)
        scaled = scaler.fit_transform(features)
        order = np.random.default_rng(self.seed)
        classes = np.unique(labels)
        for epoch in range(1, epochs + 1):
            shuffled = order.permutation(len(labels))
            classifier.partial_fit(scaled[shuffled], labels[shuffled], classes=classes)
            accuracy = float(classifier.score(scaled, labels))
            state_cb(
                {
                    "phase": "fit",
                    "step": epoch,
                    "total": epochs,
                    "unit": "epoch",
                    "metrics": {"accuracy": round(accuracy, 4)},
                }
            )
        self.pipeline = make_pipeline(scaler, classifier)
        return self

    def predict(self, x: Any) -> np.ndarray[Any, Any]:
        """Predict class labels.

        Args:
            x: Features as for `fit`, shape (n_samples, n_features).

        Returns:
            Labels, shape (n_samples,), of the dtype of the training labels.

        Raises:
            ValueError: The model is not fitted.
        """
        if self.pipeline is None:
            raise ValueError("this model is not fitted yet; fit it first")
        labels: np.ndarray[Any, Any] = self.pipeline.predict(np.asarray(x, dtype=float))
        return labels

    def serialize(self) -> bytes:
        """The model in the skops format, which holds no code."""
        state = {"seed": self.seed, "alpha": self.alpha, "pipeline": self.pipeline}
        content: bytes = skops_io.dumps(state)
        return content

    @classmethod
    def deserialize(cls, instance_bytes: bytes) -> WineClassifier:
        """The model that `serialize` made the bytes of.

        Raises:
            ValueError: The bytes are no model of this class, or hold a type that is not trusted.
        """
        try:
            state = skops_io.loads(bytes(instance_bytes), trusted=list(TRUSTED))
            loaded = cls(seed=state["seed"], alpha=state["alpha"])
            loaded.pipeline = state["pipeline"]
        except Exception as error:  # zip, JSON and skops each raise their own for a broken file
            raise ValueError(f"not a saved wine.classifier: {error}") from error
        return loaded
