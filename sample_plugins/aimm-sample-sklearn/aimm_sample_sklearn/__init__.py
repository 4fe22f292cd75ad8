"""scikit-learn pipelines as model classes."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array, check_X_y
from skops import io as skops_io

from aimm_plugins import Model, StateCallback, model, options
from aimm_sample_sklearn.callbacks import watched

TRUSTED: tuple[str, ...] = ()
"""Full names of the types, beyond skops' own safe list, that a saved model may hold: none.

A model with steps of your own would list them as `"my_package.MyScaler"`. The list belongs here, in
code: taken from the artifact, by `skops.io.get_untrusted_types`, it would be the artifact's author
who decides what is run.
"""

FORMAT = 1
"""Raised when what `serialize` writes changes, so that an old reader says so."""


@model(model_type="wine.classifier", state_cb_arg_name="state_cb")
class WineClassifier(Model):
    """A linear classifier on standardized features, trained in epochs.

    Args:
        seed: Seed of the shuffling, 0 or more; one seed and the same data give equal models. By
            default what the host's conf says, else 0.
        alpha: Strength of the L2 penalty, more than 0, without unit; likewise, else 0.001.

    Attributes:
        seed: As given, or by default.
        alpha: Likewise.
        pipeline: The fitted pipeline; `None` before the fit.
        features: Names of the columns that it was fitted on, where they had names.

    Raises:
        ValueError: `seed` is negative, or `alpha` is not a number more than 0.
    """

    KEY: ClassVar[str] = "wine.classifier"

    def __init__(self, *, seed: int | None = None, alpha: float | None = None) -> None:
        # Asked for here, not when the module is imported: a new conf then holds for new models.
        defaults = options(__name__)
        seed = defaults["seed"] if seed is None else seed
        alpha = defaults["alpha"] if alpha is None else alpha
        if seed < 0:
            raise ValueError(f"seed is 0 or more, not {seed}")
        if not 0 < alpha < float("inf"):
            raise ValueError(f"alpha is more than 0 and finite, not {alpha}")
        self.seed = seed
        self.alpha = alpha
        self.pipeline: Pipeline | None = None
        self.features: list[str] | None = None

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        epochs: int = 20,
        state_cb: StateCallback,
    ) -> WineClassifier:
        """Fit anew, from scratch, and return this instance.

        The instance changes only when the last epoch is done: what the callback raises leaves it
        as it was.

        Args:
            x: A frame or array of features in any units (they are standardized), shape
                (n_samples, n_features), taken as float64, all finite.
            y: Class labels, int or str, shape (n_samples,), at least two classes.
            epochs: Passes over the data, at least 1.
            state_cb: Called once an epoch with the share of `x` that is classified rightly by then.

        Raises:
            ValueError: `epochs` is less than 1, or scikit-learn refuses the data.
        """
        if epochs < 1:
            raise ValueError(f"epochs is at least 1, not {epochs}")
        values, labels = check_X_y(x, y, dtype="float64")
        scaler = StandardScaler()
        # Shuffled here: partial_fit starts its own generator anew in each call, so that all epochs
        # would go through the samples in one and the same order.
        classifier = SGDClassifier(
            loss="log_loss", alpha=self.alpha, shuffle=False, random_state=self.seed
        )
        scaled = scaler.fit_transform(values)
        order = np.random.default_rng(self.seed)
        classes = np.unique(labels)
        if len(classes) < 2:
            raise ValueError(f"at least two classes are needed, and y holds {classes.tolist()}")
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
                    "message": "",
                    "metrics": {"accuracy": round(accuracy, 4)},
                }
            )
        self.pipeline = make_pipeline(scaler, classifier)
        self.features = [str(name) for name in x.columns] if hasattr(x, "columns") else None
        return self

    def predict(self, x: Any) -> np.ndarray[Any, Any]:
        """Predict class labels.

        Args:
            x: Features as for `fit`, shape (n_samples, n_features). Columns of a frame are found
                by name where the model was fitted on a frame, further ones are left out; an array
                has to have the order of the fit.

        Returns:
            Labels, shape (n_samples,), of the dtype of the training labels.

        Raises:
            ValueError: The model is not fitted, or columns are missing.
        """
        if self.pipeline is None:
            raise ValueError("this model is not fitted yet; fit it first")
        if self.features is not None and hasattr(x, "columns"):
            missing = [name for name in self.features if name not in x.columns]
            if missing:
                raise ValueError(f"x lacks the columns {', '.join(missing)}")
            x = x[self.features]
        values = check_array(x, dtype="float64")
        labels: np.ndarray[Any, Any] = self.pipeline.predict(values)
        return labels

    def serialize(self) -> bytes:
        """The model in the skops format, which holds no code."""
        state = {
            "format": FORMAT,
            "seed": self.seed,
            "alpha": self.alpha,
            "pipeline": self.pipeline,
            "features": self.features,
        }
        content: bytes = skops_io.dumps(state)
        return content

    @classmethod
    def deserialize(cls, instance_bytes: bytes) -> Self:
        """The model that `serialize` made the bytes of.

        Raises:
            ValueError: The bytes are no model of this class, or hold a type that is not trusted.
        """
        try:
            state = skops_io.loads(bytes(instance_bytes), trusted=list(TRUSTED))
            if state["format"] != FORMAT:
                raise ValueError(f"format {state['format']!r}, and this version reads {FORMAT}")
            loaded = cls(seed=state["seed"], alpha=state["alpha"])
            loaded.pipeline, loaded.features = state["pipeline"], state["features"]
            if not isinstance(loaded.pipeline, Pipeline | None):
                raise ValueError(f"a {type(loaded.pipeline).__name__} in place of the pipeline")
        except Exception as error:  # zip, JSON and skops each raise their own for a broken file
            raise ValueError(f"not a saved {cls.KEY}: {error}") from error
        return loaded


@model(model_type="wine.logistic", state_cb_arg_name="state_cb")
class WineLogistic(WineClassifier):
    """The same model, fitted to convergence by scikit-learn's own solver.

    Progress comes from scikit-learn's callbacks then, where it has them: see `callbacks`.

    Args:
        seed: Not used; the solver needs no chance.
        alpha: As for `WineClassifier`.
    """

    KEY: ClassVar[str] = "wine.logistic"

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        epochs: int = 100,
        state_cb: StateCallback,
    ) -> WineLogistic:
        """Fit anew, from scratch, and return this instance.

        The instance changes only when the fit is done: what the callback raises leaves it as it
        was.

        Args:
            x: As for `WineClassifier.fit`.
            y: As for `WineClassifier.fit`.
            epochs: The most iterations of the solver, at least 1; each passes over all data.
            state_cb: Called for each step of the pipeline and, with scikit-learn 1.9 or newer,
                each iteration of the solver.

        Raises:
            ValueError: `epochs` is less than 1, or scikit-learn refuses the data.
        """
        if epochs < 1:
            raise ValueError(f"epochs is at least 1, not {epochs}")
        values, labels = check_X_y(x, y, dtype="float64")
        pipeline = make_pipeline(
            StandardScaler(),
            LogisticRegression(C=1 / (self.alpha * len(labels)), max_iter=epochs),
        )
        with watched(pipeline, state_cb):
            pipeline.fit(values, labels)
        self.pipeline = pipeline
        self.features = [str(name) for name in x.columns] if hasattr(x, "columns") else None
        return self
