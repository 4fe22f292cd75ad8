"""Tests of the sample through the public API, as a plugin's author would write them."""

import numpy as np
import pytest
from sklearn.datasets import load_wine

import aimm_plugins

KEY = "wine.classifier"


@pytest.fixture(autouse=True)
def plugins():
    aimm_plugins.initialize({"names": ["aimm_sample_sklearn"], "entry_points": {"enabled": False}})
    yield
    aimm_plugins.unload_all()


@pytest.fixture
def data():
    return load_wine(return_X_y=True)


def fitted(data, **kwargs):
    instance = aimm_plugins.exec_instantiate(KEY, None, seed=7)
    return aimm_plugins.exec_fit(KEY, instance, None, *data, **kwargs)


def test_fitted_model_recognizes_most_wines(data):
    _, labels = aimm_plugins.exec_predict(KEY, fitted(data), None, data[0])
    assert (labels == data[1]).mean() > 0.95


def test_round_trip_predicts_the_same(data):
    instance = fitted(data)
    again = aimm_plugins.exec_deserialize(KEY, aimm_plugins.exec_serialize(KEY, instance))
    expected = aimm_plugins.exec_predict(KEY, instance, None, data[0])[1]
    np.testing.assert_array_equal(aimm_plugins.exec_predict(KEY, again, None, data[0])[1], expected)


def test_same_seed_gives_the_same_model(data):
    one, two = (aimm_plugins.exec_predict(KEY, fitted(data), None, data[0])[1] for _ in "12")
    np.testing.assert_array_equal(one, two)


def test_progress_counts_epochs(data):
    events = []
    instance = aimm_plugins.exec_instantiate(KEY)
    aimm_plugins.exec_fit(KEY, instance, events.append, *data, epochs=3)
    assert [(event["step"], event["total"]) for event in events] == [(1, 3), (2, 3), (3, 3)]


def test_raising_callback_ends_the_fit_and_leaves_the_model_as_it_was(data):
    class Stop(Exception):
        pass

    def stop(state):
        raise Stop

    instance = fitted(data)
    before = instance.pipeline
    with pytest.raises(Stop):
        aimm_plugins.exec_fit(KEY, instance, stop, *data)
    assert instance.pipeline is before


def test_garbage_is_no_model():
    with pytest.raises(ValueError, match=r"not a saved wine\.classifier"):
        aimm_plugins.exec_deserialize(KEY, b"garbage")


def test_unfitted_model_says_so(data):
    with pytest.raises(ValueError, match="not fitted"):
        aimm_plugins.exec_predict(KEY, aimm_plugins.exec_instantiate(KEY), None, data[0])
