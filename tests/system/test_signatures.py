"""Annotations that cannot be evaluated, in plugins as people write them without the future import."""

from __future__ import annotations

import importlib
import sys

import pytest

import aimm_plugins
from aimm_plugins import DeclarationError
from aimm_plugins._authoring.stubs import stub_files
from aimm_plugins._diagnostics.take_inventory import take_inventory
from aimm_plugins._system.signatures import shown_signature, signature_of
from aimm_plugins.testing import check_plugin
from tests.conftest import names

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 14), reason="annotations are evaluated where they stand"
)

PLUGIN = '''
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame

@data_access("rows", state_cb_arg_name="progress")
def rows(count: int, frame: DataFrame | None = None, *, progress: Later) -> list[DataFrame]:
    """Count up."""
    progress({"step": 1})
    return list(range(count))

@fit(["m"], instance_arg_name="model")
def learn(x: "DataFrame" | None = None, *, model: Later) -> Later:
    """An annotation that no tool can evaluate: a text and None have no union."""
    return model

@model(model_type="own", state_cb_arg_name="progress")
class Own:
    def __init__(self, other: Own | None = None): ...
    def fit(self, x: DataFrame, *, progress: Later) -> Own: return self
    def predict(self, x: DataFrame) -> DataFrame: return x
    def serialize(self) -> bytes: return b""
    @classmethod
    def deserialize(cls, data: bytes) -> Own: return cls()

@aimm_plugins.hookimpl(tryfirst=True)
def aimm_data_access(name: DataFrame, args: Later): ...

class Later: ...
'''


@pytest.fixture
def plugin(write):
    write(late=PLUGIN)
    return aimm_plugins.initialize(names("late"))


def test_plugin_with_such_annotations_loads_whole(plugin):
    assert {key for _, key in plugin.plugins[0].provides} == {"rows", "m", "own"}


def test_its_functions_get_what_they_asked_for(plugin):
    told = []
    assert aimm_plugins.exec_data_access("rows", told.append, 2) == [0, 1]
    assert told == [{"step": 1}]
    assert aimm_plugins.exec_fit("m", "instance") == "instance"


def test_wrong_call_shows_annotations_as_they_are_written(plugin):
    with pytest.raises(TypeError, match="there is no argument 'cuont'") as caught:
        aimm_plugins.exec_data_access("rows", None, cuont=2)
    assert (
        "rows(count: int, frame: DataFrame | None = None, *, progress: Later) -> list[DataFrame]"
    ) in str(caught.value)


def test_name_that_a_function_cannot_take_is_refused_with_its_signature(write):
    write(bad='@fit(["a"], "cb")\ndef learn(model: Missing): ...\n')
    with pytest.raises(DeclarationError, match=r"learn\(model: Missing\) has no parameter 'cb'"):
        importlib.import_module("bad")


def test_annotation_that_raises_stays_text():
    def learn(model: pytest.nope, step: 1 / 0): ...

    assert list(signature_of(learn).parameters) == ["model", "step"]
    assert shown_signature(learn) == "(model: pytest.nope, step: 1 / 0)"


def test_stub_has_any_for_what_is_not_there(plugin):
    stub = stub_files(aimm_plugins.providers().values())["_calls.pyi"]
    assert "count: int, frame: Any = ..." in stub


def test_inventory_tells_the_signature(plugin):
    (key,) = take_inventory(names("late"), load=True).keys_named("rows")
    assert key.declaration.signature.startswith("(count: int, frame: DataFrame | None = None")


def test_check_of_annotations_reads_them(plugin):
    verdict = check_plugin("late", only=["signatures-are-typed"], on_fail="report")
    assert [result.status for result in verdict.results] == ["passed"]
