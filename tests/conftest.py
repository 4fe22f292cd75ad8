"""Fixtures of all tests."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import sys
import sysconfig
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import importlib_metadata  # adds a finder to `sys.meta_path`, for which tests put other lists  # noqa: F401
import pytest

# Last, so that the package under test is the installed one and not the folder beside the tests.
sys.path.append(str(Path(__file__).parents[1]))

import aimm_plugins
from aimm_plugins._system import masking
from tests.support.forked.case import Case, Server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what forks."""
    for item in items:
        if "case" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.forked)
            if not hasattr(os, "fork"):
                item.add_marker(pytest.mark.skip(reason="needs os.fork"))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine function, in an event loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    given = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    asyncio.run(pyfuncitem.obj(**given))
    return True


@pytest.fixture(autouse=True)
def clean_registry() -> Iterator[None]:
    """Every test begins and ends with an empty registry, and knows no secret of another one."""
    aimm_plugins.unload_all()
    masking._texts.clear()
    yield
    manager = aimm_plugins.get_plugin_manager()
    aimm_plugins.unload_all()
    for name, plugin in manager.list_name_plugin():
        if plugin is None:
            manager.unblock(name)
        else:
            manager.unregister(plugin)


Site = Callable[..., Path]


ALONE = frozenset(
    {
        "declarations",
        "discovery",
        "inventory",
        "loading",
        "options",
        "policy",
        "registry",
        "startup",
    }
)


@pytest.fixture
def site(
    tmp_path: Path, deps: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Path]:
    """A folder first on `sys.path`; modules imported from it are forgotten afterwards.

    The tests of some folders find no other distributions: to read those of the test environment at
    each start would take most of their time.
    """
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)  # which restores the path in place
    if request.path.parent.name in ALONE:
        sys.path[:] = [*without_distributions(sys.path), str(deps)]
    # coverage looks at its packages anew when it meets a new file on another path, and takes out of
    # `sys.modules` what other threads import meanwhile. So it meets one here, before there are any.
    exec(compile("", str(folder / "met_by_coverage.py"), "exec"))
    before = set(sys.modules)
    yield folder
    names = {path.name.partition(".")[0] for path in folder.iterdir()}  # namespaces have no file
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(folder)) or name.partition(".")[0] in names:
            del sys.modules[name]


@pytest.fixture
def all_installed(site: Path) -> None:
    """What is installed in the test environment is found too."""
    sys.path.append(sysconfig.get_path("purelib"))


def without_distributions(path: Iterable[str]) -> list[str]:
    """The folders of a path that hold no metadata."""
    return [folder for folder in path if not any(Path(folder).glob("*.dist-info"))]


@pytest.fixture
def write(site: Path) -> Callable[..., Path]:
    """Writes files, given as path and text, into `site`."""

    def write(**files: str) -> Path:
        for name, text in files.items():
            parts = name.removesuffix("____init__").split("__")
            path = site.joinpath(*parts)
            path = path / "__init__.py" if name.endswith("____init__") else path.with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                "from aimm_plugins import *\nimport aimm_plugins\n" + textwrap.dedent(text),
                encoding="utf-8",
            )
        importlib.invalidate_caches()
        return site

    return write


@pytest.fixture
def install(site: Path) -> Callable[..., Path]:
    """Writes the dist-info of a distribution into `site`."""
    from tests.support.metadata import write_dist_info

    def install(name: str, version: str = "1.0", **options: object) -> Path:
        return write_dist_info(site, name, version, **options)

    return install


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A file that must not come to be."""
    return tmp_path / "marker"


@pytest.fixture(scope="session")
def deps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages that are installed, and without their metadata."""
    deps = tmp_path_factory.mktemp("deps")
    for scheme in ("purelib", "platlib"):
        for entry in Path(sysconfig.get_path(scheme)).iterdir():
            odd = entry.suffix in (".dist-info", ".egg-info", ".pth")
            if not odd and not (deps / entry.name).is_symlink():
                (deps / entry.name).symlink_to(entry)
    package = Path(aimm_plugins.__file__).parent
    if not (deps / package.name).is_symlink():
        (deps / package.name).symlink_to(package)
    return deps


@pytest.fixture(scope="session")
def server(deps: Path) -> Iterator[Server]:
    """One fork server for all cases."""
    server = Server(deps)
    yield server
    server.close()


@pytest.fixture
def case(server: Server, tmp_path: Path) -> Case:
    """A case with the healthy plugin."""
    made = Case(server, tmp_path)
    made.good()
    return made


def names(*modules: str, **more: object) -> dict[str, object]:
    """A conf that names modules and leaves installed entry points alone."""
    return {"names": list(modules), "entry_points": {"enabled": False}, **more}


def record_of(report: aimm_plugins.Report, name: str) -> aimm_plugins.PluginRecord:
    """The record of a plugin by its name."""
    return next(record for record in report.plugins if record.name == name)
