"""Reports: for people and for machines."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from aimm_plugins import Finding, PluginRecord, Provenance, Report
from aimm_plugins._system.text import safe_text

LOADED = PluginRecord(
    name="ep",
    source="entry_point",
    module="m",
    distribution="dist",
    version="1.0",
    entry_point="ep = m",
    state="loaded",
    provides=(("fit", "a"), ("fit", "b")),
)
FAILED = PluginRecord(
    name="bad",
    source="config",
    module="bad",
    config_place="plugins.yaml:3",
    state="failed",
    error=ValueError("first\nsecond"),
)
DENIED = PluginRecord(
    name="no",
    source="entry_point",
    module="no",
    distribution="no-dist",
    entry_point="no = no",
    state="denied",
    reason="denied by 'no-dist' (plugins.yaml:4)",
)
FINDING = Finding(code="c", subject="s", message="m", place="p", remedy="Do it.")


def test_text_has_a_line_for_each_plugin_with_all_that_is_known():
    assert str(Report((LOADED, FAILED, DENIED), (FINDING,))).splitlines() == [
        "loaded  ep   dist 1.0                   entry point ep = m",
        "    provides fit:a, fit:b",
        "failed  bad                             config name bad (plugins.yaml:3)",
        "    error: ValueError: first",
        "    second",
        "denied  no   no-dist (unknown version)  entry point no = no",
        "    reason: denied by 'no-dist' (plugins.yaml:4)",
        "finding  c: s: m (p). Do it.",
    ]


def test_a_notebook_shows_the_text():
    printer = Mock()
    Report((LOADED,))._repr_pretty_(printer, cycle=False)
    printer.text.assert_called_once_with(str(Report((LOADED,))))


def test_findings_alone_are_shown():
    bare = Finding(code="c", subject="s", message="m")
    assert str(Report((), (bare,))) == "finding  c: s: m"


def test_failure_makes_it_not_ok_and_a_finding_does_not():
    assert Report((LOADED, DENIED), (FINDING,)).ok
    report = Report((LOADED, FAILED))
    assert not report.ok
    assert report.failures == (FAILED,)


def test_error_without_a_text_is_named():
    class Bad(Exception):
        def __str__(self):
            raise SystemExit

    class Interrupted(Exception):
        def __str__(self):
            raise KeyboardInterrupt

    assert safe_text(Bad()) == "<unprintable Bad>"
    with pytest.raises(KeyboardInterrupt):
        safe_text(Interrupted())


def test_nothing_of_an_absent_plugin_is_obeyed_by_a_terminal():
    shown = str(Provenance(module="", distribution="gone\x1b[2J", config_place="a\nb.yaml:1"))
    assert shown == r"gone\x1b[2J  a\nb.yaml:1"
