"""What importing each plugin costs: seconds, modules, peak memory, and whose they are.

Each plugin is imported in fresh child processes, one after the other: several measure its time, and
one more, under `python -X importtime`, whose time it is; that option makes imports slower. A child
has imported this package before the clock starts, so a plugin is not charged with it.

Reference: https://docs.python.org/3/using/cmdline.html#cmdoption-X for `-X importtime`.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from types import MappingProxyType
from typing import Any

from aimm_plugins._diagnostics.measured_import import measure_import
from aimm_plugins._startup.admission import Admission
from aimm_plugins._startup.probe import plain_options
from aimm_plugins._system.child import ChildError, Task, run_task
from aimm_plugins._system.masking import masked
from aimm_plugins._values.report import PluginRecord

_LINE = re.compile(rb"import time:\s*(\d+) \|\s*\d+ \| +(\S+)\s*$")
_STDLIB = "(standard library)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """What one top-level package costs a plugin; all that Python brings counts as one."""

    name: str
    seconds: float
    modules: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    record: PluginRecord
    runs: tuple[float, ...] = ()  # the wall time of each in seconds
    modules: int = 0
    # By how much the peak of resident memory grew; `None` where the system keeps no such figure.
    memory_bytes: int | None = None
    # Whose time it is, the most expensive first; slower than the runs, by `-X importtime`.
    dependencies: tuple[Dependency, ...] = ()
    error: str | None = None  # what the import raised, or how it ended otherwise

    @property
    def seconds(self) -> float | None:
        return median(self.runs) if self.runs else None

    @property
    def costliest(self) -> Dependency | None:
        """The dependency that takes most, the plugin's own package aside."""
        own = self.record.module.partition(".")[0]
        others = (dependency for dependency in self.dependencies if dependency.name != own)
        return next(others, None)

    def to_dict(self) -> dict[str, Any]:
        """JSON-serializable, as in `schemas/profile.yaml`."""
        return {
            "name": self.record.name,
            "module": self.record.module,
            "distribution": self.record.distribution,
            "version": self.record.version,
            "seconds": self.seconds,
            "runs": list(self.runs),
            "modules": self.modules,
            "memory_bytes": self.memory_bytes,
            "dependencies": [asdict(dependency) for dependency in self.dependencies],
            "error": self.error,
        }


def profile(
    records: Iterable[PluginRecord],
    admission: Admission,
    *,
    options: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    runs: int = 3,
    timeout: float = 60.0,
    on_import: Callable[[PluginRecord], None] = lambda record: None,
) -> tuple[Cost, ...]:
    """Import each plugin that a host would, in child processes.

    What is denied, missing or of an environment is passed over; each import is judged once more.
    Options that cannot be written as JSON are not given. The start of a child counts as its import.
    """
    costs = []
    for record in records:
        if record.module and not record.environment and record.state not in ("denied", "missing"):
            reason = admission.denial(record)
            if reason is not None:
                costs.append(Cost(record=record, error=reason))
                continue
            on_import(record)
            task = partial(
                measure_import,
                record.module,
                plain_options(options.get(record.module)),
                [tuple(verified) for verified in admission.proofs.verified],
            )
            costs.append(_measured(record, task, runs, timeout))
    return tuple(costs)


def _measured(record: PluginRecord, task: Task, runs: int, timeout: float) -> Cost:
    measured: list[dict[str, Any]] = []
    # Once for nothing: the first run compiles what has no bytecode yet, and fills the disk cache.
    for number in range(runs + 1):
        figures, _ = _run(task, timeout)
        if figures["error"] is not None:
            return Cost(record=record, error=figures["error"])
        if number:
            measured.append(figures)
    detailed, log = _run(task, timeout, ["-X", "importtime"])
    memories = [figures["memory"] for figures in measured if figures["memory"] is not None]
    return Cost(
        record=record,
        runs=tuple(figures["seconds"] for figures in measured),
        modules=len(measured[-1]["modules"]),
        memory_bytes=max(0, int(median(memories))) if memories else None,
        dependencies=tuple(dependencies_in(log, set(detailed.get("modules", ())))),
        error=detailed["error"],
    )


def _run(
    task: Task, timeout: float, flags: Sequence[str] = ()
) -> tuple[dict[str, Any], list[bytes]]:
    """What one child answers, and the lines that it writes."""
    try:
        result = run_task(task, seconds=timeout, flags=flags)
    except ChildError as error:
        return {"error": str(error)}, []
    if not result.answers:
        if result.status is None:
            return {"error": f"its import took more than {timeout:g} seconds"}, []
        return {"error": f"the process that imports it {result.ended}"}, []
    figures = result.answers[0]
    if figures["error"] is not None:
        figures["error"] = masked(figures["error"])
    return figures, result.output.splitlines()


def dependencies_in(lines: Iterable[bytes], brought: Collection[str]) -> list[Dependency]:
    """Each top-level package's own time in lines of `-X importtime`, the most expensive first.

    Of the modules that the import has brought; the lines have those of the child's start too.
    """
    microseconds, modules = Counter[str](), Counter[str]()
    for line in lines:
        match = _LINE.search(line)  # behind what was printed without a line's end
        module = match[2].decode(errors="replace") if match else ""
        if match and module in brought:
            top = module.partition(".")[0]
            name = _STDLIB if top in sys.stdlib_module_names else top
            microseconds[name] += int(match[1])
            modules[name] += 1
    names = sorted(modules, key=lambda name: (-microseconds[name], name))
    return [Dependency(name=n, seconds=microseconds[n] / 1e6, modules=modules[n]) for n in names]
