"""The command line, as a process and in this one."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import aimm_plugins
from aimm_plugins import cli
from aimm_plugins._config.json_schema import validate
from aimm_plugins.cli._output import print_json, progress
from tests.support.artifacts import parts, repacked

MODELS = """
import datetime
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

class Frame:
    # As much of a data frame as is looked at.
    columns = ["a", "b"]
    def itertuples(self, index, name):
        return iter([(1.5, float("nan")), (2, None)])

class Polars:
    def to_dicts(self):
        return [{"a": 1.5}]

class Array:
    def __init__(self, value):
        self.value = value
    def tolist(self):
        return self.value

class NAType:
    pass

class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError

@predict(["mean"])
def guess(model, values, form="list"):
    rows = [model["mean"] for _ in values]
    if form == "exit": exit(3)
    if form == "interrupt": raise KeyboardInterrupt
    if form == "unprintable": raise Unprintable
    if form == "lines": raise ValueError("first\\nsecond")
    def generated():
        yield 1.5
        if form == "exit later": exit(3)
        if form == "interrupt later": raise KeyboardInterrupt
    return {
        "list": rows,
        "columns": {"a": rows, "b": rows},
        "one": {"a": 1, "b": [2]} ,
        "rows": [{"a": each, "b": None} for each in rows],
        "uneven": [{"a": 1}, {"b": 2}],
        "nested": [[each, [each]] for each in rows],
        "scalar": 5,
        "object": [object()],
        "none": None,
        "text": "a",
        "bytes": b"a",
        "generator": generated(),
        "exit later": generated(),
        "interrupt later": generated(),
        "frame": Frame(),
        "polars": Polars(),
        "array": Array([[1.5, 2]]),
        "number": Array(1.5),
        "arrays": [Array([1.5, 2]), Array([3, 4])],
        "series": {"a": Array([1.5, 2])},
        "keys": [{Array(1): 1.5}],
        "missing": [NAType(), float("nan"), None],
        "infinite": [float("inf")],
        "ragged": [[1, 2], [3]],
        "mixed": [[1, 2], 3],
        "dates": [datetime.date(2026, 11, 24)],
        "deep": [{"a": {"b": (1, Array(2))}}],
        "empty": [],
    }[form]

@serialize(["mean"])
def save(model):
    if model["mean"] < 0: return 5
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


def unsaveable(text: str) -> str:
    """The job with a model that its plugin does not serialize."""
    return text.replace("fit: {data: few}\n", "").replace("type: mean", "type: mean, args: [-1.0]")


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
        if not (path := folder / "job.yaml").exists() or path.read_text() != text:
            path.write_text(text)
        return run("run", "job.yaml", *arguments)

    return run_job


class Unprintable:
    def __str__(self):
        raise RuntimeError


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
    artifact = (folder / "model.txt").read_bytes()
    assert aimm_plugins.inspect(artifact).model_type == "mean"
    assert parts(artifact)[2] == b"1.5"
    assert files(folder) == {"job.yaml", "model.txt", "out.csv"}


def test_progress_goes_to_stderr_with_the_last_event_always(run_job):
    done = run_job(job())
    lines = done.stderr.splitlines()
    assert lines[0] == "data few: 1/4 read x=0 own=0"
    assert lines[-1] == "data few: 4/4 read x=1 own=3"


def test_table_has_a_row_for_each_step(run_job):
    lines = run_job(job()).stdout.splitlines()
    assert lines[0].split() == ["step", "provides", "by", "seconds"]
    assert [line.split()[0] for line in lines[1:6]] == ["data", "model", "fit", "predict", "save"]
    assert lines[6:] == ["", "predict wrote out.csv", "save wrote model.txt"]


def test_saved_model_is_loaded(folder, run_job):
    assert run_job(job(output="first.csv")).returncode == 0
    text = job(model=", load: model.txt").replace("fit: {data: few}\n", "")
    assert run_job(text).returncode == 0
    assert (folder / "out.csv").read_text().splitlines()[1] == "1.5"


def test_file_that_is_no_artifact_is_not_loaded(folder, run_job):
    (folder / "old.txt").write_text("7.0")
    done = run_job(job(model=", load: old.txt"))
    assert done.returncode == 1
    assert (
        "step load failed in old.txt\n  ArtifactError: these bytes are no artifact" in done.stderr
    )


def test_artifact_of_another_model_type_is_not_loaded(folder, run_job):
    assert run_job(job()).returncode == 0
    artifact = folder / "model.txt"
    artifact.write_bytes(repacked(artifact.read_bytes(), model_type="other"))
    done = run_job(job(model=", load: model.txt"))
    assert done.returncode == 1
    assert "ArtifactError: the artifact is of other, and a mean is wanted" in done.stderr


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("list", "prediction\n1.5\n1.5\n1.5\n1.5\n"),
        ("columns", "a,b\n1.5,1.5\n1.5,1.5\n1.5,1.5\n1.5,1.5\n"),
        ("rows", "a,b\n1.5,\n1.5,\n1.5,\n1.5,\n"),
        ("nested", "prediction_0,prediction_1\n" + "1.5,[1.5]\n" * 4),
        ("scalar", "prediction\n5\n"),
        ("one", "a,b\n1,[2]\n"),
        ("none", 'prediction\n""\n'),
        ("text", "prediction\na\n"),
        ("generator", "prediction\n1.5\n"),
        ("frame", "a,b\n1.5,nan\n2,\n"),
        ("polars", "a\n1.5\n"),
        ("array", "prediction_0,prediction_1\n1.5,2\n"),
        ("number", "prediction\n1.5\n"),
        ("arrays", "prediction_0,prediction_1\n1.5,2\n3,4\n"),
        ("series", "a\n1.5\n2\n"),
        ("missing", 'prediction\n""\nnan\n""\n'),
        ("infinite", "prediction\ninf\n"),
        ("dates", "prediction\n2026-11-24\n"),
        ("deep", 'a\n"{""b"": [1, 2]}"\n'),
        ("empty", "prediction\n"),
    ],
)
def test_predictions_of_many_forms_become_a_table(folder, run_job, form, text):
    done = run_job(job(predict=f", kwargs: {{form: {form}}}"))
    assert done.returncode == 0, done.stderr
    assert (folder / "out.csv").read_text() == text


@pytest.mark.parametrize(
    ("form", "lines"),
    [
        ("rows", [{"a": 1.5, "b": None}] * 4),
        ("list", [1.5] * 4),
        ("nested", [[1.5, [1.5]]] * 4),
        ("uneven", [{"a": 1}, {"b": 2}]),
        ("ragged", [[1, 2], [3]]),
        ("one", [{"a": 1, "b": [2]}]),
        ("none", [None]),
        ("frame", [{"a": 1.5, "b": None}, {"a": 2, "b": None}]),
        ("polars", [{"a": 1.5}]),
        ("series", [{"a": 1.5}, {"a": 2}]),
        ("keys", [{"1": 1.5}]),
        ("missing", [None] * 3),
        ("dates", ["2026-11-24"]),
        ("deep", [{"a": {"b": [1, 2]}}]),
        ("empty", []),
    ],
)
def test_predictions_of_many_forms_become_json_lines(folder, run_job, form, lines):
    done = run_job(job(output="out.jsonl", predict=f", kwargs: {{form: {form}}}"))
    assert done.returncode == 0, done.stderr
    written = (folder / "out.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in written] == lines


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
        ({"predict": ", kwargs: {form: exit later}"}, "in output out.csv\n  SystemExit: 3"),
        ({"predict": ", kwargs: {form: unprintable}"}, "Unprintable: <unprintable Unprintable>"),
        ({"predict": ", kwargs: {form: lines}"}, "\n  ValueError: first\n  second\n"),
        ({"predict": ", kwargs: {form: ragged}"}, "prediction 2 is of another width"),
        ({"predict": ", kwargs: {form: mixed}"}, "prediction 2 is of another width"),
        ({"predict": ", kwargs: {form: bytes}"}, "bytes cannot be written as CSV"),
        (
            {"predict": ", kwargs: {form: infinite}", "output": "out.jsonl"},
            "JSON has no number for inf",
        ),
        ({"fit": ", args: [1]"}, "step fit failed in fit:mean"),
        ({"model": ", kwargs: {start: x}", "fit": ", kwargs: {none: 1}"}, "step fit failed"),
        ({"predict": ", kwargs: {form: uneven}"}, "columns the first has not: ['b']"),
        (
            {"predict": ", kwargs: {form: object}", "output": "out.jsonl"},
            "cannot be written as JSON",
        ),
    ],
)
def test_failing_step_names_step_plugin_and_cause(folder, run_job, parts, message):
    done = run_job(job(**parts))
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert (folder / "model.txt").exists() is bool({"predict"} & set(parts))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "none/file",
            "step {} failed in output none/file.csv\n  FileNotFoundError: none/file.csv cannot",
        ),
        ("site/../folder", "is there, and is no regular file"),
    ],
)
@pytest.mark.parametrize("step", ["predict", "save"])
def test_output_that_cannot_be_written_is_told_before_any_step(
    folder, run_job, name, message, step
):
    (folder / "folder.csv").mkdir()
    text = job().replace("out.csv" if step == "predict" else "model.txt", f"{name}.csv")
    done = run_job(text)
    assert (done.returncode, done.stdout) == (1, "")
    assert message.format(step) in done.stderr
    assert files(folder) == {"job.yaml"}


def test_debug_shows_the_traceback(folder, run):
    (folder / "job.yaml").write_text(job(model="s"))
    assert "Traceback" in run("--debug", "run", "job.yaml").stderr


def test_earlier_output_is_kept_when_a_later_step_fails(folder, run_job):
    done = run_job(unsaveable(job()))
    assert done.returncode == 1
    assert (folder / "out.csv").exists()


def test_model_is_saved_though_the_step_after_its_fit_fails(folder, run_job):
    done = run_job(job(predict=", kwargs: {form: lines}"))
    assert done.returncode == 1
    assert done.stderr.endswith("The model is saved in model.txt\n")
    assert (folder / "model.txt").exists()
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["data", "model", "fit", "save"]
    assert lines[5:] == ["", "save wrote model.txt"]


def test_model_that_cannot_be_saved_after_a_failure_is_told_to_be_lost(folder, run_job):
    done = run_job(unsaveable(job(predict=", kwargs: {form: lines}")))
    assert "step predict failed" in done.stderr
    assert "The model is lost: step save failed" in done.stderr


def test_failed_write_leaves_what_was_there(folder, run_job):
    (folder / "out.csv").write_text("old")
    run_job(job(predict=", kwargs: {form: uneven}"))
    assert (folder / "out.csv").read_text() == "old"
    assert files(folder) == {"job.yaml", "out.csv", "model.txt"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {type: m}\nfitt: {}\n", "job.yaml:2:1: at fitt: unknown key 'fitt'"),
        ("model: {}\n", "key 'type' is missing"),
        ("model: {type: m}\nfit: {data: [x]}\n", "job.yaml:2:14: at fit.data[0]: no data access"),
        ("model: {type: m}\nfit: {data: x}\n", "job.yaml:2:13: at fit.data: no data access"),
        ("model: {type: m, load: f, args: [1]}\n", "args does not belong here"),
        ("model: {type: m}\npredict: {output: x.txt}\n", "'x.txt' cannot be read"),
        ("model: {type: m}\nplugins: {names: [], dney: 1}\n", "job.yaml:2:22: at plugins.dney"),
        ("model: {type: m}\nplugins: none.yaml\n", "none.yaml: cannot be read"),
        ("model: {type: m}\nmodel: {}\n", "job.yaml:2:1: key 'model' stands twice"),
        ("model: {type: m, own: 1}\n", "job.yaml:1:18: at model.own: unknown key 'own'"),
        (
            "model: {type: m}\npredict: {output: a.csv}\nsave: ./a.csv\n",
            "job.yaml:3:7: at save: the model would replace the predictions",
        ),
        ("[" * 3, "is not YAML"),
    ],
)
def test_wrong_job_exits_2_with_its_place(run_job, text, message):
    done = run_job(text)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_broken_plugin_exits_1_and_runs_no_step(folder, run_job, site):
    (site / "broken.py").write_text("raise ValueError('why')")
    done = run_job(job().replace("[job_models]", "[broken]"))
    assert done.returncode == 1
    assert "ValueError: why" in done.stderr
    assert not (folder / "out.csv").exists()


def test_list_imports_nothing(folder, run, site, install, monkeypatch):
    (site / "bad.py").write_text("raise SystemExit")
    install("bad-dist", "2.1", entry_points={"ep": "bad"})
    (folder / "conf.yaml").write_text("names: [job_models]\nentry_points: {deny: [bad-dist]}\n")
    done = run("list", "--format", "json", "--conf", "conf.yaml")
    report = json.loads(done.stdout)
    validate(report, "list")
    rows = {record["name"]: record["state"] for record in report["plugins"]}
    assert rows["job_models"] == "planned"
    assert rows["ep"] == "denied"
    monkeypatch.setenv("AIMM_PLUGINS_CONF", "conf.yaml")
    table = run("list").stdout
    assert "denied by 'bad-dist' (conf.yaml:2)" in table


def test_list_shows_findings_on_stderr(run, site, install):
    install("odd-dist", entry_points={"ep": "mod"}, published={"fit:k": "no function"})
    done = run("list")
    assert done.returncode == 0
    assert "broken-entry-point: odd-dist 1.0" in done.stderr


def test_schema_prints_and_lists(run):
    assert "aimm://job.yaml" in run("schema", "job").stdout
    assert json.loads(run("schema", "job", "--format", "json").stdout)["$id"]
    names = run("schema").stdout.split()
    assert {"job", "plugins", "policy", "report"} <= set(names)
    assert json.loads(run("schema", "--format", "json").stdout) == names == sorted(names)


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
    assert aimm_plugins.__version__ in run("--version").stdout == run("-V").stdout
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


def test_keys_of_the_user_are_left_alone_in_a_job(run_job):
    done = run_job(
        "x-a: 1\nplugins: {names: [job_models], x-b: 1}\n"
        "data: {few: {access: numbers, args: [4], x-c: 1}}\n"
        "model: {type: mean, x-d: 1}\nfit: {data: few, x-e: 1}\npredict: {data: few, x-f: 1}\n"
    )
    assert done.returncode == 0, done.stderr


def test_summary_of_a_failed_job_has_the_steps_that_were_done(run_job):
    text = job(predict=", kwargs: {form: lines}")
    done = run_job(text, "--format", "json")
    answer = json.loads(done.stdout)
    assert [step["step"] for step in answer["steps"]] == ["data few", "model", "fit", "save"]
    assert answer["error"]["step"] == "predict"
    assert "ValueError: first" in answer["error"]["message"]
    assert run_job(text).stdout.splitlines()[-1].startswith("save ")


def test_job_that_fails_at_once_has_no_table(run_job):
    assert run_job(job(data=", kwargs: {kind: none}")).stdout == ""


@pytest.mark.parametrize("form", ["interrupt", "interrupt later"])
def test_interrupt_exits_130_and_leaves_no_file(folder, run_job, form):
    done = run_job(job(predict=f", kwargs: {{form: {form}}}"))
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert files(folder) == {"job.yaml"}


def test_serializer_that_returns_no_bytes_fails(folder, run_job):
    text = unsaveable(job())
    done = run_job(text)
    assert done.returncode == 1
    assert "step save failed in serialize:mean" in done.stderr
    assert "\n  TypeError: serialize returns bytes, and returned int" in done.stderr
    assert files(folder) == {"job.yaml", "out.csv"}


def test_output_keeps_permissions_and_links(folder, run_job):
    (folder / "kept").mkdir()
    target = folder / "kept" / "real.csv"
    target.write_text("old")
    target.chmod(0o640)
    (folder / "out.csv").symlink_to(target)
    assert run_job(job()).returncode == 0
    assert target.read_text().startswith("prediction")
    assert target.stat().st_mode & 0o777 == 0o640
    assert (folder / "out.csv").is_symlink()


def test_device_is_not_replaced(folder, run_job):
    os.mkfifo(folder / "pipe.csv")
    done = run_job(job(output="pipe.csv"))
    assert "is no regular file" in done.stderr
    assert (folder / "pipe.csv").is_fifo()


def test_protected_output_is_not_replaced(folder, run_job, monkeypatch):
    (folder / "out.csv").write_text("old")
    (folder / "out.csv").chmod(0o444)
    if os.access(folder / "out.csv", os.W_OK):
        pytest.skip("this user may write to anything")
    assert "may not be written" in run_job(job()).stderr
    assert (folder / "out.csv").read_text() == "old"


def test_same_named_columns_are_no_json(folder, run_job, site):
    text = MODELS.replace('columns = ["a", "b"]', 'columns = ["a", "a"]')
    (site / "job_models.py").write_text(text)
    more = ", kwargs: {form: frame}"
    assert "columns of the same name" in run_job(job(output="o.jsonl", predict=more)).stderr
    assert run_job(job(predict=more)).returncode == 0
    assert (folder / "out.csv").read_text().startswith("a,a\n")


@pytest.mark.parametrize(
    ("event", "line"),
    [
        ({"phase": "fit", "step": 1, "total": 2, "unit": "epoch"}, "s: 1/2 fit"),
        ({"step": 1.5, "message": "a\n\x1b[31mb"}, r"s: 1.5 a \x1b[31mb"),
        ({"step": True, "total": "x"}, "s:"),
        ({"step": float("nan"), "total": float("inf")}, "s:"),
        ({"step": 10**400, "message": 0}, "s: 0"),
        ({"metrics": {"x": 1 / 3}, 1: None}, "s: x=0.3333 1=None"),
        ({"metrics": 5}, "s:"),
        ([1, 2], "s: [1, 2]"),
        (None, "s: None"),
        ({"own": Unprintable()}, "s: own=<unprintable Unprintable>"),
    ],
)
def test_any_event_is_shown_on_one_line(capsys, event, line):
    with progress() as callbacks:
        callbacks("s")(event)
    assert capsys.readouterr().err == f"{line}\n"


def test_last_event_of_each_step_is_shown(capsys):
    with progress() as callbacks:
        for step in ("one", "two"):
            show = callbacks(step)
            for i in range(50):
                show({"step": i})
    lines = capsys.readouterr().err.splitlines()
    assert {"one: 49", "two: 49"} <= set(lines)
    assert lines.index("one: 49") < lines.index("two: 0")


def test_progress_survives_a_stderr_that_is_gone(monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Gone())
    with progress() as callbacks:
        callbacks("s")({"step": 1})


def test_json_is_ascii_that_no_terminal_obeys(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    print_json(["é", "\ud800", "\x1b\x7f\x9b\u202e"])
    text = stream.buffer.getvalue().decode()
    assert json.loads(text) == ["é", "\ud800", "\x1b\x7f\x9b\u202e"]
    assert text.replace("\n", "").isprintable()


def test_dask_without_the_extra_says_what_to_install(run_job, monkeypatch):
    monkeypatch.delitem(sys.modules, "aimm_plugins.dask", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    done = run_job("model: {type: m}\n", "--dask", "local")
    assert done.returncode == 2
    assert "--dask: aimm_plugins.dask needs distributed: pip install 'aimm-plugins[dask]'" in (
        done.stderr
    )


def test_unexpected_error_is_a_message_and_with_debug_a_traceback(run, monkeypatch):
    # Nothing is known to end here; this is what a defect of ours, or of a library, looks like.
    def broken(*arguments, **options):
        raise RuntimeError("why")

    monkeypatch.setattr(cli.group, "main", broken)
    done = run("list")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: unexpected RuntimeError: why\n")
    assert "Traceback" in run("--debug", "list").stderr


@pytest.mark.parametrize(("code", "status"), [(1, 1), ("text", 1)])
def test_exit_of_the_library_is_a_status(run, monkeypatch, code, status):
    def leave(*arguments, **options):
        raise SystemExit(code)

    monkeypatch.setattr(cli.group, "main", leave)
    assert run("list").returncode == status


def test_write_that_breaks_off_leaves_what_was_there_and_nothing_else(folder, run_job):
    resource = pytest.importorskip("resource")
    (folder / "out.csv").write_text("old")
    (folder / "job.yaml").write_text(job())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5, before[1]))
    try:
        done = run_job(job())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert done.returncode == 1
    assert "step predict failed in output out.csv\n  OSError: [Errno 27]" in done.stderr
    assert (folder / "out.csv").read_text() == "old"
    assert files(folder) == {"job.yaml", "out.csv"}
