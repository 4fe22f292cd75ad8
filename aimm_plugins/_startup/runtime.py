"""All state of the process in one object, and which of these objects is the current one."""

from __future__ import annotations

import os
import sys
from _thread import RLock  # without threading, which takes a millisecond to import
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from aimm_plugins._declarations.declaration import Declaration, modules_being_imported
from aimm_plugins._declarations.ledger import (
    DeclarationLedger,
    DeclaredKey,
    current_ledger,
    use_ledger,
)
from aimm_plugins._dispatch.dispatcher import Dispatcher
from aimm_plugins._dispatch.manager import PluginManager
from aimm_plugins._registry.providers import Provider
from aimm_plugins._registry.registry import Registry
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.log import logger
from aimm_plugins._system.modules import forget_imports_of_other_threads
from aimm_plugins._system.text import safe_text
from aimm_plugins._values.actions import Action

if TYPE_CHECKING:
    from aimm_plugins._config.values import Config
    from aimm_plugins._dispatch.executor import Executor
    from aimm_plugins._environments.processes import Processes
    from aimm_plugins._loading.importer import Installed
    from aimm_plugins._loading.verified_imports import VerifiedImports
    from aimm_plugins._options.state import OptionsState
    from aimm_plugins._registry.snapshot import Snapshot
    from aimm_plugins._startup.admission import Admission


class Runtime:
    """A ledger, a registry, a plugin manager and a dispatcher, and what was initialized so far.

    Decorators write to the ledger while this is the current runtime.
    """

    def __init__(
        self, ledger: DeclarationLedger, versions: dict[str, Installed] | None = None
    ) -> None:
        self.ledger = ledger
        self.lock = ledger.lock
        self.versions = {} if versions is None else versions
        # What a conf has switched on and `unload_all` closes; and what is held while that is opened
        # or closed, or its workers are told of plugins.
        self.executor: Executor | None = None
        self.switching = RLock()
        self.admissions: list[Admission] = []  # who judges the imports of the starts under way
        # What starts under way give to plugins, from the first that gives anything.
        self.options: OptionsState | None = None
        self.environments: dict[str, Processes] = {}
        self.has_loaded = False  # whether finders may have stale listings
        self.verified_imports: VerifiedImports | None = None
        self._load_locks: dict[str, RLock] = {}
        self._registered_as: dict[str, str] = {}
        self.registry = Registry(ledger)
        self.manager = PluginManager(self)
        self.dispatcher = Dispatcher(self.registry, self.manager)
        ledger.listener = self

    @property
    def confs(self) -> list[Config]:
        return self.registry.snapshot.confs

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
        self._load_locks.pop(module, None)  # it is loaded: who waits still has the lock

    def forget_versions(self) -> None:
        """Forget the versions of modules that were taken out of `sys.modules`."""
        for module in list(self.versions):
            if module not in sys.modules:
                self.versions.pop(module, None)

    def verify_imports(self, verified: Sequence[Sequence[Any]]) -> None:
        """From now on, run of some distributions only what was verified."""
        if verified:
            from aimm_plugins._loading.verified_imports import VerifiedImports

            self.verified_imports = self.verified_imports or VerifiedImports()
            self.verified_imports.install(verified)

    def trust_imports(self) -> None:
        if self.verified_imports is not None:
            self.verified_imports.remove()
            self.verified_imports = None

    def after_fork(self) -> None:
        """Forget the locks and loads of threads that do not exist in a forked child."""
        self._load_locks = {}
        self.switching = RLock()
        if self.registry.loads:
            forget_imports_of_other_threads()
        self.registry.loads = []  # not cleared: without the GIL it may be locked here for ever
        self.dispatcher.after_fork()

    def take_over(self, environments: Mapping[str, Processes]) -> None:
        """Have a start's environments take the calls; those that they replace finish theirs."""
        for name, environment in environments.items():
            before = self.environments.get(name)
            self.environments[name] = environment
            if before is not None and before is not environment:
                before.retire(f"environment {name} was started again", environment)

    def close_environments(self) -> None:
        environments, self.environments = self.environments, {}
        for name, environment in environments.items():
            environment.close(f"environment {name} was unloaded")

    def sync_hookimpls(self, snapshot: Snapshot) -> None:
        """Have the hookimpls of exactly those plugin modules registered that a snapshot has.

        Plugins that were registered with the plugin manager by hand stay. The caller holds the lock
        and makes calls anew afterwards.
        """
        self.remove_hookimpls(snapshot)
        loaded = snapshot.loaded_modules()
        for name in loaded:
            self.manager.add_module(name)
        for name in snapshot.by_hand - loaded.keys():
            with guarded() as attempt:  # no conf asked for it, so that no call must fail by it
                self.manager.add_module(name)
            if attempt.error is not None:
                logger().warning(
                    "hookimpls of a module imported by hand are not registered: %s",
                    safe_text(attempt.error),
                )

    def remove_hookimpls(self, snapshot: Snapshot) -> None:
        for name in self.manager.committed.difference(snapshot.loaded_modules(), snapshot.by_hand):
            self.manager.remove_module(name)

    # What the ledger and the plugin manager call.

    def declared(self, new: Sequence[Declaration], gone: Sequence[DeclaredKey]) -> None:
        if self.registry.declare(new, gone):
            self.dispatcher.renew()

    def is_registered(self, declared: DeclaredKey) -> bool:
        return self.registry.snapshot.reaches(declared)

    def hooks_changed(self) -> None:
        """Make calls anew, since hookimpls or monitors have changed."""
        # What is declared by hand goes into the current snapshot. A call that began with fewer
        # wrappers must not meet it.
        self.registry.snapshot = self.registry.snapshot.copy()
        self.dispatcher.renew()

    @contextmanager
    def unchanged_if_it_fails(self) -> Generator[None]:
        """Have what is registered after a block that raises be that of before.

        The block does not change the present snapshot before `hooks_changed` has copied it.
        """
        before, names = self.registry.snapshot, dict(self._registered_as)
        try:
            yield
        except BaseException:
            self.registry.snapshot, self._registered_as = before, names
            self.dispatcher.renew()
            raise

    def plugin_registered(self, plugin: object, name: str) -> None:
        module = getattr(plugin, "__name__", None)
        if isinstance(plugin, ModuleType) and isinstance(module, str):
            self._registered_as[name] = module
            declared = self.ledger.declared_by(module)
            self.declared(list(dict.fromkeys(entry.declaration for entry in declared)), [])

    def plugin_unregistered(self, name: str) -> None:
        plugin = self._registered_as.get(name, name)
        self.registry.snapshot = self.registry.snapshot.without(plugin)
        self.dispatcher.renew()
        self._registered_as.pop(name, None)

    def loaded_provider(self, action: Action, key: str) -> Provider:
        """The provider of a key, loaded if it was deferred.

        Raises:
            UnknownPluginError: No plugin provides the key.
            PluginLoadError: The plugin was deferred, and could not be imported.
        """
        provider = self.registry.find(action, key)
        if provider is not None and provider.load is not None:
            provider.load()
            provider = self.registry.find(action, key)
        if provider is None or provider.deferred:
            from aimm_plugins._registry.key_errors import call_error

            raise call_error(self.registry, action, key)
        return provider

    def declared_function(
        self, action: Action, key: object, chain: Sequence[pluggy.HookImpl]
    ) -> pluggy.HookImpl:
        return self.dispatcher.of(action).declared_function(key, chain)


class Process:
    """Which runtime the public functions and decorators use; `exec_*` read its calls directly."""

    __slots__ = ("calls", "runtime")

    runtime: Runtime
    calls: Dispatcher

    def __init__(self) -> None:
        self.use(Runtime(current_ledger()))

    def use(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.calls = runtime.dispatcher
        use_ledger(runtime.ledger)


PROCESS = Process()


# What calls import only when they fail or wait.
_IMPORTED_BY_CALLS = (
    "difflib",
    "aimm_plugins._dispatch.awaiting",
    "aimm_plugins._registry.key_errors",
)


def _before_fork() -> None:
    # An import that another thread has begun at a fork never ends in the child.
    try:
        for name in _IMPORTED_BY_CALLS:
            import_module(name)
        if "asyncio" in sys.modules:
            import_module("asyncio")
        if PROCESS.runtime.has_loaded:
            # Each further load lists the path's folders again, which imports this.
            import_module("importlib.metadata")
    finally:  # Python forks whatever is raised here, and has the lock released then.
        PROCESS.runtime.lock.acquire()


def _after_fork_in_child() -> None:
    PROCESS.runtime.lock.release()
    PROCESS.runtime.after_fork()


if hasattr(os, "register_at_fork"):
    # A lock that another thread holds at a fork would stay held in the child for ever.
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=lambda: PROCESS.runtime.lock.release(),
        after_in_child=_after_fork_in_child,
    )
