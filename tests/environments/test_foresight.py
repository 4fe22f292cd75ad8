"""What a plan foresees of plugins in environments is what a start meets there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aimm_plugins
from aimm_plugins._diagnostics.take_inventory import take_inventory
from tests.environments.conftest import Apart
from tests.support.metadata import write_dist_info

DECLARE = "@aimm_plugins.data_access('late')\ndef late(): ...\n"

FAULTS = {
    "lacks a dependency": "import surely_not_there\n" + DECLARE,
    "lacks a submodule": "from late.parts import x\n" + DECLARE,
    "is no Python": "x = = 1\n",
    "is refused by a decorator": "@aimm_plugins.fit('bare')\ndef learn(model): ...\n",
    "declares nothing": "x = 1\n",
    "is not there": None,
}


def test_docstrings_of_functions_in_an_environment_are_those_of_the_source(apart: Apart) -> None:
    apart.plugin("other", '@data_access("other")\ndef other(x): "Of the plugin."\n')
    conf = apart.conf(plugins=["aimm-other"])
    (item,) = [i for i in take_inventory(conf, load=True).plugins if i.record.name == "other"]
    (declaration,) = item.declarations
    assert (declaration.signature, declaration.docstring) == ("(x)", "Of the plugin.")


@pytest.mark.parametrize("fault", FAULTS)
def test_plan_and_start_tell_the_same_of_a_plugin_in_an_environment(
    apart: Apart, fault: str
) -> None:
    source = FAULTS[fault]
    apart.plugin("late", source or "", requires=["surely-not-there>=2"])
    if source is None:
        (apart.site / "late.py").unlink()
    conf = apart.conf(plugins=["aimm-late"], conf={"on_error": "isolate"})
    conf["entry_points"]["allow"].append("aimm-late")
    foreseen = aimm_plugins.plan(conf)
    report = aimm_plugins.initialize(conf)
    expected = [(f.name, f.state, f.remedy) for f in report.failures]
    assert [(f.name, f.state, f.remedy) for f in foreseen.failures] == expected
    # What cannot be carried from there as it is stands in the text of an error that can.
    for told, met in zip(foreseen.failures, report.failures, strict=True):
        assert str(told.error) in str(met.error)
    assert [f for f in foreseen.findings if f.code == "declares-nothing"] == [
        f for f in report.findings if f.code == "declares-nothing"
    ]
    assert bool(expected) == (fault != "declares nothing")


Foresee = Callable[[str], aimm_plugins.Report]


@pytest.fixture
def elsewhere(tmp_path: Path) -> tuple[Path, Foresee]:
    """The packages of an environment of Python 3.99, and what a plan says of a plugin there."""
    root = tmp_path / "other"
    library = root / "lib" / "python3.99"
    site = library / "site-packages"
    site.mkdir(parents=True)
    for name in ("os", "of_the_future"):
        (library / f"{name}.py").write_text("")
    (root / "bin").mkdir()
    (root / "bin" / "python").symlink_to(sys.executable)
    (root / "pyvenv.cfg").write_text(f"home = {root}/bin\nversion_info = 3.99.1\n")
    write_dist_info(site, "aimm-plugins", aimm_plugins.__version__)
    write_dist_info(site, "aimm-late", entry_points={"late": "late"}, files=["late.py"])

    def foresee(source: str) -> aimm_plugins.Report:
        (site / "late.py").write_text(f"import aimm_plugins\n{source}\n{DECLARE}")
        conf = {"names": [], "environments": {"other": {"path": str(root)}}}
        return aimm_plugins.plan({**conf, "entry_points": {"allow": ["aimm-late"]}})

    return site, foresee


@pytest.mark.parametrize(
    "source",
    [
        "import os, of_the_future",
        "import math, zlib",
        "import beside",
        "import space.inner",
        "x =* 1",
    ],
)
def test_what_another_python_has_or_reads_is_not_called_missing(
    elsewhere: tuple[Path, Foresee], source: str
) -> None:
    site, foresee = elsewhere
    (site / "beside.py").write_text("")
    (site / "space" / "inner").mkdir(parents=True)
    assert foresee(source).ok


@pytest.mark.parametrize("name", ["surely_not_there", "pytest", "json"])
def test_what_the_host_alone_has_is_missing_in_an_environment(
    elsewhere: tuple[Path, Foresee], name: str
) -> None:
    (failure,) = elsewhere[1](f"import {name}").failures
    assert str(failure.error) == f"No module named {name!r}"
    assert str(failure.remedy).startswith("In environment other: ")


def test_nothing_is_called_missing_where_an_environment_may_have_finders(
    elsewhere: tuple[Path, Foresee],
) -> None:
    site, foresee = elsewhere
    (site / "beside.pth").write_text("import beside_loader\n")
    report = foresee("import surely_not_there")
    assert report.ok
    (finding,) = report.findings
    assert (finding.code, finding.subject) == ("environment-not-foreseen", "other")
    assert f"{site}/beside.pth may bring modules there" in finding.message


@pytest.fixture
def editable(elsewhere: tuple[Path, Foresee], tmp_path: Path) -> Path:
    """The sources of an editable install by setuptools in an environment; `beside` is mapped."""
    source, (site, _) = tmp_path / "source", elsewhere
    (source / "beside").mkdir(parents=True)
    (source / "beside" / "__init__.py").write_text("")
    name = "__editable___beside_1_0_finder"
    (site / "__editable__.beside-1.0.pth").write_text(f"import {name}; {name}.install()")
    mapping = {"beside": str(source / "beside")}
    (site / f"{name}.py").write_text(
        f"import sys\nMAPPING: dict[str, str] = {mapping!r}\n"
        "NAMESPACES: dict[str, list[str]] = {}\n"
    )
    return source


def test_what_an_editable_install_of_setuptools_maps_is_there(
    elsewhere: tuple[Path, Foresee], editable: Path
) -> None:
    report = elsewhere[1]("import beside")
    assert (report.ok, report.findings) == (True, ())


@pytest.mark.parametrize(
    "tables",
    [
        "MAPPING = {1: 2}\nNAMESPACES = {}\n",
        "MAPPING = {'beside': '/other/name'}\nNAMESPACES = {}\n",
        "MAPPING = {}\nNAMESPACES: dict[str, list[str]] = {'space': []}\n",
        "MAPPING = " + "{" * 9000 + "}" * 9000 + "\nNAMESPACES = {}\n",
        "\udcff",
    ],
    ids=["numbers", "another name", "a namespace", "deep", "no text"],
)
def test_finder_whose_tables_are_not_understood_cannot_be_foreseen(
    elsewhere: tuple[Path, Foresee], editable: Path, tables: str
) -> None:
    (finder,) = elsewhere[0].glob("*_finder.py")
    finder.write_text(tables, errors="surrogateescape")
    report = elsewhere[1]("import surely_not_there")
    assert report.ok
    assert [finding.code for finding in report.findings] == ["environment-not-foreseen"]


def test_what_no_editable_install_maps_is_missing(
    elsewhere: tuple[Path, Foresee], editable: Path
) -> None:
    (failure,) = elsewhere[1]("import beside, surely_not_there").failures
    assert str(failure.error) == "No module named 'surely_not_there'"


def lazily(apart: Apart, source: str | None) -> dict[str, object]:
    """The conf of an environment that starts with the first call of what publishes its key."""
    apart.plugin("late", source or "", published={"data_access:late": "late:late"})
    if source is None:
        (apart.site / "late.py").unlink()
    conf: dict[str, object] = apart.conf(
        plugins=["aimm-late"], conf={"on_error": "isolate"}, start="lazy"
    )
    return conf | {"entry_points": {"allow": ["aimm-late"]}}


def test_start_tells_a_missing_module_of_an_environment_that_starts_later(apart: Apart) -> None:
    conf = lazily(apart, None)
    reports = aimm_plugins.plan(conf), aimm_plugins.initialize(conf)
    foreseen, record = (next(r for r in report if r.name == "late") for report in reports)
    assert record.state == foreseen.state == "failed"
    assert record.remedy == foreseen.remedy


def test_inventory_of_imports_starts_an_environment_that_waits_for_a_call(apart: Apart) -> None:
    conf = lazily(apart, "raise ValueError('at import')\n")
    records = [item.record for item in take_inventory(conf, load=True).plugins]
    (record,) = [record for record in records if record.name == "late"]
    assert record.state == "failed"
    assert "at import" in str(record.error)


def test_nothing_is_called_missing_where_a_zip_stands_on_the_path(
    elsewhere: tuple[Path, Foresee],
) -> None:
    site, foresee = elsewhere
    (site / "zipped.egg").write_bytes(b"PK")
    (site / "easy-install.pth").write_text("./zipped.egg\n")
    assert foresee("import surely_not_there").ok


def test_what_is_to_be_mended_in_an_environment_says_so(
    separate: tuple[Path, dict[str, Any]],
) -> None:
    """A finding about what is installed there, and not of one about what both have."""
    site, conf = separate
    points = "[aimm_plugins]\nalone = alone\n"
    write_dist_info(site, "aimm-alone", entry_points=points, requires=["aimm-plugins"])
    (finding,) = [f for f in aimm_plugins.plan(conf).findings if f.code == "misspelt-group"]
    assert finding.remedy is not None
    assert finding.remedy.startswith("In environment elsewhere: ")
