"""What installed metadata offers, read without importing anything of it.

Folders on `sys.path` are read directly: only `entry_points.txt` beside each dist-info or egg-info,
which takes a fifth of the time of `entry_points(group=...)`, whose every call opens all of them
through objects. Whatever is not a plain folder (zips, custom finders) is left to
importlib-metadata. One stranger's broken file is a finding and stops nobody.

References:
    https://packaging.python.org/specifications/entry-points/ for the file format;
    https://peps.python.org/pep-0610/ for `direct_url.json`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from aimm_plugins._provenance import Provenance
from aimm_plugins._report import Finding, Origin

if TYPE_CHECKING:
    pass

GROUP = "aimm.plugins"
_LOG = logging.getLogger("aimm_plugins")
_VALUE = re.compile(
    r"(?P<module>[\w.]+)\s*(?::\s*(?P<attribute>[\w.]+)\s*)?(?P<extras>\[[^\]]*\]\s*)?$"
)
_LIMIT = 8 * 1024 * 1024
"""Bytes that are read of one metadata file; what is longer is nobody's entry points."""


def normalized(name: str) -> str:
    """A distribution's name as comparisons need it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """An installed distribution.

    Attributes:
        name: As its metadata spells it.
        version: Its version, or `None` where that cannot be read.
        origin: Where pip got it from.
        place: Its dist-info or egg-info, for messages.
    """

    name: str
    version: str | None
    origin: Origin
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One entry point of the group, of one installed distribution.

    Attributes:
        name: The entry point's name.
        value: Its value as written.
        module: The module part of the value.
        attribute: The object part, `None` for the whole module.
        distribution: Who publishes it.
    """

    name: str
    value: str
    module: str
    attribute: str | None
    distribution: Distribution

    @property
    def provenance(self) -> Provenance:
        """Who this is, for messages."""
        return Provenance(
            module=self.module,
            distribution=self.distribution.name,
            version=self.distribution.version,
            entry_point=f"{self.name} = {self.value}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    action: Any
    key: str
    module: str
    attribute: str
    distribution: Distribution
    place: str


@dataclass(slots=True)
class _Info:
    """A dist-info or egg-info folder or file that was met on the path."""

    key: str
    folder: str
    path: str
    entry_points: bytes | None = None
    described: Distribution | None = None


@dataclass(slots=True)
class Scan:
    """What one look at the path found.

    Attributes:
        candidates: The entry points of the group, sorted by distribution and name.
        findings: Metadata that could not be read, and distributions that hide others.
    """

    candidates: tuple[Candidate, ...] = ()
    findings: tuple[Finding, ...] = ()
    published: tuple[Published, ...] = ()
    _infos: tuple[_Info, ...] = ()
    _foreign: tuple[Distribution, ...] = ()
    _owners: dict[str, Distribution | None] = field(default_factory=dict)

    def distributions(self) -> tuple[Distribution, ...]:
        """All that is installed, the first of each name. Reads a file or two of each."""
        return (*(_describe(info) for info in self._infos), *self._foreign)

    def find(self, name: str) -> Distribution | None:
        wanted = normalized(name)
        return next((d for d in self.distributions() if normalized(d.name) == wanted), None)

    def keys_of(
        self, distribution: Distribution, module: str, attribute: str | None = None
    ) -> tuple[Published, ...]:
        return tuple(
            p
            for p in self.published
            if p.distribution == distribution
            and (p.module == module or p.module.startswith(module + "."))
            and (attribute is None or p.attribute == attribute)
        )

    def owners(self, module: str, locate: Any) -> tuple[Distribution, ...]:
        found = []
        name = module
        while name:
            owner = self.owner(name, locate(name))
            if owner is not None and owner not in found:
                found.append(owner)
            name = name.rpartition(".")[0]
        return tuple(found)

    def has(self, name: str) -> bool:
        """Whether a distribution of that name is installed, by normalized name."""
        wanted = normalized(name)
        return any(info.key == wanted for info in self._infos) or any(
            normalized(each.name) == wanted for each in self._foreign
        )

    def owner(self, module: str, file: str | None) -> Distribution | None:
        """The distribution that installed a module, or `None` for a module of the host's own.

        Found by RECORD (or an egg-info's list), else by an editable install's folder that holds
        the file, else by an entry point that names the module.

        Args:
            module: Dotted name.
            file: Its source file, as `locate` found it.
        """
        if module not in self._owners:
            self._owners[module] = self._find_owner(module, file)
        return self._owners[module]

    def _find_owner(self, module: str, file: str | None) -> Distribution | None:
        if file is not None:
            inside = [
                info for info in self._infos if file.startswith(os.path.join(info.folder, ""))
            ]
            # A distribution is mostly named like its module: ask that one first.
            top = normalized(module.partition(".")[0])
            for info in sorted(inside, key=lambda each: each.key != top):
                if _installed(info, os.path.relpath(file, info.folder)):
                    return _describe(info)
            for info in self._infos:
                root = _editable_root(info)
                if root is not None and file.startswith(os.path.join(root, "")):
                    return _describe(info)
        for candidate in self.candidates:
            if candidate.module == module:
                return candidate.distribution
        return None


def scan(path: Sequence[str] | None = None) -> Scan:
    """Find the installed entry points of the group `aimm.plugins`.

    Of several distributions with one normalized name the first on the path counts, as it does for
    imports; the others become findings.

    Args:
        path: Folders to look in; `sys.path` by default.
    """
    findings: list[Finding] = []
    infos: dict[str, _Info] = {}
    foreign: dict[str, Any] = {}
    odd: list[str] = []
    seen: set[str] = set()
    for item in sys.path if path is None else path:
        # Python's own path finder passes over what is not a str.
        if not isinstance(item, str):
            continue
        folder = item or os.getcwd()
        if folder in seen:
            continue
        seen.add(folder)
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            odd.append(folder)
            continue
        except (OSError, ValueError) as error:
            findings.append(
                Finding(
                    code="unreadable-folder",
                    subject=folder,
                    message=f"cannot be listed: {error}",
                    remedy="Make it readable, or take it off the path.",
                )
            )
            continue
        _read_folder(folder, names, infos, findings)
    for item in odd:
        _ask_importlib_metadata(lambda item=item: _on_path(item), infos, foreign, findings)
    if path is None:
        for finder in _unusual_finders():
            _ask_importlib_metadata(
                lambda finder=finder: _of_finder(finder), infos, foreign, findings
            )

    candidates: list[Candidate] = []
    for info in infos.values():
        if info.entry_points is not None:
            for name, value in _parse(info.entry_points, info.path, findings):
                _add_candidate(candidates, name, value, _describe(info), findings)
    described: list[Distribution] = []
    for distribution in foreign.values():
        _read_foreign(distribution, described, candidates, findings)
    candidates.sort(key=lambda each: (normalized(each.distribution.name), each.name))
    for finding in findings:
        _LOG.debug("%s", finding)
    published = []
    for info in infos.values():
        if info.entry_points is not None and GROUP.encode() + b"." in info.entry_points:
            import configparser

            c = configparser.ConfigParser(strict=False, delimiters=("=",), interpolation=None)
            c.optionxform = str  # type: ignore[method-assign, assignment]  # as its documentation asks
            c.read_string(info.entry_points.decode())
            for sec in c.sections():
                if sec.startswith(GROUP + "."):
                    for k, v in c[sec].items():
                        m, _, a = v.partition(":")
                        published.append(
                            Published(
                                action=sec[len(GROUP) + 1 :],
                                key=k,
                                module=m,
                                attribute=a,
                                distribution=_describe(info),
                                place=info.path,
                            )
                        )
    return Scan(
        tuple(candidates),
        tuple(findings),
        tuple(published),
        tuple(infos.values()),
        tuple(described),
    )


def verify_record(distribution: Distribution, module: str, file: str | None) -> str | None:
    return "its files cannot be compared"


def record_digest(distribution: Distribution) -> str | None:
    return None


def _read_folder(
    folder: str, names: Iterable[str], infos: dict[str, _Info], findings: list[Finding]
) -> None:
    egg = folder.lower().rstrip("/\\").endswith(".egg")
    for name in names:
        low = name.lower()
        if low.endswith((".dist-info", ".egg-info")):
            key = low.rpartition(".")[0].partition("-")[0]
        elif egg and low == "egg-info":
            key = os.path.basename(folder).lower().rpartition(".")[0].partition("-")[0]
        else:
            continue
        path = os.path.join(folder, name)
        key = normalized(key)
        if not key:
            findings.append(
                Finding(
                    code="broken-metadata",
                    subject=name,
                    message="a metadata folder without a name, passed over",
                    place=path,
                    remedy="Remove it; pip leaves such folders when it is interrupted.",
                )
            )
            continue
        first = infos.get(key)
        content = _read(os.path.join(path, "entry_points.txt"), findings, key)
        if first is None:
            infos[key] = _Info(key, folder, path, content)
        elif _real(first.path) != _real(path) and (
            _has_group(content) or _has_group(first.entry_points)
        ):
            findings.append(
                Finding(
                    code="hidden-distribution",
                    subject=key,
                    message=f"{path} is hidden by {first.path}, which comes first",
                    place=path,
                    remedy=f"Uninstall {key} until pip finds none, then install it once.",
                )
            )


def _real(path: str) -> str:
    return os.path.realpath(path)


def _has_group(content: bytes | None) -> bool:
    return content is not None and GROUP.encode() in content


def _read(path: str, findings: list[Finding], subject: str) -> bytes | None:
    """The file's bytes, `None` where there is none; anything odder becomes a finding."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        findings.append(_unreadable(path, subject, str(error)))
        return None
    try:
        content = os.read(handle, 65536)
        while len(content) % 65536 == 0 and content:
            more = os.read(handle, 65536)
            if not more:
                break
            content += more
            if len(content) > _LIMIT:
                findings.append(_unreadable(path, subject, f"longer than {_LIMIT} bytes"))
                return None
    except OSError as error:
        findings.append(_unreadable(path, subject, str(error)))
        return None
    else:
        return content
    finally:
        os.close(handle)


def _unreadable(path: str, subject: str, why: str) -> Finding:
    return Finding(
        code="broken-metadata",
        subject=subject,
        message=f"cannot be read: {why}",
        place=path,
        remedy=f"Reinstall {subject}.",
    )


def _parse(content: bytes, path: str, findings: list[Finding]) -> Iterator[tuple[str, str]]:
    """The (name, value) lines of our group.

    Only our own section is decoded and judged: bytes in a stranger's section are the stranger's.
    """
    if not _has_group(content):
        return
    current = None
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        line = raw.strip()
        if not line or line[:1] in (b"#", b";"):
            continue
        if line[:1] == b"[" and line[-1:] == b"]":
            current = line.strip(b"[]")
            continue
        if current != GROUP.encode():
            continue
        place = f"{path}{os.sep}entry_points.txt:{number}"
        try:
            name, separator, value = line.decode().partition("=")
        except UnicodeDecodeError:
            findings.append(_bad_line(repr(raw)[1:], place, "is not UTF-8"))
            continue
        if not separator or not name.strip():
            findings.append(_bad_line(repr(line.decode()), place, "is not `name = value`"))
            continue
        yield name.strip(), value.strip()


def _bad_line(line: str, place: str, why: str) -> Finding:
    return Finding(
        code="broken-entry-point",
        subject=line,
        message=f"{why}, passed over",
        place=place,
        remedy="Tell its author, or deny the distribution.",
    )


def _add_candidate(
    candidates: list[Candidate],
    name: str,
    value: str,
    distribution: Distribution,
    findings: list[Finding],
) -> None:
    match = _VALUE.match(value)
    module, attribute = (match["module"], match["attribute"]) if match else (value, None)
    if match is None or not all(
        part.isidentifier() for part in f"{module}.{attribute or 'x'}".split(".")
    ):
        findings.append(
            Finding(
                code="broken-entry-point",
                subject=f"{distribution.name} {distribution.version or ''}".strip(),
                message=f"{name} = {value} names neither `module` nor `module:object`",
                place=distribution.place,
                remedy="Tell its author, or deny the distribution.",
            )
        )
        return
    candidates.append(
        Candidate(
            name=name,
            value=value,
            module=module,
            attribute=attribute,
            distribution=distribution,
        )
    )


def _describe(info: _Info) -> Distribution:
    """Name, version and origin, as far as they can be read."""
    if info.described is None:
        headers = _headers(info)
        stem = os.path.basename(info.path).rpartition(".")[0].split("-")
        version = headers.get("version") or (stem[1] if len(stem) > 1 and stem[1] else None)
        info.described = Distribution(
            name=headers.get("name") or info.key,
            version=version,
            origin=_origin(info),
            place=info.path,
        )
    return info.described


def _headers(info: _Info) -> dict[str, str]:
    """Name and Version of METADATA or PKG-INFO; an egg-info may be that file itself."""
    found: dict[str, str] = {}
    for name in ("METADATA", "PKG-INFO", ""):
        content = _read(os.path.join(info.path, name) if name else info.path, [], info.key)
        if content is None:
            continue
        for raw in content.removeprefix(b"\xef\xbb\xbf").splitlines():
            if not raw.strip():
                break
            header, _, value = raw.partition(b":")
            field_name = header.strip().lower()
            if field_name in (b"name", b"version"):
                text = value.strip().decode(errors="replace")
                found.setdefault(field_name.decode(), text)
        break
    # A name that is not the folder's is no name to make rules about.
    if normalized(found.get("name", "")) != info.key:
        found.pop("name", None)
    return found


def _direct_url(info: _Info) -> dict[str, Any] | None:
    content = _read(os.path.join(info.path, "direct_url.json"), [], info.key)
    if content is None:
        return None
    try:
        loaded = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _origin(info: _Info) -> Origin:
    direct = _direct_url(info)
    if direct is None:
        installer = _read(os.path.join(info.path, "INSTALLER"), [], info.key)
        return "index" if installer is not None else "unknown"
    return _origin_of_url(direct)


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


def _editable_root(info: _Info) -> str | None:
    direct = _direct_url(info)
    if not direct or _origin_of_url(direct) != "editable":
        return None
    parts = urlsplit(direct["url"])
    return url2pathname(unquote(parts.path)) if parts.scheme == "file" else None


def _installed(info: _Info, relative: str) -> bool:
    """Whether the distribution's list of files holds the file."""
    wanted = relative.replace(os.sep, "/").encode()
    record = _read(os.path.join(info.path, "RECORD"), [], info.key)
    if record is not None:
        return any(
            line.startswith((wanted + b",", b'"' + wanted + b'",')) for line in record.splitlines()
        )
    top_level = _read(os.path.join(info.path, "top_level.txt"), [], info.key)
    if top_level is None:
        return False
    first = wanted.split(b"/")[0].removesuffix(b".py")
    return first in (line.strip() for line in top_level.splitlines())


def _unusual_finders() -> list[Any]:
    """Finders of metadata other than Python's own and the backport's, which see the same."""
    return [
        finder
        for finder in list(sys.meta_path)
        if finder is not PathFinder
        and callable(getattr(finder, "find_distributions", None))
        and getattr(type(finder), "__module__", "").partition(".")[0] != "importlib_metadata"
        and not getattr(finder, "__module__", "").startswith("importlib")
    ]


def _on_path(item: str) -> Iterable[Any]:
    import importlib_metadata

    return importlib_metadata.distributions(path=[item])


def _of_finder(finder: Any) -> Iterable[Any]:
    import importlib_metadata

    context: Any = importlib_metadata.DistributionFinder.Context
    found: Iterable[Any] = finder.find_distributions(context())
    return found


def _ask_importlib_metadata(
    ask: Any, infos: dict[str, _Info], foreign: dict[str, Any], findings: list[Finding]
) -> None:
    try:
        for distribution in ask():
            key = normalized(_text(lambda d=distribution: d.metadata["Name"]) or "")
            if key and key not in infos:
                foreign.setdefault(key, distribution)
    except Exception as error:  # a stranger's finder: whatever it raises, the others count
        findings.append(
            Finding(
                code="broken-finder",
                subject=getattr(ask, "__name__", "finder"),
                message=f"cannot list its distributions: {type(error).__name__}: {error}",
                remedy="Remove the path item or the finder.",
            )
        )


def _text(read: Any) -> str | None:
    try:
        value = read()
    except Exception:  # a stranger's metadata object may raise anything
        return None
    return value if isinstance(value, str) else None


def _read_foreign(
    distribution: Any,
    described: list[Distribution],
    candidates: list[Candidate],
    findings: list[Finding],
) -> None:
    name = _text(lambda: distribution.metadata["Name"]) or ""
    place = str(getattr(distribution, "_path", "")) or type(distribution).__module__
    mine = Distribution(
        name=name, version=_text(lambda: distribution.version), origin="unknown", place=place
    )
    described.append(mine)
    content = _text(lambda: distribution.read_text("entry_points.txt"))
    if content is not None:
        for entry, value in _parse(content.encode(), place, findings):
            _add_candidate(candidates, entry, value, mine, findings)


def locate(module: str) -> str | None:
    """The file that importing a module would run, without importing it or its parents.

    `importlib.util.find_spec("a.b")` imports `a`; this asks the finders for one level after the
    other instead. A parent that changes its own `__path__` when it runs cannot be foreseen.

    Args:
        module: Dotted name.

    Returns:
        The file, or `None` where there is none (built in, a namespace package) or the module
        cannot be found.
    """
    known = sys.modules.get(module)
    if known is not None:
        file = getattr(known, "__file__", None)
        return os.path.abspath(file) if isinstance(file, str) else None
    search: list[str] | None = None
    origin: object = None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        found = _find(name, search)
        if found is None:
            return None
        origin, search = found
        if search is None and name != module:
            return None
    return os.path.abspath(origin) if isinstance(origin, str) else None


def _find(name: str, search: list[str] | None) -> tuple[object, list[str] | None] | None:
    """File and submodule folders of a module whose parent's folders are `search`."""
    for finder in list(sys.meta_path):
        find = getattr(finder, "find_spec", None)
        if find is None:
            continue
        if finder is PathFinder and search is not None:
            found = _find_in_folders(name, search)
            if found is not None:
                return found
            continue
        try:
            spec = find(name, search, None)
            if spec is not None:
                folders = spec.submodule_search_locations
                return (
                    spec.origin if spec.has_location else None,
                    None if folders is None else list(folders),
                )
        except Exception:  # the import itself will say what is wrong with this finder
            continue
    return None


def _find_in_folders(name: str, search: list[str]) -> tuple[object, list[str] | None] | None:
    """As `PathFinder`, which for a namespace package asks for the parent in `sys.modules`."""
    from pkgutil import get_importer

    portions: list[str] = []
    for folder in search:
        importer = get_importer(folder)
        spec: Any = importer.find_spec(name) if importer is not None else None
        if spec is None:
            continue
        folders = spec.submodule_search_locations
        if spec.loader is not None:
            return spec.origin, None if folders is None else list(folders)
        portions += folders or ()
    return (None, portions) if portions else None
