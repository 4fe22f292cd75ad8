"""The modules that a project ships, found without importing any."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aimm_plugins.errors import ConfigError

_NOT_SHIPPED = frozenset(
    {"build", "conftest", "dist", "docs", "examples", "hatch_build", "noxfile", "setup", "tasks"}
    | {"test", "tests"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A source tree.

    Attributes:
        root: The folder of `pyproject.toml`; without one, that of the given file or package.
        sources: Folders that the modules are imported from.
        modules: Dotted name to file of each module.
        pyproject: The content of `pyproject.toml`; empty where there is none.
    """

    root: Path
    sources: tuple[Path, ...]
    modules: Mapping[str, Path]
    pyproject: Mapping[str, Any]

    @property
    def pyproject_file(self) -> Path:
        """Where `pyproject.toml` is, or would be."""
        return self.root / "pyproject.toml"

    @property
    def name(self) -> str | None:
        """The distribution's name, where it is told."""
        name = _table(self.pyproject, "project").get("name")
        return name if isinstance(name, str) else None

    def shown(self, file: Path) -> str:
        """A file as messages name it."""
        return str(file.relative_to(self.root)) if file.is_relative_to(self.root) else str(file)

    def is_package(self, module: str) -> bool:
        """Whether a module is a package's `__init__`."""
        return self.modules[module].name == "__init__.py"


def find_project(path: Path) -> Project:
    """The project at a path.

    Args:
        path: A folder with `pyproject.toml`, a package's folder, or a module's file.

    Returns:
        Its modules: of a project those that the settings of hatchling or setuptools list, else the
        packages and modules in `src` or in the root that are no tests.

    Raises:
        ConfigError: There is nothing of that kind.
    """
    path = path.resolve()
    if path.is_file() and path.suffix == ".py":
        root = _project_root(path.parent)
        source = _source(path.parent)
        parts = path.relative_to(source).with_suffix("").parts
        name = ".".join(parts[:-1] if path.stem == "__init__" else parts)
        return Project(
            root=root,
            sources=(source,),
            modules={name: path},
            pyproject=_read(root / "pyproject.toml"),
        )
    if path.is_file() and path.name == "pyproject.toml":
        path = path.parent
    if not path.is_dir():
        raise ConfigError(f"{path} is neither a folder nor a .py file")
    if (path / "__init__.py").is_file() and not (path / "pyproject.toml").is_file():
        root = _project_root(path)
        source = _source(path)
        prefix = ".".join(path.relative_to(source).parts)
        return Project(
            root=root,
            sources=(source,),
            modules=dict(_package(prefix, path)),
            pyproject=_read(root / "pyproject.toml"),
        )
    pyproject = _read(path / "pyproject.toml")
    tops = list(_listed(path, pyproject)) or list(_conventional(path))
    modules: dict[str, Path] = {}
    for top in tops:
        if top.is_dir():
            modules.update(_package(top.name, top))
        else:
            modules[top.stem] = top
    if not modules:
        raise ConfigError(
            f"{path} holds no package and no module; name the package's folder or the .py file"
        )
    sources = tuple(dict.fromkeys(top.parent for top in tops))
    return Project(root=path, sources=sources, modules=modules, pyproject=pyproject)


def _source(folder: Path) -> Path:
    """The folder that a package in or around a folder is imported from."""
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _project_root(folder: Path) -> Path:
    for each in (folder, *folder.parents):
        if (each / "pyproject.toml").is_file():
            return each
    return folder


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"no TOML: {error}", file=str(file)) from error


def _table(data: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    found = data
    for name in names:
        inner = found.get(name, {})
        if not isinstance(inner, Mapping):
            return {}
        found = inner
    return found


def _listed(root: Path, pyproject: Mapping[str, Any]) -> Iterator[Path]:
    """The packages and modules that the build backend's settings name."""
    for name in _table(pyproject, "tool", "hatch", "build", "targets", "wheel").get("packages", ()):
        yield from _existing(root / name)
    setuptools = _table(pyproject, "tool", "setuptools")
    base = root / _table(setuptools, "package-dir").get("", ".")
    packages = setuptools.get("packages", ())
    if isinstance(packages, list):
        for name in packages:
            if "." not in name:
                yield from _existing(base / name)
    for name in setuptools.get("py-modules", ()):
        yield from _existing(base / f"{name}.py")


def _existing(path: Path) -> Iterator[Path]:
    if path.exists():
        yield path.resolve()


def _conventional(root: Path) -> Iterator[Path]:
    folder = root / "src" if (root / "src").is_dir() else root
    for path in sorted(folder.iterdir()):
        if path.stem in _NOT_SHIPPED or not path.stem.isidentifier():
            continue
        if path.suffix == ".py" or (path / "__init__.py").is_file():
            yield path


def _package(name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    if (folder / "__init__.py").is_file():
        yield name, folder / "__init__.py"
    for path in sorted(folder.iterdir()):
        if path.suffix == ".py" and path.stem != "__init__" and path.stem.isidentifier():
            yield f"{name}.{path.stem}", path
        elif path.name.isidentifier() and (path / "__init__.py").is_file():
            yield from _package(f"{name}.{path.name}", path)
