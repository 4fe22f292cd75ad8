"""What readers of source hand out."""

from __future__ import annotations

import pytest

from aimm_plugins._discovery.published import Published
from aimm_plugins._source.declarations import (
    Gap,
    PluginSource,
    SourceDeclaration,
    published_declarations,
)
from tests.support.metadata import Stated

DISTRIBUTION = Stated(name="d", version="1", origin="index")
KEY = Published("fit", "k", "m", "f", DISTRIBUTION, "entry_points.txt:2")


@pytest.mark.parametrize(
    ("file", "line", "expected"),
    [(None, None, "why"), ("a.py", None, "a.py: why"), ("a.py", 3, "a.py:3: why")],
)
def test_gap_is_shown_with_its_place(file, line, expected):
    assert str(Gap(reason="why", file=file, line=line)) == expected


def test_published_key_has_the_place_that_its_source_gives():
    found = SourceDeclaration(action="fit", key="k", module="m", qualname="f", line=3)
    assert published_declarations([KEY], PluginSource(declarations=(found,))) == (found,)


@pytest.mark.parametrize("source", [None, PluginSource()])
def test_published_key_without_a_source_is_known_by_its_metadata(source):
    (found,) = published_declarations([KEY], source)
    assert (found.module, found.qualname, found.file, found.signature) == ("m", "f", None, None)
