"""What this side of a connection is: for both the host and a process."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

from aimm_plugins._environments.payload import pack

VERSION = sys.version.partition(" ")[0]
"""Of Python."""


@cache
def has_arrow() -> bool:
    """Whether tables can travel as Arrow."""
    return importlib.util.find_spec("pyarrow") is not None


def python_here() -> str:
    """The Python of this process, for messages."""
    return f"Python {VERSION}"


def culprit(
    instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], reducers: Mapping[type, Any]
) -> str:
    """Which of the things to be sent cannot be, with its class."""
    named = [("the instance", instance)]
    named += [(f"argument {place}", value) for place, value in enumerate(args, start=1)]
    named += [(f"argument {name!r}", value) for name, value in kwargs.items()]
    for name, value in named:
        try:
            pack(value, reducers=reducers)
        except Exception:
            kind = type(value)
            return f"{name}, an object of {kind.__module__}.{kind.__qualname__},"
    return "an argument"
