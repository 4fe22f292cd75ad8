"""Nothing that is said or kept shows a secret."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle

import pytest

import aimm_plugins
from aimm_plugins import (
    ConfigError,
    cli,
)
from aimm_plugins._options.hiding import Options
from tests.options.conftest import SCHEMA, SECRET, given, schema_of


def everything_said(conf, capsys, caplog, *, by_verbs=False):
    """All that is shown of a conf: reports, errors, logs, reprs; the page and what verbs print."""
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
    page = os.path.join(os.path.dirname(conf), "p.html")
    verbs = (
        ["plan", conf],
        ["plan", conf, "--format", "json"],
        ["list", "--conf", conf, "--format", "json"],
        ["list", "--conf", conf, "--load"],
        ["show", "wine", "--conf", conf],
        ["show", "wine", "--conf", conf, "--format", "json", "--load"],
        ["explain", "aimm-wine", "--conf", conf],
        ["doctor", "--conf", conf],
        ["freeze", "--conf", conf],
        ["report", "--conf", conf, "--load", "--html", page],
    )
    for arguments in verbs if by_verbs else ():
        cli.run(arguments)
    shown = capsys.readouterr()
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
    conf = conf("wine:\n  token: env:WINE_TOKEN")
    said = everything_said(conf, capsys, caplog, by_verbs="type" in schema)
    told = ("env:WINE_TOKEN", "options.wine.token: a secret does not fit")
    assert any(text in said for text in (*told, "at options.wine: what stands here, with a secret"))
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
    conf = conf(f"wine:\n  token: {json.dumps(value)}")
    said = everything_said(conf, capsys, caplog, by_verbs=mark == {"writeOnly": True})
    assert "token" in said
    assert SECRET not in said


SECRET_TEXT = {"type": "string", "writeOnly": True}


def shown(document, values):
    """All that is shown of options under a schema: their `repr`, and what is against them."""
    options, faults = schema_of(document).check(values)
    assert options == values
    return "\n".join([repr(options), *map(str, faults)])


@pytest.mark.parametrize(
    "child",
    [
        SECRET_TEXT,
        {"type": "string", "format": "password"},
        {"$ref": "#/$defs/secret"},
        {"allOf": [{"$ref": "#/$defs/secret"}]},
        {"anyOf": [{"type": "null"}, {"anyOf": [{}, SECRET_TEXT]}]},
        {"oneOf": [SECRET_TEXT, {"type": "null"}]},
        {"if": {"minLength": 1}, "then": SECRET_TEXT},
        {"if": {"minLength": 99}, "else": SECRET_TEXT},
        {"if": SECRET_TEXT},
        {"not": {"not": SECRET_TEXT}},
        {"items": SECRET_TEXT},
        {"items": {"items": SECRET_TEXT}},
        {"prefixItems": [SECRET_TEXT]},
        {"contains": SECRET_TEXT, "minContains": 0},
        {"unevaluatedItems": SECRET_TEXT},
        {"properties": {"inner": SECRET_TEXT}},
        {"properties": {"other": SECRET_TEXT}},
        {"additionalProperties": SECRET_TEXT},
        {"additionalProperties": {"anyOf": [SECRET_TEXT, {"items": SECRET_TEXT}]}},
        {"patternProperties": {"^i": SECRET_TEXT}},
        {"unevaluatedProperties": SECRET_TEXT},
        {"dependentSchemas": {"inner": {"properties": {"inner": SECRET_TEXT}}}},
        {"allOf": [{"additionalProperties": SECRET_TEXT}, {"properties": {"inner": {}}}]},
        {"$ref": "#/$defs/list"},
        {"$dynamicRef": "#secret"},
        {"x-secret": True},
        {"dependencies": {}},
        {"contentSchema": {}},
        {"anyOf": [{"vendor": {}}, {}]},
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("value", [SECRET, [SECRET], {"inner": SECRET}, [[SECRET]]], ids=str)
def test_value_that_may_be_a_secret_is_not_shown(child, value):
    document = {
        "$defs": {
            "secret": {"$dynamicAnchor": "secret", **SECRET_TEXT},
            "list": {"items": {"$ref": "#/$defs/secret"}, "additionalProperties": SECRET_TEXT},
        },
        "properties": {"token": {"allOf": [child, {"const": 1}]}},
    }
    text = shown(document, {"token": value})
    assert "token" in text
    assert SECRET not in text


@pytest.mark.parametrize(
    ("document", "values"),
    [
        ({}, {"a": SECRET}),
        (True, {"a": SECRET}),
        ({"properties": {"a": True}}, {"a": SECRET}),
        ({"properties": {"a": {"type": "string", "format": "uri"}}}, {"a": SECRET}),
        ({"properties": {"a": {}, "b": SECRET_TEXT}}, {"a": SECRET}),
        ({"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {}}}, {"a": SECRET}),
        ({"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}, {"a": SECRET}),
        ({"properties": {"a": {"items": {"type": "string"}}}}, {"a": [SECRET]}),
        ({"properties": {"a": {"additionalProperties": {}}}}, {"a": {"x": SECRET}}),
        ({"properties": {"a": {"properties": {"b": {}, "c": SECRET_TEXT}}}}, {"a": {"b": SECRET}}),
        ({"properties": {"a": {"type": "integer"}}, "additionalProperties": {}}, {"x": SECRET}),
    ],
    ids=str,
)
def test_value_that_is_known_to_be_no_secret_is_shown(document, values):
    document = {"allOf": [document]} if document is True else document
    assert SECRET in shown(document, values)


def test_null_in_the_place_of_a_mapping_with_a_secret_is_shown():
    document = {"properties": {"a": {"properties": {"token": SECRET_TEXT}}}}
    assert shown(document, {"a": None}) == "{'a': None}"


def test_key_that_may_be_a_misspelt_secret_is_hidden():
    document = {"properties": {"token": SECRET_TEXT, "trees": {}}, "maxProperties": 0}
    assert SECRET not in shown(document, {"tokn": SECRET})


@pytest.mark.parametrize(
    ("child", "message"),
    [
        ({"writeOnly": True, "type": "integer"}, "a secret does not fit"),
        ({"x-unit": "pieces", "type": "integer"}, "a value that may be a secret does not fit"),
    ],
)
def test_message_says_whether_it_is_known_to_be_a_secret(child, message):
    _, (fault,) = schema_of({"properties": {"a": child}}).check({"a": SECRET})
    assert (fault.message, fault.expected) == (message, "a whole number")


@pytest.mark.parametrize(
    ("child", "default"),
    [
        ({}, '"x"'),
        ({"writeOnly": True}, "***"),
        ({"x-unit": "m"}, "***"),
        ({"format": "email"}, '"x"'),
        ({"format": "api-token"}, "***"),
        ({"format": "Password"}, "***"),
    ],
)
def test_default_that_may_be_a_secret_is_not_listed(child, default):
    document = {"properties": {"a": {**child, "default": "x"}, "b": {"default": 1}}}
    assert [option.default for option in schema_of(document).known()] == [default, "1"]


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
    kept = aimm_plugins._startup.runtime.PROCESS.runtime.registry.snapshot.options
    assert kept.given["aimm_wine"].values["token"] == SECRET
    assert SECRET not in repr([kept.given, kept.checked])
