"""What installed metadata offers, read without importing anything of it.

Folders on `sys.path` are read directly (`folders`). Whatever is not a plain folder is left to
importlib-metadata (`finders`). One broken file of a third party is a finding and stops nothing.

The answer is that of `importlib_metadata.entry_points` (of version 10, where versions differ:
metadata without a METADATA file hides no other), except where that would stop at a third party's
mistake or load what cannot be meant:

- lines that start with `;` are comments, and a byte order mark is passed over;
- a line that is not `name = value`, or whose value names no module, is a finding and no more;
- what is left of an interrupted `pip uninstall` (`~name-1.0.dist-info`) is passed over, as by pip;
- items of `sys.path` that are no `str` are passed over, as by imports.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING

from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.entry_points import EntryPoints
from aimm_plugins._discovery.finders import read_finder, read_zip, unusual_finders
from aimm_plugins._discovery.folders import read_folder
from aimm_plugins._discovery.path_entry import Hidden, PathEntry, hide_duplicates
from aimm_plugins._discovery.published import Candidate, Published, PublishedOptions
from aimm_plugins._system.names import normalized, pip_install
from aimm_plugins._values.report import Finding

if TYPE_CHECKING:
    from aimm_plugins._discovery.module_location import Modules
    from aimm_plugins._discovery.ownership import CodeOwners, ModuleOwners


class Scan:
    """What one look at the path found, sorted by distribution; see `EntryPoints`."""

    def __init__(
        self,
        entries: Sequence[PathEntry],
        hidden: Hidden,
        points: Mapping[str, EntryPoints],
        findings: Iterable[Finding],
        stamp: tuple[object, ...],
        modules: Modules | None = None,
    ) -> None:
        self._stamp = stamp
        self._modules = modules
        self._entries = entries
        self._hidden = hidden
        self._points = points
        by_name = [points[key] for key in sorted(points)]
        self.candidates = tuple(chain.from_iterable(one.candidates for one in by_name))
        self.broken = tuple(chain.from_iterable(one.broken for one in by_name))
        self.published = tuple(chain.from_iterable(one.published for one in by_name))
        self.options = tuple(chain.from_iterable(one.options for one in by_name))
        self._read_findings = (*findings, *chain.from_iterable(one.findings for one in by_name))
        self._findings: tuple[Finding, ...] | None = None
        self._distributions = {key: one.distribution for key, one in points.items()}
        self._owner_of: dict[str, Distribution | None] = {}
        self._owners: ModuleOwners | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with the path and with plugins' metadata, which is read for it."""
        if self._findings is None:
            distributions = (one.distribution for one in self._points.values())
            self._findings = (*self._read_findings, *faults_of_metadata(distributions))
        return self._findings

    @property
    def modules(self) -> Modules:
        """Where the interpreter finds modules whose path was looked at."""
        if self._modules is None:
            from aimm_plugins._discovery.module_location import HERE  # few starts need it

            self._modules = HERE
        return self._modules

    def is_current(self) -> bool:
        """Whether nothing was installed, upgraded or removed since; files may have been edited."""
        return self._stamp == _stamp()

    def distributions(self) -> tuple[Distribution, ...]:
        """All that is installed, one of each name; their files are read when asked for."""
        return tuple(
            self._distribution(key, entry) for entry in self._entries for key in entry.held
        )

    def has(self, name: str) -> bool:
        return self.find(name) is not None

    def find(self, name: str) -> Distribution | None:
        """The installed distribution of that name, by normalized name."""
        key = normalized(name)
        known = self._distributions.get(key)
        entry = None if known else next((e for e in self._entries if key in e.held), None)
        return known if entry is None else self._distribution(key, entry)

    def stating(self, names: Iterable[str]) -> dict[str, Distribution]:
        """By normalized names that nobody has: who has one in its metadata alone.

        To find that out, the metadata of all is read.
        """
        wanted = {name for name in names if not self.has(name)}
        found = self.distributions() if wanted else ()
        return {name: one for one in found for name in wanted & one.names}

    def doubt(self, name: str) -> Finding | None:
        """Why a distribution may be installed although it was not found, if it may.

        A folder could not be listed, its metadata could not be read, or pip is replacing it: while
        it does, the old metadata begins with a tilde instead of the first letter.
        """
        key = normalized(name)
        for finding in self.findings:
            subject = normalized(finding.subject.partition("-")[0])
            if finding.code == "unreadable-folder":
                return finding
            if finding.code == "broken-metadata" and subject == key:
                return finding
            if finding.code == "stale-metadata" and subject[1:] == key[1:]:
                return finding
        return None

    def unread(self) -> list[Finding]:
        """The distributions of which something could not be read when it was asked for."""
        known = {*self._distributions.values(), *chain.from_iterable(self._hidden.values())}
        unread = [one for one in known if one.unread is not None]
        return list(faults_of_metadata(sorted(unread, key=attrgetter("place"))))

    def keys_of(self, plugin: Candidate | tuple[str, str]) -> tuple[Published, ...]:
        """The published keys of an entry point, or of a distribution's module in a conf."""
        if isinstance(plugin, Candidate):
            key, module, attribute = plugin.distribution.key, plugin.module, plugin.attribute
        else:
            key, module, attribute = normalized(plugin[0]), plugin[1], None
        return self._points[key].keys_of(module, attribute) if key in self._points else ()

    def options_of(self, module: str, distribution: str | None) -> tuple[PublishedOptions, ...]:
        """Where the schema of a plugin's options is; several where its metadata is at odds."""
        points = self._points.get(normalized(distribution or ""))
        published = () if points is None else points.options_of(module)
        return tuple(options._replace(modules=self._modules) for options in published)

    def owner(self, module: str, file: str | None) -> Distribution | None:
        """The distribution that installed a module, or `None` for a module of the host's own."""
        if module not in self._owner_of:
            self._owner_of[module] = self._module_owners().find(module, file)
        return self._owner_of[module]

    def publisher(self, module: str) -> str | None:
        """The distribution that brings a plugin: by an entry point, else by its files."""
        named = (one.distribution for one in self.candidates if one.module == module)
        owner = next(named, None) or self.owner(module, self.modules.locate(module))
        return None if owner is None else owner.name

    def code_owners(self, suspects: Sequence[Distribution] | None) -> CodeOwners:
        """Tells which of some distributions, or of all, an import would run code of."""
        from aimm_plugins._discovery.ownership import CodeOwners

        return CodeOwners(suspects, self._module_owners())

    def _module_owners(self) -> ModuleOwners:
        if self._owners is None:
            from aimm_plugins._discovery.ownership import ModuleOwners

            named: dict[str, list[Distribution]] = {}
            for candidate in self.candidates:
                publishers = named.setdefault(candidate.module, [])
                if candidate.distribution not in publishers[-1:]:  # they come sorted
                    publishers.append(candidate.distribution)
            self._owners = ModuleOwners(self.find, self.distributions, named, self._hidden)
        return self._owners

    def _distribution(self, key: str, entry: PathEntry) -> Distribution:
        """The one distribution of that name, always the same object."""
        if key not in self._distributions:
            self._distributions[key] = entry.distribution(key, self._hidden.get(key, ()))
        return self._distributions[key]


def faults_of_metadata(distributions: Iterable[Distribution]) -> Iterator[Finding]:
    """What is wrong with the metadata of distributions that cannot be read, or tell no name."""
    for one in distributions:
        named = one.stated_name
        if one.unread is not None:
            remedy = "Repair what the message names, and refresh again."
            yield Finding("broken-metadata", one.subject, one.unread, one.place, remedy)
        elif not named:
            message = "has no METADATA with its name; an interrupted installation leaves it so"
            remedy = f"Remove {one.place} and install it again: {pip_install(one.name)}."
            yield Finding("broken-metadata", one.subject, message, one.place, remedy)


def scan(path: Sequence[object] | None = None, modules: Modules | None = None) -> Scan:
    """Find installed entry points of our groups, on `sys.path` or another interpreter's path."""
    findings: list[Finding] = []
    stamp = _stamp()
    entries = list(_entries(path, findings))
    hidden = hide_duplicates(entries, findings)
    points = {
        key: EntryPoints(entry.distribution(key, hidden.get(key, ())), content)
        for entry in entries
        for key, content in entry.contents.items()
    }
    is_told = any("aimm-plugins" in entry.held for entry in entries)
    is_told = is_told or any(one.candidates for one in points.values())
    if getattr(sys, "frozen", False) and not is_told:
        message = (
            "is a frozen program without the metadata of packages, so that no installed plugin can "
            "be found"
        )
        remedy = (
            "Build it by PyInstaller in an environment that has aimm-plugins and the plugins, or "
            "give the metadata to your freezer; modules that a conf names load anyway."
        )
        findings.append(Finding("frozen-without-metadata", sys.executable, message, remedy=remedy))
    return Scan(entries, hidden, points, findings, stamp, modules)


def _stamp() -> tuple[object, ...]:
    """What changes with `sys.path`, and whenever an installer adds or removes metadata there."""
    return tuple(_stamp_of(item) for item in list(sys.path) if isinstance(item, str))


def _stamp_of(item: str) -> object:
    try:
        status = os.stat(item or os.curdir)
    except (OSError, ValueError):
        return item
    return item, status.st_dev, status.st_ino, status.st_mtime_ns


def _entries(path: Sequence[object] | None, findings: list[Finding]) -> Iterator[PathEntry]:
    """Everything that is asked, in the order in which importlib-metadata asks it."""
    if path is not None:
        yield from _on_path(path, findings)
        return
    before, after = unusual_finders()
    for finder in before:
        yield read_finder(finder, findings)
    yield from _on_path(sys.path, findings)
    for finder in after:
        yield read_finder(finder, findings)


def _on_path(path: Iterable[object], findings: list[Finding]) -> Iterator[PathEntry]:
    seen: set[object] = set()
    for item in list(path):
        if not isinstance(item, str):
            if isinstance(item, os.PathLike | bytes):
                message = "is no str, so that imports pass over it, and so do we"
                remedy = "Put a str there, by `os.fspath` or `os.fsdecode`."
                finding = Finding("odd-path-item", repr(item), message, "sys.path", remedy)
                findings.append(finding)
            continue
        item = str.__str__(item)  # a subclass may have a hash and an equality that raise
        if item in seen:
            continue
        seen.add(item)
        try:
            folder = item if os.path.isabs(item) else os.path.abspath(item)
            yield from read_folder(folder, seen, findings)
        except (FileNotFoundError, ValueError):  # ValueError: a NUL in it
            continue
        except NotADirectoryError:
            yield read_zip(item, findings)
        except OSError as error:
            message = f"cannot be listed: {error}"
            remedy = "Make it readable, or take it off the path."
            findings.append(Finding("unreadable-folder", item, message, remedy=remedy))
