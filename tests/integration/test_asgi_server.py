"""Servers as operators run them: uvicorn in a process, asked by a real HTTP client."""

from __future__ import annotations

import json
import os
import signal
from contextlib import contextmanager

import pytest

from tests.support.serving import served

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
def running(folder, framework, conf, arguments=""):
    """A server of that framework and conf."""
    (folder / "app.py").write_text(APPS[framework].format(arguments=arguments))
    (folder / "plugins.yaml").write_text(conf)
    with served(folder, "app:app", GATE=str(folder / "gate")) as server:
        yield server


@pytest.mark.parametrize("framework", APPS)
def test_server_is_up_at_once_and_ready_when_its_slow_plugin_is(folder, framework):
    conf = "names: [slow, broken]\nentry_points: {enabled: false}\non_error: isolate\n"
    with running(folder, framework, conf) as server:
        status, told = server.ask("/plugins/ready")
        assert (status, told["reason"]) == (503, "loading")
        (folder / "gate").open("w").close()
        while status == 503:
            status, told = server.ask("/plugins/ready")
        assert told == {
            "ready": True,
            "reason": None,
            "missing": [],
            "failed": ["broken"],
            "stale": [],
            "error": None,
        }
        assert server.ask("/plugins/ready", "HEAD") == (200, None)
        assert server.ask("/plugins/ready", "POST")[0] == 405
        status, report = server.ask("/plugins")
        assert status == 200
        assert {each["name"]: each["state"] for each in report["plugins"]} == {
            "slow": "loaded",
            "broken": "failed",
        }
        assert "1234" not in json.dumps(report)
        assert "the password is 1234" in server.stop()  # the log, for those who may read it


def test_strict_failure_is_told_by_a_server_that_runs(folder):
    conf = "names: [good, broken]\nentry_points: {enabled: false}\nrequired: [aimm-nobody]\n"
    with running(folder, "fastapi", conf, "wait=True") as server:
        status, told = server.ask("/plugins/ready")
        assert status == 503
        assert told["reason"] == "failed"
        assert told["missing"] == ["aimm-nobody"]
        assert told["failed"] == ["broken"]
        assert told["error"] == {"type": "PluginLoadError", "message": None}
        assert server.ask("/") == (200, "hello")


@pytest.mark.parametrize("framework", APPS)
def test_strict_failure_ends_a_server_that_is_told_so(folder, framework):
    conf = "names: [good, broken]\nentry_points: {enabled: false}\n"
    arguments = "wait=True, on_failure='raise'"
    with running(folder, framework, conf, arguments) as server:
        output, _ = server.process.communicate(timeout=60)
        assert server.process.returncode == 3
        assert "ValueError: the password is 1234" in output
        assert "Application startup failed" in output


def test_server_stops_though_a_plugin_hangs(folder):
    conf = "names: [slow]\nentry_points: {enabled: false}\n"
    with running(folder, "starlette", conf) as server:
        assert server.ask("/plugins/ready")[0] == 503
        # uvicorn lets the interpreter end by this signal, which waits for threads; by SIGTERM it dies.
        server.stop(signal.SIGINT)
