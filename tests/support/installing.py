"""Real distributions: wheels that are built, and environments that they are installed into."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
SAMPLES = sorted(file.parent for file in (ROOT / "sample_plugins").glob("*/pyproject.toml"))


def environment(**more: str) -> dict[str, str]:
    """This process's variables without those that belong to its tests.

    What pip installs is compiled when it is imported: most of scipy never is.
    """
    strange = ("COVERAGE", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "AIMM_PLUGINS_CONF")
    return (
        {k: v for k, v in os.environ.items() if not k.startswith(strange)}
        | {"PIP_COMPILE": "0"}
        | more
    )


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
    """Build a wheel of each source tree, by the backend of this environment."""
    pip(sys.executable, "wheel", "--no-build-isolation", "--no-deps", "-w", folder, *sources)
    return sorted(folder.glob("*.whl"))


def make_environment(folder: Path) -> Path:
    """A venv that sees this one's packages behind its own; returns its Python."""
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    # Through `site`, so that editable installs of this environment count too; last, so that those
    # of the venv come first.
    outer = sysconfig.get_path("purelib")
    (site / "~outer.pth").write_text(f"import site; site.addsitedir({outer!r})\n")
    return folder / "bin" / "python"
