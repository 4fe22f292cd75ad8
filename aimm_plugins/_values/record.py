"""Values that do not change: named tuples, which type checkers treat as frozen dataclasses.

A start makes twenty such classes before it loads the first plugin. For each, `dataclasses` compiles
its methods, which takes 0.4 to 0.9 ms, `typing.NamedTuple` its annotations, 0.1 to 0.3 ms, and
`collections.namedtuple` its constructor, 0.06 ms: together most of what a start costs beside the
imports. Here the constructors are compiled with this file, one for each number of fields, and a
class gets a copy that has the names of its own.
"""

from __future__ import annotations

from operator import itemgetter
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform

try:  # what namedtuple itself reads its fields by, faster than a property
    from _collections import _tuplegetter  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports, reportUnknownVariableType]  # not in typeshed
except ImportError:  # pragma: no cover  # another interpreter

    def _tuplegetter(index: int, doc: str | None) -> property:
        return property(itemgetter(index), doc=doc)


_new = tuple.__new__

# fmt: off
_CONSTRUCTORS: tuple[Any, ...] = (
    lambda cls, a: _new(cls, (a,)),
    lambda cls, a, b: _new(cls, (a, b)),
    lambda cls, a, b, c: _new(cls, (a, b, c)),
    lambda cls, a, b, c, d: _new(cls, (a, b, c, d)),
    lambda cls, a, b, c, d, e: _new(cls, (a, b, c, d, e)),
    lambda cls, a, b, c, d, e, f: _new(cls, (a, b, c, d, e, f)),
    lambda cls, a, b, c, d, e, f, g: _new(cls, (a, b, c, d, e, f, g)),
    lambda cls, a, b, c, d, e, f, g, h: _new(cls, (a, b, c, d, e, f, g, h)),
    lambda cls, a, b, c, d, e, f, g, h, i: _new(cls, (a, b, c, d, e, f, g, h, i)),
    lambda cls, a, b, c, d, e, f, g, h, i, j: _new(cls, (a, b, c, d, e, f, g, h, i, j)),
    lambda cls, a, b, c, d, e, f, g, h, i, j, k: _new(cls, (a, b, c, d, e, f, g, h, i, j, k)),
    lambda cls, a, b, c, d, e, f, g, h, i, j, k, m: _new(cls, (a, b, c, d, e, f, g, h, i, j, k, m)),
    lambda cls, a, b, c, d, e, f, g, h, i, j, k, m, n: _new(
        cls, (a, b, c, d, e, f, g, h, i, j, k, m, n)
    ),
    lambda cls, a, b, c, d, e, f, g, h, i, j, k, m, n, o: _new(
        cls, (a, b, c, d, e, f, g, h, i, j, k, m, n, o)
    ),
    lambda cls, a, b, c, d, e, f, g, h, i, j, k, m, n, o, p: _new(
        cls, (a, b, c, d, e, f, g, h, i, j, k, m, n, o, p)
    ),
    lambda cls, a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q: _new(
        cls, (a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q)
    ),
    lambda cls, a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q, r: _new(
        cls, (a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q, r)
    ),
    lambda cls, a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q, r, s: _new(
        cls, (a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q, r, s)
    ),
)
# fmt: on


def _constructor(name: str, fields: tuple[str, ...]) -> FunctionType:
    """`cls(...)`, with an argument for each field."""
    if len(fields) <= len(_CONSTRUCTORS):
        code = _CONSTRUCTORS[len(fields) - 1].__code__
    else:
        arguments = ", ".join(fields)
        code = eval(f"lambda cls, {arguments}: _new(cls, ({arguments}))").__code__
    named = code.replace(
        co_name="__new__", co_qualname=f"{name}.__new__", co_varnames=("cls", *fields)
    )
    return FunctionType(named, globals(), "__new__")


@dataclass_transform(eq_default=True, frozen_default=True)
class _ValueType(type):
    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _ValueType:
        fields = tuple(namespace.get("__annotations__", ()))
        if fields:
            new = _constructor(name, fields)
            new.__defaults__ = tuple(namespace[each] for each in fields if each in namespace)
            places = {field: i for i, field in enumerate(fields)}
            namespace |= {field: _tuplegetter(i, None) for field, i in places.items()}
            namespace |= {
                "__new__": new,
                "__match_args__": fields,
                "_fields": fields,
                "_places": places,
            }
        return super().__new__(mcs, name, bases, {**namespace, "__slots__": ()})


if TYPE_CHECKING:

    class Value(metaclass=_ValueType):
        """Base of values. A subclass names its fields by annotations, those with defaults last."""

        _fields: ClassVar[tuple[str, ...]]

        def _replace(self, **changes: Any) -> Self: ...  # the same value with other contents

        def _asdict(self) -> dict[str, Any]: ...  # by field

else:

    class Value(tuple, metaclass=_ValueType):
        """Base of values. A subclass names its fields by annotations, those with defaults last."""

        _fields = ()

        def _replace(self, **changes):
            contents = list(self)
            places = self._places
            try:
                for name, value in changes.items():
                    contents[places[name]] = value
            except KeyError as error:
                raise TypeError(f"{type(self).__name__} has no {error.args[0]}") from None
            return _new(self.__class__, contents)

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            fields = ", ".join(f"{name}={value!r}" for name, value in self._asdict().items())
            return f"{type(self).__name__}({fields})"

        def __getnewargs__(self):
            return tuple(self)
