"""Annotations as text that means the same in another file."""

from __future__ import annotations

import sys

import pytest

from aimm_plugins._authoring.annotations import Annotations

MODULE = """
{future}
import collections.abc as abc
import concurrent.futures
import pathlib
import typing
from fractions import Fraction
from typing import *

if TYPE_CHECKING:
    import decimal
    from datetime import date as Day

    import surely_not_there

Split = Literal["train", 1, None]
UserId = NewType("UserId", int)
T = TypeVar("T")


class Svc:
    class Inner: ...

    def fit(self: Self, x: {annotation}) -> Self: ...


def function(x: {annotation}, unknown: Unknown = 0) -> Fraction: ...
"""
CASES = {
    "int": "int",
    "None": "None",
    "Any": "Any",
    "object": "object",
    "Fraction": "fractions.Fraction",
    "Svc": "typed.Svc",
    "Svc.Inner": "typed.Svc.Inner",
    "pathlib.Path": "pathlib.Path",
    "Optional[int]": "int | None",
    "Union[int, str]": "int | str",
    "int | Svc": "int | typed.Svc",
    "'int | Svc'": "int | typed.Svc",
    "list": "list",
    "List": "list",
    "List[int]": "list[int]",
    "list['Svc']": "list[typed.Svc]",
    "dict[str, list[Fraction]]": "dict[str, list[fractions.Fraction]]",
    "tuple[int, ...]": "tuple[int, ...]",
    "tuple[()]": "tuple[()]",
    "Tuple": "tuple",
    "abc.Iterable[int]": "collections.abc.Iterable[int]",
    "Sequence[int]": "collections.abc.Sequence[int]",
    "Callable[[int, Svc], None]": "collections.abc.Callable[[int, typed.Svc], None]",
    "Callable[..., int]": "collections.abc.Callable[..., int]",
    "Callable": "collections.abc.Callable",
    "Annotated[int, 'even']": "int",
    "Split": "Literal['train', 1, None]",
    "UserId": "typed.UserId",
    "NoReturn": "typing.NoReturn",
    "type[Svc]": "type[typed.Svc]",
    "Day": "datetime.date",
    "decimal.Decimal | None": "decimal.Decimal | None",
    "concurrent.futures.Future[int]": "concurrent.futures.Future[int]",
    "T": "typed.T",
    "list[T]": "list[typed.T]",
    "list[Unknown]": "Any",
    "surely_not_there.Thing": "Any",
    "Self": "Any",
    "1 + 1": "Any",
    "'1 +'": "Any",
}


@pytest.fixture
def typed(site, monkeypatch):
    """A module of a folder that type checkers look into, with a function that has an annotation."""
    monkeypatch.chdir(site)

    def typed(annotation: str, future: str = "from __future__ import annotations"):
        text = MODULE.replace("{annotation}", annotation).replace("{future}", future)
        (site / "typed.py").write_text(text)
        import typed

        return typed

    return typed


def assert_annotations(module, expected: str) -> None:
    signature = Annotations().signature(module.function)
    unknown = "unknown: Any = ..."
    assert str(signature) == f"(x: {expected}, {unknown}) -> fractions.Fraction"


@pytest.mark.parametrize("annotation", CASES)
def test_annotation_is_written_with_absolute_names(typed, annotation):
    assert_annotations(typed(annotation), CASES[annotation])


@pytest.mark.skipif(sys.version_info < (3, 14), reason="evaluated when the function is defined")
@pytest.mark.parametrize("annotation", CASES)
def test_annotation_that_python_evaluates_late_is_written_alike(typed, annotation):
    assert_annotations(typed(annotation, future=""), CASES[annotation])


def test_self_is_the_class_that_the_method_belongs_to(typed):
    module = typed("Self")
    signature = Annotations().signature(module.Svc.fit, module.Svc)
    assert str(signature) == "(self: typed.Svc, x: typed.Svc) -> typed.Svc"


def test_modules_of_what_is_written_are_kept(typed):
    annotations = Annotations()
    annotations.signature(typed("Svc | Day").function)
    assert annotations.modules == {"typed", "datetime", "fractions"}


def test_instances_are_the_result_of_a_class(typed):
    module = typed("int")
    assert str(Annotations().signature(module.Svc)) == "() -> typed.Svc"


def test_signature_that_cannot_be_asked_for_takes_anything():
    class Odd:
        @property
        def __signature__(self) -> None:
            raise LookupError

        def __call__(self) -> None: ...

    assert str(Annotations().signature(Odd())) == "(*args: Any, **kwargs: Any) -> Any"


def test_class_that_is_local_to_a_function_is_any():
    class Local: ...

    assert Annotations().written(list[Local]) == "Any"
