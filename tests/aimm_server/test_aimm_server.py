"""The original's server with this package behind its plugin interface.

The same client says the same things to the server on its own plugin interface and on ours, before
and after a restart. The original has defects of its own, on either, that the conf and the client
go around:

- the REPL control cannot send a state that changed within what it sent before (integer keys in a
  JSON Pointer), and ends the session: states come once, over a second control, while the first one
  holds them back;
- while a session ends, actions of other sessions fail ("can't spawn task in closed group");
- a model that was read from the database can be neither fitted nor predicted with (a `KeyError` of
  its id) until it is updated.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
OURS = [sys.executable, "-m", "aimm_plugins.compat"]
THEIRS = [sys.executable, "-m"]

pytestmark = pytest.mark.aimm_server


class Trial:
    """One server's database, conf and ports, over restarts."""

    def __init__(self, folder: Path, runner: list[str], plugins: list[str]) -> None:
        self.runner = runner
        self.folder = folder
        self.ports = free_port(), free_port()
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(PROGRAMS),
            "WITNESS": str(folder / "witness.jsonl"),
        }
        user = {"username": "ada", "password": hashlib.sha256(b"secret").hexdigest()}
        conf = {
            "name": "trial",
            "engine": {"sigterm_timeout": 5, "max_children": 2, "check_children_period": 0.02},
            "backend": {
                "module": "aimm.server.backend.sqlite",
                "path": str(folder / "models.db"),
            },
            "control": [
                {
                    "module": "aimm.server.control.repl",
                    "server": {"host": "127.0.0.1", "port": port, "autoflush_delay": delay},
                    "users": [user],
                }
                for port, delay in zip(self.ports, (3600, 0.02), strict=True)
            ],
            "plugins": {"names": plugins},
            "log": {
                "version": 1,
                "root": {"level": "INFO", "handlers": ["stderr"]},
                "handlers": {"stderr": {"class": "logging.StreamHandler"}},
            },
        }
        self.conf = folder / "server.json"
        self.conf.write_text(json.dumps(conf))

    @contextlib.contextmanager
    def server(self) -> Iterator[int]:
        """The running server's process id; on leaving it is asked to end, and must end well."""
        with (self.folder / "server.log").open("a+") as log:
            process = subprocess.Popen(
                [*self.runner, "aimm.server.main", "--conf", str(self.conf)],
                cwd=self.folder,
                env=self.environment,
                stderr=log,
            )
            try:
                for port in self.ports:
                    wait_for(port, process)
                yield process.pid
                process.send_signal(signal.SIGTERM)
                assert process.wait(30) == 0
            except BaseException as error:
                log.seek(0)
                error.add_note(log.read())
                raise
            finally:
                process.kill()
                process.wait()

    def talk(self, moment: str) -> dict[str, object]:
        """What the client was told."""
        done = subprocess.run(
            [*self.runner, "client", *map(str, self.ports), moment],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, object] = json.loads(done.stdout)
        return answer

    def calls(self) -> list[dict[str, object]]:
        """What the witness saw since it was asked last."""
        file = Path(self.environment["WITNESS"])
        lines = file.read_text().splitlines()
        file.unlink()
        return [json.loads(line) for line in lines]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            # Nobody tells when the server listens.
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"no server on port {port}; its exit status: {process.poll()}")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory) -> list[dict[str, object]]:
    """What the client is told by the original alone, fresh and restarted."""
    trial = Trial(tmp_path_factory.mktemp("theirs"), THEIRS, ["sk_models"])
    answers = []
    for moment in ("fresh", "restarted"):
        with trial.server():
            answers.append(trial.talk(moment))
    assert {answer["plugins"] for answer in answers} == {"aimm.plugins.common"}
    return answers


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> list[dict[str, object]]:
    """The same with this package, and the calls that it made."""
    trial = Trial(tmp_path_factory.mktemp("ours"), OURS, ["sk_models", "witness"])
    answers = []
    for moment in ("fresh", "restarted"):
        with trial.server() as pid:
            answer = trial.talk(moment)
        answers.append({**answer, "pid": pid, "calls": trial.calls()})
    assert {answer["plugins"] for answer in answers} == {"aimm_plugins._api.starting"}
    return answers


def test_models_are_created_fitted_and_predicted_with(ours):
    assert ours[0]["said"] == {
        "no plugin": True,
        "created": "aimm.client.repl.Model<sk.logistic>(instance_id=1)",
        "plugin's error": "Found input variables with inconsistent numbers of samples: [150, 2]",
        "predicted": [0, 1, 2],
    }


def test_models_are_reloaded_after_a_restart(ours):
    said = ours[1]["said"]
    assert said["models"] == {
        "1": "aimm.client.repl.Model<sk.logistic>(instance_id=1)",
        "2": "aimm.client.repl.Model<sk.logistic>(instance_id=2)",
    }
    assert said["reloaded"] == said["predicted"] == ours[0]["said"]["predicted"]


def test_this_package_makes_every_call(ours):
    calls = [{call["call"]: call["provider"] for call in answer["calls"]} for answer in ours]
    assert calls[0] == {
        "data_access:iris": "sk_models.iris",
        "instantiate:nobody": None,
        "instantiate:sk.logistic": "sk_models.make",
        "fit:sk.logistic": "sk_models.learn",
        "predict:sk.logistic": "sk_models.guess",
        "serialize:sk.logistic": "sk_models.dump",
    }
    assert calls[1] == {
        "deserialize:sk.logistic": "sk_models.load",
        "predict:sk.logistic": "sk_models.guess",
        "serialize:sk.logistic": "sk_models.dump",
    }


def test_actions_run_in_forked_processes_and_storage_in_the_server(ours):
    for answer in ours:
        for call in answer["calls"]:
            stored = call["call"].startswith(("serialize:", "deserialize:"))
            assert (call["pid"] == answer["pid"]) is stored


@pytest.mark.parametrize(("index", "moment"), [(0, "fresh"), (1, "restarted")])
def test_server_says_the_same_as_on_its_own_plugins(ours, theirs, index, moment):
    assert ours[index]["said"] == theirs[index]["said"]
