"""Name, version and origin of one distribution."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from aimm_plugins._discovery.scan import scan
from tests.support.metadata import write_dist_info
from tests.support.scanning import Finder, found


@pytest.mark.parametrize(
    ("direct_url", "installer", "origin"),
    [
        (None, "pip", "index"),
        (None, None, "unknown"),
        ({"url": "file:///x", "dir_info": {"editable": True}}, "pip", "editable"),
        ({"url": "file:///x", "dir_info": {}}, "pip", "local"),
        ({"url": "https://host/x.whl", "archive_info": {}}, "pip", "url"),
        ({"url": "https://host/x", "vcs_info": {"vcs": "git"}}, "pip", "vcs"),
        ({"url": "file:///home/conda/feedstock_root/work", "dir_info": {}}, "conda", "index"),
        ({"url": "file:///x", "dir_info": {"editable": True}}, "conda", "editable"),
        ({"url": 5}, "pip", "unknown"),
        ([], "pip", "unknown"),
    ],
)
def test_origin(folder, direct_url, installer, origin):
    write_dist_info(
        folder, "dist", entry_points={"a": "m"}, direct_url=direct_url, installer=installer
    )
    (candidate,) = scan([str(folder)]).candidates
    assert candidate.distribution.origin == origin


def test_direct_url_that_is_no_json_is_unknown(folder):
    path = write_dist_info(folder, "dist", entry_points={"a": "m"})
    (path / "direct_url.json").write_text("{")
    assert scan([str(folder)]).candidates[0].distribution.origin == "unknown"


def test_name_that_is_not_the_folders_is_not_believed(folder):
    path = write_dist_info(folder, "dist", entry_points={"a": "m"})
    (path / "METADATA").write_text("Name: trusted\nVersion: 9\n")
    assert found(folder) == [("dist", "a", "m")]


def test_editable_install_seen_through_its_egg_info_is_editable(tmp_path, folder):
    source = tmp_path / "source"
    info = source / "dist.egg-info"
    info.mkdir(parents=True)
    (info / "PKG-INFO").write_text("Name: dist\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aimm.plugins]\na = m\n")
    write_dist_info(
        folder, "dist", direct_url={"url": source.as_uri(), "dir_info": {"editable": True}}
    )
    (candidate,) = scan([str(source), str(folder)]).candidates
    assert candidate.distribution.origin == "editable"


def legacy_editable(tmp_path: Path, folder: Path, target: Path | str) -> str:
    """The origin of an egg-info in a source folder, with an egg-link to `target`."""
    info = tmp_path / "source" / "my_models.egg-info"
    info.mkdir(parents=True)
    (info / "PKG-INFO").write_text("Name: my-models\nVersion: 1.0\n")
    (folder / "my-models.egg-link").write_text(f"{target}\n.")
    (distribution,) = scan([str(tmp_path / "source")]).distributions()
    return distribution.origin


def test_install_that_setup_py_develop_has_linked_is_editable(tmp_path, folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    assert legacy_editable(tmp_path, folder, tmp_path / "source") == "editable"


def test_link_to_another_source_folder_makes_nothing_editable(tmp_path, folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    assert legacy_editable(tmp_path, folder, "source") == "unknown"


def version_of(folder: Path, version: str) -> str | None:
    path = write_dist_info(folder, "dist")
    path = path.rename(folder / "dist.dist-info")
    (path / "METADATA").write_text(f"Name: dist\nVersion: {version}\n", encoding="utf-8")
    (distribution,) = scan([str(folder)]).distributions()
    return distribution.version


@pytest.mark.parametrize("version", ["1.0", "1!2.0rc1+local.7", "six"])
def test_version_is_taken_as_it_is_written(folder, version):
    assert version_of(folder, version) == version


@pytest.mark.parametrize(
    "version",
    ["1.0\u2028x", "1.0\x0bx", "1.0\x85x", "\x1b[2J", "1.0 # x", "\u0661.0", "9" * 201, ""],
)
def test_version_that_is_no_word_of_ascii_cannot_be_read(folder, version):
    assert version_of(folder, version) is None


def test_name_that_is_not_the_one_a_finder_goes_by_is_not_believed(monkeypatch):
    found = SimpleNamespace(
        _normalized_name="shown", read_text={"METADATA": "Name: trusted\nVersion: 1.0\n"}.get
    )
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder(lambda: [found])])
    distribution = scan().find("shown")
    assert (distribution.name, distribution.version) == ("shown", "1.0")
    assert not scan().has("trusted")


def test_origin_that_cannot_be_read_is_unknown(folder):
    path = write_dist_info(folder, "dist", entry_points={"a": "m"})
    (path / "direct_url.json").mkdir()
    assert scan([str(folder)]).candidates[0].distribution.origin == "unknown"
