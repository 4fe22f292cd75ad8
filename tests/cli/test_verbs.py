"""The verbs that look: list, show, explain, doctor, diff, report. None imports a plugin."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import re
import sys
from contextlib import suppress

import pytest

from aimm_plugins import cli
from aimm_plugins._config.json_schema import validate
from aimm_plugins._discovery.scan import scan

SVC = '''
from aimm_plugins import fit, predict

raise_at_import = 1 / 0

@fit(["iris.svc"], state_cb_arg_name="progress")
def fit_svc(model, x, *, epochs: int = 20, progress):
    """Fit in place.

    Args:
        model: As made.
    """
'''
LEGACY = "from aimm_plugins import fit\n\n@fit(['iris.svc', 'iris.old'])\ndef learn(model): ...\n"

pytestmark = pytest.mark.skipif(
    bool(scan().candidates), reason="an environment without other plugins is looked at"
)


@pytest.fixture
def run(capsys):
    """Runs the command in this process; checks JSON against its schema."""

    def run(*arguments: str):
        capsys.readouterr()
        status = cli.run(arguments)
        out, err = capsys.readouterr()
        if "json" in arguments and out:
            told = json.loads(out)
            validate(told, "report" if arguments[0] == "plan" else arguments[0])
            return status, told, err
        return status, out, err

    return run


@pytest.fixture
def world(site, install, tmp_path, monkeypatch):
    """Three distributions: one that publishes, one that does not, one that is denied."""
    (site / "looked_svc.py").write_text(SVC)
    (site / "looked_legacy.py").write_text(LEGACY)
    (site / "looked_dev.py").write_text("raise SystemExit\n" + LEGACY.replace("iris", "dev"))
    install(
        "looked-svc",
        "1.2",
        entry_points={"svc": "looked_svc"},
        published={"fit:iris.svc": "looked_svc:fit_svc"},
        files=["looked_svc.py"],
    )
    install(
        "looked-legacy", "0.9", entry_points={"legacy": "looked_legacy"}, files=["looked_legacy.py"]
    )
    install("looked-dev", "0.1", entry_points={"dev": "looked_dev"}, files=["looked_dev.py"])
    monkeypatch.chdir(tmp_path)
    conf = tmp_path / "plugins.yaml"
    conf.write_text(
        "names: []\nentry_points:\n  deny: [looked-dev, 'looked-svc<1']\n"
        "prefer: {'fit:iris.svc': looked-svc}\non_error: isolate\n"
    )
    yield conf
    imported = {"looked_svc", "looked_dev"} & set(sys.modules)
    assert not imported


CONF = ("--conf", "plugins.yaml")


def test_list_tells_keys_from_metadata_and_from_source(world, run):
    _, told, _ = run("list", "--format", "json", *CONF)
    rows = {each["name"]: each for each in told["plugins"]}
    assert {name: row["state"] for name, row in rows.items()} == {
        "dev": "denied",
        "legacy": "planned",
        "svc": "planned",
    }
    assert rows["svc"]["keys_from"] == "metadata"
    assert rows["legacy"]["keys_from"] == "source"
    assert rows["legacy"]["keys"] == [
        {"action": "fit", "key": "iris.old"},
        {"action": "fit", "key": "iris.svc"},
    ]
    assert rows["legacy"]["provides"] == [{"action": "fit", "key": "iris.old"}]
    assert rows["dev"]["keys"][0]["key"] == "dev.old"


FITTING = {
    "plugins": "names: []\nx-mine: 1\n",
    "policy": "entry_points: {deny: [a]}\n",
    "job": "model: {type: m}\n",
    "readiness": '{"ready": true, "reason": null, "missing": [], "failed": [], "error": null}',
}
UNFIT = {
    "plugins": ("names: []\nrequired: ['a>=1.0.x']\n", "unfit:2:12: at required[0]: 'a>=1.0.x' is"),
    "policy": ("entry_points:\n  denny: [a]\n", "unfit:2:3: at entry_points.denny: unknown key"),
    "job": ("model: {type: m}\nfit: {data: d}\n", "unfit:2:"),
    "readiness": ('{"ready": "yes"}', "unfit"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_schema_tells_which_files_do_not_fit(run, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    text, told = UNFIT[name]
    (tmp_path / "fit").write_text(FITTING[name])
    (tmp_path / "unfit").write_text(text)
    assert run("schema", name, "fit") == (0, "", "")
    status, out, _ = run("schema", name, "fit", "unfit", "absent")
    assert status == 1
    lines = out.splitlines()
    assert lines[0].startswith(told)
    assert lines[-1].startswith("absent: cannot be read")


def test_schema_tells_machines_where_a_file_does_not_fit(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fit").write_text("names: []\n")
    (tmp_path / "unfit").write_text("names: []\nlaod: lazy\n")
    status, told, _ = run("schema", "plugins", "fit", "unfit", "--format", "json")
    assert (status, told["ok"]) == (1, False)
    assert told["files"][0] == {"file": "fit", "ok": True, "error": None}
    assert told["files"][1]["error"]["line"] == 2
    assert "'load'" in told["files"][1]["error"]["message"]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("fit", ["dev", "legacy", "svc"]),
        ("iris.svc", ["legacy", "svc"]),
        ("fit:iris.old", ["legacy"]),
        ("predict", []),
    ],
)
def test_list_is_narrowed_to_who_provides_something(world, run, wanted, names):
    _, told, _ = run("list", "--provides", wanted, "--format", "json", *CONF)
    assert [each["name"] for each in told["plugins"]] == names


def test_list_obeys_nothing_that_a_plugin_is_called(world, run, site):
    (site / "looked_legacy.py").write_text(LEGACY.replace("iris.old", "\\x1b[31mred\\n"))
    _, out, _ = run("list", *CONF)
    (row,) = [line for line in out.splitlines() if line.startswith("legacy")]
    assert "fit:?[31mred" in row


def test_list_with_load_shows_what_the_imports_came_to(world, run, site):
    (site / "looked_legacy.py").write_text(LEGACY.replace("iris.old", "iris." + "new"))
    status, told, err = run("list", "--load", "--format", "json", *CONF)
    rows = {each["name"]: each for each in told["plugins"]}
    assert status == 0
    assert rows["svc"]["state"] == "failed"
    assert "ZeroDivisionError" in rows["svc"]["error"]["type"]
    assert rows["legacy"]["state"] == "loaded"
    assert rows["legacy"]["keys_from"] == "import"
    assert rows["dev"]["state"] == "denied"
    assert "Traceback" not in err


def test_list_with_load_logs_no_failure_that_the_answer_tells(world, run, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(logging, "lastResort", logging.StreamHandler(stream))
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    run("list", "--load", *CONF)
    assert stream.getvalue() == ""


def test_list_with_load_keeps_stdout_for_the_answer(world, run, site):
    (site / "looked_legacy.py").write_text("print('noise')\n" + LEGACY)
    _, out, err = run("list", "--load", *CONF)
    assert "noise" not in out
    assert "noise" in err


def test_show_gives_place_signature_docstring_and_who_else_could(world, run):
    status, told, _ = run("show", "iris.svc", "--format", "json", *CONF)
    assert status == 0
    first, second = told["providers"]
    assert (first["plugin"], first["provides"]) == ("legacy", False)
    assert "prefer" in first["reason"]
    assert (second["plugin"], second["provides"], second["reason"]) == ("svc", True, None)
    assert second["signature"] == "(model, x, *, epochs: int=20, progress)"
    assert second["docstring"].startswith("Fit in place.\n\nArgs:")
    assert (second["function"], second["line"]) == ("fit_svc", 6)
    text = run("show", "fit:iris.svc", *CONF)[1]
    assert "looked_svc.py:6" in text
    assert "provided by  svc  looked-svc 1.2" in text


def test_show_with_load_describes_what_was_imported(world, run, site):
    source = LEGACY.replace("def learn(model)", "def learn(model, rate: float = 1.0)")
    (site / "looked_legacy.py").write_text(source)
    status, told, _ = run("show", "iris.old", "--load", "--format", "json", *CONF)
    (provider,) = told["providers"]
    assert status == 0
    assert (provider["state"], provider["known_from"]) == ("loaded", "import")
    assert provider["signature"] == "(model, rate: float = 1.0)"
    assert provider["line"] == 3


def test_explain_of_a_plugin_that_prefer_takes_everything_from(world, run, tmp_path):
    (tmp_path / "c.yaml").write_text("names: []\nprefer: {'fit:iris.svc': looked-legacy}\n")
    told = explained(run, "looked-svc", "--conf", "c.yaml")
    assert told["reasons"][0]["state"] == "shadowed"
    assert "prefer rule (c.yaml:2)" in told["reasons"][0]["remedy"]


def test_show_of_a_denied_key_exits_1_with_the_rule(world, run):
    status, told, _ = run("show", "fit:dev.old", "--format", "json", *CONF)
    assert status == 1
    assert told["providers"][0]["reason"] == "denied by 'looked-dev' (plugins.yaml:3)"


def test_show_of_an_unknown_key_exits_1_and_names_the_nearest(world, run):
    status, out, err = run("show", "fit:iris.sv", *CONF)
    assert (status, out) == (1, "")
    assert "Did you mean fit:iris.svc" in err


def explained(run, subject, *more):
    status, told, _ = run("explain", subject, "--format", "json", *more)
    assert status == (0 if told["there"] else 1)
    return told


def test_explain_names_the_rule_its_line_and_what_to_change(world, run):
    told = explained(run, "looked-dev", *CONF)
    assert told["kinds"] == ["distribution"]
    (reason,) = told["reasons"]
    assert (reason["there"], reason["state"]) == (False, "denied")
    assert reason["why"] == "denied by 'looked-dev' (plugins.yaml:3)"
    assert reason["remedy"] == (
        "Remove 'looked-dev' (plugins.yaml:3) from deny, or narrow it to versions other than 0.1."
    )


@pytest.mark.parametrize(
    ("rules", "why", "remedy"),
    [
        ("deny: ['looked-legacy<1']", "denied by", "narrow it to versions other than 0.9"),
        ("deny_origins: [index]", "denied by origin", "remove index from deny_origins (c.yaml:2)"),
        ("allow: [looked-svc]", "not among those allowed", "to allow (c.yaml:2)"),
        ("allow: ['looked-legacy>1']", "is not in", "in a version like 0.9 to allow"),
        ("enabled: false", "entry points are disabled (c.yaml:2)", "Remove `enabled: false`"),
    ],
)
def test_explain_has_a_remedy_for_each_kind_of_rule(world, run, tmp_path, rules, why, remedy):
    (tmp_path / "c.yaml").write_text(f"names: []\nentry_points: {{{rules}}}\n")
    told = explained(run, "looked-legacy", "--conf", "c.yaml")
    assert why in told["reasons"][0]["why"]
    assert remedy in told["reasons"][0]["remedy"]
    assert explained(run, "looked_legacy", "--conf", "c.yaml")["there"] is False


def test_explain_has_a_remedy_for_locks_and_changed_files(world, run, site, tmp_path):
    (tmp_path / "plugins.lock").write_text(f"looked-legacy==1.0  # record sha256:{'0' * 64}\n")
    (tmp_path / "c.yaml").write_text("names: []\nlocked: plugins.lock\nverify: record\n")
    told = explained(run, "looked-legacy", "--conf", "c.yaml")
    assert "is locked at 1.0" in told["reasons"][0]["why"]
    assert "freeze anew" in told["reasons"][0]["remedy"]
    (site / "looked_legacy.py").write_text("changed")
    (tmp_path / "c.yaml").write_text("names: []\nverify: record\n")
    told = explained(run, "legacy", "--conf", "c.yaml")
    assert told["kinds"] == ["plugin"]
    assert "Reinstall looked-legacy" in told["reasons"][0]["remedy"]


def test_explain_of_what_is_there_tells_its_keys(world, run):
    told = explained(run, "looked_svc", *CONF)
    assert told["there"]
    assert told["kinds"] == ["distribution", "module"]  # both have this name
    assert len(told["reasons"]) == 1
    assert "fit:iris.svc" in told["reasons"][0]["why"]


def test_explain_of_a_conflict_offers_the_prefer_line(world, run):
    told = explained(run, "fit:iris.svc")
    assert [each["there"] for each in told["reasons"]] == [False, False]
    assert "prefer" in told["reasons"][0]["why"]


def test_explain_of_a_lost_key_names_the_prefer_rule(world, run):
    lost, won = explained(run, "iris.svc", *CONF)["reasons"]
    assert (lost["there"], won["there"]) == (False, True)
    assert lost["why"] == "prefer gives fit:iris.svc to looked-svc (plugins.yaml:4)"
    assert lost["remedy"] == "Change or remove the prefer rule (plugins.yaml:4)."


def test_explain_of_what_is_required_and_missing(world, run, tmp_path):
    (tmp_path / "c.yaml").write_text("names: []\nrequired: [nobody]\n")
    told = explained(run, "nobody", "--conf", "c.yaml")
    assert told["reasons"][0]["state"] == "missing"
    assert "c.yaml:2" in told["reasons"][0]["remedy"]


@pytest.mark.parametrize(
    ("subject", "why", "remedy"),
    [
        ("pluggy", "no entry point in the group aimm.plugins", "names: [pluggy]"),
        ("json", "no name in the conf", "names: [json]"),
        ("fti:iris.svc", "there is no action 'fti'", "Did you mean fit:iris.svc?"),
        ("looked-scv", "no plugin declares such a key", "Did you mean looked-svc"),
        ("zzzzz", "no plugin declares such a key", "Install what provides it."),
        ("..", "no plugin declares such a key", ""),
    ],
)
def test_explain_of_what_is_no_plugin(world, run, subject, why, remedy):
    told = explained(run, subject, *CONF)
    assert not told["there"]
    assert any(why in each["why"] for each in told["reasons"])
    assert any(remedy in each["remedy"] for each in told["reasons"])


def test_explain_with_load_tells_why_an_import_failed(world, run):
    told = explained(run, "looked-svc", "--load", *CONF)
    assert "ZeroDivisionError" in told["reasons"][0]["why"]


def test_explain_foresees_an_import_that_must_fail(world, run, site):
    (site / "looked_legacy.py").write_text("import surely_not_there\n" + LEGACY)
    for subject in ("looked-legacy", "fit:iris.old"):
        told = explained(run, subject, *CONF)
        assert "surely_not_there, which is not on the path" in told["reasons"][0]["why"]


def codes(told) -> list[tuple[str, str]]:
    return [(each["code"], each["subject"]) for each in told["findings"]]


@pytest.fixture
def nothing_known(monkeypatch):
    """No library of this environment has a fault that is known."""
    monkeypatch.setattr("aimm_plugins._diagnostics.doctor._FAULTS", ())


def test_doctor_finds_nothing_where_all_is_well(run, nothing_known):
    status, told, _ = run("doctor", "--format", "json")
    assert (status, told) == (0, {"ok": True, "findings": []})
    assert run("doctor")[1] == "nothing found\n"


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
        (LEGACY, "not a module", None, "broken-entry-point"),
    ],
)
def test_doctor_finds_what_is_wrong_with_a_plugin(
    run, site, install, nothing_known, source, entry_point, published, code
):
    (site / "looked_at.py").write_text(source)
    install(
        "looked-at",
        entry_points={"ep": entry_point},
        published=published,
        files=["looked_at.py"],
    )
    status, told, _ = run("doctor", "--format", "json")
    assert status == 1
    assert [each for each, _ in codes(told)] == [code]
    assert all(each["remedy"] for each in told["findings"])
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
def test_doctor_blames_no_sound_plugin(run, site, install, nothing_known, source, entry_point):
    (site / "looked_at.py").write_text(source)
    install("looked-at", entry_points={"ep": entry_point}, files=["looked_at.py"])
    assert run("doctor", "--format", "json")[:2] == (0, {"ok": True, "findings": []})


def test_doctor_blames_no_published_key_that_may_be_declared_at_run_time(
    run, site, install, nothing_known
):
    (site / "looked_at.py").write_text(LEGACY + "for k in 'ab':\n  fit([k])(learn)\n")
    install(
        "looked-at",
        entry_points={"ep": "looked_at"},
        published={f"fit:{key}": "looked_at:learn" for key in ("iris.svc", "iris.old", "a", "b")},
        files=["looked_at.py"],
    )
    assert run("doctor", "--format", "json")[:2] == (0, {"ok": True, "findings": []})


def test_doctor_finds_a_config_name_that_is_no_module(run, tmp_path, nothing_known):
    (tmp_path / "c.yaml").write_text("names: ['..']\nentry_points: {enabled: false}\n")
    _, told, _ = run("doctor", "--format", "json", "--conf", str(tmp_path / "c.yaml"))
    assert codes(told) == [("module-not-found", "..")]


def test_doctor_finds_doubles_conflicts_and_what_is_missing(world, run, site, install, tmp_path):
    install("looked-svc", "1.3", entry_points={"svc": "looked_svc"})
    (tmp_path / "c.yaml").write_text("names: []\nrequired: [nobody]\n")
    found = {code for code, _ in codes(run("doctor", "--format", "json", "--conf", "c.yaml")[1])}
    assert {"double-distribution", "would-fail", "required-missing"} <= found


def test_doctor_with_load_tells_what_failed(world, run):
    _, told, _ = run("doctor", "--load", "--format", "json", *CONF)
    assert ("failed", "looked-svc 1.2 (svc)") in codes(told)


@pytest.mark.parametrize(
    ("name", "version", "found"),
    [
        ("importlib-metadata", "8.6.1", False),
        ("importlib-metadata", "8.7.0", True),
        ("importlib-metadata", "9.0.0", True),
        ("importlib-metadata", "10.0.0", False),
        ("pluggy", "1.6.0", True),
        ("pluggy", "1.7.0", False),
        ("pluggy", "nonsense", False),
    ],
)
def test_doctor_knows_versions_with_faults(run, install, name, version, found):
    install(name, version)
    told = run("doctor", "--format", "json")[1]
    assert (("known-fault", f"{name} {version}") in codes(told)) is found


def test_diff_of_a_report_and_this_environment(world, run, tmp_path, install):
    (tmp_path / "a.json").write_text(json.dumps(run("list", "--format", "json", *CONF)[1]))
    status, told, _ = run("diff", "a.json", "--format", "json", *CONF)
    assert (status, told["differences"]) == (0, [])
    install("looked-new", "3.0", entry_points={"new": "looked_legacy"})
    (tmp_path / "plugins.yaml").write_text("names: []\non_error: isolate\n")
    status, told, _ = run("diff", "a.json", "--format", "json", *CONF)
    assert status == 1
    changes = {(d["kind"], d["subject"], d["field"]): d for d in told["differences"]}
    assert changes["distribution", "looked-new", "presence"]["after"] == "3.0"
    assert changes["plugin", "looked-dev (dev)", "state"]["before"] == "denied"
    assert changes["key", "fit:dev.old", "provider"]["after"] == "looked-dev"
    assert "looked-new" in run("diff", "a.json", *CONF)[1]


def test_diff_of_a_freeze_and_this_environment(world, run, tmp_path, site, install):
    text = run("freeze", *CONF)[1]
    (tmp_path / "plugins.lock").write_text(text)
    (tmp_path / "frozen.json").write_text(json.dumps(run("freeze", "--format", "json", *CONF)[1]))
    assert run("diff", "plugins.lock", *CONF)[:2] == (0, "")
    assert run("diff", "plugins.lock", "frozen.json")[:2] == (0, "")
    record = site / "looked_svc-1.2.dist-info" / "RECORD"
    record.write_text(record.read_text() + "more.py,sha256=x,1\n")
    status, told, _ = run("diff", "plugins.lock", "--format", "json", *CONF)
    assert status == 1
    assert [(d["subject"], d["field"]) for d in told["differences"]] == [("looked-svc", "record")]


def test_diff_of_a_report_and_a_freeze_compares_distributions(world, run, tmp_path):
    (tmp_path / "plugins.lock").write_text(run("freeze", *CONF)[1])
    (tmp_path / "a.json").write_text(json.dumps(run("report", "--format", "json", *CONF)[1]))
    _, told, _ = run("diff", "a.json", "plugins.lock", "--format", "json")
    assert {d["kind"] for d in told["differences"]} == {"distribution"}
    assert [d["subject"] for d in told["differences"]] == ["looked-dev"]


def test_diff_sees_findings_and_makes_nothing_of_keys_that_one_side_cannot_tell(
    world, run, tmp_path
):
    plan = run("plan", "--format", "json", *CONF)[1]
    plan["findings"] = [{"code": "c", "subject": "s", "message": "", "place": None, "remedy": None}]
    (tmp_path / "a.json").write_text(json.dumps(plan))
    _, told, _ = run("diff", "a.json", "--format", "json", *CONF)
    assert [(d["kind"], d["subject"]) for d in told["differences"]] == [("finding", "s")]


@pytest.mark.parametrize(
    "content", ["{}", "[1]", "{", "nonsense", '{"plugins": [{}]}', '{"frozen": 5}']
)
def test_diff_of_something_else_exits_2(world, run, tmp_path, content):
    (tmp_path / "odd").write_text(content)
    status, out, err = run("diff", "odd")
    assert (status, out) == (2, "")
    assert "odd" in err
    assert run("diff", "none.json")[0] == 2


def test_report_is_the_account_as_text_and_json(world, run):
    status, told, _ = run("report", "--format", "json", *CONF)
    assert status == 0
    assert told["ok"]
    assert "provides fit:iris.old" in run("report", *CONF)[1]
    assert run("report")[0] == 1  # without the prefer rule there is a conflict


def test_report_writes_a_page_with_what_was_measured(world, run, tmp_path):
    profile = {
        "plugins": [
            {
                "name": "svc",
                "module": "looked_svc",
                "distribution": "looked-svc",
                "seconds": 1.25,
                "dependencies": [
                    {"name": "looked_svc", "seconds": 1, "modules": 1},
                    {"name": "numpy", "seconds": 0.25, "modules": 9},
                ],
            }
        ]
    }
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    status, out, err = run("report", "--html", "p.html", "--profile", "profile.json", *CONF)
    assert (status, out) == (0, "")
    assert "wrote p.html" in err
    page = (tmp_path / "p.html").read_text()
    assert "numpy 0.250 s" in page
    assert "1.250" in page
    assert run("report", "--profile", "profile.json")[0] == 2
    assert run("report", "--html", "p.html", "--profile", "plugins.yaml")[0] == 2
    assert run("report", "--html", "p.html", "--profile", "none.json")[0] == 2


def test_report_with_load_draws_the_imports(world, run, tmp_path):
    status, *_ = run("report", "--html", "p.html", "--load", *CONF)
    assert status == 1
    assert "<rect" in (tmp_path / "p.html").read_text()


@pytest.mark.parametrize("verb", ["list", "doctor", "report", "diff", "show", "explain", "profile"])
def test_wrong_conf_exits_2_whatever_the_verb(run, verb, tmp_path):
    (tmp_path / "a.json").write_text('{"plugins": []}')
    subject = {"diff": [str(tmp_path / "a.json")], "show": ["a"], "explain": ["a"]}.get(verb, [])
    assert run(verb, *subject, "--conf", "none.yaml")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "offered"),
    [
        ("show fit:iris", {"fit:iris.old", "fit:iris.svc"}),
        ("explain looked-l", {"looked-legacy"}),
        ("schema pl", {"plugins"}),
        ("do", {"doctor"}),
    ],
)
def test_shells_are_offered_what_fits(world, run, monkeypatch, arguments, offered):
    monkeypatch.setenv("_AIMM_PLUGINS_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"aimm-plugins {arguments}")
    monkeypatch.setenv("COMP_CWORD", str(len(arguments.split())))
    _, out, _ = run()
    assert {line.partition(",")[2] for line in out.splitlines()} == offered


def test_terminal_is_filled_and_no_text_is_lost(world, monkeypatch, run):
    ours, theirs = pty.openpty()
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert cli.run(["explain", "looked-dev", *CONF]) == 1
    content = b""
    with suppress(OSError):  # the other end is closed, and all is read
        while more := os.read(ours, 100_000):
            content += more
    os.close(ours)
    text = content.decode().replace("\r", "")
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 60
    assert "Remove 'looked-dev' (plugins.yaml:3) from deny" in re.sub(r"\s+", " ", text)
