"""Fixtures of tests about artifacts."""

from __future__ import annotations

from functools import partial

import pytest

from aimm_plugins import initialize, pack
from tests.support.artifacts import install_svc


@pytest.fixture
def dist(site):
    """Installs a version of a distribution whose plugin serializes `k`."""
    return partial(install_svc, site)


@pytest.fixture
def artifact(dist):
    """An artifact that `aimm-svc` 1.2 made."""
    dist()
    initialize()
    return pack("k", 7, metadata={"run": 5})
