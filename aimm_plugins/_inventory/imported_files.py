"""Whether the file behind a plugin's module is the one that its distribution has installed.

By RECORD, else by the source folder of an editable install. It is asked for every plugin of a
start, so that a sound one costs reading its RECORD and no more.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from aimm_plugins._discovery.distribution import Distribution, is_beneath, spellings
from aimm_plugins._discovery.scan import Scan
from aimm_plugins._inventory.places import (
    installed_hash,
    is_installed_by,
    recorded_file,
    source_file,
)
from aimm_plugins._system.files import has_same_content
from aimm_plugins._system.names import ANEW, pip_install
from aimm_plugins._values.report import Finding, PluginRecord
from aimm_plugins.errors import PluginImportError


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
        is_same_file(record.file, own) or has_same_content(record.file, own)
    ):
        return None
    return _foreign(record, distribution, own, installed)


def is_same_file(one: str, other: str) -> bool:
    """Whether two paths are one module's file; a frozen program has it under another suffix."""
    if os.path.splitext(one)[0] == os.path.splitext(other)[0]:
        return True
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


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
    owners = [who for who, file in listing.values() if _has_installed(who, file)]
    if not owners or len(owners) == len(listing):
        return {}
    (_, file), *_ = listing.values()
    return {
        place: (_taken(records[place], who, file, owners), _remedy(who, owners))
        for place, (who, _) in listing.items()
        if who not in owners
    }


def _has_installed(distribution: Distribution, file: str) -> bool:
    from aimm_plugins._discovery.verification import has_hash  # few distributions share a file

    return has_hash(file, installed_hash(distribution, file))


def _taken(
    record: PluginRecord, loser: Distribution, file: str, owners: Iterable[Distribution]
) -> PluginImportError:
    who = " and ".join(owner.who for owner in owners)
    return PluginImportError(
        f"{file} is not what {loser.who} has installed: {who} has installed a file of the same "
        "name over it",
        name=record.module,
        path=file,
    )


def _remedy(loser: Distribution, owners: Sequence[Distribution]) -> str:
    names = " ".join(owner.name for owner in owners)
    return (
        f"Uninstall {names} and install {loser.name} again ({pip_install(loser.name, ANEW)}), or "
        f"uninstall {loser.name} and install {names} again. Both together need modules of "
        "different names: tell their authors."
    )
