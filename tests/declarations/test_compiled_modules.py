"""Compiled modules run without Python frames, so that only the import system tells of them."""

from __future__ import annotations

import functools
import importlib.util
import operator
import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace

import pytest

import aimm_plugins
from aimm_plugins import PluginConflictError, fit, initialize
from aimm_plugins._declarations.declaration import modules_being_imported
from tests.conftest import names, record_of


class Compiled:
    """Finds modules whose bodies are one call from C."""

    def __init__(self) -> None:
        self.bodies: dict[str, Callable[[], object]] = {}

    def find_spec(self, name: str, *_: object) -> object:
        if name not in self.bodies:
            return None

        def create_module(spec: object) -> ModuleType:
            module = ModuleType(name)
            module.run = self.bodies[name]  # type: ignore[attr-defined]
            return module

        loader = SimpleNamespace(
            create_module=create_module, exec_module=operator.methodcaller("run")
        )
        return importlib.util.spec_from_loader(name, loader, origin=f"/lib/{name}.so")


@pytest.fixture
def compiled() -> Iterator[Callable[..., None]]:
    """Makes a compiled module that declares the key of its function."""
    finder = Compiled()
    sys.meta_path.insert(0, finder)

    def make(name: str, key: str = "k") -> None:
        finder.bodies[name] = functools.partial(fit([key]), functools.partial(print, name))

    yield make
    sys.meta_path.remove(finder)
    for name in finder.bodies:
        sys.modules.pop(name, None)


def test_declaration_is_the_modules(compiled):
    compiled("compiled_a")
    initialize(names("compiled_a"))
    (provider,) = aimm_plugins.providers().values()
    assert (provider.plugin, provider.module) == ("compiled_a", "compiled_a")
    assert (provider.file, provider.line) == ("/lib/compiled_a.so", 1)


def test_line_is_the_functions(compiled):
    target = functools.partial(print)
    target.__code__ = SimpleNamespace(co_firstlineno=14)  # as Cython's functions have
    compiled("compiled_b")
    sys.meta_path[0].bodies["compiled_b"] = functools.partial(fit(["k"]), target)
    initialize(names("compiled_b"))
    (provider,) = aimm_plugins.providers().values()
    assert provider.line == 14


def test_two_with_one_key_conflict(compiled):
    compiled("compiled_c")
    compiled("compiled_d")
    report = initialize(names("compiled_c", "compiled_d", on_error="isolate"))
    assert aimm_plugins.providers() == {}
    assert all(isinstance(record.error, PluginConflictError) for record in report.plugins)


def test_denied_one_that_another_imports_is_not_registered(compiled, write, install):
    compiled("compiled_e")
    write(uses_compiled="import compiled_e\n@fit(['own'])\ndef f(m): ...\n")
    install("compiled-dist", entry_points={"ep": "compiled_e"})
    conf = {"names": ["uses_compiled"], "entry_points": {"deny": ["compiled-dist"]}}
    report = initialize(conf)
    assert list(aimm_plugins.providers()) == [("fit", "own")]
    assert record_of(report, "ep").state == "denied"


def test_one_that_is_imported_by_hand_is_its_own_plugin(compiled):
    compiled("compiled_f")
    importlib.import_module("compiled_f")
    (provider,) = aimm_plugins.providers().values()
    assert provider.plugin == "compiled_f"
    initialize(names("compiled_f"))
    (provider,) = aimm_plugins.providers().values()
    assert provider.provenance.config_place == "conf names[0]"


def test_its_import_is_seen_while_it_runs(compiled):
    seen = []
    compiled("compiled_g")
    sys.meta_path[0].bodies["compiled_g"] = lambda: seen.append(modules_being_imported())
    importlib.import_module("compiled_g")
    assert "compiled_g" in seen[0]
