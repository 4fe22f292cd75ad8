"""The command line, as a process and in this one."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import aimm_plugins
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
def folder(tmp_path: Path) -> Path:
    (tmp_path / "job_models.py").write_text(MODELS)
    return tmp_path


def run(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The command in a real process, with `folder` importable."""
    return subprocess.run(
        [sys.executable, "-m", "aimm_plugins", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def run_job(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "job.yaml").write_text(text)
    return run(folder, "run", "job.yaml", *arguments)


def test_run_writes_predictions_and_model_and_tells_of_every_step(folder):
    done = run_job(folder, job(), "--format", "json")
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout)["steps"]
    assert [step["step"] for step in steps] == ["data few", "model", "fit", "predict", "save"]
    assert {step["module"] for step in steps} == {"job_models"}
    assert [step["output"] for step in steps][-2:] == ["out.csv", "model.txt"]
    assert (folder / "out.csv").read_text() == "prediction\n1.5\n1.5\n1.5\n1.5\n"
    assert (folder / "model.txt").read_bytes() == b"1.5"
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == [
        "job.yaml",
        "job_models.py",
        "model.txt",
        "out.csv",
    ]


def test_progress_goes_to_stderr_with_the_last_event_always(folder):
    done = run_job(folder, job())
    lines = done.stderr.splitlines()
    assert lines[0] == "data few: read 1/4 x=0 own=0"
    assert lines[-1] == "data few: read 4/4 x=1 own=3"


def test_table_has_a_row_for_each_step(folder):
    lines = run_job(folder, job()).stdout.splitlines()
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


def test_saved_model_is_loaded(folder):
    (folder / "old.txt").write_text("7.0")
    text = job(model=", load: old.txt").replace("fit: {data: few}\n", "")
    assert run_job(folder, text).returncode == 0
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
def test_predictions_of_many_forms_become_a_table(folder, form, header, first):
    done = run_job(folder, job(predict=f", kwargs: {{form: {form}}}"))
    assert done.returncode == 0, done.stderr
    with (folder / "out.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[:2] == [header, first]


def test_json_lines(folder):
    run_job(folder, job(output="out.jsonl", predict=", kwargs: {form: rows}"))
    lines = (folder / "out.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {"a": 1.5, "b": None}


@pytest.mark.parametrize("kind", ["dict", "list", "tuple"])
def test_data_becomes_arguments_by_its_type(folder, kind):
    assert run_job(folder, job(data=f", kwargs: {{kind: {kind}}}")).returncode == 0


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
def test_failing_step_names_step_plugin_and_cause(folder, parts, message):
    done = run_job(folder, job(**parts))
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "model.txt").exists()


def test_debug_shows_the_traceback(folder):
    (folder / "job.yaml").write_text(job(model="s"))
    assert "Traceback" in run(folder, "--debug", "run", "job.yaml").stderr


def test_earlier_output_is_kept_when_a_later_step_fails(folder):
    done = run_job(folder, job().replace("save: model.txt", "save: none/model.txt"))
    assert done.returncode == 1
    assert (folder / "out.csv").exists()


def test_failed_write_leaves_what_was_there(folder):
    (folder / "out.csv").write_text("old")
    run_job(folder, job(predict=", kwargs: {form: uneven}"))
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
def test_wrong_job_exits_2_with_its_place(folder, text, message):
    done = run_job(folder, text)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_broken_plugin_exits_1_and_runs_no_step(folder):
    (folder / "broken.py").write_text("raise ValueError('why')")
    done = run_job(folder, job().replace("[job_models]", "[broken]"))
    assert done.returncode == 1
    assert "ValueError: why" in done.stderr
    assert not (folder / "out.csv").exists()


def test_list_imports_nothing(folder, site, install):
    (site / "bad.py").write_text("raise SystemExit")
    install("bad-dist", "2.1", entry_points={"ep": "bad"})
    (folder / "conf.yaml").write_text("names: [job_models]\nentry_points: {deny: [bad-dist]}\n")
    environment = {"PYTHONPATH": os.pathsep.join([str(folder), str(site)])}
    done = run(folder, "list", "--format", "json", "--conf", "conf.yaml", **environment)
    report = json.loads(done.stdout)
    validate(report, "report")
    rows = {record["name"]: record["state"] for record in report["plugins"]}
    assert rows["job_models"] == "planned"
    assert rows["ep"] == "denied"
    table = run(folder, "list", AIMM_PLUGINS_CONF="conf.yaml", **environment).stdout
    assert "denied by 'bad-dist' (conf.yaml:2)" in table


def test_list_shows_findings_on_stderr(folder, site, install):
    install("odd-dist", entry_points={"ep": "not a module"})
    done = run(folder, "list", PYTHONPATH=str(site))
    assert done.returncode == 0
    assert "broken-entry-point: odd-dist 1.0" in done.stderr


def test_schema_prints_and_lists(folder):
    assert "aimm://job.yaml" in run(folder, "schema", "job").stdout
    assert json.loads(run(folder, "schema", "job", "--format", "json").stdout)["$id"]
    assert run(folder, "schema").stdout.split() == ["job", "plugins", "report", "state-event"]
    assert json.loads(run(folder, "schema", "--format", "json").stdout)[0] == "job"


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
def test_wrong_use_exits_2(folder, arguments, message):
    done = run(folder, *arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_wrong_conf_exits_2(folder):
    assert run(folder, "list", "--conf", "none.yaml").returncode == 2


def test_version_and_help(folder):
    assert aimm_plugins.__version__ in run(folder, "--version").stdout
    text = run(folder, "--help").stdout
    assert all(verb in text for verb in ("run", "list", "schema"))


def test_help_loads_no_verb(folder):
    code = (
        "import sys\nsys.argv = ['aimm-plugins', '--help']\nfrom aimm_plugins.cli import main\n"
        "try: main()\nexcept SystemExit: pass\nprint(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stderr.split()
    assert not {"aimm_plugins.cli.run_", "jsonschema", "yaml", "rich"} & set(loaded)
