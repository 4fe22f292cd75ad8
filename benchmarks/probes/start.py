"""Starts a host, by this package or by hand; prints nanoseconds of CPU time.

Run as a script with the name of the way and a number of plugin modules.
"""

import os
import sys
from time import process_time_ns

# No typing, no dataclasses: whatever this script imports, the measured code gets for nothing.


def floor() -> None:
    """Lists each folder, opens and reads each `entry_points.txt`, parses nothing."""
    for folder in sys.path:
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                try:
                    handle = os.open(f"{folder}/{name}/entry_points.txt", os.O_RDONLY)
                except OSError:
                    continue
                os.read(handle, 65536)
                os.close(handle)


def import_modules(count: int) -> None:
    """Imports the plugin modules one after the other."""
    for number in range(count):
        __import__(f"bench_plugin_{number:05}")


def check(report: object, count: int) -> None:
    """Ends the process if not all of the sound modules were loaded."""
    loaded = sum(
        record.state == "loaded" and record.module.startswith("bench_plugin_")
        for record in report.plugins  # type: ignore[attr-defined]  # no import for its sake
    )
    if loaded != count:
        sys.exit(f"{loaded} plugins loaded of {count}")


def ours(count: int) -> int:
    """`initialize` alone, in a process that has imported what it uses, as stevedore's has."""
    import aimm_plugins
    import aimm_plugins._startup.lifecycle

    begin = process_time_ns()
    report = aimm_plugins.initialize({"names": []})
    took = process_time_ns() - begin
    check(report, count)
    return took


def by_stevedore(count: int) -> int:
    """Loading the same modules by stevedore, its disk cache warm, in a process that imported it.

    That has imported this package too, since the modules do.
    """
    from stevedore import _cache
    from stevedore.extension import ExtensionManager

    import aimm_plugins  # noqa: F401  # see above

    _cache._c._disable_caching = False  # it has none where the interpreter lies below /tmp
    begin = process_time_ns()
    loaded = len(ExtensionManager("aimm.plugins").names())
    took = process_time_ns() - begin
    if loaded < count:
        sys.exit(f"{loaded} plugins loaded of {count}")
    return took


def ours_again(count: int) -> int:
    """A second `initialize`, with the same conf."""
    ours(count)
    return ours(count)


def entry_points(count: int) -> int:
    """Asking the standard library for the entry points, as a host would once more."""
    import importlib.metadata

    begin = process_time_ns()
    found = len(importlib.metadata.entry_points(group="aimm.plugins"))
    took = process_time_ns() - begin
    if found < count:
        sys.exit(f"{found} entry points of {count}")
    return took


def planned(count: int) -> int:
    """`plan`, in a process that has planned before, for no plugin at all."""
    import aimm_plugins

    aimm_plugins.plan({"names": [], "entry_points": {"enabled": False}})
    begin = process_time_ns()
    report = aimm_plugins.plan({"names": []})
    took = process_time_ns() - begin
    if len(report.plugins) < count:
        sys.exit(f"{len(report.plugins)} plugins planned of {count}")
    return took


def memory(count: int) -> int:
    """What tracemalloc counts for `initialize`; bytes."""
    return _bytes(lambda: ours(count))


def memory_by_hand(count: int) -> int:
    """The same for importing the modules, which declare by hand then; bytes."""
    return _bytes(lambda: import_modules(count))


def _bytes(run: object) -> int:
    import gc
    import tracemalloc

    import aimm_plugins

    aimm_plugins.initialize({"names": [], "entry_points": {"enabled": False}})
    gc.collect()
    tracemalloc.start()
    run()  # type: ignore[operator]  # no import for its sake
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def floor_alone(_: int) -> int:
    """What no discovery can do without."""
    begin = process_time_ns()
    floor()
    return process_time_ns() - begin


def by_hand(count: int) -> int:
    """Reading the metadata and importing the modules, without any framework."""
    import aimm_plugins  # noqa: F401  # the modules do

    begin = process_time_ns()
    floor()
    import_modules(count)
    return process_time_ns() - begin


def ours_isolated(count: int) -> int:
    """`initialize` alone, where plugins may fail, in a process that has used it for nothing.

    What the first call of a process costs whatever is installed would drown what one plugin does.
    What is done with the log is the host's: its handlers take as long as they like.
    """
    import logging

    import aimm_plugins

    logging.getLogger("aimm_plugins").addHandler(logging.NullHandler())
    logging.getLogger("aimm_plugins").propagate = False
    aimm_plugins.initialize({"names": [], "entry_points": {"enabled": False}})
    begin = process_time_ns()
    report = aimm_plugins.initialize({"names": [], "on_error": "isolate"})
    took = process_time_ns() - begin
    check(report, count)
    return took


def ours_whole(count: int) -> int:
    """All that a host does with this package; to be measured from outside."""
    import aimm_plugins

    aimm_plugins.initialize({"names": []})
    return 0


def by_stevedore_whole(count: int) -> int:
    """The same by stevedore; to be measured from outside."""
    by_stevedore(count)
    return 0


if __name__ == "__main__":
    print(globals()[sys.argv[1]](int(sys.argv[2])))
