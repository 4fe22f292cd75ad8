"""Distributions that are in no plain folder: those of zips and of unusual finders.

importlib-metadata is asked for these. Its objects are made by code of others, which may raise
anything.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from typing import Any

from aimm_plugins._discovery.distribution import FromFinder
from aimm_plugins._discovery.groups import may_be_ours
from aimm_plugins._discovery.path_entry import PathEntry
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.names import normalized
from aimm_plugins._system.text import described
from aimm_plugins._values.report import Finding

_USUAL_FINDERS = frozenset({"_frozen_importlib", "importlib", "importlib_metadata"})
"""Packages whose finders see nothing but the folders and zips on the path."""


def unusual_finders() -> tuple[list[Any], list[Any]]:
    """Finders of metadata beside Python's: those asked before the path's folders, and after."""
    before: list[Any] = []
    after: list[Any] = []
    unusual = before
    for finder in list(sys.meta_path):
        module = class_of(finder).__module__
        package = module.partition(".")[0] if isinstance(module, str) else ""
        if finder is PathFinder or package in _USUAL_FINDERS:
            if package == "importlib_metadata":
                unusual = after
            continue
        with guarded():
            if callable(getattr(finder, "find_distributions", None)):
                unusual.append(finder)
    return before, after


def read_zip(item: str, findings: list[Finding]) -> PathEntry:
    from importlib_metadata import MetadataPathFinder

    return _read(MetadataPathFinder, item, findings, [item])


def read_finder(finder: Any, findings: list[Finding]) -> PathEntry:
    kind = class_of(finder)
    return _read(finder, f"{kind.__module__}.{kind.__qualname__}", findings)


def class_of(finder: object) -> type:
    """The class of a finder, which may be a class itself."""
    return finder if isinstance(finder, type) else type(finder)


def _read(
    finder: Any, subject: str, findings: list[Finding], path: list[str] | None = None
) -> PathEntry:
    from importlib_metadata import DistributionFinder

    context: Any = DistributionFinder.Context
    folder = None if path is None else os.path.abspath(path[0])
    found: dict[str, FromFinder] = {}
    with guarded() as listing:
        for offered in finder.find_distributions(context(path=path) if path else context()):
            key = _key(offered)
            if key and key not in found:
                found[key] = FromFinder(key, _place(offered) or subject, offered, folder)
    if listing.error is not None:
        message = f"cannot list its distributions: {described(listing.error)}"
        remedy = "Remove the path item or the finder."
        findings.append(Finding("broken-finder", subject, message, remedy=remedy))
    held = {key: distribution.place for key, distribution in found.items()}
    points = {key: found[key].read("entry_points.txt") or b"" for key in held}
    contents = {key: content for key, content in points.items() if may_be_ours(content)}
    return PathEntry(None, held, contents, found)


def _key(found: Any) -> str:
    """The normalized name, by how its files are called, else by its metadata; "" for neither."""
    name: object = None
    with guarded():
        name = found._normalized_name
    with guarded():
        name = name or found.metadata["Name"]
    return normalized(name) if isinstance(name, str) else ""


def _place(found: Any) -> str | None:
    with guarded():
        return None if found._path is None else str(found._path)
    return None
