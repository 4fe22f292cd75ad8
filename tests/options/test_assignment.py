"""Which plugin a conf gives which options, and what is wrong with them."""

from __future__ import annotations

import pickle
import sys

import pytest

import aimm_plugins
from aimm_plugins import (
    ConfigError,
    PluginLoadError,
)
from tests.options.conftest import GROUPS, KEY, SCHEMA, given


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


def test_all_faults_are_reported_at_once(wine, conf):
    wine()
    with pytest.raises(ConfigError) as caught:
        aimm_plugins.plan(conf("wine:\n  trees: many\n  store: 1"))
    assert "options.wine.trees" in str(caught.value)
    assert "options.wine.store" in str(caught.value)
    assert caught.value.line == 4


def test_options_that_a_plugin_needs_and_no_conf_gives_are_its_failure_when_it_asks(wine):
    wine({**SCHEMA, "required": ["token"]})
    with pytest.raises(PluginLoadError) as caught:
        aimm_plugins.initialize({"names": []})
    (error,) = caught.value.exceptions
    assert isinstance(error, ConfigError)
    assert "key 'token' is missing" in str(error)
    assert error.expected == "an entry aimm-wine"


def test_plan_finds_options_that_a_plugin_needs_and_no_conf_gives(wine):
    wine({**SCHEMA, "required": ["token"]})
    (finding,) = aimm_plugins.plan().findings
    assert finding.code == "options-needed"
    assert "'token' is missing" in finding.message


def test_options_for_no_plugin_are_a_finding_with_its_place(wine, conf):
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


def test_options_by_a_plugins_own_name_go_before_those_of_its_distribution(wine):
    wine()
    options = {"aimm-wine": {"trees": 1}, "wine": {"trees": 2}}
    aimm_plugins.initialize({"names": [], "options": options})
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


@pytest.mark.parametrize(
    "schema",
    [
        "{",
        "[]",
        None,
        {"type": 5},
        {"properties": {"trees": {"type": "integer", "default": "many"}}},
        {"$schema": 1},
    ],
)
def test_broken_schema_of_a_plugin_without_options_is_found_by_plan_and_start(wine, schema):
    made = wine(schema, code=KEY)
    if schema is None:
        next(made.folder.rglob("options.json")).unlink()
    found = aimm_plugins.plan().findings
    assert [each.code for each in found] == ["broken-options-schema"]
    report = aimm_plugins.initialize()
    assert report.ok
    assert report.findings == found


def test_two_schemas_of_one_plugin_are_its_failure(wine):
    points = {"wine": "aimm_wine:options.json", "aimm_wine": "aimm_wine:OTHER"}
    wine(groups={**GROUPS, "aimm.plugins.options": points})
    (record,) = aimm_plugins.plan({"names": [], "options": {"wine": {}}}).plugins
    assert "several schemas of the options of one plugin" in str(record.error)


def test_schema_for_no_plugin_is_a_finding(wine):
    wine(groups={**GROUPS, "aimm.plugins.options": {"wein": "aimm_wine:options.json"}}, code=KEY)
    (finding,) = aimm_plugins.initialize().findings
    assert finding.code == "options-without-plugin"
    assert "as the plugin is named: wine" in finding.remedy


def test_line_of_metadata_that_names_a_module_alone_is_a_finding(wine):
    wine(groups={**GROUPS, "aimm.plugins.options": {"wine": "aimm_wine"}}, code=KEY)
    (finding,) = aimm_plugins.initialize().findings
    assert "neither `module:object` nor `package:file.json`" in finding.message


def test_error_of_options_survives_pickling(wine, conf):
    wine()
    with pytest.raises(ConfigError) as caught:
        aimm_plugins.plan(conf("wine:\n  trees: many\n  store: 1"))
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.line) == (str(caught.value), 4)
