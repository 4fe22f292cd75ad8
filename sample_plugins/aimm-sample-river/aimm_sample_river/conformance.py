"""What `aimm-plugins check` and the tests call the model with, and what it claims."""

from __future__ import annotations

from aimm_plugins.testing import Arguments, Conformance, arguments


def _training(variant: int) -> Arguments:
    x = [{"a": float(i % 7), "b": float((i * 3) % 5)} for i in range(30)]
    return arguments(x, [int(row["ab"[variant]] > 2) for row in x], epochs=2)


def _samples(variant: int) -> Arguments:
    return arguments([{"a": float(i % 6), "b": float(i % (4 + variant))} for i in range(12)])


CONFORMANCE = Conformance(
    model_type="wine.online",
    plugin="aimm_sample_river",
    instantiate=lambda: arguments(rate=0.3),
    fit=_training,
    predict=_samples,
    claims={"deterministic", "thread_safe", "distributable"},
    serialized_bytes=10_000,
)
