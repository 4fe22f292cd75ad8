"""uvicorn in a process of its own, asked by a real HTTP client."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.installing import environment


class Served:
    """A server that runs.

    Args:
        process: Its process.
        url: Where it listens.
    """

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    def fetch(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Status and text of an answer."""
        asked = urllib.request.Request(self.url + path, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.status, error.read().decode()

    def ask(self, path: str, method: str = "GET") -> tuple[int, Any]:
        """Status of an answer, and its JSON."""
        status, text = self.fetch(path, method)
        return status, json.loads(text or "null")

    def stop(self, number: int = signal.SIGTERM) -> str:
        """End it by a signal; returns what it wrote."""
        self.process.send_signal(number)
        output, _ = self.process.communicate(timeout=60)
        assert "Application shutdown complete" in output
        return output


@contextmanager
def served(folder: Path, *arguments: str, **variables: str) -> Iterator[Served]:
    """Run uvicorn in a folder; killed if it does not end.

    Args:
        folder: Its current folder, which has its modules.
        arguments: Of uvicorn, such as `app:app`.
        variables: Of its environment.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", *arguments, "--fd", str(listening.fileno())],
            cwd=folder,
            env=environment(PYTHONPATH=str(folder), **variables),
            pass_fds=[listening.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    # From here on the process alone has the socket: who asks a dead server is told at once.
    try:
        yield Served(process, url)
    finally:
        process.kill()
        process.communicate()
