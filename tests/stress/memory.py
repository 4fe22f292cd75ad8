"""Repeat each public operation and see what it leaves: `python -m tests.stress.memory --cycles 20000`.

Each operation runs by itself in a forked child. After a tenth of the cycles the blocks that Python
has allocated are counted, and again after the last: what an operation keeps with each cycle shows
as a difference of at least one block a cycle. It prints both counts as JSON, with the growth of the
resident set in MiB, and ends with status 1 if anything grew.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import importlib.util
import itertools
import json
import logging
import os
import resource
import sys
import tempfile
import textwrap
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import aimm_plugins
import aimm_plugins.testing
from aimm_plugins import Result, exec_fit, exec_predict, initialize, unload_all
from tests.conftest import names
from tests.stress.__main__ import Wrapper
from tests.support.metadata import write_dist_info

HEADER = "from aimm_plugins import *\nimport aimm_plugins\n"
SOURCES = {
    "sound": """
        @fit(['sound'], state_cb_arg_name='cb')
        def f(m, cb=None):
            if cb:
                cb({'progress': 1.0})
            return 'fitted'

        @predict(['sound'])
        def g(m, x): return Result(x)

        @serialize(['sound'])
        def s(m): return b'1'

        @deserialize(['sound'])
        def d(b): return 1

        @fit(['fails'])
        def h(m): return 1 / 0

        @fit(['awaits'])
        async def a(m): return 'awaited'
        """,
    "same": "@fit(['sound'])\ndef f(m): ...\n",
    "broken": "1 / 0\n",
    "later": "@fit(['later'])\ndef f(m): return 1\n",
}


class Operations:
    """What is repeated; each method is one operation, and is given the number of the cycle."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        initialize(names("sound"))
        self.loop = asyncio.new_event_loop()

    def initialize_again(self, _: int) -> None:
        initialize(names("sound"))

    def initialize_and_unload(self, _: int) -> None:
        unload_all()
        initialize(names("sound"))

    def initialize_with_a_broken_plugin(self, _: int) -> None:
        initialize(names("sound", "broken", on_error="isolate"))

    def initialize_strictly_with_a_broken_plugin(self, _: int) -> None:
        with contextlib.suppress(aimm_plugins.PluginLoadError):
            initialize(names("sound", "broken", on_error="strict"))

    def initialize_with_a_conflict(self, _: int) -> None:
        with contextlib.suppress(aimm_plugins.PluginLoadError):
            initialize(names("sound", "same", on_error="strict"))

    def initialize_with_a_wrong_conf(self, cycle: int) -> None:
        with contextlib.suppress(aimm_plugins.ConfigError):
            initialize({f"wrong{cycle}": 1})

    def pages_that_come_and_go(self, cycle: int) -> None:
        name = f"page_{cycle}"
        path = self.folder / f"{name}.py"
        path.write_text(HEADER + f"@predict(['{name}'])\ndef f(m, x): return x\n")
        initialize(names("sound", name))
        exec_predict(name, None, None, 1)
        unload_all()
        sys.modules.pop(name, None)
        path.unlink()
        Path(importlib.util.cache_from_source(path)).unlink(missing_ok=True)

    def a_page_that_changes(self, cycle: int) -> None:
        path = self.folder / "changing.py"
        path.write_text(HEADER + f"@predict(['changing'])\ndef f(m, x): return {cycle}\n")
        os.utime(path, (cycle, cycle))
        unload_all()
        sys.modules.pop("changing", None)
        initialize(names("sound", "changing"))

    def refresh(self, _: int) -> None:
        aimm_plugins.refresh()

    def a_plugin_that_breaks_and_is_repaired(self, cycle: int) -> None:
        path = self.folder / "wavering.py"
        path.write_text(HEADER + ("1 / 0\n" if cycle % 2 else f"# {cycle}\n"))
        sys.modules.pop("wavering", None)
        initialize(names("sound", "wavering", on_error="isolate"))

    def a_distribution_that_comes_and_goes(self, cycle: int) -> None:
        if cycle == 0:
            initialize(names("sound", entry_points={"allow": ["come-dist"]}))
            Path(self.folder, "come.py").write_text(HEADER + "@fit(['come'])\ndef f(m): ...\n")
        info = write_dist_info(self.folder, "come-dist", entry_points={"come": "come"})
        aimm_plugins.refresh()
        for file in info.iterdir():
            file.unlink()
        info.rmdir()
        aimm_plugins.refresh()
        sys.modules.pop("come", None)

    def lazy_plugin(self, cycle: int) -> None:
        if cycle == 0:
            write_dist_info(
                self.folder,
                "later-dist",
                entry_points={"later": "later"},
                published={"fit:later": "later:f"},
            )
        unload_all()
        sys.modules.pop("later", None)
        initialize({"names": ["sound"], "load": "lazy", "entry_points": {"allow": ["later-dist"]}})
        exec_fit("later", None)

    def plan(self, _: int) -> None:
        aimm_plugins.plan(names("sound", "broken"))

    def views(self, _: int) -> None:
        aimm_plugins.current_report()
        aimm_plugins.providers()
        aimm_plugins.freeze()
        aimm_plugins.options("sound")

    def call(self, cycle: int) -> None:
        exec_fit("sound", cycle, lambda _: None)
        exec_predict("sound", None, None, cycle)

    def call_that_fails(self, _: int) -> None:
        with contextlib.suppress(ZeroDivisionError):
            exec_fit("fails", None)

    def call_of_an_unknown_key(self, cycle: int) -> None:
        with contextlib.suppress(aimm_plugins.UnknownPluginError):
            exec_fit(f"sound{cycle}", None)

    def call_with_wrong_arguments(self, cycle: int) -> None:
        with contextlib.suppress(TypeError):
            exec_fit("sound", None, None, **{f"wrong{cycle}": 1})

    def call_that_awaits(self, cycle: int) -> None:
        exec_fit("awaits", None)
        self.loop.run_until_complete(aimm_plugins.exec_fit_async("awaits", None))
        self.loop.run_until_complete(aimm_plugins.exec_fit_async("sound", None))

    def call_with_a_reported_callback(self, _: int) -> None:
        cancel = aimm_plugins.CancelToken()
        with aimm_plugins.reporting(
            lambda _: None, max_per_second=10, stall_after=60, cancel=cancel
        ) as report:
            exec_fit("sound", None, report)

    def wrapper(self, _: int) -> None:
        manager, made = aimm_plugins.get_plugin_manager(), Wrapper()
        manager.register(made)
        exec_predict("sound", None, None, 1)
        manager.unregister(made)

    def wrapper_with_a_name(self, cycle: int) -> None:
        manager = aimm_plugins.get_plugin_manager()
        manager.register(Wrapper(), f"wrapper{cycle}")
        manager.unregister(name=f"wrapper{cycle}")

    def blocked_name(self, cycle: int) -> None:
        manager = aimm_plugins.get_plugin_manager()
        manager.set_blocked(f"name{cycle}")
        manager.unblock(f"name{cycle}")

    def monitor(self, _: int) -> None:
        def see(*_: object) -> None: ...

        end = aimm_plugins.get_plugin_manager().add_hookcall_monitoring(see, see)
        exec_predict("sound", None, None, 1)
        end()

    def declare_and_unload(self, cycle: int) -> None:
        aimm_plugins.predict([f"by hand {cycle % 10}"])(lambda m, x: Result(x))
        if cycle % 10 == 9:
            unload_all()

    def declare_what_is_wrong(self, cycle: int) -> None:
        with contextlib.suppress(aimm_plugins.DeclarationError):
            aimm_plugins.predict([f"by hand {cycle}"], state_cb_arg_name="none")(lambda m: None)

    def isolated(self, cycle: int) -> None:
        with aimm_plugins.testing.isolated():
            aimm_plugins.fit([f"inside {cycle}"])(lambda m: 1)
            exec_fit(f"inside {cycle}", None)

    def artifacts(self, _: int) -> None:
        packed = aimm_plugins.pack("sound", None)
        aimm_plugins.inspect(packed)
        aimm_plugins.unpack(packed)

    def fingerprints(self, _: int) -> None:
        print_of = aimm_plugins.fingerprint()
        aimm_plugins.compare(print_of, print_of)


# What takes a process, or reads all that is installed, is repeated less often.
SLOW = {"fingerprints": 200}
SETTLING = 600
"""Blocks that caches of Python's own may still take when the counting begins."""
OPERATIONS = [name for name in vars(Operations) if not name.startswith("_")]


def repeat(operation: Callable[[int], None], cycles: int) -> dict[str, float]:
    """Repeat one operation, and measure."""
    settle = max(10, cycles // 10)
    begun = time.perf_counter()
    numbers = iter(range(cycles))
    for number in itertools.islice(numbers, settle):
        operation(number)
    gc.collect()
    blocks, memory = sys.getallocatedblocks(), resident()
    early = (time.perf_counter() - begun) / settle
    begun = time.perf_counter()
    for number in numbers:
        operation(number)
    late = (time.perf_counter() - begun) / (cycles - settle)
    gc.collect()
    return {
        "cycles": cycles,
        "blocks": sys.getallocatedblocks() - blocks,
        "MiB": round(resident() - memory, 1),
        "early ms": round(1000 * early, 3),
        "late ms": round(1000 * late, 3),
    }


def resident() -> float:
    """The largest resident set so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(name: str, cycles: int) -> dict[str, float]:
    """Repeat one operation in a forked child."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with tempfile.TemporaryDirectory() as folder:
                for module, source in SOURCES.items():
                    Path(folder, f"{module}.py").write_text(HEADER + textwrap.dedent(source))
                sys.path.insert(0, folder)
                operations = Operations(Path(folder))
                told = repeat(getattr(operations, name), cycles)
                os.write(write, json.dumps(told).encode())
            os._exit(0)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(1)
    os.close(write)
    with open(read, "rb") as pipe:
        told = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(told) if told else {"cycles": cycles, "blocks": -1, "failed": True}


def main() -> int:
    """Run the program."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress.memory", description=__doc__)
    parser.add_argument("--cycles", type=int, default=20_000)
    parser.add_argument("--only", action="append", choices=OPERATIONS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    grew = []
    for name in arguments.only or OPERATIONS:
        cycles = min(arguments.cycles, SLOW.get(name, arguments.cycles))
        told = measure(name, cycles)
        sys.stdout.write(json.dumps({"operation": name, **told}) + "\n")
        sys.stdout.flush()
        if told.get("failed") or told["blocks"] > SETTLING + cycles / 2:
            grew.append(name)
    return bool(grew)


if __name__ == "__main__":
    sys.exit(main())
