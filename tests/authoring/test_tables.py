"""Entry point tables, as declarations ask for them."""

from __future__ import annotations

import tomllib

import pytest

from aimm_plugins._authoring.declarations import ProjectSource
from aimm_plugins._authoring.project import find_project
from aimm_plugins._authoring.tables import as_toml, entry_points
from aimm_plugins.cli import run
from aimm_plugins.errors import DeclarationError
from tests.authoring.conftest import FIT, PYPROJECT


def tables(folder):
    source = ProjectSource(find_project(folder))
    return entry_points(source, source.declarations())


@pytest.mark.parametrize("key", ["a=b", "a\nb", "[a", "#a", ";a", " a", "a\x85b"])
def test_key_that_no_entry_point_can_carry_is_an_error(project, key):
    folder = project(mine=f"from aimm_plugins import fit\n@fit([{key!r}])\ndef f(m): ...")
    with pytest.raises(
        DeclarationError, match=r"mine\.py:2: the key .* cannot be the name of an entry point"
    ):
        tables(folder)


@pytest.mark.parametrize("key", ["iris.svc", "a:b", "ü", "two words", 'quo"te', "a[b]", "\\"])
def test_any_other_key_survives_toml(project, key):
    folder = project(mine=f"from aimm_plugins import fit\n@fit([{key!r}])\ndef f(m): ...")
    found = tomllib.loads(as_toml(tables(folder)))["project"]["entry-points"]
    assert found == {"aimm.plugins": {"mine": "mine"}, "aimm.plugins.fit": {key: "mine:f"}}


def test_package_that_imports_its_parts_is_one_plugin(project):
    folder = project(
        pkg__init="from .svc import *",
        pkg__names="SVC = 'iris.svc'",
        pkg__tools="from aimm_plugins import fit as _fit\nlearns = _fit",
        pkg__svc="from . import names\nfrom pkg.tools import learns\n"
        "@learns([names.SVC])\ndef f(m): ...",
    )
    assert tables(folder)["aimm.plugins"] == {"pkg": "pkg"}


def test_module_that_no_plugin_imports_is_a_plugin_of_its_own(project):
    folder = project(pkg__init="from pkg import one", pkg__one=FIT, pkg__two=FIT)
    assert tables(folder)["aimm.plugins"] == {"pkg": "pkg", "two": "pkg.two"}


def test_entries_of_the_author_stay_and_stale_ones_go(project):
    entries = (
        '[project.entry-points."aimm.plugins"]\n'
        'best = "pkg.one"\nstale = "pkg.none"\nforeign = "other:thing"\n'
        'renamed = "pkg.old"\ninner = "pkg.sub.old"\nbuilt = "pkg._core"\n'
    )
    folder = project(PYPROJECT + entries, pkg__init="", pkg__one=FIT, pkg__two=FIT, pkg__none="")
    (folder / "pkg" / "_core.pyx").touch()
    assert tables(folder)["aimm.plugins"] == {
        "best": "pkg.one",
        "built": "pkg._core",
        "foreign": "other:thing",
        "two": "pkg.two",
    }


def test_entry_of_one_object_brings_only_that_object(project):
    entries = '[project.entry-points."aimm.plugins"]\nf = "mine:f"\n'
    source = FIT + "@fit(['g'])\ndef g(m): ...\n"
    assert tables(project(PYPROJECT + entries, mine=source))["aimm.plugins"] == {
        "f": "mine:f",
        "mine": "mine",
    }


@pytest.mark.parametrize(
    "table",
    ['"aimm.plugins" = "mine"', '"aimm.plugins" = {mine = 3}', '"aimm.plugins".fit.k = "mine:f"'],
)
def test_entry_points_that_are_no_texts_are_told(project, capsys, table):
    folder = project(mine=FIT)
    file = folder / "pyproject.toml"
    file.write_text(f'[project]\nname = "p"\n[project.entry-points]\n{table}\n')
    for option in ("--check", "--write"):
        assert run(["entry-points", str(folder), option]) == 2
        told = capsys.readouterr().err
        assert "pyproject.toml: entry points are texts in a table: write [project.entry-" in told
