"""Tests of the sample through the public API, as a plugin's author would write them."""

import json

import pandas as pd
import pytest
from aimm_sample_river.conformance import CONFORMANCE

import aimm_plugins
from aimm_plugins.testing import parametrize_conformance

KEY = "wine.online"
X = [{"a": float(i % 7), "b": float((i * 3) % 5)} for i in range(60)]
Y = [int(row["a"] > 3) for row in X]


@pytest.fixture(autouse=True)
def plugins():
    aimm_plugins.initialize({"names": ["aimm_sample_river"], "entry_points": {"enabled": False}})
    yield
    aimm_plugins.unload_all()


def fitted():
    instance = aimm_plugins.exec_instantiate(KEY, None, rate=0.3)
    return aimm_plugins.exec_fit(KEY, instance, None, X, Y, epochs=10)


def test_fitted_model_separates_the_classes():
    _, labels = aimm_plugins.exec_predict(KEY, fitted(), None, X)
    assert sum(a == b for a, b in zip(labels, Y, strict=True)) > 55


def test_returned_instance_is_the_one_that_learned_while_predicting():
    instance = aimm_plugins.exec_instantiate(KEY)
    before = aimm_plugins.exec_serialize(KEY, instance)
    returned, _ = aimm_plugins.exec_predict(KEY, instance, None, X, learn_from=Y)
    assert returned is instance
    assert aimm_plugins.exec_serialize(KEY, returned) != before


def test_predicting_without_labels_changes_nothing():
    instance = fitted()
    before = aimm_plugins.exec_serialize(KEY, instance)
    aimm_plugins.exec_predict(KEY, instance, None, X)
    assert aimm_plugins.exec_serialize(KEY, instance) == before


def test_round_trip_predicts_and_learns_on_the_same():
    one = fitted()
    two = aimm_plugins.exec_deserialize(KEY, aimm_plugins.exec_serialize(KEY, one))
    for instance in (one, two):
        aimm_plugins.exec_predict(KEY, instance, None, X[:20], learn_from=Y[:20])
    assert aimm_plugins.exec_serialize(KEY, one) == aimm_plugins.exec_serialize(KEY, two)


@pytest.mark.parametrize("content", [b"", b"garbage", b"[]", b"{}", b'{"format": 2}', b"\xff"])
def test_garbage_is_no_model(content):
    with pytest.raises(ValueError, match=r"not a saved wine\.online"):
        aimm_plugins.exec_deserialize(KEY, content)


def test_progress_comes_once_an_epoch():
    events = []
    aimm_plugins.exec_fit(KEY, aimm_plugins.exec_instantiate(KEY), events.append, X, Y, epochs=2)
    assert [event["step"] for event in events] == [1, 2]
    assert json.loads(json.dumps(events)) == events


def test_labels_of_another_length_teach_nothing():
    instance = fitted()
    before = aimm_plugins.exec_serialize(KEY, instance)
    with pytest.raises(ValueError, match="learn_from"):
        aimm_plugins.exec_predict(KEY, instance, None, X, learn_from=Y[:3])
    assert aimm_plugins.exec_serialize(KEY, instance) == before


def test_raising_callback_ends_the_fit_and_keeps_what_was_learned():
    class StopError(Exception):
        pass

    def stop(state):
        raise StopError

    instance = aimm_plugins.exec_instantiate(KEY, None, rate=0.3)
    with pytest.raises(StopError):
        aimm_plugins.exec_fit(KEY, instance, stop, X, Y, epochs=10)
    once = aimm_plugins.exec_instantiate(KEY, None, rate=0.3)
    aimm_plugins.exec_fit(KEY, once, None, X, Y, epochs=1)
    assert aimm_plugins.exec_serialize(KEY, instance) == aimm_plugins.exec_serialize(KEY, once)


def test_predicting_with_labels_predicts_first_and_learns_then():
    instance = aimm_plugins.exec_instantiate(KEY)
    _, labels = aimm_plugins.exec_predict(KEY, instance, None, X[:2], learn_from=[1, None])
    assert labels == [None, 1]


def test_labels_keep_their_type():
    instance = aimm_plugins.exec_instantiate(KEY)
    aimm_plugins.exec_fit(KEY, instance, None, X[:4], [0, "0", 0, "0"])
    again = aimm_plugins.exec_deserialize(KEY, aimm_plugins.exec_serialize(KEY, instance))
    assert set(again.classifier.weights) == {0, "0"}


@pytest.mark.parametrize("label", [None, 0.5, True])
def test_label_that_is_neither_int_nor_str_teaches_nothing(label):
    instance = fitted()
    before = aimm_plugins.exec_serialize(KEY, instance)
    with pytest.raises(TypeError, match="int or str"):
        aimm_plugins.exec_fit(KEY, instance, None, X[:2], [1, label])
    assert aimm_plugins.exec_serialize(KEY, instance) == before


def test_feature_that_is_not_finite_teaches_nothing():
    instance = fitted()
    before = aimm_plugins.exec_serialize(KEY, instance)
    with pytest.raises(ValueError, match="not a finite number"):
        aimm_plugins.exec_fit(KEY, instance, None, [*X[:2], {"a": float("nan")}], [0, 1, 0])
    assert aimm_plugins.exec_serialize(KEY, instance) == before


def test_frames_arrays_and_dicts_are_the_same():
    frame = pd.DataFrame(X).rename(columns={"a": "0", "b": "1"})
    models = []
    for x in (frame, frame.to_numpy(), frame.to_dict("records")):
        instance = aimm_plugins.exec_instantiate(KEY)
        aimm_plugins.exec_fit(KEY, instance, None, x, pd.Series(Y))
        models.append(aimm_plugins.exec_serialize(KEY, instance))
    assert models[0] == models[1] == models[2]


def test_name_of_the_intercept_is_taken():
    with pytest.raises(ValueError, match="intercept"):
        aimm_plugins.exec_predict(KEY, fitted(), None, [{"(intercept)": 2.0}])


GOOD = {"format": 1, "rate": 0.1, "scaler": {"a": [3, 1.0, 2.0]}, "classes": [[0, {"a": 0.5}]]}


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"rate": -1},
        {"rate": "0.1"},
        {"rate": float("nan")},
        {"rate": 10**400},
        {"scaler": {"a": [3, 1.0]}},
        {"scaler": {"a": [-3, 1.0, 2.0]}},
        {"scaler": {"a": [3, 1.0, -2.0]}},
        {"scaler": [1]},
        {"classes": {"a": 1}},
        {"classes": [[0, {}], [0, {}]]},
        {"classes": [[None, {}]]},
        {"classes": [[0, {"b": 0.5}]]},
        {"classes": [[0, {"a": True}]]},
    ],
)
def test_wrong_content_is_no_model(change):
    assert aimm_plugins.exec_deserialize(KEY, json.dumps(GOOD).encode())
    with pytest.raises(ValueError, match=r"not a saved wine\.online"):
        aimm_plugins.exec_deserialize(KEY, json.dumps({**GOOD, **change}).encode())


def test_deeply_nested_content_is_no_model():
    with pytest.raises(ValueError, match=r"not a saved wine\.online"):
        aimm_plugins.exec_deserialize(KEY, b"[" * 100_000)


@parametrize_conformance(CONFORMANCE)
def test_conformance(check):
    check()
