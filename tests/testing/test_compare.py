"""Comparing what plugins return."""

from __future__ import annotations

import pytest

from aimm_plugins.testing._compare import equal


class Slotted:
    __slots__ = ("x",)

    def __init__(self, x):
        self.x = x


class Plain:
    def __init__(self, x):
        self.x = x


NAN = float("nan")


@pytest.mark.parametrize(
    ("make", "values"),
    [(Slotted, (1, 2)), (Plain, ([1, NAN], [2, NAN])), (lambda x: {"a": (x, NAN)}, (1, 2))],
)
def test_values_are_equal_by_what_they_hold(make, values):
    for value in values:
        assert equal(make(value), make(value))
    assert not equal(make(values[0]), make(values[1]))


@pytest.mark.parametrize(
    ("dtype", "one", "other"),
    [
        ("O", ["a", None, NAN], ["a", None, 1.0]),
        ("M8[s]", ["2026-01-01", "NaT"], ["2026-01-01", "2026-01-02"]),
        ([("a", "f8"), ("b", "U1")], [(NAN, "x")], [(NAN, "y")]),
        ("f8", [1.0, NAN], [2.0, NAN]),
        ("U1", ["a"], ["b"]),
    ],
)
def test_arrays_are_equal_by_what_they_hold(dtype, one, other):
    numpy = pytest.importorskip("numpy")
    assert equal(numpy.array(one, dtype), numpy.array(one, dtype))
    assert not equal(numpy.array(one, dtype), numpy.array(other, dtype))


def test_sparse_matrices_are_equal_by_what_they_hold():
    sparse = pytest.importorskip("scipy.sparse")
    assert equal(sparse.csr_matrix([[1.0, 0.0]]), sparse.csr_matrix([[1.0, 0.0]]))
    assert not equal(sparse.csr_matrix([[1.0, 0.0]]), sparse.csr_matrix([[0.0, 1.0]]))
