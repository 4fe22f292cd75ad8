"""The reference is complete: all that is public is on its pages."""

from __future__ import annotations

import re

import aimm_plugins
from aimm_plugins import executors, reporters, testing, workers
from tests.support.installing import ROOT

TEXT = "\n".join(
    path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "reference").glob("*.md"))
)
DIRECTIVE = r"^\.\. (?:auto(?:class|data|exception|function)|py:class):: ([\w.]+)$"
NAMED = set(re.findall(DIRECTIVE, TEXT, re.M))


def test_every_public_name_is_in_the_reference():
    modules = (aimm_plugins, executors, reporters, testing, workers)
    public = {name for module in modules for name in module.__all__}
    assert public - NAMED == set()
