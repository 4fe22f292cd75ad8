"""The samples as users get them: real wheels in a fresh venv, the command in a process."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import zipfile
from functools import partial
from pathlib import Path

import pytest

from tests.docs.pages import Page
from tests.support.installing import ROOT, SAMPLES, build_wheels, environment, make_environment, pip

WINE = ROOT / "sample_plugins" / "wine.yaml"
BOOSTING = ROOT / "sample_plugins" / "wine-boosting.yaml"
ONLINE = ROOT / "sample_plugins" / "wine-online.yaml"

pytestmark = pytest.mark.integration

by_wheel = pytest.mark.parametrize("mode", ["wheel"], indirect=True, scope="module")
by_both = pytest.mark.parametrize("mode", ["wheel", "editable"], indirect=True, scope="module")


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    return make_environment(tmp_path_factory.mktemp("venv"))


@pytest.fixture(scope="module")
def mode(request, python, tmp_path_factory) -> str:
    """How this package and the samples are installed; the later one replaces the earlier."""
    again = ["--force-reinstall", "--no-deps"]  # this environment has a release of the same number
    if request.param == "wheel":
        wheels = build_wheels([ROOT, *SAMPLES], tmp_path_factory.mktemp("wheels"))
        pip(python, "install", *wheels)  # what they depend on
        pip(python, "install", *again, *wheels)
    else:
        sources = [argument for path in (ROOT, *SAMPLES) for argument in ("-e", path)]
        pip(python, "install", "--no-build-isolation", *again, *sources)
    return request.param


def run_in(folder: Path, python: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python.parent / "aimm-plugins", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )


@pytest.fixture
def run(mode, python, tmp_path):
    """Runs the command in an empty folder."""
    return partial(run_in, tmp_path, python)


@pytest.fixture(scope="module")
def main_job(mode, python, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The folder of the job that the README begins with, and how it went."""
    folder = tmp_path_factory.mktemp("job")
    done = run_in(folder, python, "run", WINE)
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture(scope="module")
def truth() -> list[str]:
    """Cultivars of the wines that the jobs do not learn from: every fourth of the file."""
    path = ROOT / "sample_plugins" / "aimm-sample-data" / "aimm_sample_data" / "wine.csv"
    with path.open(newline="") as stream:
        return [row["cultivar"] for row in csv.DictReader(stream)][3::4]


def share(predicted, truth) -> float:
    return sum(a == b for a, b in zip(predicted, truth, strict=True)) / len(truth)


def payload(artifact: Path) -> bytes:
    with zipfile.ZipFile(artifact) as members:
        return members.read("payload")


def predictions(path: Path) -> list[str]:
    with path.open(newline="") as stream:
        return [row["prediction"] for row in csv.DictReader(stream)]


@by_wheel
def test_main_job_recognizes_the_wines(main_job, truth):
    folder, done = main_job
    assert "fit: 20/20" in done.stderr
    right = share(predictions(folder / "wine-predictions.csv"), truth)
    assert right > 0.95
    assert f"{right * 44:.0f} of 44 right (accuracy {right:.3f})" in done.stdout


@by_wheel
def test_second_job_goes_on_with_the_model_of_the_first(main_job, run, tmp_path):
    folder, _ = main_job
    shutil.copy(folder / "wine-model.aimm", tmp_path)
    (tmp_path / "again.yaml").write_text(
        "data: {test: {access: wine, kwargs: {split: test, target: false}}}\n"
        "model: {type: wine.classifier, load: wine-model.aimm}\n"
        "predict: {data: test, output: again.csv}\n"
    )
    done = run("run", "again.yaml", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert [
        (step["step"], step["distribution"], step["version"])
        for step in json.loads(done.stdout)["steps"]
    ] == [
        ("data test", "aimm-sample-data", "0.1.0"),
        ("load", "aimm-sample-sklearn", "0.1.0"),
        ("predict", "aimm-sample-sklearn", "0.1.0"),
    ]
    assert (tmp_path / "again.csv").read_text() == (folder / "wine-predictions.csv").read_text()


@by_wheel
@pytest.mark.skipif(
    not (shutil.which("uv") or shutil.which("python3.11")), reason="needs Python 3.11, or uv"
)
def test_an_old_model_is_served_beside_a_new_one(run, python, tmp_path):
    sample = ROOT / "sample_plugins" / "old-beside-new"
    shutil.copytree(sample, tmp_path, dirs_exist_ok=True)
    done = run("env", "sync", "--conf", "plugins.yaml")
    assert (done.returncode, done.stdout) == (0, "old: made\n"), done.stderr
    said = []
    for _ in range(2):  # the second one loads what the first has saved
        served = subprocess.run(
            [python, "serve.py"],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert served.returncode == 0, served.stderr
        said.append(served.stdout.splitlines())
    new, old, *_, where = said[0]
    assert re.fullmatch(r"wine\.classifier: scikit-learn 1\.(?!3\.)\S+, 8\d of 89 right", new)
    assert re.fullmatch(r"wine\.forest: scikit-learn 1\.3\.\d, 8\d of 89 right", old)
    assert "of environment old" in where
    assert said[1][:3] == said[0][:3]


@by_wheel
def test_main_job_gives_the_same_predictions_on_dask(main_job, run, tmp_path):
    pytest.importorskip("distributed")
    done = run("run", WINE, "--dask", "local")
    assert done.returncode == 0, done.stderr
    assert "fit: 20/20" in done.stderr
    name = "wine-predictions.csv"
    assert (tmp_path / name).read_bytes() == (main_job[0] / name).read_bytes()


@by_wheel
def test_readme_shows_what_the_first_command_prints(main_job):
    """But for figures, which depend on the machine, and for progress."""
    shown = [
        line
        for block in Page(ROOT / "README.md").blocks("text")
        for line in block.code.splitlines()
    ]
    summary = main_job[1].stdout.splitlines()
    first = shown.index(HEADER)
    assert list(map(figureless, shown[first : first + len(summary)])) == list(
        map(figureless, summary)
    )
    assert max(map(len, summary)) <= 80


HEADER = "step        provides                     by                         seconds"


def figureless(line: str) -> str:
    return re.sub(r"=[0-9.]+|\b[0-9]\.[0-9]{3}\b", "#", line)


@by_wheel
def test_online_job_recognizes_the_wines_and_the_model_learns_on(run, tmp_path, truth):
    done = run("run", ONLINE, "--format", "json")
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "wine-online-predictions.jsonl").read_text().splitlines()
    assert share([str(json.loads(line)) for line in lines], truth) > 0.9

    (tmp_path / "on.yaml").write_text(
        "data: {test: {access: wine, kwargs: {split: test, names: [x, learn_from]}}}\n"
        "model: {type: wine.online, load: wine-online-model.aimm}\n"
        "predict: {data: test, output: on.jsonl}\n"
        "save: on.aimm\n"
    )
    done = run("run", "on.yaml")
    assert done.returncode == 0, done.stderr
    before, after = (
        json.loads(payload(tmp_path / name)) for name in ("wine-online-model.aimm", "on.aimm")
    )
    assert before["classes"] != after["classes"]
    assert len((tmp_path / "on.jsonl").read_text().splitlines()) == len(truth)


@by_wheel
def test_boosting_job_recognizes_the_wines_and_tells_of_each_round(run, tmp_path, truth):
    done = run("run", BOOSTING)
    assert done.returncode == 0, done.stderr
    assert share(predictions(tmp_path / "wine-boosting-predictions.csv"), truth) > 0.9
    assert "fit: 50/50" in done.stderr
    assert "LightGBM" not in done.stdout + done.stderr


@by_wheel
def test_failing_step_exits_1_and_keeps_what_was_written(run, tmp_path):
    text = WINE.read_text().replace("evaluate: {data: truth}", "evaluate: {data: train}")
    (tmp_path / "job.yaml").write_text(text)
    done = run("run", "job.yaml")
    assert done.returncode == 1
    assert "step evaluate failed" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(predictions(tmp_path / "wine-predictions.csv")) == 44
    assert (tmp_path / "wine-model.aimm").exists()


@by_wheel
def test_step_that_a_plugin_fails_names_it_with_its_version(run, tmp_path):
    (tmp_path / "job.yaml").write_text(
        "data: {wines: {access: wine, kwargs: {split: none}}}\nmodel: {type: wine.classifier}\n"
    )
    done = run("run", "job.yaml")
    assert done.returncode == 1
    assert "step data wines failed in data_access:wine  aimm-sample-data 0.1.0" in done.stderr
    assert "split is all, train or test, not 'none'" in done.stderr


@by_wheel
def test_wrong_job_exits_2_with_file_and_line(run, tmp_path):
    (tmp_path / "job.yaml").write_text("model: {type: wine.classifier}\nfitt: {}\n")
    done = run("run", "job.yaml")
    assert done.returncode == 2
    assert "job.yaml:2:1: at fitt: unknown key 'fitt'; did you mean 'fit'?" in done.stderr


@by_both
def test_options_are_held_against_the_schema_that_a_sample_ships(run, tmp_path):
    (tmp_path / "job.yaml").write_text(
        "plugins: {names: [], options: {aimm-sample-sklearn: {alpha: 0}}}\n"
        "model: {type: wine.classifier}\n"
    )
    done = run("run", "job.yaml")
    assert done.returncode == 2
    assert "job.yaml:1:61: at plugins.options.aimm-sample-sklearn.alpha: 0 " in done.stderr
    assert "says aimm_sample_sklearn:options.json of aimm-sample-sklearn 0.1.0" in done.stderr


@by_both
def test_every_sample_is_listed_without_being_imported(run):
    done = run("list", "--format", "json")
    assert done.returncode == 0, done.stderr
    listed = {
        record["distribution"]: record["state"] for record in json.loads(done.stdout)["plugins"]
    }
    names = (
        "aimm-sample-boosting",
        "aimm-sample-data",
        "aimm-sample-river",
        "aimm-sample-sklearn",
    )
    assert listed == dict.fromkeys(names, "planned")


@by_wheel
def test_wheel_of_a_sample_passes_the_checks_where_it_is_installed(run):
    done = run("check", "aimm-sample-data", "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    counts = json.loads(done.stdout)["counts"]
    assert counts["run"] == counts["passed"] > 40  # it publishes arguments to be called with


@by_both
def test_schemas_are_those_of_the_installed_package(run, mode, python):
    code = "import aimm_plugins; print(aimm_plugins.__file__)"
    done = subprocess.run(
        [python, "-c", code],
        cwd=python.parent,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    installed = Path(done.stdout.strip()).resolve()
    assert installed.is_relative_to(ROOT) == (mode == "editable")
    names = sorted(path.stem for path in (ROOT / "schemas").iterdir())
    assert {"job", "plugins", "report"} <= set(names)
    assert run("schema").stdout.split() == names
    for name in names:
        assert run("schema", name).stdout == (ROOT / "schemas" / f"{name}.yaml").read_text()
