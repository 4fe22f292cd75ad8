"""The command line as a process: real pipes, terminals, signals and locales."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

NOISY = """
import atexit, ctypes, os, subprocess, sys
from sys import stdout
from aimm_plugins import data_access, instantiate

print("at import")
atexit.register(print, "at exit")

@data_access("noise", state_cb_arg_name="cb")
def noise(*, cb):
    print("print")
    stdout.write("kept stream\\n")
    os.write(1, b"descriptor\\n")
    subprocess.run([sys.executable, "-S", "-c", "print('child')"])
    ctypes.CDLL(None).puts(b"libc")
    cb({"step": 1, "total": 1, "message": "caf\u00e9 [bold]"})

@data_access("wait")
def wait():
    print("waiting", flush=True)
    import threading
    for _ in range(600):  # without the GIL, Python may miss a signal until a wait has ended
        threading.Event().wait(0.1)

@instantiate("m")
def make(): ...
"""

JOB = """
plugins: {{names: [noisy], entry_points: {{enabled: false}}}}
data: {{"caf\u00e9": {{access: {access}}}}}
model: {{type: m}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "noisy.py").write_text(NOISY, encoding="utf-8")
    (tmp_path / "job.yaml").write_text(JOB.format(access="noise"), encoding="utf-8")
    (tmp_path / "wait.yaml").write_text(JOB.format(access="wait"), encoding="utf-8")
    return tmp_path


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(folder), **more}


def run(folder: Path, *arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    variables = options.pop("env", {})
    return subprocess.run(
        [sys.executable, "-m", "aimm_plugins", *arguments],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        cwd=folder,
        env=environment(folder, **variables),
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("env", [{}, {"PYTHONIOENCODING": "iso8859-5"}, {"LC_ALL": "C"}])
def test_what_plugins_print_goes_to_stderr_and_stdout_stays_json(folder, env):
    done = run(folder, "run", "job.yaml", "--format", "json", env=env)
    assert done.returncode == 0, done.stderr
    assert [step["step"] for step in json.loads(done.stdout)["steps"]] == [
        "data caf\u00e9",
        "model",
    ]
    lines = done.stderr.split(b"\n")
    for printed in (b"at import", b"print", b"kept stream", b"descriptor", b"child", b"at exit"):
        assert lines.count(printed) == 1
    assert lines.count(b"libc") == (1 if sys.platform == "linux" else lines.count(b"libc"))


def test_table_survives_an_encoding_that_lacks_its_letters(folder):
    done = run(folder, "run", "job.yaml", env={"PYTHONIOENCODING": "iso8859-5"})
    assert done.returncode == 0, done.stderr
    assert b"data caf\\xe9" in done.stdout


def test_closed_streams_do_no_harm(folder):
    code = 'exec 0<&- 1>&- 2>&-; exec "$0" -m aimm_plugins run job.yaml'
    done = subprocess.run(
        ["sh", "-c", code, sys.executable], cwd=folder, env=environment(folder), timeout=60
    )
    assert done.returncode == 0


def test_reader_that_goes_away_ends_it_quietly(folder):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as stdout:
        done = run(folder, "schema", "job", stdout=stdout)
    assert done.returncode == 1
    assert done.stderr == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_is_a_message(folder):
    with open("/dev/full", "wb") as stdout:
        done = run(folder, "schema", "job", stdout=stdout)
    assert done.returncode == 1
    assert done.stderr == b"Error: [Errno 28] No space left on device\n"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_during_a_step_exits_without_traceback_or_files(folder, number, status):
    process = subprocess.Popen(
        [sys.executable, "-m", "aimm_plugins", "run", "wait.yaml"],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Whoever runs the tests in the background may have SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    before = {path.name for path in folder.iterdir()}
    printed = b""
    while b"waiting" not in printed:
        line = process.stderr.readline()
        assert line, printed
        printed += line
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert out == b""
    assert b"Traceback" not in err
    assert {path.name for path in folder.iterdir()} - {"__pycache__"} == before - {"__pycache__"}


def on_terminal(folder: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """Runs the command with stdout and stderr on a pseudo-terminal of 200 columns."""
    main, other = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "aimm_plugins", *arguments],
        cwd=folder,
        env=environment(folder, TERM="xterm", COLUMNS="200", **variables),
        stdin=subprocess.DEVNULL,
        stdout=other,
        stderr=other,
    )
    os.close(other)
    shown = b""
    while select.select([main], [], [], 60)[0]:
        try:
            chunk = os.read(main, 65536)
        except OSError:  # how Linux says that the other side is closed
            break
        if not chunk:
            break
        shown += chunk
    os.close(main)
    return process.wait(60), shown.decode()


def test_terminal_has_bars_and_no_markup_of_plugins(folder):
    pytest.importorskip("rich")
    status, shown = on_terminal(folder, "run", "job.yaml")
    assert status == 0, shown
    assert "\u2501" in shown
    assert "caf\u00e9 [bold]" in shown
    assert "instantiate:m" in shown


def test_terminal_without_rich_has_lines(folder):
    (folder / "rich.py").write_text("raise ImportError")
    status, shown = on_terminal(folder, "run", "job.yaml")
    assert status == 0, shown
    assert "data caf\u00e9: 1/1 caf\u00e9 [bold]" in shown
    assert "instantiate:m" in shown


def test_colour_is_off_where_it_is_not_wanted(folder):
    pytest.importorskip("rich")
    _, shown = on_terminal(folder, "run", "job.yaml", NO_COLOR="1")
    assert "\x1b[3" not in shown
