"""Runs programs written for `aimm.plugins` on this package.

    python -m aimm_plugins.compat MODULE[:FUNCTION] ARGS...

works as `python -m MODULE ARGS...` does, or as a console script of `MODULE:FUNCTION`, with the
name `aimm.plugins` served by this package, whether the distribution `aimm` is installed or not. Its
other modules (`aimm.server`, `aimm.client`, ...) are left as they are. `install()` does the same
for a process that starts otherwise.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

import aimm_plugins
from aimm_plugins import AimmPluginsError
from aimm_plugins._values.actions import ACTIONS

_NAME = "aimm.plugins"
_USAGE = "usage: python -m aimm_plugins.compat MODULE[:FUNCTION] ARGS...\n"
_HELP = f"""{_USAGE}
Run a program that was written for aimm.plugins, with that name served by aimm_plugins.

  MODULE           run as `python -m MODULE ARGS...` would
  MODULE:FUNCTION  call the function and exit with what it returns, as a console script would

Exit status: the program's own; 2 for wrong use or a program that cannot be found.
"""


def install() -> None:
    """Serve `aimm.plugins` from this package, in this process and what multiprocessing starts.

    Child processes of `multiprocessing` and `concurrent.futures` have it too, whatever their start
    method. Other interpreters that the process starts do not; they have to be started by
    `python -m aimm_plugins.compat`. A second call changes nothing.

    Raises:
        AimmPluginsError: `aimm.plugins` was imported from elsewhere before; nothing changed.
    """
    imported = sys.modules.get(_NAME)
    if imported is not None and not isinstance(imported.__loader__, _Loader):
        raise AimmPluginsError(
            f"{_NAME} was imported already, from {getattr(imported, '__file__', None)}; call "
            "aimm_plugins.compat.install() before anything imports it"
        )
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _Finder(tuple(_CONTENTS)))
    # The last of all finders, so that it is asked only where the original is not installed.
    sys.meta_path.append(_Finder(("aimm",)))
    _install_in_children()


class _Finder(MetaPathFinder):
    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._names:
            return None
        is_package = fullname in ("aimm", _NAME)
        return ModuleSpec(fullname, _Loader(), origin=__name__, is_package=is_package)


class _Loader(Loader):
    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ == "aimm":
            return
        # The very objects and no wrappers: a decorator notes its caller's place, and a process
        # without this loader can find a pickled function again.
        for name in _CONTENTS[module.__name__]:
            setattr(module, name, getattr(aimm_plugins, name))
        module.__doc__ = f"The original's `{module.__name__}`, served by aimm_plugins."
        if module.__name__ == _NAME:
            module.__all__ = list(_CONTENTS[_NAME])  # type: ignore[attr-defined]  # a module's own
            for name in _CONTENTS:
                if name != _NAME:
                    importlib.import_module(name)


class _InstalledInChild:
    """Is unpickled as a call of `install`."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return install, ()


def _install_in_children() -> None:
    """Have spawned children call `install` before they import the program's main module.

    A child of the start methods spawn and forkserver unpickles its preparation data before all
    else. So an object in there that installs when it is unpickled comes first. It needs no
    environment variable, which other programs would inherit.
    """
    from multiprocessing import spawn

    original: Callable[[str], dict[str, Any]] = spawn.get_preparation_data

    @functools.wraps(original)
    def get_preparation_data(name: str) -> dict[str, Any]:
        return {__name__: _InstalledInChild(), **original(name)}

    spawn.get_preparation_data = get_preparation_data


_INTERFACE = ("Model", "initialize", "StateCallback")
_DECORATORS = (*ACTIONS, "model", "unload_all")
_EXECUTE = tuple(f"exec_{action}" for action in ACTIONS)
_CONTENTS: dict[str, tuple[str, ...]] = {
    _NAME: (*_INTERFACE, *_EXECUTE, *_DECORATORS),
    f"{_NAME}.common": _INTERFACE,
    f"{_NAME}.decorators": _DECORATORS,
    f"{_NAME}.execute": _EXECUTE,
}
"""The original's modules, and the names that hosts and plugins find in them."""


# Running a program


def main() -> NoReturn:
    """Run the program that the command line names; exits as the program does, or with 2."""
    argv = sys.argv[1:]
    if argv and argv[0] in ("-h", "--help"):
        sys.stdout.write(_HELP)
        sys.exit(0)
    if not argv:
        _refuse("MODULE is missing")
    if argv[0].startswith("-"):
        _refuse(f"no option {argv[0]}; options of the program stand behind its MODULE")
    install()
    module, colon, function = argv[0].partition(":")
    _check_runnable(module, as_program=not colon)
    sys.argv = argv
    if colon:
        sys.exit(_function(module, function)())
    import runpy

    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.exit(0)


def _check_runnable(module: str, *, as_program: bool) -> None:
    """Refuse what cannot be found, before any of it runs but parent packages."""
    if module.endswith(".py") or not all(part.isidentifier() for part in module.split(".")):
        near = module.removesuffix(".py")
        hint = f"; did you mean {near}?" if near.isidentifier() and near != module else ""
        _refuse(f"{module!r} is no module name{hint}")
    try:
        spec = importlib.util.find_spec(module)
        if spec is None:
            _refuse(f"No module named {module!r}")
        package = spec.submodule_search_locations is not None
        if as_program and package and not importlib.util.find_spec(f"{module}.__main__"):
            _refuse(f"{module} is a package without __main__, and cannot be run")
    except ModuleNotFoundError as error:
        # A parent package that is found and imports something missing is the program's failure.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        _refuse(f"No module named {module!r}")


def _function(module: str, path: str) -> Callable[[], Any]:
    target: Any = importlib.import_module(module)
    for name in path.split("."):
        target = getattr(target, name, None)
    if not callable(target):
        _refuse(f"{module} has no function {path!r}")
    return target  # type: ignore[no-any-return]  # the program's own


def _refuse(message: str) -> NoReturn:
    sys.stderr.write(f"{_USAGE}aimm_plugins.compat: {message}\n")
    sys.exit(2)


if __name__ == "__main__":
    # `__main__` is a second copy of this module; finders and children need the importable one.
    from aimm_plugins.compat import main as run

    run()
