"""The page on states and findings names all that the code can give."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from aimm_plugins._values.report import State
from tests.support.installing import ROOT

PAGE = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.M))
OTHERS = {"not-started", "loading", "stopped"}
"""Codes of a server's report while there is none; they are reasons of its readiness."""


def codes(file: Path) -> Iterator[str]:
    """The codes of findings that a source file spells."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        values: list[ast.expr] = []
        if isinstance(node, ast.Call):
            values += [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            if "finding" in ast.unparse(node.func).lower():
                values += node.args[:1]
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "code":
            values.append(node.value)
        for value in values:
            for part in ast.walk(value):
                if isinstance(part, ast.Constant) and re.fullmatch(
                    r"[a-z]+(-[a-z]+)+", str(part.value)
                ):
                    yield str(part.value)


def test_page_has_every_code_of_a_finding():
    found = {code for file in (ROOT / "aimm_plugins").rglob("*.py") for code in codes(file)}
    assert len(found) > 15
    assert found - OTHERS - NAMED == set()


def test_page_has_every_state():
    assert set(get_args(State)) <= NAMED
