"""Projects of plugin authors."""

from __future__ import annotations

import pytest

PYPROJECT = """\
[build-system]
requires = ["hatchling"]  # a comment

[project]
name = "my-models"
version = "1.0"

# About ruff.
[tool.ruff]
line-length = 100
"""


FIT = "from aimm_plugins import fit\n@fit([__name__])\ndef f(m): ...\n"


@pytest.fixture
def project(tmp_path):
    """Writes a project of the files given as path and text, and returns its folder."""

    def write(pyproject=PYPROJECT, **files):
        for name, text in files.items():
            path = tmp_path / (
                name.replace("__", "/", 1 if "___" in name else -1).replace("/init", "/__init__")
                + ".py"
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if pyproject is not None:
            (tmp_path / "pyproject.toml").write_text(pyproject, encoding="utf-8")
        return tmp_path

    return write
