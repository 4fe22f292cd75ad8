"""Call a plugin in a child process.

Each task answers with tuples: `("value", pickle)`; `("error", type, text, is_ordinary)`, where an
ordinary error has a text and is none of the interpreter's; or, alone, `("absent", reason,
is_unknown)` where the plugin does not provide the key there, and is unknown by name or not.
"""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import aimm_plugins
from aimm_plugins._config.environment import OPERATOR_VARIABLES
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.text import encodable

Answer = tuple[Any, ...]


def work(plugin: str, key: str, calls: bytes) -> Iterator[Answer]:
    """Make, fit and predict, or access data; answers with the prediction or the data."""
    if (absent := _load(plugin, key)) is not None:
        yield absent
        return
    yield _answer(partial(_work, key, calls))


def _work(key: str, calls: bytes) -> Any:
    arguments = pickle.loads(calls)
    if "data_access" in arguments:
        args, kwargs = arguments["data_access"]
        return as_read(aimm_plugins.exec_data_access(key, None, *args, **kwargs))
    args, kwargs = arguments["instantiate"]
    instance = aimm_plugins.exec_instantiate(key, None, *args, **kwargs)
    args, kwargs = arguments["fit"]
    return _predict(key, aimm_plugins.exec_fit(key, instance, None, *args, **kwargs), calls)


def _predict(key: str, instance: Any, calls: bytes) -> Any:
    args, kwargs = pickle.loads(calls)["predict"]
    return as_read(aimm_plugins.exec_predict(key, instance, None, *args, **kwargs)[1])


def as_read(result: Any) -> Any:
    """The items of an iterator; any other result as it is."""
    return list(result) if isinstance(result, Iterator) else result


def deserialize(
    plugin: str, key: str, contents: Sequence[bytes], calls: bytes | None
) -> Iterator[Answer]:
    """Deserialize one content after the other, and predict with what comes of it.

    Answers with `("ready",)` first. Without calls it predicts nothing, and answers with
    `("instance", type)` where an instance was made.
    """
    if (absent := _load(plugin, key)) is not None:
        yield absent
        return
    yield ("ready",)
    for content in contents:
        try:
            instance = aimm_plugins.exec_deserialize(key, content)
        except BaseException as error:
            yield _error(error, _text(error))
            continue
        if calls is None:
            yield ("instance", type(instance).__name__)
        else:
            yield _answer(partial(_predict, key, instance, calls))


def _load(plugin: str, key: str) -> Answer | None:
    """Initialize the plugin; the answer where it does not provide the key."""
    for name in OPERATOR_VARIABLES:
        os.environ.pop(name, None)
    try:
        aimm_plugins.initialize({"names": [plugin], "entry_points": {"enabled": False}})
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


def _answer(call: Callable[[], Any]) -> Answer:
    try:
        return ("value", pickle.dumps(call()))
    except BaseException as error:
        return _error(error, traceback.format_exc()[-20_000:])


def _error(error: BaseException, text: str) -> Answer:
    is_ordinary = isinstance(error, Exception) and not isinstance(
        error, MemoryError | RecursionError | SystemError
    )
    return ("error", type(error).__name__, text, is_ordinary and bool(_text(error)))


def _text(error: BaseException) -> str:
    with guarded():
        return encodable(str(error))
    return ""
