"""Values that do not change: named tuples, which type checkers treat as frozen dataclasses.

A start makes twenty such classes before it loads the first plugin. For each, `dataclasses` compiles
its methods, which takes 0.4 to 0.9 ms, and `typing.NamedTuple` compiles its annotations, 0.1 to
0.3 ms: together most of what a start costs beside the imports. `collections.namedtuple` itself
takes 0.05 ms, and its instances are made in C.
"""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING, Any, Self, dataclass_transform


@dataclass_transform(eq_default=True, frozen_default=True)
class _ValueType(type):
    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _ValueType:
        fields = [*namespace.get("__annotations__", ())]
        if fields:
            defaults = [namespace.pop(field) for field in fields if field in namespace]
            base = namedtuple(name, fields, defaults=defaults)  # type: ignore[misc]  # made at run time on purpose
            bases = (*bases, base)
        return super().__new__(mcs, name, bases, {**namespace, "__slots__": ()})


class Value(metaclass=_ValueType):
    """Base of values. A subclass names its fields by annotations, those with defaults last."""

    if TYPE_CHECKING:

        def _replace(self, **changes: Any) -> Self:  # the same value with other contents
            ...
