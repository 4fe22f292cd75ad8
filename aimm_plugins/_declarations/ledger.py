"""The book of declarations: which module declared what, whoever uses it later.

Decorators write here and nothing else does. The book knows nothing of plugins: it keeps facts by
module, so that a module that failed can be forgotten and a module that Python will not execute a
second time can be registered again. Who owns a declaration is the registry's business.
"""

from __future__ import annotations

import os
import sys
from _thread import RLock, _local  # all that is needed of threading, which costs a millisecond
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NamedTuple

from aimm_plugins._system.modules import is_initializing
from aimm_plugins._values.actions import Action
from aimm_plugins._values.provenance import short_file
from aimm_plugins.errors import DeclarationError


class Declaration(NamedTuple):
    """One decorated function, or one method of a model class, for one action and one key.

    Attributes:
        action: The action.
        key: The data access name or model type.
        target: The very object that was decorated: a function or a class.
        function: What is called: the function, the class, or the class's method.
        method: Name of the method to look up on the instance, for model classes.
        module: The module whose code called the decorator.
        body: The module during whose import this happened; `None` outside an import.
        importer: Module of the plugin whose loading was under way; `None` by hand.
        file: Source file of the decorator call.
        line: Its line, from 1.
        state_cb_arg_name: Keyword that takes the state callback, if any.
        instance_arg_name: Keyword that takes the instance; `None` for the first positional one.
        returns_instance: Whether a predict function itself returns `(instance, prediction)`.
    """

    action: Action
    key: str
    target: Callable[..., Any]
    function: Callable[..., Any]
    module: str
    body: str | None
    importer: str | None
    file: str
    line: int
    method: str | None = None
    state_cb_arg_name: str | None = None
    instance_arg_name: str | None = None
    returns_instance: bool = False

    # Two declarations are the same only if they are one event; and the hash of a target is a
    # stranger's code.
    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    @property
    def home(self) -> str:
        """The module whose page in the book holds this."""
        return self.body or self.module

    @property
    def qualname(self) -> str:
        """Dotted name of the function within its module."""
        name = getattr(self.function, "__qualname__", None)
        return name if isinstance(name, str) else type(self.function).__name__

    @property
    def place(self) -> str:
        """`pkg/module.py:14`."""
        return f"{short_file(self.file, self.module)}:{self.line}"


class CallSite(NamedTuple):
    """Where a decorator was called, as the stack tells."""

    module: str
    file: str
    line: int
    body: str | None
    spec: object | None


class _Page:
    """What one execution of a module declared."""

    __slots__ = ("declared", "importing", "spec")

    def __init__(self, spec: object | None, importing: bool) -> None:
        self.spec = spec
        self.importing = importing
        self.declared: dict[tuple[Action, str], Declaration] = {}


class _Here(_local):
    """What the current thread is at.

    Attributes:
        plugin: Module of the plugin that it is loading. A thread's own, and no context's: imports
            await nothing.
    """

    plugin: str | None = None


_here = _Here()
_loads: list[str] = []
"""Plugin modules that any thread is loading, once for each load."""


class importing:  # noqa: N801  # used as a function; a generator would take twice as long
    """While open, declarations made by this thread are staged for the plugin `module`."""

    __slots__ = ("_module", "_outer")

    def __init__(self, module: str) -> None:
        self._module = module

    def __enter__(self) -> None:
        self._outer = _here.plugin
        _here.plugin = self._module
        _loads.append(self._module)

    def __exit__(self, *raised: object) -> None:
        _loads.remove(self._module)
        _here.plugin = self._outer


def call_site(depth: int) -> CallSite:
    """Where the decorator `depth` frames up was called, and which module's import that is part of.

    Python marks a module's spec while the module's body runs (`_initializing`); the innermost
    frame whose module is so marked is the import that a declaration belongs to. A reloaded module
    is not marked, which is what tells a reload from a first import.
    """
    frame: FrameType | None = sys._getframe(depth + 1)
    assert frame is not None
    name = frame.f_globals.get("__name__")
    module = name if isinstance(name, str) else "__main__"
    file, line = frame.f_code.co_filename, frame.f_lineno
    while frame is not None:
        spec = frame.f_globals.get("__spec__")
        if spec is not None and is_initializing(spec):
            body = frame.f_globals.get("__name__")
            if isinstance(body, str):
                return CallSite(module, file, line, body, spec)
        frame = frame.f_back
    return CallSite(module, file, line, None, None)


def modules_being_imported() -> frozenset[str]:
    """The modules whose bodies this thread is running at the moment."""
    found = set()
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if is_initializing(frame.f_globals.get("__spec__")):
            name = frame.f_globals.get("__name__")
            if isinstance(name, str) and frame.f_code.co_name == "<module>":
                found.add(name)
        frame = frame.f_back
    return frozenset(found)


Listener = Callable[[Sequence[Declaration], Sequence[Declaration]], None]


class Book:
    """All declarations of the process, a page a module.

    Thread-safe. The lock is held for moments only and never while a module is imported, so that
    it cannot form a deadlock with the import lock. The registry uses the same lock, since a
    declaration made by hand changes both.
    """

    def __init__(self) -> None:
        self.lock = RLock()
        self._pages: dict[str, _Page] = {}
        self._open: dict[str, _Page] = {}
        self._listener: Listener | None = None
        self.ever_used = False

    def connect(self, listener: Listener) -> None:
        """Have what is declared by hand, outside any loading, told to `listener` at once.

        Args:
            listener: Called with the new declarations and those that they replace or that are
                gone with a failed import, before anything new is kept; what it raises refuses
                the new ones.
        """
        self._listener = listener

    def add(self, declarations: Sequence[Declaration], site: CallSite) -> None:
        """Keep all of `declarations`, made by one decorator call, or none.

        Raises:
            DeclarationError: The module's import already declared one of them.
            PluginConflictError: Made by hand, and another plugin provides the key already.
        """
        home = site.body or site.module
        with self.lock:
            page = self._pages.get(home)
            gone: list[Declaration] = []
            if page is None or (site.body is not None and page.spec is not site.spec):
                # The body runs anew: what an earlier run declared, failed or not, is over.
                gone = list(page.declared.values()) if page else []
                page = _Page(spec=site.spec, importing=site.body is not None)
            elif site.body is not None:
                self._refuse_twice(declarations, page)
            gone += [
                page.declared[slot]
                for each in declarations
                if (slot := (each.action, each.key)) in page.declared
            ]
            self.ever_used = True
            if self._listener is not None and all(each.importer is None for each in declarations):
                self._listener(declarations, gone)
            self._pages[home] = page
            if page.importing:
                self._open[home] = page
            for each in declarations:
                page.declared[each.action, each.key] = each

    @staticmethod
    def _refuse_twice(declarations: Sequence[Declaration], page: _Page) -> None:
        for each in declarations:
            first = page.declared.get((each.action, each.key))
            if first is not None and first.body is not None:
                raise DeclarationError(
                    f"{each.module} declares {each.action}:{each.key} a second time; the first "
                    f"is at {first.file}:{first.line}. Remove one, or give it another key.",
                    file=each.file,
                    line=each.line,
                )

    def sweep(self) -> None:
        """Forget the pages of imports that failed, and tell the listener what stood on them.

        Python takes a module whose import failed out of `sys.modules`. What stands there under the
        name of one that succeeded may be any object, also one with another spec or none.
        """
        gone: list[Declaration] = []
        with self.lock:
            for name, page in list(self._open.items()):
                if is_initializing(page.spec):
                    continue
                self._open.pop(name, None)
                if name in sys.modules:
                    page.importing = False
                elif self._pages.get(name) is page:
                    del self._pages[name]
                    gone += page.declared.values()
            if gone and self._listener is not None:
                self._listener((), gone)

    def settle(self) -> None:
        """Close the pages of imports that have just succeeded.

        To be called right after, before anything else can take the modules away again.
        """
        if not self._open:
            return
        with self.lock:
            for name, page in list(self._open.items()):
                if not is_initializing(page.spec) and name in sys.modules:
                    page.importing = False
                    self._open.pop(name, None)

    def unfinished(self, module: str) -> bool:
        """Whether a module's import was not seen to end yet. Takes no lock."""
        page = self._pages.get(module)
        return page is not None and page.importing

    def has(self, module: str) -> bool:
        """Whether a run of a module has declared something."""
        return module in self._pages

    def declarations(self) -> list[Declaration]:
        """All that is declared, in the order in which modules first declared something."""
        with self.lock:
            return [each for page in self._pages.values() for each in page.declared.values()]


BOOK = Book()
"""The process's book. Decorators have nowhere else to write to, so there is one."""

if hasattr(os, "register_at_fork"):
    # A lock that another thread holds at a fork stays held in the child for ever.
    os.register_at_fork(
        before=BOOK.lock.acquire,
        after_in_parent=BOOK.lock.release,
        after_in_child=BOOK.lock.release,
    )


def current_importer(body: str | None) -> str | None:
    """Module of the plugin that is being loaded.

    Args:
        body: The module whose import the declaration is part of; a thread that such a module has
            started is part of its loading too.
    """
    importer = _here.plugin
    while importer is None and body and _loads:
        importer = body if body in _loads else None
        body = body.rpartition(".")[0]
    return importer
