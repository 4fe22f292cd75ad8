"""A runtime of its own for a while: a fresh registry and plugin manager for tests."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager

from aimm_plugins._api import starting
from aimm_plugins._config.environment import OPERATOR_VARIABLES
from aimm_plugins._dispatch.manager import PluginManager
from aimm_plugins._registry.providers import Provider, Slot
from aimm_plugins._startup.runtime import PROCESS, Runtime
from aimm_plugins._values.report import Report

VARIABLES = (*OPERATOR_VARIABLES, "AIMM_PLUGINS_CONF")
"""The machine's own rules, which would decide what a test sees."""


class Isolated:
    """A registry and plugin manager that begin empty; what `exec_*` uses while it is open."""

    @property
    def manager(self) -> PluginManager:
        """The plugin manager, without the plugins, blocks and monitors that were there before."""
        return starting.get_plugin_manager()

    def load(self, *modules: str, **conf: object) -> Report:
        """Initialize modules, and no entry points unless `conf` says so.

        Args:
            *modules: Names as in `names` of a conf.
            **conf: Further keys of the conf.

        Raises:
            ConfigError: The conf is wrong.
            PluginLoadError: A plugin failed.
        """
        return starting.initialize(
            {"names": list(modules), "entry_points": {"enabled": False}, **conf}
        )

    def providers(self) -> dict[Slot, Provider]:
        """Who answers what now, by (action, key)."""
        return starting.providers()

    def report(self) -> Report:
        """The account of what is registered now."""
        return starting.current_report()


@contextmanager
def isolated() -> Generator[Isolated]:
    """A fresh registry and plugin manager for the block; the ones of before are back afterwards.

    It holds for the whole process, all threads included, so it is for tests and the like. Modules
    that were imported before keep their declarations and can be initialized by name; those that the
    block imports keep theirs afterwards, since Python will not execute them again. The variables
    `AIMM_PLUGINS_POLICY`, `AIMM_PLUGINS_DENY` and `AIMM_PLUGINS_CONF` are not seen in the block.

    Yields:
        The registry and plugin manager of the block.

    Example:
        >>> from aimm_plugins import exec_fit, fit
        >>> from aimm_plugins.testing import isolated
        >>> with isolated():
        ...     @fit(["mean"])
        ...     def mean(model, numbers): return sum(numbers) / len(numbers)
        ...     exec_fit("mean", None, None, [1, 2, 6])
        3.0
    """
    environment = {name: os.environ.pop(name) for name in VARIABLES if name in os.environ}
    outer = PROCESS.runtime
    inner = Runtime(outer.ledger.copy(), outer.versions)
    PROCESS.use(inner)
    try:
        yield Isolated()
    finally:
        if inner.executor is not None:
            from aimm_plugins._startup.cluster import close

            close(inner)
        inner.close_environments()
        inner.trust_imports()
        PROCESS.use(outer)
        outer.ledger.absorb(inner.ledger)
        for name in VARIABLES:
            os.environ.pop(name, None)
        os.environ.update(environment)
