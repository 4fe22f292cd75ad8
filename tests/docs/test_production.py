"""The page on production is true: servers are started with its files, and do what it says.

`UPDATE_DOCS=1 pytest tests/docs` writes the lines of the log into the page.
"""

from __future__ import annotations

import configparser
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import Page, run
from tests.support.installing import ROOT, environment

PAGE = Page(ROOT / "docs" / "production.md")


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with the files of the page, and the application of the page on ASGI servers."""
    app = Page(ROOT / "docs" / "asgi.md").files()["app.py"]
    app = app.replace('Startup("plugins.yaml")', "Startup()")
    for name, text in {"app.py": app, **PAGE.files()}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def fetch(port: int, path: str) -> tuple[int, str]:
    """What an address answers, once somebody listens there."""
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            time.sleep(0.1)
    raise AssertionError("nobody answers")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@contextmanager
def running(folder: Path, *command: str, **variables: str):
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env=environment(PYTHONPATH=str(folder), PYTHONDONTWRITEBYTECODE="1", **variables),
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    except BaseException:
        sys.stderr.write(log.read_text(errors="replace"))
        raise
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        finally:
            process.kill()


def test_unit_names_commands_that_there_are():
    (unit,) = PAGE.blocks("ini")
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read_string(unit.code)
    service = parser["Service"]
    assert Path(shlex.split(service["ExecStartPre"])[0]).name == "aimm-plugins"
    assert shlex.split(service["ExecStartPre"])[1:] == ["plan"]
    assert "app:app" in shlex.split(service["ExecStart"])


def test_probes_ask_what_the_server_answers(folder):
    pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    probes = yaml.safe_load(PAGE.files()["probes.yaml"])
    port = free_port()
    command = ("uvicorn", "app:app", "--port", str(port))
    with running(folder, *command, AIMM_PLUGINS_CONF="plugins.yaml"):
        paths = {name: probe["httpGet"]["path"] for name, probe in probes.items()}
        while (answer := fetch(port, paths["startupProbe"]))[0] == 503:
            assert json.loads(answer[1])["reason"] in ("loading", "not-started")
        assert answer[0] == 200
        assert fetch(port, paths["readinessProbe"])[0] == 200
        assert fetch(port, paths["livenessProbe"]) == (200, '"alive"')


@pytest.mark.parametrize("preload", [False, True])
def test_hup_takes_up_an_upgrade_where_nothing_is_preloaded(folder, preload):
    pytest.importorskip("gunicorn")
    port = free_port()
    conf = folder / "gunicorn.conf.py"
    text = conf.read_text().replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    conf.write_text(text.replace("preload_app = False", f"preload_app = {preload}"))
    with running(folder, "gunicorn", "wsgi:app") as server:
        assert fetch(port, "/") == (200, "hello")
        assert fetch(port, "/ready")[0] == 200
        plugin = folder / "greetings.py"
        plugin.write_text(plugin.read_text().replace("hello", "good day"))
        before = (folder / "server.log").read_text().count("Booting worker")
        server.send_signal(signal.SIGHUP)
        while (folder / "server.log").read_text().count("Booting worker") < before + 2:
            time.sleep(0.1)
        for _ in range(600):  # the old workers go on until they have ended
            answer = fetch(port, "/")[1]
            if answer == "good day" or preload:
                break
            time.sleep(0.1)
        assert answer == ("hello" if preload else "good day")


def test_child_of_celery_has_the_plugins(folder):
    pytest.importorskip("celery")
    code = (
        "import tasks, aimm_plugins\n"
        "assert not aimm_plugins.providers()\n"
        "tasks.worker_process_init.send(None)\n"
        "print(tasks.greet.apply().get())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(PYTHONPATH=str(folder)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "hello\n", done.stderr


def test_log_has_the_lines_that_the_page_shows(folder):
    (command, _, block) = next(out for out in PAGE.outputs() if out[0].startswith("python"))
    printed = run(command, folder, folder)
    output = re.sub(r'"seconds": [\d.e-]+', '"seconds": 0.004', printed)
    PAGE.hold(block, output)
