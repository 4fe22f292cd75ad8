"""`doctor`: what is wrong, with a remedy for each."""

from __future__ import annotations

import html
import re
import sys

import pytest

from tests.cli.conftest import CONF, LEGACY


def codes(answer) -> list[tuple[str, str]]:
    return [(finding["code"], finding["subject"]) for finding in answer["findings"]]


def test_doctor_finds_nothing_where_all_is_well(run):
    status, answer, _ = run("doctor", "--format", "json")
    assert (status, answer) == (0, {"ok": True, "findings": []})
    assert run("doctor")[1] == "nothing found\n"


def test_doctor_says_where_no_plugin_is_installed_at_all(run):
    told = f"no plugins: none is installed in {sys.prefix}, and no conf names one"
    for verb in ("doctor", "plan", "list"):
        assert told in run(verb)[2]


@pytest.mark.parametrize(
    ("source", "entry_point", "published", "code"),
    [
        ("x = 1", "looked_at", None, "declares-nothing"),
        (LEGACY, "looked_at:lern", None, "object-not-found"),
        (LEGACY, "looked_off", None, "module-not-found"),
        (LEGACY, "looked_at.more", None, "module-not-found"),
        ("import surely_not_there\n" + LEGACY, "looked_at", None, "import-not-found"),
        (LEGACY, "looked_at", {"fit:iris.svc": "looked_at:learn"}, "published-keys-differ"),
        (
            LEGACY,
            "looked_at",
            {f"fit:iris.{key}": "looked_at:learn" for key in ("svc", "old", "more")},
            "published-keys-differ",
        ),
        (LEGACY, "not a module", None, "would-fail"),
    ],
)
def test_doctor_finds_what_is_wrong_with_a_plugin(
    run, site, install, source, entry_point, published, code
):
    (site / "looked_at.py").write_text(source)
    install(
        "looked-at", entry_points={"ep": entry_point}, published=published, files=["looked_at.py"]
    )
    status, answer, _ = run("doctor", "--format", "json")
    assert status == 1
    assert [found for found, _ in codes(answer)] == [code]
    assert all(finding["remedy"] for finding in answer["findings"])
    assert code in run("doctor")[1]


@pytest.mark.parametrize(
    ("source", "entry_point"),
    [
        (LEGACY, "looked_at"),
        (LEGACY, "looked_at:learn"),
        ("from aimm_plugins import hookimpl\n@hookimpl\ndef aimm_fit(): ...\n", "looked_at"),
        ("def register():\n  from aimm_plugins import fit\n  fit(['a'])(print)\n", "looked_at"),
        ("from json import *\n" + LEGACY, "looked_at:loads"),
        ("try:\n  import surely_not_there\nexcept ImportError: pass\n" + LEGACY, "looked_at"),
        ("def f():\n  import surely_not_there\n" + LEGACY, "looked_at"),
    ],
)
def test_doctor_blames_no_sound_plugin(run, site, install, source, entry_point):
    (site / "looked_at.py").write_text(source)
    install("looked-at", entry_points={"ep": entry_point}, files=["looked_at.py"])
    assert run("doctor", "--format", "json")[:2] == (0, {"ok": True, "findings": []})


def test_doctor_blames_no_published_key_that_may_be_declared_at_run_time(run, site, install):
    (site / "looked_at.py").write_text(LEGACY + "for k in 'ab':\n  fit([k])(learn)\n")
    install(
        "looked-at",
        entry_points={"ep": "looked_at"},
        published={f"fit:{key}": "looked_at:learn" for key in ("iris.svc", "iris.old", "a", "b")},
        files=["looked_at.py"],
    )
    assert run("doctor", "--format", "json")[:2] == (0, {"ok": True, "findings": []})


def test_doctor_finds_a_config_name_that_is_no_module(run, tmp_path):
    (tmp_path / "c.yaml").write_text("names: ['..']\nentry_points: {enabled: false}\n")
    _, answer, _ = run("doctor", "--format", "json", "--conf", str(tmp_path / "c.yaml"))
    assert codes(answer) == [("module-not-found", "..")]


def test_doctor_finds_doubles_conflicts_and_what_is_missing(world, run, site, install, tmp_path):
    install("looked-svc", "1.3", entry_points={"svc": "looked_svc"})
    (tmp_path / "c.yaml").write_text("names: []\nrequired: [nobody]\n")
    found = {code for code, _ in codes(run("doctor", "--format", "json", "--conf", "c.yaml")[1])}
    assert {"double-distribution", "conflict", "required-missing"} <= found


@pytest.mark.parametrize("load", [(), ("--load",)])
def test_doctor_tells_a_conflict_once_and_its_remedy_settles_it(run, site, install, tmp_path, load):
    for name, keys in (("one", "['a', 'b']"), ("two", "['a', 'b']"), ("three", "['b']")):
        (site / f"by_{name}.py").write_text(
            f"from aimm_plugins import fit\n@fit({keys})\ndef f(m): ...\n"
        )
        install(f"by-{name}", entry_points={name: f"by_{name}"}, files=[f"by_{name}.py"])
    _, answer, _ = run("doctor", *load, "--format", "json")
    assert codes(answer) == [("conflict", "fit:a"), ("conflict", "fit:b")]
    lines = [re.findall("prefer: {(.*: by-two)}", f["message"])[0] for f in answer["findings"]]
    (tmp_path / "c.yaml").write_text(f"names: []\nprefer: {{{', '.join(lines)}}}\n")
    assert run("doctor", *load, "--conf", str(tmp_path / "c.yaml"))[0] == 0


def test_doctor_with_load_tells_what_failed(world, run):
    _, answer, _ = run("doctor", "--load", "--format", "json", *CONF)
    assert ("failed", "looked-svc 1.2 (svc)") in codes(answer)


@pytest.mark.parametrize("load", [(), ("--load",)])
def test_doctor_explain_and_the_page_have_one_remedy_and_place(world, run, tmp_path, load):
    (tmp_path / "c.yaml").write_text("names: [no_such]\nrequired: [looked-dev, 'fit:nothing']\n")
    conf = ("--conf", "c.yaml", *load)
    _, answer, _ = run("doctor", "--format", "json", *conf)
    run("report", "--html", "page.html", *conf)
    page = html.unescape((tmp_path / "page.html").read_text().replace("<wbr>", ""))
    wanted = {
        "looked-svc 1.2 (svc)": "looked-svc",
        "no_such": "no_such",
        "fit:nothing": "fit:nothing",
    }
    found = {f["subject"]: f for f in answer["findings"] if f["subject"] in wanted}
    assert len(found) == (3 if load else 2)
    for subject, finding in found.items():
        _, told, _ = run("explain", wanted[subject], "--format", "json", *conf)
        (reason,) = told["reasons"]
        assert (reason["there"], reason["remedy"]) == (False, finding["remedy"])
        assert finding["place"] in reason["who"] + reason["why"]
        assert finding["remedy"] in page


def test_failure_has_the_line_that_raised_it(world, run):
    _, answer, _ = run("doctor", "--load", "--format", "json", *CONF)
    assert [f["place"] for f in answer["findings"] if f["code"] == "failed"] == ["looked_svc.py:4"]


def test_doctor_with_load_tells_of_needed_options_too(run, site, install):
    (site / "looked_at.py").write_text(LEGACY)
    (site / "options.yaml").write_text("type: object\nrequired: [url]\n")
    made = install("looked-at", entry_points={"ep": "looked_at"}, files=["looked_at.py"])
    with (made / "entry_points.txt").open("a") as points:
        points.write("[aimm.plugins.options]\nep = looked_at:options.yaml\n")
    for load in ((), ("--load",)):
        _, answer, _ = run("doctor", *load, "--format", "json")
        assert [code for code, _ in codes(answer)] == ["options-needed"]


@pytest.mark.parametrize(
    ("requirement", "there", "message"),
    [
        ("needed>=2", None, "it requires needed>=2, which is not installed"),
        ("needed>=2", "1.0", "it requires needed>=2, and needed 1.0 is installed"),
        ("needed>=2", "2.1", None),
        ("needed>=2; python_version < '3'", None, None),
        ("needed; extra == 'fast'", None, None),
    ],
)
def test_doctor_finds_requirements_that_are_not_met(
    run, site, install, requirement, there, message
):
    (site / "looked_at.py").write_text(LEGACY)
    install("looked-at", entry_points={"ep": "looked_at"}, requires=[requirement])
    if there is not None:
        install("needed", there)
    _, answer, _ = run("doctor", "--format", "json")
    assert [found["message"] for found in answer["findings"]] == ([message] if message else [])


def test_doctor_and_explain_tell_of_a_distribution_without_metadata(run, install):
    (install("looked-left") / "METADATA").unlink()
    status, answer, _ = run("doctor", "--format", "json")
    assert (status, codes(answer)) == (1, [("broken-metadata", "looked-left 1.0")])
    (reason,) = run("explain", "looked-left", "--format", "json")[1]["reasons"]
    assert reason["remedy"] == answer["findings"][0]["remedy"]


def test_entry_points_that_are_half_written_are_told(run, site, install):
    (site / "looked_at.py").write_text(LEGACY)
    folder = install(
        "looked-at",
        entry_points={"ep": "looked_at"},
        requires=["aimm-plugins"],
        files=["looked_at.py", "looked_at-1.0.dist-info/entry_points.txt"],
    )
    assert run("doctor")[0] == 0
    for left in ("", "[aimm.plugins\nep = looked_at\n"):
        (folder / "entry_points.txt").write_text(left)
        status, answer, _ = run("doctor", "--format", "json")
        assert (status, codes(answer)) == (1, [("broken-metadata", "looked-at 1.0")])
        _, explained, _ = run("explain", "looked-at", "--format", "json")
        (reason,) = explained["reasons"]
        assert reason["remedy"] == answer["findings"][0]["remedy"]
        assert reason["remedy"] == "pip install --force-reinstall --no-deps looked-at."
