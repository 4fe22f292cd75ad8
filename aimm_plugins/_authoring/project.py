"""The modules that a project ships, found without importing any."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aimm_plugins.errors import ConfigError

_NOT_SHIPPED = frozenset(
    {"build", "conftest", "dist", "docs", "examples", "hatch_build", "noxfile", "setup", "tasks"}
    | {"test", "tests"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    root: Path  # the folder of `pyproject.toml`; without one, that of the given file or package
    pyproject: Mapping[str, Any]
    sources: tuple[Path, ...] = ()  # the folders that the modules are imported from
    modules: Mapping[str, Path] = field(default_factory=dict)  # the file of each dotted name

    @property
    def pyproject_file(self) -> Path:
        return self.root / "pyproject.toml"

    def table(self, *names: str) -> Mapping[str, Any]:
        """A table of `pyproject.toml`; empty where it is missing, or no table."""
        found = self.pyproject
        for name in names:
            inner = found.get(name)
            found = inner if isinstance(inner, Mapping) else {}
        return found

    def shown(self, file: str | None) -> str | None:
        """A file as messages name it: seen from the project's root."""
        if file is None or not Path(file).is_relative_to(self.root):
            return file
        return str(Path(file).relative_to(self.root))


def find_project(path: Path) -> Project:
    """The project, package or module at a path.

    A project has the modules that the settings of hatchling or setuptools list, else the packages
    and modules in `src` or in the root that are no tests.
    """
    path = path.resolve()
    if path.name == "pyproject.toml" and path.is_file():
        path = path.parent
    is_module = path.is_file() and path.suffix == ".py"
    if not is_module and not path.is_dir():
        raise ConfigError(f"{path} is neither a folder nor a .py file")
    has_own_project = (path / "pyproject.toml").is_file()
    folder = path.parent if is_module else path
    above_it = (folder, *folder.parents)
    root = next((parent for parent in above_it if (parent / "pyproject.toml").is_file()), folder)
    project = Project(root=root, pyproject=_read(root / "pyproject.toml"))
    tops = list(_listed(project)) or list(_conventional(project))
    above = next((top for top in tops if path.is_relative_to(top)), None)
    is_part = is_module or (path / "__init__.py").is_file() or above is not None
    if is_part and not has_own_project:
        source = _source(path.parent) if above is None else above.parent
        parts = path.relative_to(source).with_suffix("").parts
        name = ".".join(parts[:-1] if path.stem == "__init__" else parts)
        modules = {name: path} if is_module else dict(_package(name, path))
        return replace(project, sources=(source,), modules=modules)
    modules = {
        name: file
        for top in tops
        for name, file in (_package(top.name, top) if top.is_dir() else [(top.stem, top)])
    }
    if not modules:
        raise ConfigError(
            f"{path} holds no package and no module; name the package's folder or the .py file"
        )
    return replace(project, sources=tuple(dict.fromkeys(t.parent for t in tops)), modules=modules)


def _source(folder: Path) -> Path:
    """The folder that what is in a folder is imported from."""
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"no TOML: {error}", file=str(file)) from error


def _listed(project: Project) -> Iterator[Path]:
    """The packages and modules that the build backend's settings name, as far as they exist."""
    wheel = project.table("tool", "hatch", "build", "targets", "wheel")
    setuptools = project.table("tool", "setuptools")
    folders = project.table("tool", "setuptools", "package-dir")
    base = project.root / str(folders.get("", "."))
    # A dotted name whose parent is not named is of a namespace, which begins at its first part.
    tops = dict.fromkeys(name.partition(".")[0] for name in texts_of(setuptools.get("packages")))
    named = [
        *(project.root / name for name in texts_of(wheel.get("packages"))),
        *(base / name for name in tops if name not in folders),
        # A package in a folder of another name cannot be told by its place.
        *(project.root / name for name in map(str, folders.values()) if Path(name).name in tops),
        *(base / f"{name}.py" for name in texts_of(setuptools.get("py-modules"))),
    ]
    found = (path.resolve() for path in named if path.exists())
    return (path for path in found if path.is_relative_to(project.root) and path != project.root)


def texts_of(value: object) -> list[str]:
    """The texts of a list in a build backend's settings; none where it is no list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _conventional(project: Project) -> Iterator[Path]:
    """What the folders of sources hold, but for tests and the like.

    Namespaces, which have no `__init__.py`, are looked for where nothing but sources is.
    """
    where = project.table("tool", "setuptools", "packages", "find").get("where")
    folders = [project.root / name for name in texts_of(where) or ["src"]]
    for folder in [found for found in folders if found.is_dir()] or [project.root]:
        for path in sorted(folder.iterdir()):
            if path.stem in _NOT_SHIPPED or not path.stem.isidentifier():
                continue
            inside = "__init__.py" if folder.samefile(project.root) else "**/*.py"
            if path.suffix == ".py" or any(path.glob(inside)):
                yield path.resolve()


def _package(name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """The modules of a package, or of a namespace and the packages in it."""
    is_package = (folder / "__init__.py").is_file()
    if is_package:
        yield name, folder / "__init__.py"
    for path in sorted(folder.iterdir()):
        if not path.stem.isidentifier() or path.stem == "__init__":
            continue
        if path.suffix == ".py":
            yield f"{name}.{path.stem}", path
        elif path.is_dir() and (not is_package or (path / "__init__.py").is_file()):
            yield from _package(f"{name}.{path.name}", path)
