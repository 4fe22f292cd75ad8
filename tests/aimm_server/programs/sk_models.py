"""A plugin as its author wrote it for `aimm.plugins`."""

import pickle

from aimm import plugins
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression


@plugins.data_access("iris", state_cb_arg_name="state_cb")
def iris(part, state_cb):
    state_cb({"reading": part})
    return getattr(load_iris(), part)


@plugins.instantiate("sk.logistic")
def make(**options):
    return LogisticRegression(**options)


@plugins.fit(["sk.logistic"], state_cb_arg_name="state_cb", instance_arg_name="model")
def learn(x, y, *, model, state_cb):
    state_cb({"rows": len(x)})
    model.fit(x, y)
    state_cb({"iterations": int(model.n_iter_[0])})
    return model


@plugins.predict(["sk.logistic"])
def guess(model, x):
    return model.predict(x)


@plugins.serialize(["sk.logistic"])
def dump(model):
    return pickle.dumps(model)


@plugins.deserialize(["sk.logistic"])
def load(data):
    return pickle.loads(data)
