"""Writes down every call that this package makes: which one, in what process, and who answers."""

import json
import os

import aimm_plugins
from aimm_plugins import hookimpl


def note(action, key):
    provider = aimm_plugins.providers(action, key).get((action, key))
    line = {
        "call": f"{action}:{key}",
        "pid": os.getpid(),
        "provider": provider and f"{provider.module}.{provider.qualname}",
    }
    with open(os.environ["WITNESS"], "a") as stream:
        stream.write(json.dumps(line) + "\n")


@hookimpl(wrapper=True)
def aimm_data_access(name):
    note("data_access", name)
    return (yield)


@hookimpl(wrapper=True)
def aimm_instantiate(model_type):
    note("instantiate", model_type)
    return (yield)


@hookimpl(wrapper=True)
def aimm_fit(model_type):
    note("fit", model_type)
    return (yield)


@hookimpl(wrapper=True)
def aimm_predict(model_type):
    note("predict", model_type)
    return (yield)


@hookimpl(wrapper=True)
def aimm_serialize(model_type):
    note("serialize", model_type)
    return (yield)


@hookimpl(wrapper=True)
def aimm_deserialize(model_type):
    note("deserialize", model_type)
    return (yield)
