"""Fixtures of the tests of discovery."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder to install into."""
    path = tmp_path / "packages"
    path.mkdir()
    return path


@pytest.fixture
def closed_zips() -> Iterator[None]:
    """Closes what importlib_metadata leaves open until its objects are collected: here, not in a later test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
