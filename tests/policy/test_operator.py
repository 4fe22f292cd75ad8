"""The operator's layers, which no conf can widen: the policy file and the environment."""

from __future__ import annotations

import json

import pytest

import aimm_plugins
from aimm_plugins import ConfigError, initialize, plan
from tests.conftest import record_of
from tests.support.denials import ORIGINS, assert_denied, assert_refused, trapped, write_policy
from tests.support.forked.case import Case, assert_healthy


@pytest.mark.parametrize(
    "rules",
    [
        "entry_points: {deny: [mark-dist]}",
        "entry_points: {allow: [other]}",
        "entry_points: {allow: []}",
        "entry_points: {deny_origins: [index]}",
        "names: []\nentry_points: {deny: ['Mark.Dist<2']}",
    ],
)
def test_policy_file_holds_whatever_the_conf_allows(marked, tmp_path, monkeypatch, rules):
    mark = marked()
    path = tmp_path / "policy.yaml"
    path.write_text(rules)
    monkeypatch.setenv("AIMM_PLUGINS_POLICY", str(path))
    assert str(path) in assert_refused(
        {"names": [], "entry_points": {"allow": ["mark-dist"]}}, mark
    )


def test_policy_that_switches_entry_points_off_cannot_be_undone(marked, tmp_path, monkeypatch):
    mark = marked()
    path = tmp_path / "policy.yaml"
    path.write_text("entry_points: {enabled: false}")
    monkeypatch.setenv("AIMM_PLUGINS_POLICY", str(path))
    initialize({"names": [], "entry_points": {"enabled": True}})
    assert not mark.exists()


def test_prefer_of_the_policy_beats_that_of_the_conf(write, install, tmp_path, monkeypatch):
    write(one="@fit(['k'])\ndef f(m): return 1\n", two="@fit(['k'])\ndef f(m): return 2\n")
    path = tmp_path / "policy.yaml"
    path.write_text("prefer: {k: two}")
    monkeypatch.setenv("AIMM_PLUGINS_POLICY", str(path))
    report = initialize(
        {"names": ["one", "two"], "entry_points": {"enabled": False}, "prefer": {"fit:k": "one"}}
    )
    assert aimm_plugins.exec_fit("k", None) == 2
    assert f"({path}:1)" in record_of(report, "one").reason


BROKEN_POLICIES = {
    "not_yaml": "entry_points: {deny: [\n",
    "list": "- deny\n",
    "unknown_key": "entry_points: {denny: [mark-dist]}\n",
    "unknown_top_key": "deny: [mark-dist]\n",
    "unreadable_rule": "entry_points: {deny: ['mark dist']}\n",
    "bare_text": "entry_points: {deny: mark-dist}\n",
    "unknown_origin": "entry_points: {deny_origins: [internet]}\n",
    "key_twice": "entry_points: {deny: [mark-dist]}\nentry_points: {}\n",
    "tab": "entry_points:\n\tdeny: [mark-dist]\n",
    "tag": "entry_points: {deny: !!python/object:os.system [x]}\n",
    "not_utf8": b"entry_points: {deny: [\xff]}\n",
    "names": "names: [a]\n",
    "null_bytes": b"\x00\x00",
    "null_rules": "entry_points:\n",
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("kind", BROKEN_POLICIES)
def test_policy_that_cannot_be_read_is_an_error(marked, tmp_path, monkeypatch, kind):
    mark, text = marked(), BROKEN_POLICIES[kind]
    path = tmp_path / "policy.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    monkeypatch.setenv("AIMM_PLUGINS_POLICY", str(path))
    for ask in (initialize, plan):
        with pytest.raises(ConfigError, match=r"policy\.yaml"):
            ask({"names": [], "on_error": "isolate"})
    assert not mark.exists()


def test_policy_that_is_not_there_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("AIMM_PLUGINS_POLICY", str(tmp_path / "none.yaml"))
    with pytest.raises(
        ConfigError, match=r"none\.yaml: cannot be read: .*; AIMM_PLUGINS_POLICY names it"
    ):
        plan()


@pytest.mark.parametrize(
    "text",
    [
        "mark-dist",
        "other, Mark_Dist>=1,<2",
        " mark-dist ,",
        "\nmark-dist\r\n",
        ",,mark-dist,,other-dist<0",
    ],
)
def test_denied_by_the_environment_is_never_imported(marked, monkeypatch, text):
    mark = marked()
    monkeypatch.setenv("AIMM_PLUGINS_DENY", text)
    assert "AIMM_PLUGINS_DENY" in assert_refused(None, mark)


@pytest.mark.parametrize(
    "text",
    [
        "mark-dist>=1.x.y",
        "a,<",
        "mark dist",
        "mark-dist<",
        "*",
        "mark-dist;x",
        "mark-dist<>1",
        "ba\tdist",
        "mark-dist[x]",
        "mark-dist @ https://x",
        "mark-dist==*",
        "mark-dist-",
        "-mark-dist",
        "\uff2dark-dist",
        "mark\u200b-dist",
        "'mark-dist'",
        "mark-dist # not",
        "\x1b[2J",
    ],
)
def test_environment_rule_that_cannot_be_read_is_an_error(marked, monkeypatch, text):
    mark = marked()
    monkeypatch.setenv("AIMM_PLUGINS_DENY", text)
    with pytest.raises(ConfigError, match="AIMM_PLUGINS_DENY"):
        initialize({"names": [], "on_error": "isolate"})
    assert not mark.exists()


def test_environment_rule_that_matches_nothing_is_a_finding(monkeypatch):
    monkeypatch.setenv("AIMM_PLUGINS_DENY", "no-such-dist")
    assert ("rule-matches-nothing", "no-such-dist", "AIMM_PLUGINS_DENY") in {
        (finding.code, finding.subject, finding.place) for finding in plan().findings
    }


@pytest.mark.parametrize("text", ["", " ", ",", " , ,"])
def test_empty_denial_in_the_environment_denies_nothing(case: Case, text: str) -> None:
    case.env["AIMM_PLUGINS_DENY"] = text
    assert_healthy(case.gauntlet())


POLICIES = {
    "deny": ("entry_points:\n  deny: [bad-dist]\n", "policy.yaml:2"),
    "allow": ("entry_points:\n  allow: [good-dist]\n", "policy.yaml:2"),
    "deny_by_version": ("entry_points:\n  deny:\n  - bad-dist>1\n", "policy.yaml:3"),
    "deny_origins": ("entry_points: {deny_origins: [vcs]}\n", "policy.yaml:1"),
}


@pytest.mark.parametrize("kind", POLICIES)
def test_conf_cannot_widen_the_operators_policy(case: Case, kind: str) -> None:
    text, place = POLICIES[kind]
    trapped(case)
    (next(case.site.glob("bad_dist*")) / "direct_url.json").write_text(json.dumps(ORIGINS["vcs"]))
    write_policy(case, text)
    got = case.gauntlet(
        {"entry_points": {"allow": ["bad-dist", "good-dist"], "deny": [], "deny_origins": []}}
    )
    assert_denied(case, got, place)


def test_conf_can_narrow_the_operators_policy(case: Case) -> None:
    trapped(case)
    write_policy(case, "entry_points: {allow: [bad-dist, good-dist]}\n")
    assert_denied(case, case.gauntlet({"entry_points": {"deny": ["bad-dist"]}}), "deny[0]")


def test_policy_holds_for_a_host_without_a_conf(case: Case) -> None:
    trapped(case)
    write_policy(case, "entry_points: {deny: [bad-dist]}\n")
    got = case.run("out.update(account(initialize()))")
    assert got["states"] == {"bad": "denied", "good": "loaded"}, got["text"]
    assert not case.marker.exists()


def test_preference_for_what_is_denied_tells_the_rule(make_distribution):
    declares = "from aimm_plugins import fit\n@fit(['k'])\ndef f(m): ...\n"
    for name in ("one", "two"):
        points = {"aimm.plugins": {name: name}}
        make_distribution(name, modules={name: declares}, entry_points=points)
    rules = {"prefer": {"fit:k": "two"}, "entry_points": {"deny": ["two"]}}
    conf = {"names": [], **rules}
    for report in (aimm_plugins.plan(conf), aimm_plugins.initialize(conf)):
        (finding,) = [f for f in report.findings if f.code == "rule-matches-nothing"]
        assert finding.message.startswith("two provides nothing: denied by 'two'")
        assert "keeps it out" in finding.remedy


def test_preference_for_what_fails_is_no_typo(make_distribution):
    for name, source in (("one", "@fit(['k'])\ndef f(m): ...\n"), ("two", "import not_there\n")):
        modules = {name: f"from aimm_plugins import fit\n{source}"}
        make_distribution(name, modules=modules, entry_points={"aimm.plugins": {name: name}})
    conf = {"names": [], "prefer": {"fit:k": "two"}, "on_error": "isolate"}
    for report in (aimm_plugins.plan(conf), aimm_plugins.initialize(conf)):
        (finding,) = [f for f in report.findings if f.code == "rule-matches-nothing"]
        assert finding.message == "two provides nothing: it fails"
        assert finding.remedy == "Mend what its error names, or remove the rule."


@pytest.mark.parametrize(
    ("rule", "remedy"),
    [
        ({"k": "ep"}, "It is a plugin of one-dist: write that, or remove the rule."),
        ({"one-dist": "fit:k"}, 'The key comes first: write prefer: {"fit:k": one-dist}.'),
        ({"k": "gone"}, "No distribution of this name is installed; correct it, or remove the "),
        ({"k": "this"}, "A host's own module counts once the host imports it; else"),
        ({"k2": "one-dist"}, "Correct the key or the name, or remove the rule."),
    ],
)
def test_preference_that_decides_nothing_tells_what_to_write(make_distribution, rule, remedy):
    code = "from aimm_plugins import fit\n@fit(['k'])\ndef f(m): ...\n"
    make_distribution("one-dist", modules={"one": code}, entry_points={"ep": "one"})
    (finding,) = aimm_plugins.plan({"names": [], "prefer": rule}).findings
    assert finding.remedy.startswith(remedy)


def test_rule_for_nobody_tells_the_name_that_may_be_meant(make_distribution):
    make_distribution("spelled-right", modules={"right": ""}, entry_points={"right": "right"})
    report = aimm_plugins.plan({"names": [], "entry_points": {"deny": ["speled-right"]}})
    (finding,) = [found for found in report.findings if found.code == "rule-matches-nothing"]
    assert finding.remedy.startswith("Did you mean spelled-right? ")
