"""What a schema says of options, and the defaults that it fills in."""

from __future__ import annotations

import json
import sys

import pytest

import aimm_plugins
from aimm_plugins import (
    ConfigError,
    DeclarationError,
)
from tests.options.conftest import KEY, given


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


def test_missing_options_are_reported_together(wine, conf):
    wine({"required": ["a", "b"]})
    with pytest.raises(ConfigError, match="keys 'a', 'b' are missing"):
        aimm_plugins.plan(conf("wine: {c: 1}"))


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("{", "it is no JSON"),
        ("[]", "it is a list, and no mapping"),
        ("[" * 100_000, "nested too deep"),
        ({"type": "objekt"}, "it is no JSON Schema: at type: 'objekt'"),
        ({"properties": {"a": {"pattern": "("}}}, "a pattern of it cannot be read: missing )"),
        ({"patternProperties": {"(": {}}}, "a pattern of it cannot be read: missing )"),
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


def test_schema_stops_no_start_where_jsonschema_cannot_be_imported(wine, monkeypatch):
    """As in a subinterpreter, for which rpds, a part of it, is not made."""
    wine(code=KEY)
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    conf = {"names": [], "on_error": "isolate", "options": {"wine": {"b": 1}}}
    (record,) = aimm_plugins.plan(conf).plugins
    assert (record.state, type(record.error)) == ("failed", DeclarationError)
    assert "options.json of aimm-wine 1.0" in str(record.error)
    assert "cannot be read here: import of jsonschema halted" in str(record.error)
    report = aimm_plugins.initialize()
    assert (report.plugins[0].state, report.findings[0].code) == ("loaded", "broken-options-schema")


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
