"""Import modules, and look at module objects."""

from __future__ import annotations

import sys
import types
from _thread import get_ident
from collections.abc import Callable, Iterator
from itertools import accumulate
from types import ModuleType
from typing import Any

from aimm_plugins._system.guard import guarded

contents: Callable[[Any], dict[str, Any]] = vars(ModuleType)["__dict__"].__get__
"""The module's real `__dict__`, even if its class overrides `__dict__` or `__getattribute__`."""


def is_initializing(spec: object) -> bool:
    """Whether Python is running the body of the module that the spec belongs to."""
    with guarded():  # a module may replace its spec by any object
        return bool(getattr(spec, "_initializing", False))
    return False


def forget_imports_of_other_threads() -> None:
    """In a forked child: let modules be imported again that other threads were importing.

    Python keeps the locks of these modules for threads that do not exist here, so that an import of
    one would wait for ever.
    """
    locks = getattr(sys.modules["_frozen_importlib"], "_module_locks", {})
    for name, reference in list(locks.items()):
        if getattr(reference(), "owner", None) not in (None, get_ident()):
            del locks[name]
            module = sys.modules.get(name)
            if isinstance(module, ModuleType) and is_initializing(contents(module).get("__spec__")):
                del sys.modules[name]


def import_whole(name: str) -> object:
    """Import a module, and what it and its package import lazily.

    Since Python 3.15 what declares may be imported lazily, by `lazy` or `-X lazy_imports=all`.
    """
    import importlib

    is_new = name not in sys.modules
    if is_new:
        # From the outermost on, for a name with thousands of dots: Python itself begins with the
        # innermost, and 3.15 takes a minute for as many nested calls.
        for parent in accumulate(name.split(".")[:-1], "{}.{}".format):
            importlib.import_module(parent)
    module = importlib.import_module(name)
    try:
        finish_lazy_imports(name)
    except BaseException:
        if is_new:  # so that it is run again when it is repaired, as after an import that fails
            sys.modules.pop(name, None)
        raise
    return module


_LAZY: type | None = getattr(types, "LazyImportType", None)


def finish_lazy_imports(name: str) -> None:
    """Import what a module and its topmost package import lazily, as it may declare.

    What an author has asked to be imported late (`lazy import torch`) stays lazy, unless it is of
    the same package. Where the host asks it of all imports, none of the package's is.

    It happens after their bodies have run and not by a filter of Python's, because lazy imports
    may form a circle, and because the module may have been imported before it was a plugin.
    """
    if _LAZY is None:
        return
    # What shares only a namespace package with the module is somebody else's.
    names = accumulate(name.split("."), "{}.{}".format)
    package = next((each for each in names if _file(each)), name)
    done: set[tuple[str, str]] = set()
    while lazy := [place for place in _lazy_imports(package, _LAZY) if place not in done]:
        for module, attribute in lazy:
            # Python still lists what a run of the module before its repair was to import.
            getattr(sys.modules[module], attribute, None)
        done.update(lazy)


def _file(name: str) -> object:
    module = sys.modules.get(name)
    return contents(module).get("__file__") if isinstance(module, ModuleType) else None


def _lazy_imports(package: str, lazy: type) -> Iterator[tuple[str, str]]:
    """The names of a package's modules, with those of what they are to import now."""
    is_by_host = sys.get_lazy_imports() == "all"  # type: ignore[attr-defined]  # since Python 3.15
    for name, module in sys.modules.copy().items():
        if f"{name}.".startswith(f"{package}.") and isinstance(module, ModuleType):
            for attribute, value in contents(module).copy().items():
                # Only its text names what it will import: `<lazy_import 'pkg.models'>`.
                if type(value) is lazy and (is_by_host or f"'{package}." in repr(value)):
                    yield name, attribute
    # `import pkg.sub` binds only `pkg`, and leaves `sub` to whoever asks `pkg` for it.
    for name in sys.lazy_modules.copy():  # type: ignore[attr-defined]  # since Python 3.15
        parent, _, attribute = name.rpartition(".")
        is_own = f"{parent}.".startswith(f"{package}.")
        if is_own and isinstance(sys.modules.get(parent), ModuleType):
            yield parent, attribute
