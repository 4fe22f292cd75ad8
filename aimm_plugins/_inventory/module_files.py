"""The files of modules: which a distribution has installed, by RECORD, and which is there.

Whether a plugin's module is the one of its distribution is asked for every plugin of a start, so
that a sound one costs reading its RECORD and no more.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES

from aimm_plugins._discovery.distribution import (
    Distribution,
    is_beneath,
    path_in_record,
    spellings,
)
from aimm_plugins._discovery.module_location import Modules
from aimm_plugins._discovery.scan import Scan
from aimm_plugins._system.files import has_same_content
from aimm_plugins._system.names import ANEW, pip_install
from aimm_plugins._values.report import Finding, PluginRecord
from aimm_plugins.errors import PluginImportError

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
    path = path_in_record(distribution, file)
    if path is None:
        return False
    line = path.encode("utf-8", "surrogateescape") + b","
    content = distribution.read("RECORD") or b""
    return content.startswith(line) or b"\n" + line in content


def installed_hash(distribution: Distribution, file: str) -> str:
    """The hash of a file in RECORD; empty where it has none."""
    return recorded(distribution).get(path_in_record(distribution, file) or "", "")


@lru_cache(maxsize=8)  # each of a distribution's plugins may ask
def recorded(distribution: Distribution) -> Mapping[str, str]:
    """The hashes in RECORD by path; none where it does not say what was installed."""
    from aimm_plugins._discovery.record_file import listed  # only faults need it

    return listed(distribution) or {}


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


def foreign_module(record: PluginRecord, installed: Scan) -> Finding | None:
    """The finding that a plugin's module is not what its distribution installed, if it is not."""
    distribution = installed.find(record.distribution) if record.distribution else None
    if distribution is None:
        return None
    if record.file is not None and is_installed_by(distribution, record.file):
        return None
    own = recorded_file(distribution, record.module)
    if own is None and distribution.editable_root is None:
        return None  # a distribution may name a module of another one
    if record.file is None:
        record = record._replace(file=installed.modules.locate(record.module))
    if own is None:
        own = source_file(distribution, record.module)
        if own is None or _is_of_source(record.file, distribution):
            return None
    # The content: a checkout may be installed, and not as an editable install.
    elif record.file is not None and (
        _stem(record.file) == _stem(own) or has_same_content(record.file, own)
    ):
        return None
    return _foreign(record, distribution, own, installed)


def _stem(file: str) -> str:
    """Where a file is, without its suffix: a frozen program has modules under another one."""
    return os.path.splitext(os.path.realpath(file))[0]


def _is_of_source(file: str | None, distribution: Distribution) -> bool:
    root = distribution.editable_root
    return (
        file is not None
        and root is not None
        and any(is_beneath(path, folder) for path in spellings(file) for folder in spellings(root))
    )


def _foreign(
    record: PluginRecord, distribution: Distribution, own: str, installed: Scan
) -> Finding | None:
    location = installed.modules.find(record.module)
    folders = [] if location is None or location.folders is None else location.folders
    owner = None
    if record.file is not None:
        owner = installed.owner(record.module, record.file)
        owner = None if owner is None or owner.key == distribution.key else owner
        found = record.file
        what = found if owner is None else f"{found}, which is {owner.who}'s"
    elif folders:
        found, what = folders[0], f"the folder {folders[0]}, in which there is no __init__"
    else:  # not found at all, which its error says
        return None
    top, *inner = record.module.split(".")
    place = os.path.dirname(found)
    for _ in range(len(inner) + os.path.basename(found).startswith("__init__.")):
        place = os.path.dirname(place)
    stray = os.path.join(place, top) if place != os.path.dirname(found) else found
    if top in sys.stdlib_module_names:
        remedy = f"Tell its author: Python has a module {top} of its own. It needs another name."
    elif owner is not None:
        remedy = (
            f"Both bring a module {top}: uninstall one of them, {owner.name} or "
            f"{distribution.name}, and tell their authors."
        )
    else:
        remedy = (
            f"Remove or rename {stray}, or take {place} off the path (the working folder, "
            "PYTHONPATH, sys.path)."
        )
    return Finding(
        code="foreign-module",
        subject=record.subject,
        message=f"{record.module} is {what}, and not {own}, which is that of {distribution.who}",
        place=found,
        remedy=remedy,
    )


def overwritten(
    records: Sequence[PluginRecord], installed: Scan
) -> dict[int, tuple[Exception, str]]:
    """Plugins of one module whose file another distribution has installed over theirs.

    By their place, with the error and what to do. By the hashes of RECORD the file that is there is
    that of one of them.
    """
    listing = {}
    for place, record in enumerate(records):
        distribution = installed.find(record.distribution) if record.distribution else None
        file = None if distribution is None else recorded_file(distribution, record.module)
        if distribution is not None and file is not None:
            listing[place] = (distribution, file)
    if len({file for _, file in listing.values()}) != 1:
        return {}
    from aimm_plugins._discovery.verification import has_hash  # few distributions share a file

    owners = [who for who, file in listing.values() if has_hash(file, installed_hash(who, file))]
    if not owners or len(owners) == len(listing):
        return {}
    who = " and ".join(owner.who for owner in owners)
    names = " ".join(owner.name for owner in owners)
    found: dict[int, tuple[Exception, str]] = {}
    for place, (loser, file) in listing.items():
        if loser not in owners:
            text = f"{file} is not what {loser.who} has installed: {who} has installed a file of "
            error = PluginImportError(
                f"{text}the same name over it", name=records[place].module, path=file
            )
            found[place] = (
                error,
                (
                    f"Uninstall {names} and install {loser.name} again "
                    f"({pip_install(loser.name, ANEW)}), or uninstall {loser.name} and install "
                    f"{names} again. Both together need modules of different names: tell their "
                    "authors."
                ),
            )
    return found
