"""What checks have child processes do: call a plugin, one job after the other, or import it.

A job is a sequence of calls, each on the instance that the one before it gave. The task answers
with `("absent", reason, is_unknown)` alone where the plugin does not provide the key there, and is
unknown by name or not; else with `("ready",)`, and then for each job with `("value", pickle)` or
`("error", type, text, traceback, is_ordinary)`. An ordinary error has a text and is none of the
interpreter's.
"""

from __future__ import annotations

import builtins
import importlib
import os
import pickle
import random
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any

import aimm_plugins
from aimm_plugins._loading.side_effects import changes, observe
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.modules import import_whole
from aimm_plugins._system.text import encodable
from aimm_plugins.testing._isolation import Isolated

Call = tuple[str, tuple[Any, ...], Mapping[str, Any]]
"""An action, with arguments and keywords."""


def run_jobs(plugin: str, key: str, jobs: bytes) -> Iterator[tuple[Any, ...]]:
    """Initialize a plugin, and do pickled jobs."""
    try:
        Isolated().load(plugin)
    except aimm_plugins.PluginLoadError as error:
        missing = [
            failure.name
            for failure in error.exceptions
            if isinstance(failure, ModuleNotFoundError) and failure.name
        ]
        is_unknown = any(f"{plugin}.".startswith(f"{name}.") for name in missing)
        yield ("absent", str(error), is_unknown)
        return
    if not aimm_plugins.providers(key=key):
        yield ("absent", f"{plugin} does not declare {key}", False)
        return
    yield ("ready",)
    for job in pickle.loads(jobs):
        try:
            yield ("value", pickle.dumps(_run(key, job)))
        except BaseException as error:
            text = ""
            with guarded():
                text = encodable(str(error))
            is_ordinary = isinstance(error, Exception) and not isinstance(
                error, MemoryError | RecursionError | SystemError
            )
            trace = traceback.format_exc()[-20_000:]
            yield ("error", type(error).__name__, text, trace, is_ordinary and bool(text))


def _run(key: str, job: Sequence[Call]) -> Any:
    """What the last call gives: a prediction, data, or the type of an instance."""
    result: Any = None
    action = ""
    for action, args, kwargs in job:
        call = getattr(aimm_plugins, f"exec_{action}")
        if action == "deserialize":
            result = call(key, *args)
        else:
            instance = (result,) if action in ("fit", "predict") else ()
            result = call(key, *instance, None, *args, **kwargs)
    if action == "predict":
        return as_read(result[1])
    return as_read(result) if action == "data_access" else type(result).__name__


def as_read(result: Any) -> Any:
    """The items of an iterator; any other result as it is."""
    return list(result) if isinstance(result, Iterator) else result


def observe_import(module: str, first: Sequence[str] = ()) -> Iterator[dict[str, Any] | None]:
    """Import a plugin, after other modules, whose changes are left out.

    Answers with the `seconds`, the `changes` in words, the bytes of `output`, the new `files` in
    the working directory, the `keys`, and the `others`, which are modules of other packages that
    the import has loaded; or with `None` where there is no such module, or others import it.
    """
    for name in first:
        with guarded():
            importlib.import_module(name)
    if module in sys.modules:
        yield None
        return
    kept, before = _globals(), observe()
    size, files, loaded = _output_size(), set(os.listdir(".")), set(sys.modules)
    begin = perf_counter()
    try:
        import_whole(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        yield None
        return
    seconds = perf_counter() - begin
    now = _globals()
    found = changes(before)
    found += [f"globals: {k} changed" for k in kept if k in now and now[k] != kept[k]]
    sys.stdout.flush()
    sys.stderr.flush()
    yield {
        "seconds": seconds,
        "changes": found,
        "output": _output_size() - size,
        "files": sorted(set(os.listdir(".")) - files),
        "keys": sorted(aimm_plugins.providers()),
        "others": [n for n in sys.modules if n not in loaded and not _is_own(n, module)],
    }


def _is_own(name: str, plugin: str) -> bool:
    """Whether a module is of the plugin's package, which may be in a namespace with others."""
    package, _, rest = plugin.partition(".")
    while rest and getattr(sys.modules.get(package), "__file__", "") is None:
        part, _, rest = rest.partition(".")
        package = f"{package}.{part}"
    return f"{name}.".startswith(f"{package}.") or f"{package}.".startswith(f"{name}.")


def _output_size() -> int:
    return os.fstat(1).st_size


def _globals() -> dict[str, Any]:
    """What else of the process imports are apt to change."""
    import locale
    import logging
    import multiprocessing
    import socket

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
        "the locale": locale.setlocale(locale.LC_ALL),
        "the default socket timeout": socket.getdefaulttimeout(),
        "the start method of multiprocessing": multiprocessing.get_start_method(allow_none=True),
    }
    if "numpy.random" in sys.modules:
        state = sys.modules["numpy.random"].get_state()
        found["the state of numpy.random"] = (state[1].tobytes(), state[2])
    return found
