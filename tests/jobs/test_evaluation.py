"""The step `evaluate`: figures of predictions, told and drawn."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aimm_plugins import cli
from aimm_plugins._config.json_schema import validate
from aimm_plugins._jobs.predictions import draw, evaluate

MODELS = """
from aimm_plugins import data_access, deserialize, fit, instantiate, predict, serialize

@data_access("given")
def given(values, form="list"):
    forms = {"list": values, "pair": ("features", values), "dict": {"x": 1, "y": values}}
    return forms.get(form, iter(values))

@instantiate("echo")
def make():
    return {}

@predict(["echo"])
def guess(model, values, lazily=False):
    return (value for value in values) if lazily else values

@serialize(["echo"])
def save(model):
    return b"saved"

@deserialize(["echo"])
def load(data):
    return {}
"""

JOB = """
plugins: {{names: [echo_models], entry_points: {{enabled: false}}}}
data:
  guesses: {{access: given, args: [{predicted}]}}
  truth: {{access: given, args: [{true}]{form}}}
model: {{type: echo}}
predict: {{data: guesses, output: out.csv{predict}}}
evaluate: {{data: truth{evaluate}}}
save: model.aimm
"""


def job(predicted: object, true: object, **parts: str) -> str:
    values = {"predicted": json.dumps(predicted), "true": json.dumps(true)}
    return JOB.format(**{"form": "", "predict": "", "evaluate": "", **values, **parts})


@pytest.fixture
def run(site: Path, tmp_path: Path, monkeypatch, capsys):
    """Runs a job in an empty folder; gives status, stdout and stderr."""
    (site / "echo_models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)

    def run(text: str, *arguments: str):
        Path("job.yaml").write_text(text)
        status = cli.run(["run", "job.yaml", *arguments])
        return (status, *capsys.readouterr())

    return run


def test_labels_that_are_right_are_counted_by_class():
    found = evaluate(["a", "a", "b", "c"], ["a", "b", "b", "b"])
    assert str(found) == "2 of 4 right (accuracy 0.500)"
    a, b, c = found.classes
    assert (a.label, a.rows, a.right, a.precision, a.recall) == ("a", 2, 1, 1.0, 0.5)
    assert (b.rows, b.right, b.recall, b.f1) == (1, 1, 1.0, 0.5)
    assert (c.rows, c.right, c.precision, c.recall, c.f1) == (1, 0, 0.0, 0.0, 0.0)
    assert a.taken_for == {"b": 1}


def test_numbers_are_measured_by_their_distance():
    found = evaluate([1.0, 2.0, 3.0], [1.0, 2.0, 6.0])
    assert found.metrics["rmse"] == pytest.approx(3**0.5)
    assert found.metrics["mae"] == pytest.approx(1.0)
    assert found.metrics["r2"] == pytest.approx(1 - 9 / 2)
    assert str(found) == "RMSE 1.732, MAE 1, R2 -3.5, of 3 numbers"


letters = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1)
halves = st.integers(-1000, 1000).map(lambda n: n / 2)
pairs = st.lists(st.tuples(halves, halves), min_size=2, max_size=30)


@pytest.mark.parametrize("kind", ["labels", "numbers"])
def test_figures_are_those_of_scikit_learn(kind):
    metrics = pytest.importorskip("sklearn.metrics")

    @settings(max_examples=50, deadline=None)
    @given(letters if kind == "labels" else pairs)
    def check(rows):
        true, predicted = zip(*rows, strict=True)
        own = evaluate(true, predicted, kind)
        if kind == "labels":
            names = [score.label for score in own.classes]
            expected = metrics.precision_recall_fscore_support(
                true, predicted, labels=names, zero_division=0.0
            )
            for name, figures in zip(("precision", "recall", "f1"), expected, strict=False):
                assert [getattr(score, name) for score in own.classes] == pytest.approx(figures)
            assert own.metrics["accuracy"] == metrics.accuracy_score(true, predicted)
        else:
            expected = {
                "rmse": metrics.mean_squared_error(true, predicted) ** 0.5,
                "mae": metrics.mean_absolute_error(true, predicted),
                "r2": metrics.r2_score(true, predicted),
            }
            assert own.metrics == pytest.approx(expected, rel=1e-6, abs=1e-6)

    check()


@pytest.mark.parametrize(
    ("true", "predicted", "kind"),
    [
        ([1, 2], ["1", "2"], "labels"),
        ([True, False], ["True", "False"], "labels"),
        ([1, 2], [1.0, 2.0], "numbers"),
        ([[1], [2]], {"prediction": [1, 2]}, "labels"),
    ],
)
def test_kind_is_told_by_the_values_and_types_need_not_agree(true, predicted, kind):
    found = evaluate(true, predicted)
    assert found.kind == kind
    assert found.metrics["right" if kind == "labels" else "r2"] in (2, 1.0)


def test_whole_floats_are_labels_where_the_job_says_so():
    assert str(evaluate([0.0, 1.0], [0, 2], "labels")).startswith("1 of 2 right")


def test_classes_stand_in_the_order_of_their_numbers():
    found = evaluate([10, 9, 2], [10, 9, 2])
    assert [score.label for score in found.classes] == ["2", "9", "10"]


@pytest.mark.parametrize(
    ("true", "predicted", "text"),
    [
        ([1], [1, 2], "there are 2 predictions, and 1 true values"),
        ([], [], "no predictions to evaluate"),
        ([1], [[0.2, 0.8]], "prediction 1 has 2 values, and an evaluation needs one a row"),
        ([1.5, float("nan")], [1, 2], "true value 2 is nan"),
        ([1.5], ["much"], "prediction 1 is no number: 'much'"),
    ],
)
def test_values_that_cannot_be_compared_are_named(true, predicted, text):
    with pytest.raises((ValueError, TypeError), match=text.replace("?", "[?]")):
        evaluate(true, predicted)


def test_job_prints_how_many_are_right_and_a_table_of_the_classes(run):
    status, out, err = run(job(["a", "b", "b"], ["a", "a", "b"]))
    assert status == 0, err
    told = out.partition("predict wrote out.csv\nsave wrote model.aimm\n\n")[2]
    assert told.splitlines() == [
        "2 of 3 right (accuracy 0.667)",
        "class  rows  right  precision  recall  f1     taken for",
        "a      2     1      1.000      0.500   0.667  b (1)",
        "b      1     1      0.500      1.000   0.667",
    ]


def test_json_holds_the_evaluation_and_fits_its_schema(run):
    status, out, err = run(job([1.5, 2.5], [1.0, 2.0]), "--format", "json")
    assert status == 0, err
    told = json.loads(out)
    validate(told, "run")
    assert told["evaluation"]["kind"] == "numbers"
    assert told["evaluation"]["metrics"]["mae"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("form", "evaluate"), [(", kwargs: {form: pair}", ""), (", kwargs: {form: dict}", ", item: y")]
)
def test_true_values_are_the_last_of_a_tuple_or_the_item_that_is_named(run, form, evaluate):
    status, out, err = run(job(["a"], ["a"], form=form, evaluate=evaluate))
    assert status == 0, err
    assert "1 of 1 right" in out


def test_dict_without_an_item_names_those_that_it_has(run):
    status, _, err = run(job(["a"], ["a"], form=", kwargs: {form: dict}"))
    assert status == 1
    assert "data truth has the items x, y: say by `item` which is true" in err


@pytest.mark.parametrize(
    ("form", "item", "text"),
    [
        ("dict", "z", "data truth has no item 'z'; it has x, y"),
        ("pair", "7", "data truth has no item 7 (IndexError: tuple index out of range)"),
    ],
)
def test_item_that_is_not_there_is_told_before_the_fit(run, form, item, text):
    form = f", kwargs: {{form: {form}}}"
    status, out, err = run(job(["a"], ["a"], form=form, evaluate=f", item: {item}"))
    assert status == 1
    assert f"step evaluate failed\n  ValueError: {text}" in err
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["data"] * 2


def test_data_that_is_read_once_is_there_for_all_steps_that_name_it(run):
    text = job(["a", "b"], ["a", "b"], form=", kwargs: {form: lazy}")
    status, out, err = run(text.replace("predict: {data: guesses", "predict: {data: truth"))
    assert status == 0, err
    assert "2 of 2 right" in out


def test_predictions_that_are_a_generator_are_written_and_evaluated(run):
    status, out, err = run(job(["a"], ["a"], predict=", kwargs: {lazily: true}"))
    assert status == 0, err
    assert "1 of 1 right" in out
    assert Path("out.csv").read_text() == "prediction\na\n"


def test_model_and_predictions_are_kept_where_the_evaluation_fails(run):
    status, out, err = run(job(["a"], ["a", "b"]))
    assert status == 1
    assert "step evaluate failed\n" in err
    assert "ValueError: there are 1 predictions, and 2 true values" in err
    assert "The model is saved in model.aimm" in err
    assert Path("model.aimm").exists()
    assert "predict wrote out.csv" in out


def test_evaluation_needs_a_prediction(run):
    text = job(["a"], ["a"]).replace("predict: {data: guesses, output: out.csv}\n", "")
    status, _, err = run(text)
    assert status == 2
    assert "job.yaml:7:11: at evaluate: there is no step predict" in err


def test_data_that_is_not_there_is_told_before_anything_runs(run):
    status, _, err = run(job(["a"], ["a"]).replace("data: truth", "data: thruth"))
    assert status == 2
    assert "at evaluate.data: no data access is called 'thruth'" in err


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("plot.gif", "'plot.gif' ends with none of .png, .svg, .pdf"),
        ("model.png", "the job writes 'model.png' too; name another file"),
    ],
)
def test_wrong_name_of_a_plot_is_told_before_anything_runs(run, path, text):
    status, _, err = run(job(["a"], ["a"]).replace("model.aimm", "model.png"), "--plot", path)
    assert status == 2
    assert text in err
    assert not Path("out.csv").exists()


def test_plot_needs_an_evaluation(run):
    text = job(["a"], ["a"]).replace("evaluate: {data: truth}\n", "")
    status, _, err = run(text, "--plot", "plot.png")
    assert status == 2
    assert "the job has no step evaluate" in err


def test_plot_without_matplotlib_says_what_to_install(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, _, err = run(job(["a"], ["a"]), "--plot", "plot.png")
    assert status == 2
    assert "pip install 'aimm-plugins[plot]'" in err
    assert not Path("out.csv").exists()


@pytest.mark.parametrize("values", [["a", "$b", "b_{"], [1.5, 2.5, 3.5]])
def test_plot_is_drawn_and_named(run, values):
    pytest.importorskip("matplotlib")
    status, out, err = run(job(values, values[::-1]), "--plot", "plot.svg")
    assert status == 0, err
    assert "evaluate drew plot.svg" in out
    assert Path("plot.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize(("ending", "begin"), [(".png", b"\x89PNG"), (".pdf", b"%PDF")])
def test_plot_has_the_format_of_its_ending(ending, begin):
    pytest.importorskip("matplotlib")
    many = [str(number) for number in range(40)]
    assert draw(evaluate(many, many), ending).startswith(begin)


@pytest.mark.parametrize(
    ("true", "predicted"),
    [([True, False], [1, 0]), ([1.0, 0.0], [True, False]), ([b"a", b"b"], ["a", "b"])],
)
def test_labels_that_differ_in_type_alone_are_the_same(true, predicted):
    assert evaluate(true, predicted, "labels").metrics["accuracy"] == 1


def test_labels_that_are_truth_values_keep_their_names():
    found = evaluate([True, False], [True, True])
    assert [score.label for score in found.classes] == ["False", "True"]


@pytest.mark.parametrize("kind", [Decimal, Fraction])
def test_fractions_of_any_kind_are_numbers(kind):
    found = evaluate([kind("1.5"), kind("2.5")], [kind("2.5"), kind("2.5")])
    assert (found.kind, found.metrics["mae"]) == ("numbers", 0.5)
