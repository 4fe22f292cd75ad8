"""Three distributions, and the command in this process, for the tests of the verbs."""

from __future__ import annotations

import json
import sys

import pytest

from aimm_plugins import cli
from aimm_plugins._config.json_schema import validate
from aimm_plugins._discovery.scan import scan

SVC = '''
from aimm_plugins import fit, predict

raise_at_import = 1 / 0

@fit(["iris.svc"], state_cb_arg_name="progress")
def fit_svc(model, x, *, epochs: int = 20, progress):
    """Fit in place.

    Args:
        model: As made.
    """
'''
LEGACY = "from aimm_plugins import fit\n\n@fit(['iris.svc', 'iris.old'])\ndef learn(model): ...\n"

CONF = ("--conf", "plugins.yaml")
OTHER_PLUGINS = bool(scan().candidates)


@pytest.fixture
def run(capsys):
    """Runs the command in this process; checks JSON against its schema."""
    if OTHER_PLUGINS:
        pytest.skip("an environment without other plugins is looked at")

    def run(*arguments: str):
        capsys.readouterr()
        status = cli.run(arguments)
        out, err = capsys.readouterr()
        if "json" in arguments and out:
            answer = json.loads(out)
            validate(answer, "report" if arguments[0] == "plan" else arguments[0])
            return status, answer, err
        return status, out, err

    return run


@pytest.fixture
def world(site, install, tmp_path, monkeypatch):
    """Three distributions: one that publishes, one that does not, one that is denied."""
    (site / "looked_svc.py").write_text(SVC)
    (site / "looked_legacy.py").write_text(LEGACY)
    (site / "looked_dev.py").write_text("raise SystemExit\n" + LEGACY.replace("iris", "dev"))
    install(
        "looked-svc",
        "1.2",
        entry_points={"svc": "looked_svc"},
        published={"fit:iris.svc": "looked_svc:fit_svc"},
        files=["looked_svc.py"],
    )
    install(
        "looked-legacy", "0.9", entry_points={"legacy": "looked_legacy"}, files=["looked_legacy.py"]
    )
    install(
        "looked-dev",
        "0.1",
        entry_points={"dev": "looked_dev"},
        published={"fit:dev.old": "looked_dev:learn"},
        files=["looked_dev.py"],
    )
    monkeypatch.chdir(tmp_path)
    conf = tmp_path / "plugins.yaml"
    conf.write_text(
        "names: []\nentry_points:\n  deny: [looked-dev, 'looked-svc<1']\n"
        "prefer: {'fit:iris.svc': looked-svc}\non_error: isolate\n"
    )
    yield conf
    imported = {"looked_svc", "looked_dev"} & set(sys.modules)
    assert not imported
