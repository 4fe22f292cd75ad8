"""Import a plugin in a child process, and observe what that takes and changes there."""

from __future__ import annotations

import builtins
import importlib
import os
import random
import signal
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from importlib.util import resolve_name
from time import perf_counter
from typing import Any

import aimm_plugins
from aimm_plugins._loading.side_effects import changes, observe
from aimm_plugins._system.modules import import_whole


def observe_import(module: str) -> Iterator[dict[str, Any] | None]:
    """Import a plugin; what its dependencies change is left out.

    Answers with the `seconds`, the `changes` in words, the bytes of `output`, the new `files` in
    the working directory and the `keys`; or with `None` where there is no such module.
    """
    _reset_signals()
    size, files = _output_size(), set(os.listdir("."))
    begin = perf_counter()
    try:
        with _Watch(module) as watch:
            import_whole(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        yield None
        return
    seconds = perf_counter() - begin
    sys.stdout.flush()
    sys.stderr.flush()
    yield {
        "seconds": seconds,
        "changes": watch.own,
        "output": _output_size() - size,
        "files": sorted(set(os.listdir(".")) - files),
        "keys": sorted(aimm_plugins.providers()),
    }


def _reset_signals() -> None:
    """Handle signals as Python does by itself: what a parent ignores, its children do too."""
    left_to_python = {getattr(signal, name, None) for name in ("SIGPIPE", "SIGXFZ", "SIGXFSZ")}
    for number in signal.valid_signals() - left_to_python:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _output_size() -> int:
    return os.fstat(1).st_size


class _Watch:
    """Sees what a package's own code changes while it is imported.

    An import of another package in the middle is that package's doing, so what is there is observed
    again after each.
    """

    def __init__(self, module: str) -> None:
        self.module = module
        self.own: list[str] = []
        self._is_foreign = False

    def __enter__(self) -> _Watch:
        self._import, self._import_module = builtins.__import__, importlib.import_module
        builtins.__import__ = self._import_by_statement
        importlib.import_module = self._import_by_function
        self._mark()
        return self

    def __exit__(self, *_: object) -> None:
        builtins.__import__ = self._import
        importlib.import_module = self._import_module
        self._collect()

    def _mark(self) -> None:
        self._before, self._globals = observe(), _globals()

    def _collect(self) -> None:
        now = _globals()
        found = changes(self._before) + [
            f"globals: {name} changed"
            for name, value in self._globals.items()
            if name in now and now[name] != value
        ]
        self.own += [change for change in found if change not in self.own]

    def _import_by_statement(
        self,
        name: str,
        globals: Any = None,
        locals: Any = None,
        fromlist: Any = (),
        level: int = 0,
    ) -> Any:
        importer = globals or {}
        relative = "." * level + name
        with self._import_of(relative, importer.get("__name__"), importer.get("__package__")):
            return self._import(name, globals, locals, fromlist, level)

    def _import_by_function(self, name: str, package: str | None = None) -> Any:
        importer = sys._getframe(1).f_globals.get("__name__")
        with self._import_of(name, importer, package):
            return self._import_module(name, package)

    @contextmanager
    def _import_of(self, name: str, importer: object, package: str | None) -> Generator[None]:
        """Leave out what an import of another package by the plugin changes."""
        with suppress(ImportError):  # which the import itself raises
            name = resolve_name(name, package)
        if (
            self._is_foreign
            or threading.current_thread() is not threading.main_thread()
            or not isinstance(importer, str)
            or not self._is_own(importer)
            or self._is_own(name)
        ):
            yield
            return
        self._collect()
        self._is_foreign = True
        try:
            yield
        finally:
            self._is_foreign = False
            self._mark()

    def _is_own(self, name: str) -> bool:
        """Whether a module is of the plugin's package, which may be in a namespace with others."""
        package, _, rest = self.module.partition(".")
        while rest and getattr(sys.modules.get(package), "__file__", "") is None:
            part, _, rest = rest.partition(".")
            package = f"{package}.{part}"
        return f"{name}.".startswith(f"{package}.")


def _globals() -> dict[str, Any]:
    """What else of the process imports are apt to change."""
    import logging

    found: dict[str, Any] = {
        "sys.excepthook": sys.excepthook,
        "threading.excepthook": threading.excepthook,
        "sys.stdout": sys.stdout,
        "sys.stderr": sys.stderr,
        "the recursion limit": sys.getrecursionlimit(),
        "the state of random": hash(random.getstate()),
        "builtins": frozenset(vars(builtins)),
        "logging.disable": logging.root.manager.disable,
        "the logger class": logging.getLoggerClass(),
    }
    if "locale" in sys.modules:
        found["the locale"] = sys.modules["locale"].setlocale(sys.modules["locale"].LC_ALL)
    if "socket" in sys.modules:
        found["the default socket timeout"] = sys.modules["socket"].getdefaulttimeout()
    if "multiprocessing.context" in sys.modules:
        import multiprocessing

        found["the start method of multiprocessing"] = multiprocessing.get_start_method(True)
    if "numpy.random" in sys.modules:
        state = sys.modules["numpy.random"].get_state()
        found["the state of numpy.random"] = (state[1].tobytes(), state[2])
    return found
