"""Under `verify: record` only bytes that have the hash of RECORD run, also long after the start."""

from __future__ import annotations

import importlib
import os
import py_compile
import subprocess
import sys

import pytest

import aimm_plugins
from aimm_plugins import initialize
from tests.conftest import record_of
from tests.support.bytecode import forge_bytecode
from tests.support.installing import ROOT

VERIFY = {"names": [], "entry_points": {"allow": ["vpkg-dist"]}, "verify": "record"}
SOURCE = """
@fit(['k'])
def f(m):
    from vpkg import later
    return later.answer
"""


@pytest.fixture
def forged(trap):
    """Source that writes it."""
    return f"open({str(trap)!r}, 'w').close()\nanswer = 'forged'\n"


@pytest.fixture
def package(write, install, site):
    """A verified package with a module that it imports when it is called."""
    write(vpkg____init__=SOURCE, vpkg__later="answer = 'installed'\n")
    files = ["vpkg/__init__.py", "vpkg/later.py"]
    install("vpkg-dist", entry_points={"ep": "vpkg"}, files=files)
    return site / "vpkg"


def call():
    return aimm_plugins.exec_fit("k", None)


@pytest.mark.parametrize("file", ["__init__.py", "later.py"])
def test_forged_bytecode_does_not_run(package, trap, forged, file):
    forge_bytecode(package / file, forged)
    initialize(VERIFY)
    assert call() == "installed"
    assert not trap.exists()


def test_without_verify_python_would_run_it(package, trap, forged):
    forge_bytecode(package / "later.py", forged)
    initialize({**VERIFY, "verify": "none"})
    assert call() == "forged"
    assert trap.exists()


def test_module_that_was_edited_since_the_start_does_not_run(package, trap, forged):
    initialize(VERIFY)
    (package / "later.py").write_text(forged)
    with pytest.raises(ImportError, match=r"later\.py is not what was verified"):
        call()
    assert not trap.exists()


@pytest.mark.parametrize("file", ["later/__init__.py", "later.abi3.so"])
def test_file_that_came_before_a_verified_module_does_not_run(package, trap, forged, file):
    initialize(VERIFY)
    (package / file).parent.mkdir(exist_ok=True)
    (package / file).write_text(forged)
    importlib.invalidate_caches()
    with pytest.raises(ImportError, match=r"is not a file that RECORD of vpkg-dist 1\.0 lists"):
        call()
    assert not trap.exists()


def test_module_that_was_added_since_does_not_run(package, trap, forged):
    initialize(VERIFY)
    (package / "added.py").write_text(forged)
    importlib.invalidate_caches()
    with pytest.raises(ImportError, match="is not a file that RECORD"):
        importlib.import_module("vpkg.added")
    assert not trap.exists()


def test_module_without_source_runs_if_record_lists_it(write, install, site):
    write(vpkg____init__=SOURCE, vpkg__later="answer = 'compiled'\n")
    py_compile.compile(str(site / "vpkg/later.py"), cfile=str(site / "vpkg/later.pyc"))
    (site / "vpkg/later.py").unlink()
    files = ["vpkg/__init__.py", "vpkg/later.pyc"]
    install("vpkg-dist", entry_points={"ep": "vpkg"}, files=files)
    initialize(VERIFY)
    assert call() == "compiled"


def test_parts_of_a_namespace_that_others_installed_are_left_to_python(
    write, install, site, tmp_path, monkeypatch
):
    write(ns__mine=SOURCE.replace("vpkg", "ns"), ns__later="answer = 'others'\n")
    install("vpkg-dist", entry_points={"ep": "ns.mine"}, files=["ns/mine.py"])
    install("others", files=["ns/later.py"])
    forge = tmp_path / "elsewhere" / "ns"
    forge.mkdir(parents=True)
    (forge / "third.py").write_text("answer = 'third'\n")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    assert record_of(initialize(VERIFY), "ep").state == "loaded"
    assert call() == "others"
    assert importlib.import_module("ns.third").answer == "third"
    sys.modules.pop("ns.third")


def test_unload_all_leaves_imports_to_python_again(package):
    before = list(sys.meta_path)
    initialize(VERIFY)
    assert sys.meta_path != before
    aimm_plugins.unload_all()
    assert sys.meta_path == before


def test_traceback_and_resources_are_those_of_the_files(package):
    initialize(VERIFY)
    module = sys.modules["vpkg"]
    assert module.__file__ == str(package / "__init__.py")
    assert importlib.resources.files("vpkg").joinpath("later.py").is_file()
    assert module.__spec__.loader.get_source("vpkg").endswith(SOURCE)


PROGRAM = """
import json, sys
sys.path[:0] = [{site!r}, {root!r}]
import aimm_plugins
report = aimm_plugins.initialize({conf!r})
print(json.dumps([[r.state for r in report], aimm_plugins.exec_fit("k", None)]))
"""


@pytest.mark.parametrize("flags", [[], ["-O"], ["-OO"], ["-B"]], ids=str)
def test_bytecode_that_interpreters_write_or_miss_is_no_matter(package, site, flags):
    for optimization in ("", "1", "2"):
        forge_bytecode(package / "later.py", "answer = 'forged'", optimization=optimization)
    program = PROGRAM.format(site=str(site), root=str(ROOT), conf=VERIFY)
    done = subprocess.run(
        [sys.executable, *flags, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
        timeout=60,
    )
    assert done.stdout.strip().endswith('"installed"]'), done.stdout + done.stderr
