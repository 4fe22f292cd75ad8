"""Counts the bytecodes that a host's calls execute: `python -m tests.growth.operations KIND COUNT`.

A count is the same on a busy machine as on an idle one. Prints a JSON object of operation to count.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import aimm_plugins
from aimm_plugins.errors import UnknownPluginError
from tests.growth.__main__ import KINDS, OURS, Conf
from tests.support.metadata import write_dist_info


def denied(site: Path, count: int) -> Conf:
    """Plugins, and as many distributions that a rule denies each."""
    for number in range(count):
        (site / f"m{number}.py").write_text(f"{OURS}@fit(['k{number}'])\ndef f(m): ...\n")
        write_dist_info(site, f"grown{number}", entry_points={f"m{number}": f"m{number}"})
        write_dist_info(site, f"other{number}", files=[f"other{number}.py"])
    return {"names": [], "entry_points": {"deny": [f"other{number}" for number in range(count)]}}


def waiting(site: Path, count: int) -> Conf:
    """Plugins that publish a key each, so that they can wait for their first call."""
    for number in range(count):
        (site / f"m{number}.py").write_text(f"{OURS}@fit(['k{number}'])\ndef f(m): ...\n")
        name, keys = f"m{number}", {f"fit:k{number}": f"m{number}:f"}
        write_dist_info(site, f"grown{number}", entry_points={name: name}, published=keys)
    return {"names": []}


def contended(site: Path, count: int) -> Conf:
    """Plugins that declare one key."""
    for number in range(count):
        (site / f"m{number}.py").write_text(f"{OURS}@fit(['k'])\ndef f(m): ...\n")
        write_dist_info(site, f"grown{number}", entry_points={f"m{number}": f"m{number}"})
    return {"names": [], "on_error": "isolate"}


HOSTED = {**KINDS, "denied": denied, "waiting": waiting, "contended": contended}


def bytecodes(run: Callable[[], object]) -> int:
    """How many bytecodes a function and all that it calls execute in this thread."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return count


def call_unknown_key() -> None:
    """Call a key that is like the known ones."""
    try:
        aimm_plugins.exec_fit("k77x", None)
    except UnknownPluginError:
        return
    raise AssertionError("somebody provides it")


FIRST_CALLS: dict[str, Callable[[], object]] = {
    "very first call": lambda: aimm_plugins.exec_fit("k1", None),
    "first call": lambda: aimm_plugins.exec_fit("k2", None),
}


def main(kind: str, count: int) -> dict[str, int]:
    """The counts of what a host does, in the order in which it does it."""
    logging.disable()
    call = {}
    with tempfile.TemporaryDirectory() as folder:
        conf = HOSTED[kind](Path(folder), count)
        sys.path.insert(0, folder)
        lazy = {**conf, "load": "lazy"}
        # What only the first call of a process imports is no part of the law.
        for warm in ({"names": []}, lazy):
            aimm_plugins.initialize({**warm, "entry_points": {"enabled": False}})
        aimm_plugins.refresh()
        aimm_plugins.fingerprint()
        aimm_plugins.unload_all()
        for name, run in {
            "plan": lambda: str(aimm_plugins.plan(conf)),
            "initialize lazily": lambda: aimm_plugins.initialize(lazy),
            **(FIRST_CALLS if kind == "waiting" else {}),
            "initialize": lambda: aimm_plugins.initialize(conf),
            "initialize again": lambda: aimm_plugins.initialize(conf),
            "refresh": aimm_plugins.refresh,
            "report": lambda: str(aimm_plugins.current_report()),
            "fingerprint": aimm_plugins.fingerprint,
            "unknown key": call_unknown_key,
            "unload": aimm_plugins.unload_all,
        }.items():
            call[name] = bytecodes(run)
    return call


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))  # noqa: T201  # its answer
