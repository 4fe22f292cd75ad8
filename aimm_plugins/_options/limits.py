"""Bound what a plugin's schema can cost.

A schema is data of a third party, and `plan` reads it before anybody has decided to run the
plugin. References that double, lists that are compared and regular expressions that backtrack make
years of a few bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from time import thread_time
from typing import Any

MAX_BYTES = 1024 * 1024
MAX_VALUES = 4_000
"""Values in a schema: holding 4,000 against the schema of schemas takes up to 3 seconds."""

MAX_SECONDS = 2.0
"""Processor time for one check of options, which takes milliseconds."""

_MAX_STEPS = 10_000_000
"""Steps of one search by a pattern, each 1 to 30 ns."""

_SEARCHING_KEYS = {"patternProperties", "additionalProperties", "unevaluatedProperties"}


class TooSlowError(Exception):
    """A check was given up after `MAX_SECONDS`."""


class UnjudgedError(Exception):
    """A pattern might take too long, so that nothing is judged while nothing is loaded."""


class Limit:
    """The processor time of one check.

    Args:
        document: The schema.
        looking: Whether nothing will be loaded. A plugin that is loaded may take its time.
    """

    def __init__(self, document: dict[str, Any], *, looking: bool) -> None:
        self._end = thread_time() + MAX_SECONDS
        self._looking = looking
        texts = [node.get("pattern") for node in mappings(document)]
        self._patterns = [text for text in texts if isinstance(text, str)]
        self._key_patterns = [
            pattern for node in mappings(document) for pattern in node.get("patternProperties", ())
        ]

    def check(self) -> None:
        """Raise `TooSlowError` when the time is over."""
        if thread_time() > self._end:
            raise TooSlowError

    def compile_patterns(self) -> None:
        """Raise `re.error` for a pattern that cannot be read; long ones are passed over."""
        for pattern in self._patterns + self._key_patterns:
            self.check()
            if most_steps(pattern, 0) < math.inf:
                re.compile(pattern)

    def applied(self, word: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A keyword's function of jsonschema that asks for the time first."""

        def limited(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
            self.check()
            if self._looking and word == "pattern" and isinstance(instance, str):
                _check_patterns([value], [instance])
            if self._looking and word in _SEARCHING_KEYS and isinstance(instance, dict):
                _check_patterns(self._key_patterns, list(instance))
            return function(validator, value, instance, schema)

        return limited


def _check_patterns(patterns: list[str], texts: list[str]) -> None:
    longest = max(map(len, texts), default=0)
    for pattern in patterns:
        if most_steps(pattern, longest) > _MAX_STEPS:
            raise UnjudgedError(f"its pattern {pattern[:100]!r} might take too long")


def most_steps(pattern: str, length: int) -> float:
    """An upper bound of how often a search tries: each repeat any length, each choice both ways."""
    if len(pattern) > 1000:
        return math.inf
    bare = re.sub(r"(?s)\\.|\[\^?\]?(\\.|[^\]\\])*+\]", "x", pattern)  # escapes and classes
    if re.search(r"\)[*+{]|\(\?[^:=!<P]", bare):  # a repeated group, or what may hide one
        return math.inf
    bare = re.sub(r"\{\d+\}", "", bare).replace("(?", "")
    anchored = bare.startswith("^") and "|" not in bare
    repeats = len(re.findall(r"[*+{]", bare)) + (0 if anchored else 1)
    choices = bare.count("?") + bare.count("|")
    steps: int = (length + 1) ** repeats * 2**choices
    return steps


def nodes(value: Any) -> Iterator[Any]:
    """All values in a document, the document first."""
    stack = [value]
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, dict):
            stack += node.values()
        elif isinstance(node, list):
            stack += node


def mappings(document: Any) -> Iterator[dict[str, Any]]:
    """All mappings in a document, the document first."""
    return (node for node in nodes(document) if isinstance(node, dict))
