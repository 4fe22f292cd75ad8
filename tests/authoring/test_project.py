"""The modules that a project ships."""

from __future__ import annotations

import pytest

from aimm_plugins._authoring.project import find_project
from aimm_plugins.errors import ConfigError
from tests.authoring.conftest import FIT, PYPROJECT


@pytest.mark.parametrize(
    ("settings", "files"),
    [
        ("", ("src__pkg__init",)),
        ("", ("pkg__init", "tests__init", "setup")),
        ('[tool.hatch.build.targets.wheel]\npackages = ["lib/pkg"]', ("lib__pkg__init", "other")),
        ('[tool.setuptools]\npackages = ["pkg"]', ("pkg__init", "other__init")),
        ('[tool.setuptools]\npy-modules = ["pkg"]', ("pkg", "other")),
        ('[tool.setuptools.packages.find]\nwhere = ["lib"]', ("lib__pkg__init", "other")),
    ],
)
def test_modules_are_those_that_the_project_ships(project, settings, files):
    folder = project(PYPROJECT + settings, **dict.fromkeys(files, ""))
    assert list(find_project(folder).modules) == ["pkg"]


@pytest.mark.parametrize(
    ("settings", "source"),
    [
        ("", "src"),
        ('[tool.setuptools.packages.find]\nwhere = ["lib"]', "lib"),
        ('[tool.hatch.build.targets.wheel]\npackages = ["lib/acme"]', "lib"),
        ('[tool.setuptools]\npackages = ["acme.ml.nums"]', "."),
    ],
)
@pytest.mark.parametrize("path", [".", "acme", "acme/ml/nums", "acme/ml/nums/__init__.py"])
def test_module_of_a_namespace_has_its_whole_name(project, settings, source, path):
    folder = project(PYPROJECT + settings, **{f"{source}__acme__ml__nums__init": FIT, "setup": ""})
    found = find_project(folder if path == "." else folder / source / path)
    assert list(found.modules) == ["acme.ml.nums"]
    assert found.sources == ((folder / source).resolve(),)


def test_path_may_be_a_package_or_a_module(project):
    folder = project(pkg__init="", pkg__sub__init="", pkg__sub__mod=FIT, pkg__other=FIT)
    assert list(find_project(folder / "pkg" / "sub").modules) == ["pkg.sub", "pkg.sub.mod"]
    assert list(find_project(folder / "pkg" / "other.py").modules) == ["pkg.other"]
    with pytest.raises(ConfigError, match="neither a folder"):
        find_project(folder / "nothing")


@pytest.mark.parametrize(
    "settings",
    [
        '[tool.hatch.build.targets.wheel]\npackages = "/"',
        '[tool.hatch.build.targets.wheel]\npackages = ["..", "/", "", 3, "src/mine"]',
        '[tool.setuptools]\npackages = [1]\npy-modules = "x"',
        '[tool.setuptools.packages.find]\nwhere = "lib"',
    ],
)
def test_settings_that_are_wrong_lead_nowhere_else(tmp_path, settings):
    (tmp_path / "src" / "mine").mkdir(parents=True)
    (tmp_path / "src" / "mine" / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text(settings)
    assert list(find_project(tmp_path).modules) == ["mine"]


def test_package_that_setuptools_has_in_a_folder_of_its_own_is_found(tmp_path):
    (tmp_path / "lib" / "mine").mkdir(parents=True)
    (tmp_path / "lib" / "mine" / "__init__.py").touch()
    settings = '[tool.setuptools]\npackages = ["mine"]\npackage-dir = {mine = "lib/mine"}\n'
    (tmp_path / "pyproject.toml").write_text(settings)
    project = find_project(tmp_path)
    assert project.modules == {"mine": tmp_path / "lib" / "mine" / "__init__.py"}
