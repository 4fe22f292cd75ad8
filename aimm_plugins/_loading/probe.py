"""Importing a plugin in a child process first, where it can hang or crash without harm.

A timeout in the process itself is no help: a thread that imports cannot be stopped, and holds its
locks. No verdict is kept, since what breaks a plugin is an upgrade of something else.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

from aimm_plugins.errors import PluginImportError

# Run by `python -c`, so that the child has nothing of the host but the path and its environment.
# It answers in a file: a plugin may print, and a status of 0 is not enough, since `os._exit(0)` in
# the middle of an import has that too.
_CHILD = """\
import importlib, json, os, sys
job = json.loads(sys.stdin.buffer.read())
sys.path[:] = job["path"]
sys.argv[:] = [""]
if job["options"] is not None:
    from aimm_plugins._startup.plugin_options import give
    give(job["module"], job["options"])
try:
    importlib.import_module(job["module"])
except BaseException as error:
    try:
        text = str(error)
    except BaseException:
        text = "<unprintable>"
    try:
        import traceback
        trace = "".join(traceback.format_exception(error))
    except BaseException:
        trace = ""
    told = {"type": type(error).__name__, "text": text[:10_000], "trace": trace[-100_000:]}
else:
    told = {}
with open(job["answer"], "w", encoding="utf-8") as stream:
    json.dump(told, stream)
os._exit(0)
"""


def probe(module: str, seconds: float, options: Mapping[str, Any] | None = None) -> None:
    """Import a module in a child process and return when that has succeeded.

    The child gets this process's `sys.path`, environment and working directory, and neither its
    import hooks nor what it has imported. Its threads, children and output end with it.

    Args:
        module: Dotted name.
        seconds: Time that the import may take, start of the child included.
        options: What the plugin is given.

    Raises:
        PluginImportError: The import raised, or the child hung, crashed or left early.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        answer = os.path.join(folder, "answer.json")
        job = {
            "module": module,
            "path": [each for each in sys.path if isinstance(each, str)],
            "answer": answer,
            "options": as_json(options),  # by a pipe, since it has secrets
        }
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            child.communicate(json.dumps(job).encode(), timeout=seconds)
        except subprocess.TimeoutExpired:
            raise PluginImportError(
                f"importing {module} in a child process took more than {seconds:g} seconds",
                name=module,
            ) from None
        finally:
            end_with_children(child)
        told = _read(answer)
    if told is None:
        raise PluginImportError(
            f"the child process that imported {module} {_how(child.returncode)}", name=module
        )
    if told:
        error = PluginImportError(
            f"importing {module} in a child process raised {told['type']}: {told['text']}",
            name=module,
        )
        if told["trace"]:
            error.add_note("In the child process:\n" + told["trace"].rstrip())
        raise error


def as_json(options: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A plugin's options for a child process, or `None` where they cannot be written down."""
    try:
        json.dumps(options)
    except (TypeError, ValueError, RecursionError):  # a host's mapping may hold anything
        return None
    return None if options is None else dict(options)


def end_with_children(child: subprocess.Popen[bytes]) -> None:
    """Stop the child and all that it started."""
    try:
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
    except (ProcessLookupError, PermissionError):
        pass
    child.wait()


def _read(path: str) -> dict[str, str] | None:
    try:
        with open(path, encoding="utf-8") as stream:
            told = json.load(stream)
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None


def _how(status: int) -> str:
    if status < 0:
        try:
            return f"was ended by {signal.Signals(-status).name}"
        except ValueError:
            return f"was ended by signal {-status}"
    return f"left with status {status} in the middle of the import"
