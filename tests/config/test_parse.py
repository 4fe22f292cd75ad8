"""Confs: what is sound, and how the rest is explained."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import pytest
from jsonschema import Draft202012Validator

from aimm_plugins import ConfigError
from aimm_plugins._config.config import read, schema, schema_names, schema_text


@pytest.mark.parametrize("conf", [None, {"names": []}, MappingProxyType({"names": ()})])
def test_empty_conf_has_the_defaults(conf):
    config = read(conf)
    assert config.names == ()
    assert config.entry_points.enabled
    assert config.entry_points.allow is None
    assert config.on_error == "strict"


def test_keys_of_the_user_are_left_alone():
    assert read({"names": [], "x-mine": {1: 2}, "entry_points": {"x-y": object()}}).names == ()


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({}, "key 'names' is missing"),
        ({"nmaes": []}, "unknown key 'nmaes'; did you mean 'names'?"),
        ({"names": "a"}, "at names: 'a' is of the wrong type (expected a list)"),
        ({"names": [1]}, "at names[0]: 1 is of the wrong type (expected text)"),
        ({"names": None}, "at names: None is of the wrong type"),
        ({"names": [], "name": []}, "unknown key 'name'; did you mean 'names'?"),
        (
            {"names": [], "entry_points": {"denny": []}},
            "at entry_points.denny: unknown key 'denny'; did you mean 'deny'?",
        ),
        ({"names": [], "entry_points": []}, "at entry_points: [] is of the wrong type"),
        ({"names": [], "entry_points": {"enabled": "no"}}, "(expected true or false)"),
        ({"names": [], "entry_points": {"allow": None}}, "at entry_points.allow: None"),
        ({"names": [], "entry_points": {"deny": ["a b"]}}, "'a b' cannot be read"),
        ({"names": [], "entry_points": {"deny": ["a>=1.x.0"]}}, "is no requirement"),
        ({"names": [], "on_error": "ignore"}, "expected one of strict, isolate"),
        ({"names": [], "on_error": []}, "expected one of strict, isolate"),
        ({"names": [], "prefer": {"k": 1}}, "at prefer.k: 1 is of the wrong type"),
        ({"names": [], "prefer": {"": "a"}}, "at prefer: is empty"),
        ({"names": [], "prefer": {"k": ""}}, "at prefer.k: is empty"),
        ({"names": [], "prefer": ["a"]}, "at prefer: "),
        ({"names": [], 5: 1}, "key 5 is not text"),
        (5, "not int"),
        ([], "not list"),
        (b"conf.yaml", "not bytes"),
    ],
)
def test_wrong_conf_is_explained_with_its_path(conf, message):
    with pytest.raises(ConfigError) as caught:
        read(conf)
    assert message in str(caught.value)


def test_path_as_bytes_is_refused():
    class Path:
        def __fspath__(self):
            return b"conf.yaml"

    with pytest.raises(ConfigError, match="given as bytes"):
        read(Path())


def test_self_containing_mapping_is_refused():
    conf: dict[str, object] = {"names": [], "entry_points": {"deny": [1]}}
    conf["x-self"] = conf
    with pytest.raises(ConfigError, match="deeper than 100"):
        read(conf)


def test_fault_in_a_file_names_line_and_column(tmp_path):
    path = tmp_path / "plugins.yaml"
    path.write_text("names: []\nentry_points:\n  dney: [x]\n")
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert (caught.value.line, caught.value.column) == (3, 3)
    assert str(caught.value).startswith(f"{path}:3:3: at entry_points.dney: unknown key")


@pytest.mark.parametrize("rule", ["a b", "a>=1.x.0"])
def test_unreadable_rule_in_a_file_names_its_line(tmp_path, rule):
    path = tmp_path / "plugins.yaml"
    path.write_text(f"names: []\nentry_points:\n  deny:\n    - ok\n    - {rule}\n")
    with pytest.raises(ConfigError, match=r"plugins\.yaml:5:7: at entry_points\.deny\[1\]"):
        read(path)


def test_places_of_a_file_and_of_a_mapping(tmp_path):
    path = tmp_path / "plugins.yaml"
    path.write_text("names: []\nentry_points:\n  deny: [x]\n")
    assert read(path).where("entry_points", "deny", 0) == f"{path}:3"
    assert read(path).source == str(path)
    assert read({"names": []}).where("entry_points", "deny", 0) == "conf entry_points.deny[0]"
    assert read({"names": []}).source is None


@pytest.mark.parametrize(
    "rule", ["a", "A.b-c_d", "a>=1,<2", "a ~= 1.4", "a (>=1)", "a==1.*", "a!=1.5"]
)
def test_rules_that_can_be_read(rule):
    assert read({"names": [], "entry_points": {"deny": [rule]}}).entry_points.deny == (rule,)


@pytest.mark.parametrize("name", schema_names())
def test_schema_is_sound_and_describes_every_key(name):
    loaded = schema(name)
    Draft202012Validator.check_schema(loaded)
    assert loaded["$id"] == f"aimm://{name}.yaml"

    def bare(node, path):
        if isinstance(node, dict):
            for key, child in node.get("properties", {}).items():
                if isinstance(child, dict) and "$ref" not in child:
                    for word in ("description", "default"):
                        if word not in child:
                            yield f"{path}.{key}: no {word}"
            for key, child in node.items():
                yield from bare(child, f"{path}.{key}")
        elif isinstance(node, list):
            for child in node:
                yield from bare(child, path)

    assert list(bare(loaded, name)) == []


def test_unknown_schema_is_a_lookup_error():
    with pytest.raises(LookupError, match=r"there are .*job, .*plugins, policy, .*report"):
        schema_text("nobody")


def test_schemas_at_the_top_are_those_of_the_package():
    top = Path(__file__).parents[2] / "schemas"
    assert sorted(path.stem for path in top.iterdir()) == list(schema_names())
