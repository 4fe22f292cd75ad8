"""The stress programs, for a moment; CI runs the first for a minute, and a night is `--seconds 30000`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_every_answer_under_stress_belongs_to_one_registry():
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.stress", "--seconds", "4"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    told = json.loads(done.stdout)
    assert told["wrong"] == [], done.stderr
    assert done.returncode == 0, done.stderr
    assert told["stay answered"]
    assert told["turn answered"]


@pytest.mark.integration
@pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(),
    reason="without the GIL memory is freed later, and not counted to a block",
)
def test_operations_of_a_server_keep_nothing_when_they_are_repeated():
    quick = ["call", "call_that_fails", "call_of_an_unknown_key", "call_with_wrong_arguments"]
    quick += ["call_that_awaits", "call_with_a_reported_callback", "wrapper", "monitor"]
    quick += ["declare_and_unload", "declare_what_is_wrong", "isolated", "artifacts"]
    command = [sys.executable, "-m", "tests.stress.memory", "--cycles", "2500"]
    command += [f"--only={name}" for name in quick]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
