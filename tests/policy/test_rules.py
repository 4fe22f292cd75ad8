"""What rules say of one distribution: deny, allow and origins."""

from __future__ import annotations

import sys
from typing import Any

import pytest

import aimm_plugins
from aimm_plugins import initialize
from tests.conftest import record_of
from tests.support.denials import assert_denied, assert_refused, trapped
from tests.support.forked.case import Case, assert_healthy


@pytest.mark.parametrize(
    ("direct_url", "origin"),
    [
        ({"url": "file:///x", "dir_info": {"editable": True}}, "editable"),
        ({"url": "https://x/y", "vcs_info": {"vcs": "git"}}, "vcs"),
        ({"url": "file:///x", "dir_info": {}}, "local"),
        ({"url": "https://x/y.whl", "archive_info": {}}, "url"),
        (None, "index"),
    ],
)
def test_denied_origin_is_never_imported(marked, direct_url, origin):
    mark = marked(direct_url=direct_url)
    reason = assert_refused({"names": [], "entry_points": {"deny_origins": [origin]}}, mark)
    assert reason == f"denied by origin {origin!r} (conf entry_points.deny_origins[0])"


def test_other_origins_are_loaded(marked):
    marked()
    report = initialize({"names": [], "entry_points": {"deny_origins": ["editable", "vcs"]}})
    assert record_of(report, "ep").state == "loaded"


DENIALS: dict[str, tuple[dict[str, Any], str]] = {
    "name": ({"deny": ["bad-dist"]}, "entry_points.deny[0]"),
    "name_spelled_otherwise": ({"deny": ["BAD__.Dist"]}, "BAD__.Dist"),
    "blanks_around": ({"deny": ["  bad-dist  "]}, "bad-dist"),
    "version": ({"deny": ["bad-dist<7"]}, "bad-dist<7"),
    "exact_version": ({"deny": ["bad-dist==6.6.6"]}, "bad-dist==6.6.6"),
    "version_in_brackets": ({"deny": ["bad-dist (>=6,<7)"]}, "bad-dist (>=6,<7)"),
    "wildcard_version": ({"deny": ["bad-dist==6.*"]}, "bad-dist==6.*"),
    "second_rule": ({"deny": ["bad-dist>7", "bad-dist"]}, "deny[1]"),
    "deny_beats_allow": ({"allow": ["bad-dist", "good-dist"], "deny": ["bad-dist"]}, "deny[0]"),
    "not_allowed": ({"allow": ["good-dist"]}, "entry_points.allow"),
    "not_allowed_in_this_version": ({"allow": ["good-dist", "bad-dist<6"]}, "bad-dist<6"),
}


@pytest.mark.parametrize("kind", DENIALS)
@pytest.mark.parametrize("load", ["eager", "lazy"])
def test_denied_plugin_never_runs(case: Case, kind: str, load: str) -> None:
    rules, told = DENIALS[kind]
    trapped(case)
    assert_denied(case, case.gauntlet({"entry_points": rules, "load": load}), told)


def test_origin_that_cannot_be_read_counts_as_unknown(case: Case) -> None:
    trapped(case)
    (next(case.site.glob("bad_dist*")) / "direct_url.json").write_text("{")
    got = case.gauntlet({"entry_points": {"deny_origins": ["unknown"]}})
    assert_denied(case, got, "unknown")


def test_disabled_entry_points_never_run(case: Case) -> None:
    trapped(case)
    got = case.gauntlet({"names": ["good"], "entry_points": {"enabled": False}})
    assert_healthy(got)
    assert not case.marker.exists()


def test_module_of_the_hosts_own_is_subject_to_names_alone(write, tmp_path):
    write(own="@fit(['own'])\ndef f(m): return 1\n")
    (tmp_path / "locked.txt").write_text("")
    initialize(
        {
            "names": ["own"],
            "verify": "record",
            "locked": str(tmp_path / "locked.txt"),
            "entry_points": {"allow": [], "deny_origins": ["unknown", "index"]},
        }
    )
    assert aimm_plugins.exec_fit("own", None) == 1
    assert "own" in sys.modules


@pytest.fixture
def renamed(marked, tmp_path):
    """A plugin whose METADATA has another name than its folder."""
    mark = marked(name="folder-name")
    for metadata in tmp_path.glob("**/folder_name-1.0.dist-info/METADATA"):
        metadata.write_text("Metadata-Version: 2.1\nName: Stated.Name\nVersion: 1.0\n")
    return mark


@pytest.mark.parametrize("name", ["folder-name", "stated_name", "stated-name<2"])
def test_deny_rule_holds_for_either_name_of_a_distribution(renamed, name):
    conf = {"names": [], "entry_points": {"deny": [name]}}
    reason = assert_refused(conf, renamed)
    assert f"denied by {name!r} (conf entry_points.deny[0])" in reason
    assert codes(conf) == ["two-names"]


def test_module_is_not_run_where_its_owner_is_denied_by_the_name_in_its_metadata(renamed, install):
    install("front-dist", entry_points={"front": "p"})
    report = initialize({"names": [], "entry_points": {"deny": ["stated-name"]}})
    assert "importing p would run folder-name 1.0" in record_of(report, "front").reason
    assert not renamed.exists()


def test_allow_rule_goes_by_the_name_of_the_folder_and_a_finding_says_so(renamed):
    conf = {"names": [], "entry_points": {"allow": ["stated-name"]}}
    assert_refused(conf, renamed)
    assert codes(conf) == ["two-names", "rule-matches-nothing"]
    allowed = {"names": [], "entry_points": {"allow": ["folder-name"]}}
    assert record_of(initialize(allowed), "ep").state == "loaded"
    assert codes(allowed) == ["two-names"]


def test_required_name_that_only_metadata_has_is_missing_and_a_finding_says_so(renamed):
    """What is called otherwise by its folder is not what a rule requires."""
    conf = {"names": [], "required": ["stated-name"], "on_error": "isolate"}
    for report in (aimm_plugins.plan(conf), initialize(conf)):
        (missing,) = (record for record in report if record.state == "missing")
        assert "it is not installed" in missing.reason
        assert "two-names" in {finding.code for finding in report.findings}
    assert initialize({"names": [], "required": ["folder-name"]}).ok


def codes(conf):
    return [finding.code for finding in aimm_plugins.plan(conf).findings]


@pytest.mark.parametrize("name", ["ep", "p"])
def test_rule_that_names_a_plugin_is_told_its_distribution(marked, name):
    marked()
    for rules in ("allow", "deny"):
        (finding,) = aimm_plugins.plan({"names": [], "entry_points": {rules: [name]}}).findings
        assert finding.remedy == "It is a plugin of mark-dist: write that, or remove the rule."
