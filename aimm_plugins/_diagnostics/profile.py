"""What importing each plugin costs: seconds, modules, peak memory, and whose they are.

Each plugin is imported in fresh child processes, one after the other: some for its time, and one
more under `python -X importtime`, which makes imports slower, for whose time it is. A child has
imported this package and what its host certainly has before the clock starts, so that a plugin is
not charged with what is there anyway.

References:
    https://docs.python.org/3/using/cmdline.html#cmdoption-X for `-X importtime`;
    the Trace Event Format of Chromium, which Perfetto and chrome://tracing open.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from types import MappingProxyType
from typing import Any

from aimm_plugins._loading.probe import as_json, end_with_children
from aimm_plugins._values.report import PluginRecord

_CHILD = """\
import json, os, sys
job = json.loads(sys.stdin.buffer.read())
import time
sys.path[:] = job["path"]
sys.argv[:] = [""]
import aimm_plugins
if job["options"] is not None:
    from aimm_plugins._startup.plugin_options import give
    give(job["module"], job["options"])
def peak():
    # Not ru_maxrss on Linux: a child begins with the peak of the process that made it.
    try:
        with open("/proc/self/status") as stream:
            for line in stream:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return None
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024
clock = time.perf_counter
before, memory = set(sys.modules), peak()
error = None
if job["marks"]:
    os.write(2, b"\\n" + job["marks"].encode() + b"\\n")
begin = clock()
try:
    # Not importlib.import_module: -X importtime has no line for what that imports.
    __import__(job["module"])
except BaseException as caught:
    error = caught
seconds = clock() - begin
if job["marks"]:
    os.write(2, b"\\n" + job["marks"].encode() + b"\\n")
after = peak()
told = {
    "seconds": seconds,
    "modules": len(set(sys.modules) - before),
    "memory": None if after is None or memory is None else after - memory,
    "error": None,
}
if error is not None:
    try:
        text = str(error)
    except BaseException:
        text = "<unprintable>"
    told["error"] = f"{type(error).__name__}: {text[:10000]}"
with open(job["answer"], "w", encoding="utf-8", errors="backslashreplace") as stream:
    json.dump(told, stream)
os._exit(0)
"""

_LINE = re.compile(rb"import time:\s*(\d+) \|\s*(\d+) \|( +)(\S+)\s*$")
_STDLIB = "(standard library)"


@dataclass(slots=True)
class Import:
    """One module's import, with those within it.

    Attributes:
        name: The module.
        microseconds: Wall time with all that it imported.
        own: Wall time without.
        inner: What it imported, in order.
    """

    name: str
    microseconds: int
    own: int
    inner: list[Import] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """What one top-level package costs a plugin.

    Attributes:
        name: Top-level name; `(standard library)` for all that Python brings.
        seconds: Wall time that its own modules took.
        modules: How many of its modules were imported.
    """

    name: str
    seconds: float
    modules: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What importing one plugin costs.

    Attributes:
        record: The plugin.
        runs: Wall time of each run in seconds, in order.
        modules: How many modules came into the process.
        memory_bytes: By how much the peak of resident memory grew; `None` where the system does
            not tell.
        dependencies: Whose time it is, the most expensive first; slower than `runs` as a whole,
            since it is measured under `-X importtime`.
        imports: The imports as they are nested.
        error: What the import raised, or how it ended otherwise.
    """

    record: PluginRecord
    runs: tuple[float, ...] = ()
    modules: int = 0
    memory_bytes: int | None = None
    dependencies: tuple[Dependency, ...] = ()
    imports: tuple[Import, ...] = ()
    error: str | None = None

    @property
    def seconds(self) -> float | None:
        """The median of the runs."""
        return median(self.runs) if self.runs else None

    @property
    def costliest(self) -> Dependency | None:
        """The dependency that takes most, the plugin's own package aside."""
        own = self.record.module.partition(".")[0]
        return next((each for each in self.dependencies if each.name != own), None)

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
            "dependencies": [
                {"name": each.name, "seconds": each.seconds, "modules": each.modules}
                for each in self.dependencies
            ],
            "error": self.error,
        }


def profile(
    records: Iterable[PluginRecord],
    *,
    options: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    runs: int = 3,
    timeout: float = 60.0,
    tell: Callable[[PluginRecord], None] = lambda record: None,
) -> tuple[Cost, ...]:
    """Import each plugin that a host would, in child processes.

    Args:
        records: The plan; what is denied or missing is passed over.
        options: What plugins are given, by module; what cannot be written as JSON is not.
        runs: How often each is imported for its time, at least once.
        timeout: Seconds that one import may take, start of the child included.
        tell: Called with each plugin before it is imported.
    """
    costs = []
    for record in records:
        if record.module and record.state not in ("denied", "missing"):
            tell(record)
            costs.append(_measured(record, as_json(options.get(record.module)), runs, timeout))
    return tuple(costs)


def _measured(
    record: PluginRecord, options: Mapping[str, Any] | None, runs: int, timeout: float
) -> Cost:
    done: list[dict[str, Any]] = []
    # Once for nothing: the first run compiles what has no bytecode yet, and fills the disk cache.
    for number in range(runs + 1):
        told, _ = _run(record.module, options, timeout)
        if told["error"] is not None:
            return Cost(record=record, error=told["error"])
        if number:
            done.append(told)
    told, imports = _run(record.module, options, timeout, detailed=True)
    memories = [each["memory"] for each in done if each["memory"] is not None]
    return Cost(
        record=record,
        runs=tuple(each["seconds"] for each in done),
        modules=done[-1]["modules"],
        memory_bytes=max(0, int(median(memories))) if memories else None,
        dependencies=tuple(_dependencies(imports)),
        imports=tuple(imports),
        error=told["error"],
    )


def _run(
    module: str, options: Mapping[str, Any] | None, timeout: float, *, detailed: bool = False
) -> tuple[dict[str, Any], list[Import]]:
    """One child's answer, with the tree of imports where that is asked for."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        answer, log = os.path.join(folder, "answer.json"), os.path.join(folder, "stderr")
        marks = f"aimm-plugins-profile-{os.path.basename(folder)}" if detailed else ""
        job = {
            "module": module,
            "path": [each for each in sys.path if isinstance(each, str)],
            "answer": answer,
            "marks": marks,
            "options": options,  # by a pipe, since it has secrets
        }
        flags = ["-X", "importtime"] if detailed else []
        with open(log, "wb") as stderr:
            child = subprocess.Popen(
                [sys.executable, *flags, "-c", _CHILD],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
            try:
                child.communicate(json.dumps(job).encode(), timeout=timeout)
            except subprocess.TimeoutExpired:
                return {"error": f"its import took more than {timeout:g} seconds"}, []
            finally:
                end_with_children(child)
        try:
            with open(answer, encoding="utf-8") as stream:
                told = json.load(stream)
        except (OSError, ValueError):
            return {"error": f"its import ended the process with status {child.returncode}"}, []
        imports: list[Import] = []
        if detailed:
            with open(log, "rb") as stream:
                imports = _tree(_between(stream.read(), marks.encode()))
    return told, imports


def _between(log: bytes, mark: bytes) -> list[bytes]:
    parts = log.split(mark)
    return parts[1].splitlines() if len(parts) == 3 else []


def _tree(lines: Iterable[bytes]) -> list[Import]:
    """The imports as they are nested: each line stands after those of what it imported."""
    waiting: list[tuple[int, Import]] = []
    for line in lines:
        match = _LINE.search(line)  # behind what was printed without a line's end
        if match is None:  # something that an extension printed
            continue
        depth = len(match[3])
        found = Import(match[4].decode(errors="replace"), int(match[2]), int(match[1]))
        while waiting and waiting[-1][0] > depth:
            found.inner.insert(0, waiting.pop()[1])
        waiting.append((depth, found))
    return [each for _, each in waiting]


def _all(imports: Iterable[Import]) -> Iterator[Import]:
    stack = list(imports)
    while stack:
        each = stack.pop()
        yield each
        stack += each.inner


def _dependencies(imports: Iterable[Import]) -> list[Dependency]:
    own: dict[str, tuple[int, int]] = {}
    for each in _all(imports):
        top = each.name.partition(".")[0]
        name = _STDLIB if top in sys.stdlib_module_names else top
        microseconds, count = own.get(name, (0, 0))
        own[name] = (microseconds + each.own, count + 1)
    return [
        Dependency(name=name, seconds=microseconds / 1e6, modules=count)
        for name, (microseconds, count) in sorted(own.items(), key=lambda i: (-i[1][0], i[0]))
    ]


def trace(costs: Sequence[Cost]) -> dict[str, Any]:
    """The imports in Chrome's trace format: a thread for each plugin, one behind the other.

    Lengths are measured. Where within an import its inner ones began is not: they are drawn at its
    begin, and its own time behind them.
    """
    events: list[dict[str, Any]] = [
        {"name": "process_name", "ph": "M", "pid": 1, "tid": 0, "args": {"name": "start-up"}}
    ]
    clock = 0
    for number, cost in enumerate(costs, start=1):
        who = cost.record.distribution or cost.record.module
        name = f"{cost.record.name} ({who})"
        events.append(
            {"name": "thread_name", "ph": "M", "pid": 1, "tid": number, "args": {"name": name}}
        )
        stack = []
        for each in cost.imports:
            stack.append((each, clock))
            clock += each.microseconds
        while stack:
            each, begin = stack.pop()
            events.append(
                {
                    "name": each.name,
                    "cat": "import",
                    "ph": "X",
                    "ts": begin,
                    "dur": each.microseconds,
                    "pid": 1,
                    "tid": number,
                    "args": {"own_microseconds": each.own},
                }
            )
            for inner in each.inner:
                stack.append((inner, begin))
                begin += inner.microseconds
    return {"traceEvents": events, "displayTimeUnit": "ms"}
