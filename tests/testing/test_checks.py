"""The checks: the plugin that is in order passes all, each seeded bug is caught."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from aimm_plugins.testing import check_plugin, checks
from tests.seeded.variants import DATA, MODEL, VARIANTS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "testing.md"


@pytest.mark.parametrize("number", range(len(VARIANTS)), ids=lambda n: VARIANTS[n].wrong)
def test_seeded_bug_is_caught_by_the_check_that_is_meant_for_it(seeded, number):
    variant = VARIANTS[number]
    verdict = check_plugin(
        variant.conformance(f"seeded_{number}"), only=[variant.check], on_fail="report"
    )
    (result,) = verdict.results
    assert result.status == "failed", str(result)


@pytest.fixture(scope="module")
def in_order(seeded):
    return check_plugin(
        replace(MODEL, plugin="line"), replace(DATA, plugin="line"), on_fail="report"
    )


def test_plugin_that_is_in_order_passes_all_checks(in_order):
    assert in_order.ok, str(in_order)
    skipped = {each.check for each in in_order.results if each.status == "skipped"}
    assert skipped <= {
        "keys-are-as-published",
        "entry-points-resolve",
        "options-have-a-sound-schema",
    }


def test_every_check_has_a_bug_that_it_catches():
    assert {each.check for each in VARIANTS} == {each.name for each in checks()}


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ("makes an unfitted instance of garbage", "raise ValueError where what was read lacks"),
        ("ends the process on garbage", "catch SystemExit in deserialize, and raise ValueError"),
        ("crashes the interpreter on garbage", "write a checksum before what serialize gives"),
    ],
)
def test_garbage_is_refused_says_what_to_do(seeded, wrong, remedy):
    (number,) = (n for n, variant in enumerate(VARIANTS) if variant.wrong == wrong)
    conformance = VARIANTS[number].conformance(f"seeded_{number}")
    (result,) = check_plugin(conformance, only=["garbage-is-refused"], on_fail="report").results
    assert f"\n  To do: {remedy}" in result.reason


# Imports


def test_what_an_import_here_left_in_the_environment_is_seen_all_the_same(write, monkeypatch):
    monkeypatch.setenv("NOISY", "0")
    write(noisy="import os\nos.environ['NOISY'] = '1'\n@data_access('n')\ndef f(): return 1")
    check_plugin("noisy", only=["actions-come-in-pairs"])
    assert os.environ["NOISY"] == "1"
    with pytest.raises(AssertionError, match="changed NOISY"):
        check_plugin("noisy", only=["import-leaves-environment"])


def test_what_a_dependency_does_at_import_is_not_the_plugins(write):
    write(
        noisy="import os, warnings\nos.environ['NOISY'] = '1'\nwarnings.simplefilter('ignore')",
        quiet="import importlib, noisy\n@data_access('quiet')\ndef f(): return 1",
        loud="import noisy\nimport warnings\nwarnings.simplefilter('always')",
    )
    only = ["import-leaves-environment", "import-leaves-warnings"]
    assert check_plugin("quiet", only=only).counts["passed"] == 2
    verdict = check_plugin("loud", only=only, on_fail="report")
    assert [each.check for each in verdict.failures] == ["import-leaves-warnings"]


# The page


SUBJECTS = {
    ("plugin",): "the plugin",
    ("model",): "a model",
    ("data",): "a data access",
    ("model", "data"): "both",
}


def tables() -> str:
    """The tables of the page: what each check is for, by what it looks at."""
    lines = []
    for kinds, subject in SUBJECTS.items():
        lines += [f"| check of {subject} | what holds |", "| --- | --- |"]
        for each in checks():
            if tuple(each.kinds) == kinds:
                claim = f"`{each.claim}`: " if each.claim else ""
                lines.append(f"| `{each.name}` | {claim}{each.summary} |")
        lines.append("")
    return "\n".join(lines)


def test_page_has_the_tables_of_checks():
    begin, end = "<!-- tables -->\n", "<!-- end of tables -->\n"
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(begin)
    shown, _, tail = rest.partition(end)
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(head + begin + tables() + end + tail, encoding="utf-8")
    else:
        assert shown == tables()
