"""Laws of options and their schemas."""

from __future__ import annotations

import copy
import json
import pickle

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from aimm_plugins import DeclarationError
from aimm_plugins._discovery.published import PublishedOptions
from aimm_plugins._options.hiding import Options
from aimm_plugins._options.schema import Schema
from tests.properties.strategies import json_like, mutated
from tests.support.metadata import Stated

PUBLISHED = PublishedOptions(
    name="wine",
    module="wine",
    attribute="options.json",
    distribution=Stated(name="wine", version="1.0", origin="index"),
    place="entry_points.txt:2",
)
KEYS = st.sampled_from("abc")

leaves = st.sampled_from(
    [
        {},
        {"type": "integer"},
        {"type": "integer", "default": 1},
        {"type": "string", "default": "x", "writeOnly": True},
        {"default": None},
        {"enum": [1, "x"]},
        {"type": "string", "format": "password", "maxLength": 1},
        {"$ref": "#/$defs/object"},
        {"$ref": "#/$defs/object", "default": {}},
        {"type": "object", "properties": {"a": {"default": 0}}, "default": {}},
        {"$ref": "#/$defs/gone"},
    ]
)


def grown(inner):
    """Schemas of containers, and of choices."""
    properties = st.dictionaries(KEYS, inner, max_size=3)
    return st.one_of(
        st.fixed_dictionaries(
            {"properties": properties},
            optional={
                "type": st.just("object"),
                "required": st.lists(KEYS, max_size=1),
                "additionalProperties": st.booleans() | inner,
                "default": st.just({}),
                "allOf": st.lists(inner, min_size=1, max_size=2),
                "maxProperties": st.integers(0, 3),
            },
        ),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries(
            {"items": inner}, optional={"prefixItems": st.lists(inner, min_size=1)}
        ),
        st.fixed_dictionaries({"if": inner, "then": inner, "else": inner}),
        st.fixed_dictionaries({"patternProperties": st.dictionaries(KEYS, inner, max_size=1)}),
    )


schemas = st.tuples(
    st.dictionaries(KEYS, st.recursive(leaves, grown, max_leaves=6), min_size=2, max_size=3),
    st.recursive(leaves, grown, max_leaves=4),
    st.dictionaries(KEYS, leaves, max_size=2),
).map(
    lambda parts: {
        **(parts[1] if "$ref" not in parts[1] else {}),
        "properties": parts[0],
        "$defs": {"object": {"properties": parts[2]}},
    }
)
plain = st.sampled_from([0, 1, "x", "", None, {}, {"a": 1}, {"b": {}}, [{}], ["x"]])
values = st.dictionaries(KEYS, plain, max_size=2) | st.dictionaries(KEYS, json_like, max_size=2)


def outcome(schema, given):
    """Options and faults, or `None` for a schema that is broken."""
    try:
        return Schema(schema, PUBLISHED).check(given)
    except DeclarationError:
        return None


def holds(small, large):
    """Whether all that is in one is as it was in the other."""
    if isinstance(small, dict):
        return all(key in large and holds(each, large[key]) for key, each in small.items())
    if isinstance(small, list):
        return len(small) == len(large) and all(map(holds, small, large))
    return small == large


@settings(max_examples=60, deadline=None)
@given(schemas, values)
def test_options_keep_what_was_given_and_fit_the_schema(schema, given):
    found = outcome(schema, given)
    if found is None:
        return
    options, faults = found
    assert holds(given, options)
    assert (not faults) == Draft202012Validator(schema).is_valid(json.loads(json.dumps(options)))
    assert pickle.loads(pickle.dumps(options)) == options


@settings(max_examples=60, deadline=None)
@given(schemas, values)
def test_filling_in_defaults_twice_adds_nothing(schema, given):
    found = outcome(schema, given)
    if found is None or found[1]:
        return
    assert outcome(schema, dict(found[0])) == found


@settings(max_examples=80, deadline=None)
@given(mutated(schemas), values)
def test_schema_of_a_third_party_is_used_or_refused(schema, given):
    if isinstance(schema, dict):
        outcome(schema, given)


def nodes(schema):
    """A schema and the schemas in it."""
    yield schema
    for word, inner in schema.items():
        if word in ("properties", "patternProperties", "$defs"):
            children = list(inner.values())
        elif word in ("anyOf", "oneOf", "allOf", "prefixItems"):
            children = inner
        else:
            children = [inner] if word in ("items", "additionalProperties", "if", "then") else []
        for child in children:
            if isinstance(child, dict):
                yield from nodes(child)


def visible(value, path=()):
    """The paths of all that the `repr` of options shows."""
    shown = {path}
    if isinstance(value, Options):
        for key in value.keys() - value._hidden:
            shown |= visible(value[key], (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            shown |= visible(item, (*path, index))
    return shown


@settings(max_examples=80, deadline=None)
@given(schemas, values, st.data())
def test_a_mark_or_an_unknown_word_can_only_hide_more(schema, given, data):
    before = outcome(schema, given)
    changed = copy.deepcopy(schema)
    word, value = data.draw(st.sampled_from([("writeOnly", True), ("x-unknown", 1)]))
    data.draw(st.sampled_from(list(nodes(changed))))[word] = value
    after = outcome(changed, given)
    assert (before is None) == (after is None)
    if before is not None:
        assert visible(after[0]) <= visible(before[0])
