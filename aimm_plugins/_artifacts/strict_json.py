"""JSON as artifacts hold it: strict, of limited depth, read in time linear in its length."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NoReturn

from aimm_plugins.errors import spell_path

_DEPTH_LIMIT = 64


def plain(value: object, path: tuple[str | int, ...]) -> Any:
    """A copy of a value as JSON has it: dicts, lists, text, numbers, booleans and `None`.

    Raises:
        TypeError: It is no JSON.
        ValueError: It is nested too deep, or holds a number or text that JSON has no word for.
    """
    if len(path) > _DEPTH_LIMIT + 1:
        raise ValueError(f"{path[0]} is nested deeper than {_DEPTH_LIMIT}")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if re.search("[\ud800-\udfff]", value):
            raise ValueError(f"{spell_path(path)} holds half a surrogate pair, which is no text")
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if value - value != 0:
            raise ValueError(f"{spell_path(path)} is {value}, which JSON has no word for")
        return float(value)
    if isinstance(value, list | tuple):
        return [plain(item, (*path, index)) for index, item in enumerate(value)]
    if not isinstance(value, Mapping):
        raise TypeError(f"{spell_path(path)} is a {type(value).__name__}, which is no JSON")
    copy = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise TypeError(f"{spell_path(path)} has the key {key!r}; keys of JSON are text")
        copy[plain(key, path)] = plain(item, (*path, key))
    return copy


def parsed(text: bytes, what: str) -> dict[str, Any]:
    """The mapping in a JSON text; `what` it is, for messages.

    Raises:
        ValueError: It is no mapping, a key is there twice, or `plain` refuses it.
        RecursionError: It is nested deeper than Python reads.
    """
    import json

    loaded = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_no_number)
    if not isinstance(loaded, dict):
        raise ValueError("it is no mapping")
    copy: dict[str, Any] = plain(loaded, (what,))
    return copy


def _unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) != len(items):
        raise ValueError("a key is there twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
