"""Completion in the shell."""

from __future__ import annotations


def test_shells_are_offered_the_verbs_that_fit(run, monkeypatch):
    monkeypatch.setenv("_AIMM_PLUGINS_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "aimm-plugins do")
    monkeypatch.setenv("COMP_CWORD", "1")
    _, out, _ = run()
    assert {line.partition(",")[2] for line in out.splitlines()} == {"doctor"}
