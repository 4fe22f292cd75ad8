"""The checks: the plugin that is in order passes all, each seeded bug is caught."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from aimm_plugins.testing import Conformance, arguments, check_plugin, checks
from tests.seeded.variants import DATA, MODEL, VARIANTS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "testing.md"


REMEDIES = {
    "makes an unfitted instance of garbage": "\n  To do: raise ValueError where what was read lacks",
    "ends the process on garbage": "\n  To do: catch SystemExit in deserialize, and raise ValueError",
    "crashes the interpreter on garbage": "\n  To do: write a checksum before what serialize gives",
}


@pytest.mark.parametrize("number", range(len(VARIANTS)), ids=lambda n: VARIANTS[n].wrong)
def test_seeded_bug_is_caught_by_the_check_that_is_meant_for_it(seeded, number):
    variant = VARIANTS[number]
    verdict = check_plugin(
        variant.conformance(f"seeded_{number}"), only=[variant.check], on_fail="report"
    )
    (result,) = verdict.results
    assert result.status == "failed", str(result)
    assert REMEDIES.get(variant.wrong, "") in result.reason


@pytest.fixture(scope="module")
def in_order(seeded):
    return check_plugin(
        replace(MODEL, plugin="line"), replace(DATA, plugin="line"), on_fail="report"
    )


def test_plugin_that_is_in_order_passes_all_checks(in_order):
    assert in_order.ok, str(in_order)
    skipped = {each.check for each in in_order.results if each.status == "skipped"}
    assert skipped <= {
        "keys-are-as-published",
        "entry-points-resolve",
        "options-have-a-sound-schema",
    }


def test_every_check_has_a_bug_that_it_catches():
    assert REMEDIES.keys() <= {each.wrong for each in VARIANTS}
    assert {each.check for each in VARIANTS} == {each.name for each in checks()}


# What is in order, though it looks otherwise


def test_instance_that_cannot_be_changed_may_be_one_object(write):
    write(
        nothing="@instantiate('m')\ndef make(): pass\n"
        "@fit(['m'])\ndef learn(model, x): return sum(x)\n"
        "@predict(['m'])\ndef guess(model): return (model, 1)\n",
        pair="@instantiate('m')\ndef make(): return (0.0, 0)\n"
        "@fit(['m'])\ndef learn(model, x): return (model[0] + sum(x), model[1] + len(x))\n"
        "@predict(['m'], returns_instance=True)\n"
        "def guess(model): return (model[0] + 1, model[1] + 1), model[0] / model[1]\n",
    )
    for module in ("nothing", "pair"):
        conformance = Conformance(
            model_type="m", plugin=module, fit=lambda variant: arguments([1.0, variant])
        )
        only = [each.name for each in checks() if "model" in each.kinds and not each.child]
        assert check_plugin(conformance, only=only).ok


def test_predictor_may_give_none_where_it_says_so(write):
    write(
        mute="@instantiate('m')\ndef make(): return []\n"
        "@fit(['m'])\ndef learn(model): return model\n"
        "@predict(['m'])\ndef guess(model) -> int | None: return None\n"
    )
    conformance = Conformance(model_type="m", plugin="mute")
    assert check_plugin(conformance, only=["fit-gives-a-predictor"]).ok


@pytest.mark.parametrize(
    ("source", "is_in_order"),
    [
        ("Rows = dataclass(frozen=True)(Rows)\nROWS = Rows((1, 2))\ndef rows(): return ROWS", True),
        ("ROWS = Rows()\nROWS.x = [1]\ndef rows(): return ROWS", False),
        ("ROWS = numpy.arange(3.0)\ndef rows(): return {'x': ROWS[:2]}", False),
        ("ROWS = numpy.arange(3.0)\ndef rows(): return {'x': ROWS[:2].copy()}", True),
        ("ROWS = numpy.arange(3.0)\nROWS.flags.writeable = False\ndef rows(): return ROWS", True),
    ],
)
def test_data_may_be_shared_where_nobody_can_change_it(write, source, is_in_order):
    pytest.importorskip("numpy")
    head = "import numpy\nfrom dataclasses import dataclass\nclass Rows:\n    x: tuple\n"
    write(shared=f"{head}{source}\ndata_access('rows')(rows)\n")
    conformance = Conformance(data_access="rows", plugin="shared")
    verdict = check_plugin(conformance, only=["results-are-separate"], on_fail="report")
    assert verdict.ok is is_in_order


def test_data_that_is_read_once_is_compared_and_no_host_can_send_it_on(write):
    write(once="@data_access('rows')\ndef rows(): return iter([1, 2])\n")
    conformance = Conformance(
        data_access="rows", plugin="once", claims=["deterministic", "distributable"]
    )
    only = [each.name for each in checks() if "data" in each.kinds]
    verdict = check_plugin(conformance, only=only, on_fail="report")
    assert verdict.ok, str(verdict)
    write(lazy="@data_access('lazy')\ndef rows(): return (i for i in range(2))\n")
    conformance = Conformance(data_access="lazy", plugin="lazy", claims=["distributable"])
    verdict = check_plugin(conformance, only=only, on_fail="report")
    assert [each.check for each in verdict.failures] == ["results-can-be-pickled"]


def test_bytes_that_are_a_pickle_are_said_to_be_one(write):
    write(
        pickling="import pickle\n@instantiate('m')\ndef make(): return []\n"
        "@fit(['m'])\ndef learn(model): return model\n"
        "@predict(['m'])\ndef guess(model): return 1\n"
        "@serialize(['m'])\ndef save(model): return pickle.dumps(model)\n"
        "@deserialize(['m'])\ndef load(content): return pickle.loads(content)\n"
    )
    conformance = Conformance(model_type="m", plugin="pickling")
    (result,) = check_plugin(conformance, only=["serialize-gives-bytes"]).results
    assert "a pickle" in result.notes[0]


def test_model_that_does_not_work_is_told_once(seeded):
    (number, *_) = (
        n for n, variant in enumerate(VARIANTS) if variant.wrong == "fit returns nothing"
    )
    conformance = VARIANTS[number].conformance(f"seeded_{number}")
    only = ["fit-gives-a-predictor", "fit-again-gives-a-predictor", "round-trip", "import-succeeds"]
    verdict = check_plugin(conformance, only=only, on_fail="report")
    assert [each.check for each in verdict.results] == ["import-succeeds", "fit-gives-a-predictor"]


def test_docstring_of_a_partial_is_its_own(write):
    write(
        partly="from functools import partial\ndef rows(n):\n    'Rows.'\n"
        "data_access('rows')(partial(rows, 3))\n"
        "told = partial(rows, 3)\ntold.__doc__ = 'Three rows.'\ndata_access('told')(told)\n"
    )
    verdict = check_plugin("partly", only=["docstrings-are-there"], on_fail="report")
    (result,) = verdict.failures
    assert result.reason.count("partly.py:6") == 1
    assert "partly.py:9" not in result.reason


# Imports


def test_what_an_import_here_left_in_the_environment_is_seen_all_the_same(write, monkeypatch):
    monkeypatch.delenv("NOISY", raising=False)
    write(
        noisy="import os\nos.environ.setdefault('NOISY', '1')\n@data_access('n')\ndef f(): return 1"
    )
    import noisy  # noqa: F401  # as the tests of most plugins do

    assert os.environ["NOISY"] == "1"
    with pytest.raises(AssertionError, match="set NOISY"):
        check_plugin("noisy", only=["import-leaves-environment"])


@pytest.mark.parametrize(
    "change",
    [
        "import multiprocessing\nmultiprocessing.set_start_method('spawn')",
        "import socket\nsocket.setdefaulttimeout(5)",
        "import locale\nlocale.setlocale(locale.LC_NUMERIC, 'C.UTF-8')",
        "import numpy\nnumpy.random.seed(0)",
    ],
)
def test_what_the_plugin_is_the_first_to_import_is_no_less_changed(write, change):
    """A plugin that imports them alone passes."""
    module = change.split()[1].partition("\n")[0]
    pytest.importorskip(module)
    write(loud=f"{change}\n@data_access('l')\ndef f(): return 1", quiet=f"import {module}")
    only = ["import-leaves-globals"]
    assert check_plugin("quiet", only=only).ok
    with pytest.raises(AssertionError, match=r"globals: the .* changed"):
        check_plugin("loud", only=only)


def test_import_that_needs_what_the_tests_set_is_checked_with_it(write, monkeypatch):
    monkeypatch.setenv("NEEDED", "1")
    write(needy="import os\nos.environ['NEEDED']\n@data_access('n')\ndef f(): return 1")
    assert check_plugin("needy", only=["import-succeeds"]).ok


def test_what_a_dependency_does_at_import_is_not_the_plugins(write):
    write(
        noisy="import os, warnings\nos.environ['NOISY'] = '1'\nwarnings.simplefilter('ignore')",
        quiet="import importlib, noisy\n@data_access('quiet')\ndef f(): return 1",
        loud="import noisy\nimport warnings\nwarnings.simplefilter('always')",
    )
    only = ["import-leaves-environment", "import-leaves-warnings"]
    assert check_plugin("quiet", only=only).counts["passed"] == 2
    verdict = check_plugin("loud", only=only, on_fail="report")
    assert [each.check for each in verdict.failures] == ["import-leaves-warnings"]


def test_what_its_neighbour_in_a_namespace_does_at_import_is_not_the_plugins(write):
    noisy = "import os\nos.environ['NOISY_{}'] = '1'"
    write(
        space__core=noisy.format("CORE"),
        space__other=noisy.format("OTHER"),
        space__plugin="import space.core\nfrom . import other\n@data_access('q')\ndef f(): return 1",
        space__loud____init__=noisy.format("CORE") + "\n@data_access('l')\ndef f(): return 1",
    )
    only = ["import-leaves-environment"]
    assert check_plugin("space.plugin", only=only).ok
    assert not check_plugin("space.loud", only=only, on_fail="report").ok


# The page


SUBJECTS = {
    ("plugin",): "the plugin",
    ("model",): "a model",
    ("data",): "a data access",
    ("model", "data"): "both",
}


def tables() -> str:
    """The tables of the page: what each check is for, by what it looks at."""
    lines = []
    for kinds, subject in SUBJECTS.items():
        lines += [f"| check of {subject} | what holds |", "| --- | --- |"]
        for each in checks():
            if tuple(each.kinds) == kinds:
                claim = f"`{each.claim}`: " if each.claim else ""
                lines.append(f"| `{each.name}` | {claim}{each.summary} |")
        lines.append("")
    return "\n".join(lines)


def test_page_has_the_tables_of_checks():
    begin, end = "<!-- tables -->\n", "<!-- end of tables -->\n"
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = text.partition(begin)
    shown, _, tail = rest.partition(end)
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(head + begin + tables() + end + tail, encoding="utf-8")
    else:
        assert shown == tables()
