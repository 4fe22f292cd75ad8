"""Plugins in a process of this interpreter: the folder `site` stands on the path of both."""

from __future__ import annotations

import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import aimm_plugins
from tests.support.metadata import write_dist_info

PLUGIN = """
import ctypes, os, signal, sys, threading, time

class Own(Exception): ...

@data_access("numbers")
def numbers(count=3): return list(range(count))

@data_access("process")
def process(): return os.getpid()

@data_access("echo")
def echo(*args, **kwargs): return args, kwargs

@data_access("pi")
def pi():
    global runs
    runs = globals().get("runs", 0) + 1
    return runs

@instantiate("counter")
def make(start=0): return {"count": start}

@fit(["counter"], state_cb_arg_name="report")
def count(model, steps, *, report, seconds=0.0):
    for step in range(steps):
        time.sleep(seconds)
        report({"progress": step / steps})
        model["count"] += 1
    return model

@predict(["counter"])
def get(model): return model["count"]

@serialize(["counter"])
def to_bytes(model): return repr(model).encode()

@deserialize(["counter"])
def from_bytes(content): return eval(bytes(content).decode())

@data_access("fail")
def fail(how):
    if how == "value": raise ValueError("no such value")
    if how == "own": raise Own("of the plugin's own class")
    if how == "object": return Own()
    if how == "exit": os._exit(3)
    if how == "print and exit": print("the last words"); os._exit(3)
    if how == "segfault": ctypes.string_at(0)
    if how == "sys.exit": sys.exit(5)
    if how == "kill": os.kill(os.getpid(), signal.SIGKILL)
    if how == "hang":
        while True: time.sleep(0.1)
    if how == "memory": return len(bytearray(3 << 30))
    if how == "print": print("to stdout"); os.write(1, b"and past Python"); return "printed"
    if how == "input": return sys.stdin.read()
"""


class Apart:
    """A host whose plugin `apart` runs in a process of its own."""

    def __init__(self, site: Path, write: Callable[..., Path]) -> None:
        self.site, self.write = site, write
        self.plugin("apart", PLUGIN)

    def plugin(self, name: str, source: str, **metadata: Any) -> None:
        """Install a plugin, as distribution `aimm-NAME`."""
        self.write(**{name: source})
        metadata = {"entry_points": {name: name}, "files": [f"{name}.py"], **metadata}
        write_dist_info(self.site, f"aimm-{name}", **metadata)

    def conf(self, *, plugins: Any = ("aimm-apart",), conf: Any = None, **rules: Any) -> Any:
        """A conf with one environment."""
        environment = {"path": sys.prefix, "plugins": list(plugins), **rules}
        here = {"allow": ["aimm-apart", "aimm-here", "aimm-other"]}
        return {
            "names": [],
            "entry_points": here,
            **(conf or {}),
            "environments": {"apart": environment},
        }

    def start(self, **options: Any) -> aimm_plugins.Report:
        """Initialize it."""
        return aimm_plugins.initialize(self.conf(**options))

    def pid(self) -> int:
        """The process that is called."""
        pid: int = aimm_plugins.exec_data_access("process")
        return pid


@pytest.fixture
def separate(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """The packages of an environment that has what the host has, and more; and a conf of it."""
    root = tmp_path / "elsewhere"
    venv.create(root, symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(root)}))
    folders = (sysconfig.get_path("purelib"), Path(aimm_plugins.__file__).parents[1])
    (site / "host.pth").write_text("\n".join(map(str, folders)))
    chosen = {"path": str(root), "plugins": ["aimm-alone"]}
    conf = {"names": [], "entry_points": {"allow": ["aimm-alone"]}}
    return site, {**conf, "environments": {"elsewhere": chosen}}


@pytest.fixture
def apart(site: Path, write: Callable[..., Path]) -> Iterator[Apart]:
    """A host with one plugin that runs in an environment."""
    yield Apart(site, write)
