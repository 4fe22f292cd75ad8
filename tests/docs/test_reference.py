"""The reference is complete: all that is public is on its pages."""

from __future__ import annotations

import re

import aimm_plugins
from aimm_plugins import reporters, testing, workers
from tests.support.installing import ROOT

TEXT = "\n".join(
    path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "reference").glob("*.md"))
)
NAMED = set(re.findall(r"^\.\. auto(?:class|data|exception|function):: ([\w.]+)$", TEXT, re.M))


def test_every_public_name_is_in_the_reference():
    public = {name for each in (aimm_plugins, reporters, testing, workers) for name in each.__all__}
    assert public - NAMED == set()
