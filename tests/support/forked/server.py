"""A process that has imported `aimm_plugins` once and forks for each case.

Run as a script: one JSON request a line on stdin, one JSON answer a line on stdout. A case is a
Python source that runs in a fork of this process, in a session of its own that is killed when the
case is over or overdue.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import sys
import time
import traceback
from typing import Any


def main() -> None:
    """Answer requests until stdin ends."""
    here, deps = os.path.dirname(os.path.abspath(__file__)), sys.argv[1]
    # What happens to be installed beside the package is no part of any case.
    bare = [item for item in sys.path if item != here and not _holds_metadata(item)]
    sys.path[:] = [here, *bare, deps]
    import host

    sys.path.remove(here)
    gc.freeze()  # a collection in a child would copy every page
    ready, wake = os.pipe()
    os.set_blocking(ready, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _child(request, vars(host))
        sys.stdout.write(json.dumps(_await(pid, request["timeout"], ready)) + "\n")
        sys.stdout.flush()


def _holds_metadata(folder: str) -> bool:
    return os.path.isdir(folder) and any(
        name.endswith((".dist-info", ".egg-info")) for name in os.listdir(folder)
    )


def _await(pid: int, timeout: float, ready: int) -> dict[str, object]:
    end, status = time.monotonic() + timeout, 0
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        left = end - time.monotonic()
        if ended or left <= 0:
            break
        if select.select([ready], [], [], left)[0]:
            os.read(ready, 1024)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # whoever it left behind, too
    if not ended:
        _, status = os.waitpid(pid, 0)
    return {"code": os.waitstatus_to_exitcode(status), "overdue": not ended}


def _child(request: dict[str, Any], tools: dict[str, object]) -> None:
    code = 70
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        folder = request["folder"]
        os.chdir(folder)
        with open(os.devnull) as nothing, open("output.txt", "w") as output:
            os.dup2(nothing.fileno(), 0)
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        os.environ.update(request["env"])
        os.environ["PYTHONPATH"] = os.pathsep.join([*request["path"], sys.path[-1]])
        sys.dont_write_bytecode = True
        sys.path[:0] = request["path"]
        sys.argv[:] = ["host"]
        script = os.path.join(folder, "host_script.py")
        with open(script, encoding="utf-8") as stream:
            source = stream.read()
        import types

        main = types.ModuleType("__main__")
        main.__file__ = script
        sys.modules["__main__"] = main
        vars(main).update({k: v for k, v in tools.items() if not k.startswith("__")})
        out: dict[str, object] = {}
        vars(main)["out"] = out
        dump, write = json.dumps, open
        exec(compile(source, script, "exec"), vars(main))
        with write(os.path.join(folder, "out.json"), "w") as stream:
            stream.write(dump(out))
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
        os.write(2, traceback.format_exc().encode(errors="backslashreplace"))
    except BaseException:
        code = 1
        os.write(2, traceback.format_exc().encode(errors="backslashreplace"))
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BaseException):  # a plugin may have replaced or closed it
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
