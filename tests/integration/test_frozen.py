"""A program that PyInstaller has frozen, with the hook of this package and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import aimm_plugins
from aimm_plugins._discovery.scan import scan
from tests.support.metadata import write_dist_info

pytestmark = pytest.mark.integration

PROGRAM = """
import aimm_plugins
print(aimm_plugins.initialize({"names": []}))
print(aimm_plugins.exec_data_access("d"), aimm_plugins.__version__)
try:
    aimm_plugins.initialize({"names": [], "entry_poins": {}})
except aimm_plugins.ConfigError as error:
    print(error)
"""
DECLARES = """
from importlib.resources import files
from aimm_plugins import data_access

@data_access("d")
def words():
    return files("frozen_plugin").joinpath("words.txt").read_text()
"""

BOTH = """
heavy = ["dask", "distributed", "matplotlib", "numpy", "opentelemetry", "pandas", "pyarrow"]
heavy += ["pytest", "scipy", "setuptools", "sklearn", "sphinx", "PIL", "IPython", "cryptography"]
found = Analysis(["program.py"], pathex=["site"], excludes=heavy)
modules = PYZ(found.pure)
EXE(modules, found.scripts, found.binaries, found.datas, name="onefile")
program = EXE(modules, found.scripts, exclude_binaries=True, name="program")
COLLECT(program, found.binaries, found.datas, name="onedir")
"""
"""A spec of PyInstaller that makes both kinds by one analysis."""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A program of both kinds in a folder, with a plugin that is installed where it is built."""
    pytest.importorskip("PyInstaller", reason="needs PyInstaller")
    project = tmp_path_factory.mktemp("frozen")
    site = project / "site"
    package = site / "frozen_plugin"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from . import more")
    (package / "more.py").write_text(DECLARES)
    (package / "words.txt").write_text("from the data file")
    write_dist_info(site, "frozen-dist", "1.0", entry_points={"ep": "frozen_plugin"})
    broken = write_dist_info(site, "broken-dist", "1.0")
    (broken / "entry_points.txt").write_text("[aimm.plugins]\nbroken = ?\n")
    (project / "program.py").write_text(PROGRAM)
    (project / "both.spec").write_text(BOTH)
    subprocess.run(
        [sys.executable, "-m", "PyInstaller", "--log-level", "WARN", "both.spec"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(site)},
        check=True,
    )
    shutil.rmtree(site)
    return project


@pytest.mark.parametrize("program", ["onedir/program", "onefile"])
def test_plugins_schemas_and_metadata_are_in_the_program(built, program):
    ran = subprocess.run(
        [built / "dist" / program], capture_output=True, text=True, check=True, cwd=built
    )
    assert "loaded  ep  frozen-dist 1.0" in ran.stdout
    assert f"from the data file {aimm_plugins.__version__}" in ran.stdout
    assert "unknown key 'entry_poins'; did you mean 'entry_points'?" in ran.stdout


def test_program_without_any_metadata_is_a_finding(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    (finding,) = scan([str(tmp_path)]).findings
    assert (finding.code, finding.subject) == ("frozen-without-metadata", sys.executable)


def test_program_that_is_not_frozen_has_no_such_finding(tmp_path):
    assert scan([str(tmp_path)]).findings == ()


def test_wrong_conf_is_a_config_error_also_without_the_schemas(tmp_path):
    ours = Path(aimm_plugins.__file__).parent
    shutil.copytree(ours, tmp_path / "aimm_plugins", ignore=shutil.ignore_patterns("schemas"))
    code = "import aimm_plugins; aimm_plugins.initialize({'names': [], 'entry_poins': {}})"
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert "aimm_plugins.errors.ConfigError: is not what schema plugins says" in ran.stderr
