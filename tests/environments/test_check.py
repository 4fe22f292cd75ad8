"""`aimm-plugins check --environment`: the checks run there, by the rules that hold here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.environments.conftest import Apart

SOURCE = """
import os
open(os.path.join(os.path.dirname(__file__), "ran_NAME"), "w").close()

@data_access("NAME.rows")
def rows(): return [1]
"""


@pytest.fixture
def two(apart: Apart) -> Apart:
    """An environment with the plugins `one` and `two`."""
    for name in ("one", "two"):
        apart.plugin(name, SOURCE.replace("NAME", name))
    return apart


def check(
    apart: Apart, *arguments: str, folder: Path | None = None, conf: Any = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command by a conf; what plugins print at their import is no answer."""
    file = apart.site / "c.yaml"
    rules = {**apart.conf(plugins=["aimm-one", "aimm-two"]), "entry_points": {}, **(conf or {})}
    file.write_text(json.dumps(rules))
    return subprocess.run(
        [sys.executable, "-P", "-m", "aimm_plugins", "check", "--conf", str(file), *arguments],
        cwd=folder or apart.site,
        env={**os.environ, "PYTHONPATH": str(apart.site), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


THERE = ("--environment", "apart", "--only", "docstrings-are-there")


@pytest.mark.parametrize("where", ["conf", "operator"])
def test_what_a_rule_denies_is_not_imported_there(two: Apart, where: str) -> None:
    conf = {"entry_points": {"deny": ["aimm-two"]}} if where == "conf" else None
    variables = {"AIMM_PLUGINS_DENY": "aimm-two"} if where == "operator" else {}
    done = check(two, *THERE, conf=conf, **variables)
    assert "not checked: aimm-two 1.0: two is not imported: denied by 'aimm-two'" in done.stderr
    assert (two.site / "ran_one").exists()
    assert not (two.site / "ran_two").exists()


def test_only_the_plugins_of_the_environment_are_checked(two: Apart) -> None:
    done = check(two, *THERE, "--format", "json")
    assert {row["about"] for row in json.loads(done.stdout)["results"]} == {"one", "two"}


def test_a_module_of_the_working_folder_is_not_taken_for_the_plugin(
    two: Apart, tmp_path: Path
) -> None:
    (tmp_path / "one.py").write_text("raise RuntimeError")
    done = check(two, "aimm-one", *THERE, "--format", "json", folder=tmp_path)
    (row,) = json.loads(done.stdout)["results"]
    assert row["check"] == "docstrings-are-there", row["reason"]


def test_plugin_of_an_environment_is_told_where_it_is(two: Apart) -> None:
    other = two.site / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(other)], check=True)
    (folder,) = other.glob("lib/python*/site-packages")
    for found in two.site.glob("aimm_one-*"):
        found.rename(folder / found.name)
    (two.site / "one.py").rename(folder / "one.py")
    write_own(folder)
    environments = {"environments": {"apart": {"path": str(other)}}}
    done = check(two, "aimm-one", conf=environments)
    assert done.returncode == 2
    assert "no module; environment apart has it: add --environment apart\n" in done.stderr


def write_own(folder: Path) -> None:
    """What says that this package is installed."""
    info = folder / "aimm_plugins-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aimm-plugins\nVersion: 0\n")


def test_process_that_a_plugin_ends_is_told(two: Apart) -> None:
    two.write(one="import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    done = check(two, "aimm-one", *THERE)
    assert done.returncode == 1
    assert "environment apart: the process of the checks was ended by SIGKILL" in done.stderr
