"""What the figures are measured in: generated site folders, and an interpreter with the peers."""

from __future__ import annotations

import compileall
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".venv-benchmarks"
PROBES = Path(__file__).parent / "probes"

ORIGINAL = "aimm==1.2.dev1"
"""Installed without its dependencies: its `aimm.plugins` imports the standard library only."""

PEERS = (
    "pluggy",
    "aimm",
    "stevedore",
    "catalogue",
    "plux",
    "importlib-metadata",
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "distributed",
)

DECLARES = """from aimm_plugins import fit


@fit(["bench.{0}"])
def fit_model(instance):
    return instance
"""

HEAVY = "import numpy\nimport pandas\nimport scipy\nimport sklearn\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A folder of installed distributions, as far as metadata and plugin modules go.

    Distributions have METADATA, RECORD and INSTALLER. Of those that are no plugins every third
    has an `entry_points.txt`, with a console script, as about a third of those on an index do.

    Attributes:
        distributions: How many, the plugins included.
        plugins: How many of them publish a module in the group `aimm.plugins` that declares a key.
        broken: How many more publish a module that raises when it is imported.
        heavy: How many more publish a module that imports numpy, pandas, scipy and scikit-learn,
            and its key; where there are any, one more publishes a light module and its key.
    """

    distributions: int = 0
    plugins: int = 0
    broken: int = 0
    heavy: int = 0

    def files(self) -> Iterator[tuple[str, str]]:
        """Path and text of each file."""
        for number in range(self.distributions):
            if number < self.plugins:
                module = f"bench_plugin_{number:05}"
                yield f"{module}.py", DECLARES.format(number)
                points = f"[aimm.plugins]\n{module} = {module}\n"
                files = f"{module}.py,,\n"
            else:
                files = ""
                points = f"[console_scripts]\nbench-{number} = bench_{number}:main\n"
                points = points if number % 3 == 0 else ""
            yield from _distribution(f"bench-dist-{number:05}", points, files)
        for number in range(self.broken):
            module = f"bench_broken_{number:05}"
            yield f"{module}.py", "raise RuntimeError('broken')\n"
            points = f"[aimm.plugins]\n{module} = {module}\n"
            yield from _distribution(f"bench-broken-{number:05}", points, f"{module}.py,,\n")
        for number in range(self.heavy):
            yield from _keyed(f"bench_heavy_{number:02}", f"heavy.model.{number}", HEAVY)
        if self.heavy:
            yield from _keyed("bench_light", "light.model", "")

    def make(self, sites: Path) -> Path:
        """The folder, below `sites`; written on first use, compiled, and kept between runs."""
        digest = hashlib.sha256()
        for name, text in self.files():
            digest.update(f"{name}\0{text}\0".encode())
        folder = sites / f"{sys.implementation.cache_tag}-{digest.hexdigest()[:16]}"
        if not folder.exists():
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            for name, text in self.files():
                path = unfinished / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            unfinished.mkdir(parents=True, exist_ok=True)
            unfinished.rename(folder)
            compileall.compile_dir(folder, maxlevels=0, quiet=2)
        return folder


def _distribution(name: str, entry_points: str, files: str = "") -> Iterator[tuple[str, str]]:
    folder = f"{name.replace('-', '_')}-1.0.dist-info"
    yield f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    yield f"{folder}/INSTALLER", "pip\n"
    yield (
        f"{folder}/RECORD",
        f"{files}{folder}/METADATA,,\n{folder}/INSTALLER,,\n{folder}/RECORD,,\n",
    )
    if entry_points:
        yield f"{folder}/entry_points.txt", entry_points


def _keyed(module: str, key: str, imports: str) -> Iterator[tuple[str, str]]:
    """A plugin whose metadata tells its keys."""
    yield (
        f"{module}.py",
        f"{imports}from aimm_plugins import fit, predict\n\n\n"
        f"@fit(['{key}'])\ndef fit_model(instance):\n    return instance\n\n\n"
        f"@predict(['{key}'])\ndef predict_model(instance, x):\n    return x\n",
    )
    yield from _distribution(
        module.replace("_", "-"),
        f"[aimm.plugins]\n{module} = {module}\n\n"
        f"[aimm.plugins.fit]\n{key} = {module}:fit_model\n\n"
        f"[aimm.plugins.predict]\n{key} = {module}:predict_model\n",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python that has this package, and some of the peers.

    Attributes:
        python: Its executable.
        cache: Folder for generated sites and the peers' own caches.
        version: Of Python.
        peers: Distribution to version, of those that are there.
        features: Parts of this package that not every version has.
    """

    python: str
    cache: Path
    version: str
    peers: Mapping[str, str]
    features: tuple[str, ...]

    @property
    def available(self) -> set[str]:
        """Peers and features by the names that probes ask for."""
        return {*self.peers, *self.features}


def interpreter(python: str, cache: Path) -> Interpreter:
    """Ask a Python what it has.

    Raises:
        subprocess.CalledProcessError: It cannot import this package.
    """
    found = json.loads(
        subprocess.run(
            [python, "-P", str(PROBES / "inventory.py"), *PEERS],
            env=environ(cache),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
    )
    return Interpreter(
        python=python,
        cache=cache,
        version=found["python"],
        peers=found["peers"],
        features=tuple(found["features"]),
    )


def environ(cache: Path) -> dict[str, str]:
    """The environment of measured processes.

    What makes Python do more than it was asked (coverage, development mode, search paths, no
    bytecode) is left out, and the peers' disk caches are kept apart from the user's.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "COVERAGE", "COV_", "AIMM_PLUGINS"))
    }
    return {**kept, "XDG_CACHE_HOME": str(cache / "caches")}


def set_up_peers() -> Interpreter:
    """The interpreter of a venv with this checkout's package, the peers and matplotlib.

    Made on first use; made anew when Python or the groups in pyproject.toml change; this package
    is installed again when its files change.

    Raises:
        subprocess.CalledProcessError: pip failed; its output says why.
    """
    python = CACHE / ("Scripts" if os.name == "nt" else "bin") / "python"
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    wanted = [sys.version, ORIGINAL, groups["benchmarks"], groups["benchmark-peers"]]
    stamp = CACHE / "peers.json"
    if not (stamp.exists() and json.loads(stamp.read_text()) == wanted):
        venv.EnvBuilder(with_pip=True, clear=True).create(CACHE)
        # setuptools' .pth file would be part of every start.
        _pip(python, "uninstall", "-y", "setuptools")
        _pip(python, "install", "--upgrade", "pip")
        _pip(python, "install", "--group", "benchmarks", "--group", "benchmark-peers")
        _pip(python, "install", "--no-deps", ORIGINAL)
        stamp.write_text(json.dumps(wanted))
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes())
    for file in sorted((ROOT / "aimm_plugins").rglob("*")):
        if file.is_file() and file.suffix != ".pyc":
            digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    installed = CACHE / "installed.txt"
    if not (installed.exists() and installed.read_text() == digest.hexdigest()):
        _pip(python, "install", ".")
        _pip(python, "install", "--force-reinstall", "--no-deps", ".")
        installed.write_text(digest.hexdigest())
    return interpreter(str(python), CACHE)


def _pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, cwd=ROOT, check=True)
