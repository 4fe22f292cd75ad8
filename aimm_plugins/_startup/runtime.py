"""All state of the process in one object, and which of these objects is the current one."""

from __future__ import annotations

import os
import sys
from _thread import RLock  # without threading, which takes a millisecond to import
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

import pluggy

from aimm_plugins._declarations.declaration import Declaration, modules_being_imported
from aimm_plugins._declarations.ledger import (
    DeclarationLedger,
    DeclaredKey,
    current_ledger,
    use_ledger,
)
from aimm_plugins._dispatch.dispatcher import CallTable, Dispatcher
from aimm_plugins._dispatch.manager import PluginManager
from aimm_plugins._registry.providers import Provider
from aimm_plugins._registry.registry import Registry
from aimm_plugins._values.actions import Action

if TYPE_CHECKING:
    from aimm_plugins._config.config import Conf, Config
    from aimm_plugins._dispatch.executor import Executor
    from aimm_plugins._options.values import State


class Runtime:
    """A ledger, a registry, a plugin manager and a dispatcher, and what was initialized so far.

    Args:
        ledger: Where decorators write while this is the current runtime.
        versions: By plugin module, the distribution and version that it was imported from.

    Attributes:
        confs: What was initialized so far and not unloaded, for `refresh`.
        given: What those were read from, for workers elsewhere; paths are absolute.
        executor: What a conf has switched on and `unload_all` closes.
        switching: Held while that is opened or closed, or its workers are told of plugins.
        options: What confs give to plugins; `None` until one does, or a plugin asks.
        has_loaded: Whether anything was ever loaded, so that finders may have stale listings.
    """

    def __init__(
        self,
        ledger: DeclarationLedger,
        versions: dict[str, tuple[str | None, str | None]] | None = None,
    ) -> None:
        self.ledger = ledger
        self.lock = ledger.lock
        self.versions = {} if versions is None else versions
        self.confs: list[Config] = []
        self.given: list[Conf] = []
        self.executor: Executor | None = None
        self.switching = RLock()
        self.options: State | None = None
        self.has_loaded = False
        self._load_locks: dict[str, RLock] = {}
        self._registered_as: dict[str, str] = {}
        self.registry = Registry(ledger)
        # The manager tells of its hooks while it is made, when there are no calls yet.
        self.dispatcher: Dispatcher | None = None
        self.manager = PluginManager(self)
        self.dispatcher = Dispatcher(self.registry, self.manager)
        ledger.listener = self

    @property
    def calls(self) -> CallTable:
        """What `exec_*` functions call."""
        assert self.dispatcher is not None
        return self.dispatcher.calls

    @contextmanager
    def load_lock(self, module: str) -> Generator[None]:
        """Hold the right to load a deferred plugin; other threads wait for its outcome.

        A thread in the middle of an import does not wait: the modules that it has locked may be
        what the first thread waits for. Python finds such a circle among its own locks, and could
        not with one of ours in it.
        """
        if modules_being_imported():
            yield
            return
        with self._load_locks.setdefault(module, RLock()):
            yield

    def after_fork(self) -> None:
        """Forget the locks of threads that do not exist in a forked child."""
        self._load_locks = {}
        self.switching = RLock()

    # What a commit does; the caller holds the lock.

    def add_modules(self, modules: Iterable[str]) -> list[str]:
        """Register the hookimpls of plugin modules, without their declarations.

        Args:
            modules: Names of imported modules; those that are registered already are passed over.

        Returns:
            The names that are new, for `remove_modules`.

        Raises:
            pluggy.PluginValidationError: A hookimpl fits no hook; none of `modules` is registered.
        """
        added: list[str] = []
        try:
            for name in modules:
                module = sys.modules.get(name)
                if isinstance(module, ModuleType) and self.manager.add_module(module, name):
                    added.append(name)
        except BaseException:
            self.remove_modules(added)
            raise
        return added

    def remove_modules(self, modules: Iterable[str]) -> None:
        """Take the hookimpls of modules out of the plugin manager."""
        for name in modules:
            self.manager.remove_module(name)

    # What the ledger and the plugin manager call.

    def declared(self, new: Sequence[Declaration], gone: Sequence[DeclaredKey]) -> None:
        """Register what was declared by hand, at once."""
        if self.registry.declare(new, gone):
            self.hooks_changed()

    def hooks_changed(self) -> None:
        """Make calls anew from what is registered now."""
        if self.dispatcher is not None:
            self.dispatcher.renew()

    def plugin_registered(self, plugin: object, name: str) -> None:
        """Register what a module declared that was registered with the plugin manager by hand."""
        module = getattr(plugin, "__name__", None)
        if isinstance(plugin, ModuleType) and isinstance(module, str):
            self._registered_as[name] = module
            declared = self.ledger.declared_by(module)
            self.declared(list(dict.fromkeys(entry.declaration for entry in declared)), [])

    def plugin_unregistered(self, name: str) -> None:
        """Take away what a plugin declared that was taken out of the plugin manager by hand."""
        self.registry.drop(self._registered_as.pop(name, name))
        self.hooks_changed()

    def loaded_provider(self, action: Action, key: str) -> Provider:
        """The provider of a key, loaded if it was deferred; see `Dispatcher.loaded_provider`."""
        assert self.dispatcher is not None
        return self.dispatcher.loaded_provider(action, key)

    def declared_function(
        self, action: Action, arguments: Mapping[str, object], chain: Sequence[pluggy.HookImpl]
    ) -> pluggy.HookImpl:
        """The declared function that a direct call of a hook ends with."""
        assert self.dispatcher is not None
        return self.dispatcher.declared_function(action, arguments, chain)


class Process:
    """Which runtime the public functions and the decorators use.

    Attributes:
        runtime: The current runtime.
        calls: Its calls, which `exec_*` functions read directly.
    """

    __slots__ = ("calls", "runtime")

    runtime: Runtime
    calls: CallTable

    def __init__(self) -> None:
        self.use(Runtime(current_ledger()))

    def use(self, runtime: Runtime) -> None:
        """Make a runtime the current one."""
        self.runtime = runtime
        self.calls = runtime.calls
        use_ledger(runtime.ledger)


PROCESS = Process()


def _before_fork() -> None:
    PROCESS.runtime.lock.acquire()


def _after_fork_in_parent() -> None:
    PROCESS.runtime.lock.release()


def _after_fork_in_child() -> None:
    PROCESS.runtime.lock.release()
    PROCESS.runtime.after_fork()


if hasattr(os, "register_at_fork"):
    # A lock that another thread holds at a fork would stay held in the child for ever.
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
