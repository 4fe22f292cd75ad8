"""What importing and starting loads, in a fresh process."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {
    "yaml",
    "jsonschema",
    "click",
    "importlib_metadata",
    "packaging",
    "rich",
    "asyncio",
    "distributed",
}


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh process has loaded after `code`."""
    script = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_import_loads_nothing_heavy():
    assert loaded_by("import aimm_plugins") & HEAVY == set()


def test_sound_conf_needs_neither_schema_nor_yaml():
    code = (
        "import aimm_plugins\n"
        "aimm_plugins.initialize({'names': [], 'entry_points': {'allow': [], 'deny': ['x']}})"
    )
    assert loaded_by(code) & HEAVY == set()


def test_star_import_reads_no_metadata():
    assert "importlib.metadata" not in loaded_by("from aimm_plugins import *")
