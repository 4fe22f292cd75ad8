"""How a process of an environment is started."""

from __future__ import annotations

import os
import socket
import subprocess
from typing import NamedTuple

# The path comes first: everything else is imported by it. What is imported is no garbage, and
# looking for some takes a fifth of the time, also later on, were it not frozen.
_BOOTSTRAP = (
    "import gc, sys; gc.disable(); channel, *path = sys.argv[1:]; sys.path[:] = path or sys.path; "
    "from aimm_plugins._startup.environments.child import serve; gc.freeze(); gc.enable(); "
    "serve(int(channel))"
)


class Program(NamedTuple):
    """How a process of an environment is started.

    Attributes:
        environment: Name of the environment.
        root: Its folder.
        path: What `sys.path` is; `None` for what the interpreter makes of it.
    """

    environment: str
    python: str
    root: str
    path: tuple[str, ...] | None = None

    def start(self, channel: socket.socket, output: int) -> subprocess.Popen[bytes]:
        descriptor = str(channel.fileno())
        return subprocess.Popen(
            [self.python, "-u", "-P", "-s", "-c", _BOOTSTRAP, descriptor, *(self.path or ())],
            stdin=subprocess.PIPE,  # the process ends when the other end is closed
            stdout=output,
            stderr=output,
            pass_fds=[channel.fileno()],
            env=self.variables(),
            start_new_session=True,
        )

    def variables(self) -> dict[str, str]:
        """The variables of a process: those of the host, but for what is about its Python."""
        ours = ("PYTHONPATH", "PYTHONHOME", "AIMM_PLUGINS_")
        found = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
        if self.path is None:
            found["VIRTUAL_ENV"] = self.root
            folder = os.path.dirname(self.python)
            found["PATH"] = os.pathsep.join(filter(None, (folder, found.get("PATH"))))
        return found
