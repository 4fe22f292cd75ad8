"""Where a module is, without importing anything."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import time
import zipfile
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest

from aimm_plugins._discovery.module_location import HERE, ModulesIn, locate, unasked_finders
from tests.support.scanning import Exiting, Finder, python_finders


def test_locate_imports_no_parent(site):
    (site / "pk" / "sub").mkdir(parents=True)
    (site / "pk" / "__init__.py").write_text("raise SystemExit")
    (site / "pk" / "sub" / "mod.py").write_text("raise SystemExit")
    assert locate("pk.sub.mod") == str(site / "pk" / "sub" / "mod.py")
    assert "pk" not in sys.modules


def test_locate_through_nested_namespace_packages(site):
    (site / "ns" / "inner").mkdir(parents=True)
    (site / "ns" / "inner" / "mod.py").write_text("")
    assert locate("ns.inner.mod") == str(site / "ns" / "inner" / "mod.py")


@pytest.mark.parametrize("module", ["no_such_module", "sys", "json.decoder.x", "no.such", ""])
def test_locate_of_what_has_no_file(module):
    assert locate(module) is None


def test_locate_survives_a_finder_that_raises(monkeypatch, site):
    (site / "mod_f.py").write_text("")
    monkeypatch.setattr(sys, "meta_path", [Finder(list), *sys.meta_path])
    assert locate("mod_f") == str(site / "mod_f.py")


def test_locate_does_not_run_a_lazily_loaded_module(site, monkeypatch):
    (site / "mod_lazy.py").write_text("")
    spec = importlib.util.find_spec("mod_lazy")
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "mod_lazy", module)
    spec.loader.exec_module(module)
    assert locate("mod_lazy") == str(site / "mod_lazy.py")
    # It becomes a plain module when it is run.
    assert type(module) is not ModuleType


def test_locate_goes_by_the_path_of_a_loaded_parent(site, tmp_path, monkeypatch):
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "mod.py").write_text("")
    parent = ModuleType("parent_p")
    parent.__path__ = [str(tmp_path / "moved")]
    monkeypatch.setitem(sys.modules, "parent_p", parent)
    assert locate("parent_p.mod") == str(tmp_path / "moved" / "mod.py")


@pytest.mark.parametrize("in_other_interpreter", [False, True])
def test_locate_in_a_later_folder_that_an_init_has_its_package_go_on_in(
    site, tmp_path, monkeypatch, in_other_interpreter
):
    folders = [str(tmp_path / "one"), str(site)]
    monkeypatch.setattr(sys, "path", [*folders, *sys.path])
    for folder in folders:
        (Path(folder) / "ns").mkdir(parents=True)
        (Path(folder) / "ns" / "__init__.py").write_text("__path__ = extend_path(__path__, 'ns')")
    (site / "ns" / "mod.py").write_text("")
    found = ModulesIn(folders).locate("ns.mod") if in_other_interpreter else locate("ns.mod")
    assert found == str(site / "ns" / "mod.py")


def test_locate_in_a_zip(closed_zips, tmp_path, monkeypatch):
    path = tmp_path / "code.zip"
    with zipfile.ZipFile(path, "w") as stream:
        stream.writestr("zpkg/__init__.py", "raise SystemExit")
        stream.writestr("zpkg/mod.py", "")
    monkeypatch.syspath_prepend(path)
    assert locate("zpkg.mod") == str(path / "zpkg" / "mod.py")


def test_locate_an_extension_module(site):
    file = site / f"mod_ext{importlib.machinery.EXTENSION_SUFFIXES[0]}"
    file.write_bytes(b"")
    assert locate("mod_ext") == str(file)


@pytest.mark.parametrize("odd", [lambda: None, lambda: 5, Exiting], ids=["None", "5", "exits"])
def test_locate_survives_odd_modules(monkeypatch, odd):
    monkeypatch.setitem(sys.modules, "odd_m", odd())
    assert locate("odd_m") is None
    assert locate("odd_m.sub") is None


def test_locate_survives_a_finder_that_exits(monkeypatch, site):
    (site / "mod_x.py").write_text("")
    monkeypatch.setattr(sys, "meta_path", [Exiting(), *sys.meta_path])
    assert locate("mod_x") == str(site / "mod_x.py")


class Building:
    """As the finder of an editable install that builds its package when it is asked."""

    asked: ClassVar[list[str]] = []

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        cls.asked.append(name)

    @classmethod
    def path_hook(cls, path):
        cls.asked.append(path)
        raise ImportError


def test_locate_asks_no_finder_that_may_run_code(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [Building, *python_finders()])
    assert locate("mod_built") is None
    assert unasked_finders() == [__name__]
    assert Building.asked == []


def test_locate_asks_no_path_hook_that_may_run_code(monkeypatch, site):
    package = ModuleType("built_p")
    package.__path__ = [str(site / "loader.py" / "built_p")]
    monkeypatch.setitem(sys.modules, "built_p", package)
    monkeypatch.setattr(sys, "path_hooks", [*sys.path_hooks, Building.path_hook])
    assert locate("built_p.mod") is None
    assert Building.asked == []


def test_locate_asks_the_finder_of_an_editable_install_that_looks_names_up(monkeypatch, site):
    (site / "source").mkdir()
    (site / "source" / "mod_ed.py").write_text("")
    setuptools = ModuleType("__editable___dist_1_0_finder")
    exec(
        "from importlib.util import spec_from_file_location\n"
        "class _EditableFinder:\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        f"        return spec_from_file_location(name, {str(site / 'source' / 'mod_ed.py')!r})\n",
        vars(setuptools),
    )
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, setuptools._EditableFinder])
    assert locate("mod_ed") == str(site / "source" / "mod_ed.py")


@pytest.mark.parametrize("module", ["_pytest.assertion.rewrite", "urllib3.packages.six"])
def test_finders_that_bring_no_module_of_a_plugin_are_no_matter(monkeypatch, module):
    finder = type("Finder", (), {"__module__": module})
    monkeypatch.setattr(sys, "meta_path", [finder(), *python_finders()])
    assert unasked_finders() == []


def test_deep_module_that_is_missing_costs_one_look_at_each_level(site):
    """To look for each package above it from the top would take a minute."""
    (site / "/".join("d" * 300)).mkdir(parents=True)
    begin = time.process_time()
    error = HERE.missing("d." * 300 + "mod.sub")
    assert error is not None
    assert error.name == "d." * 300 + "mod"
    assert time.process_time() - begin < 5
