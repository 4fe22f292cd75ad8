"""Running checks: what counts as a failure, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

import aimm_plugins
from aimm_plugins.testing import Conformance, check_plugin
from tests.seeded.variants import MODEL, VARIANTS


def test_counts_tell_run_passed_failed_expected_and_skipped(seeded):
    conformance = replace(
        MODEL, plugin="line", claims=(), expected_failures={"round-trip": "it was broken once"}
    )
    verdict = check_plugin(
        conformance, only=["round-trip", "round-trip-twice", "threads-do-not-mix"], on_fail="report"
    )
    assert verdict.counts == {"run": 2, "passed": 1, "failed": 1, "expected": 0, "skipped": 1}
    assert [each.status for each in verdict.results] == ["skipped", "unexpected", "passed"]
    assert "not claimed: thread_safe" in str(verdict)


def test_declared_failure_is_no_failure(seeded):
    number = next(n for n, each in enumerate(VARIANTS) if each.check == "round-trip")
    conformance = replace(
        VARIANTS[number].conformance(f"seeded_{number}"),
        expected_failures={"round-trip": "issue 7"},
    )
    verdict = check_plugin(conformance, only=["round-trip"])
    (result,) = verdict.results
    assert (result.status, result.reason) == ("expected", "issue 7")


def test_failure_is_raised_with_check_reason_and_place(seeded):
    number = next(n for n, each in enumerate(VARIANTS) if each.check == "round-trip")
    with pytest.raises(AssertionError) as caught:
        check_plugin(VARIANTS[number].conformance(f"seeded_{number}"), only=["round-trip"])
    text = str(caught.value)
    assert "round-trip" in text
    assert "the deserialized instance predicts something else" in text
    assert f"seeded_{number}.py:" in text
    assert isinstance(caught.value.__cause__, ExceptionGroup)


def test_key_that_nobody_provides_is_an_error():
    with pytest.raises(LookupError, match=r"Conformance\(plugin=\.\.\.\)"):
        check_plugin(Conformance(model_type="nobody"), only=["round-trip"])


def test_module_without_conformance_is_checked_as_such(seeded):
    verdict = check_plugin("line", on_fail="report")
    assert verdict.ok, str(verdict)
    assert {each.about for each in verdict.results} == {"line"}
    assert "import-leaves-threads" in {each.check for each in verdict.results}


def test_what_was_declared_by_hand_is_not_looked_for_in_other_processes():
    aimm_plugins.data_access("by.hand")(lambda: [1])
    verdict = check_plugin(
        Conformance(data_access="by.hand"), only=["works-in-a-spawned-process"], on_fail="report"
    )
    (result,) = verdict.results
    assert result.status == "skipped", str(result)


def test_key_that_its_plugin_does_not_provide_is_one_failure(write):
    write(keyed="@instantiate('right')\ndef make(): return 1\n")
    only = ["fit-gives-a-predictor", "round-trip", "instances-are-separate"]
    conformance = Conformance(model_type="rihgt", plugin="keyed")
    (result,) = check_plugin(conformance, only=only, on_fail="report").results
    assert (result.check, result.status) == ("fit-gives-a-predictor", "failed")
    assert result.reason == "keyed provides no 'rihgt'; did you mean 'right'?"


def test_plugins_that_are_found_by_their_keys_are_not_taken_for_each_other(write):
    write(
        quiet="@data_access('quiet')\ndef f(): return [1]\n",
        noisy="print('noise')\n@data_access('noisy')\ndef f(): return [1]\n",
    )
    conf = {"names": ["quiet", "noisy"], "entry_points": {"enabled": False}}
    aimm_plugins.initialize(conf)
    about = [Conformance(data_access="quiet"), Conformance(data_access="noisy")]
    verdict = check_plugin(*about, only=["import-prints-nothing"], on_fail="report")
    assert [result.status for result in verdict.results] == ["passed", "failed"]
