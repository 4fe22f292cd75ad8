"""Probes, figures and the measurement in pairs.

A figure is the ratio of two costs. Both are measured in turn, round after round, and the ratio is
formed within each round: a machine that slows down for a while slows down both sides of a pair.
Costs are CPU time, user and system, of one process: what other programs do meanwhile counts less
than in wall time.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.environments import PROBES, Interpreter, Site, environ

Unit = Literal["ns", "bytes"]


class MeasurementError(Exception):
    """A probe failed; the message holds its command and what it said."""


@dataclass(frozen=True, slots=True)
class Cost:
    """A sum of probes, each with a weight.

    Attributes:
        terms: Weight and probe, in the order of the formula.
    """

    terms: tuple[tuple[float, Probe], ...]

    def __add__(self, other: Cost | Probe) -> Cost:
        return Cost(self.terms + other.cost.terms)

    def __sub__(self, other: Cost | Probe) -> Cost:
        return self + -1 * other.cost

    def __rmul__(self, weight: float) -> Cost:
        return Cost(tuple((weight * each, probe) for each, probe in self.terms))

    @property
    def cost(self) -> Cost:
        """Itself, so that sums take probes and costs alike."""
        return self

    def of(self, samples: Mapping[Probe, float]) -> float:
        """The sum over one round's samples."""
        return sum(weight * samples[probe] for weight, probe in self.terms)

    def __str__(self) -> str:
        text = ""
        for weight, probe in self.terms:
            sign = "- " if weight < 0 else "+ " if text else ""
            factor = "" if abs(weight) == 1 else f"{abs(weight):g} * "
            text += f"{' ' if text else ''}{sign}{factor}{probe.name}"
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Something whose cost can be sampled.

    Attributes:
        name: For the table; two probes of one name are the same thing.
        needs: Peers (`"stevedore"`) and features (`"aimm_plugins:reporting"`) without which it
            cannot run.
    """

    name: str
    needs: tuple[str, ...] = ()

    @property
    def cost(self) -> Cost:
        """The probe as a sum of one."""
        return Cost(((1, self),))

    @property
    def unit(self) -> Unit:
        """What a sample counts."""
        return "ns"

    def __add__(self, other: Cost | Probe) -> Cost:
        return self.cost + other

    def __sub__(self, other: Cost | Probe) -> Cost:
        return self.cost - other

    def __rmul__(self, weight: float) -> Cost:
        return weight * self.cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh(Probe):
    """A fresh interpreter, once a sample.

    Attributes:
        arguments: After the interpreter's own: `("-c", code)` or a script and its arguments.
        site: Generated distributions, first on the path.
        whole: Count the whole process, from its start to its end, rather than the number that
            the script prints.
        best_of: Runs a sample; the cheapest counts, since disturbance only ever adds.
        counts: What the printed number counts.
    """

    arguments: tuple[str, ...]
    site: Site | None = None
    whole: bool = False
    best_of: int = 1
    counts: Unit = "ns"

    @property
    def unit(self) -> Unit:
        """What a sample counts."""
        return self.counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop(Probe):
    """A statement repeated in a process that lives for several rounds.

    Attributes:
        setup: Which function of the script makes the names that the statement uses. Probes of one
            setup share a process.
        statement: What is timed; the loop around it is measured apart and taken off.
        awaits: Whether the statement holds an `await`.
        script: Which one of `probes` is that process.
    """

    setup: str
    statement: str
    awaits: bool = False
    script: str = "calls.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant(Probe):
    """A fixed amount, for targets that are absolute.

    Attributes:
        value: The amount.
        counts: What it counts.
    """

    value: float
    counts: Unit

    @property
    def unit(self) -> Unit:
        """What a sample counts."""
        return self.counts


@dataclass(frozen=True, slots=True)
class Target:
    """The ratio that a figure must not exceed.

    Attributes:
        limit: The highest ratio that meets it.
        note: Where the number comes from, if it is not round.
    """

    limit: float
    note: str = ""

    def __str__(self) -> str:
        return f"{self.limit:g} ({self.note})" if self.note else f"{self.limit:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of a table: subject : reference, and what the ratio must not exceed.

    Attributes:
        name: What is compared, in a few words; unique in its section.
        subject: What is judged.
        reference: What it is judged by.
        target: The limit.
    """

    name: str
    subject: Cost | Probe
    reference: Cost | Probe
    target: Target

    def probes(self) -> list[Probe]:
        """All that must be sampled for it."""
        return [probe for side in (self.subject, self.reference) for _, probe in side.cost.terms]

    def missing(self, available: Iterable[str]) -> list[str]:
        """What it needs and is not there, sorted."""
        needed = {need for probe in self.probes() for need in probe.needs}
        return sorted(needed - set(available))


@dataclass(frozen=True, slots=True)
class Series:
    """Figures that are measured in the same rounds.

    Attributes:
        figures: In the order of the table.
        rounds: How often each probe is sampled.
    """

    figures: tuple[Figure, ...]
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Figures about one part of the package: a table and a chart.

    Attributes:
        name: For the command line, and of the chart's file.
        title: For people.
        text: What is measured, and what it is compared with.
        series: The figures.
    """

    name: str
    title: str
    text: str
    series: tuple[Series, ...]

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures, in the order of the table."""
        return tuple(figure for each in self.series for figure in each.figures)


@dataclass(frozen=True, slots=True)
class Spread:
    """A sample's middle and where its inner half lies."""

    median: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a figure.

    Attributes:
        figure: The figure.
        ratio: Of the pairs; `None` if it was not measured.
        subject: Median cost, in the unit of its probes.
        reference: Median cost.
        rounds: Number of pairs.
        missing: Why it was not measured.
    """

    figure: Figure
    ratio: Spread | None = None
    subject: float = 0.0
    reference: float = 0.0
    rounds: int = 0
    missing: tuple[str, ...] = ()

    @property
    def met(self) -> bool | None:
        """Whether the median ratio keeps to the target; `None` if it was not measured."""
        return None if self.ratio is None else self.ratio.median <= self.figure.target.limit


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles; a single value is all three."""
    if len(values) < 2:
        return Spread(values[0], values[0], values[0])
    lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, lower, upper)


def paired(subject: Sequence[float], reference: Sequence[float]) -> Spread:
    """The ratio pair by pair, then its spread.

    Args:
        subject: One cost a round.
        reference: As many, of the same rounds.

    Returns:
        The spread of `subject[i] / reference[i]`.
    """
    return spread([ours / theirs for ours, theirs in zip(subject, reference, strict=True)])


def measure(
    series: Series, sample: Callable[[Probe, int], float], available: Iterable[str]
) -> list[Outcome]:
    """Sample all probes of a series in turn, and form the ratios.

    Every round runs each probe once, every other round in the opposite order, so that neither
    side of a pair always comes first. A round more goes before, whose numbers are dropped.

    Args:
        series: The figures and the number of rounds.
        sample: Gives the cost of a probe in a round, which is -1 for the dropped one.
        available: The peers and features that are there.

    Returns:
        An outcome a figure, in their order.

    Raises:
        MeasurementError: A probe failed.
    """
    there = set(available)
    wanted = [figure for figure in series.figures if not figure.missing(there)]
    probes = list(dict.fromkeys(probe for figure in wanted for probe in figure.probes()))
    for probe in probes:
        sample(probe, -1)
    taken: list[dict[Probe, float]] = []
    for number in range(series.rounds if probes else 0):
        order = probes if number % 2 == 0 else probes[::-1]
        taken.append({probe: sample(probe, number) for probe in order})
    outcomes = []
    for figure in series.figures:
        if figure not in wanted:
            outcomes.append(Outcome(figure=figure, missing=tuple(figure.missing(there))))
            continue
        subject = [figure.subject.cost.of(each) for each in taken]
        reference = [figure.reference.cost.of(each) for each in taken]
        outcomes.append(
            Outcome(
                figure=figure,
                ratio=paired(subject, reference),
                subject=statistics.median(subject),
                reference=statistics.median(reference),
                rounds=len(taken),
            )
        )
    return outcomes


@dataclass(slots=True)
class Sampler:
    """Runs probes with one interpreter.

    Attributes:
        interpreter: Whose processes are measured.
        pause: Rounds after which long-lived processes are replaced, so that the luck of one
            process's memory layout does not decide a figure.
        milliseconds: Length of one timed block of a loop.
        most: Bound on `best_of`.
    """

    interpreter: Interpreter
    pause: int = 6
    milliseconds: float = 4.0
    most: int = 5
    _workers: dict[str, _Worker] = field(default_factory=dict)
    _sites: dict[Site, Path] = field(default_factory=dict)

    def __call__(self, probe: Probe, number: int) -> float:
        """The cost of one probe in one round."""
        match probe:
            case Fresh():
                return min(self._fresh(probe) for _ in range(min(probe.best_of, self.most)))
            case Loop():
                if number > 0 and number % self.pause == 0:
                    self._retire(number)
                return self._worker(probe, number).sample(probe, self.milliseconds)
            case Constant():
                return probe.value
            case _:
                raise TypeError(f"no way to sample {type(probe).__name__}")

    def close(self) -> None:
        """End the processes that live for several rounds."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()

    def _retire(self, number: int) -> None:
        for setup, worker in list(self._workers.items()):
            if worker.born != number:
                worker.close()
                del self._workers[setup]

    def _worker(self, probe: Loop, number: int) -> _Worker:
        if probe.setup not in self._workers:
            command = [self.interpreter.python, "-P", str(PROBES / probe.script), probe.setup]
            self._workers[probe.setup] = _Worker(command, environ(self.interpreter.cache), number)
        return self._workers[probe.setup]

    def _site(self, site: Site) -> Path:
        if site not in self._sites:
            self._sites[site] = site.make(self.interpreter.cache / "sites")
        return self._sites[site]

    def _fresh(self, probe: Fresh) -> float:
        command = [self.interpreter.python, "-P", *probe.arguments]
        variables = environ(self.interpreter.cache)
        if probe.site is not None:
            variables["PYTHONPATH"] = str(self._site(probe.site))
        process = subprocess.Popen(
            command,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None and process.stderr is not None
        with process.stdout, process.stderr:
            printed, said = process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise MeasurementError(f"{probe.name}: {' '.join(command)}\n{said}")
        if probe.whole:
            return (usage.ru_utime + usage.ru_stime) * 1e9
        return float(printed)


class _Worker:
    """A process of one of the scripts in `probes`.

    Args:
        command: Starts it.
        environ: Its environment.
        born: Round in which it was started.
    """

    def __init__(self, command: list[str], environ: Mapping[str, str], born: int) -> None:
        self.born = born
        self._command = command
        self._process = subprocess.Popen(
            command,
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def sample(self, probe: Loop, milliseconds: float) -> float:
        """Nanoseconds a run of the statement."""
        assert self._process.stdin is not None and self._process.stdout is not None
        request = {
            "statement": probe.statement,
            "awaits": probe.awaits,
            "milliseconds": milliseconds,
        }
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            answer = ""
        else:
            answer = self._process.stdout.readline()
        if not answer:
            _, said = self._process.communicate()
            raise MeasurementError(f"{probe.name}: {' '.join(self._command)}\n{said}")
        return float(answer)

    def close(self) -> None:
        """Have it end, and wait for it."""
        self._process.communicate()
