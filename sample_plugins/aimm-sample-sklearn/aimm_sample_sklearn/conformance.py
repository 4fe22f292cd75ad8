"""What `aimm-plugins check` and the tests call the model with, and what it claims."""

from __future__ import annotations

from sklearn.datasets import load_wine

from aimm_plugins.testing import Arguments, Conformance, arguments


def _training(variant: int) -> Arguments:
    x, y = load_wine(return_X_y=True)
    return arguments(x[variant::4], y[variant::4], epochs=3)


def _samples(variant: int) -> Arguments:
    return arguments(load_wine(return_X_y=True)[0][2 + variant :: 4])


CONFORMANCE = Conformance(
    model_type="wine.classifier",
    plugin="aimm_sample_sklearn",
    instantiate=lambda: arguments(seed=7),
    fit=_training,
    predict=_samples,
    claims={"deterministic", "thread_safe", "distributable"},
    serialized_bytes=100_000,
)
