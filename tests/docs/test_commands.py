"""The page of the commands is true: each verb is there, and prints what the page shows."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys

import pytest

from aimm_plugins._discovery.scan import scan
from aimm_plugins.cli import _VERBS
from tests.docs.pages import Page, run, serve
from tests.support.installing import ROOT, environment

PAGE = Page(ROOT / "docs" / "commands.md")
SVC = '''import statistics

from aimm_plugins import fit


@fit(["iris.svc"], state_cb_arg_name="progress")
def fit_svc(model, x, y, *, epochs: int = 20, progress):
    """Fit a linear SVC in place."""
    return model
'''
LEGACY = """from aimm_plugins import fit


@fit(["iris.svc", "iris.old"])
def fit_any(model, x, y):
    return model
"""


def yesterday(
    name: str,
    version: str,
    state: str,
    *keys: str,
    origin: str = "index",
    reason: str | None = None,
) -> dict[str, object]:
    """A plugin in the report of the day before."""
    return {
        "name": name,
        "module": f"aimm_{name}",
        "distribution": f"aimm-{name}",
        "version": version,
        "origin": origin,
        "state": state,
        "reason": reason,
        "error": None,
        "provides": [{"action": "fit", "key": key} for key in keys],
    }


YESTERDAY = [
    yesterday(
        "dev", "0.1", "denied", origin="vcs", reason="denied by origin 'vcs' (plugins.yaml:4)"
    ),
    yesterday("legacy", "0.9", "loaded", "iris.old"),
    yesterday("svc", "1.1", "loaded", "iris.svc"),
]

pytestmark = pytest.mark.skipif(
    bool(scan().candidates), reason="the page shows an environment without other plugins"
)


@pytest.fixture
def server(site, monkeypatch):
    """The four distributions of the page, and its files in the current folder."""
    sources = {
        "aimm_svc": SVC,
        "aimm_legacy": LEGACY,
        "aimm_trees": "import no_such_library\n" + SVC.replace("iris.svc", "iris.trees"),
        "aimm_dev": SVC.replace("iris.svc", "iris.dev"),
    }
    folder = serve(PAGE, site, sources, {"aimm_svc": "fit_svc"})
    (folder / "yesterday.json").write_text(json.dumps({"plugins": YESTERDAY}))
    monkeypatch.chdir(folder)
    return site


@pytest.mark.parametrize("number", range(len(PAGE.outputs())))
def test_command_prints_what_the_page_shows(server, number):
    command, _, block = PAGE.outputs()[number]
    PAGE.hold(block, run(command, server))


def test_every_verb_is_on_the_page():
    text = PAGE.path.read_text(encoding="utf-8")
    assert [verb for verb in _VERBS if not re.search(rf"^\| `{verb}\b", text, re.MULTILINE)] == []
    shown = {shlex.split(command)[1] for command in PAGE.commands}
    # By the README, and by the pages of operators, production, authors, conformance, environments
    # and artifacts.
    elsewhere = {
        "run",
        "plan",
        "doctor",
        "list",
        "profile",
        "new",
        "entry-points",
        "stubs",
        "check",
        "artifact",
        "env",
        "report",
        "schema",
    }
    assert set(_VERBS) - shown <= elsewhere


def test_completion_is_set_up_as_the_page_says():
    (block,) = PAGE.blocks("shell")
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    done = subprocess.run(
        ["bash", "-c", block.code + "complete -p aimm-plugins\n"],
        env=environment(PATH=path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "_aimm_plugins_completion" in done.stdout, done.stderr
