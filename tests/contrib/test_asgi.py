"""Server start-up, driven as a server drives an ASGI application."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import os
import signal
import sys
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

import aimm_plugins
from aimm_plugins import PluginLoadError
from aimm_plugins._registry.loads import imports_under_way
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins.contrib.asgi import Startup, StartupMiddleware
from tests.conftest import names

GOOD = "@fit(['k'])\ndef f(m): return m\n"
SLOW = """
    import os
    with open(os.environ["SLOW_PLUGIN_GATE"]) as gate:
        gate.read()

    @fit(["slow"])
    def f(m): return m
"""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def data(self):
        return json.loads(self.body)


async def request(app, path="/plugins/ready", method="GET", **scope) -> Answer:
    """What an application answers; checks the JSON of the two addresses against its schema."""
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    await app(
        {"type": "http", "method": method, "path": path, "headers": [], **scope}, receive, send
    )
    start, *parts = sent
    assert [start["type"], *{part["type"] for part in parts}] == [
        "http.response.start",
        "http.response.body",
    ]
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    answer = Answer(start["status"], headers, b"".join(part["body"] for part in parts))
    if answer.body and headers and answer.status in (200, 503):
        schema = "readiness" if "ready" in answer.data else "report"
        VALIDATORS[schema].validate(answer.data)
    return answer


VALIDATORS = {
    name: Draft202012Validator(
        yaml.safe_load(
            (Path(aimm_plugins.__file__).parent / "schemas" / f"{name}.yaml").read_text()
        )
    )
    for name in ("readiness", "report")
}


class Server:
    """The lifespan of an application, message by message."""

    def __init__(self, app) -> None:
        self.sent: list[dict] = []
        self.provided: dict[str, bool] = {}
        self._app = app
        self._messages: asyncio.Queue[dict] = asyncio.Queue()
        self._answers: asyncio.Queue[dict] = asyncio.Queue()

    async def _send(self, message):
        self.sent.append(message)
        self.provided[message["type"]] = bool(aimm_plugins.providers())
        await self._answers.put(message)

    async def _main(self):
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        await self._app(scope, self._messages.get, self._send)

    async def _ask(self, kind):
        await self._messages.put({"type": kind})
        answer = asyncio.create_task(self._answers.get())
        await asyncio.wait([answer, self.task], return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            await self.task
            raise AssertionError("no answer")
        return answer.result()

    async def start(self):
        self.task = asyncio.create_task(self._main())
        return await self._ask("lifespan.startup")

    async def stop(self):
        answer = await self._ask("lifespan.shutdown")
        await self.task
        return answer

    async def __aenter__(self):
        assert (await self.start())["type"] == "lifespan.startup.complete"
        return self

    async def __aexit__(self, *error):
        if error[0] is None:
            assert (await self.stop())["type"] == "lifespan.shutdown.complete"
        else:
            self.task.cancel()


@pytest.fixture
def gate(tmp_path, monkeypatch):
    """Opens the gate that the slow plugin waits at; does so at the end if the test did not."""
    path = tmp_path / "gate"
    os.mkfifo(path)
    monkeypatch.setenv("SLOW_PLUGIN_GATE", str(path))
    opened = False

    def open_gate():
        nonlocal opened
        opened = True
        path.open("w").close()

    yield open_gate
    if not opened:
        open_gate()
    for thread in threading.enumerate():
        if thread.name == "aimm_plugins start-up":
            thread.join(60)


@pytest.fixture(params=["itself", "middleware", "lifespan"])
def serve(request):
    """A server around a `Startup`: served by itself, around an application, or by its lifespan."""

    @asynccontextmanager
    async def serve(startup):
        if request.param == "lifespan":
            async with startup.lifespan():
                yield startup
        else:
            app = startup if request.param == "itself" else StartupMiddleware(hello, startup)
            async with Server(app):
                yield app

    return serve


async def hello(scope, receive, send):
    """An application that knows nothing of lifespans."""
    if scope["type"] != "http":
        raise ValueError("only http")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


async def until_ready(startup: Startup) -> None:
    """Wait for the load, as the server's own `wait` does."""
    await asyncio.wait([asyncio.wrap_future(startup._load)])


async def test_server_is_ready_once_plugins_are_loaded_and_not_before(write, gate, serve):
    write(slow=SLOW)
    startup = Startup(names("slow"))
    assert (await request(startup)).data["reason"] == "not-started"
    async with serve(startup) as app:
        before = await request(app)
        assert before.status == 503
        assert before.data == {
            "ready": False,
            "reason": "loading",
            "missing": [],
            "failed": [],
            "stale": [],
            "error": None,
        }
        report = await request(app, "/plugins")
        assert (report.status, report.data["ok"], report.data["plugins"]) == (200, False, [])
        assert [finding["code"] for finding in report.data["findings"]] == ["loading"]
        gate()
        await until_ready(startup)
        after = await request(app)
        assert (after.status, after.data["ready"], after.data["reason"]) == (200, True, None)
        assert startup.ready
        report = await request(app, "/plugins")
        assert report.data["ok"]
        assert [record["state"] for record in report.data["plugins"]] == ["loaded"]
    assert (await request(startup)).data["reason"] == "stopped"


async def test_server_that_waits_starts_with_plugins_loaded(write, serve):
    write(good=GOOD)
    startup = Startup(names("good"), wait=True)
    async with serve(startup) as app:
        assert (await request(app)).status == 200
        assert aimm_plugins.exec_fit("k", 1) == 1


async def test_server_that_waits_some_seconds_starts_without_plugins_then(write, gate):
    write(slow=SLOW)
    startup = Startup(names("slow"), wait=0.01)
    async with startup.lifespan():
        assert startup.readiness()["reason"] == "loading"
        gate()
        await until_ready(startup)
        assert startup.ready


async def test_event_loop_is_free_while_a_plugin_is_imported(write, gate):
    write(slow=SLOW)
    startup = Startup(names("slow"), wait=True)
    server = Server(startup)
    starting = asyncio.create_task(server.start())
    while startup._load is None:
        await asyncio.sleep(0)
    assert (await request(startup)).data["reason"] == "loading"
    assert not starting.done()
    gate()
    assert (await starting)["type"] == "lifespan.startup.complete"
    await server.stop()


async def test_failed_strict_load_is_told_by_the_probe_and_logged(write, serve, caplog):
    write(good=GOOD, bad="raise ValueError('password in /etc/secret')")
    startup = Startup(names("good", "bad"), wait=True)
    async with serve(startup) as app:
        answer = await request(app)
        assert answer.status == 503
        assert answer.data == {
            "ready": False,
            "reason": "failed",
            "missing": [],
            "failed": ["bad"],
            "stale": [],
            "error": {"type": "PluginLoadError", "message": None},
        }
        report = (await request(app, "/plugins")).data
        assert [record["state"] for record in report["plugins"]] == ["undone", "failed"]
    (record,) = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert "password" in record.getMessage()
    assert isinstance(record.exc_info[1], PluginLoadError)


async def test_conf_that_cannot_be_read_is_told_by_the_probe(serve, tmp_path):
    conf = tmp_path / "secret-place.yaml"
    conf.write_text("nmaes: []")
    startup = Startup(conf, wait=True)
    async with serve(startup) as app:
        answer = await request(app)
        assert answer.status == 503
        assert answer.data["error"] == {"type": "ConfigError", "message": None}
        report = await request(app, "/plugins")
        assert not report.data["ok"]
        assert startup.report() is None
        assert b"secret-place" not in answer.body + report.body


@pytest.mark.parametrize("way", ["itself", "middleware"])
async def test_failed_load_can_fail_the_start(write, way, caplog):
    write(bad="raise ValueError('why')")
    startup = Startup(names("bad"), wait=True, on_failure="raise")
    app = startup if way == "itself" else StartupMiddleware(hello, startup)
    answer = await Server(app).start()
    assert answer["type"] == "lifespan.startup.failed"
    assert "ValueError: why" in answer["message"]
    assert not startup.ready
    assert caplog.records == []  # the server tells it


async def test_failed_load_can_fail_the_lifespan(write):
    write(bad="raise ValueError('why')")
    with pytest.raises(PluginLoadError, match="why"):
        async with Startup(names("bad"), wait=True, on_failure="raise").lifespan():
            raise AssertionError("entered")


async def test_plugin_that_is_not_required_may_fail(write, serve):
    write(good=GOOD, bad="raise ValueError")
    conf = names("good", "bad", on_error="isolate")
    async with serve(Startup(conf, wait=True)) as app:
        answer = await request(app)
        assert (answer.status, answer.data["failed"]) == (200, ["bad"])
        assert not (await request(app, "/plugins")).data["ok"]


async def test_missing_required_distribution_is_named_until_it_is_there(write, install, serve):
    write(wanted=GOOD)
    conf = {"names": [], "required": ["Aimm_Wanted>=1"], "on_error": "isolate"}
    async with serve(Startup(conf, wait=True)) as app:
        answer = await request(app)
        assert answer.status == 503
        assert answer.data["reason"] == "required-missing"
        assert answer.data["missing"] == ["aimm-wanted"]
        install("aimm-wanted", "1.2", entry_points={"w": "wanted"}, files=["wanted.py"])
        aimm_plugins.refresh()
        assert (await request(app)).status == 200


@pytest.mark.parametrize(
    ("rule", "missing"),
    [("fit:shared", ["fit:shared"]), ("aimm-one", ["aimm-one"]), ("fit:one", [])],
)
async def test_required_key_in_conflict_is_missing_and_its_plugins_have_failed(
    write, install, serve, rule, missing
):
    for name in ("one", "two"):
        write(**{name: f"@fit(['shared', '{name}'])\ndef f(m): ...\n"})
        install(f"aimm-{name}", "1.0", entry_points={name: name}, files=[f"{name}.py"])
    conf = {"names": [], "on_error": "isolate", "required": [rule]}
    async with serve(Startup(conf, wait=True)) as app:
        answer = await request(app)
        assert answer.status == (503 if missing else 200)
        assert answer.data["missing"] == missing
        assert answer.data["failed"] == ["aimm-one", "aimm-two"]


@pytest.mark.parametrize("where", ["conf", "policy"])
async def test_required_distribution_that_fails_is_named(write, install, serve, where, monkeypatch):
    site = write(wanted="raise ValueError")
    install("aimm-wanted", "1.2", entry_points={"w": "wanted"}, files=["wanted.py"])
    conf = {"names": [], "on_error": "isolate", "entry_points": {"allow": ["aimm-wanted"]}}
    if where == "conf":
        conf["required"] = ["aimm-wanted"]
    else:
        (site / "policy.yaml").write_text("required: [aimm-wanted]")
        monkeypatch.setenv("AIMM_PLUGINS_POLICY", str(site / "policy.yaml"))
    async with serve(Startup(conf, wait=True)) as app:
        answer = await request(app)
        assert (answer.status, answer.data["reason"]) == (503, "required-missing")
        assert answer.data["missing"] == answer.data["failed"] == ["aimm-wanted"]


SECRET = "s3cr3t"


@pytest.fixture
def telling(write, install, tmp_path):
    """A conf of which every free text, path and place has the secret in it."""
    site = write(bad=f"raise ValueError('{SECRET}')", clash_a=GOOD, clash_b=GOOD, denied=GOOD)
    install("aimm-denied", entry_points={"d": "denied"}, files=["denied.py"])
    folder = tmp_path / SECRET
    folder.mkdir()
    (site / "aimm_broken-1.0.dist-info").mkdir()
    (site / "aimm_broken-1.0.dist-info" / "entry_points.txt").write_text(SECRET)
    (site / "aimm_broken-1.0.dist-info" / "RECORD").write_text("aimm_broken.py,,\n")
    conf = folder / "plugins.yaml"
    conf.write_text(
        "names: [bad, clash_a, clash_b]\n"
        "on_error: isolate\n"
        f"entry_points: {{allow: [aimm-denied], deny: [aimm-denied, {SECRET}]}}\n"
    )
    return conf


async def test_nothing_written_freely_is_served(telling, serve, tmp_path):
    async with serve(Startup(telling, wait=True)) as app:
        report = await request(app, "/plugins")
        states = {record["name"]: record["state"] for record in report.data["plugins"]}
        assert states == {"bad": "failed", "clash_a": "failed", "clash_b": "failed", "d": "denied"}
        assert {
            record["error"] and record["error"]["type"] for record in report.data["plugins"]
        } == {"ValueError", "PluginConflictError", None}
        assert report.data["findings"]
        served = report.body + (await request(app)).body
        for hidden in (SECRET, str(tmp_path), "Traceback", ".py"):
            assert hidden.encode() not in served


async def test_places_of_secrets_are_not_served(write, serve, tmp_path, monkeypatch):
    write(good=GOOD)
    (tmp_path / "vault").write_text("x")
    monkeypatch.setenv("DB_PASSWORD", "x")
    options = {"token": f"file:{tmp_path / 'vault'}", "password": "env:DB_PASSWORD"}
    conf = names("good", options={"good": options})
    async with serve(Startup(conf, wait=True)) as app:
        (record,) = (await request(app, "/plugins")).data["plugins"]
        assert (record["state"], record["options"]) == ("loaded", [])
    assert aimm_plugins.current_report().plugins[0].options  # there was something to hide


async def test_details_are_served_when_asked_for(telling, serve, tmp_path):
    async with serve(Startup(telling, wait=True, details=True)) as app:
        report = (await request(app, "/plugins")).data
        assert report == aimm_plugins.current_report().to_dict()
        assert SECRET in json.dumps(report)


async def test_details_of_what_ended_the_load_are_served_when_asked_for(serve):
    async with serve(Startup({"names": [], "nmaes": []}, wait=True, details=True)) as app:
        assert "nmaes" in (await request(app)).data["error"]["message"]
        (finding,) = (await request(app, "/plugins")).data["findings"]
        assert "ConfigError: at nmaes: unknown key" in finding["message"]


@pytest.mark.parametrize("path", ["/plugins", "/plugins/ready"])
async def test_answers_are_json_that_nobody_keeps(serve, path):
    async with serve(Startup(names(), wait=True)) as app:
        answer = await request(app, path)
        assert answer.headers == {
            "content-type": "application/json",
            "content-length": str(len(answer.body)),
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
        }
        head = await request(app, path, "HEAD")
        assert (head.status, head.headers, head.body) == (200, answer.headers, b"")
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            refused = await request(app, path, method)
            assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("path", "root_path", "kind"),
    [
        ("/plugins", "", "report"),
        ("/plugins/", "", "report"),
        ("/plugins/ready", "", "ready"),
        ("/api/plugins/ready", "/api", "ready"),  # behind a proxy
        ("/plugins/ready", "/plugins", "ready"),  # mounted at its path
        ("/plugins/", "/plugins", "report"),
        ("/plugins", "/plugins", "report"),
        ("/ready", "/plugins", "ready"),  # as earlier versions of Starlette mount
        ("/admin/p/ready", "/admin/p", "ready"),  # mounted elsewhere
        ("/admin/p", "/admin/p", "report"),
        ("/plugins/readying", "", None),
        ("/pluginsready", "", None),
        ("/", "", "report"),
        ("/other", "", None),
    ],
)
def test_mounted_anywhere_it_knows_its_addresses(path, root_path, kind):
    answer = asyncio.run(request(Startup(names()), path, root_path=root_path))
    if kind is None:
        assert answer.status == 404
    else:
        assert ("ready" in answer.data) == (kind == "ready")


@pytest.mark.parametrize("path", ["/", "/ready", "/pluginsready", "/plugins/other", "/a/plugins"])
def test_application_in_the_middle_gets_all_other_requests(path):
    app = StartupMiddleware(hello, Startup(names()))
    assert asyncio.run(request(app, path)).body == b"hello"


def test_addresses_may_be_others():
    app = StartupMiddleware(hello, Startup(names(), path="/internal/p"))
    assert asyncio.run(request(app, "/internal/p/ready")).status == 503
    assert asyncio.run(request(app, "/plugins/ready")).body == b"hello"


async def test_websocket_is_closed():
    sent = []

    async def send(message):
        sent.append(message["type"])

    async def receive():
        return {"type": "websocket.connect"}

    await Startup(names())({"type": "websocket", "path": "/plugins"}, receive, send)
    assert sent == ["websocket.close"]


class Recorder:
    """An application with a lifespan of its own, which notes what was there when."""

    def __init__(self, *, fails_at: str = "") -> None:
        self.seen: list[tuple[str, bool]] = []
        self.fails_at = fails_at

    def _note(self, kind: str) -> None:
        self.seen.append((kind, ("fit", "k") in aimm_plugins.providers()))

    async def __call__(self, scope, receive, send):
        for kind in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{kind}"
            self._note(kind)
            if self.fails_at == kind:
                await send({"type": f"lifespan.{kind}.failed", "message": "mine"})
                return
            if self.fails_at == f"raise {kind}":
                raise ValueError("mine")
            await send({"type": f"lifespan.{kind}.complete"})


async def test_application_starts_after_plugins(write):
    write(good=GOOD)
    inner = Recorder()
    startup = Startup(names("good"), wait=True)
    async with Server(StartupMiddleware(inner, startup)) as server:
        pass
    # A server may end the process as soon as it is told.
    assert server.provided == {
        "lifespan.startup.complete": True,
        "lifespan.shutdown.complete": True,
    }
    assert inner.seen == [("startup", True), ("shutdown", True)]


async def test_applications_own_failure_to_start_is_passed_on(write):
    write(good=GOOD)
    startup = Startup(names("good"), wait=True)
    server = Server(StartupMiddleware(Recorder(fails_at="startup"), startup))
    assert await server.start() == {"type": "lifespan.startup.failed", "message": "mine"}
    await server.task
    assert startup.readiness()["reason"] == "stopped"


async def test_applications_own_failure_to_stop_is_passed_on(write):
    write(good=GOOD)
    startup = Startup(names("good"), wait=True)
    server = Server(StartupMiddleware(Recorder(fails_at="raise shutdown"), startup))
    await server.start()
    with pytest.raises(ValueError, match="mine"):
        await server.stop()
    assert startup.readiness()["reason"] == "stopped"


async def test_application_without_lifespan_is_served_all_the_same(write, caplog):
    write(good=GOOD)
    caplog.set_level(logging.INFO, "aimm_plugins")
    app = StartupMiddleware(hello, Startup(names("good"), wait=True))
    async with Server(app):
        assert (await request(app)).status == 200
        assert (await request(app, "/")).body == b"hello"
    assert "takes no lifespan: ValueError: only http" in caplog.text


async def test_plugins_stay_after_the_server(write, serve):
    write(good=GOOD)
    async with serve(Startup(names("good"), wait=True)):
        pass
    assert aimm_plugins.exec_fit("k", 1) == 1


async def test_plugins_see_the_servers_context_variables(write):
    write(
        seer="import contextvars\n@fit(['k'])\ndef f(m): ...\nseen = {v.name for v in contextvars.copy_context()}\n"
    )
    variable = contextvars.ContextVar("of_the_server")
    variable.set(1)
    async with Startup(names("seer"), wait=True).lifespan():
        assert "of_the_server" in sys.modules["seer"].seen


async def test_two_applications_of_a_process_load_once(write):
    write(good="import builtins\nbuiltins.loads = getattr(builtins, 'loads', 0) + 1\n" + GOOD)
    startup = Startup(names("good"), wait=True)
    async with startup.lifespan():
        async with Server(StartupMiddleware(hello, startup)):
            load = startup._load
        assert startup._load is load
        assert startup.ready
        assert aimm_plugins.exec_fit("k", 1) == 1
    assert not startup.ready


async def test_server_that_starts_again_loads_again(write):
    write(good=GOOD)
    startup = Startup(names("good"), wait=True)
    for _ in range(2):
        async with startup.lifespan():
            assert aimm_plugins.exec_fit("k", 1) == 1
        assert startup.readiness()["reason"] == "stopped"


async def test_stop_does_not_wait_for_an_import(write, gate, serve):
    write(slow=SLOW)
    startup = Startup(names("slow"))
    async with serve(startup):
        pass
    assert startup.readiness()["reason"] == "stopped"
    assert ("fit", "slow") not in aimm_plugins.providers()
    gate()
    for thread in threading.enumerate():
        if thread.name == "aimm_plugins start-up":
            thread.join(60)


async def test_start_after_a_stop_joins_the_import_that_still_runs(write, gate):
    write(slow=SLOW)
    startup = Startup(names("slow"))
    async with startup.lifespan():
        load = startup._load
    async with startup.lifespan():
        assert startup._load is load
        gate()
        await until_ready(startup)
        assert startup.ready
        assert aimm_plugins.exec_fit("slow", 1) == 1


async def test_start_that_is_cancelled_leaves(write, gate):
    write(slow=SLOW)
    startup = Startup(names("slow"), wait=True)
    server = Server(startup)
    starting = asyncio.create_task(server.start())
    while startup._load is None:
        await asyncio.sleep(0)
    server.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert server.sent == []
    assert startup.readiness()["reason"] == "stopped"


@pytest.mark.parametrize("on_failure", ["report", "raise"])
def test_interrupt_in_a_plugin_reaches_the_host(write, on_failure):
    write(bad="raise KeyboardInterrupt")
    startup = Startup(names("bad"), wait=True, on_failure=on_failure)
    interrupted = threading.Event()

    async def main():
        answer = await Server(startup).start()
        failed = answer["type"] == "lifespan.startup.failed"
        assert failed == (on_failure == "raise")
        assert startup._load.result().__class__ is KeyboardInterrupt
        # The interpreter calls the handler in this thread, at one of its next steps.
        while not interrupted.is_set():
            await asyncio.sleep(0)

    before = signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    try:
        asyncio.run(main())
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"on_failure": "ignore"}, "'report' or 'raise'"),
        ({"on_failure": "raise"}, "wait=True"),
        ({"on_failure": "raise", "wait": 5}, "wait=True"),
        ({"path": "plugins"}, "'/plugins'"),
        ({"path": "/"}, "'/plugins'"),
    ],
)
def test_wrong_argument_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Startup(**arguments)


@pytest.mark.parametrize("details", [True, False])
async def test_import_that_the_server_waits_for_is_named_with_details_alone(write, gate, details):
    write(slow=SLOW)
    startup = Startup(names("slow"), details=details)
    async with Server(startup):
        while not imports_under_way(PROCESS.runtime.registry.loads):
            await asyncio.sleep(0.01)
        (found,) = (await request(startup, "/plugins")).data["findings"]
        gate()
        await until_ready(startup)
    assert found["code"] == "loading"
    if details:
        assert found["subject"] == "slow"
        assert found["message"].startswith("config name slow")
        assert "is being imported" in found["message"]
    else:
        assert (found["subject"], found["message"]) == ("", "plugins are being loaded")


async def test_reason_that_is_not_shown_is_in_the_log_at_its_default_level(write, install, caplog):
    write(denied="")
    install("denied-dist", entry_points={"d": "denied"}, files=["denied.py"])
    conf = {"names": [], "entry_points": {"allow": ["denied-dist"], "deny": ["denied-dist"]}}
    startup = Startup(conf, wait=True)
    async with Server(startup):
        answers = [(await request(startup, "/plugins")).data for _ in range(2)]
    for answer in answers:
        assert "log" in answer["plugins"][0]["reason"]
    (line,) = [line for line in caplog.records if "denied-dist" in line.getMessage()]
    assert line.levelno == logging.WARNING
    assert "deny" in line.getMessage()


async def test_reason_is_not_logged_where_it_is_served(write, install, caplog):
    write(denied="")
    install("denied-dist", entry_points={"d": "denied"}, files=["denied.py"])
    conf = {"names": [], "entry_points": {"allow": ["denied-dist"], "deny": ["denied-dist"]}}
    startup = Startup(conf, wait=True, details=True)
    async with Server(startup):
        served = (await request(startup, "/plugins")).data
    assert "deny" in served["plugins"][0]["reason"]
    assert caplog.records == []
