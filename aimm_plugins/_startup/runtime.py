"""Everything that has state, in one object; the process has one of it."""

from __future__ import annotations

import os
import sys
from _thread import RLock  # that of threading, which takes a millisecond to load
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aimm_plugins._declarations.ledger import BOOK, Book, modules_being_imported
from aimm_plugins._dispatch.dispatcher import Dispatcher
from aimm_plugins._dispatch.hooks import PluginManager
from aimm_plugins._registry.registry import Registry

if TYPE_CHECKING:
    from aimm_plugins._config.values import Conf, Config
    from aimm_plugins._dispatch.executor import Executor
    from aimm_plugins._options.state import OptionsState


class Runtime:
    """A registry with its plugin manager and dispatcher.

    Args:
        book: Where decorators write. Only one runtime at a time can be told at once of what is
            declared by hand: the one made last for a book.

    Attributes:
        confs: What was initialized so far and not unloaded, for `refresh`.
        given: What those were read from, for workers elsewhere; paths are absolute.
        executor: What a conf has switched on and `unload_all` closes.
        switching: Held while that is opened or closed, or its workers are told of plugins.
        versions: By plugin module, the distribution and version that it was imported from.
        options: What confs give to plugins; `None` until one does, or a plugin asks.
        attempted: Whether anything was ever loaded, so that finders may have stale listings.
    """

    def __init__(self, book: Book) -> None:
        self.confs: list[Config] = []
        self.given: list[Conf] = []
        self.executor: Executor | None = None
        self.switching = RLock()
        self.versions: dict[str, tuple[str | None, str | None]] = {}
        self.options: OptionsState | None = None
        self.attempted = False
        self._turns: dict[str, RLock] = {}
        self._adopted: dict[str, str] = {}
        self.book = book
        self.lock = book.lock
        self.registry = Registry(book)
        self.manager = PluginManager()
        self.dispatcher = Dispatcher(self.registry, self.manager)
        self._quiet = False
        self.manager.observe(self._changed, self._registered, self._unregistered)
        book.connect(self.registry.declared)

    @contextmanager
    def turn(self, module: str) -> Generator[None]:
        """Hold the right to load a deferred plugin; other threads wait for its outcome.

        A thread in the middle of an import does not wait: the modules that it has locked may be
        what the first thread waits for. Python finds such a circle among its own locks, and could
        not with one of ours in it.
        """
        if modules_being_imported():
            yield
            return
        with self._turns.setdefault(module, RLock()):
            yield

    def after_fork(self) -> None:
        """Forget the turns of threads that do not exist in a forked child."""
        self._turns = {}
        self.switching = RLock()

    def set_modules(self, modules: list[str]) -> list[str]:
        """Register plugin modules with the plugin manager, without their declarations.

        Args:
            modules: Names of imported modules; those that are registered already are passed over.

        Returns:
            The names that are new, for `remove_modules`.

        Raises:
            Exception: What pluggy says of a module; none of `modules` is registered then.
        """
        added: list[str] = []
        self._quiet = True
        try:
            for name in modules:
                # What was found sound, since another plugin may have put anything there meanwhile.
                module = checked = self.manager.checked.get(name)
                if module is None:
                    module = sys.modules.get(name)
                if module is None or self.manager.has_plugin(name):
                    continue
                try:
                    if self.manager.adopt(module, name, checked=module is checked) is not None:
                        added.append(name)
                except ValueError:
                    # Asked afterwards, since pluggy compares with all the others to know.
                    if not self.manager.is_registered(module):
                        raise
        except BaseException:
            self.remove_modules(added)
            raise
        finally:
            self._quiet = False
            self.dispatcher.invalidate()
        return added

    def remove_modules(self, modules: list[str]) -> None:
        """Take modules out of the plugin manager, without touching the registry."""
        self._quiet = True
        try:
            for name in modules:
                if self.manager.has_plugin(name):
                    self.manager.unregister(name=name)
        finally:
            self._quiet = False
            self.dispatcher.invalidate()

    def _changed(self) -> None:
        if not self._quiet:
            self.dispatcher.invalidate()

    def _registered(self, plugin: object, name: str) -> None:
        if self._quiet or not isinstance(plugin, type(sys)):
            return
        module = getattr(plugin, "__name__", None)
        if isinstance(module, str):
            self._adopted[name] = module
            self.registry.adopt(module)

    def _unregistered(self, name: str) -> None:
        if not self._quiet:
            self.registry.drop(self._adopted.pop(name, name))


RUNTIME = Runtime(BOOK)
"""The process's runtime, which the public functions use."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=RUNTIME.after_fork)
