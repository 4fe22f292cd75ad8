"""The stress program, for a moment; CI runs it for a minute, and a night is `--seconds 30000`."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_answer_under_stress_belongs_to_one_registry():
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.stress", "--seconds", "4"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    told = json.loads(done.stdout)
    assert told["wrong"] == [], done.stderr
    assert done.returncode == 0, done.stderr
    assert told["stay answered"]
    assert told["turn answered"]
