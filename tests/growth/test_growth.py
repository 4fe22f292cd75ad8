"""What one distribution can cost those who only look: seconds, 300 MB, and no more than its size."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.growth.__main__ import KINDS, OURS, exponent, exponent_of_calls, seconds
from tests.support.installing import environment
from tests.support.metadata import write_dist_info

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not hasattr(os, "wait4"), reason="needs os.wait4"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_work_grows_with_what_is_installed_and_no_faster(kind: str) -> None:
    assert exponent_of_calls(kind) < 1.1


@pytest.mark.parametrize("kind", KINDS)
def test_time_grows_as_the_work_does(kind: str) -> None:
    # A search in a list is one call. CPU time of a busy machine varies by a few tenths.
    assert exponent(seconds(kind, 1000), seconds(kind, 4000), 4) < 1.3


def aliases(site: Path) -> str:
    """Entry points of one module, and keys of it."""
    keys = ", ".join(f"'k{number}'" for number in range(5000))
    (site / "hostile.py").write_text(f"{OURS}@fit([{keys}])\ndef f(m): ...\n")
    return "[aimm.plugins]\n" + "".join(f"e{number} = hostile\n" for number in range(3000))


def bombs(site: Path) -> str:
    """Modules that double a list."""
    doubling = "".join(f"A{n + 1} = A{n} + A{n}\n" for n in range(30))
    for number in range(200):
        (site / f"b{number}.py").write_text(
            f"{OURS}A0 = ['a']\n{doubling}@fit(A30)\ndef f(m): ...\n"
        )
    return "[aimm.plugins]\n" + "".join(f"b{number} = b{number}\n" for number in range(200))


def shared(site: Path) -> str:
    """Plugins of a package that all import the modules of the others."""
    folder = site / "hostile"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        f"{OURS}from . import " + ", ".join(f"s{n}" for n in range(900))
    )
    for number in range(900):
        (folder / f"s{number}.py").write_text(f"{OURS}fit(['k{number}'])(len)\n")
        (folder / f"p{number}.py").write_text("from .s0 import *\n")
    return "[aimm.plugins]\n" + "".join(f"p{number} = hostile.p{number}\n" for number in range(900))


def schemas(site: Path) -> str:
    """Schemas of many values, each of one plugin."""
    (site / "hostile.py").write_text("")
    for number in range(4):
        values = {f"a{n}": {"default": number} for n in range(1300)}
        (site / f"s{number}.json").write_text(json.dumps({"properties": values}))
    plugins = "".join(f"x{number} = hostile:C{number}.f\n" for number in range(4))
    options = "".join(f"hostile.m{number} = hostile:s{number}.json\n" for number in range(4))
    return f"[aimm.plugins]\n{plugins}[aimm.plugins.options]\n{options}"


def compared(site: Path) -> str:
    """A schema with a list whose items are compared with each other."""
    (site / "hostile.py").write_text("")
    items = [{"a": number} for number in range(1900)]
    schema = {"properties": {"a": {"uniqueItems": True, "default": items}}}
    (site / "s.json").write_text(json.dumps(schema))
    return "[aimm.plugins]\nx = hostile\n[aimm.plugins.options]\nx = hostile:s.json\n"


def tree(site: Path) -> str:
    """Source whose syntax tree takes 900 times its size."""
    (site / "hostile.py").write_text(OURS + "x = [" + "-1," * 33_000 + "]\n")
    return "[aimm.plugins]\nx = hostile\n"


def alike(site: Path) -> str:
    """Objects that are not there, and names that are nearly theirs."""
    names = "".join(f"{'a' * 80}{number} = 1\n" for number in range(500))
    (site / "hostile.py").write_text(names)
    return "[aimm.plugins]\n" + "".join(f"e{n} = hostile:{'a' * 80}b{n}\n" for n in range(500))


def missing(site: Path) -> str:
    """Modules that are not there, of a package with many empty ones."""
    (site / "hostile").mkdir()
    for name in ("__init__", *(f"m{number}" for number in range(1000))):
        (site / "hostile" / f"{name}.py").write_text("import surely_not_there\n")
    lines = [f"{what}{n} = hostile.{what}{n}\n" for what in "mx" for n in range(1000)]
    return "[aimm.plugins]\n" + "".join(lines)


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))


@pytest.mark.parametrize("make", [aliases, bombs, shared, schemas, compared, tree, alike, missing])
def test_100_kb_of_one_distribution_take_seconds_and_megabytes(
    site: Path, tmp_path: Path, make: Callable[[Path], str]
) -> None:
    write_dist_info(site, "hostile", entry_points=make(site))
    (tmp_path / "conf.yaml").write_text("names: []\n")
    for words in ("plan", "list", "show fit:k1", "explain hostile", "doctor"):
        command = [sys.executable, "-m", "aimm_plugins", *words.split(), "--conf", "conf.yaml"]
        root = str(Path(__file__).parents[2])
        done = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment(PYTHONPATH=os.pathsep.join([str(site), root])),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=limited,  # rather than the machine's memory
        )
        _, status, used = os.wait4(done.pid, 0)
        done.returncode = os.waitstatus_to_exitcode(status)
        assert done.returncode in (0, 1), words
        assert used.ru_utime + used.ru_stime < 5, words
        unit = 1 if sys.platform == "darwin" else 1024
        assert used.ru_maxrss * unit < 300 * 2**20, words
