"""Options of plugins: what a conf gives, what a plugin's schema says of it, what the plugin gets."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import re
import sys
import textwrap
import threading
import zipfile

import pytest
import yaml

import aimm_plugins
from aimm_plugins import (
    ConfigError,
    DeclarationError,
    PluginLoadError,
    UnknownPluginError,
    cli,
)
from aimm_plugins._options.hiding import Options
from aimm_plugins.testing import check_plugin

SECRET = "hunter2-of-the-cellar"

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "trees": {"type": "integer", "minimum": 1, "default": 100, "description": "How many."},
        "token": {"type": "string", "minLength": 8, "writeOnly": True},
        "store": {
            "type": "object",
            "default": {},
            "properties": {"url": {"type": "string", "default": "memory:"}},
        },
    },
}

CODE = """\
import aimm_plugins

AT_IMPORT = aimm_plugins.options(__name__)


@aimm_plugins.fit(["wine"])
def fit(model):
    return aimm_plugins.options(__name__)
"""

GROUPS = {
    "aimm.plugins": {"wine": "aimm_wine"},
    "aimm.plugins.options": {"wine": "aimm_wine:options.json"},
}


@pytest.fixture
def wine(make_distribution):
    """Installs `aimm-wine`, whose package `aimm_wine` has a schema of options."""

    def install(schema=SCHEMA, code=CODE, *, name="aimm-wine", groups=GROUPS, modules=(), files=()):
        content = schema if isinstance(schema, str) else json.dumps(schema)
        return make_distribution(
            name,
            modules={"aimm_wine": code, "aimm_wine.inner": "", **dict(modules)},
            entry_points=groups,
            files={"aimm_wine/options.json": content, **dict(files)},
        )

    return install


@pytest.fixture
def conf(tmp_path):
    """Writes a conf with options, and returns its path."""

    def write(options="", more=""):
        path = tmp_path / "plugins.yaml"
        indented = "".join(f"  {line}\n" for line in options.splitlines())
        path.write_text(f"names: []\n{more}options:\n{indented}" if options else "names: []\n")
        return str(path)

    return write


def given(path_or_options):
    """What the plugin is given under a conf."""
    conf = path_or_options
    if isinstance(conf, dict):
        conf = {"names": [], "options": conf}
    aimm_plugins.initialize(conf)
    return aimm_plugins.exec_fit("wine", None)


# What a plugin is given


def test_plugin_is_given_its_options_and_defaults(wine):
    wine()
    assert given({"aimm-wine": {"trees": 3}}) == {"trees": 3, "store": {"url": "memory:"}}


@pytest.mark.parametrize("key", ["aimm-wine", "AIMM.Wine", "wine", "aimm_wine"])
def test_options_are_for_a_distribution_a_plugin_or_a_module(wine, key):
    wine()
    assert given({key: {"trees": 3}})["trees"] == 3


def test_options_are_there_while_the_plugin_is_imported(wine):
    wine()
    given({"wine": {"trees": 3}})
    assert sys.modules["aimm_wine"].AT_IMPORT["trees"] == 3


@pytest.mark.parametrize("module", ["aimm_wine.inner", "aimm_wine.inner.deep", "aimm_wine"])
def test_every_module_of_a_plugin_has_its_options(wine, module):
    wine()
    given({"wine": {"trees": 3}})
    assert aimm_plugins.options(module)["trees"] == 3


def test_module_beside_the_only_plugin_of_a_package_has_its_options(wine):
    wine(
        code="",
        groups={
            "aimm.plugins": {"wine": "aimm_wine.models"},
            "aimm.plugins.options": {"wine": "aimm_wine:options.json"},
        },
        modules={"aimm_wine.models": CODE},
    )
    given({"wine": {"trees": 3}})
    assert aimm_plugins.options("aimm_wine.inner")["trees"] == 3


def test_each_call_gives_a_dict_of_its_own(wine):
    wine()
    first = given({"wine": {}})
    first["trees"] = 0
    first["store"]["url"] = "changed"
    assert aimm_plugins.options("aimm_wine") == {"trees": 100, "store": {"url": "memory:"}}


def test_plugin_without_schema_is_given_what_stands_there(make_distribution):
    make_distribution("aimm-wine", modules={"aimm_wine": CODE}, entry_points={"wine": "aimm_wine"})
    assert given({"wine": {"any": [1, {"x": None}]}}) == {"any": [1, {"x": None}]}


def test_plugin_without_schema_and_options_is_given_nothing(make_distribution):
    make_distribution("aimm-wine", modules={"aimm_wine": CODE}, entry_points={"wine": "aimm_wine"})
    assert given({}) == {}


def test_module_that_a_conf_names_is_given_options(make_distribution):
    make_distribution("aimm-wine", modules={"aimm_wine": CODE})
    aimm_plugins.initialize({"names": ["aimm_wine"], "options": {"aimm_wine": {"a": 1}}})
    assert aimm_plugins.exec_fit("wine", None) == {"a": 1}


def test_options_of_a_distribution_are_for_each_of_its_plugins(wine):
    wine(
        groups={"aimm.plugins": {"wine": "aimm_wine", "inner": "aimm_wine.inner"}},
        modules={"aimm_wine.inner": ""},
    )
    aimm_plugins.initialize({"names": [], "options": {"aimm-wine": {"a": 1}, "inner": {"b": 2}}})
    assert aimm_plugins.options("aimm_wine") == {"a": 1}
    assert aimm_plugins.options("aimm_wine.inner") == {"b": 2}


def test_what_a_host_does_to_its_mapping_later_changes_nothing(wine):
    wine()
    options = {"wine": {"store": {"url": "a"}}}
    given(options)
    options["wine"]["store"]["url"] = "b"
    aimm_plugins.refresh()
    assert aimm_plugins.options("aimm_wine")["store"] == {"url": "a"}


def test_thread_that_an_import_starts_has_the_options_of_the_call(wine):
    wine(
        code="""\
        import threading
        import aimm_plugins

        SEEN = []
        thread = threading.Thread(target=lambda: SEEN.append(aimm_plugins.options(__name__)))
        thread.start()
        thread.join()
        """
    )
    aimm_plugins.initialize({"names": [], "options": {"wine": {"trees": 7}}})
    assert sys.modules["aimm_wine"].SEEN[0]["trees"] == 7


def test_many_threads_are_given_the_same(wine):
    wine()
    given({"wine": {"trees": 3}})
    seen = []

    def ask():
        seen.extend(aimm_plugins.options("aimm_wine")["trees"] for _ in range(50))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [3] * 200


# By hand, and by nobody


def test_plugin_imported_by_hand_has_the_defaults(wine):
    wine()
    import aimm_wine

    assert aimm_wine.AT_IMPORT == {"trees": 100, "store": {"url": "memory:"}}


def test_plugin_installed_since_has_its_defaults_by_hand(wine):
    with pytest.raises(UnknownPluginError):
        aimm_plugins.options("aimm_wine")
    wine()
    assert aimm_plugins.options("aimm_wine")["trees"] == 100


def test_nothing_is_checked_by_hand(wine):
    wine({**SCHEMA, "required": ["token"]})
    import aimm_wine

    assert "token" not in aimm_wine.AT_IMPORT


def test_module_of_nobody_has_no_options_while_it_is_imported(make_distribution):
    make_distribution("aimm-wine", modules={"aimm_wine": CODE})
    import aimm_wine

    assert aimm_wine.AT_IMPORT == {}
    assert aimm_plugins.options("aimm_wine") == {}


@pytest.mark.parametrize("module", ["wine", "json", "__main__", ""])
def test_module_of_no_plugin_is_refused(wine, module):
    wine()
    with pytest.raises(UnknownPluginError, match="no module of a plugin"):
        aimm_plugins.options(module)


def test_what_is_no_name_is_refused():
    with pytest.raises(TypeError, match="__name__"):
        aimm_plugins.options(json)


# What does not fit


@pytest.mark.parametrize("do", [aimm_plugins.plan, aimm_plugins.initialize])
@pytest.mark.parametrize(
    ("options", "place", "message"),
    [
        ("wine:\n  trees: many", "4:12", "at options.wine.trees: 'many' is of the wrong type"),
        ("wine:\n  trees: 0", "4:12", "at options.wine.trees: 0 is less than the minimum of 1"),
        ("wine:\n  trres: 1", "4:5", "unknown key 'trres'; did you mean 'trees'?"),
        ("wine:\n  store: {url: [1]}", "4:18", "at options.wine.store.url: [1] is of the wrong"),
        ("aimm-wine: {trees: x}", "3:22", "at options.aimm-wine.trees: 'x'"),
        ("wine: 3", "3:9", "at options.wine: a int is of the wrong type (expected a mapping)"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_their_place(
    wine, conf, do, options, place, message
):
    wine()
    with pytest.raises(ConfigError) as caught:
        do(conf(options))
    error = caught.value
    assert f"plugins.yaml:{place}: " in str(error)
    assert message in str(error)
    assert f"{error.line}:{error.column}" == place
    assert "aimm_wine" not in sys.modules


def test_error_names_the_schema_and_what_was_expected(wine, conf):
    wine()
    with pytest.raises(ConfigError) as caught:
        aimm_plugins.plan(conf("wine:\n  trees: many"))
    assert "says aimm_wine:options.json of aimm-wine 1.0" in str(caught.value)
    assert caught.value.expected == "a whole number"
    assert caught.value.path == ("options", "wine", "trees")


@pytest.mark.parametrize(
    ("child", "value", "message"),
    [
        ({"minLength": 3}, "ab", "'ab' is too short"),
        ({"pattern": "^x"}, "ab", "'ab' does not match '^x'"),
        ({"enum": ["x", "y"]}, "ab", "'ab' is not known here"),
        ({"const": 1}, 2, "1 was expected"),
        ({"type": ["integer", "null"]}, "ab", "(expected a whole number or nothing)"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "ab", "(expected a whole number)"),
        ({"maxItems": 0}, [1] * 1000, "[1, 1, "),
    ],
)
def test_message_says_what_is_wrong_with_a_value(wine, child, value, message):
    wine({"properties": {"a": child}})
    with pytest.raises(ConfigError) as caught:
        aimm_plugins.plan({"names": [], "options": {"wine": {"a": value}}})
    assert message in str(caught.value)
    assert len(str(caught.value)) < 500


def test_all_faults_are_told_at_once(wine, conf):
    wine()
    with pytest.raises(ConfigError) as caught:
        aimm_plugins.plan(conf("wine:\n  trees: many\n  store: 1"))
    assert "options.wine.trees" in str(caught.value)
    assert "options.wine.store" in str(caught.value)
    assert caught.value.line == 4


def test_missing_options_are_told_together(wine, conf):
    wine({"required": ["a", "b"]})
    with pytest.raises(ConfigError, match="keys 'a', 'b' are missing"):
        aimm_plugins.plan(conf("wine: {c: 1}"))


def test_options_that_a_plugin_needs_and_nobody_gives_are_its_failure_when_it_asks(wine):
    wine({**SCHEMA, "required": ["token"]})
    with pytest.raises(PluginLoadError) as caught:
        aimm_plugins.initialize({"names": []})
    (error,) = caught.value.exceptions
    assert isinstance(error, ConfigError)
    assert "key 'token' is missing" in str(error)
    assert error.expected == "an entry aimm-wine"


def test_plan_finds_options_that_a_plugin_needs_and_nobody_gives(wine):
    wine({**SCHEMA, "required": ["token"]})
    (finding,) = aimm_plugins.plan().findings
    assert finding.code == "options-needed"
    assert "'token' is missing" in finding.message


def test_options_for_nobody_are_a_finding_with_its_place(wine, conf):
    wine()
    (finding,) = aimm_plugins.plan(conf("wien: {trees: 1}")).findings
    assert (finding.code, finding.subject) == ("rule-matches-nothing", "options wien")
    assert finding.place.endswith("plugins.yaml:3")
    assert finding.remedy == "Did you mean wine?"


def test_options_of_a_denied_plugin_are_no_finding_and_are_not_checked(wine):
    wine()
    conf = {
        "names": [],
        "entry_points": {"deny": ["aimm-wine"]},
        "options": {"wine": {"trees": "many", "token": "env:AIMM_NOT_SET"}},
    }
    assert aimm_plugins.initialize(conf).findings == ()


def test_distribution_whose_plugins_have_their_own_options_is_a_finding(wine):
    wine()
    options = {"aimm-wine": {"trees": 1}, "wine": {"trees": 2}}
    report = aimm_plugins.initialize({"names": [], "options": options})
    assert [each.subject for each in report.findings] == ["options aimm-wine"]
    assert aimm_plugins.options("aimm_wine")["trees"] == 2


def test_name_of_a_plugin_and_its_distribution_is_for_the_plugin_alone(wine):
    wine(
        name="wine",
        groups={"aimm.plugins": {"wine": "aimm_wine", "inner": "aimm_wine.inner"}},
    )
    aimm_plugins.initialize({"names": [], "options": {"wine": {"a": 1}}})
    assert aimm_plugins.options("aimm_wine") == {"a": 1}
    assert aimm_plugins.options("aimm_wine.inner") == {}


def test_two_names_of_one_plugin_are_an_error(wine):
    wine()
    with pytest.raises(ConfigError, match="'aimm_wine' and 'wine' are both options of aimm_wine"):
        aimm_plugins.plan({"names": [], "options": {"wine": {}, "aimm_wine": {}}})


def test_name_of_two_plugins_is_an_error_that_names_both(wine, make_distribution):
    wine()
    make_distribution("aimm-other", modules={"other": ""}, entry_points={"wine": "other"})
    with pytest.raises(ConfigError) as caught:
        aimm_plugins.plan({"names": [], "options": {"wine": {}}})
    assert "'wine' is several: " in str(caught.value)
    assert "aimm-other 1.0" in str(caught.value)
    assert given({"aimm-wine": {"trees": 3}})["trees"] == 3


# Schemas


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


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("{", "it is no JSON"),
        ("[]", "it is a list, and no mapping"),
        ("[" * 100_000, "nested too deep"),
        ({"type": "objekt"}, "it is no JSON Schema: at type: 'objekt'"),
        ({"$ref": "#/$defs/gone"}, "/$defs/gone' leads nowhere"),
        ({"$ref": "https://schemas.example/far.json"}, "leads nowhere within it"),
        ({"$ref": "#"}, "leads in a circle"),
        (
            {"properties": {"a": {"$ref": "#", "default": {}}}},
            "leads in a circle",
        ),
        (
            {"properties": {"a": {"type": "integer", "default": "1"}}},
            "its own default does not fit: at a: '1' is of the wrong type",
        ),
    ],
)
def test_broken_schema_is_the_failure_of_its_plugin(wine, schema, message):
    wine(schema)
    conf = {"names": [], "on_error": "isolate", "options": {"wine": {"b": 1}}}
    for do in (aimm_plugins.plan, aimm_plugins.initialize):
        (record,) = do(conf).plugins
        assert (record.state, type(record.error)) == ("failed", DeclarationError)
        assert message in str(record.error)
        assert "aimm-wine 1.0 publishes aimm_wine:options.json" in str(record.error)
    assert "aimm_wine" not in sys.modules


def test_missing_schema_file_names_the_metadata_line(wine):
    wine(groups={**GROUPS, "aimm.plugins.options": {"wine": "aimm_wine:gone.json"}})
    (record,) = aimm_plugins.plan({"names": [], "options": {"wine": {}}}).plugins
    assert "there is no such file" in str(record.error)
    assert "entry_points.txt:5" in str(record.error)


def test_broken_schema_of_a_plugin_without_options_is_a_finding_of_the_plan(wine):
    wine("{", code="")
    assert [each.code for each in aimm_plugins.plan().findings] == ["broken-options-schema"]
    assert aimm_plugins.initialize().ok


def test_two_schemas_of_one_plugin_are_its_failure(wine):
    points = {"wine": "aimm_wine:options.json", "aimm_wine": "aimm_wine:OTHER"}
    wine(groups={**GROUPS, "aimm.plugins.options": points})
    (record,) = aimm_plugins.plan({"names": [], "options": {"wine": {}}}).plugins
    assert "several schemas of the options of one plugin" in str(record.error)


def test_schema_for_nobody_is_a_finding(wine):
    wine(groups={**GROUPS, "aimm.plugins.options": {"wein": "aimm_wine:options.json"}}, code="")
    (finding,) = aimm_plugins.initialize().findings
    assert finding.code == "options-without-plugin"
    assert "as the plugin is named: wine" in finding.remedy


def test_line_of_metadata_that_names_a_module_alone_is_a_finding(wine):
    wine(groups={**GROUPS, "aimm.plugins.options": {"wine": "aimm_wine"}}, code="")
    (finding,) = aimm_plugins.initialize().findings
    assert "neither `module:object` nor `package:file.json`" in finding.message


def test_defaults_come_from_properties_wherever_they_hold(wine):
    pool = {
        "type": "object",
        "properties": {"size": {"type": "integer", "default": 4}, "name": {}},
        "required": ["name"],
    }
    wine(
        {
            "$defs": {"Pool": pool},
            "properties": {
                "pool": {"$ref": "#/$defs/Pool"},
                "main": {"$ref": "#/$defs/Pool", "default": {"name": "m"}},
                "pools": {"type": "array", "items": {"$ref": "#/$defs/Pool"}},
                "named": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Pool"}},
            },
            "allOf": [{"properties": {"more": {"default": 1}}}],
        }
    )
    pool = {"name": "p"}
    full = {"name": "p", "size": 4}
    assert given({"wine": {"pools": [pool], "named": {"x": pool}}}) == {
        "main": {"name": "m", "size": 4},
        "pools": [full],
        "named": {"x": full},
        "more": 1,
    }


@pytest.mark.parametrize(
    "branch",
    [
        {"anyOf": [{"properties": {"a": {"default": 1}}}, {"required": ["b"]}]},
        {"oneOf": [{"properties": {"a": {"default": 1}}}, False]},
        {"if": {"required": ["b"]}, "else": {"properties": {"a": {"default": 1}}}},
        {"if": {"properties": {"a": {"default": 1}}}},
        {"not": {"properties": {"a": {"default": 1}}, "required": ["b"]}},
        {"$defs": {"a": {"default": 1}}, "properties": {"a": {"$ref": "#/$defs/a"}}},
    ],
    ids=json.dumps,
)
def test_no_default_comes_from_elsewhere(wine, branch):
    wine(branch)
    assert given({"wine": {}}) == {}


def test_schema_of_an_older_draft_is_read_by_its_own_rules(wine):
    wine(
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "properties": {"pair": {"items": [{"type": "integer"}, {"type": "string"}]}},
        }
    )
    with pytest.raises(ConfigError, match=r"options\.wine\.pair\[1\]"):
        aimm_plugins.plan({"names": [], "options": {"wine": {"pair": [1, 2]}}})


# Schemas that are code


MODEL = """\
class Settings:
    @classmethod
    def model_json_schema(cls):
        return {"properties": {"trees": {"type": "integer", "default": 100}}, "required": ["a"]}
"""
IN_CODE = {**GROUPS, "aimm.plugins.options": {"wine": "aimm_wine.inner:Settings"}}


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


# One call, or none of it


def test_other_conf_gives_other_options(wine):
    wine()
    assert given({"wine": {"trees": 3}})["trees"] == 3
    assert given({"wine": {"trees": 4}})["trees"] == 4


def test_later_conf_that_says_nothing_of_a_plugin_leaves_its_options(wine):
    wine()
    given({"wine": {"trees": 3}})
    assert given({})["trees"] == 3


def test_nothing_is_left_of_options_after_unload_all(wine):
    wine()
    given({"wine": {"trees": 3}})
    aimm_plugins.unload_all()
    assert given({})["trees"] == 100


def test_failed_call_leaves_the_options_that_there_were(wine, make_distribution):
    wine()
    given({"wine": {"trees": 3}})
    make_distribution("aimm-bad", modules={"bad": "1 / 0"}, entry_points={"bad": "bad"})
    with pytest.raises(PluginLoadError):
        aimm_plugins.initialize({"names": [], "options": {"wine": {"trees": 4}}})
    assert aimm_plugins.options("aimm_wine")["trees"] == 3


def test_plugin_that_fails_keeps_its_options_while_others_get_theirs(wine, make_distribution):
    wine(groups=IN_CODE, modules={"aimm_wine.inner": MODEL})
    make_distribution("aimm-other", modules={"other": ""}, entry_points={"other": "other"})
    given({"wine": {"a": 1}, "other": {"b": 1}})
    aimm_plugins.initialize(
        {
            "names": [],
            "on_error": "isolate",
            "options": {"wine": {"a": 2, "trees": "x"}, "other": {}},
        }
    )
    assert aimm_plugins.options("aimm_wine")["a"] == 1
    assert aimm_plugins.options("other") == {}


def test_refresh_reads_secrets_anew(wine, monkeypatch):
    wine()
    monkeypatch.setenv("WINE_TOKEN", SECRET)
    given({"wine": {"token": "env:WINE_TOKEN"}})
    monkeypatch.setenv("WINE_TOKEN", "another-secret")
    aimm_plugins.refresh()
    assert aimm_plugins.options("aimm_wine")["token"] == "another-secret"


def test_refresh_that_cannot_read_a_secret_changes_nothing(wine, monkeypatch):
    wine()
    monkeypatch.setenv("WINE_TOKEN", SECRET)
    given({"wine": {"token": "env:WINE_TOKEN"}})
    monkeypatch.delenv("WINE_TOKEN")
    with pytest.raises(ConfigError, match="WINE_TOKEN is not set"):
        aimm_plugins.refresh()
    assert aimm_plugins.options("aimm_wine")["token"] == SECRET


def test_probe_gives_the_child_the_options_of_the_plugin(wine, monkeypatch):
    wine(code=CODE + "assert AT_IMPORT['token'] and AT_IMPORT['trees'] == 100\n")
    monkeypatch.setenv("WINE_TOKEN", SECRET)
    conf = {"names": [], "probe": 60, "options": {"wine": {"token": "env:WINE_TOKEN"}}}
    assert aimm_plugins.initialize(conf).ok


def test_profile_gives_the_child_the_options_of_the_plugin(wine, conf, monkeypatch, capsys):
    wine(code=CODE + "assert AT_IMPORT['token'] and AT_IMPORT['trees'] == 100\n")
    monkeypatch.setenv("WINE_TOKEN", SECRET)
    arguments = ["profile", "--runs", "1", "--format", "json", "--conf"]
    assert cli.run([*arguments, conf("wine: {token: 'env:WINE_TOKEN'}")]) == 0
    told = capsys.readouterr()
    assert SECRET not in told.out + told.err


def test_profile_tells_of_a_secret_that_cannot_be_read(wine, conf, capsys):
    wine()
    assert cli.run(["profile", "--conf", conf("wine: {token: 'env:AIMM_NOT_SET'}")]) == 2
    assert "AIMM_NOT_SET is not set" in capsys.readouterr().err


# Secrets


def test_secrets_come_from_the_environment_and_from_files(wine, conf, monkeypatch, tmp_path):
    wine({})
    monkeypatch.setenv("WINE_TOKEN", SECRET)
    (tmp_path / "token.txt").write_bytes(b"one\ntwo\r\n")
    text = "wine: {a: 'env:WINE_TOKEN', b: ['file:token.txt'], c: {d: 'env:WINE_TOKEN'}}"
    assert given(conf(text)) == {"a": SECRET, "b": ["one\ntwo"], "c": {"d": SECRET}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("env::HOME", "env:HOME"),
        ("file:::x", "file::x"),
        ("file:///data/model.bin", "file:///data/model.bin"),
        ("environment: x", "environment: x"),
        ("env", "env"),
    ],
)
def test_text_that_looks_like_a_secret_can_be_written(wine, text, value):
    wine({})
    assert given({"wine": {"a": text}}) == {"a": value}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("env:AIMM_NOT_SET", "the environment variable AIMM_NOT_SET is not set"),
        ("env:", "it names nothing"),
        ("file:no-such", "there is no file"),
        ("file:.", "regular file|directory"),
        ("file:latin", "is not UTF-8"),
    ],
)
def test_secret_that_cannot_be_read_is_an_error_of_the_start_and_a_finding_of_the_plan(
    wine, conf, tmp_path, text, problem
):
    wine()
    (tmp_path / "latin").write_bytes(b"gr\xfcn")
    path = conf(f"wine:\n  trees: 1\n  token: '{text}'")
    (finding,) = aimm_plugins.plan(path).findings
    assert (finding.code, finding.subject) == ("secret-missing", text)
    assert re.search(problem, finding.message, re.IGNORECASE)
    with pytest.raises(ConfigError) as caught:
        aimm_plugins.initialize(path)
    assert f"plugins.yaml:5:12: at options.wine.token: {text} cannot be read: " in str(caught.value)
    assert "aimm_wine" not in sys.modules


def test_plan_judges_what_does_not_depend_on_secrets(wine):
    wine(
        {
            "properties": {"token": {"const": "x"}, "trees": {"type": "integer"}},
            "anyOf": [{"properties": {"token": {"maxLength": 3}}}],
            "maxProperties": 2,
        }
    )
    secret = {"token": "env:AIMM_NOT_SET"}
    assert aimm_plugins.plan({"names": [], "options": {"wine": secret}}).ok
    for wrong in ({"trees": "x"}, {"b": 1, "c": 2}):
        with pytest.raises(ConfigError):
            aimm_plugins.plan({"names": [], "options": {"wine": {**secret, **wrong}}})


def test_record_tells_what_is_set_and_where_secrets_come_from(wine, monkeypatch):
    wine({})
    monkeypatch.setenv("WINE_TOKEN", SECRET)
    options = {"trees": 1, "a": {"b": "env:WINE_TOKEN"}}
    (record,) = aimm_plugins.initialize({"names": [], "options": {"wine": options}}).plugins
    assert record.options == ("a", "a.b (env:WINE_TOKEN)", "trees")


def everything_said(conf, capsys, caplog):
    """All that is shown of a conf anywhere: reports, errors, logs, verbs, the page, reprs."""
    said = []
    caplog.set_level(logging.DEBUG)

    def note(do):
        try:
            result = do()
        except Exception as error:
            import traceback

            result = "".join(traceback.format_exception(error)) + repr(error)
        said.extend([str(result), repr(result), getattr(result, "to_dict", lambda: "")()])

    note(lambda: aimm_plugins.plan(conf))
    note(lambda: aimm_plugins.initialize(conf))
    note(aimm_plugins.current_report)
    note(aimm_plugins.refresh)
    note(lambda: aimm_plugins.options("aimm_wine"))
    note(lambda: aimm_plugins.fingerprint().to_dict())
    for arguments in (
        ["plan", conf],
        ["plan", conf, "--format", "json"],
        ["list", "--conf", conf, "--format", "json"],
        ["list", "--conf", conf, "--load"],
        ["show", "wine", "--conf", conf],
        ["show", "wine", "--conf", conf, "--format", "json", "--load"],
        ["explain", "aimm-wine", "--conf", conf],
        ["doctor", "--conf", conf],
        ["freeze", "--conf", conf],
        [
            "report",
            "--conf",
            conf,
            "--load",
            "--html",
            os.path.join(os.path.dirname(conf), "p.html"),
        ],
    ):
        cli.run(arguments)
    shown = capsys.readouterr()
    page = os.path.join(os.path.dirname(conf), "p.html")
    if os.path.exists(page):
        with open(page, encoding="utf-8") as stream:
            said.append(stream.read())
    return "\n".join(map(str, [*said, shown.out, shown.err, caplog.text]))


@pytest.mark.parametrize(
    "schema",
    [
        SCHEMA,
        {**SCHEMA, "properties": {"token": {"maxLength": 3, "type": "string"}}},
        {**SCHEMA, "properties": {"token": {"type": "integer"}}},
        {**SCHEMA, "properties": {"token": {"enum": ["a"]}}},
        {**SCHEMA, "properties": {"token": {"pattern": "^a"}}},
        {**SCHEMA, "properties": {"token": {"anyOf": [{"type": "integer"}, {"maxLength": 2}]}}},
        {"not": {"required": ["token"]}},
        {"type": "array"},
        {"maxProperties": 0},
        {"minProperties": 9},
        {"enum": [1]},
        {"additionalProperties": {"type": "integer"}},
        {"dependentRequired": {"token": ["user"]}},
        {"propertyNames": {"maxLength": 2}},
    ],
    ids=lambda schema: json.dumps(schema)[:60],
)
def test_secret_is_nowhere_shown(wine, conf, schema, monkeypatch, capsys, caplog):
    wine(schema)
    monkeypatch.setenv("WINE_TOKEN", SECRET)
    said = everything_said(conf("wine:\n  token: env:WINE_TOKEN"), capsys, caplog)
    assert "env:WINE_TOKEN" in said or "at options.wine: what stands here, with a secret" in said
    assert SECRET not in said


@pytest.mark.parametrize(
    "mark",
    [
        {"writeOnly": True},
        {"format": "password"},
        {"$ref": "#/$defs/secret"},
        {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/secret"}]},
        {"type": "array", "items": {"writeOnly": True}, "maxItems": 0},
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("value", [SECRET, [SECRET], {"inner": SECRET}], ids=str)
def test_literal_that_its_schema_calls_a_secret_is_nowhere_shown(
    wine, conf, mark, value, capsys, caplog
):
    wine(
        {
            "$defs": {"secret": {"type": "string", "format": "password", "maxLength": 2}},
            "properties": {"token": {**mark, "maxLength": 3}},
        }
    )
    said = everything_said(conf(f"wine:\n  token: {json.dumps(value)}"), capsys, caplog)
    assert "token" in said
    assert SECRET not in said


def test_container_of_a_literal_secret_is_not_shown(wine):
    wine({"properties": {"token": {"writeOnly": True}}, "maxProperties": 0})
    with pytest.raises(ConfigError) as caught:
        aimm_plugins.plan({"names": [], "options": {"wine": {"token": SECRET}}})
    assert SECRET not in str(caught.value)


def test_text_in_the_place_of_options_is_not_shown(wine, conf):
    with pytest.raises(ConfigError) as caught:
        aimm_plugins.plan(conf(f"wine: {SECRET}"))
    assert SECRET not in str(caught.value)


def test_repr_hides_secrets_after_copies_and_pickling(wine, monkeypatch):
    wine({})
    monkeypatch.setenv("WINE_TOKEN", SECRET)
    options = given({"wine": {"a": {"b": ["env:WINE_TOKEN"], "c": 1}}})
    for each in (options, copy.deepcopy(options), pickle.loads(pickle.dumps(options))):
        assert isinstance(each, Options)
        assert repr(each) == f"{each}" == "{'a': {'b': ***, 'c': 1}}"
        assert json.loads(json.dumps(each)) == {"a": {"b": [SECRET], "c": 1}}


def test_what_is_kept_of_a_conf_has_no_secret_in_its_repr(wine, monkeypatch):
    wine()
    monkeypatch.setenv("WINE_TOKEN", SECRET)
    given({"wine": {"token": "env:WINE_TOKEN"}})
    kept = aimm_plugins._api.RUNTIME.options.current
    assert kept.given["aimm_wine"].values["token"] == SECRET
    assert SECRET not in repr([kept.given, kept.checked])


def test_error_of_options_survives_pickling(wine, conf):
    wine()
    with pytest.raises(ConfigError) as caught:
        aimm_plugins.plan(conf("wine:\n  trees: many\n  store: 1"))
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.line) == (str(caught.value), 4)


# What it costs, and who looks


def test_start_with_published_options_and_none_given_loads_nothing_heavy(wine, fresh_process):
    made = wine(code="")
    code = """\
    import sys
    sys.path.insert(0, folder)
    import aimm_plugins
    assert aimm_plugins.initialize({"names": []}).plugins[0].options_schema
    result = [each for each in ("yaml", "jsonschema", "importlib_metadata", "packaging", "json")
              if each in sys.modules]
    """
    assert set(fresh_process(textwrap.dedent(code), folder=str(made.folder))) <= {"json"}


def test_start_without_options_does_not_load_the_part_that_handles_them(fresh_process):
    code = """\
    import sys
    import aimm_plugins
    aimm_plugins.initialize({"names": []})
    result = [each for each in sys.modules if each.startswith("aimm_plugins._option")]
    """
    assert fresh_process(textwrap.dedent(code)) == []


def test_conformance_passes_a_sound_schema(wine):
    wine(code=CODE.replace("AT_IMPORT = aimm_plugins.options(__name__)", ""))
    only = ["options-have-a-sound-schema", "entry-points-resolve"]
    verdict = check_plugin("aimm_wine", only=only)
    assert verdict.counts["passed"] == 2
    assert ("without a description: token, store",) in [each.notes for each in verdict.results]


def test_conformance_fails_a_default_that_does_not_fit(wine):
    wine({"properties": {"a": {"type": "integer", "default": "1"}}}, code="")
    verdict = check_plugin("aimm_wine", only=["options-have-a-sound-schema"], on_fail="report")
    assert not verdict.ok


def test_options_in_a_job_are_told_with_its_line(wine, tmp_path, capsys):
    wine()
    job = tmp_path / "job.yaml"
    job.write_text("model: {type: wine}\nplugins:\n  names: []\n  options: {wine: {trees: many}}\n")
    assert cli.run(["run", str(job)]) == 2
    assert "job.yaml:4:27: at plugins.options.wine.trees: 'many'" in capsys.readouterr().err


def test_explain_tells_the_options_of_a_plugin(wine, conf, capsys):
    wine()
    assert cli.run(["explain", "aimm-wine", "--conf", conf("wine: {trees: 3}")]) == 0
    assert "its options: trees; schema aimm_wine:options.json" in capsys.readouterr().out


def test_show_lists_the_options_that_a_file_names(wine, capsys):
    wine()
    cli.run(["show", "wine"])
    out = capsys.readouterr().out
    assert "schema: aimm_wine:options.json" in out
    assert "trees: a whole number, default 100. How many." in out
    assert "aimm_wine" not in sys.modules
