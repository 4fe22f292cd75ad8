"""The sample plugins as if they were installed, for the directive `aimm-plugins`.

They are built as wheels and unpacked, without the libraries which they need: no plugin is imported
here.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from hatchling.build import build_wheel
from sphinx.application import Sphinx

SAMPLES = Path(__file__).parents[2] / "sample_plugins"


def setup(app: Sphinx) -> dict[str, Any]:
    """Put the samples on the path; sphinx calls this."""
    site = tempfile.TemporaryDirectory(prefix="samples-")
    app.connect("build-finished", lambda app, error: site.cleanup())
    for sample in sorted(SAMPLES.glob("*/pyproject.toml")):
        with contextlib.chdir(sample.parent):
            wheel = build_wheel(site.name)
        zipfile.ZipFile(Path(site.name, wheel)).extractall(site.name)
    # Last, so that a plugin which is really installed is the one that is shown.
    sys.path.append(site.name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
