"""Which distributions installed the files that an import would run.

RECORD is asked first (of an egg-info without one, `top_level.txt`), then the source folders of
editable installs, then entry points.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

from aimm_plugins._discovery.distribution import Distribution, is_beneath, spellings
from aimm_plugins._discovery.entry_points import with_parents
from aimm_plugins._discovery.module_location import unasked_finder
from aimm_plugins._discovery.path_entry import Hidden
from aimm_plugins._discovery.record_file import declared_top_levels, listed, top_levels


class ModuleFile(NamedTuple):
    """One file that an import would run: that of the module or of a parent package.

    Attributes:
        module: Dotted name of the module or the package.
        file: Its file, `None` where none was found.
        owners: Who installed it, among the distributions that were asked about. With `unasked` who
            may have installed it.
        unasked: The module of a finder that might know the file, and may run code when it is asked.
    """

    module: str
    file: str | None
    owners: tuple[Distribution, ...]
    unasked: str | None = None


class Owners:
    """Tells which of some distributions installed a file.

    What they installed is sorted into tables: to compare each of 400 plugins with each of 400
    denied distributions would take two seconds.

    Args:
        distributions: Those that are asked about.
        exact: Whether to read each RECORD whole at once, in whatever words it lists its paths.
            Otherwise only what lies beneath the same top-level name as the file is read whole.

    Attributes:
        editable: The editable installs among them, by source folder.
    """

    def __init__(self, distributions: Iterable[Distribution], *, exact: bool = True) -> None:
        self._files: dict[str, frozenset[str] | None] = {}
        self._index: dict[tuple[str, str], list[Distribution]] = {}
        self._folders: dict[str, tuple[str, ...]] = {}
        self.editable: dict[str, list[Distribution]] = {}
        for distribution in distributions:
            folder = distribution.folder
            if folder is not None:
                if folder not in self._folders:
                    self._folders[folder] = spellings(folder)
                for name in self._top_levels(distribution) if exact else top_levels(distribution):
                    self._index.setdefault((folder, name), []).append(distribution)
            root = distribution.editable_root
            for spelling in spellings(root) if root is not None else ():
                self.editable.setdefault(spelling, []).append(distribution)

    def listing(self, file: str) -> Iterator[Distribution]:
        """The distributions that list a file among those that they installed."""
        for path in spellings(file):
            for folder, starts in self._folders.items():
                for start in starts:
                    if is_beneath(path, start):
                        relative = os.path.relpath(path, start).replace(os.sep, "/")
                        top = relative.partition("/")[0].partition(".")[0]
                        for distribution in self._index.get((folder, top), ()):
                            if self._lists(distribution, relative):
                                yield distribution

    def holding(self, file: str) -> Iterator[Distribution]:
        """The editable installs in whose source folder a file lies, the innermost folder first."""
        for path in spellings(file) if self.editable else ():
            while True:
                yield from self.editable.get(path, ())
                parent = os.path.dirname(path)
                if parent == path:
                    break
                path = parent

    def _read(self, distribution: Distribution) -> frozenset[str] | None:
        place = distribution.place
        if place not in self._files:
            self._files[place] = listed(distribution)
        return self._files[place]

    def _top_levels(self, distribution: Distribution) -> Iterable[str]:
        files = self._read(distribution)
        if files is None:
            return declared_top_levels(distribution)
        return {file.partition("/")[0].partition(".")[0] for file in files}

    def _lists(self, distribution: Distribution, relative: str) -> bool:
        files = self._read(distribution)
        if files is not None:
            return relative in files
        first = relative.partition("/")[0].removesuffix(".py")
        return first in declared_top_levels(distribution)


class ModuleOwners:
    """Finds the owner of a module among all that is installed, reading as few files as it can.

    Args:
        find: Gives the installed distribution of a name.
        everything: Gives all distributions.
        named: Who has an entry point that names a module.
        hidden: Metadata that other metadata of the same name hides. What it installed can be
            imported all the same, and rules about the name hold for it.
    """

    def __init__(
        self,
        find: Callable[[str], Distribution | None],
        everything: Callable[[], Iterable[Distribution]],
        named: Mapping[str, Distribution],
        hidden: Hidden,
    ) -> None:
        self._find = find
        self._everything = everything
        self._named = named
        self.hidden = hidden
        self._of_one: dict[str, Owners] = {}
        self._of_all: Owners | None = None

    def find(self, module: str, file: str | None) -> Distribution | None:
        """The owner by RECORD, else by an editable folder, else by an entry point."""
        named = self._named.get(module)
        if file is None:
            return named
        owner = self.by_record(module, file) or next(self._all().holding(file), None)
        # One that another of its name hides is that other.
        return named if owner is None or (named and named.key == owner.key) else owner

    def by_record(self, module: str, file: str) -> Distribution | None:
        """The distribution that lists a module's file among those that it installed.

        Those that are likely by their name or an entry point go first: to ask all is to read every
        RECORD there is.
        """
        for likely in (self._find(module.partition(".")[0]), self._named.get(module)):
            if likely is not None:
                if likely.key not in self._of_one:
                    self._of_one[likely.key] = Owners([likely])
                owner = next(self._of_one[likely.key].listing(file), None)
                if owner is not None:
                    return owner
        return next(self._all().listing(file), None)

    def _all(self) -> Owners:
        if self._of_all is None:
            everything = sorted(self._everything(), key=attrgetter("key"))
            hidden = chain.from_iterable(self.hidden.values())
            self._of_all = Owners((*everything, *hidden), exact=False)
        return self._of_all


class CodeOwners:
    """Tells which of a few distributions, the suspects, an import would run code of."""

    def __init__(self, suspects: Sequence[Distribution], others: ModuleOwners) -> None:
        hidden = chain.from_iterable(others.hidden.get(suspect.key, ()) for suspect in suspects)
        self._shown = {suspect.key: suspect for suspect in suspects}
        self._owners = Owners((*suspects, *hidden))
        self._others = others
        self._unasked = unasked_finder() if self._owners.editable else None

    def files(self, module: str, locate: Callable[[str], str | None]) -> tuple[ModuleFile, ...]:
        """The files that an import runs, the module's own first, then those of its parents."""
        files = [self._file(name, locate(name)) for name in with_parents(module)]
        if self._unasked is not None and files[0].file is None and module not in sys.modules:
            editable = dict.fromkeys(chain.from_iterable(self._owners.editable.values()))
            files[0] = ModuleFile(module, None, tuple(editable), self._unasked)
        return tuple(files)

    def _file(self, module: str, file: str | None) -> ModuleFile:
        found: list[Distribution] = []
        if file is not None:
            for owner in self._owners.listing(file):
                # What a hidden distribution installed counts as the other's of its name too.
                found += (owner, self._shown[owner.key])
            editable = list(self._owners.holding(file))
            # A venv may lie in the source folder of an editable install.
            if editable and self._others.by_record(module, file) is None:
                found += editable
        return ModuleFile(module, file, tuple(dict.fromkeys(found)))
