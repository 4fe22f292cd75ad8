"""Completion in the shell."""

from __future__ import annotations

import pytest


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
