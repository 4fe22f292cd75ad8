"""Figures that the tests take go to the end of the run; nobody's machine fails by them."""

from __future__ import annotations

import pytest

_FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def figures(pytestconfig) -> list[str]:
    """Lines to print when all tests are done."""
    return pytestconfig.stash.setdefault(_FIGURES, [])


def pytest_terminal_summary(terminalreporter, config) -> None:
    for line in config.stash.get(_FIGURES, []):
        terminalreporter.line(line)
