"""Tests of the sample through the public API, as a plugin's author would write them."""

import json

import numpy as np
import pytest
from aimm_sample_sklearn.callbacks import watched
from aimm_sample_sklearn.conformance import CONFORMANCE
from sklearn.datasets import load_wine
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from skops import io as skops_io

import aimm_plugins
from aimm_plugins.testing import parametrize_conformance

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


def test_conf_sets_the_defaults_of_new_models():
    options = {"aimm_sample_sklearn": {"alpha": 0.5}}
    aimm_plugins.initialize(
        {"names": ["aimm_sample_sklearn"], "entry_points": {"enabled": False}, "options": options}
    )
    made = aimm_plugins.exec_instantiate(KEY), aimm_plugins.exec_instantiate(KEY, alpha=0.1)
    assert [(each.seed, each.alpha) for each in made] == [(0, 0.5), (0, 0.1)]


def test_progress_counts_epochs(data):
    events = []
    instance = aimm_plugins.exec_instantiate(KEY)
    aimm_plugins.exec_fit(KEY, instance, events.append, *data, epochs=3)
    assert [(event["step"], event["total"]) for event in events] == [(1, 3), (2, 3), (3, 3)]


def test_raising_callback_ends_the_fit_and_leaves_the_model_as_it_was(data):
    class StopError(Exception):
        pass

    def stop(state):
        raise StopError

    instance = fitted(data)
    before = instance.pipeline
    with pytest.raises(StopError):
        aimm_plugins.exec_fit(KEY, instance, stop, *data)
    assert instance.pipeline is before


def test_garbage_is_no_model():
    with pytest.raises(ValueError, match=r"not a saved wine\.classifier"):
        aimm_plugins.exec_deserialize(KEY, b"garbage")


def test_unfitted_model_says_so(data):
    with pytest.raises(ValueError, match="not fitted"):
        aimm_plugins.exec_predict(KEY, aimm_plugins.exec_instantiate(KEY), None, data[0])


def own_function(x, y):
    return x.sum(axis=0)


def test_type_that_is_not_trusted_in_code_is_refused():
    state = {"format": 1, "seed": 0, "alpha": 0.1, "pipeline": SelectKBest(own_function)}
    with pytest.raises(ValueError, match="own_function"):
        aimm_plugins.exec_deserialize(KEY, skops_io.dumps({**state, "features": None}))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"format": 2}, "format 2"), ({"pipeline": "x"}, "str in place"), ({"alpha": -1.0}, "alpha")],
)
def test_wrong_content_is_no_model(change, message):
    state = {"format": 1, "seed": 0, "alpha": 0.1, "pipeline": None, "features": None}
    with pytest.raises(ValueError, match=message):
        aimm_plugins.exec_deserialize(KEY, skops_io.dumps({**state, **change}))


def test_unfitted_model_survives_the_round_trip():
    instance = aimm_plugins.exec_instantiate(KEY, None, seed=3, alpha=0.5)
    again = aimm_plugins.exec_deserialize(KEY, aimm_plugins.exec_serialize(KEY, instance))
    assert (again.seed, again.alpha, again.pipeline) == (3, 0.5, None)


def test_columns_of_a_frame_are_found_by_name():
    x, y = load_wine(return_X_y=True, as_frame=True)
    instance = fitted((x, y))
    expected = aimm_plugins.exec_predict(KEY, instance, None, x)[1]
    for frame in (x[x.columns[::-1]], x.assign(more=1)):
        labels = aimm_plugins.exec_predict(KEY, instance, None, frame)[1]
        np.testing.assert_array_equal(labels, expected)
    with pytest.raises(ValueError, match="lacks the columns hue"):
        aimm_plugins.exec_predict(KEY, instance, None, x.drop(columns="hue"))


def test_progress_can_be_sent_as_json_and_gets_better(data):
    events = []
    instance = aimm_plugins.exec_instantiate(KEY)
    aimm_plugins.exec_fit(KEY, instance, events.append, *data)
    assert json.loads(json.dumps(events)) == events
    assert events[-1]["metrics"]["accuracy"] >= events[0]["metrics"]["accuracy"]


def test_fit_of_one_class_is_refused(data):
    with pytest.raises(ValueError, match="at least two classes"):
        fitted((data[0], np.zeros(len(data[1]))))


def test_missing_values_are_refused(data):
    with pytest.raises(ValueError, match="NaN"):
        fitted((np.full_like(data[0], np.nan), data[1]))


@pytest.mark.parametrize("arguments", [{"seed": -1}, {"alpha": 0}, {"alpha": float("nan")}])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        aimm_plugins.exec_instantiate(KEY, None, **arguments)


LOGISTIC = "wine.logistic"


def test_logistic_model_recognizes_wines_and_survives_the_round_trip(data):
    events = []
    instance = aimm_plugins.exec_instantiate(LOGISTIC)
    instance = aimm_plugins.exec_fit(LOGISTIC, instance, events.append, *data)
    again = aimm_plugins.exec_deserialize(LOGISTIC, aimm_plugins.exec_serialize(LOGISTIC, instance))
    _, labels = aimm_plugins.exec_predict(LOGISTIC, again, None, data[0])
    assert (labels == data[1]).mean() > 0.95
    assert type(again) is type(instance)


@pytest.mark.skipif(
    not hasattr(LogisticRegression, "set_callbacks"), reason="callbacks came with scikit-learn 1.9"
)
def test_callbacks_of_sklearn_become_state_events(data):
    events = []
    instance = aimm_plugins.exec_instantiate(LOGISTIC)
    aimm_plugins.exec_fit(LOGISTIC, instance, events.append, *data)
    assert json.loads(json.dumps(events)) == events
    assert events[0]["phase"] == "StandardScaler"
    steps = [event["step"] for event in events if event.get("unit") == "lbfgs-iter"]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) > 3


def test_callback_that_raises_ends_the_solver(data):
    class StopError(Exception):
        pass

    def stop(state):
        raise StopError

    if not hasattr(LogisticRegression, "set_callbacks"):
        pytest.skip("callbacks came with scikit-learn 1.9")
    instance = aimm_plugins.exec_instantiate(LOGISTIC)
    with pytest.raises(StopError):
        aimm_plugins.exec_fit(LOGISTIC, instance, stop, *data)
    assert instance.pipeline is None


def test_estimator_without_callbacks_is_fitted_without_events(data):
    with watched(object(), print):
        pass


def test_fit_without_iterations_is_refused(data):
    instance = aimm_plugins.exec_instantiate(LOGISTIC)
    with pytest.raises(ValueError, match="epochs"):
        aimm_plugins.exec_fit(LOGISTIC, instance, None, *data, epochs=0)


# Fits in several threads at once: before Python 3.14 all of them share one list of warning filters,
# and scikit-learn warns where another thread has just emptied it.
@pytest.mark.filterwarnings("ignore:.sklearn.utils.parallel.delayed:UserWarning")
@parametrize_conformance(CONFORMANCE)
def test_conformance(check):
    check()
