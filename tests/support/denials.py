"""Plugins that must not run, and what says that they did not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aimm_plugins import initialize
from tests.conftest import record_of
from tests.support.forked.case import BAD, Case, assert_healthy, record

ORIGINS = {
    "editable": {"url": "file:///nowhere", "dir_info": {"editable": True}},
    "local": {"url": "file:///nowhere", "dir_info": {}},
    "vcs": {"url": "https://example.org/x.git", "vcs_info": {"vcs": "git", "commit_id": "0"}},
    "url": {"url": "https://example.org/x.whl", "archive_info": {}},
    "index": None,
    "unknown": {},
}


def assert_refused(conf, mark: Path) -> str:
    """The reason of a plugin that was denied, and not imported."""
    record = record_of(initialize(conf), "ep")
    assert record.state == "denied"
    assert not mark.exists()
    return record.reason


def trapped(case: Case, value: str = "bad") -> None:
    """A plugin that writes the marker when it is run."""
    case.bad(case.trap() + BAD, value)


def assert_denied(case: Case, got: dict[str, Any], why: str, name: str = "bad") -> dict[str, Any]:
    """Nothing of the plugin ran, in plan, isolate, strict and repetition; the report says why."""
    assert_healthy(got)
    assert not case.marker.exists()
    for stage in ("plan", "isolate", "current", "repeat", "again"):
        assert got[stage]["states"][name] == "denied"
        assert why in record(got[stage], name)["reason"]
    assert got["strict"]["error"] is None
    assert got["isolate"]["ok"]
    assert got["bad"]["error"] == "UnknownPluginError"
    return record(got["isolate"], name)


def write_policy(case: Case, text: str | bytes) -> None:
    """Write the operator's file."""
    file = case.folder / "policy.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    case.env["AIMM_PLUGINS_POLICY"] = str(file)
