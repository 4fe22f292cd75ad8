"""The benchmarks' arithmetic, what they declare, and that all of them run."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import main, sections
from benchmarks.environments import Interpreter, Site
from benchmarks.measuring import (
    Constant,
    Cost,
    Figure,
    MeasurementError,
    Probe,
    Sampler,
    Series,
    Spread,
    Target,
    measure,
    paired,
    spread,
)
from benchmarks.report import absence, amount, document, markdown_table, page

ROOT = Path(__file__).resolve().parent.parent
FIGURES = [
    (section.name, figure) for section in sections(quick=False) for figure in section.figures
]


def probe(name: str, *needs: str) -> Constant:
    return Constant(name=name, value=0, counts="ns", needs=needs)


def figure(subject: Cost | Probe, reference: Cost | Probe, limit: float = 1.0) -> Figure:
    return Figure(name="a figure", subject=subject, reference=reference, target=Target(limit))


def measured(one: Figure, *rounds: dict[str, float], available: tuple[str, ...] = ()):
    """The outcome of a figure whose probes cost what the rounds say, by name."""

    def sample(wanted: Probe, number: int) -> float:
        return 1e9 if number < 0 else rounds[number][wanted.name]

    return measure(Series((one,), len(rounds)), sample, available)[0]


def test_spread_is_median_and_quartiles():
    assert spread([5.0, 1.0, 3.0, 2.0, 4.0]) == Spread(median=3.0, lower=2.0, upper=4.0)


def test_spread_of_one_value_is_that_value():
    assert spread([0.5]) == Spread(0.5, 0.5, 0.5)


def test_ratio_is_formed_pair_by_pair():
    """The machine is ten times slower in the second round; the ratio of sums would be 1.17."""
    assert paired([2.0, 10.0, 2.0], [1.0, 10.0, 1.0]).median == 2.0


def test_pairs_of_unequal_number_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        paired([1.0, 2.0], [1.0])


def test_costs_add_up_with_their_weights():
    one, two, three = probe("one"), probe("two"), probe("three")
    cost = 0.5 * (one + two) - three
    assert cost.of({one: 10.0, two: 4.0, three: 3.0}) == 4.0
    assert str(cost) == "0.5 * one + 0.5 * two - three"


def test_round_that_goes_before_does_not_count():
    outcome = measured(figure(probe("a"), probe("b")), {"a": 3.0, "b": 2.0})
    assert (outcome.ratio, outcome.rounds) == (Spread(1.5, 1.5, 1.5), 1)


def test_every_other_round_runs_in_the_opposite_order():
    seen: list[tuple[int, str]] = []

    def sample(wanted: Probe, number: int) -> float:
        seen.append((number, wanted.name))
        return 1.0

    measure(Series((figure(probe("a"), probe("b")),), 2), sample, ())
    assert seen[2:] == [(0, "a"), (0, "b"), (1, "b"), (1, "a")]


def test_probe_of_two_figures_runs_once_a_round():
    seen: list[str] = []

    def sample(wanted: Probe, number: int) -> float:
        seen.append(wanted.name)
        return 1.0

    shared = probe("shared")
    figures = (figure(shared, probe("b")), figure(shared, probe("c")))
    measure(Series(figures, 3), sample, ())
    assert seen.count("shared") == 4


@pytest.mark.parametrize(("limit", "met"), [(1.5, True), (1.4, False)])
def test_target_is_met_by_a_median_that_keeps_to_it(limit, met):
    outcome = measured(figure(probe("a"), probe("b"), limit), {"a": 3.0, "b": 2.0})
    assert outcome.met is met


def test_figure_whose_feature_is_absent_is_not_measured():
    outcome = measured(figure(probe("a", "aimm_plugins:reporting"), probe("b", "plux")))
    assert outcome.met is None
    assert absence(outcome) == "not available in this version: reporting; not installed: plux"


def test_failing_probe_tells_its_command_and_its_error(tmp_path):
    from benchmarks.measuring import Fresh

    here = Interpreter(python=sys.executable, cache=tmp_path, version="", peers={}, features=())
    failing = Fresh(name="failing", arguments=("-c", "raise SystemExit('no luck')"))
    with pytest.raises(MeasurementError, match=r"failing: .*\n.*no luck"):
        Sampler(here)(failing, 0)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (25.51, "ns", "25.5 ns"),
        (1930.0, "ns", "1.93 µs"),
        (1.2e7, "ns", "12 ms"),
        (2e9, "ns", "2 s"),
        (1055.2, "bytes", "1,055 B"),
    ],
)
def test_amounts_have_a_fitting_unit(value, unit, text):
    assert amount(value, unit) == text


@pytest.mark.parametrize(
    ("section", "declared"), FIGURES, ids=[f"{name}-{each.name}" for name, each in FIGURES]
)
def test_every_figure_has_a_target(section, declared):
    assert declared.target.limit > 0


def test_names_tell_figures_and_probes_apart():
    for section in sections(quick=False):
        names = [each.name for each in section.figures]
        assert len(set(names)) == len(names)
        probes = {each for figure in section.figures for each in figure.probes()}
        assert len({each.name for each in probes}) == len(probes)


def test_both_sides_of_a_figure_count_the_same():
    for _, each in FIGURES:
        assert len({probe.unit for probe in each.probes()}) == 1


def test_site_has_the_distributions_and_plugins_that_it_tells(tmp_path):
    from importlib.metadata import distributions

    folder = Site(distributions=10, plugins=2, broken=1).make(tmp_path)
    found = list(distributions(path=[str(folder)]))
    ours = [each for dist in found for each in dist.entry_points if each.group == "aimm.plugins"]
    assert len(found) == 11
    assert sorted(each.value for each in ours) == [
        "bench_broken_00000",
        "bench_plugin_00000",
        "bench_plugin_00001",
    ]


def test_page_shows_every_figure_with_target_and_verdict():
    section = sections(quick=False)[0]
    outcomes = [
        measured(each, dict(zip((p.name for p in each.probes()), itertools.count(1), strict=False)))
        for each in section.figures
    ]
    here = Interpreter(python="", cache=Path(), version="3.11.7", peers={}, features=())
    text = page([(section, outcomes)], here)
    assert markdown_table(outcomes) in text
    assert all(f"| {each.name} |" in text for each in section.figures)
    assert "charts/import.svg" in text
    json.dumps(document([(section, outcomes)], here))


def test_list_tells_sections_figures_and_targets(capsys):
    assert main(["--list", "--section", "lazy"]) == 0
    assert capsys.readouterr().out == (
        "lazy\n  lazy by hand: at most 1.5\n  lazy by eager: at most 0.075 (1.5 of 20)\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [["--section", "dispach"], ["--write", "--quick"], ["--write", "--section", "lazy"]],
)
def test_wrong_use_exits_with_two(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


@pytest.mark.benchmarks
def test_quick_run_measures_all_that_needs_no_peer(tmp_path):
    file = tmp_path / "results.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--json", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(file.read_text(encoding="utf-8"))
    assert [each["name"] for each in told["sections"]] == [
        each.name for each in sections(quick=True)
    ]
    absent = [
        each["not_measured"]
        for section in told["sections"]
        for each in section["figures"]
        if "ratio" not in each
    ]
    assert all(each.startswith(("not installed: ", "not available in ")) for each in absent)
