"""Packs, unpacks, fingerprints, or does only what these cannot do without; prints nanoseconds.

Run as a script with what to do. Of some repetitions the cheapest counts.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import process_time_ns
from typing import Any

import aimm_plugins
from aimm_plugins._parity.fingerprint import of_providers

SIZE = 100_000_000
PLUGINS, FILES, LINES = 100, 5, 120
PLUGIN = """from aimm_plugins import deserialize, fit, predict, serialize
@fit(["m{0}"])
def learn(model): return model
@predict(["m{0}"])
def guess(model): return model
@serialize(["m{0}"])
def dump(model): return b""
@deserialize(["m{0}"])
def load(data): return data
"""


def cheapest(run: Callable[[], Any], times: int = 3) -> int:
    """Nanoseconds of CPU time of the quickest run, after one that is not counted."""
    run()
    found = []
    for _ in range(times):
        begin = process_time_ns()
        run()
        found.append(process_time_ns() - begin)
    return min(found)


def _model() -> bytes:
    """100 MB, and a plugin that gives them as they are."""

    @aimm_plugins.serialize(["bytes"])
    def dump(model: bytes) -> bytes:
        return model

    @aimm_plugins.deserialize(["bytes"])
    def load(data: bytes) -> bytes:
        return data

    return b"\x01" * SIZE  # of zeros the system keeps a single page, which is read faster


def pack() -> int:
    """Packing 100 MB."""
    model = _model()
    return cheapest(lambda: aimm_plugins.pack("bytes", model))


def unpack() -> int:
    """Unpacking 100 MB."""
    artifact = aimm_plugins.pack("bytes", _model())
    return cheapest(lambda: aimm_plugins.unpack(artifact))


def copied() -> int:
    """Hashing and copying 100 MB."""
    model = _model()
    view = memoryview(model)
    return cheapest(lambda: (hashlib.sha256(view).digest(), bytes(view)))


def _write_plugins(folder: Path) -> list[str]:
    names = [f"bench_sources_{number}" for number in range(PLUGINS)]
    for number, name in enumerate(names):
        package = folder / name
        package.mkdir()
        (package / "__init__.py").write_text(PLUGIN.format(number))
        for part in range(FILES - 1):
            text = "".join(f"def part_{line}(x):\n    return x + {line}\n" for line in range(LINES))
            (package / f"part_{part}.py").write_text(text)
    return names


def _with_plugins(run: Callable[[Path], Any]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        names = _write_plugins(Path(folder))
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
        aimm_plugins.initialize({"names": names, "entry_points": {"enabled": False}})
        return cheapest(lambda: run(Path(folder)), times=5)


def fingerprint() -> int:
    """The fingerprint of 100 plugins, as after a change of the registry."""

    def run(folder: Path) -> None:
        of_providers.cache_clear()
        found = aimm_plugins.fingerprint()
        assert len(found.rows) == 4 * PLUGINS

    return _with_plugins(run)


def hashed() -> int:
    """Finding, reading and hashing the sources of 100 plugins."""

    def run(folder: Path) -> None:
        for package in os.listdir(folder):
            digests = []
            for name in sorted(os.listdir(f"{folder}/{package}")):
                if name.endswith(".py"):
                    with open(f"{folder}/{package}/{name}", "rb", buffering=0) as stream:
                        digests.append(hashlib.sha256(stream.read()).hexdigest())
            hashlib.sha256("".join(digests).encode()).hexdigest()

    return _with_plugins(run)


if __name__ == "__main__":
    print(globals()[sys.argv[1]]())
