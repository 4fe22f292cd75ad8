"""What authors say of their plugins: what is refused, and where arguments come from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aimm_plugins.testing import Conformance, check_plugin, parametrize_conformance
from tests.seeded.variants import MODEL, VARIANTS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "of a model_type or of a data_access"),
        ({"model_type": "a", "data_access": "b"}, "of a model_type or of a data_access"),
        ({"model_type": "a", "claims": {"fast"}}, "no claim 'fast'"),
        ({"model_type": "a", "claims": "deterministic"}, "no claim 'd'"),
        ({"model_type": "a", "expected_failures": {"round-trip": ""}}, "needs a reason"),
    ],
)
def test_wrong_declaration_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Conformance(**options)


def test_expected_failure_of_a_check_that_does_not_exist_is_refused():
    conformance = Conformance(model_type="line", expected_failures={"round-trp": "why"})
    with pytest.raises(ValueError, match="did you mean 'round-trip'"):
        check_plugin(conformance)


def test_strategies_give_the_arguments(seeded):
    from hypothesis import strategies as st

    numbers = st.lists(st.floats(0, 1), min_size=2, max_size=2)
    conformance = replace(MODEL, plugin="line", fit=st.tuples(numbers, numbers))
    verdict = check_plugin(conformance, only=["round-trip", "fit-keeps-arguments"])
    assert verdict.counts["passed"] == 2
    number = next(n for n, each in enumerate(VARIANTS) if each.check == "fit-keeps-arguments")
    verdict = check_plugin(
        replace(conformance, plugin=f"seeded_{number}"),
        only=["fit-keeps-arguments"],
        on_fail="report",
    )
    assert verdict.counts["failed"] == 1


def test_source_that_gives_no_arguments_is_named(seeded):
    conformance = replace(MODEL, plugin="line", fit=lambda: [1, 2])
    verdict = check_plugin(conformance, only=["fit-gives-a-predictor"], on_fail="report")
    assert "gave list; return arguments(...)" in verdict.results[0].reason


def test_nothing_to_check_is_refused():
    with pytest.raises(ValueError, match="nothing would be checked"):
        parametrize_conformance([])
