"""Laws of what is installed: whatever stands in its files, reading it raises documented errors alone.

`AIMM_PLUGINS_MUTATIONS=100000 pytest tests/properties/test_mutated_metadata.py` takes as many.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from aimm_plugins import DeclarationError, plan
from aimm_plugins._diagnostics.doctor import examine
from aimm_plugins._diagnostics.take_inventory import take_inventory
from aimm_plugins._discovery.record_file import listed, record_digest, top_levels
from aimm_plugins._discovery.scan import Scan, scan
from aimm_plugins._options.limits import UnjudgedError
from aimm_plugins._options.schema import read_schema
from aimm_plugins._source.reader import SourceReader
from tests.support.metadata import write_dist_info
from tests.support.mutations import MUTATIONS, mutated

TOKENS = (
    b"[aimm.plugins]\n",
    b"[aimm.plugins.fit]\nk = fuzzed:f\n",
    b"[aimm.plugins.options]\nfuzzed = fuzzed:options.json\n",
    *(
        b"\n",
        b"\r",
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xe2\x80\xa8",
        b"\x1b[2J",
        b'"',
        b",",
        b"=",
    ),
    *(
        b":",
        b"..",
        b"../",
        b"/",
        b"\\",
        b"sha256=",
        b"file://",
        b"{",
        b"[" * 200,
        b"9" * 5000,
        b"a." * 600,
    ),
)
SOURCE = """
from aimm_plugins import fit, model
from .other import *
NAMES = ["a", "b"]
if NAMES:
    import os
@fit([*NAMES, f"{NAMES}x"], state_cb_arg_name="p")
def f(m, x: int = 1, *, p): "doc"
@model
class C:
    def fit(self): ...
    predict = 1
"""
SCHEMA = {
    "$defs": {"a": {"type": "string", "pattern": "^[ab]x*$", "default": "x"}},
    "properties": {"a": {"$ref": "#/$defs/a"}, "b": {"enum": [1, None], "format": "uri"}},
    "required": ["b"],
    "anyOf": [{"additionalProperties": False}, {"if": {}, "then": {"minLength": 1e3}}],
}
RULES = {"names": ["fuzzed"], "entry_points": {"deny_origins": ["vcs"]}, "verify": "record"}


@pytest.fixture
def folder(site: Path) -> Path:
    """The dist-info of one sound distribution with keys, a schema and a digest of its file."""
    (site / "fuzzed.py").write_text(SOURCE)
    (site / "options.json").write_text(json.dumps(SCHEMA))
    text = "[aimm.plugins]\nx = fuzzed\n" + b"".join(TOKENS[1:3]).decode()
    origin = {"url": "https://x/y.git", "vcs_info": {"vcs": "git", "commit_id": "0"}}
    return write_dist_info(
        site, "fuzzed", entry_points=text, files=["fuzzed.py", "options.json"], direct_url=origin
    )


def read_all(found: Scan) -> None:
    """Ask for everything that rules and verbs ask for."""
    for distribution in found.distributions():
        str([distribution.who, distribution.origin, distribution.editable_root])
        listed(distribution), record_digest(distribution), top_levels(distribution)
    for candidate in found.candidates:
        found.keys_of(candidate), found.options_of(candidate.module, candidate.distribution.name)
    found.keys_of(("fuzzed", "fuzzed"))
    list(map(str, found.findings))


FILES = ("METADATA", "RECORD", "direct_url.json", "entry_points.txt")


@pytest.mark.parametrize("file", FILES)
def test_no_mutation_of_metadata_stops_a_scan_or_a_plan(folder: Path, file: str) -> None:
    path = folder / file
    sound = path.read_bytes()
    draw = random.Random(f"20261128 {file}")
    for number in range(MUTATIONS // len(FILES)):
        path.write_bytes(mutated(sound, draw, TOKENS))
        read_all(scan([str(folder.parent)]))
        if number % 50 == 0:
            str(plan(RULES))


def test_no_mutation_of_a_schema_raises_what_is_not_documented(folder: Path) -> None:
    file = folder.parent / "options.json"
    sound = file.read_bytes()
    draw = random.Random(20261129)
    (published,) = scan([str(folder.parent)]).options_of("fuzzed", "fuzzed")
    for _ in range(MUTATIONS // 40):  # each of which takes as long as 40 others
        file.write_bytes(mutated(sound, draw, TOKENS))
        try:
            schema = read_schema(published)
            schema.check({"a": "x", "b": 1}, looking=True)
            list(map(str, schema.known()))
        except (DeclarationError, UnjudgedError):
            continue


def test_no_mutation_of_source_raises(folder: Path) -> None:
    file = folder.parent / "fuzzed.py"
    sound = file.read_bytes()
    draw = random.Random(20261130)
    for number in range(MUTATIONS // 10):
        file.write_bytes(mutated(sound, draw, TOKENS))
        list(map(str, SourceReader(["fuzzed"]).read("fuzzed").gaps))
        if number % 50 == 0:
            list(map(str, examine(take_inventory({"names": ["fuzzed"]}))))
