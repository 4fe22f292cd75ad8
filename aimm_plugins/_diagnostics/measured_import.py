"""Import a plugin in a child process and measure what that costs.

What is imported here is there when the clock starts, so it is this package and what any host has.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from aimm_plugins._system.modules import finish_lazy_imports
from aimm_plugins._system.text import described


def measure_import(
    module: str, options: dict[str, Any] | None, verified: Sequence[tuple[Any, ...]]
) -> Iterator[dict[str, Any]]:
    """Import a module; answers with seconds, names of the modules that came, and bytes of memory.

    Of the verified distributions only what was verified may run.
    """
    if options is not None or verified:
        from aimm_plugins._startup.probe import prepare_child

        prepare_child(module, options, verified)
    error = None
    before, memory = set(sys.modules), _peak_memory()
    begin = time.perf_counter()
    try:
        # Not importlib.import_module: -X importtime has no line for what that imports.
        __import__(module)
        finish_lazy_imports(module)
    except BaseException as raised:
        error = raised
    seconds = time.perf_counter() - begin
    after = _peak_memory()
    yield {
        "seconds": seconds,
        "modules": sorted(set(sys.modules) - before),
        "memory": None if after is None or memory is None else after - memory,
        "error": None if error is None else described(error)[:10_000],
    }


def _peak_memory() -> int | None:
    """The highest resident memory so far, in bytes."""
    # Not ru_maxrss on Linux: a child begins with the peak of the process that made it.
    try:
        with open("/proc/self/status") as stream:
            for line in stream:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return None
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024
