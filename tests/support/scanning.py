"""What a scan of some folders finds, in the words of a test."""

from __future__ import annotations

from importlib.abc import MetaPathFinder
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from pathlib import Path

from aimm_plugins._discovery.scan import scan


def found(*folders: Path | str) -> list[tuple[str, str, str]]:
    """Distribution, name and value of each entry point."""
    return [
        (candidate.distribution.name, candidate.name, candidate.value)
        for candidate in scan([str(path) for path in folders]).candidates
    ]


def codes(*folders: Path | str) -> list[str]:
    """The codes of all findings."""
    return [finding.code for finding in scan([str(path) for path in folders]).findings]


class Finder(MetaPathFinder):
    """A finder that offers what a function returns, and knows no module."""

    def __init__(self, distributions):
        self.distributions = distributions

    def find_spec(self, *arguments):
        raise RuntimeError("no spec")

    def find_distributions(self, context=None):
        return self.distributions()


def python_finders() -> list[type]:
    """The finders that are on `sys.meta_path` when Python starts."""
    return [BuiltinImporter, FrozenImporter, PathFinder]


class Exiting:
    """An object whose every attribute raises SystemExit."""

    def __getattr__(self, name):
        raise SystemExit(f"no {name}")
