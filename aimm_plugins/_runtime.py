"""Everything that has state, in one object; the process has one of it."""

from __future__ import annotations

import sys

from aimm_plugins._declarations import BOOK, Book
from aimm_plugins._dispatch import Dispatcher
from aimm_plugins._hooks import PluginManager
from aimm_plugins._registry import Registry


class Runtime:
    """A registry with its plugin manager and dispatcher.

    Args:
        book: Where decorators write. Only one runtime at a time can be told at once of what is
            declared by hand: the one made last for a book.
    """

    def __init__(self, book: Book) -> None:
        self.book = book
        self.lock = book.lock
        self.registry = Registry(book)
        self.manager = PluginManager()
        self.dispatcher = Dispatcher(self.registry, self.manager)
        self._quiet = False
        self.manager.observe(self.dispatcher.invalidate, self._registered, self._unregistered)
        book.connect(self.registry.declared)

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
                module = sys.modules.get(name)
                if (
                    module is None
                    or self.manager.has_plugin(name)
                    or (self.manager.is_registered(module))
                ):
                    continue
                if self.manager.register(module, name) is not None:
                    added.append(name)
        except BaseException:
            self.remove_modules(added)
            raise
        finally:
            self._quiet = False
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

    def _registered(self, plugin: object) -> None:
        name = getattr(plugin, "__name__", None)
        if not self._quiet and isinstance(plugin, type(sys)) and isinstance(name, str):
            self.registry.adopt(name)

    def _unregistered(self, name: str) -> None:
        if not self._quiet:
            self.registry.drop(name)


RUNTIME = Runtime(BOOK)
"""The process's runtime, which the public functions use."""
