"""Strict YAML that keeps line and column.

PyYAML parses and composes. Tags are resolved by YAML 1.2's core schema instead of YAML 1.1, so that
`on`, `no` and dates are text. Values are made here: plain data only, each key once, merge keys
(`<<`) included. Depth and the size with aliases expanded are bounded before anything is composed:
the C loader crashes the process on a hundred thousand nested brackets.

References:
    https://yaml.org/spec/1.2.2/#103-core-schema
    https://yaml.org/type/merge.html
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import yaml

from aimm_plugins._system.files import opener
from aimm_plugins.errors import ConfigError

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 100
MAX_NODES = 100_000
"""Nodes of a document with its aliases expanded."""

_MAX_DIGITS = 4000
_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"

Path = tuple[str | int, ...]
Place = tuple[int, int]


def _int(text: str) -> int:
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "null": (r"(~|null|Null|NULL)?", "~nN", lambda text: None),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF", lambda text: text[0] in "tT"),
    "int": (r"[-+]?[0-9]++|0o[0-7]++|0x[0-9a-fA-F]++", "-+0123456789", _int),
    "float": (
        r"[-+]?(\.[0-9]++|[0-9]++(\.[0-9]*+)?)([eE][-+]?[0-9]++)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
        _float,
    ),
}
"""The core schema: a pattern that takes linear time, first characters, and the value of a text."""

# The C loader is ten times faster; a PyYAML built without libyaml does not have it.
_PyYAMLLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_PyYAMLLoader):  # type: ignore[misc]  # which base it has is known at run time only
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # none of YAML 1.1


for _name, (_pattern, _first, _) in _SCALARS.items():  # in order: an integer is a float too
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"({_pattern})\Z"), [*_first, ""])
_Loader.add_implicit_resolver(_MERGE, re.compile(r"<<\Z"), ["<"])


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML document as plain data, with the places of its values; messages call it `file`."""

    data: Any
    file: str | None = None
    _values: Mapping[Path, Place] = field(default_factory=dict, repr=False)
    _keys: Mapping[Path, Place] = field(default_factory=dict, repr=False)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it but comments."""
        return not self._values

    def place(self, path: Path, *, key: bool = False) -> Place | None:
        """Line and column, from 1, of the value at a path, or of its key.

        Where the path leads to nothing, the nearest value around it counts. A merged value is
        where it was written.
        """
        path = tuple(path)
        if key and path in self._keys:
            return self._keys[path]
        while path not in self._values:
            if not path:
                return None
            path = path[:-1]
        return self._values[path]


def load_file(path: str | os.PathLike[str], *, called: str | None = None) -> Document:
    name = called or os.fspath(path)
    try:
        with open(path, "rb", opener=opener) as stream:
            content = stream.read(MAX_BYTES + 1)  # also of a pipe that a shell feeds
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"cannot be read: {reason}", file=name) from error
    return load(content, file=name)


def load(content: str | bytes, *, file: str | None = None) -> Document:
    text = _decoded(content, file)
    try:
        _check_size(text, file)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(filter(None, (error.context, error.problem)))
        if mark is not None and problem.endswith("start any token"):
            problem += f": {text[mark.index : mark.index + 1]!r}"  # often a tab
        raise _fault(f"is not YAML: {problem}", file, mark) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"is not YAML: {' '.join(str(error).split())}", file=file) from error
    if node is None or (node.tag, node.value) == (f"{_TAG}null", ""):  # "---" alone is empty too
        return Document(None, file)
    builder = _Builder(file)
    return Document(builder.build(node, ()), file, builder.values, builder.keys)


def _decoded(content: str | bytes, file: str | None) -> str:
    if len(content) > MAX_BYTES:
        raise ConfigError(f"is longer than {MAX_BYTES} bytes", file=file)
    if isinstance(content, bytes):
        try:
            content = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            column = error.start - error.object.rfind(b"\n", 0, error.start)
            raise ConfigError("is not UTF-8", file=file, line=line, column=column) from error
    return content.removeprefix("\ufeff")


def _place(node: Any) -> Place:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _fault(message: str, file: str | None, mark: Any) -> ConfigError:
    if mark is None:
        return ConfigError(message, file=file)
    return ConfigError(message, file=file, line=mark.line + 1, column=mark.column + 1)


def _check_size(text: str, file: str | None) -> None:
    """Refuse what is too deep, or too large with its aliases expanded."""
    anchors: dict[str | None, tuple[int, int]] = {}  # nodes and height of what each names
    parents: list[tuple[str | None, int, int]] = []  # anchor, nodes before it, height so far
    total = 0
    for event in yaml.parse(text, Loader=_Loader):
        nodes, height = 1, 0
        if isinstance(event, yaml.CollectionStartEvent):
            parents.append((event.anchor, total, 0))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before, inner = parents.pop()
            nodes, height = 0, inner + 1
            anchors[anchor] = (total - before, height)
        elif isinstance(event, yaml.ScalarEvent):
            anchors[event.anchor] = (1, 0)
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _, _ in parents):
                raise _fault(f"*{event.anchor} stands within itself", file, event.start_mark)
            nodes, height = anchors.get(event.anchor, (1, 0))
        else:
            continue
        total += nodes
        if parents:
            anchor, before, inner = parents[-1]
            parents[-1] = (anchor, before, max(inner, height))
        if len(parents) + height > MAX_DEPTH:
            raise _fault(f"is nested deeper than {MAX_DEPTH}", file, event.start_mark)
        if total > MAX_NODES:
            raise _fault(
                f"has more than {MAX_NODES} values, aliases expanded", file, event.start_mark
            )


class _Builder:
    """Makes plain data of nodes, and notes where each was written."""

    def __init__(self, file: str | None) -> None:
        self._file = file
        self.values: dict[Path, Place] = {}
        self.keys: dict[Path, Place] = {}

    def build(self, node: Any, path: Path) -> Any:
        self.values[path] = _place(node)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, "seq")
            return [self.build(child, (*path, index)) for index, child in enumerate(node.value)]
        result: dict[str, Any] = {}
        for key, (key_node, value_node) in self._entries(node).items():
            self.keys[(*path, key)] = _place(key_node)
            result[key] = self.build(value_node, (*path, key))
        return result

    def _entries(self, node: Any) -> dict[str, tuple[Any, Any]]:
        """The key and value nodes of a mapping, those that it merges first."""
        self._check_tag(node, "map")
        own: dict[str, tuple[Any, Any]] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key in own:
                line, column = _place(own[key][0])
                raise self._error(
                    f"key {key!r} stands twice; the first is at line {line}, column {column}",
                    key_node,
                )
            own[key] = (key_node, value_node)
        if "<<" in own and own["<<"][0].tag == _MERGE:
            _, merged = own.pop("<<")
            return {**self._merged(merged), **own}
        return own

    def _merged(self, node: Any) -> dict[str, tuple[Any, Any]]:
        entries: dict[str, tuple[Any, Any]] = {}
        sources = [node]
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, "seq")
            sources = node.value
        for source in reversed(sources):  # an earlier mapping wins over a later one
            if not isinstance(source, yaml.MappingNode):
                raise self._error("'<<' takes a mapping or a list of mappings", source)
            entries |= self._entries(source)
        return entries

    def _key(self, node: Any) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error("a key is text, not a list or a mapping", node)
        key = self._scalar(node)
        if not isinstance(key, str):
            raise self._error(f"key {node.value!r} is not text; put it in quotes", node)
        return key

    def _scalar(self, node: Any) -> Any:
        text: str = node.value
        name = node.tag.removeprefix(_TAG)
        if name == "str" or (name == "merge" and text == "<<"):
            return text
        if name not in _SCALARS:
            raise self._error(f"tag {node.tag!r} is not allowed here", node)
        pattern, _, value = _SCALARS[name]
        if not re.fullmatch(pattern, text):  # the tag was written
            raise self._error(f"{text[:60]!r} is no {name}", node)
        if name == "int" and len(text) > _MAX_DIGITS:
            raise self._error(f"a number of more than {_MAX_DIGITS} digits", node)
        return value(text)

    def _check_tag(self, node: Any, plain: str) -> None:
        if node.tag != _TAG + plain:
            raise self._error(f"tag {node.tag!r} is not allowed here", node)

    def _error(self, message: str, node: Any) -> ConfigError:
        return _fault(message, self._file, node.start_mark)
