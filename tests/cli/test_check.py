"""`aimm-plugins check`."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

import aimm_plugins
from aimm_plugins._config.json_schema import validate
from aimm_plugins.cli import run
from aimm_plugins.testing import checks
from tests.seeded.variants import SOURCE, VARIANTS


@pytest.fixture
def installed(make_distribution):
    """A distribution with a plugin and a Conformance of its model alone."""
    return make_distribution(
        "lines",
        modules={"lines": SOURCE, "lines_conformance": LINES_CONFORMANCE},
        entry_points={
            "aimm.plugins": {"lines": "lines"},
            "aimm_plugins.conformance": {"lines": "lines_conformance:LINE"},
        },
    )


LINES_CONFORMANCE = """
from aimm_plugins.testing import Conformance

LINE = Conformance(
    model_type="line",
    fit=lambda: ([1.0, 2.0], [2.0, 3.0]),
    predict=lambda: ([1.0],),
    claims=["deterministic"],
)
"""


@pytest.mark.parametrize("target", ["lines", "Lines", "lines_conformance:LINE"])
def test_command_finds_the_conformance(installed, capsys, target):
    arguments = ["check", target, "--only", "round-trip", "--format", "json"]
    if ":" in target:
        aimm_plugins.initialize({"names": ["lines"], "entry_points": {"enabled": False}})
    assert run(arguments) == 0
    answer = json.loads(capsys.readouterr().out)
    validate(answer, "check")
    assert answer["counts"]["passed"] == 1
    assert answer["results"][0]["about"] == "line"


@pytest.mark.parametrize("target", ["lines", "Lines", "lines_conformance:LINE"])
def test_conformance_of_a_denied_distribution_is_not_imported(
    installed, capsys, monkeypatch, target
):
    monkeypatch.setenv("AIMM_PLUGINS_DENY", "lines")
    assert run(["check", target]) == 1
    assert "denied by 'lines' (AIMM_PLUGINS_DENY)" in capsys.readouterr().err
    assert "lines_conformance" not in sys.modules


def test_check_of_denied_plugins_alone_has_failed(installed, capsys, tmp_path):
    conf = tmp_path / "c.yaml"
    conf.write_text("names: []\nentry_points: {allow: []}\n")
    assert run(["check", "--format", "json", "--conf", str(conf)]) == 1
    answer = json.loads(capsys.readouterr().out)
    validate(answer, "check")
    reasons = {result["about"]: result["reason"] for result in answer["results"]}
    assert "lines is not among those allowed" in reasons["lines"]


@pytest.mark.parametrize("conf", [["c.yaml"], ["--conf", "c.yaml"]])
def test_plugin_that_a_conf_denies_is_not_imported(
    make_distribution, tmp_path, monkeypatch, capsys, conf
):
    for name in ("lines", "points"):
        modules, points = {name: SOURCE}, {"aimm.plugins": {name: name}}
        make_distribution(f"denied-{name}", modules=modules, entry_points=points)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text("names: []\nentry_points: {deny: [denied-lines]}\n")
    for target in ("denied-lines", "lines"):
        assert run(["check", target, "--quick", *conf]) == 1
        assert "denied by 'denied-lines' (c.yaml:2)" in capsys.readouterr().err
    run(["check", "--only", "docstrings-are-there", "--format", "json", *conf])
    answer = json.loads(capsys.readouterr().out)
    assert {row["about"] for row in answer["results"]} >= {"points"}
    assert "lines" not in sys.modules


def test_command_names_keys_that_were_not_called(installed, capsys):
    assert run(["check", "lines", "--only", "round-trip"]) == 0
    printed = capsys.readouterr()
    assert "1 run, 1 passed" in printed.out
    assert "no Conformance names points" in printed.err


def test_failed_check_is_exit_status_one(installed, capsys):
    (installed.folder / "lines.py").write_text(VARIANTS_BY_CHECK["round-trip"].source)
    assert run(["check", "lines", "--only", "round-trip"]) == 1
    assert "failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("ending", "error"), [("1 / 0", "ZeroDivisionError"), ("raise SystemExit(0)", "SystemExit: 0")]
)
def test_plugin_that_cannot_be_imported_is_exit_status_one(installed, capsys, ending, error):
    (installed.folder / "lines_conformance.py").write_text(ending)
    assert run(["check", "lines"]) == 1
    printed = capsys.readouterr().err
    assert f"lines_conformance cannot be imported: {error}" in printed
    assert "Usage" not in printed


def test_conformance_that_fails_leaves_the_checks_of_other_distributions(
    installed, make_distribution, capsys
):
    make_distribution(
        "circles",
        modules={"circles": SOURCE, "circles_conformance": "import no_such_library"},
        entry_points={
            "aimm.plugins": {"circles": "circles"},
            "aimm_plugins.conformance": {"circles": "circles_conformance"},
        },
    )
    assert run(["check", "--only", "round-trip", "--format", "json"]) == 1
    rows = json.loads(capsys.readouterr().out)["results"]
    assert [(row["about"], row["status"]) for row in rows] == [
        ("circles_conformance", "failed"),
        ("line", "passed"),
    ]


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        ("del LINE", "lines_conformance has no 'LINE'"),
        ("LINE = 5", "5 is no Conformance"),
        ("LINE = []", "[] is no Conformance"),
        ("def LINE(): raise RuntimeError('no data')", "RuntimeError: no data"),
        (
            "from dataclasses import replace\nLINE = replace(LINE, expected_failures={'x': 'y'})",
            "'x'",
        ),
    ],
)
def test_conformance_that_is_none_is_a_failed_check(installed, capsys, ending, told):
    (installed.folder / "lines_conformance.py").write_text(LINES_CONFORMANCE + ending)
    assert run(["check", "lines", "--format", "json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)["results"]
    assert (row["about"], row["status"]) == ("lines_conformance", "failed")
    assert told in row["reason"]


def test_function_that_ends_the_process_is_a_failed_check(installed, capsys):
    ending = "import sys\ndef LINE(): sys.exit(0)"
    (installed.folder / "lines_conformance.py").write_text(ending)
    for target in ("lines", "lines_conformance:LINE"):
        assert run(["check", target]) == 1
        assert "LINE: SystemExit: 0" in capsys.readouterr().out


@pytest.fixture
def broken(make_distribution):
    make_distribution(
        "lines",
        modules={"lines": SOURCE + "\nimport no_such_library\n"},
        entry_points={"aimm.plugins": {"lines": "lines"}},
    )


@pytest.mark.parametrize("options", [[], ["--quick"], ["--only", "import-prints-nothing"]])
def test_plugin_that_cannot_be_imported_is_told_once_as_json_too(broken, capfd, options):
    assert run(["check", "lines", "--format", "json", *options]) == 1
    printed = capfd.readouterr()
    answer = json.loads(printed.out)
    validate(answer, "check")
    assert not answer["ok"]
    (row,) = answer["results"]
    assert (row["about"], row["status"]) == ("lines", "failed")
    assert row["check"] == ("import-prints-nothing" if "--only" in options else "import-succeeds")
    assert "No module named 'no_such_library'" in row["reason"]
    assert printed.err.count("Traceback") <= 1


def test_text_of_a_failed_import_has_one_traceback(broken, capfd):
    assert run(["check", "lines"]) == 1
    printed = capfd.readouterr()
    assert (printed.out + printed.err).count("Traceback") == 1
    assert "lines cannot be imported in a fresh process: ModuleNotFoundError" in printed.out


@pytest.mark.parametrize("options", [[], ["--quick"]])
def test_plugin_that_is_imported_and_cannot_be_loaded_is_told_once(
    make_distribution, capsys, options
):
    source = f"{SOURCE}\nfrom aimm_plugins import hookimpl\n@hookimpl\ndef aimm_fti(): ...\n"
    make_distribution(
        "lines", modules={"lines": source}, entry_points={"aimm.plugins": {"lines": "lines"}}
    )
    assert run(["check", "lines", "--format", "json", *options]) == 1
    (row,) = json.loads(capsys.readouterr().out)["results"]
    assert (row["check"], row["status"]) == ("import-succeeds", "failed")
    line = source.splitlines().index("@hookimpl") + 1
    assert f"lines.py:{line}: hookimpl 'aimm_fti' matches no hook" in row["reason"]


def test_each_result_has_its_number_of_all(installed, capsys):
    run(["check", "lines", "--only", "round-trip", "--only", "serialize-gives-bytes"])
    lines = [line for line in capsys.readouterr().err.splitlines() if "passed" in line]
    assert [line.split()[0] for line in lines] == ["1/2", "2/2"]


def test_quick_starts_no_process(installed, capsys, monkeypatch):
    def fail(*arguments, **named):
        raise AssertionError("a process was started")

    monkeypatch.setattr("subprocess.Popen", fail)
    assert run(["check", "lines", "--quick", "--format", "json"]) == 0
    names = {row["check"] for row in json.loads(capsys.readouterr().out)["results"]}
    assert "round-trip" in names
    assert names.isdisjoint(check.name for check in checks() if check.child)


def test_quick_with_slow_checks_alone_is_wrong_use(installed, capsys):
    assert run(["check", "lines", "--quick", "--only", "garbage-is-refused"]) == 2
    assert "--quick leaves out all of these" in capsys.readouterr().err


def test_each_difference_of_the_metadata_is_named_once(make_distribution, capsys):
    make_distribution(
        "lines",
        modules={"lines": SOURCE, "lines_conformance": LINES_CONFORMANCE},
        entry_points={
            "aimm.plugins": {"lines": "lines"},
            "aimm.plugins.fit": {"old": "lines:learn"},
            "aimm_plugins.conformance": {"lines": "lines_conformance:LINE"},
        },
    )
    assert run(["check", "lines", "--quick"]) == 1
    printed = capsys.readouterr()
    assert printed.err.count("lines does not declare fit:old and declares ") == 1
    assert "published-keys-differ" not in printed.err
    assert "aimm-plugins entry-points --write" in printed.out


VARIANTS_BY_CHECK = {each.check: each for each in VARIANTS}


@pytest.mark.parametrize("arguments", [["nobody"], ["lines", "--only", "round-trp"]])
def test_wrong_use_is_exit_status_two(installed, capsys, arguments):
    assert run(["check", *arguments]) == 2
    printed = capsys.readouterr().err
    assert "did you mean 'round-trip'" in printed or "'nobody' is no installed" in printed


def test_command_lists_the_checks(capsys):
    assert run(["check", "--checks", "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [row["check"] for row in answer] == [check.name for check in checks()]
    assert all(row["summary"].endswith(".") for row in answer)


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("aside", "aside.py is there: add --path .\n"),
        ("aside:CONFORMANCE", "aside.py is there: add --path .\n"),
        ("my-linez", "did you mean 'my-lines'?\n"),
    ],
)
def test_what_is_not_found_is_told_with_what_may_help(
    make_distribution, tmp_path, monkeypatch, capsys, target, hint
):
    make_distribution("my-lines", modules={"my_lines": ""}, entry_points={"l": "my_lines"})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "aside.py").touch()
    assert run(["check", target]) > 0
    assert hint in capsys.readouterr().err


def test_distribution_without_an_entry_point_is_told_so(make_distribution, capsys):
    groups = {"aimm.plugin": {"l": "my_lines"}}
    make_distribution("my-lines", modules={"my_lines": ""}, entry_points=groups)
    assert run(["check", "my-lines"]) == 2
    told = "my-lines is installed and has no entry point in the group aimm.plugins: see `aimm-plug"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    "target", ["my_lines", "my-lines", "src/my_lines", "src/my_lines/__init__.py", "./src/my_lines"]
)
def test_project_that_is_not_installed_is_checked_by_following_the_hint(
    tmp_path, monkeypatch, capsys, target
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    package = tmp_path / "src" / "my_lines"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from aimm_plugins import fit\nfit(['k'])(print)\n")
    assert run(["check", target]) == 2
    printed = capsys.readouterr().err
    (name, path) = re.search(r"is there: (?:add|write) ?(\S*) --path (\S+), or", printed).groups()
    assert run(["check", name or target, "--path", path, "--only", "something-is-declared"]) == 0


@pytest.mark.skipif(sys.version_info < (3, 15), reason="no lazy imports here")
def test_checks_are_there_where_all_imports_are_lazy():
    line = [sys.executable, "-X", "lazy_imports=all", "-m", "aimm_plugins", "check", "--checks"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) > len(checks())
