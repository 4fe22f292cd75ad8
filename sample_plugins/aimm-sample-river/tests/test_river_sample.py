"""Tests of the sample through the public API, as a plugin's author would write them."""

import pytest

import aimm_plugins

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


def test_labels_of_another_length_teach_nothing():
    instance = fitted()
    before = aimm_plugins.exec_serialize(KEY, instance)
    with pytest.raises(ValueError, match="learn_from"):
        aimm_plugins.exec_predict(KEY, instance, None, X, learn_from=Y[:3])
    assert aimm_plugins.exec_serialize(KEY, instance) == before
