"""One installed distribution, read only as far as somebody asks.

References:
    https://packaging.python.org/specifications/recording-installed-packages/ for the files;
    https://peps.python.org/pep-0610/ for `direct_url.json`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from aimm_plugins._system.files import LIMIT, read_file
from aimm_plugins._system.names import normalized
from aimm_plugins._values.report import Origin

_HEAD = 4096
"""Bytes that the headers of nearly every METADATA fit in, whatever its description takes."""


class Distribution:
    """An installed distribution.

    A plain value when made by hand; those that a scan finds read their files when first asked.
    """

    __slots__ = ("_name", "_origin", "_version", "key", "place")

    def __init__(self, *, name: str, version: str | None, origin: Origin, place: str) -> None:
        self.key = normalized(name)
        self.place = place
        self._name: str | None = name
        self._version = version
        self._origin: Origin | None = origin

    @property
    def name(self) -> str:
        """As its metadata spells it."""
        return self._name or self.key

    @property
    def version(self) -> str | None:
        """Its version, or `None` where that cannot be read."""
        return self._version

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
        """Where pip got it from."""
        return self._origin or "unknown"

    @property
    def folder(self) -> str | None:
        """The folder on the path that its files are in; `None` for a zip or a finder's."""
        return None

    @property
    def editable_root(self) -> str | None:
        """The source folder of an editable install, `None` for any other."""
        return None

    def read(self, file: str, limit: int = LIMIT) -> bytes | None:
        """A file of its metadata, or `None` where there is none that can be read.

        Args:
            file: Name, such as `RECORD`.
            limit: Most bytes that a sane file of this kind has.
        """
        return None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Distribution):
            return NotImplemented
        return self is other or (self.place == other.place and self._fields() == other._fields())

    def __hash__(self) -> int:
        return hash((self.key, self.place))

    def __repr__(self) -> str:
        name, version, origin = self._fields()
        return (
            f"Distribution(name={name!r}, version={version!r}, origin={origin!r}, "
            f"place={self.place!r})"
        )

    def _fields(self) -> tuple[str, str | None, Origin]:
        return self.name, self.version, self.origin


class _Unread(Distribution):
    """A distribution whose files are read when something of them is asked for."""

    __slots__ = ("_direct_url", "_headers")

    def __init__(self, key: str, place: str) -> None:
        self.key = key
        self.place = place
        self._name = None
        self._origin = None
        self._headers: dict[str, str] | None = None
        self._direct_url: dict[str, Any] | bool | None = False

    @property
    def name(self) -> str:
        if self._name is None:
            stated = self._all_headers().get("name", "")
            # A name that is not the folder's is no name to make rules about.
            self._name = stated if stated and normalized(stated) == self.key else self.key
        return self._name

    @property
    def version(self) -> str | None:
        return self._all_headers().get("version") or self._version_of_place()

    @property
    def origin(self) -> Origin:
        if self._origin is None:
            self._origin = self._find_origin()
        return self._origin

    @property
    def editable_root(self) -> str | None:
        direct = self._direct()
        if not direct or _origin_of_url(direct) != "editable":
            return None
        from urllib.parse import unquote, urlsplit

        try:
            parts = urlsplit(direct["url"])
            root = unquote(parts.path) if parts.scheme == "file" else None
            if root is not None and os.name == "nt":
                from urllib.request import url2pathname  # 80 ms, for drive letters alone

                root = url2pathname(parts.path)
        except ValueError:
            return None
        return None if root is None or "\0" in root else root

    def _find_origin(self) -> Origin:
        direct = self._direct()
        if direct is not None:
            return _origin_of_url(direct)
        return "index" if self.has("INSTALLER") else "unknown"

    def has(self, file: str) -> bool:
        """Whether a file is among its metadata."""
        return self.read(file) is not None

    def _version_of_place(self) -> str | None:
        return None

    @property
    def stated_name(self) -> str | None:
        """The name in its metadata, whatever its files are called."""
        return self._all_headers().get("name")

    def _all_headers(self) -> dict[str, str]:
        if self._headers is None:
            self._headers = {}
            # An old egg-info may be the metadata file itself.
            for file in ("METADATA", "PKG-INFO", ""):
                content = self.read(file)
                if content:
                    self._headers = headers(content)
                    break
        return self._headers

    def _direct(self) -> dict[str, Any] | None:
        if isinstance(self._direct_url, bool):
            content = self.read("direct_url.json") if self.has("direct_url.json") else None
            self._direct_url = None if content is None else _json_object(content)
        return self._direct_url


class InFolder(_Unread):
    """A distribution in a plain folder on the path.

    Args:
        key: Normalized name.
        folder: The folder on the path, absolute.
        file: Its dist-info or egg-info in there.
        hidden: Other metadata of the same name, which this one hides.
    """

    __slots__ = ("_folder", "_hidden")

    def __init__(self, key: str, folder: str, file: str, hidden: tuple[str, ...] = ()) -> None:
        super().__init__(key, f"{folder.rstrip(os.sep)}{os.sep}{file}")
        self._folder = folder
        self._hidden = hidden

    @property
    def folder(self) -> str:
        return self._folder

    def has(self, file: str) -> bool:
        try:
            return os.access(f"{self.place}{os.sep}{file}", os.F_OK)  # no exception where it is not
        except ValueError:
            return False

    def read(self, file: str, limit: int = LIMIT) -> bytes | None:
        try:
            return read_file(f"{self.place}{os.sep}{file}" if file else self.place, limit)
        except (OSError, ValueError):
            return None

    def _find_origin(self) -> Origin:
        origin = super()._find_origin()
        # Run from its source folder, an editable install is hidden by the egg-info of its build.
        if origin == "unknown":
            for place in self._hidden:
                other = InFolder(self.key, *os.path.split(place))
                root = other.editable_root
                if root is not None and is_beneath(self._folder, root):
                    return "editable"
        return origin

    def _version_of_place(self) -> str | None:
        file = os.path.basename(self.place)
        if file.lower() == "egg-info":
            file = os.path.basename(self._folder)
        parts = file.rpartition(".")[0].split("-")
        return parts[1] or None if len(parts) > 1 else None


class FromFinder(_Unread):
    """A distribution that a zip or a custom finder offers, as importlib-metadata shows it.

    Args:
        key: Normalized name.
        place: For messages.
        found: The finder's object; whatever it raises counts as "not there".
    """

    __slots__ = ("_found",)

    def __init__(self, key: str, place: str, found: Any) -> None:
        super().__init__(key, place)
        self._found = found

    def read(self, file: str, limit: int = LIMIT) -> bytes | None:
        # Bytes where they can be had: one that is not UTF-8 makes `read_text` raise for all.
        content = guarded(lambda found: found._path.joinpath(file).read_bytes(), self._found)
        if isinstance(content, bytes):
            return content
        text = guarded_text(lambda found: found.read_text(file), self._found)
        return None if text is None else text.encode("utf-8", "surrogateescape")

    def entry_points(self) -> bytes | None:
        """Its `entry_points.txt`, or what it would hold where a finder gives only objects."""
        content = self.read("entry_points.txt")
        if content is not None:
            return content
        points = guarded(
            lambda found: [(each.group, each.name, each.value) for each in found.entry_points],
            self._found,
        )
        if not points:
            return None
        lines = [f"[{group}]\n{name} = {value}\n" for group, name, value in points]
        return "".join(lines).encode("utf-8", "surrogateescape")

    @property
    def name(self) -> str:
        return guarded_text(lambda found: found.metadata["Name"], self._found) or self.key

    @property
    def version(self) -> str | None:
        return guarded_text(lambda found: found.version, self._found)


def guarded(ask: Callable[[Any], Any], found: Any) -> Any:
    """What a stranger's object answers, or `None` where it raises."""
    try:
        return ask(found)
    except KeyboardInterrupt:
        raise
    except BaseException:  # a stranger's object may raise anything, SystemExit too
        return None


def guarded_text(ask: Callable[[Any], Any], found: Any) -> str | None:
    """What a stranger's object answers, or `None` where it raises or is no text."""
    value = guarded(ask, found)
    return value if isinstance(value, str) else None


def is_beneath(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it, by name alone."""
    return path == folder or path.startswith(os.path.join(folder, ""))


def headers(content: bytes) -> dict[str, str]:
    """Name and Version of METADATA or PKG-INFO, the first of each."""
    found: dict[str, str] = {}
    content = content.removeprefix(b"\xef\xbb\xbf")
    head = content[: content.find(b"\n\n", 0, _HEAD) + 1] or content
    for raw in head.splitlines():
        if not raw.strip():
            break
        header, _, value = raw.partition(b":")
        name = header.strip().lower()
        if name in (b"name", b"version"):
            found.setdefault(name.decode(), value.strip().decode(errors="replace"))
            if len(found) == 2:
                break
    return found


def _json_object(content: bytes) -> dict[str, Any]:
    import json

    try:
        loaded = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _origin_of_url(direct: dict[str, Any]) -> Origin:
    url = direct.get("url")
    if not isinstance(url, str):
        return "unknown"
    folder = direct.get("dir_info")
    if isinstance(folder, dict) and folder.get("editable") is True:
        return "editable"
    if "vcs_info" in direct:
        return "vcs"
    return "local" if url.startswith("file:") else "url"
