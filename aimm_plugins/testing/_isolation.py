"""The process's runtime, emptied for a while and put back as it was.

A runtime of its own would not do: `exec_*` and the decorators are bound to the process's one, and a
test has imported them by name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aimm_plugins import _api
from aimm_plugins._declarations.ledger import BOOK
from aimm_plugins._dispatch.hooks import PluginManager
from aimm_plugins._registry.providers import Provider, Slot, Snapshot
from aimm_plugins._startup.runtime import RUNTIME
from aimm_plugins._values.report import Report

VARIABLES = ("AIMM_PLUGINS_POLICY", "AIMM_PLUGINS_DENY", "AIMM_PLUGINS_CONF")
"""The machine's own rules, which would decide what a test sees."""


class Isolated:
    """A registry and plugin manager that begin empty; what `exec_*` uses while it is open."""

    @property
    def manager(self) -> PluginManager:
        """The plugin manager, without the plugins, blocks and monitors that were there before."""
        return _api.get_plugin_manager()

    def load(self, *modules: str, **conf: object) -> Report:
        """Initialize modules, and no entry points unless `conf` says so.

        Args:
            *modules: Names as in `names` of a conf.
            **conf: Further keys of the conf.

        Raises:
            ConfigError: The conf is wrong.
            PluginLoadError: A plugin failed.
        """
        return _api.initialize({"names": list(modules), "entry_points": {"enabled": False}, **conf})

    def providers(self) -> dict[Slot, Provider]:
        """Who answers what now, by (action, key)."""
        return _api.providers()

    def report(self) -> Report:
        """The account of what is registered now."""
        return _api.current_report()


@contextmanager
def isolated() -> Generator[Isolated]:
    """A fresh registry and plugin manager for the block; everything is put back afterwards.

    It holds for the whole process, all threads included, so it is for tests and the like. Modules
    that were imported before keep their declarations and can be initialized by name; those that the
    block imports keep theirs afterwards, since Python will not execute them again. The variables
    `AIMM_PLUGINS_POLICY`, `AIMM_PLUGINS_DENY` and `AIMM_PLUGINS_CONF` are not seen in the block.

    Example:
        >>> from aimm_plugins import exec_fit, fit
        >>> with isolated():
        ...     @fit(["mean"])
        ...     def mean(model, numbers): return sum(numbers) / len(numbers)
        ...     exec_fit("mean", None, None, [1, 2, 6])
        3.0
    """
    environment = {name: os.environ.pop(name) for name in VARIABLES if name in os.environ}
    kept = _take()
    try:
        yield Isolated()
    finally:
        _put_back(kept)
        for name in VARIABLES:
            os.environ.pop(name, None)
        os.environ.update(environment)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    snapshot: Snapshot
    ever_initialized: bool
    ever_used: bool
    confs: list[Any]
    given: list[Any]
    executor: Any
    options: Any
    versions: dict[str, tuple[str | None, str | None]]
    attempted: bool
    manager: dict[str, Any]
    pages: dict[str, tuple[Any, dict[Any, Any]]]
    opened: dict[str, Any]


def _take() -> _Kept:
    with RUNTIME.lock:
        BOOK.sweep()
        kept = _Kept(
            snapshot=RUNTIME.registry.snapshot,
            ever_initialized=RUNTIME.registry.ever_initialized,
            ever_used=BOOK.ever_used,
            confs=RUNTIME.confs,
            given=RUNTIME.given,
            executor=RUNTIME.executor,
            options=RUNTIME.options,
            versions=dict(RUNTIME.versions),
            attempted=RUNTIME.attempted,
            manager=dict(vars(RUNTIME.manager)),
            pages={name: (page, dict(page.declared)) for name, page in BOOK._pages.items()},
            opened=dict(BOOK._open),
        )
        RUNTIME.registry.snapshot = Snapshot()
        RUNTIME.registry.ever_initialized = False
        BOOK.ever_used = False
        RUNTIME.confs = []
        RUNTIME.given = []
        RUNTIME.executor = None
        RUNTIME.options = None
        # The object stays the one that callers of `get_plugin_manager` hold. Its parts are new, so
        # that hooks, monitors and blocks of before are neither seen nor touched.
        vars(RUNTIME.manager).clear()
        PluginManager.__init__(RUNTIME.manager)
        RUNTIME.manager.observe(
            RUNTIME.dispatcher.invalidate, RUNTIME._registered, RUNTIME._unregistered
        )
        RUNTIME.manager.set_router(RUNTIME.dispatcher)
        RUNTIME.dispatcher.invalidate()
    return kept


def _put_back(kept: _Kept) -> None:
    if RUNTIME.executor is not None:
        from aimm_plugins._startup import cluster as _executor

        _executor.close(RUNTIME)
    with RUNTIME.lock:
        BOOK.sweep()
        BOOK._pages = _pages(kept)
        opened = {**kept.opened, **BOOK._open}
        BOOK._open = {name: opened[name] for name in opened if _stands(name, opened[name])}
        BOOK.ever_used = kept.ever_used
        RUNTIME.registry.snapshot = kept.snapshot
        RUNTIME.registry.ever_initialized = kept.ever_initialized
        RUNTIME.confs = kept.confs
        RUNTIME.given = kept.given
        RUNTIME.executor = kept.executor
        RUNTIME.options = kept.options
        RUNTIME.versions = {
            name: version
            for name, version in (RUNTIME.versions | kept.versions).items()
            if name in sys.modules
        }
        RUNTIME.attempted = kept.attempted or RUNTIME.attempted
        vars(RUNTIME.manager).clear()
        vars(RUNTIME.manager).update(kept.manager)
        RUNTIME.dispatcher.invalidate()


def _pages(kept: _Kept) -> dict[str, Any]:
    """The book's pages: as they were, with what modules have declared that are imported by now."""
    pages: dict[str, Any] = {}
    for name, (page, declared) in kept.pages.items():
        now = BOOK._pages.get(name)
        if now is not None and now is not page and _is_of_import(name, now):
            pages[name] = now
        else:
            page.declared.clear()
            page.declared.update(declared)
            pages[name] = page
    for name, page in BOOK._pages.items():
        if name not in pages and _is_of_import(name, page):
            pages[name] = page
    return pages


def _stands(name: str, page: object) -> bool:
    return BOOK._pages.get(name) is page


def _is_of_import(name: str, page: Any) -> bool:
    """Whether a page is of the module that stands imported under a name."""
    return page.spec is not None and getattr(sys.modules.get(name), "__spec__", None) is page.spec
