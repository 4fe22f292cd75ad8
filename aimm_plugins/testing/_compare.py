"""Compare what plugins return and are given."""

from __future__ import annotations

import datetime
import enum
import math
import numbers
import sys
from collections.abc import Mapping, Set
from typing import Any


def is_unchangeable(value: Any) -> bool:
    """Whether a value and all in it cannot be changed, so that its users may share it."""
    if isinstance(value, tuple | frozenset):
        return all(map(is_unchangeable, value))
    if hasattr(value, "__array_interface__"):
        return bool(value.__array_interface__["data"][1])  # read-only
    if getattr(getattr(value, "__dataclass_params__", None), "frozen", False):
        return all(is_unchangeable(getattr(value, name)) for name in value.__dataclass_fields__)
    return value is None or isinstance(
        value, str | bytes | numbers.Number | datetime.date | enum.Enum | range
    )


def equal(one: Any, other: Any, tolerance: float = 0.0, depth: int = 0) -> bool:
    """Whether two values are equal in type and content; NaN equals NaN.

    Arrays and frames are compared by content and dtype, containers item by item, objects without
    an equality of their own by their attributes. The tolerance is the relative difference between
    equal numbers; the depth, in how many containers they are.
    """
    if one is other:
        return True
    if type(one) is not type(other) or depth > 100:
        return False
    if isinstance(one, str | bytes | bytearray | bool | int | Set):
        return bool(one == other)
    if isinstance(one, numbers.Number):
        if one == other or (one != one and other != other):
            return True
        return isinstance(one, numbers.Real) and math.isclose(one, other, rel_tol=tolerance)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(
            equal(one[key], other[key], tolerance, depth + 1) for key in one
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(
            equal(a, b, tolerance, depth + 1) for a, b in zip(one, other, strict=True)
        )
    if hasattr(one, "dtype") and hasattr(one, "shape"):
        return _equal_arrays(one, other, tolerance, depth)
    if callable(getattr(one, "equals", None)):  # frames of pandas, polars and pyarrow
        return bool(one.equals(other))
    if getattr(type(one), "__eq__", None) is not object.__eq__:
        try:
            return bool(one == other)
        except Exception:  # an equality without a truth, of whatever library
            return False
    # What is in `__dict__` and in slots, or None.
    state: Any = object.__getstate__(one)
    has_attributes = state is not None or hasattr(one, "__dict__")
    return has_attributes and equal(state, object.__getstate__(other), tolerance, depth + 1)


def _equal_arrays(one: Any, other: Any, tolerance: float, depth: int) -> bool:
    if one.dtype != other.dtype or tuple(one.shape) != tuple(other.shape):
        return False
    if callable(getattr(one, "toarray", None)):  # sparse, as scipy has them
        one, other = one.toarray(), other.toarray()
    numpy = sys.modules.get("numpy")
    if numpy is None or not hasattr(one, "__array__"):
        return bool((one == other).all())
    a, b = numpy.asarray(one), numpy.asarray(other)
    if a.dtype.kind in "fc":
        return bool(numpy.allclose(a, b, rtol=tolerance, atol=0.0, equal_nan=True))
    if a.dtype.kind in "OVMm":  # objects, records and times, which may hold what is not itself
        return equal(a.tolist(), b.tolist(), tolerance, depth + 1)
    return bool((a == b).all())
