"""Conformance checks: the plugin that is in order passes all, each seeded bug is caught."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aimm_plugins.testing import check_plugin, checks
from aimm_plugins.testing._distributions import forget_modules, write_distribution
from tests.seeded.variants import DATA, MODEL, SOURCE, VARIANTS

PAGE = Path(__file__).parents[1] / "docs" / "conformance.md"


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    """A folder on the path with the plugin that is in order, and the variants as `seeded_<n>`."""
    folder = tmp_path_factory.mktemp("seeded")
    (folder / "line.py").write_text(SOURCE, encoding="utf-8")
    for number, variant in enumerate(VARIANTS):
        module = f"seeded_{number}"
        (folder / f"{module}.py").write_text(variant.source, encoding="utf-8")
        if variant.metadata:
            groups = {
                group: {name: value.format(module=module) for name, value in lines.items()}
                for group, lines in variant.metadata.items()
            }
            write_distribution(folder, module, entry_points=groups)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder
    forget_modules(folder)


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
    }


def test_every_check_has_a_bug_that_it_catches():
    assert {each.check for each in VARIANTS} == {each.name for each in checks()}
