"""What installed metadata offers, read without importing anything of it.

Folders on `sys.path` are read directly: only `entry_points.txt` beside each dist-info or egg-info,
which takes a fifth of the time of `entry_points(group=...)`, whose every call opens all of them
through objects. Whatever is not a plain folder (zips, custom finders) is left to
importlib-metadata. One stranger's broken file is a finding and stops nobody.

The answer is that of `importlib_metadata.entry_points` (of version 10, where versions differ:
metadata without a METADATA file hides no other), except where that would stop at a stranger's
mistake or load what cannot be meant:

- lines that start with `;` are comments, and a byte order mark is passed over;
- a line that is not `name = value`, or whose value names no module, is a finding and no more;
- what is left of an interrupted `pip uninstall` (`~name-1.0.dist-info`) is passed over, as by pip;
- items of `sys.path` that are no `str` are passed over, as by imports.

References:
    https://packaging.python.org/specifications/entry-points/ for the file format.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from importlib.machinery import PathFinder
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from aimm_plugins._discovery.distribution import (
    Distribution,
    FromFinder,
    InFolder,
    guarded,
    guarded_text,
)
from aimm_plugins._system.files import FIRST_READ, LIMIT, OPEN_FLAGS, read_handle
from aimm_plugins._system.names import normalized
from aimm_plugins._system.text import safe_text
from aimm_plugins._values.actions import ACTIONS, Action
from aimm_plugins._values.provenance import Provenance
from aimm_plugins._values.report import Finding

if TYPE_CHECKING:
    from aimm_plugins._discovery.ownership import Owners

GROUP = "aimm.plugins"
_GROUP_BYTES = GROUP.encode()
_OPTIONS = "options"
"""The group `aimm.plugins.options` is no action's: it says where schemas of options are."""
_SUFFIXES = (".dist-info", ".egg-info")
_USUAL_FINDERS = frozenset({"_frozen_importlib", "importlib", "importlib_metadata"})
_ABSENT = (FileNotFoundError, NotADirectoryError)
_RELATIVE = os.open in os.supports_dir_fd
"""Files are opened relative to their folder where that can be: a twentieth of the time saved."""


class Candidate(NamedTuple):
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


class Published(NamedTuple):
    """A key that metadata tells of, before any import.

    Attributes:
        action: What it is for, by the group `aimm.plugins.<action>`.
        key: Model type or data access name.
        module: The module that declares it.
        attribute: The declared function or class in there.
        distribution: Who publishes it.
        place: `entry_points.txt` with the line.
    """

    action: Action
    key: str
    module: str
    attribute: str
    distribution: Distribution
    place: str


class PublishedOptions(NamedTuple):
    """Where metadata says that the schema of a plugin's options is.

    Attributes:
        name: The plugin, by the name of its entry point or by its module.
        module: The module of the object, or the package that the file is in.
        attribute: The object, or the file's name.
        distribution: Who publishes it.
        place: `entry_points.txt` with the line.
    """

    name: str
    module: str
    attribute: str
    distribution: Distribution
    place: str

    @property
    def is_file(self) -> bool:
        """Whether it is a file, which can be read without running any code."""
        return self.attribute.endswith((".json", ".yaml", ".yml"))

    def __str__(self) -> str:
        return f"{self.module}:{self.attribute}"


class _Source:
    """What one folder, zip or finder on the path holds, by normalized name.

    Attributes:
        folder: Absolute path of a plain folder, else `None`.
        files: The dist-info or egg-info in a folder.
        foreign: What importlib-metadata found.
        contents: Those `entry_points.txt` that speak of our group.
    """

    __slots__ = ("contents", "files", "folder", "foreign")

    def __init__(self, folder: str | None = None, files: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.files: dict[str, str] = {} if files is None else files
        self.foreign: dict[str, FromFinder] = {}
        self.contents: dict[str, bytes] = {}

    @property
    def keys(self) -> Collection[str]:
        """Normalized names of what is here."""
        return self.files.keys() if self.folder is not None else self.foreign.keys()

    def place(self, key: str) -> str:
        """Where the metadata of that name is, for messages."""
        if self.folder is None:
            return self.foreign[key].place
        return os.path.join(self.folder, self.files[key])

    def has_metadata(self, key: str) -> bool:
        """Whether it is more than an empty shell."""
        if self.folder is None:
            return any(self.foreign[key].read(name) for name in ("METADATA", "PKG-INFO"))
        return _has_metadata(self.place(key))

    def drop(self, key: str) -> None:
        """Forget what another hides."""
        self.files.pop(key, None)
        self.foreign.pop(key, None)
        self.contents.pop(key, None)


class Scan:
    """What one look at the path found.

    Attributes:
        candidates: The entry points of the group, sorted by distribution and name.
        findings: Metadata that could not be read, and distributions that hide others.
        published: The keys that metadata tells of, sorted by distribution, action and key.
        options: The schemas of options that metadata tells of, sorted by distribution and name.
    """

    def __init__(
        self, sources: Sequence[_Source] = (), hidden: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        self.candidates: tuple[Candidate, ...] = ()
        self.findings: tuple[Finding, ...] = ()
        self.published: tuple[Published, ...] = ()
        self.options: tuple[PublishedOptions, ...] = ()
        self._sources = tuple(sources)
        self._hidden = hidden or {}
        self._known: dict[str, Distribution] = {}
        self._found_owners: dict[str, Distribution | None] = {}
        self._asked_for_owners: Owners | None = None
        self._publishers: dict[str, tuple[list[Published], set[str]]] | None = None

    def distributions(self) -> tuple[Distribution, ...]:
        """All that is installed, the first of each name; their files are read when asked for."""
        return tuple(self._distribution(key) for source in self._sources for key in source.keys)

    def has(self, name: str) -> bool:
        """Whether a distribution of that name is installed, by normalized name."""
        key = normalized(name)
        return any(key in source.keys for source in self._sources)

    def find(self, name: str) -> Distribution | None:
        """The installed distribution of that name, by normalized name."""
        return self._distribution(normalized(name)) if self.has(name) else None

    def keys_of(self, plugin: Candidate | tuple[str, str]) -> tuple[Published, ...]:
        """The published keys that are one plugin's.

        Keys go to the plugin of their distribution whose module theirs is, or is nearest above
        theirs. Where a distribution has but one plugin module, that one has all its keys.

        Args:
            plugin: An entry point, or a distribution's name and a module that a conf names. Of an
                entry point `module:object` only the keys of that object count.
        """
        if isinstance(plugin, Candidate):
            key, module, attribute = plugin.distribution.key, plugin.module, plugin.attribute
        else:
            key, module, attribute = normalized(plugin[0]), plugin[1], None
        if key not in self._published_by():
            return ()
        published, modules = self._published_by()[key]
        return tuple(
            each
            for each in published
            if _brings(each, module, modules or {module}) and _is_part(each.attribute, attribute)
        )

    def options_of(self, module: str, distribution: str | None) -> tuple[PublishedOptions, ...]:
        """Where the schema of a plugin's options is; several where its metadata is at odds.

        Args:
            module: The plugin's module.
            distribution: Who owns it.
        """
        if not self.options or distribution is None:
            return ()
        key = normalized(distribution)
        names = {module}
        names.update(
            each.name
            for each in self.candidates
            if each.module == module and each.distribution.key == key
        )
        found = {
            (each.module, each.attribute): each
            for each in reversed(self.options)
            if each.distribution.key == key and each.name in names
        }
        return tuple(found.values())[::-1]

    def _published_by(self) -> dict[str, tuple[list[Published], set[str]]]:
        """The published keys and the plugin modules of each distribution that publishes."""
        if self._publishers is None:
            self._publishers = {}
            for each in self.published:
                self._publishers.setdefault(each.distribution.key, ([], set()))[0].append(each)
            for candidate in self.candidates:
                if candidate.distribution.key in self._publishers:
                    self._publishers[candidate.distribution.key][1].add(candidate.module)
        return self._publishers

    def owner(self, module: str, file: str | None) -> Distribution | None:
        """The distribution that installed a module, or `None` for a module of the host's own.

        Found by RECORD (or an egg-info's list), else by an editable install's folder that holds
        the file, else by an entry point that names the module.

        Args:
            module: Dotted name.
            file: Its source file, as `locate` found it.
        """
        if module not in self._found_owners:
            self._found_owners[module] = self._owners.find(module, file)
        return self._found_owners[module]

    def owners(
        self,
        module: str,
        locate: Callable[[str], str | None],
        among: Sequence[Distribution] | None = None,
    ) -> tuple[Distribution, ...]:
        """The distributions whose code an import of a module runs: its owner and its parents'.

        Args:
            module: Dotted name.
            locate: Finds a module's file without importing anything.
            among: Only these are of interest, which spares a look at all others.

        Returns:
            The module's own owner first, then those of its parent packages, each once.
        """
        found: dict[str, Distribution] = {}
        name = module
        while name:
            file = locate(name)
            if among is None:
                owners = [owner] if (owner := self.owner(name, file)) else []
            else:
                owners = [each for each in among if self._owners.brings(each, name, file)]
            for each in owners:
                found.setdefault(each.key, each)
            name = name.rpartition(".")[0]
        return tuple(found.values())

    @property
    def _owners(self) -> Owners:
        if self._asked_for_owners is None:
            self._asked_for_owners = self._make_owners()
        return self._asked_for_owners

    def _make_owners(self) -> Owners:
        from aimm_plugins._discovery.ownership import Owners

        folders = {each.folder: each.files for each in self._sources if each.folder is not None}
        named: dict[str, Distribution] = {}
        for candidate in self.candidates:
            named.setdefault(candidate.module, candidate.distribution)
        return Owners(folders, self._distribution, named, self._hidden)

    def _distribution(self, key: str, source: _Source | None = None) -> Distribution:
        """The one distribution of that name, always the same object."""
        known = self._known.get(key)
        if known is None:
            if source is None:
                source = next(each for each in self._sources if key in each.keys)
            if source.folder is None:
                known = source.foreign[key]
            else:
                hidden = self._hidden.get(key, ())
                known = InFolder(key, source.folder, source.files[key], hidden)
            self._known[key] = known
        return known


def _brings(published: Published, module: str, modules: set[str]) -> bool:
    """Whether, of a distribution's plugin modules, this one brings the key."""
    above = [each for each in (*modules, module) if f"{published.module}.".startswith(f"{each}.")]
    return max(above, key=len) == module if above else modules == {module}


def _is_part(attribute: str, of: str | None) -> bool:
    return of is None or f"{attribute}.".startswith(f"{of}.")


def scan(path: Sequence[str] | None = None) -> Scan:
    """Find the installed entry points of the group `aimm.plugins`, and the keys they publish.

    Of several distributions with one normalized name the first on the path counts, as it does for
    imports, and of two in one folder the one that is listed first; one with a METADATA file goes
    before one without. The others become findings where one of them has entry points of ours.

    Args:
        path: Folders to look in; `sys.path` and the finders of `sys.meta_path` by default.
    """
    findings: list[Finding] = []
    sources = _sources(path, findings)
    hidden = _settle(sources, findings)
    found = Scan(sources, hidden)
    candidates: list[Candidate] = []
    published: list[Published] = []
    options: list[PublishedOptions] = []
    for source in sources:
        for key, content in source.contents.items():
            distribution = found._distribution(key, source)
            _read_entry_points(content, distribution, candidates, published, options, findings)
    candidates.sort(key=lambda each: (each.distribution.key, each.name))
    published.sort(
        key=lambda each: (
            *(each.distribution.key, each.action, each.key),
            *(each.module, each.attribute, each.place),
        )
    )
    options.sort(key=lambda each: (each.distribution.key, each.name, each.place))
    found.candidates, found.published = tuple(candidates), tuple(published)
    found.options = tuple(options)
    findings += _without_plugin(found)
    findings += _options_without_plugin(found)
    found.findings = tuple(findings)
    return found


def _sources(path: Sequence[str] | None, findings: list[Finding]) -> list[_Source]:
    """Everything that is asked, in the order in which importlib-metadata asks it."""
    if path is not None:
        return list(_on_path(path, findings))
    before, after = _unusual_finders()
    return [
        *(_of_finder(finder, findings) for finder in before),
        *_on_path(sys.path, findings),
        *(_of_finder(finder, findings) for finder in after),
    ]


def _on_path(path: Iterable[object], findings: list[Finding]) -> Iterator[_Source]:
    seen: set[object] = set()
    for item in list(path):
        if not isinstance(item, str):
            if isinstance(item, os.PathLike | bytes):
                findings.append(
                    Finding(
                        code="odd-path-item",
                        subject=repr(item),
                        message="is no str, so that imports pass over it, and so do we",
                        place="sys.path",
                        remedy="Put a str there, by `os.fspath` or `os.fsdecode`.",
                    )
                )
            continue
        item = str.__str__(item)  # a subclass may have a hash and an equality that raise
        if item in seen:
            continue
        seen.add(item)
        try:
            folder = item if os.path.isabs(item) else os.path.abspath(item)
            source = _read_folder(folder, seen, findings)
            if source is not None:
                yield source
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            yield _of_zip(item, findings)
        except ValueError:  # a NUL in it: nothing can be imported from there
            continue
        except OSError as error:
            findings.append(
                Finding(
                    code="unreadable-folder",
                    subject=item,
                    message=f"cannot be listed: {error}",
                    remedy="Make it readable, or take it off the path.",
                )
            )


def _read_folder(folder: str, seen: set[object], findings: list[Finding]) -> _Source | None:
    """What a plain folder holds; `None` for nothing, or if it was read by another name."""
    names = os.listdir(folder)
    # A slash is in no name, so that one pass over all names does for a call on each of them.
    listing = "/".join(names).lower() + "/"
    if "-info/" not in listing:
        return None
    files, keys, odd = _metadata_files(folder, names, listing)
    if not files:
        return None
    # One folder by two names, such as lib64 and lib, is no folder with doubles.
    status = os.stat(folder)
    identity = (status.st_dev, status.st_ino)
    if identity in seen:
        return None
    seen.add(identity)
    ours = _read_files(folder, files, findings)
    for i in odd:
        keys[i] = _odd_key(folder, files[i], keys[i], files[i] in ours, findings)
    source = _Source(folder, dict(zip(keys, files, strict=True)))
    if len(source.files) < len(keys):
        _settle_doubles(source, keys, files, ours, findings)
    source.files.pop("", None)
    if ours:
        source.contents = {key: ours[name] for key, name in source.files.items() if name in ours}
    return source


def _read_files(folder: str, files: list[str], findings: list[Finding]) -> dict[str, bytes]:
    """The `entry_points.txt` that speak of our group, by the dist-info or egg-info.

    Whatever is done here for each distribution may be done 10,000 times, and has to stay within a
    third of what opening and reading its file takes.
    """
    ours: dict[str, bytes] = {}
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
                    content = read_handle(file, LIMIT, content)
                if _GROUP_BYTES in content:
                    ours[name] = content
            except OSError as error:
                findings.append(_unreadable(os.path.join(folder, name + tail), name, error))
            finally:
                close(file)
    finally:
        if handle is not None:
            close(handle)
    return ours


def _metadata_files(
    folder: str, names: list[str], listing: str
) -> tuple[list[str], list[str], Iterable[int]]:
    """The dist-info and egg-info among a folder's names, and their normalized names.

    Args:
        folder: The folder.
        names: What is in it.
        listing: The same in lower case, a slash behind each.

    Returns:
        File names, normalized names as far as the file names tell, and the indexes of those whose
        file names do not tell.
    """
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
    stems = stems.replace("_", "-").replace(".", "-")
    if "--" in stems:
        stems = re.sub("-{2,}", "-", stems)
    keys = stems.split("/")
    odd: Iterable[int] = ()
    if odd_case or "//" in f"/{stems}/" or "/~" in f"/{stems}":
        odd = [
            i
            for i, name in enumerate(files)
            if not keys[i] or keys[i][0] == "~" or not name.endswith(_SUFFIXES)
        ]
    return files, keys, odd


def _odd_key(folder: str, name: str, key: str, ours: bool, findings: list[Finding]) -> str:
    """The normalized name of metadata whose file name does not tell; "" to pass it over."""
    place = os.path.join(folder, name)
    if key.startswith("~"):
        if ours:
            findings.append(
                Finding(
                    code="stale-metadata",
                    subject=name,
                    message="is what an interrupted uninstall left, passed over",
                    place=place,
                    remedy="Remove it.",
                )
            )
        return ""
    stated = InFolder("", folder, name).stated_name
    if stated:
        return normalized(stated)
    if name.lower() == "egg-info":
        key = normalized(os.path.basename(folder).rpartition(".")[0].partition("-")[0])
    if not key:
        findings.append(
            Finding(
                code="broken-metadata",
                subject=name,
                message="metadata without a name, passed over",
                place=place,
                remedy="Remove it; pip leaves such folders when it is interrupted.",
            )
        )
    return key


def _settle_doubles(
    source: _Source,
    keys: Sequence[str],
    files: Sequence[str],
    ours: Collection[str],
    findings: list[Finding],
) -> None:
    """Keep one of each name in a folder: the first listed, one with METADATA before one without.

    The order of listing is what importlib-metadata goes by too. To choose better here, by version
    or date, would only make us answer otherwise than `importlib.metadata.version`.
    """
    folder = source.folder or ""
    of_name: dict[str, list[str]] = {}
    for key, name in zip(keys, files, strict=True):
        of_name.setdefault(key, []).append(name)
    for key, doubles in of_name.items():
        if not key or len(doubles) == 1:
            continue
        places = [os.path.join(folder, name) for name in doubles]
        valid = [_has_metadata(place) for place in places]
        chosen = doubles[valid.index(True) if True in valid else 0]
        source.files[key] = chosen
        for name in doubles:
            if name != chosen and any(each in ours for each in doubles):
                findings.append(
                    Finding(
                        code="double-distribution",
                        subject=key,
                        message=f"stands twice in one folder: {chosen} counts, {name} does not",
                        place=os.path.join(folder, name),
                        remedy=f"Uninstall {key} until pip finds none, then install it once.",
                    )
                )


def _has_metadata(place: str) -> bool:
    """Whether it is more than an empty shell."""
    return any(os.path.exists(os.path.join(place, name)) for name in ("METADATA", "PKG-INFO")) or (
        os.path.isfile(place)
    )


def _settle(sources: Sequence[_Source], findings: list[Finding]) -> dict[str, tuple[str, ...]]:
    """Keep one of each name on the path, and tell which places it hides."""
    first: dict[str, _Source] = {}
    seen: set[str] = set()
    hidden: dict[str, tuple[str, ...]] = {}
    for index, source in enumerate(sources):
        for key in sorted(seen.intersection(source.keys)):
            if key not in first:
                first[key] = next(each for each in sources[:index] if key in each.keys)
            winner, loser = first[key], source
            by_metadata = not winner.has_metadata(key) and loser.has_metadata(key)
            if by_metadata:
                winner, loser = loser, winner
            place, by = loser.place(key), winner.place(key)
            if (key in loser.contents or key in winner.contents) and not _is_same(place, by):
                why = "which has a METADATA file" if by_metadata else "which comes first"
                findings.append(
                    Finding(
                        code="hidden-distribution",
                        subject=key,
                        message=f"{place} is hidden by {by}, {why}",
                        place=place,
                        remedy=f"Uninstall {key} until pip finds none, then install it once.",
                    )
                )
            first[key] = winner
            hidden[key] = (*hidden.get(key, ()), place)
            loser.drop(key)
        seen.update(source.keys)
    return hidden


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def _unreadable(path: str, subject: str, error: OSError) -> Finding:
    return Finding(
        code="broken-metadata",
        subject=subject,
        message=f"cannot be read: {error.strerror or error}",
        place=path,
        remedy="Reinstall the distribution.",
    )


def _read_entry_points(
    content: bytes,
    distribution: Distribution,
    candidates: list[Candidate],
    published: list[Published],
    options: list[PublishedOptions],
    findings: list[Finding],
) -> None:
    """The lines of our groups.

    Only our own sections are judged: bytes in a stranger's section are the stranger's.
    """
    text = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    action: str | None = None
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            action = _action(line.strip("[]"))
            if action and action not in ACTIONS and action != _OPTIONS:
                findings.append(_unknown_action(action, distribution, number))
                action = None
            continue
        if action is None:
            continue
        name, separator, value = line.partition("=")
        name, value = name.rstrip(), value.lstrip()
        target = _target(value)
        fault = None
        if not line.isascii() and not _is_utf8(line):
            fault = "is not UTF-8"
        elif not separator or not name:
            fault = "is not `name = value`"
        elif target is None:
            fault = "names neither `module` nor `module:object`"
        elif action and target[1] is None:
            fault = (
                "names neither `module:object` nor `package:file.json`"
                if action == _OPTIONS
                else "does not name `module:function`"
            )
        if fault is not None or target is None:
            findings.append(_bad_line(line, f"{fault}, passed over", distribution, number))
        elif action == _OPTIONS:
            options.append(
                PublishedOptions(
                    name=name,
                    module=target[0],
                    attribute=target[1] or "",
                    distribution=distribution,
                    place=_place(distribution, number),
                )
            )
        elif action:
            published.append(
                Published(
                    action=ACTIONS[action].name,  # type: ignore[index]  # checked at the section
                    key=name,
                    module=target[0],
                    attribute=target[1] or "",
                    distribution=distribution,
                    place=_place(distribution, number),
                )
            )
        else:
            candidates.append(Candidate(name, value, *target, distribution))


def _action(group: str) -> str | None:
    """What a group is for: "" for plugins, else what stands behind; `None` if it is not ours."""
    if group == GROUP:
        return ""
    return group.removeprefix(f"{GROUP}.") if group.startswith(f"{GROUP}.") else None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _target(value: str) -> tuple[str, str | None] | None:
    """Module and object of `module`, `module:object` or `module:object [extras]`.

    Written out: to compile a pattern for it takes as long as to look at 100 distributions.
    """
    if value.endswith("]"):
        value = value.partition("[")[0]
    module, colon, attribute = value.partition(":")
    module, attribute = module.strip(), attribute.strip()
    if _is_dotted(module):
        if not colon:
            return module, None
        if _is_dotted(attribute):
            return module, attribute
    return None


def _is_dotted(name: str) -> bool:
    return name.isidentifier() or all(part.isidentifier() for part in name.split("."))


def _place(distribution: Distribution, line: int) -> str:
    return f"{os.path.join(distribution.place, 'entry_points.txt')}:{line}"


def _bad_line(line: str, message: str, distribution: Distribution, number: int) -> Finding:
    shown = line.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return Finding(
        code="broken-entry-point",
        subject=distribution.subject,
        message=f"`{shown}` {message}",
        place=_place(distribution, number),
        remedy="Tell its author, or deny the distribution.",
    )


def _unknown_action(action: str, distribution: Distribution, number: int) -> Finding:
    from difflib import get_close_matches

    near = get_close_matches(action, ACTIONS, n=1)
    hint = f"did you mean [{GROUP}.{near[0]}]?" if near else f"Actions are {', '.join(ACTIONS)}."
    return Finding(
        code="unknown-action-group",
        subject=distribution.subject,
        message=f"publishes keys in [{GROUP}.{action}], which is no action's, passed over",
        place=_place(distribution, number),
        remedy=hint[0].upper() + hint[1:],
    )


def _without_plugin(found: Scan) -> Iterator[Finding]:
    """Published keys that no entry point of their distribution brings."""
    if not found.published:
        return
    plugins: dict[str, list[Candidate]] = {}
    for candidate in found.candidates:
        plugins.setdefault(candidate.distribution.key, []).append(candidate)
    for each in found.published:
        mine = plugins.get(each.distribution.key, [])
        modules = {candidate.module for candidate in mine}
        if any(
            _brings(each, candidate.module, modules)
            and _is_part(each.attribute, candidate.attribute)
            for candidate in mine
        ):
            continue
        yield Finding(
            code="published-keys-without-plugin",
            subject=each.distribution.subject,
            message=f"publishes {each.action}:{each.key} of {each.module}:{each.attribute}, "
            + (
                f"which none of its entry points in [{GROUP}] brings"
                if mine
                else f"but has no entry point in [{GROUP}]"
            ),
            place=each.place,
            remedy=f"Its author should add `{each.module.rpartition('.')[2]} = {each.module}` "
            f"to [{GROUP}]; or name {each.module} in the conf.",
        )


def _options_without_plugin(found: Scan) -> Iterator[Finding]:
    """Schemas of options that are for nobody: mostly a name that is not the entry point's."""
    for each in found.options:
        mine = [c for c in found.candidates if c.distribution.key == each.distribution.key]
        if any(each.name in (candidate.name, candidate.module) for candidate in mine):
            continue
        if f"{each.module}.".startswith(f"{each.name}."):  # a module that confs name
            continue
        names = ", ".join(dict.fromkeys(candidate.name for candidate in mine))
        yield Finding(
            code="options-without-plugin",
            subject=each.distribution.subject,
            message=f"publishes the schema of the options of {each.name} ({each}), which is no "
            f"entry point of it in [{GROUP}]",
            place=each.place,
            remedy=f"Its author should name it as the plugin is named: {names}."
            if names
            else "Its author should name it as the plugin's module.",
        )


def _unusual_finders() -> tuple[list[Any], list[Any]]:
    """Finders of metadata other than Python's own and importlib-metadata's, which see the same.

    Returns:
        Those asked before the folders on the path, and those asked after. importlib-metadata puts
        its own finder last when it is imported.
    """
    before: list[Any] = []
    after: list[Any] = []
    unusual = before
    for finder in list(sys.meta_path):
        kind = finder if isinstance(finder, type) else type(finder)
        home = kind.__module__.partition(".")[0] if isinstance(kind.__module__, str) else ""
        if finder is PathFinder or home in _USUAL_FINDERS:
            if home == "importlib_metadata":
                unusual = after
            continue
        if callable(guarded(attrgetter("find_distributions"), finder)):
            unusual.append(finder)
    return before, after


def _of_zip(item: str, findings: list[Finding]) -> _Source:
    """What a path item that is no folder holds."""
    from importlib_metadata import DistributionFinder, MetadataPathFinder

    context: Any = DistributionFinder.Context
    return _of_importlib_metadata(
        lambda: MetadataPathFinder.find_distributions(context(path=[item])), item, findings
    )


def _of_finder(finder: Any, findings: list[Finding]) -> _Source:
    from importlib_metadata import DistributionFinder

    context: Any = DistributionFinder.Context
    kind = finder if isinstance(finder, type) else type(finder)
    return _of_importlib_metadata(
        lambda: finder.find_distributions(context()),
        f"{kind.__module__}.{kind.__qualname__}",
        findings,
    )


def _of_importlib_metadata(
    find: Callable[[], Iterable[Any]], subject: str, findings: list[Finding]
) -> _Source:
    source = _Source()
    try:
        for found in find():
            path = guarded(attrgetter("_path"), found)
            place = subject if path is None else guarded_text(str, path) or subject
            stated = guarded_text(attrgetter("_normalized_name"), found) or guarded_text(
                lambda each: each.metadata["Name"], found
            )
            key = normalized(stated or "")
            if key and key not in source.foreign:
                source.foreign[key] = FromFinder(key, place, found)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a stranger's finder may raise anything, SystemExit too
        findings.append(
            Finding(
                code="broken-finder",
                subject=subject,
                message=f"cannot list its distributions: {type(error).__name__}: "
                f"{safe_text(error)}",
                remedy="Remove the path item or the finder.",
            )
        )
    for key, distribution in source.foreign.items():
        content = distribution.entry_points()
        if content is not None and _GROUP_BYTES in content:
            source.contents[key] = content
    return source
