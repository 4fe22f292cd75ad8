"""Finds the entry points of a group once, in one of several ways; prints nanoseconds of CPU time.

Run as a script with the name of the way and the number of entry points to be found. The way's own
modules are imported before the clock starts; what it imports when asked counts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import process_time_ns
from typing import Any

GROUP = "aimm.plugins"


def ours() -> Callable[[], int]:
    """This package's discovery."""
    from aimm_plugins._discovery import scan as _discovery

    def find() -> int:
        return len(_discovery.scan().candidates)

    return find


def backport() -> Callable[[], int]:
    """The backport of the standard library's metadata."""
    import importlib_metadata

    return lambda: len(importlib_metadata.entry_points(group=GROUP))


def standard() -> Callable[[], int]:
    """The standard library."""
    import importlib.metadata

    return lambda: len(importlib.metadata.entry_points(group=GROUP))


def stevedore() -> Callable[[], int]:
    """stevedore, with its disk cache warm."""
    from stevedore import _cache

    # stevedore writes no cache where the interpreter lies below /tmp; the comparison is with it.
    _cache._c._disable_caching = False
    return lambda: len(_cache.get_group_all(GROUP))


def catalogue() -> Callable[[], int]:
    """catalogue, which reads all metadata when it is imported."""
    import importlib.metadata  # noqa: F401  # would be counted with the import below

    def find() -> int:
        import catalogue

        registry: Any = catalogue.create(GROUP, entry_points=True)
        return len(registry._get_entry_points())

    return find


def plux() -> Callable[[], int]:
    """plux, with its disk cache warm."""
    from plux.runtime.cache import EntryPointsCache

    return lambda: len(EntryPointsCache.instance().get_entry_points()[GROUP])


if __name__ == "__main__":
    find: Callable[[], int] = globals()[sys.argv[1]]()
    begin = process_time_ns()
    count = find()
    took = process_time_ns() - begin
    if count < int(sys.argv[2]):
        sys.exit(f"{sys.argv[1]} found {count} entry points of {sys.argv[2]}")
    print(took)
