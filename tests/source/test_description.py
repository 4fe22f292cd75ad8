"""Signatures and docstrings, as the source has them."""

from __future__ import annotations

import ast

import pytest

from aimm_plugins._source.description import description, unparsed


def signature(source: str, action: str = "fit") -> str | None:
    (node,) = ast.parse(source).body
    return description(node, action).signature


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(a, /, b=1, *c, d: int, **e) -> 'x': ...", "(a, /, b=1, *c, d: int, **e) -> 'x'"),
        ("async def f(): ...", "()"),
        ("class C:\n  def fit(self, x): ...", "(x)"),
        ("class C:\n  def fit(self, /, x): ...", "(x)"),
        ("class C:\n  @staticmethod\n  def fit(x): ...", "(x)"),
        ("class C:\n  def other(self): ...", None),
    ],
)
def test_signature_is_that_of_a_call(source, expected):
    assert signature(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("class C:\n  def __init__(self, rate=1): ...", "(rate=1)"),
        ("class C: ...", "()"),
        ("class C(B): ...", None),
    ],
)
def test_class_is_called_as_its_init(source, expected):
    assert signature(source, "instantiate") == expected


@pytest.mark.parametrize("bomb", ["1 + " * 900 + "1", "[" + "1, " * 2000 + "]"])
def test_long_or_deep_signature_is_unknown(bomb):
    assert signature(f"def f(x={bomb}): ...") is None
    assert signature(f"def f() -> {bomb}: ...") is None


def test_expression_of_more_nodes_than_wanted_is_not_written_out():
    expression = ast.parse("a + b", mode="eval").body
    assert unparsed(expression) == "a + b"
    assert unparsed(expression, most_nodes=2) is None
