"""The samples as users get them: real wheels in a fresh venv, the command in a process."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = sorted(path for path in (ROOT / "sample_plugins").iterdir() if path.is_dir())

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", params=["wheel", "editable"])
def command(request, tmp_path_factory) -> Path:
    """A venv with this package and the samples, and the command in it."""
    folder = tmp_path_factory.mktemp(request.param)
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin" / "python"
    packages: list[str] = []
    for path in (ROOT, *SAMPLES):
        packages += ["-e", str(path)] if request.param == "editable" else [str(path)]
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, *packages], check=True, cwd=folder, env=environment())
    return folder / "bin" / "aimm-plugins"


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


def run(command: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [command, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )


def test_main_job_predicts_the_wines(command, tmp_path):
    done = run(
        command, "run", str(ROOT / "sample_plugins" / "wine.yaml"), "--format", "json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout)["steps"]
    assert [step["step"] for step in steps] == [
        "data train",
        "data test",
        "model",
        "fit",
        "predict",
        "save",
    ]
    assert steps[3]["distribution"] == "aimm-sample-sklearn"
    assert "fit: 20/20" in done.stderr
    with (tmp_path / "wine-predictions.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 44
    assert (tmp_path / "wine-model.skops").stat().st_size > 0


def test_every_sample_is_listed_without_being_imported(command, tmp_path):
    done = run(command, "list", "--format", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = {record["distribution"] for record in json.loads(done.stdout)["plugins"]}
    assert listed == {"aimm-sample-data", "aimm-sample-river", "aimm-sample-sklearn"}


def test_schemas_are_found(command, tmp_path):
    done = run(command, "schema", "plugins", cwd=tmp_path)
    assert "aimm://plugins.yaml" in done.stdout
