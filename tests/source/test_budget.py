"""Source that would take all time or memory is a gap, and takes little of either."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from aimm_plugins._source.budget import Budget
from aimm_plugins._source.reader import ModuleReader, SourceReader

OURS = "from aimm_plugins import fit\n"


def doubled(first: str, step: str) -> str:
    """Constants of which each is twice as long as the one before, and the last is a key."""
    lines = [f"A0 = {first}", *(f"A{n + 1} = {step.format(f'A{n}')}" for n in range(60))]
    return OURS + "\n".join(lines) + "\n@fit([A60])\ndef f(m): ...\n"


BOMBS = {
    "text": doubled("'a' * 16", "{0} + {0}").replace("'a' * 16", repr("a" * 16)),
    "list": doubled("['a', 'b']", "{0} + {0}"),
    "unpacked list": doubled("['a', 'b']", "[*{0}, *{0}]"),
    "nested list": doubled("['a', 'b']", "[{0}, {0}]"),
    "f-string": doubled(repr("a" * 16), "f'{{{0}}}{{{0}}}'"),
    "repeated text": OURS + "@fit(['x' * 10**9])\ndef f(m): ...\n",
    "power": OURS + "@fit([10**10**10])\ndef f(m): ...\n",
    "format": OURS + "@fit([f'{1:>1000000000}'])\ndef f(m): ...\n",
    "long sum": OURS + "@fit([" + "'a' + " * 20_000 + "'b'])\ndef f(m): ...\n",
    "deep list": OURS + "@fit(" + "[" * 90 + "'a'" + "]" * 90 + ")\ndef f(m): ...\n",
    "deep brackets": OURS + "x = " + "(" * 100_000,
    "many keys": OURS + "K = [" + "'a'," * 50_000 + "]\n@fit([*K, *K, *K])\ndef f(m): ...\n",
    "many branches": OURS + "if a: pass\n" + "elif a: pass\n" * 5_000 + "fit(['a'])(f)\n",
    "long file": OURS + "fit(['a'])(f)\n" + "#" * 1024 * 1024,
    "long names": OURS + ("a" + ".a" * 450 + "\n") * 60,
    "keys of all": OURS + "K = [" + "'a', " * 10_000 + "]\n" + "@fit(K)\ndef f(m): ...\n" * 5_000,
    "many imports": OURS + "import " + ", ".join(f"bomb.a{n}" for n in range(9_000)) + "\nfit",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_source_that_costs_too_much_is_a_gap(site, bomb):
    (site / "bomb.py").write_text(BOMBS[bomb])
    tracemalloc.start()
    begin = time.process_time()
    found = SourceReader(["bomb"]).read("bomb")
    seconds = time.process_time() - begin
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.gaps
    assert seconds < 30  # traced, and on a busy machine
    assert peak < 512 * 2**20


def test_package_of_many_long_modules_is_read_up_to_the_budget(site):
    folder = site / "big"
    folder.mkdir()
    (folder / "__init__.py").write_text("from . import " + ", ".join(f"m{n}" for n in range(40)))
    for number in range(40):
        (folder / f"m{number}.py").write_text(f"{OURS}fit(['{number}'])(f)\n#" + "x" * 200_000)
    found = SourceReader(["big"]).read("big")
    assert 0 < len(found.declarations) < 40
    assert "is not read to its end" in str(found.gaps[0])


def test_budget_is_that_of_one_package(site):
    (site / "greedy.py").write_text("#" * 500_000)
    (site / "modest.py").write_text(f"{OURS}@fit(['k'])\ndef f(m): ...\n")
    reader = ModuleReader({"greedy": str(site / "greedy.py")}.get, {"greedy"}, Budget(work=1000))
    assert reader.module("greedy").gaps
    readers = SourceReader(["greedy", "modest"])
    readers.read("greedy")
    assert readers.read("modest").gaps == ()
