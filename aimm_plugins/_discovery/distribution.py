"""One installed distribution: its name, version and origin, read when they are asked for.

References:
    https://packaging.python.org/specifications/recording-installed-packages/ for the files;
    https://peps.python.org/pep-0610/ for `direct_url.json`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from aimm_plugins._system.ceilings import METADATA_BYTES, REQUIREMENT_LETTERS, REQUIREMENTS
from aimm_plugins._system.files import opener, read_file, readable
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.names import normalized, required_name
from aimm_plugins._values.report import Origin

_HEAD = 4096
"""Bytes that the headers of nearly every METADATA fit in, whatever its description takes."""


class Distribution:
    """An installed distribution; the subclasses, which a scan makes, read files.

    Attributes:
        key: Normalized name.
        place: Where its metadata is, for messages.
        folder: The folder or zip on the path that its files are in; `None` for a finder's.
        unread: What went wrong with a file of its metadata that is there and could not be read.
    """

    __slots__ = ("_direct_url", "_headers", "_origin", "folder", "key", "place", "unread")

    def __init__(self, key: str, place: str, folder: str | None) -> None:
        self.key = key
        self.place = place
        self.folder = folder
        self.unread: str | None = None
        # Not by `cached_property`: in Python 3.11 it has a lock, which a fork may leave locked.
        self._headers: dict[str, str] | None = None
        self._direct_url: dict[str, Any] | None = None
        self._origin: Origin | None = None

    @property
    def name(self) -> str:
        """As its metadata spells it, where that is the name of its folder, which rules go by."""
        stated = self.stated_name
        return stated if normalized(stated) == self.key else self.key

    @property
    def stated_name(self) -> str:
        """The name in its metadata, whatever its files are called; empty where there is none."""
        return self._read_headers().get("name", "")

    @property
    def names(self) -> set[str]:
        """Its normalized name, and the one in its metadata where that is another."""
        return {self.key, normalized(self.stated_name) or self.key}

    @property
    def version(self) -> str | None:
        """Its version, or `None` where that cannot be read."""
        return self._read_headers()["version"] or None

    @property
    def who(self) -> str:
        """Name and version, for messages that are about it."""
        return f"{self.name} {self.version or '(unknown version)'}"

    @property
    def subject(self) -> str:
        """Name, and version where it can be read, for findings."""
        return f"{self.name} {self.version or ''}".rstrip()

    @property
    def origin(self) -> Origin:
        if self._origin is None:
            self._origin = self._find_origin()
        return self._origin

    @property
    def editable_root(self) -> str | None:
        """The source folder of an editable install, `None` for any other."""
        if _origin_of_url(self.direct_url) != "editable":
            return None
        from urllib.parse import unquote, urlsplit

        try:
            parts = urlsplit(self.direct_url["url"])
        except ValueError:
            return None
        if parts.scheme != "file":
            return None
        if os.name == "nt":
            from urllib.request import url2pathname  # 80 ms, for drive letters alone

            return url2pathname(parts.path)
        root = unquote(parts.path)
        return None if "\0" in root else root

    @property
    def has_metadata(self) -> bool:
        """Whether it is more than the empty shell that an uninstall leaves."""
        return self.has("METADATA") or self.has("PKG-INFO")

    def has(self, file: str) -> bool:
        return self.read(file) is not None

    @property
    def stamp(self) -> object:
        """What another installation of the same version changes; `None` where nothing tells."""
        return None

    def read(self, file: str, limit: int = METADATA_BYTES) -> bytes | None:
        """A file of its metadata, such as `RECORD`; `None` where there is none that can be read."""
        return None

    def _find_origin(self) -> Origin:
        if self.has("direct_url.json"):
            origin = _origin_of_url(self.direct_url)
            # conda ships what pip has left where the package was built.
            by_conda = origin == "local" and (self.read("INSTALLER") or b"").strip() == b"conda"
            return "index" if by_conda else origin
        return "index" if self.has("INSTALLER") else "unknown"

    def _read_headers(self) -> dict[str, str]:
        if self._headers is None:
            # An old egg-info may be the metadata file itself.
            files = (self.read(file) for file in ("METADATA", "PKG-INFO", ""))
            self._headers = _parse_headers(next(filter(None, files), b""))
        return self._headers

    @property
    def direct_url(self) -> dict[str, Any]:
        """What `direct_url.json` says; empty where there is none that can be read."""
        if self._direct_url is None:
            loaded = None
            if self.has("direct_url.json"):
                import json

                with suppress(ValueError, RecursionError):
                    loaded = json.loads(self.read("direct_url.json") or b"null")
            self._direct_url = loaded if isinstance(loaded, dict) else {}
        return self._direct_url


class InFolder(Distribution):
    """A distribution in a plain folder: the dist-info or egg-info `file`, and what it hides."""

    __slots__ = ("_hidden",)

    def __init__(
        self, key: str, folder: str, file: str, hidden: tuple[Distribution, ...] = ()
    ) -> None:
        super().__init__(key, f"{folder.rstrip(os.sep)}{os.sep}{file}", folder)
        self._hidden = hidden

    @property
    def version(self) -> str | None:
        return super().version or self._version_of_file_name()

    @property
    def has_metadata(self) -> bool:
        return super().has_metadata or os.path.isfile(self.place)

    @property
    def stamp(self) -> object:
        try:
            status = os.stat(f"{self.place}{os.sep}RECORD")
        except (OSError, ValueError):
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def has(self, file: str) -> bool:
        try:
            return os.access(f"{self.place}{os.sep}{file}", os.F_OK)  # no exception where it is not
        except ValueError:
            return False

    def read(self, file: str, limit: int = METADATA_BYTES) -> bytes | None:
        try:
            return read_file(f"{self.place}{os.sep}{file}" if file else self.place, limit)
        except (OSError, ValueError) as error:
            if not file:  # which only an old egg-info is
                return None
            self.unread = f"{os.path.join(self.place, file)} cannot be read: {error}"
            return None

    def _find_origin(self) -> Origin:
        origin = super()._find_origin()
        # Run from its source folder, an editable install is hidden by the egg-info of its build.
        roots = (hidden.editable_root for hidden in self._hidden if origin == "unknown")
        if any(root is not None and is_beneath(self.folder or "", root) for root in roots):
            return "editable"
        return "editable" if origin == "unknown" and self._is_linked() else origin

    def _is_linked(self) -> bool:
        """Whether `setup.py develop` has installed it: by a link to the folder of its source."""
        stem, suffix = os.path.splitext(os.path.basename(self.place))
        links = {f"{stem}.egg-link", f"{stem.replace('_', '-')}.egg-link"}
        places = (os.path.join(i, link) for i in sys.path if isinstance(i, str) for link in links)
        return suffix == ".egg-info" and any(map(self._is_linked_by, places))

    def _is_linked_by(self, link: str) -> bool:
        target = os.fsdecode((readable(link) or b"").partition(b"\n")[0].strip())
        with suppress(OSError, ValueError):
            return os.path.isabs(target) and os.path.samefile(target, self.folder or "")
        return False

    def _version_of_file_name(self) -> str | None:
        path = self.place
        if os.path.basename(path).lower() == "egg-info":
            path = os.path.dirname(path)
        parts = os.path.basename(path).rpartition(".")[0].split("-")
        return _sound_version(parts[1]) if len(parts) > 1 else None


class FromFinder(Distribution):
    """What a zip or a custom finder offers as an object of importlib-metadata, which may raise."""

    __slots__ = ("_found",)

    def __init__(self, key: str, place: str, found: Any, folder: str | None) -> None:
        super().__init__(key, place, folder)
        self._found = found

    def read(self, file: str, limit: int = METADATA_BYTES) -> bytes | None:
        # Bytes where they can be had: one that is not UTF-8 makes `read_text` raise for all, and
        # that would unpack any number of bytes from a zip.
        with guarded():
            path = self._found._path.joinpath(file)
            with (
                open(path, "rb", opener=opener)
                if isinstance(path, os.PathLike)
                else path.open("rb") as stream
            ):
                content = stream.read(limit + 1)
            if isinstance(content, bytes):
                return content if len(content) <= limit else None
        with guarded():
            text = self._found.read_text(file)
            if isinstance(text, str):
                return text.encode("utf-8", "surrogateescape")
        return None


def is_beneath(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it, by name alone."""
    return path == folder or path.startswith(os.path.join(folder, ""))


def path_in_record(distribution: Distribution, file: str | None) -> str | None:
    """The path that RECORD has for a file, if the distribution is in a folder that holds it."""
    folder = None if distribution.folder is None else os.path.join(distribution.folder, "")
    if file is None or folder is None or not file.startswith(folder):
        return None
    return file.removeprefix(folder).replace(os.sep, "/")


def spellings(path: str) -> tuple[str, ...]:
    """A path as it is given, and with links followed: an item of `sys.path` may be a link."""
    plain, real = os.path.normpath(path), os.path.realpath(path)
    return (plain,) if real == plain else (plain, real)


def headers(content: bytes) -> Iterator[tuple[str, str]]:
    """The headers of METADATA or PKG-INFO, with their names in lower case."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    head = content[: content.find(b"\n\n", 0, _HEAD) + 1] or content
    for line in head.splitlines():
        if not line.strip():
            return
        name, _, value = line.partition(b":")
        yield name.strip().lower().decode(errors="replace"), value.strip().decode(errors="replace")


def requirements(distribution: Distribution) -> list[str]:
    """The requirements as written, such as `numpy>=1; extra == "fast"`."""
    return header(distribution, "requires-dist")


def header(distribution: Distribution, name: str) -> list[str]:
    """The values of a header of its metadata, by its name in lower case; no overlong ones."""
    metadata = distribution.read("METADATA") or distribution.read("PKG-INFO") or b""
    values = (value for header, value in headers(metadata) if header == name)
    return [value for value in islice(values, REQUIREMENTS) if len(value) <= REQUIREMENT_LETTERS]


def requires(distribution: Distribution, name: str) -> bool:
    return normalized(name) in map(required_name, requirements(distribution))


def _parse_headers(content: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers(content):
        if name in ("name", "version"):
            found.setdefault(name, value)
            if len(found) == 2:
                break
    found["version"] = _sound_version(found.get("version", "")) or ""
    return found


def _sound_version(version: str) -> str | None:
    """A version of printable ASCII; a line break would write further lines into a freeze file."""
    sound = version.isascii() and version.isprintable() and " " not in version
    return version if sound and 0 < len(version) <= 200 else None


def _origin_of_url(direct_url: dict[str, Any]) -> Origin:
    url = direct_url.get("url")
    if not isinstance(url, str):
        return "unknown"
    folder = direct_url.get("dir_info")
    if isinstance(folder, dict) and folder.get("editable") is True:
        return "editable"
    if "vcs_info" in direct_url:
        return "vcs"
    return "local" if url.startswith("file:") else "url"
