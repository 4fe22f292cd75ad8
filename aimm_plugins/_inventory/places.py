"""Where the file of a module is or was meant to be, by what a distribution installed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES

from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.module_location import Modules

_SUFFIXES = (*EXTENSION_SUFFIXES, *SOURCE_SUFFIXES)


def file_in(folder: str, module: str) -> str | None:
    """The file of a module below a folder; a plain folder counts where it has no file."""
    base = os.path.join(folder, *module.split("."))
    for path in _variants(base):
        if os.path.isfile(path):
            return path
    return base if os.path.isdir(base) else None


def recorded_file(distribution: Distribution, module: str) -> str | None:
    """The file of a module that RECORD lists, there or not; `None` where it lists none."""
    content = distribution.read("RECORD")
    if content is None or distribution.folder is None:
        return None
    content = b"\n" + content
    for path in _variants(module.replace(".", "/"), "/"):
        if b"\n%s," % path.encode() in content:
            return os.path.join(distribution.folder, *path.split("/"))
    return None


def is_installed_by(distribution: Distribution, file: str) -> bool:
    """Whether RECORD lists a file; one look, for what is asked of every plugin of a start."""
    folder = os.path.join(distribution.folder or "", "")
    if not distribution.folder or not file.startswith(folder):
        return False
    path = file.removeprefix(folder).replace(os.sep, "/").encode("utf-8", "surrogateescape")
    content = distribution.read("RECORD") or b""
    return content.startswith(b"%s," % path) or b"\n%s," % path in content


def installed_hash(distribution: Distribution, file: str) -> str:
    """The hash of a file in RECORD; empty where it has none."""
    from aimm_plugins._discovery.record_file import listed  # only faults need it

    path = os.path.relpath(file, distribution.folder).replace(os.sep, "/")
    return (listed(distribution) or {}).get(path, "")


def is_changed(distribution: Distribution, file: str) -> bool:
    """Whether a file is there, and has another hash than in RECORD."""
    from aimm_plugins._discovery.verification import has_hash

    wanted = installed_hash(distribution, file)
    return bool(wanted) and os.path.isfile(file) and not has_hash(file, wanted)


def changed_entry_points(distribution: Distribution) -> str | None:
    """The file with the entry points of a distribution, where it is not as it was installed."""
    file = os.path.join(distribution.place, "entry_points.txt")
    return file if is_changed(distribution, file) else None


def source_file(distribution: Distribution, module: str) -> str | None:
    """The file of a module in the source folder of an editable install."""
    root = distribution.editable_root
    if root is None:
        return None
    for folder in (root, os.path.join(root, "src")):
        found = file_in(folder, module)
        if found is not None:
            return found
    return None


def file_for_another_python(
    module: str, distribution: Distribution | None, modules: Modules
) -> str | None:
    """A compiled file of the module that this Python does not load."""
    parent, _, leaf = module.rpartition(".")
    location = modules.find(parent) if parent else None
    folders = (location.folders or []) if location is not None else []
    if not parent:
        roots = (distribution.folder, distribution.editable_root) if distribution else ()
        folders = [*filter(None, roots), *modules.path]
    for folder in folders:
        for name in _names(folder, leaf):
            is_module = name.partition(".")[0] == leaf and name.endswith((".so", ".pyd"))
            if is_module and not any(name == f"{leaf}{suffix}" for suffix in EXTENSION_SUFFIXES):
                return os.path.join(folder, name)
    return None


def in_other_case(module: str, modules: Modules) -> str | None:
    """The module whose name differs in the case of its letters alone, where there is one."""
    parts: list[str] = []
    folders: Sequence[str] = modules.path
    for part in module.split("."):
        names = (name for folder in folders for name in _names(folder, part))
        alike = sorted({name.partition(".")[0] for name in names})
        if not alike:
            return None
        parts.append(part if part in alike else alike[0])
        folders = [os.path.join(folder, parts[-1]) for folder in folders]
    spelled = ".".join(parts)
    return spelled if spelled != module and modules.find(spelled) is not None else None


def _variants(base: str, separator: str = os.sep) -> Iterator[str]:
    for suffix in _SUFFIXES:
        yield f"{base}{separator}__init__{suffix}"
    for suffix in _SUFFIXES:
        yield f"{base}{suffix}"


def _names(folder: str, module: str) -> Sequence[str]:
    """The names in a folder that begin as a module, in upper or lower case."""
    try:
        return _table(folder, os.stat(folder).st_mtime_ns).get(module.lower(), ())
    except (OSError, ValueError):
        return ()


@lru_cache(maxsize=32)  # each of a distribution's plugins may ask
def _table(folder: str, changed: int) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(os.listdir(folder)):
        found.setdefault(name.partition(".")[0].lower(), []).append(name)
    return found
