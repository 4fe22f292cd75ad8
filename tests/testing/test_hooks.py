"""Hook implementations: what `check` says of those that fit no hook."""

from __future__ import annotations

import pytest

from aimm_plugins.testing import check_plugin

HEAD = """import pluggy
import aimm_plugins
from aimm_plugins import hookimpl
@data_access('d')
def d(): return 1
"""
METHOD = "class Hooks:\n    @hookimpl\n    def {}(self{}): ...\n"

FAULTS = {
    "misspelt": ("@hookimpl\ndef aimm_fti(instance): ...", ":{}: hookimpl 'aimm_fti' matches", 8),
    "wrong argument": (
        "@pluggy.HookimplMarker('aimm_plugins')\ndef aimm_fit(modell): ...",
        ":{}: hookimpl 'aimm_fit' takes modell, which aimm_fit does not pass; it passes model_type",
        8,
    ),
    "no such hook": ("@hookimpl\ndef shutdown(): ...", ":{}: hookimpl 'shutdown' matches no", 8),
    "wrapper without yield": (
        "@hookimpl(wrapper=True)\ndef aimm_fit(instance): return 1",
        ":{}: hookimpl 'aimm_fit' is marked as a wrapper and does not yield",
        8,
    ),
    "wrong argument of a registered object": (
        METHOD.format("aimm_fit", ", modell")
        + "aimm_plugins.get_plugin_manager().register(Hooks())",
        ":{}: hookimpl 'aimm_fit' takes modell, which",
        9,
    ),
    "misspelt method of a registered object": (
        METHOD.format("aimm_fti", "") + "aimm_plugins.get_plugin_manager().register(Hooks())",
        ":{}: hookimpl 'aimm_fti' matches no hook; did you mean aimm_fit?",
        9,
    ),
    "other marker": (
        "@pluggy.HookimplMarker('aimm')\ndef aimm_fit(instance): ...",
        ":{}: aimm_fit is marked for 'aimm', which nobody calls; mark it by aimm_plugins.hookimpl",
        8,
    ),
    "no marker": ("def aimm_fit(instance): ...", ":{}: aimm_fit has the name of a hook and no", 8),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_hookimpl_that_cannot_work_is_told_with_its_place(write, kind):
    source, told, line = FAULTS[kind]
    name = f"hooked_{list(FAULTS).index(kind)}"
    write(**{name: HEAD + source})
    place = f"{name}.py" + told.format(line)
    verdict = check_plugin(name, only=["hookimpls-are-in-order"], on_fail="report")
    (result,) = verdict.failures
    assert place in result.reason


def test_all_hookimpls_at_fault_are_told_at_once(write):
    write(twice=HEAD + "@hookimpl\ndef aimm_fti(): ...\n@hookimpl\ndef aimm_predcit(): ...\n")
    verdict = check_plugin("twice", only=["hookimpls-are-in-order"], on_fail="report")
    assert verdict.results[0].reason.count("matches no hook") == 2


SOUND = """
@hookimpl(wrapper=True)
def aimm_fit(model_type, instance, _seen={}):
    return (yield)

@hookimpl(optionalhook=True)
def host_is_up(): ...

class Hooks:
    @hookimpl
    def aimm_predict(self, model_type, args): ...
    @hookimpl
    @staticmethod
    def aimm_serialize(instance): ...

@fit(['k'])
def aimm_instantiate(model): return model

@pluggy.HookimplMarker('pytest')
def pytest_configure(config): ...

class Proxy:
    def __getattribute__(self, name): raise RuntimeError("outside of a request")

request = Proxy()

aimm_plugins.get_plugin_manager().register(Hooks())
"""


def test_hookimpls_that_are_in_order_pass(write):
    write(sound=HEAD + SOUND)
    (result,) = check_plugin("sound", only=["hookimpls-are-in-order"]).results
    assert (result.status, result.notes) == ("passed", ())
