"""What a host does takes work in proportion to its plugins and keys, counted in bytecodes."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


def counts(kind: str, count: int) -> dict[str, int]:
    command = [sys.executable, "-m", "tests.growth.operations", kind, str(count)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    "kind", ["entry_points", "declared_keys", "published_keys", "denied", "waiting", "contended"]
)
def test_no_operation_of_a_host_grows_faster_than_n_log_n(kind: str) -> None:
    few, many = counts(kind, 25), counts(kind, 100)
    log = math.log(100) / math.log(25)
    assert {name: many[name] for name in few if many[name] > 4 * log * few[name]} == {}


def test_first_call_of_a_plugin_looks_at_others_for_moments_only() -> None:
    few, many = (counts("waiting", count)["first call"] for count in (25, 100))
    assert (many - few) / 75 < 200
