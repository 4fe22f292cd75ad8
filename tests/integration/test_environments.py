"""An environment that `env sync` makes; two versions of one library are in the page's test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration


def test_an_environment_is_made_by_venv_and_pip_where_there_is_no_uv(tmp_path: Path) -> None:
    (tmp_path / "plugins.yaml").write_text(
        "names: []\nenvironments_folder: made\nenvironments: {plain: {requirements: [six]}}\n"
    )
    folders = os.environ["PATH"].split(os.pathsep)
    path = os.pathsep.join(f for f in folders if not os.path.exists(os.path.join(f, "uv")))
    command, conf = [sys.executable, "-m", "aimm_plugins", "env"], ["--conf", "plugins.yaml"]
    for line, expected in (
        ([*command, "sync", *conf], "plain: made\n"),
        ([*command, "run", "plain", *conf, "--", "python", "-c", "import six"], ""),
    ):
        done = subprocess.run(
            line,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": path},
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, expected), done.stderr
