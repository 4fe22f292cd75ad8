"""Tests of the sample through the public API, as a plugin's author would write them."""

from __future__ import annotations

import json
import math
import multiprocessing

import aimm_plugins
import lightgbm
import numpy as np
import pandas as pd
import pytest
from aimm_plugins.testing import parametrize_conformance

from aimm_sample_boosting.conformance import MODEL

KEY = "wine.boosting"
CONF = {"names": [], "entry_points": {"allow": ["aimm-sample-boosting"]}}
X = np.random.default_rng(0).normal(size=(90, 4))
Y = [["low", "middle", "high"][int(row[0] > -0.5) + int(row[0] > 0.5)] for row in X]


class StopError(Exception):
    pass


@pytest.fixture(autouse=True)
def plugins():
    """The installed plugin, registered."""
    aimm_plugins.initialize(CONF)
    yield
    aimm_plugins.unload_all()


def fitted(x=X, y=Y, state_cb=None, **kwargs):
    instance = aimm_plugins.exec_instantiate(KEY, None, seed=7)
    return aimm_plugins.exec_fit(KEY, instance, state_cb, x, y, **{"rounds": 10, **kwargs})


def predicted(instance, x=X, **kwargs):
    return aimm_plugins.exec_predict(KEY, instance, None, x, **kwargs)[1].tolist()


def saved(instance):
    return aimm_plugins.exec_serialize(KEY, instance)


def loaded(content):
    return aimm_plugins.exec_deserialize(KEY, content)


def test_fitted_model_separates_the_classes():
    labels = predicted(fitted())
    assert sum(a == b for a, b in zip(labels, Y, strict=True)) > 80


def test_events_count_rounds_and_their_loss_falls(state_events):
    fitted(state_cb=state_events)
    state_events.check()
    assert state_events.steps == list(range(1, 11))
    assert {key: state_events[-1][key] for key in ("phase", "total", "unit")} == {
        "phase": "fit",
        "total": 10,
        "unit": "round",
    }
    losses = [event["metrics"]["training_multi_logloss"] for event in state_events]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] < math.log(3)  # of a guess


def test_validation_is_told_beside_the_training(state_events):
    fitted(state_cb=state_events, validation=(X[:30], Y[:30]))
    assert set(state_events[0]["metrics"]) == {
        "training_multi_logloss",
        "validation_multi_logloss",
    }


def test_early_stopping_keeps_the_best_round_and_says_so(state_events):
    rng = np.random.default_rng(1)
    noise = (rng.normal(size=(40, 4)), rng.choice(["low", "middle", "high"], size=40))
    instance = fitted(state_cb=state_events, rounds=50, validation=noise, patience=3)
    state_events.check()
    told = [event["metrics"]["validation_multi_logloss"] for event in state_events[:-1]]
    best = told.index(min(told)) + 1
    assert len(told) == best + 3
    assert instance.booster.current_iteration() == best
    assert state_events[-1]["message"] == f"no better for 3 rounds; the best was {best}"


def test_early_stopping_that_does_not_happen_ends_at_the_last_round(state_events):
    fitted(state_cb=state_events, validation=(X, Y), patience=5)
    state_events.check()
    assert state_events.steps == list(range(1, 11))


@pytest.mark.parametrize(
    "error",
    [
        StopError("enough"),
        aimm_plugins.Cancelled(reason="the user left"),
        KeyboardInterrupt(),
        # LightGBM takes these two for its own early stopping, and would return a model.
        lightgbm.EarlyStopException(0, [("training", "multi_logloss", 0.5, False)]),
        type("OwnStop", (lightgbm.EarlyStopException,), {"__init__": lambda self: None})(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_the_callback_raises_reaches_the_caller_and_changes_nothing(error):
    told = []

    def stop(state):
        told.append(state["step"])
        if state["step"] == 3:
            raise error

    instance = fitted()
    before = saved(instance)
    with pytest.raises(type(error)) as caught:
        aimm_plugins.exec_fit(KEY, instance, stop, X, Y[::-1], rounds=10)
    assert caught.value is error
    assert (error.__cause__, error.__context__) == (None, None)
    assert told == [1, 2, 3]
    assert saved(instance) == before
    aimm_plugins.exec_fit(KEY, instance, None, X, Y, rounds=10)
    assert saved(instance) == before


def test_cancel_token_ends_the_fit_at_the_next_round(state_events):
    token = aimm_plugins.CancelToken()

    def cancel(state):
        state_events(state)
        if state["step"] == 2:
            token.cancel("enough")

    instance = aimm_plugins.exec_instantiate(KEY)
    with (
        pytest.raises(aimm_plugins.Cancelled, match="enough"),
        aimm_plugins.reporting(cancel, cancel=token) as state_cb,
    ):
        aimm_plugins.exec_fit(KEY, instance, state_cb, X, Y, rounds=10)
    assert state_events.steps == [1, 2]
    assert predicted(aimm_plugins.exec_fit(KEY, instance, None, X, Y, rounds=10))


def test_nothing_is_printed(capfd):
    fitted(x=np.zeros_like(X), rounds=3)  # no split is left, which LightGBM warns of
    assert capfd.readouterr() == ("", "")


def test_number_of_threads_changes_nothing():
    one, two = (saved(fitted(threads=threads)) for threads in (1, 2))
    # What follows the trees are the parameters, the number of threads among them.
    trees = [json.loads(each)["model"].split("\nparameters:")[0] for each in (one, two)]
    assert trees[0] == trees[1]
    assert predicted(loaded(one), threads=2) == predicted(loaded(two))


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork"
)
def test_forked_process_fits_predicts_and_loads(fresh_process):
    """In a new process: this one has used several threads, and what it forks would hang."""
    code = """
import multiprocessing
import warnings

import aimm_plugins

KEY = "wine.boosting"
aimm_plugins.initialize({"names": ["aimm_sample_boosting"]})


def work():
    model = aimm_plugins.exec_deserialize(KEY, content)
    aimm_plugins.exec_predict(KEY, model, None, x)
    aimm_plugins.exec_fit(KEY, model, None, x, y, rounds=2)


loaded = aimm_plugins.exec_deserialize(KEY, content)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that of Python 3.12, about numpy's threads
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
child.join(20)
result = child.exitcode
child.kill()
"""
    assert fresh_process(code, x=X, y=Y, content=saved(fitted())) == 0


@pytest.mark.parametrize("x", [X, pd.DataFrame(X, columns=list("abcd"))], ids=["array", "frame"])
@pytest.mark.parametrize("y", [Y, [len(label) for label in Y]], ids=["str", "int"])
def test_round_trip_predicts_the_same(x, y):
    instance = fitted(x, y)
    again = loaded(saved(instance))
    assert predicted(again, x) == predicted(instance, x)
    assert saved(again) == saved(instance)


def test_model_of_early_stopping_survives_the_round_trip():
    instance = fitted(validation=(X, Y[::-1]), patience=1)
    assert predicted(loaded(saved(instance))) == predicted(instance)


def test_unfitted_model_survives_the_round_trip():
    again = loaded(saved(aimm_plugins.exec_instantiate(KEY, None, seed=3, leaves=4)))
    assert (again.seed, again.leaves, again.booster) == (3, 4, None)


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"[]", b"{}", b'{"format": 2}', b"\xff", b"[" * 100_000]
)
def test_garbage_is_no_model(content):
    with pytest.raises(ValueError, match=r"not a saved wine\.boosting"):
        loaded(content)


@pytest.fixture(scope="module")
def state():
    aimm_plugins.initialize(CONF)
    return json.loads(saved(fitted()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2"),
        ({"arguments": {"seed": -1}}, "seed is 0 to"),
        ({"arguments": {"depth": 1}}, "depth"),
        ({"arguments": {"learning_rate": "0.1"}}, "learning_rate is a number"),
        ({"classes": ["low", "high"]}, "3 trees a round, and 2 classes"),
        ({"classes": ["low", "high", "low"]}, "no classes"),
        ({"classes": [0, "high", "low"]}, "all int or all str"),
        ({"classes": "abc"}, "no classes"),
        ({"features": ["a"]}, "1 names of 4 features"),
        ({"features": [1, 2, 3, 4]}, "no names"),
        ({"model": "tree"}, "damaged"),
        ({"model": 1}, "not a saved"),
        ({"sha256": None}, "damaged"),
    ],
)
def test_wrong_content_is_no_model(state, change, message):
    assert loaded(json.dumps(state).encode())
    with pytest.raises(ValueError, match=r"not a saved wine\.boosting") as caught:
        loaded(json.dumps({**state, **change}).encode())
    assert message in str(caught.value)


def test_damaged_tree_is_found_before_lightgbm_reads_it(state):
    text = state["model"].replace("left_child=", "left_child=9", 1)
    with pytest.raises(ValueError, match="SHA-256"):
        loaded(json.dumps({**state, "model": text}).encode())


def test_columns_of_a_frame_are_found_by_name():
    frame = pd.DataFrame(X, columns=list("abcd"))
    instance = fitted(frame)
    expected = predicted(instance)
    for other in (frame[list("dcba")], frame.assign(more=1)):
        assert predicted(instance, other) == expected
    with pytest.raises(ValueError, match="lacks the columns c"):
        predicted(instance, frame.drop(columns="c"))


def test_missing_values_are_learned_from():
    x = X.copy()
    x[::7, 0] = np.nan
    assert len(predicted(fitted(x), x)) == len(x)


def test_no_samples_have_no_labels():
    assert predicted(fitted(), X[:0]) == []


def test_unfitted_model_says_so():
    with pytest.raises(ValueError, match="not fitted"):
        predicted(aimm_plugins.exec_instantiate(KEY))


@pytest.mark.parametrize(
    ("x", "y", "kwargs", "error", "message"),
    [
        (X, Y[:3], {}, ValueError, "90 samples, and 3 labels"),
        (X, ["one"] * 90, {}, ValueError, "at least two classes"),
        (X, [0.5] * 90, {}, TypeError, "float"),
        (X, [True, False] * 45, {}, TypeError, "bool"),
        (X, [0, "0"] * 45, {}, TypeError, "int, str"),
        (X[0], Y, {}, ValueError, "shape"),
        (np.full_like(X, np.inf), Y, {}, ValueError, "infinite"),
        (X, Y, {"rounds": 0}, ValueError, "rounds"),
        (X, Y, {"rounds": 1.5}, TypeError, "rounds"),
        (X, Y, {"threads": 0}, ValueError, "threads"),
        (X, Y, {"patience": 3}, ValueError, "validation"),
        (X, Y, {"patience": 0, "validation": (X, Y)}, ValueError, "patience"),
        (X, Y, {"validation": (X, ["other"] * 90)}, ValueError, "'other'"),
        (X, Y, {"validation": (X[:, :2], Y)}, ValueError, "2 columns"),
    ],
)
def test_fit_refuses_what_it_cannot_learn_and_changes_nothing(x, y, kwargs, error, message):
    instance = fitted()
    before = saved(instance)
    with pytest.raises(error, match=message):
        aimm_plugins.exec_fit(KEY, instance, None, x, y, **kwargs)
    assert saved(instance) == before


@pytest.mark.parametrize(
    "argument",
    [
        {"seed": -1},
        {"learning_rate": 0},
        {"learning_rate": math.nan},
        {"leaves": 1},
        {"leaf_samples": 0},
    ],
)
def test_arguments_out_of_range_are_refused(argument):
    with pytest.raises(ValueError, match=next(iter(argument))):
        aimm_plugins.exec_instantiate(KEY, None, **argument)


@parametrize_conformance(MODEL)
def test_conformance(check):
    check()
