"""Call a plugin in a child process, one job after the other.

A job is a sequence of calls, each on the instance that the one before it gave. The task answers
with `("absent", reason, is_unknown)` alone where the plugin does not provide the key there, and is
unknown by name or not; else with `("ready",)`, and then for each job with `("value", pickle)` or
`("error", type, text, traceback, is_ordinary)`. An ordinary error has a text and is none of the
interpreter's.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import aimm_plugins
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.text import encodable
from aimm_plugins.testing._isolation import Isolated

Call = tuple[str, tuple[Any, ...], Mapping[str, Any]]
"""An action, with arguments and keywords."""


def run_jobs(plugin: str, key: str, jobs: bytes) -> Iterator[tuple[Any, ...]]:
    """Initialize a plugin, and do pickled jobs."""
    if (absent := _load(plugin, key)) is not None:
        yield absent
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


def _load(plugin: str, key: str) -> tuple[Any, ...] | None:
    """Initialize the plugin; the answer where it does not provide the key."""
    try:
        Isolated().load(plugin)
    except aimm_plugins.PluginLoadError as error:
        missing = [
            failure.name
            for failure in error.exceptions
            if isinstance(failure, ModuleNotFoundError) and failure.name
        ]
        is_unknown = any(f"{plugin}.".startswith(f"{name}.") for name in missing)
        return ("absent", str(error), is_unknown)
    if not aimm_plugins.providers(key=key):
        return ("absent", f"{plugin} does not declare {key}", False)
    return None
