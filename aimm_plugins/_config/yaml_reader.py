"""Strict YAML that keeps line and column.

PyYAML is asked for events and for nodes only; values are made here, by the YAML 1.2 core schema:
`on`, `no` and dates are text, a key stands once, and nothing but plain data comes out. Depth and
alias expansion are counted on the events, before anything is composed: the C loader crashes the
process on a hundred thousand nested brackets.

Reference: https://yaml.org/spec/1.2.2/#103-core-schema
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from aimm_plugins._system.files import opener
from aimm_plugins.errors import ConfigError

# The C loader is ten times faster; a PyYAML built without libyaml does not have it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 100
MAX_NODES = 100_000
"""Nodes of a document with its aliases expanded."""

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"[-+]?(\.inf|\.Inf|\.INF)")
_MAX_DIGITS = 4000
_TAG = "tag:yaml.org,2002:"
_CORE = ("null", "bool", "int", "float", "str", "seq", "map")

Path = tuple[str | int, ...]
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML document as plain data, with the places of its values.

    Attributes:
        data: Made of dict, list, str, int, float, bool and None.
        file: What messages call the document.
    """

    data: Any
    file: str | None = None
    _values: Mapping[Path, Place] = field(default_factory=dict, repr=False)
    _keys: Mapping[Path, Place] = field(default_factory=dict, repr=False)

    def place(self, path: Path, *, key: bool = False) -> Place | None:
        """Line and column, from 1, of the value at a path, or of its key.

        Where the path leads to nothing, the nearest value around it counts.
        """
        path = tuple(path)
        if key and path in self._keys:
            return self._keys[path]
        while path not in self._values:
            if not path:
                return None
            path = path[:-1]
        return self._values[path]


def load_file(path: str | os.PathLike[str]) -> Document:
    """Read a YAML file.

    Args:
        path: The file; UTF-8, with or without a byte order mark, at most `MAX_BYTES` long.

    Raises:
        ConfigError: It cannot be read, or is not plain YAML.
    """
    name = os.fspath(path)
    try:
        with open(name, "rb", opener=opener) as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"cannot be read: {reason}", file=name) from error
    return load(content, file=name)


def load(content: str | bytes, *, file: str | None = None) -> Document:
    """Read YAML text.

    Args:
        content: One document.
        file: What messages call it.

    Raises:
        ConfigError: It is not plain YAML; with line and column.
    """
    text = _decoded(content, file)
    try:
        _count(text, file)
        # The event pass has bounded what this composes.
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "is not YAML"
        raise _fault(f"is not YAML: {problem}", file, mark) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"is not YAML: {' '.join(str(error).split())}", file=file) from error
    builder = _Builder(file)
    data = None if node is None else builder.build(node, ())
    return Document(data, file, builder.values, builder.keys)


def _decoded(content: str | bytes, file: str | None) -> str:
    if len(content) > MAX_BYTES:
        raise ConfigError(f"is longer than {MAX_BYTES} bytes", file=file)
    if isinstance(content, bytes):
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            column = error.start - (content.rfind(b"\n", 0, error.start) + 1) + 1
            raise ConfigError("is not UTF-8", file=file, line=line, column=column) from error
    else:
        text = content
    return text.removeprefix("\ufeff")


def _fault(message: str, file: str | None, mark: Any) -> ConfigError:
    if mark is None:
        return ConfigError(message, file=file)
    return ConfigError(message, file=file, line=mark.line + 1, column=mark.column + 1)


def _count(text: str, file: str | None) -> None:
    """Refuse what is too deep or grows too large by its aliases."""
    sizes: dict[str, int] = {}
    heights: dict[str, int] = {}
    # For each open collection: anchor, values before it, greatest height of what it holds.
    stack: list[tuple[str | None, int, int]] = []
    total = 0
    for event in yaml.parse(text, Loader=_Loader):
        height = 0
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _, _ in stack):
                raise _fault(f"*{event.anchor} stands within itself", file, event.start_mark)
            total += sizes.get(event.anchor or "", 1)
            height = heights.get(event.anchor or "", 0)
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor is not None:
                sizes[event.anchor], heights[event.anchor] = 1, 0
        elif isinstance(event, yaml.CollectionStartEvent):
            stack.append((event.anchor, total, 0))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before, inner = stack.pop()
            height = inner + 1
            if anchor is not None:
                sizes[anchor], heights[anchor] = total - before, height
        else:
            continue
        if stack:
            anchor, before, inner = stack[-1]
            stack[-1] = (anchor, before, max(inner, height))
        if len(stack) + height > MAX_DEPTH:
            raise _fault(f"is nested deeper than {MAX_DEPTH}", file, event.start_mark)
        if total > MAX_NODES:
            raise _fault(
                f"has more than {MAX_NODES} values, aliases expanded", file, event.start_mark
            )


class _Builder:
    """Makes plain data of nodes and notes where each stood."""

    def __init__(self, file: str | None) -> None:
        self._file = file
        self.values: dict[Path, Place] = {}
        self.keys: dict[Path, Place] = {}

    def build(self, node: Any, path: Path) -> Any:
        self.values[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self._check_tag(node, "map" if isinstance(node, yaml.MappingNode) else "seq")
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*path, index)) for index, child in enumerate(node.value)]
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            here = (*path, key)
            if key in result:
                line, column = self.keys[here]
                raise _fault(
                    f"key {key!r} stands twice; the first is at line {line}, column {column}",
                    self._file,
                    key_node.start_mark,
                )
            self.keys[here] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            result[key] = self.build(value_node, here)
        return result

    def _key(self, node: Any) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise _fault("a key is text, not a list or a mapping", self._file, node.start_mark)
        if not node.style and node.value == "<<":
            raise _fault("merge keys are not supported", self._file, node.start_mark)
        key = self._scalar(node)
        if not isinstance(key, str):
            raise _fault(
                f"key {node.value!r} is not text; put it in quotes", self._file, node.start_mark
            )
        return key

    def _check_tag(self, node: Any, plain: str) -> None:
        if node.tag not in (_TAG + plain, "!"):
            raise _fault(f"tag {node.tag!r} is not allowed here", self._file, node.start_mark)

    def _scalar(self, node: Any) -> Any:
        """A scalar's value. PyYAML has resolved its tag by YAML 1.1, which counts only if written.

        That a tag was written shows in a tag other than what PyYAML would have resolved.
        """
        text: str = node.value
        quoted = bool(node.style)  # the C loader says "" for a plain scalar, the other one None
        resolver: Any = yaml.SafeLoader.yaml_implicit_resolvers
        resolved = _TAG + "str"
        if not quoted:
            for tag, pattern in (*resolver.get(text[:1], ()), *resolver.get(None, ())):
                if pattern.match(text):
                    resolved = tag
                    break
        if node.tag in (resolved, "!"):
            return text if quoted or node.tag == "!" else self._plain(text, node)
        name = node.tag.removeprefix(_TAG)
        if name == "str":
            return text
        if name in _CORE:
            value = self._plain(text, node)
            fits = {
                "null": value is None,
                "bool": isinstance(value, bool),
                "int": isinstance(value, int) and not isinstance(value, bool),
                "float": isinstance(value, int | float) and not isinstance(value, bool),
            }
            if fits.get(name):
                return float(value) if name == "float" else value
            raise _fault(f"{text!r} is no {name}", self._file, node.start_mark)
        raise _fault(f"tag {node.tag!r} is not allowed here", self._file, node.start_mark)

    def _plain(self, text: str, node: Any) -> Any:
        if text in ("", "~", "null", "Null", "NULL"):
            return None
        if text in ("true", "True", "TRUE"):
            return True
        if text in ("false", "False", "FALSE"):
            return False
        if _INT.fullmatch(text):
            if len(text) > _MAX_DIGITS:
                raise _fault(
                    f"a number of more than {_MAX_DIGITS} digits", self._file, node.start_mark
                )
            base = {"0o": 8, "0x": 16}.get(text[:2], 10)
            return int(text, base)
        if _FLOAT.fullmatch(text):
            return float(text)
        if _INFINITY.fullmatch(text):
            return -math.inf if text.startswith("-") else math.inf
        if text in (".nan", ".NaN", ".NAN"):
            return math.nan
        return text
