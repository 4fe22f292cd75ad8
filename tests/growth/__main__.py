"""How the work grows with what is installed: `python -m tests.growth`.

For each kind of growth a row: CPU seconds for one look by all verbs at 1, 2, 4 and 8 times the
size, with the exponent between the first and the last, and that of the calls. A look plans, takes
the inventory, examines it, and explains a key and a distribution.
"""

from __future__ import annotations

import cProfile
import gc
import math
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from time import process_time

from aimm_plugins import plan
from aimm_plugins._diagnostics.doctor import examine
from aimm_plugins._diagnostics.explanation import explain
from aimm_plugins._diagnostics.take_inventory import take_inventory
from tests.support.metadata import write_dist_info

OURS = "from aimm_plugins import fit\n"
Conf = dict[str, object]


def _group(name: str, lines: list[str]) -> str:
    return f"[{name}]\n" + "\n".join(lines) + "\n"


def entry_points(site: Path, count: int) -> Conf:
    """Plugins of one distribution, each a module with a key in its source."""
    for number in range(count):
        (site / f"m{number}.py").write_text(f"{OURS}@fit(['k{number}'])\ndef f(m): ...\n")
    lines = [f"e{number} = m{number}" for number in range(count)]
    write_dist_info(site, "grown", entry_points=_group("aimm.plugins", lines))
    return {"names": []}


def empty_modules(site: Path, count: int) -> Conf:
    """Plugins that are modules of one package and declare nothing."""
    (site / "grown").mkdir()
    for name in ("__init__", *(f"m{number}" for number in range(count))):
        (site / "grown" / f"{name}.py").write_text("")
    lines = [f"e{number} = grown.m{number}" for number in range(count)]
    write_dist_info(site, "grown", entry_points=_group("aimm.plugins", lines))
    return {"names": []}


def missing_modules(site: Path, count: int) -> Conf:
    """Plugins whose modules are not there, with files and requirements of their distribution."""
    write_dist_info(
        site,
        "grown",
        entry_points=_group("aimm.plugins", [f"e{n} = missing{n}" for n in range(count)]),
        files=[f"grown/m{number}.py" for number in range(count)],
        requires=[f"needed{number}; extra == 'x{number}'" for number in range(count)],
    )
    return {"names": []}


def misspelt_objects(site: Path, count: int) -> Conf:
    """Plugins that are objects which a module does not have, with names that are like theirs."""
    (site / "grown.py").write_text("".join(f"learn{n} = 1\n" for n in range(count)))
    lines = [f"e{number} = grown:lern{number}" for number in range(count)]
    write_dist_info(site, "grown", entry_points=_group("aimm.plugins", lines))
    return {"names": []}


def objects(site: Path, count: int) -> Conf:
    """Plugins that are objects of one module."""
    source = "".join(f"@fit(['k{n}'])\ndef f{n}(m): ...\n" for n in range(count))
    (site / "grown.py").write_text(OURS + source)
    lines = [f"e{number} = grown:f{number}" for number in range(count)]
    write_dist_info(site, "grown", entry_points=_group("aimm.plugins", lines))
    return {"names": []}


def published_keys(site: Path, count: int) -> Conf:
    """Keys of one plugin, in its metadata."""
    (site / "grown.py").write_text("")
    keys = _group("aimm.plugins.fit", [f"k{number} = grown:f" for number in range(count)])
    write_dist_info(site, "grown", entry_points=f"[aimm.plugins]\nx = grown\n{keys}")
    return {"names": []}


def declared_keys(site: Path, count: int) -> Conf:
    """Keys of one plugin, in its source."""
    keys = ", ".join(f"'k{number}'" for number in range(count))
    (site / "grown.py").write_text(f"{OURS}@fit([{keys}])\ndef f(m): ...\n")
    write_dist_info(site, "grown", entry_points={"x": "grown"})
    return {"names": []}


def rivals(site: Path, count: int) -> Conf:
    """Plugins that publish one key."""
    plugins = _group("aimm.plugins", [f"e{number} = m{number}" for number in range(count)])
    keys = _group("aimm.plugins.fit", [f"k0 = m{number}:f" for number in range(count)])
    write_dist_info(site, "grown", entry_points=plugins + keys)
    return {"names": []}


def rivals_for_all_keys(site: Path, count: int) -> Conf:
    """Keys that each of three plugins publishes."""
    plugins = _group("aimm.plugins", [f"e{number} = m{number}" for number in range(3)])
    keys = [f"k{key} = m{number}:f" for number in range(3) for key in range(count)]
    write_dist_info(site, "grown", entry_points=plugins + _group("aimm.plugins.fit", keys))
    return {"names": []}


def names(site: Path, count: int) -> Conf:
    """Modules that a conf names, of a distribution that a rule is about."""
    for number in range(count):
        (site / f"m{number}.py").write_text("")
    write_dist_info(site, "grown", files=[f"m{number}.py" for number in range(count)])
    rules = {"deny": ["grown>=2"]}
    return {"names": [f"m{number}" for number in range(count)], "entry_points": rules}


def findings(site: Path, count: int) -> Conf:
    """Distributions with a broken line each."""
    for number in range(count):
        folder = site / f"broken{number}-1.0.dist-info"
        folder.mkdir()
        (folder / "entry_points.txt").write_text("[aimm.plugins.fit]\nbroken\n")
    return {"names": []}


def record_lines(site: Path, count: int) -> Conf:
    """Files of a distribution that a rule is about."""
    (site / "grown.py").write_text("")
    lines = [f"grown{number % 10}/m{number}.py" for number in range(10 * count)]
    write_dist_info(site, "grown", entry_points={"x": "grown"}, files=["grown.py", *lines])
    return {"names": ["grown"], "entry_points": {"deny": ["grown>=2"]}, "verify": "record"}


KINDS: dict[str, Callable[[Path, int], Conf]] = {
    make.__name__: make
    for make in (
        entry_points,
        empty_modules,
        missing_modules,
        misspelt_objects,
        objects,
        published_keys,
        declared_keys,
        rivals,
        rivals_for_all_keys,
        names,
        findings,
        record_lines,
    )
}


def look(conf: Conf) -> None:
    """Look at everything, as the verbs do."""
    str(plan(conf))
    inventory = take_inventory(conf)
    list(map(str, examine(inventory)))
    explain(inventory, "fit:k0")
    explain(inventory, "grown")
    str(inventory.report)


@contextmanager
def site_of(kind: str, count: int) -> Generator[Conf]:
    """A site of that size on the path; gives its conf."""
    with tempfile.TemporaryDirectory() as folder:
        conf = KINDS[kind](Path(folder), count)
        sys.path.insert(0, folder)
        try:
            yield conf
        finally:
            sys.path.remove(folder)


def seconds(kind: str, count: int, tries: int = 2) -> float:
    """The least CPU time of a few looks at a site of that size."""
    taken = []
    with site_of(kind, count) as conf:
        try:
            for _ in range(tries):
                gc.collect()
                gc.disable()
                begin = process_time()
                look(conf)
                taken.append(process_time() - begin)
                gc.enable()
        finally:
            gc.enable()
    return min(taken)


def calls(kind: str, count: int) -> int:
    """The calls of functions by one look, which are the same on any machine."""
    with site_of(kind, count) as conf:
        look(conf)  # what is imported and cached by the first look counts for none
        profile = cProfile.Profile()
        profile.runcall(look, conf)
    return sum(entry.callcount for entry in profile.getstats())


def exponent(smaller: float, larger: float, factor: float) -> float:
    """The power of the size that the work grows with."""
    return math.log(larger / smaller) / math.log(factor)


def exponent_of_calls(kind: str) -> float:
    """The power of the size that the calls grow with."""
    return exponent(calls(kind, 200), calls(kind, 800), 4)


def main() -> None:
    """Print the table."""
    for kind in KINDS:
        taken = [seconds(kind, count) for count in (500, 1000, 2000, 4000)]
        figures = "  ".join(f"{one:7.3f}" for one in taken)
        power, of_calls = exponent(taken[0], taken[-1], 8), exponent_of_calls(kind)
        sys.stdout.write(f"{kind:20}{figures}  exponent {power:.2f}, of calls {of_calls:.3f}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
