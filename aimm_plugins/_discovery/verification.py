"""Whether the files of a distribution are still those that its RECORD has hashes of.

In comes a distribution; out go the hashes of all that Python may run of it, or what is wrong. Who
may write to the folder may write RECORD too: this finds files that were changed, not an intruder.

Bytecode in `__pycache__` proves nothing and is no matter here: what installers and interpreters
write there differs between machines. The imports that follow do not read it.

References:
    https://peps.python.org/pep-0427/ for the hashes.
"""

from __future__ import annotations

import base64
import hashlib
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.machinery import all_suffixes
from itertools import accumulate
from typing import NamedTuple

from aimm_plugins._discovery.distribution import Distribution, spellings
from aimm_plugins._discovery.record_file import RecordLine, record_lines
from aimm_plugins._system.files import OPEN_FLAGS

_WEAK = frozenset({"md5", "sha1", "sha224"})
"""Hashes that the wheel format refuses."""

_DECIDING = frozenset({"METADATA", "entry_points.txt"})
"""Metadata that decides what runs; the rest of a dist-info tells only."""

_SUFFIXES = (*all_suffixes(), ".so", ".pyd")


class Verified(NamedTuple):
    """What a distribution may run, proven.

    Attributes:
        folders: Where it is installed, in each spelling, with a separator at the end.
        hashes: `sha256=...` of each listed file, by absolute path.
        packages: The outermost packages that have an `__init__`.
        modules: The modules outside of these, and the packages without an `__init__` that hold all.
    """

    who: str
    folders: tuple[str, ...]
    hashes: Mapping[str, str]
    packages: frozenset[str]
    modules: frozenset[str]


def verify(distribution: Distribution) -> Verified | str:
    """What is proven of a distribution, or one line that says why nothing is.

    All files that RECORD lists in the folder are compared, but for what installers write of their
    own. Nothing else may stand there that an import would take for a part of the distribution.
    """
    who = distribution.who
    if distribution.origin == "editable":
        return f"{who} is an editable install, which has no hashes of its sources"
    folder = distribution.folder
    if folder is None or not os.path.isdir(folder):
        return f"{who} is not in a plain folder ({distribution.place}); no file can be compared"
    lines = record_lines(distribution)
    if lines is None:
        return f"{who} has no RECORD that can be read in {distribution.place}"
    info = os.path.basename(distribution.place)
    lines = [line for line in lines if _is_covered(line, info)]
    fault = _fault_of_files(lines, folder)
    if fault is not None:  # a path that leads nowhere may have any number of folders
        return fault
    parts = _Parts(line.path for line in lines)
    fault = _fault_of_extras(parts, folder)
    if fault is not None:
        return fault
    if f"{info}/entry_points.txt" not in parts.known and distribution.has("entry_points.txt"):
        return f"{os.path.join(distribution.place, 'entry_points.txt')} is not listed in RECORD"
    starts = spellings(folder)
    return Verified(
        who=who,
        folders=tuple(place_of(start) + os.sep for start in starts),
        hashes={
            place_of(os.path.join(start, line.path)): line.hash
            for line in lines
            for start in starts
        },
        packages=frozenset(parts.packages),
        modules=frozenset(parts.modules),
    )


def fault_of_place(verified: Verified, module: str, file: str) -> str | None:
    """Why a file that an import would run is none of those that are proven."""
    # Not by where links lead: beside a link to a listed file there may be others.
    if place_of(file) in verified.hashes:
        return None
    return f"{file}, which an import of {module} would run, is not a file that RECORD lists"


def place_of(file: str) -> str:
    """A file's path as `Verified.hashes` spells it."""
    return os.path.normcase(os.path.normpath(file))


def has_hash(place: str, wanted: str) -> bool:
    """Whether a file is there and has a hash, which is spelled as in RECORD."""
    try:
        return _digest(place, wanted.partition("=")[0]) == wanted.partition("=")[2].rstrip("=")
    except (OSError, ValueError, TypeError):
        return False


def bytes_have_hash(content: bytes, wanted: str) -> bool:
    algorithm, _, value = wanted.partition("=")
    return _spelled(hashlib.new(algorithm, content).digest()) == value.rstrip("=")


def module_name(file: str) -> str | None:
    """The module that a file name holds; `None` for what no import would take."""
    name, _, suffix = file.partition(".")
    # No module is called `mod.orig` or, as macOS names what it keeps about `mod.so`, `._mod`.
    is_odd = suffix.endswith((".py", ".pyc")) or not (name or file in _SUFFIXES)
    return None if is_odd or not file.endswith(_SUFFIXES) else name


def _is_covered(line: RecordLine, info: str) -> bool:
    folder, _, file = line.path.rpartition("/")
    if line.path.split("/", 1)[0] == info:
        return folder == info and file in _DECIDING
    return not line.is_of_the_installation()


class _Parts:
    """What a distribution brings to import, by its paths; each name with the folder it is in."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.known = set(paths)
        self.folders: dict[str, set[str]] = {}
        inits: set[str] = set()
        for path in self.known:
            folder, _, file = path.rpartition("/")
            name = module_name(file)
            if name is not None:
                self.folders.setdefault(folder, set()).add(name)
                if name == "__init__":
                    inits.add(folder)
        self.packages: set[str] = set()
        self.modules: set[str] = set()
        self.inside: set[str] = set()  # the folders that are, or lie in, a package
        for folder, names in self.folders.items():
            outermost = next((f for f in _folders_above(folder) if f in inits), None)
            if outermost is not None:
                self.inside.add(folder)
                self.packages.add(_dotted(outermost))
            else:
                self.modules |= {_dotted(f"{folder}/{name}") for name in names}
            above = folder if outermost is None else outermost.rpartition("/")[0]
            self.modules |= {_dotted(name) for name in _folders_above(above)}


def _folders_above(folder: str) -> Iterator[str]:
    """The folders of a path, the outermost first."""
    return accumulate(folder.split("/") if folder else (), "{}/{}".format)


def _dotted(path: str) -> str:
    return path.strip("/").replace("/", ".")


def _fault_of_files(lines: Iterable[RecordLine], folder: str) -> str | None:
    for line in lines:
        path, place = line.path, os.path.join(folder, line.path)
        if posixpath.normpath(path) != path:
            return f"RECORD of {folder} lists {path}, which leads out of its folder"
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
    with open(os.open(place, OPEN_FLAGS), "rb", buffering=0) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError("not a regular file")
        return _spelled(hashlib.file_digest(stream, algorithm).digest())


def _spelled(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _fault_of_extras(parts: _Parts, folder: str) -> str | None:
    """What an import would take for a part of the distribution although RECORD does not list it.

    In a package that is every module. A folder that others share, such as that of a namespace,
    may hold modules of other names.
    """
    for package, own in sorted(parts.folders.items()):
        place = os.path.join(folder, package)
        try:
            names = sorted(os.listdir(place))
        except OSError as error:
            return f"{place} cannot be listed: {error}"
        for name in names:
            path = f"{package}/{name}".lstrip("/")
            module = module_name(name)
            is_part = package in parts.inside
            if module is not None:
                if path not in parts.known and (is_part or module in own):
                    return f"{os.path.join(place, name)} is not listed in RECORD"
            elif "." not in name and name != "__pycache__" and (is_part or name in own):
                # An unlisted package goes before a listed module of the same name.
                with suppress(OSError):
                    for file in sorted(os.listdir(os.path.join(place, name))):
                        if module_name(file) == "__init__" and f"{path}/{file}" not in parts.known:
                            return f"{os.path.join(place, name, file)} is not listed in RECORD"
    return None
