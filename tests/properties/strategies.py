"""What property tests draw."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

# Data that a schema describes, and data that differs from it in one place.

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(-2, 2)
    | st.sampled_from(["", "a", "x-own", "fit:k", "a>=1", "strict", "\n"])
)

anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
    ),
    max_leaves=4,
)


def of_schema(schema: Mapping[str, Any], root: Mapping[str, Any] | None = None) -> Any:
    """Values that mostly fit a schema: what its keywords ask for, by the simplest reading.

    Understands the keywords that our schemas use. A value may still fail (a pattern, `not`), so
    ask the schema itself for the verdict.
    """
    root = schema if root is None else root
    if "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return of_schema(target, root)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return st.one_of([of_schema(each, root) for each in schema[word]])
    kinds = schema.get("type")
    if kinds is None:
        kinds = "object" if "properties" in schema else []
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not kinds:
        return anything
    return st.one_of([_of_type(kind, schema, root) for kind in kinds])


def _of_type(kind: str, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    if kind == "object":
        return _objects(schema, root)
    if kind == "array":
        items = of_schema(schema["items"], root) if "items" in schema else anything
        return st.lists(items, max_size=3)
    if kind == "string":
        return _texts(schema)
    return {
        "boolean": st.booleans(),
        "null": st.none(),
        "integer": st.integers(schema.get("minimum", -5), schema.get("maximum", 1000)),
        "number": st.integers(schema.get("minimum", -5), schema.get("maximum", 1000))
        | st.floats(schema.get("minimum", -5), schema.get("maximum", 1000)),
    }[kind]


def _objects(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    known = st.fixed_dictionaries(
        {name: of_schema(properties[name], root) for name in required if name in properties},
        optional={
            name: of_schema(child, root)
            for name, child in properties.items()
            if name not in required
        },
    )
    more = schema.get("additionalProperties", {})
    parts = [known]
    if more is not False:
        names = (
            st.sampled_from(["k", "fit:k", "aimm-dist", "a.b"])
            if "propertyNames" in schema or more
            else st.sampled_from("abc")
        )
        values = anything if more in (True, {}) else of_schema(more, root)
        parts.append(st.dictionaries(names, values, max_size=2))
    if "^x-" in schema.get("patternProperties", {}):
        parts.append(st.dictionaries(st.sampled_from(["x-", "x-own"]), anything, max_size=1))

    def merged(drawn: tuple[dict[str, Any], ...]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for part in reversed(drawn):
            result.update(part)
        return result

    return st.tuples(*parts).map(merged)


def _texts(schema: Mapping[str, Any]) -> Any:
    shaped = st.from_regex(schema["pattern"]) if "pattern" in schema else st.nothing()
    plain = st.sampled_from(["a", "aimm-x", "a.b", "A_b", "a>=1,<2", "a ~= 1.4", "out.csv"])
    least = schema.get("minLength", 0)
    return plain | shaped | st.text(min_size=least, max_size=4)


@st.composite
def mutated(draw: Any, values: Any) -> Any:
    """A drawn value with one change somewhere: another value, a key or an item more or less."""
    value = copy.deepcopy(draw(values))
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        children: Any = ()
        if isinstance(node, dict):
            children = node.items()
        elif isinstance(node, list):
            children = enumerate(node)
        for key, child in list(children):
            places.append((node, key))
            walk(child)

    walk(value)
    change = draw(st.sampled_from(["replace", "remove", "add"]))
    if not places:
        return draw(anything)
    node, key = draw(st.sampled_from(places))
    if change == "replace":
        node[key] = draw(anything)
    elif change == "remove":
        del node[key]
    elif isinstance(node, dict):
        near = [name + "s" for name in node] + ["x-more", "own", ""]
        node[draw(st.sampled_from(near))] = draw(anything)
    else:
        node.append(draw(anything))
    return value


# JSON-like data, and text that is nearly YAML.

json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)

_PIECES = """
- |: |<<: |&a |*a |!!|!!int |!!str |!!set |!!timestamp |!!binary |!!python/name:os.system |on|no
2026-13-45|0x1f|0o17|1e3|.inf|.nan|1_0|1:30|null|---|...|%YAML 1.1|\\u0041
"""
yaml_like = st.text(max_size=40) | st.lists(
    st.sampled_from("[]{}:,-?&*!|>%@`\"'#~ \n\t.0189aeonxy_+<=\r\0\ufeff\x85\u2028é")
    | st.sampled_from(_PIECES.replace("\n", "|").split("|")),
    max_size=25,
).map("".join)


# Confs of the original's page, which knew `names` alone.


def names_only(modules: list[str]) -> Any:
    """Confs with no other key, doubles included."""
    return st.fixed_dictionaries({"names": st.lists(st.sampled_from(modules), max_size=6)})
