"""Entry point tables, written into `pyproject.toml`."""

from __future__ import annotations

import tomllib

import pytest

from aimm_plugins._authoring.tables import rewritten
from aimm_plugins.cli import run
from aimm_plugins.errors import ConfigError
from tests.authoring.conftest import FIT

OUT_OF_ORDER = """\
[project]
name = "p"

[tool.a]
x = 1  # kept

[project.entry-points."aimm.plugins"]  # plugins
mine = "mine"  # mine

[tool.b]

[project.entry-points."aimm.plugins.fit"]
old = "mine:f"
# about this one
good = "mine:f"

[project.entry-points.pytest11]
p = "p"

[project.entry-points."aimm.plugins.predict"]
old = "mine:f"
"""


def test_rewriting_changes_no_more_than_our_entries():
    wanted = {
        "aimm.plugins": {"mine": "mine"},
        "aimm.plugins.fit": {"good": "mine:g", "new": "mine:h"},
        "aimm.plugins.serialize": {"new": "mine:s"},
    }
    text = rewritten(OUT_OF_ORDER, wanted)
    assert "x = 1  # kept" in text
    assert 'mine = "mine"  # mine' in text
    assert "# about this one\ngood = " in text
    groups = tomllib.loads(text)["project"]["entry-points"]
    assert groups == {**wanted, "pytest11": {"p": "p"}}
    assert rewritten(text, wanted) == text


COMMENTED = """\
[project]
name = "p"

[project.entry-points."aimm.plugins.fit"]
# about old
old = "mine:f"  # behind old
stays = "mine:s"

# About predict.
[project.entry-points."aimm.plugins.predict"]
old = "mine:p"

# About serialize.
[project.entry-points."aimm.plugins.serialize"]
old = "mine:s"
# About conformance.
[project.entry-points."aimm_plugins.conformance"]
model = "mine:MODEL"
"""


def test_comments_stay_above_what_they_are_about():
    wanted = {
        "aimm.plugins.fit": {"old": "mine:g", "stays": "mine:s"},
        "aimm.plugins.predict": {"new": "mine:p"},
        "aimm.plugins.serialize": {"old": "mine:s", "other": "mine:o"},
    }
    assert rewritten(COMMENTED, wanted) == (
        COMMENTED.replace('"mine:f"  #', '"mine:g"  #')
        .replace('old = "mine:p"', 'new = "mine:p"')
        .replace('old = "mine:s"\n', 'old = "mine:s"\nother = "mine:o"\n')
    )


def test_comment_above_the_table_behind_a_removed_one_stays():
    wanted = {
        "aimm.plugins.fit": {"old": "mine:f", "stays": "mine:s"},
        "aimm.plugins.predict": {"old": "mine:p"},
    }
    gone = '[project.entry-points."aimm.plugins.serialize"]\nold = "mine:s"\n'
    assert rewritten(COMMENTED, wanted) == COMMENTED.replace(gone, "\n")


def test_file_with_carriage_returns_keeps_them(project):
    folder = project(mine=FIT)
    file = folder / "pyproject.toml"
    file.write_bytes(COMMENTED.replace("\n", "\r\n").encode())
    assert run(["entry-points", str(folder), "--write"]) == 0
    written = file.read_bytes()
    assert b'mine = "mine"\r\n' in written
    assert written.count(b"\n") == written.count(b"\r\n")


def test_entry_over_several_lines_is_refused_with_what_to_write():
    text = COMMENTED.replace('"mine:s"\n\n', '"""\\\n  mine:s"""\n\n')
    assert tomllib.loads(text) == tomllib.loads(COMMENTED)
    with pytest.raises(ConfigError, match="by hand") as caught:
        rewritten(text, {"aimm.plugins.fit": {"stays": "mine:t"}})
    assert 'stays = "mine:t"' in str(caught.value)


def test_inline_tables_and_dotted_keys_are_changed_or_refused_but_never_broken():
    wanted = {"aimm.plugins": {"mine": "mine"}, "aimm.plugins.fit": {"k": "mine:f"}}
    for text in (
        '[project]\nname = "p"\nentry-points = {"aimm.plugins" = {a = "b"}}\n',
        '[project]\nname = "p"\n\n[project.entry-points]\n"aimm.plugins" = {a = "b"}\n',
        '[project]\nname = "p"\nentry-points."aimm.plugins".a = "b"\n',
        'project = {name = "p"}\n',
    ):
        try:
            done = rewritten(text, wanted)
        except ConfigError as error:
            assert '[project.entry-points."aimm.plugins"]' in str(error)
        else:
            assert tomllib.loads(done)["project"]["entry-points"] == wanted
