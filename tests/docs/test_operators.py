"""The page for operators is true: its commands print what it shows.

`UPDATE_DOCS=1 pytest tests/docs` writes what they print into the page.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

import pytest

import aimm_plugins
from aimm_plugins._discovery import scan
from tests.docs.pages import Page
from tests.support.installing import ROOT, environment
from tests.support.metadata import write_dist_info

PAGE = Page(ROOT / "docs" / "operators.md")
SVC = "from aimm_plugins import fit\n\n\n@fit(['iris.svc'])\ndef fit_svc(model): return model\n"

pytestmark = pytest.mark.skipif(
    bool(scan().candidates), reason="the page shows an environment without other plugins"
)


@pytest.fixture
def server(site, monkeypatch):
    """The four distributions of the page, and its files in the current folder."""
    (site / "aimm_svc.py").write_text(SVC)
    (site / "aimm_legacy.py").write_text(SVC)
    (site / "aimm_trees.py").write_text("import no_such_library\n")
    (site / "aimm_dev.py").write_text("")
    for name, version, published in (
        ("aimm-svc", "1.2", {"fit:iris.svc": "aimm_svc:fit_svc"}),
        ("aimm-legacy", "0.9", {"fit:iris.svc": "aimm_legacy:fit_svc"}),
        ("aimm-trees", "2.0", None),
        ("aimm-dev", "0.1", None),
    ):
        module = name.replace("-", "_")
        write_dist_info(
            site,
            name,
            version,
            entry_points={name.removeprefix("aimm-"): module},
            published=published,
            files=[f"{module}.py"],
            direct_url={"url": "https://git.example/dev", "vcs_info": {"vcs": "git"}}
            if name == "aimm-dev"
            else None,
        )
    folder = site.parent / "server"
    folder.mkdir()
    for name, text in PAGE.files().items():
        (folder / name).write_text(text)
    monkeypatch.chdir(folder)
    return site


def printed(command: str, site) -> str:
    """What a command of the page prints, on stdout and stderr, as a terminal shows it."""
    words = shlex.split(command)
    variables = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
    arguments = words[len(variables) + 1 :]
    done = subprocess.run(
        [sys.executable, "-m", "aimm_plugins", *arguments],
        env=environment(PYTHONPATH=str(site), **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout.replace(str(site) + os.sep, "")


@pytest.mark.parametrize("number", range(len(PAGE.outputs())))
def test_command_prints_what_the_page_shows(server, number):
    command, shown, block = PAGE.outputs()[number]
    output = printed(command, server)
    if os.environ.get("UPDATE_DOCS"):
        PAGE.shown(block, output)
    else:
        assert output == shown


def test_report_of_the_start_is_what_the_page_shows(server, capsys):
    for block in PAGE.blocks("python"):
        exec(compile(block.code, str(PAGE.path), "exec"), {})
    output = capsys.readouterr().out.replace(str(server) + os.sep, "")
    (shown,) = PAGE.blocks("text")
    if os.environ.get("UPDATE_DOCS"):
        text = PAGE.path.read_text(encoding="utf-8")
        PAGE.path.write_text(text.replace(shown.code, output), encoding="utf-8")
    else:
        assert output == shown.code
    assert not aimm_plugins.current_report().ok
