"""The command line, as a process and in this one."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import aimm_plugins
from aimm_plugins import cli
from aimm_plugins._config import validate

MODELS = """
from aimm_plugins import data_access, instantiate, fit, predict, serialize, deserialize

@data_access("numbers", state_cb_arg_name="cb")
def numbers(count, *, cb, kind="tuple"):
    for i in range(count):
        cb({"phase": "read", "step": i + 1, "total": count, "metrics": {"x": i / 3}, "own": i})
    values = [float(i) for i in range(count)]
    return {"tuple": (values,), "dict": {"values": values}, "list": values, "odd": {1: values}}[kind]

@instantiate("mean")
def make(start=0.0):
    return {"mean": start}

@fit(["mean"])
def learn(model, values):
    model["mean"] = sum(values) / len(values)
    return model

@predict(["mean"])
def guess(model, values, form="list"):
    rows = [model["mean"] for _ in values]
    return {
        "list": rows,
        "columns": {"a": rows, "b": rows},
        "one": {"a": 1, "b": [2]} ,
        "rows": [{"a": each, "b": None} for each in rows],
        "uneven": [{"a": 1}, {"b": 2}],
        "nested": [[each, [each]] for each in rows],
        "scalar": 5,
        "object": [object()],
        "exit": None if form != "exit" else exit(3),
    }[form]

@serialize(["mean"])
def save(model):
    return repr(model["mean"]).encode()

@deserialize(["mean"])
def load(data):
    return {"mean": float(data)}
"""

JOB = """
plugins: {{names: [job_models], entry_points: {{enabled: false}}}}
data:
  few: {{access: numbers, args: [4]{data}}}
model: {{type: mean{model}}}
fit: {{data: few{fit}}}
predict: {{data: [few], output: {output}{predict}}}
save: model.txt
"""


def job(**parts: str) -> str:
    defaults = {"data": "", "model": "", "fit": "", "predict": "", "output": "out.csv"}
    return JOB.format(**{**defaults, **parts})


@pytest.fixture
def folder(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the command runs; `job_models` can be imported."""
    (site / "job_models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs the command in this process."""

    def run(*arguments: str) -> Done:
        capsys.readouterr()
        status = cli.run(arguments)
        return Done(status, *capsys.readouterr())

    return run


@pytest.fixture
def run_job(folder: Path, run: Callable[..., Done]) -> Callable[..., Done]:
    """Runs a job, given as text, in this process."""

    def run_job(text: str, *arguments: str) -> Done:
        (folder / "job.yaml").write_text(text)
        return run("run", "job.yaml", *arguments)

    return run_job


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a command."""

    returncode: int
    stdout: str
    stderr: str


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def test_run_writes_predictions_and_model_and_tells_of_every_step(folder, run_job):
    done = run_job(job(), "--format", "json")
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout)["steps"]
    assert [step["step"] for step in steps] == ["data few", "model", "fit", "predict", "save"]
    assert {step["module"] for step in steps} == {"job_models"}
    assert [step["output"] for step in steps][-2:] == ["out.csv", "model.txt"]
    assert (folder / "out.csv").read_text() == "prediction\n1.5\n1.5\n1.5\n1.5\n"
    assert (folder / "model.txt").read_bytes() == b"1.5"
    assert files(folder) == {"job.yaml", "model.txt", "out.csv"}


def test_progress_goes_to_stderr_with_the_last_event_always(run_job):
    done = run_job(job())
    lines = done.stderr.splitlines()
    assert lines[0] == "data few: 1/4 read x=0 own=0"
    assert lines[-1] == "data few: 4/4 read x=1 own=3"


def test_table_has_a_row_for_each_step(run_job):
    lines = run_job(job()).stdout.splitlines()
    assert lines[0].split() == [
        "step",
        "provides",
        "plugin",
        "distribution",
        "version",
        "seconds",
        "output",
    ]
    assert len(lines) == 6


def test_saved_model_is_loaded(folder, run_job):
    (folder / "old.txt").write_text("7.0")
    text = job(model=", load: old.txt").replace("fit: {data: few}\n", "")
    assert run_job(text).returncode == 0
    assert (folder / "out.csv").read_text().splitlines()[1] == "7.0"


@pytest.mark.parametrize(
    ("form", "header", "first"),
    [
        ("list", ["prediction"], ["1.5"]),
        ("columns", ["a", "b"], ["1.5", "1.5"]),
        ("rows", ["a", "b"], ["1.5", ""]),
        ("nested", ["prediction_0", "prediction_1"], ["1.5", "[1.5]"]),
        ("scalar", ["prediction"], ["5"]),
        ("one", ["a", "b"], ["1", "[2]"]),
    ],
)
def test_predictions_of_many_forms_become_a_table(folder, run_job, form, header, first):
    done = run_job(job(predict=f", kwargs: {{form: {form}}}"))
    assert done.returncode == 0, done.stderr
    with (folder / "out.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[:2] == [header, first]


def test_json_lines(folder, run_job):
    run_job(job(output="out.jsonl", predict=", kwargs: {form: rows}"))
    lines = (folder / "out.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {"a": 1.5, "b": None}


@pytest.mark.parametrize("kind", ["dict", "list", "tuple"])
def test_data_becomes_arguments_by_its_type(run_job, kind):
    assert run_job(job(data=f", kwargs: {{kind: {kind}}}")).returncode == 0


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"data": ", kwargs: {kind: none}"}, "step data few failed in data_access:numbers"),
        ({"data": ", kwargs: {cont: 3}"}, "unexpected keyword argument 'cont'"),
        ({"data": ", kwargs: {kind: odd}"}, "names no argument: 1"),
        (
            {"data": ", kwargs: {kind: dict}", "fit": ", kwargs: {values: [1]}"},
            "'values' is given twice, again by kwargs",
        ),
        ({"model": ", load: none.txt"}, "step load failed in none.txt"),
        ({"model": "s"}, "nearest: instantiate:mean"),
        ({"predict": ", kwargs: {form: exit}"}, "step predict failed in predict:mean"),
        ({"predict": ", kwargs: {form: uneven}"}, "columns the first has not: ['b']"),
        (
            {"predict": ", kwargs: {form: object}", "output": "out.jsonl"},
            "cannot be written as JSON",
        ),
        ({"output": "none/out.csv"}, "step predict failed in output none/out.csv"),
    ],
)
def test_failing_step_names_step_plugin_and_cause(folder, run_job, parts, message):
    done = run_job(job(**parts))
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "model.txt").exists()


def test_debug_shows_the_traceback(folder, run):
    (folder / "job.yaml").write_text(job(model="s"))
    assert "Traceback" in run("--debug", "run", "job.yaml").stderr


def test_earlier_output_is_kept_when_a_later_step_fails(folder, run_job):
    done = run_job(job().replace("save: model.txt", "save: none/model.txt"))
    assert done.returncode == 1
    assert (folder / "out.csv").exists()


def test_failed_write_leaves_what_was_there(folder, run_job):
    (folder / "out.csv").write_text("old")
    run_job(job(predict=", kwargs: {form: uneven}"))
    assert (folder / "out.csv").read_text() == "old"
    assert not list(folder.glob(".out.csv*"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {type: m}\nfitt: {}\n", "job.yaml:2:1: at fitt: unknown key 'fitt'"),
        ("model: {}\n", "key 'type' is missing"),
        ("model: {type: m}\nfit: {data: [x]}\n", "job.yaml:2:14: at fit.data: no data access"),
        ("model: {type: m}\nfit: {data: x}\n", "job.yaml:2:13: at fit.data: no data access"),
        ("model: {type: m, load: f, args: [1]}\n", "args does not belong here"),
        ("model: {type: m}\npredict: {output: x.txt}\n", "'x.txt' cannot be read"),
        ("model: {type: m}\nplugins: {names: [], dney: 1}\n", "job.yaml:2:22: at plugins.dney"),
        ("model: {type: m}\nplugins: none.yaml\n", "none.yaml: cannot be read"),
        ("model: {type: m}\nmodel: {}\n", "job.yaml:2:1: key 'model' stands twice"),
        ("[" * 3, "is not YAML"),
    ],
)
def test_wrong_job_exits_2_with_its_place(run_job, text, message):
    done = run_job(text)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_broken_plugin_exits_1_and_runs_no_step(folder, run_job):
    (folder / "broken.py").write_text("raise ValueError('why')")
    done = run_job(job().replace("[job_models]", "[broken]"))
    assert done.returncode == 1
    assert "ValueError: why" in done.stderr
    assert not (folder / "out.csv").exists()


def test_list_imports_nothing(folder, run, site, install):
    (site / "bad.py").write_text("raise SystemExit")
    install("bad-dist", "2.1", entry_points={"ep": "bad"})
    (folder / "conf.yaml").write_text("names: [job_models]\nentry_points: {deny: [bad-dist]}\n")
    environment = {"PYTHONPATH": os.pathsep.join([str(folder), str(site)])}
    done = run("list", "--format", "json", "--conf", "conf.yaml", **environment)
    report = json.loads(done.stdout)
    validate(report, "report")
    rows = {record["name"]: record["state"] for record in report["plugins"]}
    assert rows["job_models"] == "planned"
    assert rows["ep"] == "denied"
    table = run("list", AIMM_PLUGINS_CONF="conf.yaml", **environment).stdout
    assert "denied by 'bad-dist' (conf.yaml:2)" in table


def test_list_shows_findings_on_stderr(run, site, install):
    install("odd-dist", entry_points={"ep": "not a module"})
    done = run("list", PYTHONPATH=str(site))
    assert done.returncode == 0
    assert "broken-entry-point: odd-dist 1.0" in done.stderr


def test_schema_prints_and_lists(run):
    assert "aimm://job.yaml" in run("schema", "job").stdout
    assert json.loads(run("schema", "job", "--format", "json").stdout)["$id"]
    assert run("schema").stdout.split() == ["job", "plugins", "policy", "report"]
    assert json.loads(run("schema", "--format", "json").stdout)[0] == "job"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("schema", "plugin"), "Did you mean 'plugins'?"),
        (("lst",), "Did you mean 'list'?"),
        (("zzz",), "No such command 'zzz'."),
        (("run",), "Missing argument"),
        (("list", "--format", "xml"), "'xml'"),
    ],
)
def test_wrong_use_exits_2(run, arguments, message):
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_wrong_conf_exits_2(run):
    assert run("list", "--conf", "none.yaml").returncode == 2


def test_version_and_help(run):
    assert aimm_plugins.__version__ in run("--version").stdout
    text = run("--help").stdout
    assert all(verb in text for verb in ("run", "list", "schema"))


def test_help_loads_no_verb(run):
    code = (
        "import sys\nsys.argv = ['aimm-plugins', '--help']\nfrom aimm_plugins.cli import main\n"
        "try: main()\nexcept SystemExit: pass\nprint(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stderr.split()
    assert not {"aimm_plugins.cli.run_", "jsonschema", "yaml", "rich"} & set(loaded)
