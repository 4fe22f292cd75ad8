"""What one decorator call declares, and where it was called.

A declaration holds all keys of its decorator call, so that ten thousand model types for one
function cost one object.
"""

import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, NamedTuple

from aimm_plugins._system.modules import is_initializing
from aimm_plugins._values.actions import Action
from aimm_plugins._values.provenance import short_file


class Declaration(NamedTuple):
    """One decorated function, or one method of a model class, for one action."""

    action: Action
    keys: tuple[str, ...]  # the data access name or model types, without duplicates
    target: Callable[..., Any]  # the very object that was decorated: a function or a class
    function: Callable[..., Any]  # what is called: the function, the class, or the class's method
    module: str  # whose code called the decorator
    importing_module: str | None  # during whose import; `None` outside an import
    file: str  # source file of the decorator call
    line: int  # its line, from 1
    importer: str | None  # module of the plugin whose loading was under way; `None` by hand
    method: str | None = None  # to look up on the instance, for model classes
    state_cb_arg_name: str | None = None
    instance_arg_name: str | None = None  # `None` for the first positional argument
    returns_instance: bool = False  # whether predict itself returns `(instance, prediction)`

    # Two decorator calls are two declarations, even for one function and key. Comparing fields
    # would also call the `__eq__` and `__hash__` of the decorated object.
    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    @property
    def owner_module(self) -> str:
        """The module whose entry in the ledger holds this."""
        return self.importing_module or self.module

    @property
    def qualname(self) -> str:
        """Dotted name of the function within its module."""
        return qualname_of(self.function)

    @property
    def place(self) -> str:
        """`pkg/module.py:14`."""
        return f"{short_file(self.file, self.module)}:{self.line}"


def qualname_of(function: Callable[..., Any]) -> str:
    """Dotted name of a function within its module; of an object without one, its class's name."""
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else type(function).__name__


CallSite = tuple[str, str | None, str, int]
"""Where a decorator was called: module, importing module, file and line, as in a `Declaration`."""


_LOAD: CodeType = sys.modules["_frozen_importlib"]._load_unlocked.__code__
"""What runs in each import: of a compiled module no other frame tells."""

_RELOAD: CodeType = sys.modules["_frozen_importlib"]._exec.__code__


def call_site(caller: FrameType, target: object = None) -> tuple[CallSite, object | None]:
    """Where a decorator was called, and the spec of the module whose import that is part of.

    Python sets `_initializing` on a module's spec while the module's body runs. The innermost frame
    of such a module is the import that a declaration belongs to. A module that is reloaded has no
    such mark; the frame of its reload tells. A compiled `target` knows its line.
    """
    frame: FrameType | None = caller
    name = caller.f_globals.get("__name__")
    module = name if isinstance(name, str) else "__main__"
    file, line = caller.f_code.co_filename, caller.f_lineno
    looked_at: object = None
    while frame is not None:
        code = frame.f_code
        if code is _LOAD or code is _RELOAD:
            spec = frame.f_locals["spec"]
            if module == "importlib._bootstrap":  # called by compiled code that is the module's
                module, file = spec.name, spec.origin or "<compiled>"
                line = getattr(getattr(target, "__code__", None), "co_firstlineno", 1)
            return (module, spec.name, file, line), spec
        names = frame.f_globals
        if names is not looked_at:  # most frames are of the module of the one before
            looked_at = names
            spec = names.get("__spec__")
            if spec is not None and is_initializing(spec):
                importing_module = names.get("__name__")
                if isinstance(importing_module, str):
                    return (module, importing_module, file, line), spec
        frame = frame.f_back
    return (module, None, file, line), None


def modules_being_imported() -> frozenset[str]:
    """The modules whose bodies this thread is running at the moment."""
    found = set()
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code is _LOAD or frame.f_code is _RELOAD:
            found.add(frame.f_locals["spec"].name)
        elif is_initializing(frame.f_globals.get("__spec__")):
            name = frame.f_globals.get("__name__")
            if isinstance(name, str) and frame.f_code.co_name == "<module>":
                found.add(name)
        frame = frame.f_back
    return frozenset(found)
