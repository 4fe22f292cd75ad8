"""A host and its plugins in a fork of their own, for what a test process would not survive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.metadata import write_dist_info

HEADER = "from aimm_plugins import *\nimport aimm_plugins\n"
GOOD = "@data_access('good')\ndef good():\n    return 42\n"
BAD = "@fit(['bad'])\ndef bad(model):\n    return 'bad'\n"


class Server:
    """The process that forks for each case."""

    def __init__(self, deps: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server.py")), str(deps)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=deps,
            env={
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("AIMM_PLUGINS", "PYTHON"))
            },
        )

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Run one case."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the fork server died"
        loaded: dict[str, Any] = json.loads(answer)
        return loaded

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


class Case:
    """One case: a folder with plugins, and a host that runs in its own process.

    Attributes:
        folder: The host's working directory.
        site: First on the host's `sys.path`.
        path: Folders that stand first on the host's `sys.path`.
        env: Added to the host's environment.
    """

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self.folder = folder
        self.site = folder / "site"
        self.site.mkdir()
        self.path: list[str] = [str(self.site)]
        self.env: dict[str, str] = {}

    def module(
        self, name: str, source: str, *, header: str = HEADER, site: Path | None = None
    ) -> Path:
        """Write a plugin module, which has the decorators; dots make packages."""
        path = (site or self.site).joinpath(*name.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(header + textwrap.dedent(source), encoding="utf-8")
        return path

    def package(self, name: str, source: str = "") -> Path:
        """Write a package's `__init__`."""
        self.site.joinpath(*name.split(".")).mkdir(parents=True, exist_ok=True)
        return self.module(name, source)

    def file(self, name: str, content: bytes | str) -> Path:
        """Write any file of the site."""
        path = self.site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def dist(self, name: str, version: str = "1.0", **options: Any) -> Path:
        """Write the dist-info of a distribution; see `write_dist_info`."""
        return write_dist_info(options.pop("site", self.site), name, version, **options)

    def good(self) -> None:
        """Install the healthy plugin."""
        self.module("good", GOOD)
        self.dist("good-dist", entry_points={"good": "good"}, files=["good.py"])

    def bad(self, source: str | bytes | None = None, value: str = "bad") -> None:
        """Install the hostile plugin; without a source, only its metadata."""
        if isinstance(source, bytes):
            self.file("bad.py", source)
        elif source is not None:
            self.module("bad", source)
        self.dist("bad-dist", "6.6.6", entry_points={"bad": value}, files=["bad.py"])

    def run(self, script: str, *, timeout: float = 20, code: int = 0) -> dict[str, Any]:
        """Run a host; what its script puts into `out` comes back.

        Args:
            script: Python source, with the names of `host.py` and the dict `out`.
            timeout: Seconds until the host is killed and the case fails.
            code: The exit code that is expected.
        """
        (self.folder / "host_script.py").write_text(textwrap.dedent(script), encoding="utf-8")
        out = self.folder / "out.json"
        out.unlink(missing_ok=True)
        answer = self._server.ask(
            {"folder": str(self.folder), "path": self.path, "env": self.env, "timeout": timeout}
        )
        output = self.output()
        assert not answer["overdue"], f"the host hung\n{output}"
        assert answer["code"] == code, f"the host ended with {answer['code']}\n{output}"
        loaded: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
        return loaded

    def output(self) -> str:
        """What the last host wrote."""
        return (self.folder / "output.txt").read_text(errors="replace")[-4000:]

    def gauntlet(
        self, conf: Mapping[str, Any] | None = None, *, timeout: float = 20
    ) -> dict[str, Any]:
        """Put a host through `host.gauntlet`."""
        (self.folder / "conf.json").write_text(json.dumps(conf))
        return self.run("out.update(gauntlet(json.load(open('conf.json'))))", timeout=timeout)

    def repaired(self) -> dict[str, Any]:
        """The gauntlet, then the hostile module is written anew and loads in the same process."""
        return self.run(
            f"""
            out.update(gauntlet({{}}))
            Path("site/bad.py").write_text({HEADER + BAD!r})
            out["repaired"] = account(initialize())
            out["bad_repaired"] = attempt(exec_fit, "bad", None)
            """
        )

    @property
    def marker(self) -> Path:
        """A file that a module writes when it runs, where it must not."""
        return self.folder / "marker"

    def trap(self) -> str:
        """Source that writes the marker."""
        return f"open({str(self.marker)!r}, 'w').close()\n"


def record(account: Mapping[str, Any], name: str = "bad") -> dict[str, Any]:
    """The one record of a name."""
    (found,) = [each for each in account["plugins"] if each["name"] == name]
    return found


def assert_healthy(got: Mapping[str, Any], alone: bool = True) -> None:
    """The host came up with the healthy plugin, before and after a strict failure."""
    assert got["imported_by_plan"] == []
    assert got["good"] == got["good_again"] == {"value": 42}
    for stage in ("isolate", "current", "repeat", "again"):
        assert got[stage]["states"]["good"] == "loaded"
        if alone:
            assert got[stage]["keys"] == ["data_access:good"]
            assert got[stage]["plugged"] == ["good"]
    assert got["unloaded"] == []


def assert_failed(
    got: Mapping[str, Any], error: str | Sequence[str] | None = None
) -> dict[str, Any]:
    """The hostile plugin is the only failure, named in full; nothing of it is registered."""
    assert_healthy(got)
    for stage in ("isolate", "current", "repeat", "again"):
        assert got[stage]["states"]["bad"] == "failed"
        assert not got[stage]["ok"]
        assert "bad-dist 6.6.6" in got[stage]["text"]
    assert got["bad"]["error"] == "UnknownPluginError"
    strict = got["strict"]
    assert strict["error"] == "PluginLoadError"
    assert strict["pickled"]
    assert strict["states"] == {"bad": "failed", "good": "undone"}
    assert strict["keys"] == strict["plugged"] == []
    assert "bad-dist 6.6.6" in strict["text"]
    found = record(got["isolate"])
    assert (found["distribution"], found["version"], found["module"]) == (
        "bad-dist",
        "6.6.6",
        "bad",
    )
    assert found["error"]["type"]
    if error is not None:
        text = f"{found['error']['type']}: {found['error']['message']}"
        for part in [error] if isinstance(error, str) else error:
            assert part in text
    return found
