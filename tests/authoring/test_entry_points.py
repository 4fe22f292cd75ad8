"""The verb `entry-points`: tables that are printed, checked and written, from source or by running."""

from __future__ import annotations

import json
import os
import py_compile
import shlex
import tomllib
from pathlib import Path

import pytest

from aimm_plugins._authoring.declarations import run_declarations
from aimm_plugins._authoring.project import find_project
from aimm_plugins.cli import run
from aimm_plugins.errors import AimmPluginsError
from tests.authoring.conftest import FIT, PYPROJECT


def test_write_keeps_comments_and_the_tables_of_others(project, capsys):
    folder = project(mine=FIT)
    assert run(["entry-points", str(folder), "--write"]) == 0
    text = (folder / "pyproject.toml").read_text()
    assert text == PYPROJECT.replace(
        "# About ruff.",
        '[project.entry-points."aimm.plugins"]\nmine = "mine"\n\n'
        '[project.entry-points."aimm.plugins.fit"]\nmine = "mine:f"\n\n# About ruff.',
    )
    shown = capsys.readouterr()
    assert '+ mine = "mine:f"' in shown.out
    assert f"pip install -e {os.path.relpath(folder)}\n" in shown.err
    assert run(["entry-points", str(folder), "--check"]) == 0
    assert run(["entry-points", str(folder), "--write"]) == 0
    assert capsys.readouterr() == ("", "")


def test_schema_of_options_is_the_authors_own_entry(project):
    own = '[project.entry-points."aimm.plugins.options"]\nmine = "mine:options.json"\n'
    folder = project(PYPROJECT + own, mine=FIT)
    assert run(["entry-points", str(folder), "--write"]) == 0
    assert own in (folder / "pyproject.toml").read_text()
    assert run(["entry-points", str(folder), "--check"]) == 0


def test_check_tells_what_is_stale(project, capsys):
    entries = '[project.entry-points."aimm.plugins.fit"]\nold = "mine:f"\n'
    folder = project(PYPROJECT + entries, mine=FIT)
    before = (folder / "pyproject.toml").read_bytes()
    assert run(["entry-points", str(folder), "--check"]) == 1
    out, err = capsys.readouterr()
    assert '- old = "mine:f"' in out
    assert '+ mine = "mine:f"' in out
    assert (folder / "pyproject.toml").read_bytes() == before
    assert run(["entry-points", str(folder), "--check", "--import"]) == 1
    for told, option in ((err, []), (capsys.readouterr().err, ["--import"])):
        command = shlex.split(told.partition("differ: aimm-plugins ")[2])
        assert command == ["entry-points", str(folder), *option, "--write"]


def test_tables_are_printed_as_toml_and_json(project, capsys):
    folder = project(None, mine=FIT)
    wanted = {"aimm.plugins": {"mine": "mine"}, "aimm.plugins.fit": {"mine": "mine:f"}}
    assert run(["entry-points", str(folder / "mine.py")]) == 0
    assert tomllib.loads(capsys.readouterr().out)["project"]["entry-points"] == wanted
    assert run(["entry-points", str(folder), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == wanted


def test_project_that_declares_nothing_is_a_no(project, capsys):
    assert run(["entry-points", str(project(mine="x = 1"))]) == 1
    assert "declares nothing" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--check", "--write"])
@pytest.mark.parametrize("text", ["[tool.poetry]\n", None])
def test_pyproject_without_a_project_table_is_wrong_configuration(project, capsys, text, option):
    """A check does not send to the writing, which has no place to write."""
    assert run(["entry-points", str(project(text, mine=FIT)), option]) == 2
    assert "no [project] table" in capsys.readouterr().err


def test_dynamic_entry_points_are_left_to_the_build(project, capsys):
    text = PYPROJECT.replace("version =", 'dynamic = ["entry-points"]\nversion =')
    folder = project(text, mine=FIT)
    assert run(["entry-points", str(folder), "--write"]) == 0
    assert (folder / "pyproject.toml").read_text() == text
    assert "made by the build" in capsys.readouterr().err
    assert run(["entry-points", str(folder), "--check"]) == 1
    assert "nothing was checked" in capsys.readouterr().err
    (folder / "pyproject.toml").write_text(f"{text}\n[tool.hatch.metadata.hooks.aimm-plugins]\n")
    assert run(["entry-points", str(folder), "--check"]) == 0


# Running the code


def test_import_reads_what_the_source_does_not_tell(project, capfd):
    folder = project(
        mine="from aimm_plugins import fit\nprint('noise')\nfor n in 'ab':\n"
        "    @fit([n])\n    def f(m): ...\n    globals()[f'fit_{n}'] = f\n"
    )
    assert run(["entry-points", str(folder), "--import", "--format", "json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["aimm.plugins.fit"] == {"a": "mine:fit_a", "b": "mine:f"}
    assert "noise" in err


def test_import_reads_compiled_modules_which_their_package_brings(project, capfd):
    folder = project(mine__init="from mine import _core\n", mine___core=FIT)
    source = folder / "mine" / "_core.py"
    py_compile.compile(str(source), cfile=str(source.with_suffix(".pyc")))
    source.unlink()
    assert run(["entry-points", str(folder)]) == 1
    assert "--import" in capfd.readouterr().err
    assert run(["entry-points", str(folder), "--import", "--format", "json"]) == 0
    assert json.loads(capfd.readouterr().out) == {
        "aimm.plugins": {"mine": "mine"},
        "aimm.plugins.fit": {"mine._core": "mine._core:f"},
    }


def test_import_tells_of_every_module_that_fails(project):
    folder = project(
        one="import no_such_module",
        two="raise SystemExit(3)",
        three="from aimm_plugins import fit\nfit(['k'])(lambda m: m)\n",
    )
    with pytest.raises(AimmPluginsError) as caught:
        run_declarations(find_project(folder))
    assert "one cannot be imported: ModuleNotFoundError" in str(caught.value)
    assert "two cannot be imported: SystemExit: 3" in str(caught.value)
    assert "three.py:2: fit:k is declared by <function" in str(caught.value)


def test_import_that_ends_the_process_is_told(project):
    folder = project(mine="import os\nos._exit(7)")
    with pytest.raises(AimmPluginsError, match="left with status 7 before it was done"):
        run_declarations(find_project(folder))


SAMPLES = sorted(Path(__file__).parents[2].glob("sample_plugins/*/pyproject.toml"))


@pytest.mark.parametrize("pyproject", SAMPLES, ids=lambda path: path.parent.name)
def test_samples_publish_what_their_code_declares(pyproject):
    assert run(["entry-points", str(pyproject.parent), "--check"]) == 0
