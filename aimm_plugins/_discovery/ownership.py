"""Which distribution installed a module."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from aimm_plugins._discovery.distribution import Distribution, InFolder, is_beneath
from aimm_plugins._discovery.record_file import declared_top_levels, listed, top_levels
from aimm_plugins._system.names import normalized


class Owners:
    """Answers who owns a module, reading each distribution's files at most once.

    Args:
        folders: Normalized name to metadata file of what each folder on the path holds.
        distribution: Gives the distribution of a normalized name.
        named: Who has an entry point that names a module.
        hidden: Normalized name to metadata that another of the same name hides: what it installed
            can be imported all the same, and rules about the name hold for it.
    """

    def __init__(
        self,
        folders: Mapping[str, Mapping[str, str]],
        distribution: Callable[[str], Distribution],
        named: Mapping[str, Distribution],
        hidden: Mapping[str, Sequence[str]],
    ) -> None:
        self._folders = folders
        self._distribution = distribution
        self._named = named
        self._hidden = {
            key: [InFolder(key, *os.path.split(place)) for place in places]
            for key, places in hidden.items()
        }
        self._lists: dict[str, frozenset[str] | None] = {}
        self._indexes: dict[str, dict[str, list[str]]] = {}

    def find(self, module: str, file: str | None) -> Distribution | None:
        """The owner by RECORD, else by an editable folder, else by an entry point.

        Args:
            module: Dotted name.
            file: Its source file.
        """
        named = self._named.get(module)
        if file is None:
            return named
        owner = self._by_record(module, file)
        if owner is not None:
            return owner
        # A path item may be a link to the folder that another item names.
        real = os.path.realpath(file)
        owner = self._by_record(module, real) if real != file else None
        owner = owner or self._by_editable_folder(file, real)
        if owner is not None:
            return owner
        hidden = self._by_hidden_record(file, real)
        return named if hidden is None or (named and named.key == hidden.key) else hidden

    def brings(self, distribution: Distribution, module: str, file: str | None) -> bool:
        """Whether one distribution is the owner by RECORD, or by its editable folder.

        Args:
            distribution: Who is asked about.
            module: Dotted name.
            file: Its source file.
        """
        if file is None:
            return False
        files = {file, os.path.realpath(file)}
        root = distribution.editable_root
        roots = set() if root is None else {os.path.normpath(root), os.path.realpath(root)}
        if any(is_beneath(each, root) for each in files for root in roots):
            return True
        if any(_lists(each, *files) for each in self._hidden.get(distribution.key, ())):
            return True
        return any(
            distribution.key in keys
            and is_beneath(each, folder)
            and self._lists_file(
                distribution.key, os.path.relpath(each, folder).replace(os.sep, "/")
            )
            for each in files
            for folder, keys in self._folders.items()
        )

    def _by_hidden_record(self, *files: str) -> Distribution | None:
        for distributions in self._hidden.values():
            for each in distributions:
                if _lists(each, *files):
                    return each
        return None

    def _by_record(self, module: str, file: str) -> Distribution | None:
        top = module.partition(".")[0]
        for folder, keys in self._folders.items():
            if not is_beneath(file, folder):
                continue
            relative = os.path.relpath(file, folder).replace(os.sep, "/")
            guesses = [normalized(top)]
            if module in self._named:
                guesses.append(self._named[module].key)
            for key in guesses:
                if key in keys and self._lists_file(key, relative):
                    return self._distribution(key)
            for key in self._index(folder).get(relative.partition("/")[0].partition(".")[0], ()):
                if self._lists_file(key, relative):
                    return self._distribution(key)
        return None

    def _lists_file(self, key: str, relative: str) -> bool:
        if key not in self._lists:
            self._lists[key] = listed(self._distribution(key))
        files = self._lists[key]
        if files is not None:
            return relative in files
        first = relative.partition("/")[0].removesuffix(".py")
        return first in declared_top_levels(self._distribution(key))

    def _index(self, folder: str) -> dict[str, list[str]]:
        """Who brings a top-level name into a folder: one look into every RECORD there."""
        if folder not in self._indexes:
            index: dict[str, list[str]] = {}
            for key in sorted(self._folders[folder]):
                for name in top_levels(self._distribution(key)):
                    index.setdefault(name, []).append(key)
            self._indexes[folder] = index
        return self._indexes[folder]

    def _by_editable_folder(self, *files: str) -> Distribution | None:
        for root, distribution in self._editable_roots:
            if any(is_beneath(file, root) for file in files):
                return distribution
        return None

    @cached_property
    def _editable_roots(self) -> list[tuple[str, Distribution]]:
        """Source folders of editable installs, the innermost first."""
        roots: list[tuple[str, Distribution]] = []
        # All are asked, 3 ms for 1,000: that a folder has no `.pth` file proves nothing, since the
        # host may have put the source folder on the path itself, and a deny rule hangs on this.
        keys = {key for keys in self._folders.values() for key in keys}
        keys.update(each.key for each in self._named.values())
        for key in sorted(keys):
            distribution = self._distribution(key)
            root = distribution.editable_root
            if root is not None:
                root = os.path.normpath(root)
                spellings = {root, os.path.realpath(root)}
                roots += [(spelling, distribution) for spelling in spellings]
        return sorted(roots, key=lambda each: (-len(each[0]), each[0], each[1].key))


def _lists(distribution: InFolder, *files: str) -> bool:
    """Whether RECORD lists one of these files."""
    beneath = [each for each in files if is_beneath(each, distribution.folder)]
    paths = (listed(distribution) if beneath else None) or ()
    return any(
        os.path.relpath(each, distribution.folder).replace(os.sep, "/") in paths for each in beneath
    )
