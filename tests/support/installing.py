"""Real distributions: wheels that are built, and environments that they are installed into."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import venv
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
SAMPLES = sorted(file.parent for file in (ROOT / "sample_plugins").glob("*/pyproject.toml"))


def environment(**more: str) -> dict[str, str]:
    """This process's variables without those that belong to its tests."""
    strange = ("COVERAGE", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "AIMM_PLUGINS_CONF")
    return {k: v for k, v in os.environ.items() if not k.startswith(strange)} | more


AS_AUTHORS_HAVE_IT = {"PYTEST_ADDOPTS": "-p no:npe2"}
"""npe2 warns when it is imported, and few authors have it."""


def pip(python: str | Path, *arguments: str | Path) -> None:
    """Run pip, which explains itself where it fails."""
    done = subprocess.run(
        [python, "-m", "pip", "-q", "--disable-pip-version-check", *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def install_as_editable(source: Path, site: Path) -> None:
    """Install a copy that says of itself what an editable install would.

    One that is editable indeed would be seen by other tests.
    """
    options = ["--no-build-isolation", "--no-deps", "--upgrade", "--target", site]
    pip(sys.executable, "install", *options, source)
    name = source.resolve().name.replace("-", "_")
    (info,) = site.glob(f"{name}-*.dist-info")
    direct_url = {"url": source.resolve().as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(direct_url))


def build_wheels(sources: Sequence[Path], folder: Path) -> list[Path]:
    """Build a wheel of each source tree, as pip does for users."""
    pip(sys.executable, "wheel", "--no-deps", "-w", folder, *sources)
    return sorted(folder.glob("*.whl"))


def make_environment(folder: Path) -> Path:
    """A venv with all that this package and the samples depend on; returns its Python.

    This package's own dependencies have the versions of this environment, so that the oldest
    corner of the matrix stays the oldest.
    """
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin" / "python"
    wanted = []
    for source in (ROOT, *SAMPLES):
        project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
        for text in project["dependencies"]:
            name = Requirement(text).name
            if name != "aimm-plugins":
                wanted.append(f"{name}=={version(name)}" if source is ROOT else text)
    # Compiled when they are imported: most of scipy never is.
    pip(python, "install", "--no-compile", *wanted)
    return python
