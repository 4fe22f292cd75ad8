"""Read the metadata in a plain folder: only `entry_points.txt`, and that without any object for it.

This takes a tenth of the time of `importlib.metadata.entry_points`. Whatever is done here for each
distribution may be done 10,000 times, and has to stay within a third of what opening and reading
its file takes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from aimm_plugins._discovery.distribution import InFolder
from aimm_plugins._discovery.groups import may_be_ours
from aimm_plugins._discovery.path_entry import PathEntry
from aimm_plugins._system.ceilings import METADATA_BYTES
from aimm_plugins._system.files import FIRST_READ, OPEN_FLAGS, read_handle
from aimm_plugins._system.names import normalized
from aimm_plugins._values.report import Finding

_SUFFIXES = (".dist-info", ".egg-info")
_ABSENT = (FileNotFoundError, NotADirectoryError)
_RELATIVE = os.open in os.supports_dir_fd
"""Files are opened relative to their folder where that can be: a twentieth of the time saved."""


def read_folder(folder: str, seen: set[object], findings: list[Finding]) -> list[PathEntry]:
    """What a plain folder holds, by further entries where it holds a name more than once."""
    names = os.listdir(folder)
    # A slash is in no name, so that one pass over all names does for a call on each of them.
    listing = "/".join(names).lower() + "/"
    if "-info/" not in listing:
        return []
    files, keys, untold = _metadata_files(folder, names, listing)
    if not files:
        return []
    # One folder under two names, such as lib64 and lib, is no folder with duplicates.
    status = os.stat(folder)
    identity = (status.st_dev, status.st_ino)
    if identity in seen:
        return []
    seen.add(identity)
    contents = _read_files(folder, files, findings)
    for index in untold:
        name = files[index]
        keys[index] = _stated_key(folder, name, keys[index], name in contents, findings)
    held = dict(zip(keys, files, strict=True))
    levels = [held] if len(held) == len(keys) else _levels(keys, files)
    entries = []
    for level in levels:
        level.pop("", None)
        ours = {key: contents[name] for key, name in level.items() if name in contents}
        entries.append(PathEntry(folder, level, ours))
    return entries


def _levels(keys: Sequence[str], files: Sequence[str]) -> list[dict[str, str]]:
    """The first file of each normalized name, then the second of each, and so on.

    The order of listing is what importlib-metadata goes by too. To choose better here, by version
    or date, would only make us answer otherwise than `importlib.metadata.version`.
    """
    levels: list[dict[str, str]] = []
    count: dict[str, int] = {}
    for key, name in zip(keys, files, strict=True):
        count[key] = level = count.get(key, -1) + 1
        if level == len(levels):
            levels.append({})
        levels[level][key] = name
    return levels


def _read_files(folder: str, files: Iterable[str], findings: list[Finding]) -> dict[str, bytes]:
    """The `entry_points.txt` that speak of our group, by the dist-info or egg-info."""
    contents: dict[str, bytes] = {}
    tail = f"{os.sep}entry_points.txt"
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY) if _RELATIVE else None
    prefix = os.path.join(folder, "") if handle is None else ""
    open_file, read, close, flags = os.open, os.read, os.close, OPEN_FLAGS
    try:
        for name in files:
            try:
                file = open_file(f"{prefix}{name}{tail}", flags, dir_fd=handle)
            except _ABSENT:
                continue
            except OSError as error:
                findings.append(_unreadable(os.path.join(folder, name + tail), name, error))
                continue
            try:
                content = read(file, FIRST_READ)
                if len(content) == FIRST_READ or not content:
                    content = read_handle(file, METADATA_BYTES, content)
                if may_be_ours(content):
                    contents[name] = content
            except OSError as error:
                findings.append(_unreadable(os.path.join(folder, name + tail), name, error))
            finally:
                close(file)
    finally:
        if handle is not None:
            close(handle)
    return contents


def _metadata_files(
    folder: str, names: list[str], listing: str
) -> tuple[list[str], list[str], Iterable[int]]:
    """Metadata among names, with normalized names, and indexes of those not told by a name."""
    files = [name for name in names if name.endswith(_SUFFIXES)]
    odd_case = sum(listing.count(f"{suffix}/") for suffix in _SUFFIXES) > len(files)
    if odd_case:
        files = [name for name in names if name.lower().endswith(_SUFFIXES)]
    if folder.lower().endswith(".egg"):
        odd_case = True
        files += [name for name in names if name.lower() == "egg-info"]
    if not files:
        return [], [], ()
    stems = "/".join([name.partition("-")[0] for name in files]).lower()
    if ".dist/" in f"{stems}/" or ".egg/" in f"{stems}/":  # a file name without a version
        stems = "/".join([name.rpartition(".")[0].partition("-")[0] for name in files]).lower()
    stems = normalized(stems)
    keys = stems.split("/")
    untold: Iterable[int] = ()
    if odd_case or "//" in f"/{stems}/" or "/~" in f"/{stems}":
        untold = [
            index
            for index, name in enumerate(files)
            if not keys[index] or keys[index][0] == "~" or not name.endswith(_SUFFIXES)
        ]
    return files, keys, untold


def _stated_key(folder: str, name: str, key: str, ours: bool, findings: list[Finding]) -> str:
    """The normalized name of metadata whose file name does not tell; "" to pass it over."""
    place = os.path.join(folder, name)
    if key.startswith("~"):
        if ours:
            message = "is what an interrupted uninstall left, passed over"
            findings.append(Finding("stale-metadata", name, message, place, "Remove it."))
        return ""
    stated = InFolder("", folder, name).stated_name
    if stated:
        return normalized(stated)
    if name.lower() == "egg-info":
        key = normalized(os.path.basename(folder).rpartition(".")[0].partition("-")[0])
    if not key:
        message = "metadata without a name, passed over"
        remedy = "Remove it; pip leaves such folders when it is interrupted."
        findings.append(Finding("broken-metadata", name, message, place, remedy))
    return key


def _unreadable(path: str, subject: str, error: OSError) -> Finding:
    message = f"cannot be read: {error.strerror or error}"
    return Finding("broken-metadata", subject, message, path, "Reinstall the distribution.")
