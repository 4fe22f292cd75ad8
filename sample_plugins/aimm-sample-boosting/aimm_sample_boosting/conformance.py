"""What `aimm-plugins check` and the tests call the model with, and what it claims."""

from __future__ import annotations

import numpy as np
from aimm_plugins.testing import Arguments, Conformance, arguments

from aimm_sample_boosting import MODEL_TYPE


def _training(variant: int) -> Arguments:
    x = np.random.default_rng(variant).normal(size=(60, 3))
    return arguments(x, [int(row[variant] > 0) for row in x], rounds=5)


def _samples(variant: int) -> Arguments:
    return arguments(np.random.default_rng(10 + variant).normal(size=(20, 3)))


MODEL = Conformance(
    model_type=MODEL_TYPE,
    plugin="aimm_sample_boosting",
    instantiate=lambda: arguments(seed=7, learning_rate=0.3),
    fit=_training,
    predict=_samples,
    claims={"deterministic", "thread_safe", "distributable"},
    serialized_bytes=50_000,
)
