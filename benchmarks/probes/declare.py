"""Declares functions; prints nanoseconds of CPU time or bytes.

Run as a script with what to do and how many.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from time import process_time_ns
from typing import Any

import aimm_plugins


def functions(count: int) -> list[Callable[[Any], Any]]:
    """As many different functions."""

    def make() -> Callable[[Any], Any]:
        def fit(instance: Any) -> Any:
            return instance

        return fit

    return [make() for _ in range(count)]


def by_hand(count: int) -> float:
    """Declarations outside any loading, each callable at once; nanoseconds."""
    keys, made = [f"model.{number}" for number in range(count)], functions(count)
    begin = process_time_ns()
    for key, function in zip(keys, made, strict=True):
        aimm_plugins.fit([key])(function)
    return process_time_ns() - begin


def by_initialize(count: int) -> float:
    """A module that declares them all, loaded by `initialize`; nanoseconds."""
    begin = process_time_ns()
    aimm_plugins.initialize(
        {"names": [f"bench_declares_{count}"], "entry_points": {"enabled": False}}
    )
    return process_time_ns() - begin


def memory(count: int) -> float:
    """Memory that a declaration keeps beside its key and function; bytes."""
    return _memory(count, call=False)


def memory_called(count: int) -> float:
    """The same after each was called once; bytes."""
    return _memory(count, call=True)


def _memory(count: int, *, call: bool) -> float:
    keys, made = [f"model.{number}" for number in range(count)], functions(count)
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for key, function in zip(keys, made, strict=True):
        aimm_plugins.fit([key])(function)
    if call:
        for key in keys:
            aimm_plugins.exec_fit(key, None)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    return (after - before) / count


if __name__ == "__main__":
    count = int(sys.argv[2])
    print(globals()[sys.argv[1]](count))
    if len(aimm_plugins.providers("fit")) != count:
        sys.exit("not all declarations are registered")
