"""The ledger of declarations: which module declared what.

Decorators write here and nowhere else. The ledger keeps declarations by module, so that those of a
failed import can be discarded, and those of a module that Python will not execute a second time can
be registered again. Which plugin owns a declaration is the registry's business.
"""

from __future__ import annotations

import sys
from _thread import RLock  # without threading, which takes a millisecond to import
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from aimm_plugins._declarations.declaration import Declaration
from aimm_plugins._system.modules import is_initializing
from aimm_plugins._system.names import with_parents
from aimm_plugins._values.actions import Action
from aimm_plugins.errors import DeclarationError

T = TypeVar("T")


class DeclaredKey(NamedTuple):
    """One key of a declaration."""

    action: Action
    key: str
    declaration: Declaration


if TYPE_CHECKING:  # making a Protocol takes as long as importing a module

    class Listener(Protocol):
        """Registers at once what is declared outside any loading."""

        def declared(self, new: Sequence[Declaration], gone: Sequence[DeclaredKey]) -> None:
            """Register what a decorator has declared, in place of what these replace.

            What it raises refuses them: the ledger does not keep them then.
            """

        def is_registered(self, declared: DeclaredKey) -> bool:
            """Whether calls reach a declaration."""
            ...


class ModuleDeclarations:
    """What one execution of a module declared."""

    __slots__ = ("by_action", "importing", "origins", "spec")

    def __init__(self, spec: object | None, importing: bool) -> None:
        self.spec = spec  # `None` outside an import
        self.importing = importing  # whether the end of the import was not seen yet
        self.by_action: dict[Action, dict[str, Declaration]] = {}
        # The modules by which the plugin that owns a declaration is found, in triples.
        self.origins: set[tuple[str | None, ...]] = set()

    def __iter__(self) -> Iterator[DeclaredKey]:
        for action, keys in self.by_action.items():
            for key, declaration in keys.items():
                yield DeclaredKey(action, key, declaration)

    def keep(self, declaration: Declaration) -> None:
        declared = self.by_action.setdefault(declaration.action, {})
        for key in declaration.keys:
            declared[key] = declaration
        self.origins.add((declaration.module, declaration.importer, declaration.importing_module))

    def overlap(self, declaration: Declaration) -> list[DeclaredKey]:
        """What stands under the keys of a declaration already."""
        action = declaration.action
        keys = self.by_action.get(action)
        if not keys or keys.keys().isdisjoint(declaration.keys):
            return []
        return [DeclaredKey(action, key, keys[key]) for key in declaration.keys if key in keys]

    def copy(self) -> ModuleDeclarations:
        copy = ModuleDeclarations(self.spec, self.importing)
        copy.by_action = {action: dict(keys) for action, keys in self.by_action.items()}
        copy.origins = set(self.origins)
        return copy


_FEW = 32
"""Modules from which on those that Python has forgotten are looked for."""


class DeclarationLedger:
    """All declarations of the process, by module.

    Thread-safe. The lock is held for moments only and never while a module is imported, so that it
    cannot form a deadlock with the import lock. The registry uses the same lock, since a
    declaration by hand changes both.
    """

    def __init__(self, listener: Listener | None = None) -> None:
        self.lock = RLock()
        self.listener = listener  # hears of declarations by hand and of failed imports
        self.ever_used = False
        # What imports under way have replaced and calls may still reach.
        self.superseded: set[DeclaredKey] = set()
        self._modules: dict[str, ModuleDeclarations] = {}
        self._open: dict[str, ModuleDeclarations] = {}
        self._sweep_at = _FEW
        self._loading_modules: list[str] = []

    # Loading plugins

    def importing(self, module: str, do_import: Callable[[str], T]) -> T:
        """Import a plugin's module; what this thread declares meanwhile belongs to its loading.

        The frame of this method says so, since a variable could outlive an interrupt.
        """
        self._loading_modules.append(module)
        try:
            return do_import(module)
        finally:
            self._loading_modules.remove(module)

    def current_importer(self, importing_module: str | None) -> str | None:
        """Module of the plugin that is being loaded.

        A thread that `importing_module` has started is part of its loading too.
        """
        if not self._loading_modules:
            return None
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if frame.f_code is _IMPORTING and frame.f_locals["self"] is self:
                importer: str = frame.f_locals["module"]
                return importer
            frame = frame.f_back
        above = with_parents(importing_module or "")
        return next((name for name in above if name in self._loading_modules), None)

    # Declaring

    def add(self, declarations: Sequence[Declaration], spec: object | None) -> None:
        """Keep all declarations of one decorator call, in an import with some spec, or none.

        Raises:
            DeclarationError: The module's import already declared one of the keys.
            PluginConflictError: Made by hand, and another plugin provides the key already.
        """
        first = declarations[0]
        name = first.importing_module or first.module
        with self.lock:
            module = self._modules.get(name)
            gone: list[DeclaredKey] = []
            if module is None or (spec is not None and module.spec is not spec):
                # The body runs again, so what an earlier run declared is over.
                gone = [] if module is None else list(module)
                module = ModuleDeclarations(spec, spec is not None)
            for declaration in declarations:
                for replaced in module.overlap(declaration):
                    earlier = replaced.declaration
                    if spec is not None and earlier.importing_module is not None:
                        places = (earlier.file, earlier.line), (declaration.file, declaration.line)
                        who = declaration.module
                        raise declared_twice(who, replaced.action, replaced.key, *places)
                    gone.append(replaced)
            self.ever_used = True
            if first.importer is not None:
                self.superseded.update(gone)
            elif self.listener is not None:
                self.listener.declared(declarations, gone)
            if len(self._modules) >= self._sweep_at:
                self.discard_unloaded_modules()
            self._modules[name] = module
            if module.importing:
                self._open[name] = module
            for declaration in declarations:
                module.keep(declaration)

    def discard_failed_imports(self) -> None:
        """Forget what failed imports declared, and tell the listener; keep what others did.

        To be called right after an import, before anything can take its modules away again. Python
        takes a module whose import failed out of `sys.modules`. Under the name of one that
        succeeded there may be any object, also one with another spec or none.
        """
        gone: list[DeclaredKey] = []
        with self.lock:
            for name, module in list(self._open.items()):
                if is_initializing(module.spec):
                    continue
                self._open.pop(name, None)
                if name in sys.modules:
                    module.importing = False
                elif self._modules.get(name) is module:
                    del self._modules[name]
                    gone += module
            if gone and self.listener is not None:
                self.listener.declared((), gone)

    def discard_unloaded_modules(self) -> None:
        """Forget what modules declared that were taken out of `sys.modules` since.

        Python would execute them again. What is registered stays, since calls still reach it.
        """
        with self.lock:
            for name, module in list(self._modules.items()):
                if name in sys.modules or is_initializing(module.spec):
                    continue
                if self.listener is None or not any(map(self.listener.is_registered, module)):
                    del self._modules[name]
            self._sweep_at = max(_FEW, 2 * len(self._modules))

    # Looking up

    def is_unconfirmed(self, module: str) -> bool:
        """Whether the end of a module's import was not seen yet. Takes no lock."""
        known = self._modules.get(module)
        return known is not None and known.importing

    def has(self, module: str) -> bool:
        return module in self._modules

    def declared_by(self, module: str) -> list[DeclaredKey]:
        with self.lock:
            return list(self._modules.get(module, ()))

    def modules(self) -> list[ModuleDeclarations]:
        """What each module declared, in the order in which they first declared something."""
        with self.lock:
            return list(self._modules.values())

    def declarations_of(self, action: Action, key: str) -> list[Declaration]:
        found = (module.by_action.get(action, {}).get(key) for module in self.modules())
        return [declaration for declaration in found if declaration is not None]

    # Isolation

    def copy(self) -> DeclarationLedger:
        """A ledger of its own that begins with what imported modules have declared.

        Python does not execute these modules again, so the copy could not learn it otherwise.
        """
        with self.lock:
            self.discard_failed_imports()
            copy = DeclarationLedger()
            copy._modules = {name: module.copy() for name, module in self._modules.items()}
            copy._open = {name: copy._modules[name] for name in self._open}
            return copy

    def absorb(self, other: DeclarationLedger) -> None:
        """Take over what modules declared that were imported while another ledger was in use."""
        other.discard_failed_imports()
        with self.lock:
            for name, module in other._modules.items():
                known = self._modules.get(name)
                imported = getattr(sys.modules.get(name), "__spec__", None)
                if module.spec is None or module.spec is not imported:
                    continue
                if known is None or known.spec is not module.spec:
                    self._modules[name] = module
                    if name in other._open:
                        self._open[name] = module


_IMPORTING = DeclarationLedger.importing.__code__


def declared_twice(
    who: str, action: Action, key: str, first: tuple[str, int], second: tuple[str, int]
) -> DeclarationError:
    """The error for a second declaration of a key; each with its file and line."""
    return DeclarationError(
        f"{who} declares {action}:{key} a second time; the first is at {first[0]}:{first[1]}. "
        "Remove one, or give it another key.",
        file=second[0],
        line=second[1],
    )


_current = DeclarationLedger()


def current_ledger() -> DeclarationLedger:
    return _current


def use_ledger(ledger: DeclarationLedger) -> None:
    """Have decorators write to another ledger, as a runtime does that becomes the current one."""
    global _current
    _current = ledger
