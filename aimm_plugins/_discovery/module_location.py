"""Where a module's file is, without importing anything.

`importlib.util.find_spec("a.b")` imports `a`. A finder of an editable install may build the package
when it is asked, as meson-python's does. So only finders that look names up are asked here, for one
level of the name after the other.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from importlib.util import cache_from_source
from types import ModuleType
from typing import Any, NamedTuple

from aimm_plugins._discovery.finders import class_of
from aimm_plugins._system.ceilings import SOURCE_BYTES
from aimm_plugins._system.files import readable
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.modules import contents
from aimm_plugins._system.names import with_parents

_LOOKING_UP = ("__editable__", "editables.")
"""How modules begin whose finders look names up: setuptools' and hatchling's editable installs."""

_WITHOUT_MODULES = frozenset(
    {
        *("_distutils_hack", "_pytest", "_virtualenv", "aimm_plugins", "ddtrace"),
        *("importlib_metadata", "jaxtyping", "newrelic", "pkg_resources", "setuptools", "six"),
        *("tlz", "typeguard", "wrapt"),
    }
)
"""Packages whose finders bring no module of a plugin."""

_EXTENDS_PATH = rb"extend_path|declare_namespace"
"""What is in an `__init__` that has its package go on in the same folder of other path items."""

_BRINGS_BY_ITSELF = rb"__path__\s*(?:[+:]?=|\.|\[)|sys\.modules|meta_path|path_hooks"
"""What is in a module that may bring submodules in a way that no look at folders shows."""


class Location(NamedTuple):
    """Where a module is.

    Attributes:
        file: What its import would run; `None` for what is built in, frozen, or a namespace.
        folders: Those of its submodules; `None` for what is no package.
        is_loaded: Whether it is imported already.
    """

    file: str | None
    folders: list[str] | None
    is_loaded: bool = False

    def sources(self) -> Iterator[str]:
        """A module's file, or all files of Python source in a package."""
        if self.folders is None and self.file is not None:
            yield self.file
        for folder in self.folders or ():
            for path, _, names in os.walk(folder):
                yield from (os.path.join(path, name) for name in names if name.endswith(".py"))


class Modules:
    """Where the imports of this process find modules.

    Nothing raises: the import itself will say what is wrong with a finder. A package that changes
    its own `__path__` when it runs, but by `extend_path`, cannot be foreseen.
    """

    python = f"{sys.version_info[0]}.{sys.version_info[1]}"

    @property
    def is_this_python(self) -> bool:
        """Whether the interpreter reads the source that this one does."""
        return self.python == HERE.python

    @property
    def path(self) -> list[str]:
        return [item for item in sys.path if isinstance(item, str)]

    def levels(self, module: str) -> list[Location]:
        """Where a module and those above it are, the outermost first, as far as they are found."""
        if sys.modules.get(module) is not None:
            names = reversed([*with_parents(module)])
            return [_loaded(name) or Location(None, None) for name in names]
        return self._walk(module)

    def find(self, module: str) -> Location | None:
        """Where a module is; `None` where it cannot be found."""
        found = self.levels(module)
        return found[-1] if len(found) == module.count(".") + 1 else None

    def locate(self, module: str) -> str | None:
        found = self.find(module)
        return None if found is None else found.file

    def missing(self, module: str) -> ModuleNotFoundError | None:
        """What Python will surely raise for a module that is not there, or whose parent is not."""
        names = module.split(".")
        if not all(names):  # Python takes a dot at the beginning for a relative import
            return ModuleNotFoundError(f"No module named {module!r}", name=module)
        found = self.levels(module)
        if len(found) == len(names):
            return None
        name = ".".join(names[: len(found) + 1])
        text = f"No module named {name!r}"
        if sys.modules.get(name, name) is None:  # so a process keeps one from being imported
            text = f"import of {name} halted; None in sys.modules"
        elif self._may_be_elsewhere(name) or any(
            _has(above.file, _BRINGS_BY_ITSELF) for above in found if not above.is_loaded
        ):
            return None
        elif found and found[-1].folders is None:
            text += f"; {name.rpartition('.')[0]!r} is not a package"
        return ModuleNotFoundError(text, name=name)

    def _may_be_elsewhere(self, module: str) -> bool:
        """Whether a module that was not found may be there all the same."""
        # setuptools brings distutils, by a finder that imports setuptools when it is asked.
        is_distutils = module.partition(".")[0] == "distutils" and any(
            _module_of(finder) == "_distutils_hack" for finder in list(sys.meta_path)
        )
        return module in sys.stdlib_module_names or is_distutils or bool(unasked_finders())

    def _walk(self, module: str, *, extended: bool = False) -> list[Location]:
        """As `levels`; `extended` by what `pkgutil.extend_path` adds to a `__path__`."""
        found: list[Location] = []
        search: list[str] | None = None
        name = ""
        for part in module.split("."):
            name = f"{name}.{part}" if name else part
            is_package = not found or search is not None
            location = self._find(name, search) if part and is_package else None
            if location is None:  # only a miss costs a look into the sources of the parents
                again = not extended and any(map(_extends, found))
                return self._walk(module, extended=True) if again else found
            if extended and _extends(location):
                looks = (self._look_in(f, name) for f in (self.path if search is None else search))
                more = (folder for look in looks if look for folder in look.folders or ())
                folders = dict.fromkeys([*(location.folders or ()), *more])
                location = location._replace(folders=[*folders])
            found.append(location)
            search = location.folders
        return found

    def _find(self, name: str, search: list[str] | None) -> Location | None:
        """Where a module is whose parent's folders are `search`."""
        if name in sys.modules:
            return _loaded(name)
        for finder in list(sys.meta_path):
            with guarded():
                if not _looks_up(finder):
                    continue
                if finder is PathFinder and search is not None:
                    found = self._find_in_folders(name, search)
                else:
                    found = _parts(finder.find_spec(name, search, None))
                if found is not None:
                    return found
        return None

    def _find_in_folders(self, name: str, search: Iterable[str]) -> Location | None:
        """As `PathFinder`, which for a namespace package asks for the parent in `sys.modules`."""
        portions: list[str] = []
        for folder in search:
            found = self._look_in(folder, name)
            if found is not None and found.file is not None:
                return found
            portions += (found and found.folders) or ()
        return Location(None, portions) if portions else None

    def _look_in(self, folder: str, name: str) -> Location | None:
        """What Python's own finders of folders and zips know; the hooks of others may run code."""
        folder = folder or os.curdir
        with guarded():
            if os.path.isdir(folder):
                from pkgutil import get_importer

                importer: Any = get_importer(folder)
            else:
                from zipimport import zipimporter

                importer = zipimporter(folder)
            return _parts(importer.find_spec(name))
        return None


def _extends(location: Location) -> bool:
    """Whether a package that has yet to be run goes on in other folders when it is."""
    is_package = location.folders is not None and not location.is_loaded
    return is_package and _has(location.file, _EXTENDS_PATH)


HERE = Modules()

locate = HERE.locate
"""The file that importing a module would run in this process."""


def bytecode_of(file: str) -> str | None:
    """The cached bytecode that an import would take instead of a source file, if there is any."""
    if not file.endswith(".py"):
        return None
    with guarded():  # there is no cache where `sys.implementation.cache_tag` is None
        bytecode = cache_from_source(file)
        return bytecode if os.path.exists(bytecode) else None
    return None


def unasked_finders() -> list[str]:
    """The modules of the finders that `locate` does not ask, since they may run code."""
    modules = [_module_of(finder) for finder in list(sys.meta_path) if not _looks_up(finder)]
    # Each copy of six has a finder, such as that of `urllib3.packages.six`.
    return [
        name
        for name in modules
        if name.partition(".")[0] not in _WITHOUT_MODULES and not name.endswith(".six")
    ]


def _looks_up(finder: Any) -> bool:
    own = finder in (BuiltinImporter, FrozenImporter, PathFinder)
    return own or _module_of(finder).startswith(_LOOKING_UP)


def _module_of(finder: object) -> str:
    return str(class_of(finder).__module__)


def _absolute(file: object) -> str | None:
    with guarded():  # a module may set it to anything
        if isinstance(file, str) and "\0" not in file:
            return os.path.abspath(file)
    return None


def _stated(module: object, name: str) -> object:
    """An attribute of a loaded module, past `__getattr__`: asking a lazy module would run it."""
    with guarded():  # any object may stand in the place of a module
        loaded = isinstance(module, ModuleType)
        return contents(module).get(name) if loaded else getattr(module, name, None)
    return None


def _folders(path: Any) -> list[str] | None:
    """A `__path__` as a list, or `None` for what is no package."""
    with guarded():  # a module may set it to anything
        return None if path is None else [item for item in path if isinstance(item, str)]
    return None


def _loaded(name: str) -> Location | None:
    """Where a module that is in `sys.modules` says that it is."""
    module = sys.modules.get(name)
    if module is None:
        return None
    return Location(
        _absolute(_stated(module, "__file__")), _folders(_stated(module, "__path__")), True
    )


def _parts(spec: Any) -> Location | None:
    if spec is None:
        return None
    origin = spec.origin if spec.has_location else None
    return Location(_absolute(origin), _folders(spec.submodule_search_locations))


def _has(file: str | None, pattern: bytes) -> bool:
    content = readable(file or "", SOURCE_BYTES)
    return content is not None and re.search(pattern, content) is not None


class ModulesIn(Modules):
    """Where an interpreter of another environment finds modules.

    It may be of another version, so that its compiled modules are known by the end of their names
    alone. `standard` gives the folders of its standard library; `None` where these are not known,
    or modules may be found otherwise too.
    """

    def __init__(
        self,
        path: Iterable[str],
        python: str = Modules.python,
        standard: Callable[[], Sequence[str] | None] = lambda: None,
    ) -> None:
        self._path, self._find_standard = list(path), standard
        self.python = python

    @property
    def path(self) -> list[str]:
        return self._path

    @cached_property
    def _standard(self) -> Sequence[str] | None:
        return self._find_standard()

    def levels(self, module: str) -> list[Location]:
        return self._walk(module)

    def _find(self, name: str, search: list[str] | None) -> Location | None:
        return self._find_in_folders(name, self._path if search is None else search)

    def _look_in(self, folder: str, name: str) -> Location | None:
        place = os.path.join(folder, name.rpartition(".")[2])
        file = _source_or_binary(place, "__init__")
        if file is not None:
            return Location(file, [place])
        file = _source_or_binary(folder, os.path.basename(place))
        if file is None and not os.path.isdir(place):
            return None
        return Location(file, None if file else [place])

    def _may_be_elsewhere(self, module: str) -> bool:
        if self._standard is None or ModulesIn(self._standard).find(module) is not None:
            return True
        top = module.partition(".")[0]
        if top in sys.stdlib_module_names and not (locate(top) or "").endswith(".py"):
            return True  # it may be built in there
        return top == "distutils" and self.find("setuptools") is not None


def _source_or_binary(folder: str, name: str) -> str | None:
    for file in (f"{name}.py", f"{name}.pyc"):
        if os.path.isfile(os.path.join(folder, file)):
            return os.path.join(folder, file)
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return None
    compiled = [n for n in names if n.startswith(f"{name}.") and n.endswith((".so", ".pyd"))]
    return os.path.join(folder, compiled[0]) if compiled else None
