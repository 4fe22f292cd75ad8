"""The executor that a conf switches on: opened before plugins are loaded, closed by `unload_all`.

What a cluster takes is a module of its own, far above this one and with an extra of its own, and is
imported by its name when a conf asks for it.
"""

from __future__ import annotations

import importlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aimm_plugins._config.values import Config, DaskRules

if TYPE_CHECKING:
    from aimm_plugins._dispatch.executor import Executor
    from aimm_plugins._startup.runtime import Runtime


@contextmanager
def opened(runtime: Runtime, config: Config | None) -> Generator[None]:
    """Have the executor of a conf open, and open after the block unless that raises.

    One thread at a time, since the second one is to find what the first has opened.

    Args:
        runtime: What it belongs to.
        config: The conf; `None`, or one that speaks of no executor, leaves what is open.

    Raises:
        ConfigError: The extra is missing, or the executor of another conf is open.
        Exception: What connecting raises, with a note that names the conf.
    """
    with runtime.switching:
        rules = None if config is None else config.dask
        if rules is None or config is None or _stands(runtime, config, rules):
            yield
            return
        runtime.executor = _connected(config, rules)
        try:
            yield
        except BaseException:
            close(runtime)
            raise


def close(runtime: Runtime) -> None:
    """Close the open executor, if there is one."""
    with runtime.switching:
        executor, runtime.executor = runtime.executor, None
        if executor is not None:
            executor.close()


def _stands(runtime: Runtime, config: Config, rules: DaskRules) -> bool:
    if runtime.executor is None:
        return False
    if runtime.executor.rules != rules:
        raise config.error(
            f"calls run on {runtime.executor.rules.address} already, as an earlier conf says; call "
            "unload_all() first",
            ("dask",),
        )
    return True


def _connected(config: Config, rules: DaskRules) -> Executor:
    try:
        module = importlib.import_module("aimm_plugins.dask")
    except ImportError as error:
        raise config.error(str(error), ("dask",)) from error
    try:
        executor: Executor = module.connect(rules)
    except Exception as error:
        error.add_note(f"address of dask: {config.where('dask', 'address')}")
        raise
    return executor
