"""Make the environments that a conf declares: by uv where it is there, else by venv and pip.

Both are run as commands, so that nothing of them has to be installed here.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress

from aimm_plugins._environments.made import CONF, Wanted
from aimm_plugins._environments.site import NoEnvironmentError, find_site
from aimm_plugins._system.masking import without_passwords
from aimm_plugins.errors import AimmPluginsError

Say = Callable[[str], None]


def make(wanted: Wanted, say: Say, *, again: bool = False) -> bool:
    """Make an environment, unless it is there; returns whether it was made.

    It is built in a folder of its own, to which the link leads only once it is whole. Another
    process that makes it meanwhile is waited for. `again`: make it even if it is there, with what
    the index has by now. What was there is still there if that fails.
    """
    if not again and _is_there(wanted):
        return False
    try:
        os.makedirs(wanted.folder, exist_ok=True)
        with _locked(wanted, say):
            if not again and _is_there(wanted):
                return False
            _remove_remains(wanted)
            root = os.path.join(wanted.folder, f"{wanted.name}.{secrets.token_hex(4)}")
            try:
                _build(wanted, root, say)
                if wanted.conf is not None:
                    with open(os.path.join(root, CONF), "wb") as file:
                        file.write(os.fsencode(wanted.conf))
            except BaseException:
                shutil.rmtree(root, ignore_errors=True)
                raise
            link = f"{root}.link"
            os.symlink(os.path.basename(root), link)
            os.replace(link, wanted.link)
    except OSError as error:
        raise AimmPluginsError(
            f"environment {wanted.name} was not made in {wanted.folder}, which is "
            f"`environments_folder` of the conf: {error}"
        ) from error
    return True


def _is_there(wanted: Wanted) -> bool:
    link = wanted.link
    with suppress(NoEnvironmentError):
        find_site(link)
        return True
    return False


def remove(wanted: Wanted) -> list[str]:
    """Remove an environment of a conf, whatever it asked for; returns the folders of it."""
    removed = []
    if os.path.isdir(wanted.folder):
        with _locked(wanted, lambda _: None):
            for link in wanted.own_links:
                removed.append(os.path.realpath(link))
                os.unlink(link)
            for root in removed:
                shutil.rmtree(root, ignore_errors=True)
            _remove_remains(wanted)
    return removed


def users(root: str) -> list[int]:
    """The processes that run an environment's interpreter, as far as the system shows them."""
    start = os.path.join(root, "bin", "").encode()
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        with suppress(OSError):
            if name.isdecimal():
                with open(f"/proc/{name}/cmdline", "rb") as stream:
                    if stream.read(len(start)) == start:
                        found.append(int(name))
    return sorted(found)


def size_of(root: str) -> int:
    return sum(
        os.lstat(os.path.join(folder, file)).st_size
        for folder, _, files in os.walk(root)
        for file in files
    )


@contextmanager
def _locked(wanted: Wanted, say: Say) -> Generator[None]:
    """Hold the lock of an environment's name, which the system frees when the process ends."""
    with open(os.path.join(wanted.folder, f".{wanted.name}.lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{wanted.name}: waiting for another process that makes it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_remains(wanted: Wanted) -> None:
    """Remove folders that no link leads to and no process runs; the lock is held."""
    kept = {os.path.realpath(link) for link in wanted.links}
    for name in os.listdir(wanted.folder):
        path = os.path.join(wanted.folder, name)
        if name.startswith(f"{wanted.name}.") and path not in kept:
            if os.path.islink(path):
                os.unlink(path)
            elif not users(os.path.realpath(path)):
                shutil.rmtree(path, ignore_errors=True)


def _build(wanted: Wanted, root: str, say: Say) -> None:
    installed = ["-r", wanted.lock] if wanted.lock is not None else list(wanted.requirements)
    uv = shutil.which("uv")
    if uv is not None:
        _run(say, wanted, [uv, "venv", "--allow-existing", "--python", wanted.python, root])
        python = find_site(root).python
        install = [uv, "pip", "install", "--python", python]
    else:
        _run(say, wanted, [_interpreter(wanted), "-m", "venv", root])
        python = find_site(root).python
        install = [python, "-m", "pip", "install", "--disable-pip-version-check"]
    if wanted.lock is None:  # in one go, so that all fit each other
        _run(say, wanted, [*install, *installed, *wanted.own])
    else:  # first, since no index may have it; and last, since the list may have another version
        for arguments in (wanted.own, installed, wanted.own):
            _run(say, wanted, [*install, *arguments])


def _interpreter(wanted: Wanted) -> str:
    python = wanted.python
    if os.sep in python:
        return python
    if python == f"{sys.version_info.major}.{sys.version_info.minor}":
        return str(getattr(sys, "_base_executable", sys.executable))
    found = shutil.which(f"python{python}")
    if found is None:
        raise AimmPluginsError(
            f"environment {wanted.name}: there is no python{python} on PATH, and no uv, which "
            "would get one. Install uv, or give the interpreter's path as `python`"
        )
    return found


def _run(say: Say, wanted: Wanted, command: Sequence[str]) -> None:
    shown = without_passwords(" ".join(command))
    say(f"{wanted.name}: {shown}")
    # Its environment is none of ours: a variable of a host must not decide what is installed where.
    # A list of requirements names folders as seen from its own.
    folder = None if wanted.lock is None else os.path.dirname(wanted.lock)
    variables = {n: v for n, v in os.environ.items() if n not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, stdout=2, env=variables, cwd=folder, check=False)
    if done.returncode:
        raise AimmPluginsError(
            f"environment {wanted.name} was not made: `{shown}` left with status "
            f"{done.returncode}; see above"
        )
