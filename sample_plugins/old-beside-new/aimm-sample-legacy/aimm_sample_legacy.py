"""A forest of scikit-learn 1.3, saved as pickles that no newer version reads."""

from __future__ import annotations

import pickle
from typing import Any

import sklearn
from sklearn.ensemble import RandomForestClassifier

from aimm_plugins import data_access, deserialize, fit, instantiate, predict, serialize

KEY = "wine.forest"


@data_access("wine.forest.version")
def version() -> str:
    """The version of scikit-learn that the model runs on."""
    return str(sklearn.__version__)


@instantiate(KEY)
def make(*, seed: int = 0) -> RandomForestClassifier:
    """A forest of 100 trees that is not fitted yet.

    Args:
        seed: Of its chance, 0 or more.
    """
    return RandomForestClassifier(random_state=seed)


@fit([KEY])
def train(model: RandomForestClassifier, x: Any, y: Any) -> RandomForestClassifier:
    """Fit the forest in place, and return it.

    Args:
        model: As made by `make`.
        x: Features, float64, shape (n_samples, n_features).
        y: Labels, shape (n_samples,).
    """
    return model.fit(x, y)


@predict([KEY])
def classify(model: RandomForestClassifier, x: Any) -> Any:
    """Predict labels, shape (n_samples,).

    Args:
        model: A fitted forest.
        x: Features as for the fit.
    """
    return model.predict(x)


@serialize([KEY])
def to_bytes(model: RandomForestClassifier) -> bytes:
    """The forest as a pickle, with the version that can read it."""
    return pickle.dumps((sklearn.__version__, pickle.dumps(model)))


@deserialize([KEY])
def from_bytes(content: bytes) -> RandomForestClassifier:
    """The forest of such bytes.

    Raises:
        ValueError: Another scikit-learn has saved it.
    """
    saved_by, model = pickle.loads(content)
    if saved_by != sklearn.__version__:
        raise ValueError(f"saved by scikit-learn {saved_by}, and this is {sklearn.__version__}")
    return pickle.loads(model)
