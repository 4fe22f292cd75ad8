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


def _timed(count: int, declare: Callable[[str, Any], object]) -> float:
    keys, made = [f"model.{number}" for number in range(count)], functions(count)
    begin = process_time_ns()
    for key, function in zip(keys, made, strict=True):
        declare(key, function)
    return process_time_ns() - begin


def by_hand(count: int) -> float:
    """Declarations outside any loading, each callable at once; nanoseconds."""
    return _timed(count, lambda key, function: aimm_plugins.fit([key])(function))


def named(count: int) -> float:
    """The same with the name of an argument; nanoseconds."""
    return _timed(
        count,
        lambda key, function: aimm_plugins.fit([key], instance_arg_name="instance")(function),
    )


def original(count: int) -> float:
    """The same by the original; nanoseconds."""
    from aimm import plugins

    return _timed(count, lambda key, function: plugins.fit([key])(function))


def catalogue(count: int) -> float:
    """The same by catalogue, which fills a dict; nanoseconds."""
    import catalogue

    registry: Any = catalogue.create("aimm", "fit")
    return _timed(count, lambda key, function: registry.register(key)(function))


def many_keys(count: int) -> float:
    """One declaration with so many keys; nanoseconds."""
    keys, (made,) = [f"model.{number}" for number in range(count)], functions(1)
    begin = process_time_ns()
    aimm_plugins.fit(keys)(made)
    return process_time_ns() - begin


def filled_dict(count: int) -> float:
    """So many keys in a dict; nanoseconds."""
    keys, (made,) = [f"model.{number}" for number in range(count)], functions(1)
    found = {}
    begin = process_time_ns()
    for key in keys:
        found[key] = made
    return process_time_ns() - begin


def unloaded(count: int) -> float:
    """Forgetting so many declarations; nanoseconds."""
    aimm_plugins.unload_all()  # its first call imports what a start takes
    by_hand(count)
    begin = process_time_ns()
    aimm_plugins.unload_all()
    return process_time_ns() - begin


OTHERS = (original, catalogue, filled_dict, unloaded)
"""After these nothing is registered."""


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
    expected = 0 if globals()[sys.argv[1]] in OTHERS else count
    if len(aimm_plugins.providers("fit")) != expected:
        sys.exit("not all declarations are registered")
