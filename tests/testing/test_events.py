"""The fixture `state_events`: what it records, and what it finds wrong."""

from __future__ import annotations

import pytest

import aimm_plugins


def test_state_events_are_recorded_as_they_were_sent(state_events):
    event = {"step": 0, "total": 1}
    state_events(event)
    event["step"] = 1
    assert state_events == [{"step": 0, "total": 1}]
    assert state_events.steps == [0]


def test_empty_state_events_are_a_callback_all_the_same(state_events):
    assert list(aimm_plugins.progress(state_events, "ab")) == ["a", "b"]
    assert state_events.steps == [0, 1, 2]


def test_state_events_in_order_pass_the_check(state_events):
    for step in (0, 1, 2):
        state_events({"phase": "fit", "step": step, "total": 2, "unit": "epoch"})
    state_events({"phase": "test", "step": 0})
    state_events.check()


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([{"step": 2}, {"step": 1}], "step 1 after step 2"),
        ([{"step": 3, "total": 2}], "step 3 of a total of 2"),
        ([{"step": 1, "total": 2}], "ended at step 1 of 2"),
        ([{"step": -1}], "less than the minimum"),
        ([{"phase": 1}], "at phase"),
        ([{"metrics": {"loss": float("nan")}}], "is not JSON"),
        (["text"], "is a str, not a dict"),
        ([{}] * 2, "sent several times"),
    ],
)
def test_fault_of_state_events_is_told(state_events, events, message):
    for event in events:
        state_events(event)
    with pytest.raises(AssertionError, match=message):
        state_events.check()
