"""Where an environment has its interpreter and its packages, found without running it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from glob import escape as glob_escape
from glob import glob
from typing import TYPE_CHECKING, NamedTuple

from aimm_plugins._discovery.module_location import HERE, Modules, ModulesIn
from aimm_plugins._system.files import readable

if TYPE_CHECKING:
    from subprocess import Popen

_PYTHONS = ("bin/python", "bin/python3")

_WITHOUT_FINDERS = (
    "-nspkg.pth",
    "_virtualenv.pth",
    "a1_coverage.pth",
    "distutils-precedence.pth",
    "pytest-cov.pth",
)
"""How `.pth` files end whose code brings no module that a look at folders does not show."""

_CUSTOM = ("site", "user")

_TABLE = r"^(MAPPING|NAMESPACES)(?:: dict\[str, [][a-z]+\])? = (\{.*\})$"
"""What an editable install of setuptools maps, in the source of its finder."""

_FINDER_BYTES = 64 * 1024
"""Of such a source: the tree of a syntax takes up to 900 times as much."""


MADE_ANEW = "Make it anew with a Python that is there"


# The path comes first: everything else is imported by it. What is imported is no garbage, and
# looking for some takes a fifth of the time, also later on, were it not frozen.
_BOOTSTRAP = (
    "import gc, sys; gc.disable(); channel, *path = sys.argv[1:]; sys.path[:] = path or sys.path; "
    "from aimm_plugins._startup.environments.child import serve; gc.freeze(); gc.enable(); "
    "serve(int(channel))"
)


class NoEnvironmentError(Exception):
    """There is no environment at a path, or none that can be used; the message says why."""

    def __init__(self, why: str, remedy: str = "") -> None:
        super().__init__(why)
        self.remedy = remedy
        """What to do about it, other than to correct the path or to make it again."""


class EnvironmentSite(NamedTuple):
    """An environment's folder, interpreter, and folders of packages in the order of `sys.path`.

    `is_own` where it is that of this process.
    """

    root: str
    python: str
    folders: tuple[str, ...]
    is_own: bool

    @property
    def path(self) -> tuple[str, ...] | None:
        """What `sys.path` has to be there; `None` for what the interpreter makes of it."""
        return tuple(map(os.path.abspath, self.folders)) if self.is_own else None

    def made_of(self, packages: Iterable[str]) -> tuple[tuple[str, int], ...]:
        """Times of files, which differ once something is installed, upgraded, removed or edited."""
        found = []
        for location in filter(None, map(self.modules.find, packages)):
            for source in location.sources():
                with suppress(OSError, ValueError):
                    found.append((source, os.stat(source).st_mtime_ns))
        for folder in self.folders:
            with suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.endswith((".dist-info", ".egg-info", ".pth")):
                        found.append((entry.path, entry.stat().st_mtime_ns))
        return tuple(sorted(found))

    @property
    def modules(self) -> Modules:
        if self.is_own:
            return HERE
        python = _library(self.root, self.python).removeprefix("python")
        mapped = (folder for _, found in _finders(self.folders) for folder in found or ())
        return ModulesIn((*self.folders, *mapped), python, self._standard_library)

    def start(self, channel: int, output: int) -> Popen[bytes]:
        """Start a process that speaks over a socket and writes to a descriptor."""
        import fcntl
        import subprocess  # to look at an environment takes less

        own_flags = ["-O"] * sys.flags.optimize + ["-B"] * bool(sys.dont_write_bytecode)
        line = [self.python, "-u", "-P", "-s", *own_flags, "-c", _BOOTSTRAP]
        # Of a host without standard streams it may be one of them, which are replaced in a child.
        with open(fcntl.fcntl(channel, fcntl.F_DUPFD_CLOEXEC, 3), "rb", buffering=0) as given:
            return subprocess.Popen(
                [*line, str(given.fileno()), *(self.path or ())],
                stdin=subprocess.PIPE,  # the process ends when the other end is closed
                stdout=output,
                stderr=output,
                pass_fds=[given.fileno()],
                env=self.variables(),
                start_new_session=True,
            )

    def variables(self) -> dict[str, str]:
        """The variables of a process: those of the host, but for what is about its Python."""
        ours = ("PYTHONPATH", "PYTHONHOME", "AIMM_PLUGINS_")
        found = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
        if not self.is_own:
            found["VIRTUAL_ENV"] = self.root
            folder = os.path.dirname(self.python)
            found["PATH"] = os.pathsep.join(filter(None, (folder, found.get("PATH"))))
        return found

    @property
    def unknown_finder(self) -> str | None:
        """A file whose code may bring modules that no look at folders shows."""
        brought = () if self.is_own else _finders(self.folders)
        return next((file for file, folders in brought if folders is None), None)

    def _standard_library(self) -> Sequence[str] | None:
        """The folders of its standard library; `None` where a `.pth` file may bring finders."""
        if self.unknown_finder is not None:
            return None
        link = os.path.realpath(self.python)
        for home in (_venv_config(self.root).get("home", ""), os.path.dirname(link)):
            library = _library(self.root, self.python)
            folder = os.path.join(os.path.dirname(home), "lib", library)
            if os.path.isfile(os.path.join(folder, "os.py")):
                return folder, os.path.join(folder, "lib-dynload")
        return None


def find_site(path: str) -> EnvironmentSite:
    """The environment of a folder (of venv, conda or pixi, or a prefix) or of an interpreter."""
    if os.name != "posix":
        why = "processes of environments need a POSIX system, such as Linux"
        raise NoEnvironmentError(why, "Run the host on such a system")
    path = os.path.abspath(path)
    if os.path.isdir(path):
        root = path
        pythons = [p for name in _PYTHONS if os.path.lexists(p := os.path.join(root, name))]
        if not pythons:
            raise NoEnvironmentError(f"{path} has no interpreter, such as {_PYTHONS[0]}")
        python = next(filter(os.path.isfile, pythons), pythons[0])
        if not os.path.isfile(python):
            why = f"{python} leads to {os.path.realpath(python)}, which is not there"
            raise NoEnvironmentError(why, MADE_ANEW)
    elif os.path.isfile(path):
        python, root = path, os.path.dirname(os.path.dirname(path))
        # What a link to an interpreter belongs to is where it leads, but for that of a venv.
        if not os.path.isfile(os.path.join(root, "pyvenv.cfg")):
            root = os.path.dirname(os.path.dirname(os.path.realpath(path)))
        if not os.access(path, os.X_OK):
            raise NoEnvironmentError(f"{path} is neither a folder nor an interpreter")
    else:
        raise NoEnvironmentError(f"{path} is not there")
    if os.path.realpath(root) == os.path.realpath(sys.prefix):
        folders = tuple(item for item in sys.path if isinstance(item, str))
        return EnvironmentSite(root, python, folders, True)
    folders = tuple(_folders(root, python))
    if not folders:
        raise NoEnvironmentError(
            f"{path} has no folder of packages, such as lib/pythonX.Y/site-packages"
        )
    return EnvironmentSite(root, python, folders, False)


def _folders(root: str, python: str) -> Iterator[str]:
    config, name = _venv_config(root), _library(root, python)
    seen = set()
    for pattern in (
        f"lib/{name}*/site-packages",
        f"lib64/{name}*/site-packages",
        f"local/lib/{name}/dist-packages",  # of Debian, as the next
        "lib/python3/dist-packages",
    ):
        for folder in sorted(glob(os.path.join(glob_escape(root), pattern))):
            if (real := os.path.realpath(folder)) not in seen:
                seen.add(real)
                yield folder
                lines = (line for _, line, is_code in _pth(folder) if not is_code)
                # Such as those of editable installs.
                yield from filter(os.path.isdir, (os.path.join(folder, line) for line in lines))
    if config.get("include-system-site-packages") == "true" and config.get("home"):
        base = os.path.join(config["home"], os.path.basename(python))
        yield from find_site(base if os.path.isfile(base) else f"{base}3").folders


def _library(root: str, python: str) -> str:
    """How the folder of an interpreter's library is called, such as `python3.11`."""
    config = _venv_config(root)
    version = config.get("version_info") or config.get("version")
    version = version or re.sub(r".*python(?=\d+\.\d)", "", os.path.realpath(python))
    match = re.match(r"\d+\.\d+", version)
    return f"python{match[0]}" if match else "python3"


def _finders(folders: Sequence[str]) -> Iterator[tuple[str, list[str] | None]]:
    """Files whose code may bring modules, and the folders of these modules.

    `None` is for folders that cannot be found out without running that code, or that are zips.
    """
    for folder in folders:
        for file, line, is_code in _pth(folder):
            if is_code and not file.endswith(_WITHOUT_FINDERS):
                yield file, _of_setuptools(folder, line)
            elif os.path.isfile(os.path.join(folder, line)):
                yield file, None
        for file in (os.path.join(folder, f"{name}customize.py") for name in _CUSTOM):
            if os.path.isfile(file):
                yield file, None


def _of_setuptools(folder: str, line: str) -> list[str] | None:
    """The folders of the packages that an editable install of setuptools has mapped."""
    import ast  # few environments have any

    match = re.match(r"import (__editable___\w+_finder)\s*;", line)
    if match is None:
        return None
    found = []
    try:
        content = readable(os.path.join(folder, f"{match[1]}.py"), _FINDER_BYTES)
        tables = dict(re.findall(_TABLE, (content or b"").decode(), re.MULTILINE))
        for name, path in ast.literal_eval(tables["MAPPING"]).items():
            end = os.sep + name.replace(".", os.sep)
            if not path.endswith(end):
                return None
            found.append(path.removesuffix(end))
    except Exception:  # another version of setuptools, or another tool, has written it
        return None
    return found if tables.get("NAMESPACES") == "{}" else None


def _pth(folder: str) -> Iterator[tuple[str, str, bool]]:
    """The lines of `.pth` files, and whether Python runs them; others name folders and zips."""
    for file in sorted(glob(os.path.join(glob_escape(folder), "*.pth"))):
        for line in map(str.rstrip, _lines(file)):
            if line and not line.startswith("#"):
                yield file, line, line.startswith(("import ", "import\t"))


def _lines(file: str) -> list[str]:
    return (readable(file) or b"").decode(errors="replace").splitlines()


def _venv_config(root: str) -> dict[str, str]:
    lines = (line.partition("=") for line in _lines(os.path.join(root, "pyvenv.cfg")))
    return {name.strip().lower(): value.strip() for name, _, value in lines}
