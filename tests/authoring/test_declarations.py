"""Declarations of a project, read from its source."""

from __future__ import annotations

import pytest

from aimm_plugins._authoring.declarations import ProjectSource
from aimm_plugins._authoring.project import find_project
from aimm_plugins.errors import DeclarationError


def slots(folder):
    return {
        f"{found.action}:{found.key}": f"{found.module}:{found.qualname}"
        for found in ProjectSource(find_project(folder)).declarations()
    }


def test_each_action_is_read_with_its_own_argument(project):
    folder = project(
        mine="""
from aimm_plugins import data_access, deserialize, fit, instantiate, predict, serialize
@data_access(name="d", state_cb_arg_name="cb")
def data(cb): ...
@instantiate(model_type="m")
class Maker: ...
@fit(["m", "n"], "cb")
@predict(["m"])
def both(model, cb=None): ...
@serialize(["m"])
def save(model): ...
@deserialize(["m"])
def load(content): ...
"""
    )
    assert slots(folder) == {
        "data_access:d": "mine:data",
        "instantiate:m": "mine:Maker",
        "fit:m": "mine:both",
        "fit:n": "mine:both",
        "predict:m": "mine:both",
        "serialize:m": "mine:save",
        "deserialize:m": "mine:load",
    }


@pytest.mark.parametrize(
    ("decorator", "key"),
    [("@model", "mine.Svc"), ("@model()", "mine.Svc"), ("@model(model_type='k')", "k")],
)
def test_model_class_declares_five_actions(project, decorator, key):
    folder = project(mine=f"from aimm_plugins import model\n{decorator}\nclass Svc: ...")
    actions = ("instantiate", "fit", "predict", "serialize", "deserialize")
    assert slots(folder) == {f"{action}:{key}": "mine:Svc" for action in actions}


def test_names_are_followed_across_the_files_of_a_package(project):
    folder = project(
        pkg__init="from .svc import *",
        pkg__names="SVC = 'iris.svc'",
        pkg__tools="from aimm_plugins import fit as _fit\nlearns = _fit",
        pkg__svc="from . import names\nfrom pkg.tools import learns\n"
        "@learns([names.SVC])\ndef f(m): ...",
    )
    assert slots(folder) == {"fit:iris.svc": "pkg.svc:f"}


UNCERTAIN = {
    "call": "@fit([make_key()])\ndef f(m): ...",
    "condition": "if x:\n    @fit(['k'])\n    def f(m): ...",
    "function": "def g():\n    @fit(['k'])\n    def f(m): ...",
    "partly": "learn = fit(['k'])",
}


@pytest.mark.parametrize("case", UNCERTAIN)
def test_what_only_the_running_code_knows_is_an_error_with_its_line(project, case):
    source = f"from aimm_plugins import fit\n{UNCERTAIN[case]}"
    with pytest.raises(DeclarationError, match=r"mine\.py:\d+: .*--import"):
        ProjectSource(find_project(project(mine=source))).declarations()


WRONG = {
    "no list": ("@fit('k')\ndef f(m): ...", "takes a list of model types"),
    "no str": ("@fit([1])\ndef f(m): ...", "a key of @fit is a str"),
    "empty": ("@fit([])\ndef f(m): ...", "was given an empty list of model types"),
    "empty key": ("@fit([' '])\ndef f(m): ...", "a key of @fit is empty"),
    "twice": ("@fit(['k', 'k'])\ndef f(m): ...", "was given 'k' more than once"),
    "list of lists": ("@fit([['k']])\ndef f(m): ...", "a key is a str, and no list"),
    "no parentheses": ("@fit\ndef f(m): ...", "needs its keys in parentheses"),
    "model by position": ("@model('k')\nclass M: ...", r"write @model\(model_type=...\)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_the_decorator_would_refuse_is_not_sent_to_the_running_code(project, case):
    source, message = WRONG[case]
    with pytest.raises(DeclarationError, match=rf"mine\.py:2: .*{message}") as caught:
        ProjectSource(
            find_project(project(mine=f"from aimm_plugins import fit, model\n{source}"))
        ).declarations()
    assert "--import" not in str(caught.value)


def test_uncertain_decorator_itself_is_an_error(project):
    source = (
        "try:\n    from aimm_plugins import fit\nexcept ImportError:\n    fit = None\n"
        "@fit(['k'])\ndef f(m): ..."
    )
    with pytest.raises(DeclarationError, match=r"mine\.py:5: `fit` is not the decorator"):
        ProjectSource(find_project(project(mine=source))).declarations()


def test_all_errors_are_reported_at_once(project):
    folder = project(
        one="from aimm_plugins import fit\n@fit(k)\ndef f(m): ...",
        two="from aimm_plugins import fit\n@fit(k)\ndef f(m): ...",
    )
    with pytest.raises(DeclarationError) as caught:
        ProjectSource(find_project(folder)).declarations()
    assert "one.py:2" in str(caught.value)
    assert "two.py:2" in str(caught.value)


def test_key_declared_twice_names_both_places(project):
    source = "from aimm_plugins import fit\n@fit(['k'])\ndef f(m): ...\n@fit(['k'])\ndef g(m): ..."
    with pytest.raises(DeclarationError, match=r"mine\.py:4: .* first is at mine\.py:2"):
        ProjectSource(find_project(project(mine=source))).declarations()


def test_decorators_of_others_and_annotations_are_passed_over(project):
    folder = project(
        mine="from other import fit\n@fit(unknown)\ndef f(m): ...\n"
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from aimm_plugins import predict\n"
    )
    assert slots(folder) == {}


def test_broken_source_names_its_line(project):
    with pytest.raises(DeclarationError, match=r"mine\.py:1: no Python"):
        ProjectSource(find_project(project(mine="def"))).declarations()
