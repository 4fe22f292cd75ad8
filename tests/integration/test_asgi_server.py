"""Servers as operators run them: uvicorn in a process, asked by a real HTTP client."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest

from tests.support.installing import environment

pytest.importorskip("uvicorn")
pytestmark = pytest.mark.integration

SLOW = """
import os
from aimm_plugins import fit

with open(os.environ["GATE"]) as gate:
    gate.read()

@fit(["slow"])
def f(model): return model
"""
BROKEN = "raise ValueError('the password is 1234')\n"
GOOD = "from aimm_plugins import fit\n\n@fit(['good'])\ndef f(model): return model\n"
APPS = {
    "starlette": """
from aimm_plugins.contrib.asgi import Startup, StartupMiddleware
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

startup = Startup("plugins.yaml", {arguments})
app = Starlette(
    lifespan=startup.lifespan,
    routes=[Mount("/plugins", startup), Route("/", lambda request: PlainTextResponse("hello"))],
)
""",
    "fastapi": """
from aimm_plugins.contrib.asgi import Startup, StartupMiddleware
from fastapi import FastAPI

app = FastAPI()
app.add_middleware(StartupMiddleware, startup=Startup("plugins.yaml", {arguments}))

@app.get("/")
def hello(): return "hello"
""",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in (("slow", SLOW), ("broken", BROKEN), ("good", GOOD)):
        (tmp_path / f"{name}.py").write_text(text)
    os.mkfifo(tmp_path / "gate")
    return tmp_path


@contextmanager
def served(folder, framework, conf, arguments=""):
    """A process of uvicorn, and a function that asks it; killed if it does not end."""
    (folder / "app.py").write_text(APPS[framework].format(arguments=arguments))
    (folder / "plugins.yaml").write_text(conf)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "app:app", "--fd", str(listening.fileno())],
            cwd=folder,
            env=environment(GATE=str(folder / "gate"), PYTHONPATH=str(folder)),
            pass_fds=[listening.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    # From here on the process alone has the socket: who asks a dead server is told at once.

    def ask(path: str, method: str = "GET") -> tuple[int, object]:
        asked = urllib.request.Request(url + path, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or "null")
        except urllib.error.HTTPError as error:
            with error:
                return error.status, json.loads(error.read() or "null")

    try:
        yield process, ask
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("framework", APPS)
def test_server_is_up_at_once_and_ready_when_its_slow_plugin_is(folder, framework):
    conf = "names: [slow, broken]\nentry_points: {enabled: false}\non_error: isolate\n"
    with served(folder, framework, conf) as (process, ask):
        status, told = ask("/plugins/ready")
        assert (status, told["reason"]) == (503, "loading")
        (folder / "gate").open("w").close()
        while status == 503:
            status, told = ask("/plugins/ready")
        assert told == {
            "ready": True,
            "reason": None,
            "missing": [],
            "failed": ["broken"],
            "stale": [],
            "error": None,
        }
        assert ask("/plugins/ready", "HEAD") == (200, None)
        assert ask("/plugins/ready", "POST")[0] == 405
        status, report = ask("/plugins")
        assert status == 200
        assert {each["name"]: each["state"] for each in report["plugins"]} == {
            "slow": "loaded",
            "broken": "failed",
        }
        assert "1234" not in json.dumps(report)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
        assert "the password is 1234" in output  # the log has it, for those who may read it
        assert "Application shutdown complete" in output


def test_strict_failure_is_told_by_a_server_that_runs(folder):
    conf = "names: [good, broken]\nentry_points: {enabled: false}\nrequired: [aimm-nobody]\n"
    with served(folder, "fastapi", conf, "wait=True") as (_, ask):
        status, told = ask("/plugins/ready")
        assert status == 503
        assert told["reason"] == "failed"
        assert told["missing"] == ["aimm-nobody"]
        assert told["failed"] == ["broken"]
        assert told["error"] == {"type": "PluginLoadError", "message": None}
        assert ask("/") == (200, "hello")


@pytest.mark.parametrize("framework", APPS)
def test_strict_failure_ends_a_server_that_is_told_so(folder, framework):
    conf = "names: [good, broken]\nentry_points: {enabled: false}\n"
    arguments = "wait=True, on_failure='raise'"
    with served(folder, framework, conf, arguments) as (process, _):
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 3
        assert "ValueError: the password is 1234" in output
        assert "Application startup failed" in output


def test_server_stops_though_a_plugin_hangs(folder):
    conf = "names: [slow]\nentry_points: {enabled: false}\n"
    with served(folder, "starlette", conf) as (process, ask):
        assert ask("/plugins/ready")[0] == 503
        # uvicorn lets the interpreter end by this signal, which waits for threads; by SIGTERM it dies.
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        assert "Application shutdown complete" in output
