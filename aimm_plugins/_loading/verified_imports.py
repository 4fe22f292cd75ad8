"""Have Python run what was verified, and nothing else, of the distributions that `verify` is about.

Python prefers bytecode in `__pycache__` to the source that was hashed, and looks for a module's
file long after a start has. So a finder before all others loads the modules of these distributions:
each from the bytes that have the hash of RECORD, compiled anew. It stays for imports that the
plugins make later on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    ExtensionFileLoader,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from importlib.util import spec_from_file_location
from itertools import starmap
from types import CodeType, ModuleType
from typing import Any

from aimm_plugins._discovery.verification import Verified, bytes_have_hash, place_of


class VerifiedImports(MetaPathFinder):
    """Finds the modules of verified distributions."""

    def __init__(self) -> None:
        self._hashes: dict[str, str] = {}
        self._owners: dict[str, Verified] = {}

    def install(self, verified: Iterable[Sequence[Any]]) -> None:
        """Go before all other finders, for these distributions too: fields of `Verified`."""
        for proven in starmap(Verified, verified):
            self._hashes = {**self._hashes, **proven.hashes}
            names = (*proven.packages, *proven.modules)
            self._owners = {**self._owners, **dict.fromkeys(names, proven)}
        if sys.meta_path[:1] != [self]:
            self.remove()
            sys.meta_path.insert(0, self)

    def remove(self) -> None:
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module that is verified; `None` for what others have brought."""
        owner = self._owners.get(fullname) or self._owner_of_package(fullname)
        if owner is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or not spec.has_location or spec.origin is None:
            return spec
        wanted = self._hashes.get(place_of(spec.origin))
        if wanted is None:
            if not place_of(spec.origin).startswith(owner.folders):
                return None  # of the same name, and somebody else's
            raise ImportError(
                f"{fullname} is not imported: {spec.origin} is not a file that RECORD of "
                f"{owner.who} lists, and what runs of that is verified",
                name=fullname,
                path=spec.origin,
            )
        kind: type[_Source | _Bytecode | _Extension] = _Source
        if spec.origin.endswith(tuple(EXTENSION_SUFFIXES)):
            kind = _Extension
        elif spec.origin.endswith(tuple(BYTECODE_SUFFIXES)):
            kind = _Bytecode
        loader = kind(fullname, spec.origin)
        loader.wanted = wanted
        return spec_from_file_location(
            fullname,
            spec.origin,
            loader=loader,
            submodule_search_locations=spec.submodule_search_locations,
        )

    def _owner_of_package(self, fullname: str) -> Verified | None:
        while fullname := fullname.rpartition(".")[0]:
            owner = self._owners.get(fullname)
            if owner is not None and fullname in owner.packages:
                return owner
        return None


def _checked(content: bytes, path: str, wanted: str) -> bytes:
    if not bytes_have_hash(content, wanted):
        raise ImportError(
            f"{path} is not what was verified: it has changed since. Reinstall its distribution; "
            "or restart, if that was upgraded",
            path=path,
        )
    return content


class _Source(SourceFileLoader):
    wanted: str

    def get_code(self, fullname: str) -> CodeType | None:
        content = _checked(self.get_data(self.path), self.path, self.wanted)
        code: CodeType = self.source_to_code(content, self.path)
        return code


class _Bytecode(SourcelessFileLoader):
    wanted: str

    def get_data(self, path: str) -> bytes:
        return _checked(super().get_data(path), path, self.wanted)


class _Extension(ExtensionFileLoader):
    wanted: str

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        _checked(self.get_data(self.path), self.path, self.wanted)
        return super().create_module(spec)
