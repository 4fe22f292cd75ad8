"""State events: what authors send, what callers put between, and how both stop."""

from __future__ import annotations

import fractions
import io
import json
import logging
import math
import multiprocessing
import pickle
import sys
import threading
from functools import partial

import jsonschema
import pytest

import aimm_plugins
from aimm_plugins import Cancelled, CancelToken, progress, reporters, reporting, state_event
from aimm_plugins._config.json_schema import schema
from tests.support.threads import together


class Clock:
    """What `time.monotonic` says, moved by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr("time.monotonic", made)
    return made


# Authors


def test_event_holds_what_was_given_and_fits_the_schema():
    event = state_event(
        phase="fit", step=1, total=2.5, unit="epoch", message="m", metrics={"loss": 0.5}
    )
    assert event == {
        "phase": "fit",
        "step": 1,
        "total": 2.5,
        "unit": "epoch",
        "message": "m",
        "metrics": {"loss": 0.5},
    }
    assert state_event() == {}
    jsonschema.validate(event, schema("state-event"))
    assert set(event) | {"warning"} == set(schema("state-event")["properties"])
    assert set(aimm_plugins.StateEvent.__annotations__) == set(schema("state-event")["properties"])


@pytest.mark.parametrize("event", [{"step": -1}, {"metrics": {"x": []}}, {"phase": None}, 5])
def test_schema_refuses_what_bars_would_not_understand(event):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(event, schema("state-event"))


def test_schema_lets_keys_of_ones_own_pass():
    jsonschema.validate({"step": 1, "mine": [1, {}]}, schema("state-event"))


class Scalar:
    """As numpy's."""

    ndim = 0

    def item(self):
        return 3


def test_numbers_of_other_libraries_become_pythons_and_nan_becomes_null():
    event = state_event(step=Scalar(), metrics={"a": Scalar(), "b": math.nan, "c": -math.inf})
    assert json.loads(json.dumps(event)) == {"step": 3, "metrics": {"a": 3, "b": None, "c": None}}
    assert type(event["step"]) is int


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"step": "1"}, TypeError),
        ({"step": True}, TypeError),
        ({"step": -1}, ValueError),
        ({"total": math.nan}, ValueError),
        ({"phase": 5}, TypeError),
        ({"message": b""}, TypeError),
        ({"metrics": {"x": [1]}}, TypeError),
        ({"metrics": {1: 1}}, TypeError),
        ({"metrics": [("x", 1)]}, TypeError),
    ],
)
def test_wrong_event_is_refused_by_the_name_of_the_key(given, kind):
    with pytest.raises(kind, match=r"state event"):
        state_event(**given)


def test_progress_tells_before_the_first_item_and_after_each():
    events = []
    assert list(progress(events.append, "ab", phase="read", unit="letter", message="m")) == [*"ab"]
    assert events == [
        {"phase": "read", "total": 2, "unit": "letter", "message": "m", "step": step}
        for step in (0, 1, 2)
    ]


def test_progress_without_a_length_or_callback_counts_on():
    events = []
    assert list(progress(events.append, iter("ab"))) == [*"ab"]
    assert events == [{"step": 0}, {"step": 1}, {"step": 2}]
    assert list(progress(None, iter("ab"), total=7)) == [*"ab"]
    list(progress(events.append, iter(""), total=7))
    assert events[-1] == {"step": 0, "total": 7}


def test_callback_that_is_false_is_called_all_the_same():
    class Events(list):
        """Empty, and so false, until the first event."""

        __call__ = list.append

    events, reported = Events(), Events()
    assert list(progress(events, "a")) == ["a"]
    with reporting(reported) as state_cb:
        state_cb({"step": 1})
    assert [event["step"] for event in events] == [0, 1]
    assert reported == [{"step": 1}]


def test_progress_reads_metrics_anew():
    events, metrics = [], {"loss": 9.0}
    for loss in progress(events.append, [3.0, math.nan], metrics=metrics):
        metrics["loss"] = loss
    assert [event["metrics"] for event in events] == [{"loss": 9.0}, {"loss": 3.0}, {"loss": None}]


def test_progress_does_not_count_an_item_that_the_loop_broke_off():
    events = []
    for item in progress(events.append, [1, 2, 3]):
        if item == 2:
            break
    assert [event["step"] for event in events] == [0, 1]


def test_progress_refuses_wrong_arguments_at_once():
    with pytest.raises(TypeError, match="phase"):
        progress(None, [], phase=5)


def test_what_the_callback_raises_comes_out_of_the_loop():
    def stop(state):
        if state["step"] == 1:
            raise KeyError("stop")

    seen = []
    with pytest.raises(KeyError, match="stop"):
        for item in progress(stop, [1, 2]):
            seen.append(item)
    assert seen == [1]


# Callers


def test_without_options_every_event_is_delivered_as_the_same_object():
    events, event = [], {"own": object()}
    with reporting(events.append) as cb:
        cb(event)
        cb("no dict at all")
    assert events[0] is event
    assert events[1:] == ["no dict at all"]


def test_limit_keeps_the_last_event_for_the_next_turn_or_the_end(clock):
    events = []
    with reporting(events.append, max_per_second=2) as cb:
        for step in range(5):
            cb(step)
        assert events == [0]
        clock.now += 0.5
        cb(5)
        assert events == [0, 5], "what was held is older than what is delivered"
        cb(6)
        cb(7)
    assert events == [0, 5, 7]


def test_limit_keeps_what_another_thread_sends_while_an_event_goes_out(clock):
    def between_two_lines(frame, event, argument):
        if event == "line" and frame.f_locals["self"]._free_at > clock.now:
            sys.settrace(None)
            frame.f_trace = None
            cb(2)
        return between_two_lines

    def at_the_callback(frame, event, argument):
        return between_two_lines if frame.f_code.co_name == "callback" else None

    events = []
    before = sys.gettrace()
    with reporting(events.append, max_per_second=1) as cb:
        sys.settrace(at_the_callback)
        try:
            cb(1)
        finally:
            sys.settrace(before)
        assert events == [1]
    assert events == [1, 2]


def test_end_delivers_nothing_that_was_delivered(clock):
    events = []
    with reporting(events.append, max_per_second=1) as cb:
        cb(1)
    assert events == [1]


def test_end_delivers_nothing_older_than_what_was_delivered(clock):
    events = []
    with reporting(events.append, max_per_second=1) as cb:
        cb(1)
        cb(2)
        clock.now += 1
        cb(3)
    assert events == [1, 3]


def test_callback_that_ended_the_work_gets_no_last_event(clock):
    calls = []

    def callback(state):
        calls.append(state)
        raise ValueError("callback")

    with pytest.raises(KeyError, match="plugin"):
        with reporting(callback, max_per_second=1) as cb:
            with pytest.raises(ValueError, match="callback"):
                cb(1)
            cb(2)
            raise KeyError("plugin")
    assert calls == [1]


def test_held_event_is_delivered_when_the_plugin_fails_and_never_hides_that(clock, caplog):
    def callback(state):
        events.append(state)
        if state == 2:
            raise ValueError("callback")

    events = []
    with pytest.raises(KeyError, match="plugin"):
        with reporting(callback, max_per_second=1) as cb:
            cb(1)
            cb(2)
            raise KeyError("plugin")
    assert events == [1, 2]
    assert [str(record.exc_info[1]) for record in caplog.records] == ["callback"]


def test_error_of_the_last_event_leaves_the_block(clock):
    def callback(state):
        if state == 2:
            raise ValueError("callback")

    with pytest.raises(ValueError, match="callback"):
        with reporting(callback, max_per_second=1) as cb:
            cb(1)
            cb(2)


def test_raised_error_is_raised_once(clock):
    calls = []

    def callback(state):
        calls.append(state)
        raise ValueError("callback")

    with pytest.raises(ValueError, match="callback"):
        with reporting(callback, max_per_second=1) as cb:
            with pytest.raises(ValueError, match="callback"):
                cb(1)
            cb(2)  # held back
            clock.now += 2
            cb(3)
    assert calls == [1, 3]


def test_logged_error_is_logged_once_and_the_plugin_goes_on(caplog):
    calls = []

    def callback(state):
        calls.append(state)
        raise ValueError("callback")

    with reporting(callback, on_error="log") as cb:
        for step in range(3):
            cb(step)
    assert calls == [0, 1, 2]
    assert len(caplog.records) == 1
    assert str(caplog.records[0].exc_info[1]) == "callback"


def test_error_of_the_watchdog_is_raised_by_two_threads_that_look_at_once():
    def at_the_third_line(frame, event, argument):
        lines.append(event)
        if lines == ["line"] * 3:
            sys.settrace(None)
            frame.f_trace = None
            with pytest.raises(ValueError, match="watchdog"):
                cb({})
        return at_the_third_line

    def at_the_callback(frame, event, argument):
        return at_the_third_line if frame.f_code.co_name == "watched" else None

    lines = []
    before = sys.gettrace()
    with reporting(None, stall_after=60) as cb:
        cb.func.__self__.pending = ValueError("watchdog")
        sys.settrace(at_the_callback)
        try:
            with pytest.raises(ValueError, match="watchdog"):
                cb({})
        finally:
            sys.settrace(before)


@pytest.mark.parametrize("kind", [Cancelled, KeyboardInterrupt])
def test_logging_lets_a_cancel_pass(kind, caplog):
    def callback(state):
        raise kind

    with pytest.raises(kind):
        with reporting(callback, on_error="log") as cb:
            cb({})
    assert caplog.records == []


@pytest.mark.parametrize("make", [CancelToken, threading.Event, multiprocessing.Event])
def test_cancel_ends_the_plugin_at_its_next_event_also_a_held_one(make):
    token = make()
    events = []

    def learn(model, *, cb):
        for step in range(10):
            cb(step)
            if step == 3:
                set_it = getattr(token, "cancel", None) or token.set
                set_it()

    aimm_plugins.fit(["m"], "cb")(learn)
    with pytest.raises(Cancelled) as caught:
        with reporting(events.append, max_per_second=0.001, cancel=token) as cb:
            aimm_plugins.exec_fit("m", 1, cb)
    assert events == [0, 3]
    assert "in fit:m" in caught.value.__notes__[0]


def test_token_says_why_and_keeps_the_first_reason():
    token = CancelToken()
    assert not token.is_set()
    token.check()
    assert "not cancelled" in repr(token)
    token.cancel("window closed")
    token.cancel("later")
    with pytest.raises(Cancelled, match="window closed"):
        token.check()
    with pytest.raises(Cancelled) as caught:
        with reporting(None, cancel=token) as cb:
            cb({})
    assert caught.value.reason == "window closed"
    assert "window closed" in repr(token)


def test_cancelled_survives_pickling():
    for error in (Cancelled(), Cancelled(reason="because")):
        error.add_note("a note")
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), again.reason, again.__notes__) == (
            str(error),
            error.reason,
            ["a note"],
        )


def test_silence_is_told_once_by_the_watchdogs_thread():
    told, threads = {3: threading.Event(), 4: threading.Event()}, []
    warnings = []

    def callback(state):
        if state.get("warning") == "stalled" and "step" in state:  # not before the first event
            warnings.append(state)
            threads.append(threading.current_thread())
            told[state["step"]].set()

    with reporting(callback, stall_after=0.01) as cb:
        cb({"phase": "fit", "step": 3, "own": 1})
        assert told[3].wait(60)
        cb({"step": 4})
        assert told[4].wait(60)
    assert [event["step"] for event in warnings] == [3, 4]
    assert warnings[0]["own"] == 1
    assert "no event for" in warnings[0]["message"]
    jsonschema.validate(warnings[0], schema("state-event"))
    assert {thread.name for thread in threads} == {"aimm_plugins-watchdog"}
    assert not any(thread.is_alive() for thread in threads)


class Turns:
    """What a watchdog waits by: moves the clock, and ends after some turns."""

    def __init__(self, clock, turns):
        self.clock, self.turns = clock, turns

    def wait(self, seconds):
        self.clock.now += seconds
        self.turns -= 1
        return self.turns < 0


def test_one_silence_is_told_once(clock):
    events = []
    reporter = aimm_plugins._dispatch.reporting._Reporter(events.append, False, None, None)
    watchdog = aimm_plugins._dispatch.reporting._Watchdog(reporter, 10)
    for _ in range(2):
        watchdog._stopped = Turns(clock, 5)
        watchdog._watch()
        assert [event["warning"] for event in events] == ["stalled"]
        events.clear()
        clock.now += 3
        reporter.watched({})
        events.clear()


def test_silence_from_the_beginning_is_told():
    told = threading.Event()
    with reporting(lambda state: told.set(), stall_after=0.01):
        assert told.wait(10)


def test_what_the_callback_raises_in_the_watchdog_is_raised_by_the_next_event():
    told = threading.Event()
    error = KeyError("enough")

    def callback(state):
        told.set()
        raise error

    with pytest.raises(KeyError) as caught:
        with reporting(callback, stall_after=0.01) as cb:
            assert told.wait(10)
            while True:
                cb({})
    assert caught.value is error


def test_what_the_callback_raises_in_the_watchdog_is_raised_at_the_end_else():
    told = threading.Event()

    def callback(state):
        told.set()
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        with reporting(callback, stall_after=0.01):
            assert told.wait(10)


def test_what_the_callback_raises_in_the_watchdog_never_hides_the_plugins_error(caplog):
    told = threading.Event()

    def callback(state):
        told.set()
        raise KeyError("enough")

    with pytest.raises(ValueError, match="plugin"):
        with reporting(callback, stall_after=0.01):
            assert told.wait(10)
            raise ValueError("plugin")
    assert len(caplog.records) == 1


def test_callback_without_a_text_is_logged_too(caplog):
    class Odd:
        def __repr__(self):
            raise RuntimeError("no text")

        def __call__(self, state):
            raise ValueError("callback")

    with reporting(Odd(), on_error="log") as state_cb:
        state_cb({"step": 1})
    assert caplog.messages == ["state callback <unprintable Odd> failed"]


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"on_error": "ignore"}, ValueError),
        ({"max_per_second": 0}, ValueError),
        ({"stall_after": -1}, ValueError),
        ({"max_per_second": math.inf}, ValueError),
        ({"max_per_second": "5"}, TypeError),
        ({"cancel": True}, TypeError),
    ],
)
def test_wrong_option_is_refused_by_its_name(options, kind):
    with pytest.raises(kind, match=next(iter(options))):
        with reporting(print, **options):
            pass


def test_wrong_callback_is_refused():
    with pytest.raises(TypeError, match="state_cb"):
        with reporting(5):
            pass


def test_several_threads_may_report(clock):
    events = []
    with reporting(events.append, max_per_second=1) as cb:
        assert together(*(partial(cb, number) for number in range(8))) == []
        assert len(events) == 1
    assert len(events) == 2


# Bridges

EVENTS = [
    {"phase": "fit", "step": 1, "total": 4, "unit": "epoch", "metrics": {"loss": 0.25}},
    {"note": "[red]"},
    "anything",
    {"phase": "fit", "step": 3, "total": 4},
]


def test_summary_understands_anything():
    texts = [str(reporters.summary(event)) for event in EVENTS]
    assert texts == ["fit 1/4 epoch loss=0.25", "note=[red]", "anything", "fit 3/4"]
    assert str(reporters.summary({"step": True, "total": None})) == ""
    assert str(reporters.summary({"step": 2, "warning": "stalled"})) == "2 stalled"


class OddNumber(fractions.Fraction):
    def __float__(self):
        raise ValueError("no float")


def test_summary_raises_nothing_of_odd_numbers_and_of_a_dict_that_is_being_filled():
    class Fills:
        def __str__(self):
            event["metrics"]["later"] = event["later"] = 1
            return "now"

    event = {"step": OddNumber(1, 2), "total": 10**400, "metrics": {"a": Fills()}, "note": Fills()}
    assert str(reporters.summary(event)).startswith("a=now note=now")


def test_log_lines_carry_the_event_and_warnings_stand_out(caplog):
    report = reporters.logging_reporter(logging.getLogger("training"), logging.INFO)
    with caplog.at_level(logging.INFO, "training"):
        report(EVENTS[0])
        report({"warning": "stalled"})
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
    assert caplog.records[0].state_event is EVENTS[0]
    caplog.clear()
    with caplog.at_level(logging.ERROR, "training"):
        report(EVENTS[0])
    assert caplog.records == []


def test_rich_bar_shows_events():
    rich_progress = pytest.importorskip("rich.progress")
    bars = rich_progress.Progress(disable=True)
    report = reporters.rich_reporter(bars, "model [a]")
    (task,) = bars.tasks
    assert task.total is None
    for event in EVENTS[:2]:
        report(event)
    assert (task.completed, task.total) == (1, 4)
    assert task.description == r"model \[a] note=\[red]"
    report(EVENTS[3])
    assert task.completed == 3


def test_tqdm_bar_shows_events_and_starts_anew():
    tqdm = pytest.importorskip("tqdm")
    stream = io.StringIO()
    with tqdm.tqdm(total=None, file=stream, mininterval=0) as bar:
        report = reporters.tqdm_reporter(bar)
        for event in EVENTS:
            report(event)
        assert (bar.n, bar.total, bar.unit) == (3, 4, "epoch")
        report({"phase": "score", "step": 1, "total": 2})
        assert (bar.n, bar.total) == (1, 2)
    assert "fit" in stream.getvalue()
    assert "loss=0.25" in stream.getvalue()


def test_numpys_own_float_becomes_pythons():
    class Float64(float):
        def item(self):
            return float(self)

    event = aimm_plugins.state_event(step=Float64(1), metrics={"loss": Float64(0.5)})
    assert type(event["step"]) is float
    assert type(event["metrics"]["loss"]) is float


class Bound:
    """A logger as structlog and loguru have it: bound values, and text that is no format."""

    def __init__(self, lines, values=None):
        self.lines, self.values = lines, values or {}

    def bind(self, **values):
        return Bound(self.lines, values)

    def log(self, level, text):
        self.lines.append((level, text, self.values))


def test_logger_that_binds_values_is_given_the_event_so():
    lines = []
    event = {"step": 1, "total": 4, "message": "{odd} %s"}
    reporters.logging_reporter(Bound(lines))(event)
    ((level, text, values),) = lines
    assert (level, values) == (logging.INFO, {"state_event": event})
    assert "{odd} %s" in text
