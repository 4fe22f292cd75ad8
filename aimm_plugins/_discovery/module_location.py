"""Where a module's file is, without importing anything."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any, cast

from aimm_plugins._system.modules import contents


def locate(module: str) -> str | None:
    """The file that importing a module would run, without importing it or its parents.

    `importlib.util.find_spec("a.b")` imports `a`; this asks the finders for one level after the
    other instead. A parent that changes its own `__path__` when it runs cannot be foreseen. Never
    raises: the import itself will say what is wrong with a finder.

    Args:
        module: Dotted name.

    Returns:
        The file, or `None` where there is none (built in, frozen, a namespace package) or the
        module cannot be found.
    """
    parts = module.split(".")
    if not all(parts):
        return None
    if module in sys.modules:
        return _absolute(_attribute(sys.modules[module], "__file__"))
    search: list[str] | None = None
    origin: object = None
    name = ""
    for part in parts:
        name = f"{name}.{part}" if name else part
        if name != module and name in sys.modules:
            search = _folders(_attribute(sys.modules[name], "__path__"))
        else:
            found = _find(name, search)
            if found is None:
                return None
            origin, search = found
        if search is None and name != module:
            return None
    return _absolute(origin)


def _absolute(file: object) -> str | None:
    file = _text(file)
    return None if file is None or "\0" in file else os.path.abspath(file)


def _text(value: object) -> str | None:
    """A path as plain text, since a module may have set it to a class of its own."""
    return str.__str__(cast(str, value)) if issubclass(type(value), str) else None


def _attribute(module: object, name: str) -> object:
    """Of a loaded module, past its `__getattr__`: to ask a lazily loaded one would run it."""
    try:
        if issubclass(type(module), ModuleType):
            return contents(module).get(name)
        return object.__getattribute__(module, "__dict__").get(name)
    except KeyboardInterrupt:
        raise
    except BaseException:  # an object of a stranger's in place of a module
        return None


def _folders(path: Any) -> list[str] | None:
    """A `__path__` as a list, or `None` for what is no package."""
    if path is None:
        return None
    try:
        return [item for each in path if (item := _text(each)) is not None]
    except KeyboardInterrupt:
        raise
    except BaseException:  # a stranger's __path__ may do anything
        return None


def _find(name: str, search: list[str] | None) -> tuple[object, list[str] | None] | None:
    """File and submodule folders of a module whose parent's folders are `search`."""
    for finder in list(sys.meta_path):
        try:
            if finder is PathFinder and search is not None:
                found = _find_in_folders(name, search)
            else:
                spec: Any = finder.find_spec(name, search, None)
                found = None if spec is None else _parts(spec)
        except KeyboardInterrupt:
            raise
        except BaseException:  # a stranger's finder may raise anything, SystemExit too
            continue
        if found is not None:
            return found
    return None


def _parts(spec: Any) -> tuple[object, list[str] | None]:
    return spec.origin if spec.has_location else None, _folders(spec.submodule_search_locations)


def _find_in_folders(name: str, search: Iterable[str]) -> tuple[object, list[str] | None] | None:
    """As `PathFinder`, which for a namespace package asks for the parent in `sys.modules`."""
    from pkgutil import get_importer

    portions: list[str] = []
    for folder in search:
        importer = get_importer(folder)
        spec: Any = importer.find_spec(name) if importer is not None else None
        if spec is None:
            continue
        if spec.loader is not None:
            return _parts(spec)
        portions += _folders(spec.submodule_search_locations) or ()
    return (None, portions) if portions else None
