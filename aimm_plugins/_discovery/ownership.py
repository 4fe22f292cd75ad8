"""Which distributions installed the files that an import would run.

RECORD is asked first (without one, `top_level.txt` and the distribution's name), then the source
folders of editable installs, then entry points.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

from aimm_plugins._discovery.distribution import Distribution, is_beneath, spellings
from aimm_plugins._discovery.module_location import Modules, bytecode_of, unasked_finders
from aimm_plugins._discovery.path_entry import Hidden
from aimm_plugins._discovery.record_file import listed, top_levels
from aimm_plugins._system.names import with_parents


class ModuleFile(NamedTuple):
    """One file that an import would run: of the module, a parent package, or their bytecode.

    Attributes:
        owners: Who installed it, among the distributions that were asked about.
        intact: Those of several owners whose RECORD has the hash of what stands there. Packages of
            one namespace may each bring the `__init__` of it.
        is_claimed: Whether it is theirs by an entry point alone.
        suspects: Who may have installed it, each with the reason why that cannot be told.
    """

    module: str
    file: str | None
    owners: tuple[Distribution, ...] = ()
    intact: tuple[Distribution, ...] = ()
    is_claimed: bool = False
    suspects: tuple[tuple[Distribution, str], ...] = ()

    @property
    def is_bytecode(self) -> bool:
        return self.file is not None and os.path.dirname(self.file).endswith("__pycache__")


class Owners:
    """Tells which of some distributions installed a file.

    By tables: to compare each of 400 plugins with each of 400 denied distributions would take two
    seconds. Only RECORDs that have the top-level name of a file are read whole.
    """

    def __init__(self, distributions: Iterable[Distribution]) -> None:
        self._files: dict[str, Mapping[str, str] | None] = {}
        self._index: dict[tuple[str, str], list[Distribution]] = {}
        self._folders: dict[str, str] = {}  # the folder that its spellings stand for
        self._untold: dict[str, list[Distribution]] = {}
        self.editable: dict[str, list[Distribution]] = {}  # by source folder
        for distribution in distributions:
            folder = distribution.folder
            if folder is not None:
                if folder not in self._folders:
                    self._folders |= dict.fromkeys((folder, *spellings(folder)), folder)
                names = top_levels(distribution)
                if names is None:
                    self._untold.setdefault(folder, []).append(distribution)
                    names = frozenset([distribution.key.replace("-", "_")])
                for name in names:
                    self._index.setdefault((folder, name), []).append(distribution)
            sources = chain.from_iterable(map(spellings, _source_folders(distribution)))
            for spelling in dict.fromkeys(sources):
                self.editable.setdefault(spelling, []).append(distribution)

    def listing(self, file: str) -> Iterator[Distribution]:
        """The distributions that list a file among those that they installed."""
        for folder, relative in self._places(file):
            top = relative.partition("/")[0].partition(".")[0]
            for distribution in self._index.get((folder, top), ()):
                files = self._read(distribution)
                if files is None or relative in files:
                    yield distribution

    def holding(self, file: str) -> Iterator[list[Distribution]]:
        """The editable installs in whose source folder a file lies, the innermost folder first."""
        for path in spellings(file) if self.editable else ():
            for folder in _folders_above(path):
                if folder in self.editable:
                    yield self.editable[folder]

    def untold(self, file: str) -> Iterator[tuple[Distribution, str]]:
        """The distributions in the folder of a file of which nothing says what they installed."""
        for folder, _ in self._places(file):
            for distribution in self._untold.get(folder, ()):
                yield (
                    distribution,
                    f"it has no RECORD that can be read in {distribution.place}, so that nobody "
                    f"can tell whether it installed {file}",
                )

    def hash_of(self, distribution: Distribution, file: str) -> str:
        """The hash that a distribution's RECORD has of a file; empty for none."""
        files = self._read(distribution) or {}
        hashes = (files.get(relative) for _, relative in self._places(file))
        return next(filter(None, hashes), "")

    def brings(self, distribution: Distribution, module: str) -> bool:
        """Whether a distribution's RECORD lists anything beneath the top-level name of a module."""
        top = module.partition(".")[0]
        return self._read(distribution) is not None and distribution in self._index.get(
            (distribution.folder or "", top), ()
        )

    def _places(self, file: str) -> Iterator[tuple[str, str]]:
        """The folders with distributions that a file lies in, with its path in each."""
        for path in spellings(file):
            for start in _folders_above(path):
                if start in self._folders:
                    relative = os.path.relpath(path, start).replace(os.sep, "/")
                    yield self._folders[start], relative

    def _read(self, distribution: Distribution) -> Mapping[str, str] | None:
        place = distribution.place
        if place not in self._files:
            self._files[place] = listed(distribution)
        return self._files[place]


def _source_folders(distribution: Distribution) -> Iterator[str]:
    """The project of an editable install, and what its `.pth` file or finder names elsewhere."""
    root = distribution.editable_root
    if root is None:
        return
    yield root
    site = os.path.join(distribution.folder or "", "")
    # Such a file has absolute paths in lines or in quotes; those of modules go without `.py`.
    for file in listed(distribution) or ():
        if file.endswith((".pth", ".py")) and "/" not in file:
            text = (distribution.read(f"../{file}") or b"").decode(errors="surrogateescape")
            for path in re.split(r"['\"\r\n]+", text):
                if os.path.isabs(path) and not is_beneath(site, os.path.normpath(path)):
                    yield from (path, f"{path}.py")


def _folders_above(path: str) -> Iterator[str]:
    while (parent := os.path.dirname(path)) != path:
        yield path
        path = parent
    yield path


class ModuleOwners:
    """Finds the owners of modules among all that is installed, reading as few files as it can.

    What metadata installed that other metadata hides can be imported all the same.
    """

    def __init__(
        self,
        find: Callable[[str], Distribution | None],
        everything: Callable[[], Iterable[Distribution]],
        named: Mapping[str, Sequence[Distribution]],
        hidden: Hidden,
    ) -> None:
        self._find = find
        self._everything = everything
        self.named = named
        self.hidden = hidden
        self._of_one: dict[str, Owners] = {}
        self._of_all: Owners | None = None

    def find(self, module: str, file: str | None) -> Distribution | None:
        """The owner by RECORD, else by an editable folder, else by an entry point."""
        named = next(iter(self.named.get(module, ())), None)
        if file is None:
            return named
        owner = self.by_record(module, file) or next(self.of_all().holding(file), [None])[0]
        # One that another of its name hides is that other.
        return named if owner is None or (named and named.key == owner.key) else owner

    def by_record(self, module: str, file: str) -> Distribution | None:
        """The distribution that lists a module's file among those that it installed."""
        # The likely ones go first: to ask all is to read every RECORD there is.
        for likely in (self._find(module.partition(".")[0]), *self.named.get(module, ())):
            if likely is not None:
                if likely.key not in self._of_one:
                    self._of_one[likely.key] = Owners([likely])
                owner = next(self._of_one[likely.key].listing(file), None)
                if owner is not None:
                    return owner
        return next(self.of_all().listing(file), None)

    def shown(self, distribution: Distribution) -> Distribution:
        """The distribution that counts among those of one name."""
        return self._find(distribution.key) or distribution

    def of_all(self) -> Owners:
        if self._of_all is None:
            everything = sorted(self._everything(), key=attrgetter("key"))
            self._of_all = Owners((*everything, *chain.from_iterable(self.hidden.values())))
        return self._of_all


class CodeOwners:
    """Tells which distributions an import would run code of."""

    def __init__(self, suspects: Sequence[Distribution] | None, others: ModuleOwners) -> None:
        self._others = others
        if suspects is None:
            self._owners, self._shown = others.of_all(), None
        else:
            hidden = chain.from_iterable(others.hidden.get(suspect.key, ()) for suspect in suspects)
            self._owners = Owners((*suspects, *hidden))
            self._shown = {suspect.key: suspect for suspect in suspects}
        self._unasked: tuple[tuple[Distribution, str], ...] | None = None

    def files(self, module: str, modules: Modules) -> tuple[ModuleFile, ...]:
        """The files that an import runs, the module's own first; none for an empty name."""
        found = []
        names = [*with_parents(module)]
        levels = dict(zip(reversed(names), modules.levels(module), strict=False))
        for name in names:
            file = levels[name].file if name in levels else None
            found.append(self._file(name, file, module))
            bytecode = None if file is None else bytecode_of(file)
            # Bytecode that an interpreter has written is nobody's.
            if bytecode is not None and (owners := self._installers(name, bytecode)):
                found.append(ModuleFile(name, bytecode, owners))
        if found and found[0].file is None and module not in sys.modules:
            found[0] = found[0]._replace(suspects=self._known_by_finders(modules))
        return tuple(found)

    def _file(self, name: str, file: str | None, module: str) -> ModuleFile:
        if file is None:
            return ModuleFile(name, None)
        owners = self._installers(name, file)
        if owners:
            return ModuleFile(name, file, owners, () if name == module else self._intact(file))
        suspects = tuple(self._owners.untold(file))
        named = list(filter(self._is_asked, self._others.named.get(module, ())))
        if (suspects or named) and self._shown is not None and self._others.by_record(name, file):
            return ModuleFile(name, file)
        # One that has installed this name elsewhere has not installed what stands here before it.
        claimed = tuple(d for d in named if not self._owners.brings(d, name))
        return ModuleFile(name, file, claimed, is_claimed=True, suspects=suspects)

    def _installers(self, module: str, file: str) -> tuple[Distribution, ...]:
        found: list[Distribution] = []
        for owner in self._owners.listing(file):
            # What a hidden distribution installed counts as the other's of its name too.
            found += (owner, self._others.shown(owner))
        editable = next(self._owners.holding(file), ())
        # A venv may lie in the source folder of an editable install.
        if editable and self._others.by_record(module, file) is None:
            found += editable
        return tuple(dict.fromkeys(found))

    def _intact(self, file: str) -> tuple[Distribution, ...]:
        owners = self._others.of_all()
        listing = dict.fromkeys(owners.listing(file))
        if len(listing) < 2:
            return ()
        from aimm_plugins._discovery.verification import has_hash

        return tuple(d for d in listing if has_hash(file, owners.hash_of(d, file)))

    def _known_by_finders(self, modules: Modules) -> tuple[tuple[Distribution, str], ...]:
        """Who may bring a module that was not found, by a finder that is not asked."""
        if self._unasked is None:
            found: dict[Distribution, str] = {}
            for finder in unasked_finders():
                file = modules.locate(finder)
                owner = None if file is None else self._others.by_record(finder, file)
                editable = chain.from_iterable(self._owners.editable.values())
                for brings in editable if owner is None else [owner]:
                    if self._is_asked(brings):
                        found[brings] = (
                            f"its file was not found, and to ask the finder of {finder} for it "
                            "may run code"
                        )
            self._unasked = tuple(found.items())
        return self._unasked

    def _is_asked(self, distribution: Distribution) -> bool:
        return self._shown is None or distribution.key in self._shown
