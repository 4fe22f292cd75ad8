"""RECORD: the files that a distribution installed, and whether they are still what it installed.

csv, hashlib and base64 are imported where they are used: a start that verifies nothing does
without them, and hashlib loads OpenSSL.

References:
    https://packaging.python.org/specifications/recording-installed-packages/ for the format;
    https://peps.python.org/pep-0427/ for the hashes.
"""

from __future__ import annotations

import io
import os
import posixpath
import re
import stat
from collections.abc import Iterator, Sequence
from importlib.machinery import all_suffixes
from typing import NamedTuple

from aimm_plugins._discovery.distribution import Distribution, spellings
from aimm_plugins._system.files import OPEN_FLAGS

_LIMIT = 128 * 1024 * 1024
"""Bytes of the longest RECORD that is read; the largest wheels have some 50,000 files."""

_WEAK = frozenset({"md5", "sha1", "sha224"})
"""Hashes that the wheel format refuses."""

_OF_THE_INSTALLATION = frozenset(
    {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
)
"""Metadata that installers write: it differs between machines that have the same wheel."""

_TOP_LEVEL = rb'(?m)^"?([^/\\,"\r\n]+)'


class _Line(NamedTuple):
    path: str
    hash: str


def listed(distribution: Distribution) -> frozenset[str] | None:
    """The paths in RECORD, relative to the site folder; `None` where there is no RECORD."""
    content = distribution.read("RECORD", _LIMIT)
    if content is None:
        return None
    folder = distribution.folder or ""
    return frozenset(_plainly_spelled(line.path, folder) for line in _lines(content))


def recorded_hashes(distribution: Distribution) -> dict[str, str]:
    """The files in RECORD with their hashes, spelled `sha256=...`; empty where there is none."""
    content = distribution.read("RECORD", _LIMIT) or b""
    folder = distribution.folder or ""
    return {_plainly_spelled(line.path, folder): line.hash for line in _lines(content)}


def has_hash(file: str, spelled: str) -> bool:
    """Whether a file has a hash of RECORD; not where that is none, or the file cannot be read."""
    import hashlib

    algorithm, _, wanted = spelled.partition("=")
    if not wanted or algorithm not in hashlib.algorithms_guaranteed:
        return False
    try:
        return _digest(file, algorithm) == wanted.rstrip("=")
    except (OSError, ValueError, TypeError):
        return False


def _plainly_spelled(path: str, folder: str) -> str:
    """A path in the one spelling in which it is looked up: not as `./x.py` or `/site/x.py`."""
    if not folder or (path[:1] not in ("/", ".") and "/." not in path and "//" not in path):
        return path
    return os.path.relpath(os.path.join(folder, path), folder).replace(os.sep, "/")


def top_levels(distribution: Distribution) -> frozenset[str]:
    """Names of the top-level modules and packages that a distribution brings.

    From RECORD, else from `top_level.txt`. Folders that hold no module may be among them.
    """
    content = distribution.read("RECORD", _LIMIT)
    if content is None:
        return declared_top_levels(distribution)
    # By a pattern and not by csv: all RECORDs of a folder are read here. A distribution with the
    # name on its list is only a candidate, and its RECORD is read properly afterwards.
    found = {name.partition(b".")[0] for name in re.findall(_TOP_LEVEL, content)}
    return frozenset(name.decode(errors="replace") for name in found if name)


def declared_top_levels(distribution: Distribution) -> frozenset[str]:
    """The lines of `top_level.txt`, which setuptools writes."""
    content = distribution.read("top_level.txt") or b""
    return frozenset(line.strip() for line in content.decode(errors="replace").splitlines())


def record_digest(distribution: Distribution) -> str | None:
    """A digest of what a distribution installed, by the hashes in its RECORD.

    Two machines that installed the same wheel agree: what installers add (scripts, bytecode,
    `INSTALLER`, `direct_url.json` and such) is left out. The files themselves are not read.

    Returns:
        `sha256:` and the hex digest, or `None` where no RECORD has a hash of what would run: there
        is none, it has no hashes, or the install is editable.
    """
    if distribution.origin == "editable":
        return None
    content = distribution.read("RECORD", _LIMIT)
    if content is None:
        return None
    lines = {line for line in _lines(content) if not _is_of_the_installation(line.path)}
    if not lines or not all(line.hash for line in lines):
        return None
    import hashlib

    digest = hashlib.sha256()
    for text in sorted(f"{line.path},{line.hash}\n" for line in lines):
        digest.update(text.encode("utf-8", "surrogateescape"))
    return f"sha256:{digest.hexdigest()}"


def _is_of_the_installation(path: str) -> bool:
    if path.startswith(("..", "/")) or os.path.isabs(path) or path.endswith(".pyc"):
        return True
    folder, _, file = path.rpartition("/")
    return folder.endswith(".dist-info") and file in _OF_THE_INSTALLATION


def verify_record(distribution: Distribution, module: str, file: str | None) -> str | None:
    """Why a plugin's own package is not proven to be what was installed, or `None` if it is.

    All files that RECORD lists beneath the module's top level are compared (of a single-file
    module, that file). The package's folders must hold nothing else that an import would take.
    Bytecode in `__pycache__` is not covered: installers do not hash it. Who may write to the folder
    may write RECORD too; this finds files that were changed, not an intruder.

    Args:
        distribution: The owner of the module.
        module: Dotted name.
        file: Its source file, as `locate` found it.

    Returns:
        One line that names the file, or `None`.
    """
    who = distribution.who
    if distribution.origin == "editable":
        return f"{who} is an editable install, which has no hashes of its sources"
    folder = distribution.folder
    if folder is None or not os.path.isdir(folder):
        return f"{who} is not in a plain folder ({distribution.place}); no file can be compared"
    content = distribution.read("RECORD", _LIMIT)
    if content is None:
        return f"{who} has no RECORD that can be read in {distribution.place}"
    top = module.partition(".")[0]
    lines = [line for line in _lines(content) if _is_of(line.path, top)]
    if not lines:
        return f"RECORD of {who} lists no file of {top}"
    return (
        _fault_of_place(lines, folder, module, file)
        or _fault_of_files(lines, folder)
        or _fault_of_extras({line.path for line in lines}, folder)
    )


def _lines(content: bytes) -> Iterator[_Line]:
    """The rows of RECORD that have a path. A row that is broken matches no file."""
    import csv

    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    try:
        for row in csv.reader(io.StringIO(text, newline="")):
            if row and row[0]:
                path = row[0].replace("\\", "/") if os.sep == "\\" else row[0]
                yield _Line(path, row[1].strip() if len(row) > 1 else "")
    except csv.Error:  # a field beyond csv's limit; what was read before it counts
        return


def _is_of(path: str, top: str) -> bool:
    """Whether a path is in the top-level package, or is the top-level module itself."""
    first, slash, _ = path.partition("/")
    return first == top if slash else _module_name(first) == top


def _module_name(file: str) -> str | None:
    """The module that a file name holds; `None` for what no import would take."""
    if file.endswith((*all_suffixes(), ".so", ".pyd")):
        return file.partition(".")[0]
    return None


def _fault_of_place(
    lines: Sequence[_Line], folder: str, module: str, file: str | None
) -> str | None:
    if file is None:
        return f"{module} has no file to compare"
    # Not by where links lead: beside a link to a listed file there may be others.
    for start in spellings(folder):
        if any(os.path.normpath(os.path.join(start, line.path)) == file for line in lines):
            return None
    return f"{file}, which an import of {module} would run, is not a file that RECORD lists"


def _fault_of_files(lines: Sequence[_Line], folder: str) -> str | None:
    import hashlib

    for line in lines:
        path, place = line.path, os.path.join(folder, line.path)
        if posixpath.normpath(path) != path:
            return f"RECORD of {folder} lists {path}, which leads out of its folder"
        if path.endswith(".pyc") and "/__pycache__/" in path:
            continue
        if not line.hash:
            return f"{place} has no hash in RECORD"
        algorithm, _, wanted = line.hash.partition("=")
        if algorithm in _WEAK or algorithm not in hashlib.algorithms_guaranteed:
            return f"{place} has a hash in RECORD that is not accepted: {algorithm}"
        try:
            found = _digest(place, algorithm)
        except FileNotFoundError:
            return f"{place} is missing"
        except (OSError, ValueError, TypeError) as error:
            return f"{place} cannot be read: {error}"
        if found != wanted.rstrip("="):
            return f"{place} is not what was installed: its {algorithm} is not the one in RECORD"
    return None


def _digest(place: str, algorithm: str) -> str:
    """A file's hash, spelled as in RECORD."""
    import base64
    import hashlib

    with open(os.open(place, OPEN_FLAGS), "rb", buffering=0) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError("not a regular file")
        digest = hashlib.file_digest(stream, algorithm).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _fault_of_extras(known: set[str], folder: str) -> str | None:
    """What an import would take in the package's folders although RECORD does not list it."""
    for package in _package_folders(known):
        place = os.path.join(folder, package)
        try:
            names = sorted(os.listdir(place))
        except OSError as error:
            return f"{place} cannot be listed: {error}"
        for name in names:
            path = f"{package}/{name}"
            if _module_name(name) is not None:
                if path not in known:
                    return f"{os.path.join(place, name)} is not listed in RECORD"
            elif "." not in name and name != "__pycache__":
                # An unlisted package goes before a listed module of the same name.
                for file in _listing(os.path.join(place, name)):
                    if _module_name(file) == "__init__" and f"{path}/{file}" not in known:
                        return f"{os.path.join(place, name, file)} is not listed in RECORD"
    return None


def _package_folders(known: set[str]) -> list[str]:
    """The folders of modules that are, or lie in, a package with an `__init__`.

    The folders of a namespace package may hold files of other distributions.
    """
    folders: set[str] = set()
    packages: set[str] = set()
    for path in known:
        folder, _, file = path.rpartition("/")
        name = _module_name(file)
        if folder and name is not None and not folder.endswith("__pycache__"):
            folders.add(folder)
            if name == "__init__":
                packages.add(folder)
    return sorted(folder for folder in folders if _is_in(folder, packages))


def _is_in(folder: str, packages: set[str]) -> bool:
    while folder and folder not in packages:
        folder = folder.rpartition("/")[0]
    return bool(folder)


def _listing(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
