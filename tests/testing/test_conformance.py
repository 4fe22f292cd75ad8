"""Conformance checks: the plugin that is in order passes all, each seeded bug is caught."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

import aimm_plugins
from aimm_plugins._config.json_schema import validate
from aimm_plugins.cli import run
from aimm_plugins.testing import Conformance, check_plugin, checks
from aimm_plugins.testing._distributions import forget_modules, write_distribution
from aimm_plugins.testing._receipt import hashes, make_receipt, read_receipt, write_receipt
from tests.seeded.variants import DATA, MODEL, SOURCE, VARIANTS

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    """A folder on the path with the plugin that is in order, and the variants as `seeded_<n>`."""
    folder = tmp_path_factory.mktemp("seeded")
    (folder / "line.py").write_text(SOURCE, encoding="utf-8")
    for number, variant in enumerate(VARIANTS):
        module = f"seeded_{number}"
        (folder / f"{module}.py").write_text(variant.source, encoding="utf-8")
        if variant.metadata:
            groups = {
                group: {name: value.format(module=module) for name, value in lines.items()}
                for group, lines in variant.metadata.items()
            }
            write_distribution(folder, module, entry_points=groups)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder
    forget_modules(folder)


@pytest.mark.parametrize("number", range(len(VARIANTS)), ids=lambda n: VARIANTS[n].wrong)
def test_seeded_bug_is_caught_by_the_check_that_is_meant_for_it(seeded, number):
    variant = VARIANTS[number]
    verdict = check_plugin(
        variant.conformance(f"seeded_{number}"), only=[variant.check], on_fail="report"
    )
    (result,) = verdict.results
    assert result.status == "failed", str(result)


@pytest.fixture(scope="module")
def in_order(seeded):
    return check_plugin(
        replace(MODEL, plugin="line"), replace(DATA, plugin="line"), on_fail="report"
    )


def test_plugin_that_is_in_order_passes_all_checks(in_order):
    assert in_order.ok, str(in_order)
    skipped = {each.check for each in in_order.results if each.status == "skipped"}
    assert skipped <= {
        "keys-are-as-published",
        "entry-points-resolve",
        "options-have-a-sound-schema",
    }


def test_every_check_has_a_bug_that_it_catches():
    assert {each.check for each in VARIANTS} == {each.name for each in checks()}


# Verdict


def test_counts_tell_run_passed_failed_expected_and_skipped(seeded):
    told = replace(
        MODEL,
        plugin="line",
        claims=(),
        expected_failures={"round-trip": "it was broken once"},
    )
    verdict = check_plugin(
        told,
        only=["round-trip", "round-trip-twice", "threads-do-not-mix"],
        on_fail="report",
    )
    assert verdict.counts == {"run": 2, "passed": 1, "failed": 1, "expected": 0, "skipped": 1}
    assert [each.status for each in verdict.results] == ["skipped", "unexpected", "passed"]
    assert "not claimed: thread_safe" in str(verdict)


def test_declared_failure_is_no_failure(seeded):
    number = next(n for n, each in enumerate(VARIANTS) if each.check == "round-trip")
    told = replace(
        VARIANTS[number].conformance(f"seeded_{number}"),
        expected_failures={"round-trip": "issue 7"},
    )
    verdict = check_plugin(told, only=["round-trip"])
    (result,) = verdict.results
    assert (result.status, result.reason) == ("expected", "issue 7")


def test_failure_is_raised_with_check_reason_and_place(seeded):
    number = next(n for n, each in enumerate(VARIANTS) if each.check == "round-trip")
    with pytest.raises(AssertionError) as caught:
        check_plugin(VARIANTS[number].conformance(f"seeded_{number}"), only=["round-trip"])
    text = str(caught.value)
    assert "round-trip" in text
    assert "the deserialized instance predicts something else" in text
    assert f"seeded_{number}.py:" in text
    assert isinstance(caught.value.__cause__, ExceptionGroup)


def test_fewer_checks_than_in_the_last_release_fail(seeded, tmp_path):
    receipt = tmp_path / "receipt.json"
    write_receipt(receipt, RECEIPT)
    verdict = check_plugin(
        replace(MODEL, plugin="line"), only=["round-trip"], receipt=str(receipt), on_fail="report"
    )
    assert not verdict.ok
    assert verdict.fewer == "1 checks were run, and 41 for the receipt of the last release"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "of a model_type or of a data_access"),
        ({"model_type": "a", "data_access": "b"}, "of a model_type or of a data_access"),
        ({"model_type": "a", "claims": {"fast"}}, "no claim 'fast'"),
        ({"model_type": "a", "claims": "deterministic"}, "claims is a collection"),
        ({"model_type": "a", "expected_failures": {"round-trip": ""}}, "needs a reason"),
    ],
)
def test_wrong_declaration_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Conformance(**options)


def test_expected_failure_of_a_check_that_does_not_exist_is_refused():
    told = Conformance(model_type="line", expected_failures={"round-trp": "why"})
    with pytest.raises(ValueError, match="did you mean 'round-trip'"):
        check_plugin(told)


def test_key_that_nobody_provides_is_an_error():
    with pytest.raises(LookupError, match=r"Conformance\(plugin=\.\.\.\)"):
        check_plugin(Conformance(model_type="nobody"), only=["round-trip"])


def test_module_without_conformance_is_checked_as_such(seeded):
    verdict = check_plugin("line", on_fail="report")
    assert verdict.ok, str(verdict)
    assert {each.about for each in verdict.results} == {"line"}
    assert "import-leaves-threads" in {each.check for each in verdict.results}


def test_what_was_declared_by_hand_is_not_looked_for_in_other_processes():
    aimm_plugins.data_access("by.hand")(lambda: [1])
    verdict = check_plugin(
        Conformance(data_access="by.hand"), only=["works-in-a-spawned-process"], on_fail="report"
    )
    (result,) = verdict.results
    assert result.status == "skipped", str(result)


def test_strategies_give_the_arguments(seeded):
    from hypothesis import strategies as st

    numbers = st.lists(st.floats(0, 1), min_size=2, max_size=2)
    told = replace(MODEL, plugin="line", fit=st.tuples(numbers, numbers))
    verdict = check_plugin(told, only=["round-trip", "fit-keeps-arguments"])
    assert verdict.counts["passed"] == 2
    number = next(n for n, each in enumerate(VARIANTS) if each.check == "fit-keeps-arguments")
    verdict = check_plugin(
        replace(told, plugin=f"seeded_{number}"), only=["fit-keeps-arguments"], on_fail="report"
    )
    assert verdict.counts["failed"] == 1


def test_source_that_gives_no_arguments_is_named(seeded):
    told = replace(MODEL, plugin="line", fit=lambda: [1, 2])
    verdict = check_plugin(told, only=["fit-gives-a-predictor"], on_fail="report")
    assert "gave list; return arguments(...)" in verdict.results[0].reason


# Receipts


RECEIPT = {
    "format": 1,
    "distribution": None,
    "version": None,
    "plugins": ["line"],
    "versions": {"aimm-plugins": "0.1.0", "python": "3.11.7"},
    "counts": {"run": 41, "passed": 41, "failed": 0, "expected": 0, "skipped": 3},
    "checks": [],
    "files": {},
}


def test_receipt_has_counts_versions_and_hashes(seeded, in_order):
    receipt = make_receipt(in_order, ["line"])
    validate(receipt, "receipt")
    assert receipt["counts"] == in_order.counts
    assert set(receipt["versions"]) == {"aimm-plugins", "python"}
    assert receipt["files"] == {
        "line.py": "sha256:" + hashlib.sha256((seeded / "line.py").read_bytes()).hexdigest()
    }
    assert len(receipt["checks"]) == len(in_order.results)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 2}', "[" * 100_000])
def test_what_is_no_receipt_is_refused(tmp_path, content):
    path = tmp_path / "receipt.json"
    path.write_text(content)
    with pytest.raises(aimm_plugins.ConfigError, match="no receipt"):
        read_receipt(path)


PACKAGE = {"modelling": "", "modelling.line": SOURCE}


@pytest.fixture
def shipped(make_distribution):
    """A distribution that ships a receipt of its files."""

    def ship(**more):
        made = make_distribution(
            "modelling",
            modules=PACKAGE,
            entry_points={"line": "modelling.line"},
            files={"modelling/data.bin": b"1"},
        )
        files = hashes("modelling.line")
        receipt = {**RECEIPT, "distribution": "modelling", "version": "1.0", "files": files, **more}
        write_receipt(made.folder / "modelling" / "aimm-receipt.json", receipt)
        return made

    return ship


def told_of(form, capsys):
    assert run(["list", "--format", form]) == 0
    return capsys.readouterr()


def test_list_shows_a_receipt_that_fits(shipped, capsys):
    shipped()
    told = told_of("table", capsys)
    (line,) = [each for each in told.out.splitlines() if "modelling.line" in each]
    assert line.endswith("fits: 41 run, 41 passed")
    assert "receipt" not in told.err


def test_hashes_are_of_the_whole_package(shipped):
    shipped()
    assert sorted(hashes("modelling.line")) == [
        "modelling/__init__.py",
        "modelling/data.bin",
        "modelling/line.py",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "line.py").write_text("x"), "line.py is not the one that was"),
        (lambda folder: (folder / "data.bin").unlink(), "data.bin is missing"),
        (lambda folder: (folder / "new.py").write_text(""), "new.py is not in it"),
    ],
    ids=["changed", "missing", "added"],
)
def test_receipt_that_does_not_fit_is_a_finding(shipped, capsys, change, message):
    change(shipped().folder / "modelling")
    told = told_of("json", capsys)
    (finding,) = [each for each in json.loads(told.out)["findings"] if each["code"] == "receipt"]
    assert message in finding["message"]


def test_receipt_of_another_version_does_not_fit(shipped, capsys):
    shipped(version="0.9")
    assert "is of version 0.9, not 1.0" in told_of("table", capsys).err


def test_broken_receipt_is_a_finding_and_no_failure(shipped, capsys):
    (shipped().folder / "modelling" / "aimm-receipt.json").write_text("{")
    assert "its receipt cannot be read" in told_of("table", capsys).err


def test_receipt_is_never_followed_out_of_the_folder(shipped, capsys):
    shipped(files={"../secret.txt": "sha256:0"})
    assert "leads out of the folder" in told_of("table", capsys).err


def test_plan_shows_a_receipt_and_does_not_go_by_it(shipped, capsys):
    (shipped().folder / "modelling" / "line.py").write_text(SOURCE + "\n")
    run(["plan"])
    told = capsys.readouterr()
    (line,) = [each for each in told.out.splitlines() if "modelling.line" in each]
    assert "planned" in line
    assert "differs: modelling/line.py" in line


# The command


@pytest.fixture
def installed(make_distribution):
    """A distribution with a plugin and a Conformance of its model alone."""
    return make_distribution(
        "lines",
        modules={"lines": SOURCE, "lines_conformance": LINES_CONFORMANCE},
        entry_points={
            "aimm.plugins": {"lines": "lines"},
            "aimm_plugins.conformance": {"lines": "lines_conformance:told"},
        },
    )


LINES_CONFORMANCE = """
from aimm_plugins.testing import Conformance

told = Conformance(
    model_type="line",
    fit=lambda: ([1.0, 2.0], [2.0, 3.0]),
    predict=lambda: ([1.0],),
    claims=["deterministic"],
)
"""


@pytest.mark.parametrize("target", ["lines", "Lines", "lines_conformance:told"])
def test_command_finds_what_the_author_says(installed, capsys, target):
    arguments = ["check", target, "--only", "round-trip", "--format", "json"]
    if ":" in target:
        aimm_plugins.initialize({"names": ["lines"], "entry_points": {"enabled": False}})
    assert run(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["counts"]["passed"] == 1
    assert told["results"][0]["about"] == "line"


def test_command_tells_keys_that_were_not_called(installed, capsys):
    assert run(["check", "lines", "--only", "round-trip"]) == 0
    told = capsys.readouterr()
    assert "1 run, 1 passed" in told.out
    assert "no Conformance names points" in told.err


def test_failed_check_is_exit_status_one(installed, capsys):
    (installed.folder / "lines.py").write_text(VARIANTS_BY_CHECK["round-trip"].source)
    assert run(["check", "lines", "--only", "round-trip"]) == 1
    assert "failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("ending", "told"), [("1 / 0", "ZeroDivisionError"), ("raise SystemExit(0)", "SystemExit: 0")]
)
def test_plugin_that_cannot_be_imported_is_exit_status_one(installed, capsys, ending, told):
    (installed.folder / "lines_conformance.py").write_text(ending)
    assert run(["check", "lines"]) == 1
    error = capsys.readouterr().err
    assert f"lines_conformance cannot be imported: {told}" in error
    assert "Usage" not in error


def test_check_tells_each_difference_of_the_metadata_once(make_distribution, capsys):
    make_distribution(
        "lines",
        modules={"lines": SOURCE, "lines_conformance": LINES_CONFORMANCE},
        entry_points={
            "aimm.plugins": {"lines": "lines"},
            "aimm.plugins.fit": {"old": "lines:learn"},
            "aimm_plugins.conformance": {"lines": "lines_conformance:told"},
        },
    )
    assert run(["check", "lines"]) == 1
    told = capsys.readouterr()
    assert told.err.count("published and not declared: fit:old; declared and not") == 1
    assert "published-keys-differ" not in told.err
    assert "aimm-plugins entry-points --write" in told.out


VARIANTS_BY_CHECK = {each.check: each for each in VARIANTS}


@pytest.mark.parametrize("arguments", [["nobody"], ["lines", "--only", "round-trp"]])
def test_wrong_use_is_exit_status_two(installed, capsys, arguments):
    assert run(["check", *arguments]) == 2
    assert "round-trip" in (told := capsys.readouterr().err) or "nobody" in told


def test_command_writes_a_receipt_and_counts_by_it_the_next_time(installed, tmp_path, capsys):
    path = tmp_path / "aimm-receipt.json"
    only = ["--only", "round-trip", "--only", "round-trip-twice"]
    assert run(["check", "lines", *only, "--receipt", str(path)]) == 0
    written = path.read_text()
    assert read_receipt(path)["counts"]["run"] == 2
    assert run(["check", "lines", *only[:2], "--receipt", str(path)]) == 1
    assert "1 checks were run, and 2 for the receipt" in capsys.readouterr().err
    assert path.read_text() == written


def test_command_lists_the_checks(capsys):
    assert run(["check", "--checks", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["check"] for each in told] == [each.name for each in checks()]
    assert all(each["summary"].endswith(".") for each in told)


# The page


def tables() -> str:
    """The tables of the page: what each check is for, and the bug that it was tried with."""
    lines = ["| check | of | claim | what holds |", "| --- | --- | --- | --- |"]
    for each in checks():
        kinds, claim = " ".join(each.kinds), each.claim or ""
        lines.append(f"| `{each.name}` | {kinds} | {claim} | {each.summary} |")
    lines += ["", "| the bug | caught by |", "| --- | --- |"]
    lines += [f"| {each.wrong} | `{each.check}` |" for each in VARIANTS]
    return "\n".join(lines) + "\n"


def test_page_has_the_tables_of_checks_and_bugs():
    begin, end = "<!-- tables -->\n", "<!-- end of tables -->\n"
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(begin)
    shown, _, tail = rest.partition(end)
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(head + begin + tables() + end + tail, encoding="utf-8")
    else:
        assert shown == tables()


# What is whose


def test_what_an_import_here_left_in_the_environment_is_seen_all_the_same(write, monkeypatch):
    monkeypatch.setenv("NOISY", "0")
    write(noisy="import os\nos.environ['NOISY'] = '1'\n@data_access('n')\ndef f(): return 1")
    check_plugin("noisy", only=["actions-come-in-pairs"])
    assert os.environ["NOISY"] == "1"
    with pytest.raises(AssertionError, match="changed NOISY"):
        check_plugin("noisy", only=["import-leaves-environment"])


def test_what_a_dependency_does_at_import_is_not_the_plugins(write):
    write(
        noisy="import os, warnings\nos.environ['NOISY'] = '1'\nwarnings.simplefilter('ignore')",
        quiet="import importlib, noisy\n@data_access('quiet')\ndef f(): return 1",
        loud="import noisy\nimport warnings\nwarnings.simplefilter('always')",
    )
    only = ["import-leaves-environment", "import-leaves-warnings"]
    assert check_plugin("quiet", only=only).counts["passed"] == 2
    verdict = check_plugin("loud", only=only, on_fail="report")
    assert [each.check for each in verdict.failures] == ["import-leaves-warnings"]
