"""Bound what a plugin's schema can cost.

A schema is data of a third party, and `plan` reads it before anybody has decided to run the
plugin. References that double, lists that are compared and regular expressions that backtrack make
years of a few bytes.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.published import PublishedOptions
from aimm_plugins._system import ceilings
from aimm_plugins._values.report import Finding

_SEARCHING_KEYS = {"patternProperties", "additionalProperties", "unevaluatedProperties"}


# WebAssembly has one thread.
thread_time = getattr(time, "thread_time", time.process_time)


class BeyondLimitError(Exception):
    """A schema is too large, or takes too much; its text says what of it."""


class UnjudgedError(Exception):
    """It might take too long, so that nothing is judged while nothing is loaded."""


class OutOfTimeError(UnjudgedError):
    """The time is over that there is while nothing is loaded."""


class Allowance:
    """Processor time for the schemas of each distribution while nothing is loaded."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._passed_over: dict[Distribution, list[PublishedOptions]] = {}

    @property
    def findings(self) -> list[Finding]:
        """The distributions whose schemas took more, so that not all of them were looked at."""
        return [
            Finding(
                "options-not-checked",
                distribution.subject,
                f"the schemas of its options take more than {ceilings.SCHEMA_SECONDS:g} seconds: "
                + f"{first}"
                + (f" and {len(others)} more are" if others else " is")
                + " not looked at before the plugins are loaded",
                first.place,
                "Tell its author, or deny the distribution.",
            )
            for distribution, (first, *others) in self._passed_over.items()
        ]

    @contextmanager
    def of(self, published: PublishedOptions) -> Generator[None]:
        """Count the time of the block; raise where others of the distribution took all of it."""
        owner = published.distribution
        spent = self._seconds.get(owner.key, 0.0)
        start = thread_time()
        try:
            if spent > ceilings.SCHEMA_SECONDS:
                raise OutOfTimeError(
                    f"others of {owner.who} take more than {ceilings.SCHEMA_SECONDS:g} seconds"
                )
            yield
        except OutOfTimeError:
            self._passed_over.setdefault(owner, []).append(published)
            raise
        finally:
            self._seconds[owner.key] = spent + thread_time() - start


class Limit:
    """The steps of one check; while only `looking`, its time and its patterns too."""

    def __init__(self, document: dict[str, Any], values: Any = None, *, looking: bool) -> None:
        count = sum(1 for _ in nodes(values))
        self._left = ceilings.SCHEMA_STEPS + ceilings.SCHEMA_STEPS_OF_VALUE * count
        self._end = thread_time() + ceilings.SCHEMA_SECONDS if looking else math.inf
        self._looking = looking
        self._depth = 0
        texts = [node.get("pattern") for node in mappings(document)]
        self._patterns = [text for text in texts if isinstance(text, str)]
        self._key_patterns = [
            pattern for node in mappings(document) for pattern in node.get("patternProperties", ())
        ]

    def check(self, steps: int = 1) -> None:
        """Take some steps, or raise `BeyondLimitError` or `OutOfTimeError`."""
        self._left -= steps
        if self._left < 0:
            raise BeyondLimitError(f"it takes more than {ceilings.SCHEMA_STEPS:,} steps to check")
        if self._looking and thread_time() > self._end:
            raise OutOfTimeError(f"the check takes more than {ceilings.SCHEMA_SECONDS:g} seconds")

    def compile_patterns(self) -> None:
        """Raise `re.error` for a pattern that cannot be read; long ones are passed over."""
        for pattern in self._patterns + self._key_patterns:
            self.check(len(pattern))
            if most_steps(pattern, 0) < math.inf:
                re.compile(pattern)

    def applied(self, word: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A keyword's function of jsonschema that counts its steps and its depth first."""

        def limited(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
            self.check(1 + len(value) // 100 if isinstance(value, list | dict) else 1)
            if self._depth >= ceilings.SCHEMA_DEPTH:
                raise BeyondLimitError(
                    f"it leads in a circle, or more than {ceilings.SCHEMA_DEPTH} levels deep"
                )
            if self._looking and word == "pattern" and isinstance(instance, str):
                _check_patterns([str(value)], [instance])
            if self._looking and word in _SEARCHING_KEYS and isinstance(instance, dict):
                _check_patterns(self._key_patterns, list(instance))
            self._depth += 1
            try:
                yield from function(validator, value, instance, schema) or ()
            finally:
                self._depth -= 1

        return limited


def _check_patterns(patterns: list[str], texts: list[str]) -> None:
    longest = max(map(len, texts), default=0)
    for pattern in patterns:
        if most_steps(pattern, longest) > ceilings.PATTERN_STEPS:
            raise UnjudgedError(f"its pattern {pattern[:100]!r} might take too long")


def most_steps(pattern: str, length: int) -> float:
    """An upper bound of how often a search tries: each repeat any length, each choice both ways."""
    if len(pattern) > ceilings.PATTERN_LETTERS:
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


def check_size(document: dict[str, Any]) -> None:
    """Raise `BeyondLimitError` for a schema that is too large to be used."""
    if any(True for _ in islice(nodes(document), ceilings.SCHEMA_VALUES, None)):
        raise BeyondLimitError(f"it has more than {ceilings.SCHEMA_VALUES} values")
    depth, level = -1, [document]
    while level:
        depth, level = depth + 1, [child for node in level for child in _children(node)]
    if depth > ceilings.SCHEMA_DEPTH:
        raise BeyondLimitError(f"it is nested deeper than {ceilings.SCHEMA_DEPTH} levels")
    for node in nodes(document):
        # Lists are compared item by item: texts or numbers alone are sorted first.
        if isinstance(node, list) and len(node) > ceilings.SCHEMA_LIST:
            kinds = {"a number" if type(item) in (int, float) else type(item) for item in node}
            if len(kinds) > 1 or not kinds <= {str, "a number"}:
                size = f"{ceilings.SCHEMA_LIST} items"
                raise BeyondLimitError(f"it has a list of more than {size} that are not all texts")


def nodes(value: Any) -> Iterator[Any]:
    stack = [value]
    while stack:
        node = stack.pop()
        yield node
        stack += _children(node)


def _children(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def mappings(document: Any) -> Iterator[dict[str, Any]]:
    return (node for node in nodes(document) if isinstance(node, dict))
