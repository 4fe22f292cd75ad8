"""Whether packages that a plugin imports may declare something for it: a company's wrapper library.

Their files are searched for a name and for imports, and not parsed: numpy alone has 900 of them.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache, partial
from itertools import islice
from typing import NamedTuple

from aimm_plugins._discovery.module_location import Modules
from aimm_plugins._source.values import PACKAGE
from aimm_plugins._system.files import readable

_FEW_FILES = 200
_MOST_FILES = 5000
_MOST_BYTES = 64 * 1024 * 1024
_IMPORTS = rb"(?m)^[ \t]*(?:from|import)[ \t]+([A-Za-z_]\w*)"


class _Package(NamedTuple):
    """What the files of a top-level package or module say, and whether all of them were read."""

    is_whole: bool
    using: frozenset[str] = frozenset()
    imports: frozenset[str] = frozenset()


class OutsidePackages:
    """Packages other than a plugin's own, each searched once."""

    def __init__(self, modules: Modules) -> None:
        self._searched = cache(partial(_search, modules))

    def users(self, imported: Iterable[str]) -> list[str]:
        """Those of the top-level names that surely use this package; large ones are passed over."""
        return [top for top in _outside(imported) if self._searched(top, _FEW_FILES).using]

    def may_declare(self, imported: Iterable[str]) -> bool:
        """Whether one of the top-level names, or what they import, may use this package."""
        waiting, seen = list(_outside(imported)), set[str]()
        while waiting:
            top = waiting.pop()
            seen.add(top)
            found = self._searched(top, _MOST_FILES)
            if found.using or not found.is_whole:
                return True
            waiting += (name for name in _outside(found.imports) if name not in seen)
        return False

    def are_all(self, top: str, files: Iterable[str]) -> bool:
        """Whether some files are all those of a package that use this one."""
        found = self._searched(top, _MOST_FILES)
        return found.is_whole and found.using <= set(map(os.path.realpath, files))


def _outside(names: Iterable[str]) -> Iterator[str]:
    return (
        name for name in dict.fromkeys(names) if name not in {PACKAGE, *sys.stdlib_module_names}
    )


def _search(modules: Modules, top: str, most_files: int) -> _Package:
    location = modules.find(top)
    if location is None:
        return _Package(is_whole=modules.missing(top) is not None)
    files = list(islice(location.sources(), most_files + 1))
    using, imports, size = set[str](), set[str](), 0
    for file in files[:most_files]:
        content = readable(file) if file.endswith(".py") else None
        size += len(content or b"")
        if content is None or size > _MOST_BYTES:
            return _Package(False, frozenset(using))
        if PACKAGE.encode() in content:
            using.add(os.path.realpath(file))
        imports.update(name.decode() for name in re.findall(_IMPORTS, content))
    return _Package(len(files) <= most_files, frozenset(using), frozenset(imports) - {top})
