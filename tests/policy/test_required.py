"""What a conf requires, and does not get."""

from __future__ import annotations

import pytest

import aimm_plugins
from aimm_plugins import PluginImportError, PluginLoadError, initialize, plan


def test_required_and_loaded_is_ok(marked):
    marked()
    report = initialize({"names": [], "required": ["mark-dist>=1"]})
    assert report.ok
    assert "missing" not in {record.state for record in report.plugins}


@pytest.mark.parametrize(
    ("rule", "more", "why"),
    [
        ("absent-dist", {}, "it is not installed"),
        ("mark-dist>=2", {}, "mark-dist 1.0 is installed"),
        ("mark-dist", {"deny": ["mark-dist"]}, "ep is denied (denied by 'mark-dist'"),
        ("mark-dist", {"allow": ["other"]}, "ep is denied (mark-dist is not among those allowed"),
        ("mark-dist", {"enabled": False}, "brings no plugin that this conf loads"),
    ],
)
def test_required_and_not_loaded_is_missing(marked, rule, more, why):
    marked()
    conf = {"names": [], "required": [rule], "on_error": "isolate", "entry_points": more}
    for report in (plan(conf), initialize(conf)):
        (missing,) = (record for record in report.plugins if record.state == "missing")
        assert not report.ok
        assert f"required by {rule!r} (conf required[0])" in missing.reason
        assert why in missing.reason
        assert "(conf required[0])" in missing.remedy
        assert str(report).count(missing.reason) == 1


def test_spaces_around_a_required_key_do_not_count(marked):
    marked()
    assert plan({"names": [], "required": ["fit: k", "fit:k "]}).ok


def test_missing_required_fails_a_strict_call(marked):
    marked()
    with pytest.raises(
        PluginLoadError, match=r"absent-dist is required \(conf required\[0\]\)"
    ) as e:
        initialize({"names": [], "required": ["absent-dist"]})
    assert isinstance(e.value.exceptions[0], PluginImportError)
    assert [r.state for r in e.value.report.plugins if r.name in ("ep", "absent-dist")] == [
        "undone",
        "missing",
    ]


def test_missing_required_is_named_by_its_distribution_and_rule(marked):
    with pytest.raises(PluginLoadError, match=r"(?m)^  absent-dist  conf required\[0\]$"):
        initialize({"names": [], "required": ["absent-dist"]})
    assert ("fit", "k") not in aimm_plugins.providers()


def test_missing_is_over_when_it_is_installed(marked):
    conf = {"names": [], "required": ["mark-dist"], "on_error": "isolate"}
    initialize(conf)
    assert not aimm_plugins.current_report().ok
    marked()
    initialize(conf)
    assert aimm_plugins.current_report().ok


def lacking(report) -> dict[str, str]:
    """What is missing, with the reason."""
    return {record.name: record.reason for record in report if record.state == "missing"}


@pytest.mark.parametrize("rule", ["fit:k", "k", "mark-dist"])
def test_required_key_that_is_answered_is_ok(marked, rule):
    marked()
    conf = {"names": [], "required": [rule]}
    assert plan(conf).ok
    assert initialize(conf).ok
    assert aimm_plugins.current_report().ok


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("predict:k", "no plugin that is loaded provides it"),
        ("fit:kk", "no plugin that is loaded provides it; did you mean 'k'?"),
        ("zz", "it is not installed, and no plugin provides a key of this name"),
        ("mark-dits", "no plugin provides a key of this name; did you mean 'mark-dist'?"),
    ],
)
def test_required_key_that_nobody_answers_is_missing(marked, rule, why):
    marked()
    conf = {"names": [], "required": [rule], "on_error": "isolate"}
    for report in (plan(conf), initialize(conf), aimm_plugins.current_report()):
        assert why in lacking(report)[rule]
    with pytest.raises(PluginLoadError, match=f"{rule} is required"):
        initialize({"names": [], "required": [rule]})


@pytest.mark.parametrize(
    ("rule", "more", "why", "remedy"),
    [
        ("fit:k", {}, "mark-dist 1.0 (ep) has it, and failed: ZeroDivisionError", "Mend it"),
        (
            "fit:k",
            {"entry_points": {"deny": ["mark-dist"]}},
            "is denied: denied by",
            "keeps it out",
        ),
        ("fit:x", {}, "no plugin that is loaded provides it", "correct the key"),
    ],
)
def test_required_key_that_a_failed_or_denied_plugin_publishes_is_told_by_it(
    make_distribution, rule, more, why, remedy
):
    make_distribution(
        "mark-dist",
        modules={"mark": "from aimm_plugins import fit\n@fit(['k'])\ndef f(m): ...\n1 / 0\n"},
        entry_points={"aimm.plugins": {"ep": "mark"}, "aimm.plugins.fit": {"k": "mark:f"}},
    )
    conf = {"names": [], "required": [rule], "on_error": "isolate", **more}
    (missing,) = (record for record in initialize(conf) if record.state == "missing")
    assert why in missing.reason
    assert remedy in missing.remedy


def test_required_key_that_nobody_is_known_for_may_be_in_what_failed(write):
    write(broken="import surely_not_there\nfor key in 'ab':\n    exec(key)\n")
    conf = {"names": ["broken"], "required": ["fit:k"], "on_error": "isolate"}
    for report in (plan(conf), initialize(conf)):
        assert "it may be in what failed or is missing: broken" in lacking(report)["fit:k"]


def test_required_key_may_be_in_an_environment_that_is_missing(tmp_path):
    environment = {"path": str(tmp_path / "nowhere"), "plugins": ["apart"]}
    rules = {"environments": {"apart": environment}, "required": ["fit:k", "apart"]}
    conf = {"names": [], "on_error": "isolate", **rules}
    for report in (plan(conf), initialize(conf)):
        told = lacking(report)
        assert "failed or is missing: environment apart" in told["fit:k"]


@pytest.mark.parametrize("rule", ["k", "fit:k"])
def test_required_key_that_is_answered_wants_nothing_of_what_is_denied(make_distribution, rule):
    for name, action in (("one", "fit"), ("two", "predict")):
        make_distribution(
            name,
            modules={name: f"from aimm_plugins import {action}\n@{action}(['k'])\ndef f(m): ...\n"},
            entry_points={
                "aimm.plugins": {name: name},
                f"aimm.plugins.{action}": {"k": f"{name}:f"},
            },
        )
    conf = {"names": [], "required": [rule], "entry_points": {"deny": ["two"]}}
    assert plan(conf).ok
    assert initialize(conf).ok


def test_refresh_tells_what_is_missing_as_the_start_did(marked):
    marked()
    rules = {"required": ["mark-dist"], "entry_points": {"deny": ["mark-dist"]}}
    began = lacking(initialize({"names": [], "on_error": "isolate", **rules}))
    aimm_plugins.refresh()
    assert lacking(aimm_plugins.current_report()) == began


def test_key_that_a_plan_cannot_know_is_not_missing_from_it(marked, write):
    marked()
    write(p="for key in ['mark']:\n    fit([key])(print)\n")
    conf = {"names": [], "required": ["fit:mark", "fit:mask"], "on_error": "isolate"}
    assert plan(conf).ok
    assert list(lacking(initialize(conf))) == ["fit:mask"]


@pytest.mark.parametrize(
    "source",
    {
        "condition": "import os\nif os.name:\n    @fit(['k'])\n    def learn(m): ...",
        "in a function": "def load():\n    from . import keys\nload()",
        "handed on": "import aimm_plugins as ap\ndef register(api): api.fit(['k'])(print)\nregister(ap)",
        "by name": "import importlib\nimportlib.import_module('aimm_plugins').fit(['k'])(print)",
    }.items(),
    ids=lambda case: case[0],
)
def test_required_key_that_only_a_run_shows_is_not_missing_from_a_plan(write, source):
    """Nor does `plan` say of such a plugin that it declares nothing."""
    write(p____init__=source[1], p__keys="@fit(['k'])\ndef learn(m): ...\n")
    conf = {"names": ["p"], "required": ["fit:k"], "entry_points": {"enabled": False}}
    for report in (plan(conf), initialize(conf)):
        assert report.ok, str(report)
        assert report.findings == ()


def test_required_key_in_conflict_is_missing(make_distribution):
    declares = "from aimm_plugins import fit\n@fit(['k'])\ndef f(m): ...\n"
    for name in ("one", "two"):
        make_distribution(
            name, modules={name: declares}, entry_points={"aimm.plugins": {name: name}}
        )
    conf = {"names": [], "required": ["fit:k"], "on_error": "isolate"}
    for report in (plan(conf), initialize(conf)):
        assert "two plugins provide fit:k, and neither has it" in lacking(report)["fit:k"]
    assert lacking(initialize({**conf, "prefer": {"k": "one"}})) == {}


LATE = "@fit(['late.k'])\ndef f(m): ...\n"


def test_required_deferred_plugin_that_will_fail_is_told_by_the_start(make_distribution):
    make_distribution(
        "late",
        modules={"late": f"import surely_not_there\nfrom aimm_plugins import fit\n{LATE}"},
        entry_points={"aimm.plugins": {"late": "late"}, "aimm.plugins.fit": {"late.k": "late:f"}},
    )
    conf = {"names": [], "load": "lazy", "on_error": "isolate"}
    for rule in ("late", "fit:late.k", "late.k"):
        for report in (
            plan({**conf, "required": [rule]}),
            initialize({**conf, "required": [rule]}),
        ):
            (record, *_) = report
            assert (record.state, type(record.error)) == ("failed", ModuleNotFoundError)
        aimm_plugins.unload_all()
    assert [record.state for record in initialize(conf)] == ["deferred"]


def test_required_key_is_missing_once_its_deferred_plugin_has_failed(make_distribution):
    make_distribution(
        "late",
        modules={"late": f"from aimm_plugins import fit\n1 / 0\n{LATE}"},
        entry_points={"aimm.plugins": {"late": "late"}, "aimm.plugins.fit": {"late.k": "late:f"}},
    )
    conf = {"names": [], "required": ["fit:late.k"], "load": "lazy"}
    assert initialize(conf).ok
    with pytest.raises(PluginLoadError):
        aimm_plugins.exec_fit("late.k", None)
    assert "ZeroDivisionError" in lacking(aimm_plugins.current_report())["fit:late.k"]


def test_required_key_that_is_declared_by_hand_later_is_not_missing_any_more():
    initialize({"names": [], "required": ["fit:by.hand"], "on_error": "isolate"})
    assert list(lacking(aimm_plugins.current_report())) == ["fit:by.hand"]
    aimm_plugins.fit(["by.hand"])(lambda m: m)
    assert aimm_plugins.current_report().ok


def test_rule_for_an_unknown_action_is_refused():
    with pytest.raises(aimm_plugins.ConfigError, match=r"at required\[0\]: 'fti:mark'"):
        plan({"names": [], "required": ["fti:mark"]})
