"""Results as a table for the terminal, as JSON, and as the page with its charts."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.environments import Interpreter
from benchmarks.measuring import Outcome, Section, Unit

HERE = Path(__file__).parent

Results = Sequence[tuple[Section, Sequence[Outcome]]]

_INTRODUCTION = """\
# Benchmarks

This package beside its peers, as ratios measured in turn in one run. From the project's root:

```
python -m benchmarks
```

installs the peers in `.venv-benchmarks` (once), measures everything in a few minutes and prints the
tables. `--section NAME` measures one part, `--list` prints the parts, figures and targets,
`--quick` tries everything within seconds, and `--write` writes this page, `results.json` and the
charts. `tox -e benchmarks` does the same.

## How it is measured

- A figure is a ratio of two costs. Both sides are measured in turn, round after round, every other
  round in the opposite order, and each round has its own ratio, because a slow phase of the machine
  slows down both sides. The tables have the median of the ratios and, in brackets, their quartiles.
  A target is met if the median keeps to it.
- Costs are CPU time, user and system, of the measured process, because wall time would include
  other work of the machine. The page cache is warm; an uncounted round goes first.
- For start-up, each sample is the cheapest of up to five fresh processes, because disturbance only
  adds. "Whole process" is from the start to the end of a process.
- Calls are repeated for some milliseconds in a process of their own; a sample is the cheapest of
  three such blocks, less the loop itself. The processes are replaced every six rounds, so that the
  memory layout of one process does not decide a figure. The garbage collector is off there, and on
  everywhere else.
- This package is installed as a wheel. Generated distributions have METADATA, RECORD and INSTALLER;
  a tenth of them are plugins, a third of the others have a console script.
- A cost that is a difference is formed within each round too, so its spread is wider.

## Targets

A target limits a cost that a user would notice, first beside a library that does the same work (the
original, pluggy, stevedore, catalogue), then beside a floor. Earlier targets that were dropped:

- `initialize` within 1.5 times, and a whole process within 1.3 times, an import of the modules by
  hand: that has no rules, no conflicts and no report, and the modules were empty, which is a
  finding now. The modules declare a key each; stevedore loads the same modules.
- A second `initialize` within 1.2 times the floor of the discovery: it judges and reports each
  plugin as the first one does, by what is installed and in force by then. Who calls it twice
  waits less than for asking the standard library for the entry points, which is its target.
- Discovery within 1.3 times its floor, now 1.6: the difference is 0.4 ms for 100 distributions, and
  the floor became cheaper with the system calls of newer kernels.
- `import aimm_plugins` within 1.3 times pluggy's, now 1.4: the standard library's records, in place
  of classes of our own, take the 3 ms between them.
- One broken plugin within 3 times a sound one: the first failure of a process imports what explains
  failures, once. A hundred of them show what each adds.
- `exec_predict` within 8 times a direct call: a caller who has the function needs no key.
- Ten times the declarations within 12 times the time: `tests/growth` counts bytecodes instead, also
  of `plan`, `refresh`, reports and unloading, because other work of the machine changes no count.
"""


def amount(value: float, unit: Unit) -> str:
    """A cost in a fitting unit."""
    if unit == "bytes":
        return f"{value:,.0f} B"
    for scale, name in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if abs(value) >= scale:
            return f"{value / scale:.3g} {name}"
    return f"{value:.3g} ns"


def _ratio(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


def _row(outcome: Outcome) -> tuple[str, ...]:
    figure, ratio = outcome.figure, outcome.ratio
    limit = f"≤ {figure.target}"
    if ratio is None:
        return figure.name, "", "", absence(outcome), limit, "not measured"
    unit = figure.probes()[0].unit
    return (
        figure.name,
        amount(outcome.subject, unit),
        amount(outcome.reference, unit),
        f"{_ratio(ratio.median)} [{_ratio(ratio.lower)} to {_ratio(ratio.upper)}]",
        limit,
        "met" if outcome.met else "missed",
    )


def absence(outcome: Outcome) -> str:
    """Why a figure was not measured."""
    features = [name for name in outcome.missing if ":" in name]
    peers = [name for name in outcome.missing if ":" not in name]
    reasons = []
    if features:
        names = ", ".join(name.partition(":")[2] for name in features)
        reasons.append(f"not available in this version: {names}")
    if peers:
        reasons.append(f"not installed: {', '.join(peers)}")
    return "; ".join(reasons)


_HEAD = ("what", "cost", "reference", "ratio", "target", "")


def text_table(outcomes: Iterable[Outcome]) -> str:
    """Aligned columns for a terminal."""
    rows = [_HEAD, *map(_row, outcomes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def markdown_table(outcomes: Iterable[Outcome]) -> str:
    """The same as a table of the page."""
    lines = [f"| {' | '.join(_HEAD)} |", f"|{' --- |' * len(_HEAD)}"]
    lines += [f"| {' | '.join(_row(outcome))} |" for outcome in outcomes]
    return "\n".join(lines)


def verdict(results: Results) -> str:
    """How many targets are met."""
    outcomes = [outcome for _, each in results for outcome in each]
    measured = [outcome for outcome in outcomes if outcome.met is not None]
    met = sum(outcome.met is True for outcome in measured)
    text = f"{met} of {len(measured)} targets met."
    if len(measured) < len(outcomes):
        text += f" {len(outcomes) - len(measured)} figures were not measured."
    return text


def machine(interpreter: Interpreter) -> str:
    """What the figures were measured with."""
    peers = ", ".join(f"{name} {version}" for name, version in interpreter.peers.items())
    return (
        f"{platform.python_implementation()} {interpreter.version}, {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} processors; {peers or 'no peers'}."
    )


def document(results: Results, interpreter: Interpreter) -> dict[str, Any]:
    """The results for machines; costs in nanoseconds of CPU time or in bytes."""
    return {
        "python": interpreter.version,
        "system": platform.system(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "peers": dict(interpreter.peers),
        "sections": [
            {
                "name": section.name,
                "title": section.title,
                "figures": [_figure(outcome) for outcome in outcomes],
            }
            for section, outcomes in results
        ],
    }


def _figure(outcome: Outcome) -> dict[str, Any]:
    figure, ratio = outcome.figure, outcome.ratio
    told: dict[str, Any] = {
        "name": figure.name,
        "subject": str(figure.subject.cost),
        "reference": str(figure.reference.cost),
        "target": figure.target.limit,
    }
    if ratio is None:
        return {**told, "not_measured": absence(outcome)}
    return {
        **told,
        "met": outcome.met,
        "ratio": {
            "median": _significant(ratio.median),
            "lower_quartile": _significant(ratio.lower),
            "upper_quartile": _significant(ratio.upper),
        },
        "rounds": outcome.rounds,
        "unit": figure.probes()[0].unit,
        "subject_cost": _significant(outcome.subject),
        "reference_cost": _significant(outcome.reference),
    }


def _significant(value: float) -> float:
    return float(f"{value:.4g}")


def write_json(told: dict[str, Any], file: Path) -> None:
    """Write the results for machines."""
    file.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def page(results: Results, interpreter: Interpreter) -> str:
    """The text of README.md."""
    parts = [_INTRODUCTION, "## Last run\n", f"{machine(interpreter)}\n", f"{verdict(results)}\n"]
    for section, outcomes in results:
        parts.append(f"### {section.title}\n\n{section.text}\n\n{markdown_table(outcomes)}\n")
        if any(outcome.ratio is not None for outcome in outcomes):
            caption = f"{section.title}: ratios as shares of their targets"
            parts.append(f"![{caption}](charts/{section.name}.svg)\n")
    return "\n".join(parts)


def write(
    results: Results, told: dict[str, Any], interpreter: Interpreter, folder: Path = HERE
) -> None:
    """Write README.md, results.json and a chart a section.

    Args:
        results: Of all sections.
        told: The same for machines.
        interpreter: The Python that was measured; it has matplotlib.
        folder: Where to.
    """
    write_json(told, folder / "results.json")
    charts = folder / "charts"
    charts.mkdir(exist_ok=True)
    subprocess.run(
        [
            interpreter.python,
            "-P",
            str(HERE / "charts.py"),
            str(folder / "results.json"),
            str(charts),
        ],
        check=True,
    )
    (folder / "README.md").write_text(page(results, interpreter), encoding="utf-8")
