"""What property tests draw."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
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


# Installed environments, as far as their metadata goes.

NAMES = ("pkg", "Pkg", "my-pkg", "My_Pkg", "my.pkg", "my__pkg", "other", "a.b-c", "x1")
_VALUES = ("m", "pkg.mod", "m:f", "pkg.mod : Cls.run", "m:f [extra]", "m [a, b]", "m:f[x]", "_a.b2")
_BROKEN = ("1m", "m:", "a-b", ".m", "m n", "")
_KEYS = ("a", "iris.svc", "my model", "a:b", "ä", "[x", "x]")


@dataclass(frozen=True)
class Info:
    """One dist-info or egg-info.

    Attributes:
        name: As the file name spells the distribution.
        version: Part of the file name.
        suffix: `.dist-info` or `.egg-info`, in some case.
        stated: The name in its metadata.
        text: Of its entry_points.txt; `None` for no such file.
    """

    name: str
    version: str
    suffix: str
    stated: str
    text: str | None


@st.composite
def lines(draw: st.DrawFn) -> str:
    """A line of entry_points.txt, for most groups that a stranger would pass over too."""
    kind = draw(st.sampled_from(("entry", "entry", "entry", "broken", "section", "noise")))
    pad = draw(st.sampled_from(("", " ", "\t", "  ")))
    if kind == "section":
        groups = (
            "aimm.plugins",
            "console_scripts",
            "aimm.plugins.fit",
            "Aimm.Plugins",
            " aimm.plugins",
        )
        return f"{pad}[{draw(st.sampled_from(groups))}]{pad}"
    if kind == "noise":
        return draw(st.sampled_from(("", "   ", "# a = m", "\t# comment", "#")))
    equals = draw(st.sampled_from(("=", " = ", "= ", "\t=")))
    value = draw(st.sampled_from(_VALUES if kind == "entry" else _BROKEN))
    return f"{pad}{draw(st.sampled_from(_KEYS))}{equals}{value}{pad}"


@st.composite
def infos(draw: st.DrawFn) -> Info:
    """A dist-info or egg-info of a few names, so that doubles are frequent."""
    name = draw(st.sampled_from(NAMES))
    end = draw(st.sampled_from(("\n", "\r\n")))
    text = draw(st.none() | st.lists(lines(), max_size=5).map(end.join))
    if text is not None and draw(st.booleans()):
        text = f"[aimm.plugins]{end}{text}"
    return Info(
        # A file name holds no dash within the name.
        name=name.replace("-", "_"),
        version=draw(st.sampled_from(("1.0", "2.0", "2.0-py3.11"))),
        suffix=draw(st.sampled_from((".dist-info", ".dist-info", ".egg-info", ".Dist-Info"))),
        stated=draw(st.sampled_from((name, name, "else"))),
        text=text,
    )


def folders() -> st.SearchStrategy[list[list[Info]]]:
    """A few site folders."""
    return st.lists(st.lists(infos(), max_size=4), min_size=1, max_size=2)


def write(root: Path, content: list[list[Info]]) -> list[str]:
    """Write site folders into `root`, and return their paths in order."""
    paths = []
    for index, site in enumerate(content):
        folder = root / f"site{index}"
        folder.mkdir()
        for info in site:
            place = folder / f"{info.name}-{info.version}{info.suffix}"
            if place.exists():
                continue
            place.mkdir()
            file = "PKG-INFO" if info.suffix == ".egg-info" else "METADATA"
            (place / file).write_text(f"Name: {info.stated}\nVersion: {info.version}\n")
            if info.text is not None:
                (place / "entry_points.txt").write_bytes(info.text.encode())
        paths.append(str(folder))
    return paths


def files() -> st.SearchStrategy[Mapping[str, bytes]]:
    """The files of a package."""
    names = ("__init__.py", "a.py", "b.py", "sub/__init__.py", "sub/c.py", "data.bin")
    return st.dictionaries(st.sampled_from(names), st.binary(max_size=20), min_size=1)
