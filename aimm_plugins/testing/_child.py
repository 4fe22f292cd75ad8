"""The other side of `_process`: what runs in a child process."""

from __future__ import annotations

import builtins
import importlib
import os
import pickle
import random
import sys
import threading
import traceback
from collections.abc import Callable
from time import perf_counter
from typing import Any

Tell = Callable[[Any], None]


def serve(answers: str, content: bytes) -> None:
    """Do a job and leave at once: threads of a plugin's must not hold the process."""
    with open(answers, "ab", buffering=0) as stream:

        def tell(answer: Any) -> None:
            told = pickle.dumps(answer)
            stream.write(len(told).to_bytes(8, "big") + told)

        task, job = pickle.loads(content)
        TASKS[task](job, tell)
        tell(("end",))
    sys.stdout.flush()
    os._exit(0)


def execute(job: dict[str, Any], tell: Tell) -> None:
    """Run code; tells `("value", pickle)` or `("error", traceback)`."""
    names: dict[str, Any] = {"__name__": "__fresh__", **job["names"]}
    try:
        exec(compile(job["code"], "<fresh process>", "exec"), names)
        value = pickle.dumps(names.get("result"))
    except BaseException:
        tell(("error", traceback.format_exc()))
    else:
        tell(("value", value))


def observe_import(job: dict[str, Any], tell: Tell) -> None:
    """Import a plugin; tells what that took and changed, apart from what dependencies changed."""
    _reset_signals()
    watch = _Watch(job["module"].partition(".")[0])
    size = _output_size()
    files = set(os.listdir("."))
    begin = perf_counter()
    try:
        with watch:
            importlib.import_module(job["module"])
    except ModuleNotFoundError as error:
        if error.name is None or not f"{job['module']}.".startswith(f"{error.name}."):
            raise
        tell({"absent": True})
        return
    seconds = perf_counter() - begin
    sys.stdout.flush()
    sys.stderr.flush()
    tell(
        {
            "seconds": seconds,
            "changes": watch.own,
            "output": _output_size() - size,
            "files": sorted(set(os.listdir(".")) - files),
        }
    )


def _reset_signals() -> None:
    """Handle signals as Python does by itself: what a parent ignores, its children do too."""
    import signal

    left_to_python = {getattr(signal, name, None) for name in ("SIGPIPE", "SIGXFZ", "SIGXFSZ")}
    for number in signal.valid_signals() - left_to_python:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _output_size() -> int:
    return os.fstat(1).st_size


class _Watch:
    """Sees what a package's own code changes while it is imported.

    What happens inside an import of another package is that one's, so the marks are set anew around
    each.
    """

    def __init__(self, package: str) -> None:
        self.package = package
        self.own: list[str] = []
        self._depth = 0

    def __enter__(self) -> _Watch:
        self._import, self._import_module = builtins.__import__, importlib.import_module
        builtins.__import__ = self._around_statement
        importlib.import_module = self._around_function
        self._mark()
        return self

    def __exit__(self, *_: object) -> None:
        builtins.__import__ = self._import
        importlib.import_module = self._import_module
        self._collect()

    def _mark(self) -> None:
        from aimm_plugins._loading.side_effects import observe

        self._before = observe()
        self._globals = _globals()

    def _collect(self) -> None:
        from aimm_plugins._loading.side_effects import changes

        now = _globals()
        found = changes(self._before)
        found += [
            f"globals: {name} changed"
            for name, value in self._globals.items()
            if name in now and now[name] != value
        ]
        self.own += [each for each in found if each not in self.own]

    def _foreign(self, name: str, importer: object) -> bool:
        if self._depth or threading.current_thread() is not threading.main_thread():
            return False
        ours = isinstance(importer, str) and importer.partition(".")[0] == self.package
        return ours and name.partition(".")[0] != self.package

    def _around_statement(
        self,
        name: str,
        globals: Any = None,
        locals: Any = None,
        fromlist: Any = (),
        level: int = 0,
    ) -> Any:
        importer = (globals or {}).get("__name__")
        if level or not self._foreign(name, importer):
            return self._import(name, globals, locals, fromlist, level)
        with self._bracket():
            return self._import(name, globals, locals, fromlist, level)

    def _around_function(self, name: str, package: str | None = None) -> Any:
        importer = sys._getframe(1).f_globals.get("__name__")
        if name.startswith(".") or not self._foreign(name, importer):
            return self._import_module(name, package)
        with self._bracket():
            return self._import_module(name, package)

    def _bracket(self) -> _Bracket:
        return _Bracket(self)


class _Bracket:
    """One import of another package, out of a plugin's."""

    def __init__(self, watch: _Watch) -> None:
        self._watch = watch

    def __enter__(self) -> None:
        self._watch._collect()
        self._watch._depth += 1

    def __exit__(self, *_: object) -> None:
        self._watch._depth -= 1
        self._watch._mark()


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


def work(job: dict[str, Any], tell: Tell) -> None:
    """Make, fit and predict, or access data; tells `("value", pickle)` or `("error", ...)`."""
    if _load(job, tell):
        _answer(tell, lambda: _worked(job))


def _worked(job: dict[str, Any]) -> Any:
    import aimm_plugins

    calls = pickle.loads(job["calls"])
    key = job["key"]
    if "data_access" in calls:
        args, kwargs = calls["data_access"]
        return aimm_plugins.exec_data_access(key, None, *args, **kwargs)
    args, kwargs = calls["instantiate"]
    instance = aimm_plugins.exec_instantiate(key, None, *args, **kwargs)
    args, kwargs = calls["fit"]
    instance = aimm_plugins.exec_fit(key, instance, None, *args, **kwargs)
    args, kwargs = calls["predict"]
    return aimm_plugins.exec_predict(key, instance, None, *args, **kwargs)[1]


def deserialize(job: dict[str, Any], tell: Tell) -> None:
    """Deserialize blobs one by one and predict with what comes of it.

    Tells `("ready",)`, then for each `("value", pickle)`, `("error", type, text, is_clean)`.
    """
    import aimm_plugins

    if not _load(job, tell):
        return
    key = job["key"]
    tell(("ready",))
    for blob in job["blobs"]:
        try:
            instance = aimm_plugins.exec_deserialize(key, blob)
        except BaseException as error:
            tell(("error", type(error).__name__, _text(error), _is_clean(error)))
            continue
        if job["calls"] is None:
            tell(("instance", type(instance).__name__))
            continue

        def predicted(instance: Any = instance) -> Any:
            args, kwargs = pickle.loads(job["calls"])["predict"]
            return aimm_plugins.exec_predict(key, instance, None, *args, **kwargs)[1]

        _answer(tell, predicted)


def _is_clean(error: BaseException) -> bool:
    unclean = MemoryError | RecursionError | SystemError
    return isinstance(error, Exception) and not isinstance(error, unclean) and bool(_text(error))


def _answer(tell: Tell, call: Callable[[], Any]) -> None:
    try:
        value = pickle.dumps(call())
    except BaseException as error:
        trace = traceback.format_exc()
        tell(("error", type(error).__name__, trace[-20_000:], _is_clean(error)))
    else:
        tell(("value", value))


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # an error that cannot be printed is no clean one
        return ""


def _load(job: dict[str, Any], tell: Tell) -> bool:
    """Initialize the plugin; tells `("absent", reason, is_unknown)` where the key is not there."""
    import aimm_plugins

    for name in ("AIMM_PLUGINS_POLICY", "AIMM_PLUGINS_DENY"):
        os.environ.pop(name, None)
    try:
        aimm_plugins.initialize({"names": [job["plugin"]], "entry_points": {"enabled": False}})
    except aimm_plugins.PluginLoadError as error:
        missing = [
            each.name
            for each in error.exceptions
            if isinstance(each, ModuleNotFoundError) and each.name
        ]
        unknown = any(f"{job['plugin']}.".startswith(f"{name}.") for name in missing)
        tell(("absent", str(error), unknown))
        return False
    if not aimm_plugins.providers(key=job["key"]):
        tell(("absent", f"{job['plugin']} does not declare {job['key']}", False))
        return False
    return True


TASKS: dict[str, Callable[[dict[str, Any], Tell], None]] = {
    "execute": execute,
    "import": observe_import,
    "work": work,
    "deserialize": deserialize,
}
