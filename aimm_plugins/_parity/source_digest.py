"""Digests of the Python sources of plugins.

A digest is SHA-256 of a line `path hash` for each source, sorted. The hashes are those of RECORD,
where it has them of the plugin, and no source is read: `verify: record` checks that files are what
RECORD says. Otherwise the files are read, so that an editable install has the digest of the wheel.
Line ends are read as Python reads them: a checkout with other line ends is the same program. What
is in a zip without RECORD has no digest.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress

from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.module_location import HERE, Modules
from aimm_plugins._discovery.record_file import record_lines
from aimm_plugins._system.files import readable


def source_digest(hashes: Mapping[str, str]) -> str | None:
    """The digest of sources (path to SHA-256 in hex) in hex; `None` where there are none."""
    import hashlib

    if not hashes:
        return None
    lines = "".join(sorted(f"{path} {value}\n" for path, value in hashes.items()))
    # A file name that is not UTF-8 must not stop anything.
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def hashes_in_record(distribution: Distribution) -> dict[str, str]:
    """The hashes that RECORD has of sources, by path; none unless it has them of all."""
    import base64

    hashes = {}
    try:
        for line in record_lines(distribution) or ():
            if _is_source(line.path):
                value = line.hash.partition("sha256=")[2]
                hashes[line.path] = base64.urlsafe_b64decode(f"{value}=").hex()
    except ValueError:
        return {}
    return hashes if all(hashes.values()) else {}


def hashes_in_files(module: str, modules: Modules = HERE) -> dict[str, str]:
    """The hashes of the sources of the outermost package that a module is in, or of its file."""
    parts = module.split(".")
    outer = (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    # A namespace package has no file.
    name, file = next(((name, file) for name in outer if (file := modules.locate(name))), ("", ""))
    # multiprocessing gives the main module another name in a process that it spawns.
    path = name.replace("__mp_main__", "__main__").replace(".", "/")
    folder, base = os.path.split(file)
    if base.startswith("__init__."):
        places = _listed(folder, path)
    elif base.endswith(".py"):
        path += ".py"
        places = iter([(file, path)])
    else:
        return {}
    from hashlib import sha256

    def hashed(content: bytes) -> str:
        if b"\r" in content:
            content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return sha256(content).hexdigest()

    contents = ((path, readable(file, sys.maxsize)) for file, path in places)
    return {path: hashed(content) for path, content in contents if content is not None}


def _is_source(path: str) -> bool:
    """Whether a file is Python source that imports lead to: never into a folder with a dot."""
    *folders, name = path.split("/")
    return name.endswith(".py") and not any(
        not folder or "." in folder or folder == "__pycache__" for folder in folders
    )


def _listed(folder: str, path: str) -> Iterator[tuple[str, str]]:
    """Places of the sources in a folder, with their paths; none where it cannot be listed."""
    names: list[str] = []
    with suppress(OSError):
        names = os.listdir(folder)
    for name in names:
        if name.endswith(".py"):
            yield f"{folder}/{name}", f"{path}/{name}"
        # A link may lead in a circle, and no installer makes any.
        elif "." not in name and name != "__pycache__" and not os.path.islink(f"{folder}/{name}"):
            yield from _listed(f"{folder}/{name}", f"{path}/{name}")
