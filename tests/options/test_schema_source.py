"""Where schemas of options are read from: files, and code."""

from __future__ import annotations

import sys
import zipfile

import pytest
import yaml

import aimm_plugins
from aimm_plugins import (
    ConfigError,
    PluginLoadError,
)
from tests.options.conftest import CODE, GROUPS, IN_CODE, MODEL, SCHEMA, SECRET, given


def test_yaml_schema_is_read(wine):
    wine(
        groups={**GROUPS, "aimm.plugins.options": {"wine": "aimm_wine:schema.yaml"}},
        files={"aimm_wine/schema.yaml": yaml.safe_dump(SCHEMA)},
    )
    assert given({"wine": {}})["trees"] == 100


def test_schema_in_a_zip_is_read(wine, tmp_path, monkeypatch):
    made = wine()
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for path in made.folder.rglob("*"):
            zipped.write(path, path.relative_to(made.folder))
    monkeypatch.setattr(
        sys, "path", [str(archive), *(each for each in sys.path if each != str(made.folder))]
    )
    try:
        assert given({"wine": {"trees": 3}}) == {"trees": 3, "store": {"url": "memory:"}}
    finally:
        for name in ("aimm_wine", "aimm_wine.inner"):
            sys.modules.pop(name, None)


def test_schema_in_a_file_is_read_without_importing_the_package(wine, conf):
    wine()
    report = aimm_plugins.plan(conf("wine: {trees: 3}"))
    assert report.plugins[0].options == ("trees",)
    assert report.plugins[0].options_schema == "aimm_wine:options.json"
    assert "aimm_wine" not in sys.modules


def test_missing_schema_file_names_the_metadata_line(wine):
    wine(groups={**GROUPS, "aimm.plugins.options": {"wine": "aimm_wine:gone.json"}})
    (record,) = aimm_plugins.plan({"names": [], "options": {"wine": {}}}).plugins
    assert "there is no such file" in str(record.error)
    assert "entry_points.txt:5" in str(record.error)


def test_plan_says_that_a_schema_in_code_is_pending(wine):
    wine(groups=IN_CODE, modules={"aimm_wine.inner": MODEL})
    (record,) = aimm_plugins.plan({"names": [], "options": {"wine": {"trees": "x"}}}).plugins
    assert record.state == "planned"
    assert "aimm_wine.inner:Settings is code" in record.reason
    assert "aimm_wine" not in sys.modules


def test_schema_in_code_fills_defaults(wine):
    wine(groups=IN_CODE, modules={"aimm_wine.inner": MODEL})
    assert given({"wine": {"a": 1}}) == {"a": 1, "trees": 100}


def test_options_that_a_schema_in_code_refuses_are_the_failure_of_the_plugin(wine, conf):
    code = CODE.replace("AT_IMPORT = aimm_plugins.options(__name__)", "")
    wine(groups=IN_CODE, modules={"aimm_wine.inner": MODEL}, code=code)
    path = conf("wine:\n  a: 1\n  trees: many", "on_error: isolate\n")
    (record,) = aimm_plugins.initialize(path).plugins
    assert (record.state, type(record.error)) == ("failed", ConfigError)
    assert "plugins.yaml:6:12: at options.wine.trees: 'many'" in str(record.error)
    assert aimm_plugins.providers() == {}


def test_class_in_the_module_itself_can_be_asked_for_in_functions(wine):
    code = MODEL + CODE.replace("AT_IMPORT = aimm_plugins.options(__name__)", "")
    wine(groups={**GROUPS, "aimm.plugins.options": {"wine": "aimm_wine:Settings"}}, code=code)
    assert given({"wine": {"a": 1}}) == {"a": 1, "trees": 100}


def test_asking_before_the_class_is_there_says_so(wine):
    groups = {**GROUPS, "aimm.plugins.options": {"wine": "aimm_wine:Settings"}}
    wine(groups=groups, code=CODE + MODEL)
    with pytest.raises(PluginLoadError) as caught:
        aimm_plugins.initialize({"names": [], "options": {"wine": {"a": 1}}})
    assert "before it has made Settings; ask within functions" in str(caught.value)


def test_mapping_does_for_a_schema_in_code(wine):
    wine(
        groups={**GROUPS, "aimm.plugins.options": {"wine": "aimm_wine.inner:SCHEMA"}},
        modules={"aimm_wine.inner": "SCHEMA = {'properties': {'trees': {'default': 5}}}"},
    )
    assert given({"wine": {}}) == {"trees": 5}


def test_deferred_plugin_is_held_against_its_schema_in_code_by_its_first_call(wine):
    wine(
        groups={**IN_CODE, "aimm.plugins.fit": {"wine": "aimm_wine:fit"}},
        modules={"aimm_wine.inner": MODEL},
        code=CODE.replace("AT_IMPORT = aimm_plugins.options(__name__)", ""),
    )
    conf = {"names": [], "load": "lazy", "options": {"wine": {"trees": "x"}}}
    assert aimm_plugins.initialize(conf).plugins[0].state == "deferred"
    with pytest.raises(PluginLoadError, match=r"options\.wine\.trees"):
        aimm_plugins.exec_fit("wine", None)


def test_deferred_plugin_has_its_options_at_its_first_call(wine):
    wine(groups={**GROUPS, "aimm.plugins.fit": {"wine": "aimm_wine:fit"}})
    aimm_plugins.initialize({"names": [], "load": "lazy", "options": {"wine": {"trees": 3}}})
    assert aimm_plugins.exec_fit("wine", None)["trees"] == 3
    assert sys.modules["aimm_wine"].AT_IMPORT["trees"] == 3


def test_pydantic_model_is_a_schema_and_reads_the_options(wine):
    pytest.importorskip("pydantic")
    model = """\
    from pydantic import BaseModel, Field, SecretStr


    class Store(BaseModel):
        url: str = "memory:"
        password: SecretStr | None = None


    class Settings(BaseModel, extra="forbid"):
        trees: int = Field(default=100, ge=1)
        store: Store = Store()
        limits: dict[str, int] = {}
    """
    wine(groups=IN_CODE, modules={"aimm_wine.inner": model})
    options = given({"wine": {"store": {"password": SECRET}}})
    assert SECRET not in repr(options)
    settings = sys.modules["aimm_wine.inner"].Settings(**options)
    assert settings.trees == 100
    assert settings.store.password.get_secret_value() == SECRET
    with pytest.raises(PluginLoadError, match=r"options\.wine\.trees: 0 is less than"):
        aimm_plugins.initialize({"names": [], "options": {"wine": {"trees": 0}}})
