"""RECORD: the files that a distribution installed, with their hashes.

csv and hashlib are imported where they are used: a start without rules does without them, and
hashlib loads OpenSSL.

References:
    https://packaging.python.org/specifications/recording-installed-packages/ for the format.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from typing import NamedTuple

from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._system.ceilings import RECORD_BYTES

_OF_THE_INSTALLATION = frozenset(
    {"RECORD", "RECORD.jws", "RECORD.p7s"}  # a signature of RECORD cannot be listed in it
    | {"INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
)
"""Metadata that installers write: it differs between machines that have the same wheel."""

_BESIDE = ("bin", "include")
"""Where `uv pip install --target` puts scripts, which begin with the path of this Python, and C
headers. Other installs have them outside of the folder, at places that differ."""

_OUTWARDS = re.compile(r"\A(\.\./){2,}+(?!(bin|Scripts|include)/)")
"""What leads to a data file: `../../../share/x` for most installs, `../../share/x` for `pip install
--target`. `uv pip install --target` has it as `share/x`."""

_TOP_LEVEL = rb"(?m)^([^/,\r\n]+)"
_ODD_SPELLING = rb'(?m)^["./]|/\.|//|\\|\r(?!\n)|\A\xef\xbb\xbf'
"""What a pattern for lines reads otherwise than csv does: a path that is quoted, or is not spelled
as it is looked up (`./x.py`, `/site/x.py`), a line that ends as on old Macs, a byte order mark."""


class RecordLine(NamedTuple):
    """A line of RECORD: a path as written, with slashes, and `sha256=...` or nothing."""

    path: str
    hash: str

    def is_of_the_installation(self) -> bool:
        """Whether an installer or an interpreter has made the file, and not the wheel."""
        path = self.path
        if path.startswith(("..", "/")) or os.path.isabs(path):
            return True
        folder, _, file = path.rpartition("/")
        if folder.endswith(".dist-info"):
            return file in _OF_THE_INSTALLATION
        if path.partition("/")[0] in _BESIDE:
            return not file.endswith((".py", ".pyc", ".so", ".pyd"))
        return os.path.basename(folder) == "__pycache__"


def record_lines(distribution: Distribution) -> list[RecordLine] | None:
    """The lines of RECORD that have a path; `None` where it does not say what was installed.

    There is none, it cannot be read to its end, or nothing is in it.
    """
    content = _content(distribution)
    if not content:
        return None
    import csv

    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows = [row for row in reader if row and row[0]]
    except csv.Error:  # a field beyond csv's limit; a quote that would hide all lines after it
        return None
    return [
        RecordLine(
            row[0].replace("\\", "/") if os.sep == "\\" else row[0],
            row[1].strip() if len(row) > 1 else "",
        )
        for row in rows
    ] or None


def _content(distribution: Distribution) -> bytes | None:
    content = distribution.read("RECORD", RECORD_BYTES)
    return None if content is not None and b"\0" in content else content  # no path has one


def listed(distribution: Distribution) -> Mapping[str, str] | None:
    """The hashes in RECORD by path, relative to the site folder; `None` as of `record_lines`."""
    lines = record_lines(distribution)
    if lines is None:
        return None
    folder = distribution.folder or ""
    return {_plainly_spelled(line.path, folder): line.hash for line in lines}


def _plainly_spelled(path: str, folder: str) -> str:
    """A path in the one spelling in which it is looked up: not as `./x.py` or `/site/x.py`."""
    if not folder or (path[:1] not in ("/", ".") and "/." not in path and "//" not in path):
        return path
    return os.path.relpath(os.path.join(folder, path), folder).replace(os.sep, "/")


def top_levels(distribution: Distribution) -> frozenset[str] | None:
    """Names of the top-level modules and packages that a distribution brings.

    From RECORD, else from the `top_level.txt` that setuptools writes; `None` where neither says
    anything. Folders that hold no module may be among them.
    """
    content = _content(distribution)
    if content:
        # All RECORDs of a folder are read here, and csv takes several times as long as a pattern.
        if re.search(_ODD_SPELLING, content) is None:
            found = {name.partition(b".")[0] for name in re.findall(_TOP_LEVEL, content)}
            return frozenset(name.decode(errors="surrogateescape") for name in found)
        files = listed(distribution)
        if files is not None:
            return frozenset(file.partition("/")[0].partition(".")[0] for file in files)
    declared = distribution.read("top_level.txt") or b""
    names = {line.strip() for line in declared.decode(errors="replace").splitlines()}
    return frozenset(names - {""}) or None


def record_digest(distribution: Distribution) -> str | None:
    """A digest of what a distribution installed, by the hashes in its RECORD; `None` without any.

    Two machines that installed the same wheel agree: what installers add (scripts, bytecode,
    `INSTALLER`, `direct_url.json` and such) is left out, and data files go by one path wherever
    they are. The files themselves are not read.
    """
    if distribution.origin == "editable":
        return None
    lines = {
        line._replace(path=_OUTWARDS.sub("", line.path)) if line.hash else line
        for line in record_lines(distribution) or ()
    }
    lines = {line for line in lines if not line.is_of_the_installation()}
    if not lines or not all(line.hash for line in lines):
        return None
    import hashlib

    digest = hashlib.sha256()
    for text in sorted(f"{line.path},{line.hash}\n" for line in lines):
        digest.update(text.encode("utf-8", "surrogateescape"))
    return f"sha256:{digest.hexdigest()}"
