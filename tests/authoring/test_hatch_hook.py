"""Entry points that hatchling makes from the code, at build time."""

from __future__ import annotations

import pytest

from aimm_plugins.errors import AimmPluginsError
from tests.authoring.conftest import FIT

HATCH = """
[build-system]
requires = ["hatchling", "aimm-plugins"]
build-backend = "hatchling.build"
[project]
name = "my-models"
version = "1.0"
dynamic = ["entry-points"]
[tool.hatch.metadata.hooks.aimm-plugins.entry-points."aimm.plugins.options"]
mine = "mine:options.json"
[tool.hatch.metadata.hooks.aimm-plugins.entry-points.pytest11]
mine = "mine"
"""


def test_hook_of_hatchling_makes_the_entry_points(project):
    pytest.importorskip("hatchling")
    from hatchling.metadata.core import ProjectMetadata
    from hatchling.plugin.manager import PluginManager

    metadata = ProjectMetadata(str(project(HATCH, mine=FIT)), PluginManager())
    assert metadata.core.entry_points == {
        "aimm.plugins": {"mine": "mine"},
        "aimm.plugins.fit": {"mine": "mine:f"},
        "aimm.plugins.options": {"mine": "mine:options.json"},
        "pytest11": {"mine": "mine"},
    }


@pytest.mark.parametrize(
    ("config", "source", "message"),
    [
        ({"imports": True}, FIT, "unknown key 'imports'"),
        ({"entry-points": {"aimm.plugins.fit": {}}}, FIT, "made from the code"),
        ({}, "", "declares anything"),
        ({}, FIT.replace("__name__", "str(1)"), r"running the code: import = true in \[tool.hatch"),
    ],
)
def test_hook_refuses_to_build_what_cannot_be_meant(project, config, source, message):
    pytest.importorskip("hatchling")
    from aimm_plugins._authoring.hatch_hook import EntryPointsHook

    with pytest.raises(AimmPluginsError, match=message):
        EntryPointsHook(str(project(HATCH, mine=source)), config).update({})
