"""What a look at the path finds, and what stops nothing."""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path

import pytest

from aimm_plugins._discovery.distribution import InFolder
from aimm_plugins._discovery.scan import scan
from tests.support.metadata import write_dist_info
from tests.support.scanning import codes, found


def test_entry_points_are_sorted_by_distribution_and_name(folder):
    write_dist_info(folder, "b-dist", entry_points={"z": "m", "a": "m:f"})
    write_dist_info(folder, "A.dist", entry_points={"x": "m"})
    assert [(dist, name) for dist, name, _ in found(folder)] == [
        ("A.dist", "x"),
        ("b-dist", "a"),
        ("b-dist", "z"),
    ]


def test_first_folder_hides_the_second(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    write_dist_info(one, "my-dist", "1.0", entry_points={"a": "m"})
    write_dist_info(two, "My.Dist", "2.0", entry_points={"b": "n"})
    assert found(one, two) == [("my-dist", "a", "m")]
    assert codes(one, two) == ["hidden-distribution"]


def test_what_a_venv_has_of_its_own_instead_of_the_systems_is_in_order(tmp_path, monkeypatch):
    """With `--system-site-packages`; pip uninstalls nothing of the system from there."""
    names = dict.fromkeys(("prefix", "base_prefix"))
    for name in names:
        monkeypatch.setattr(sys, name, str(tmp_path / name))
        names[name] = Path(site.getsitepackages([getattr(sys, name)])[0])
        write_dist_info(names[name], "my-dist", entry_points={"a": "m"})
    assert codes(names["prefix"], names["base_prefix"]) == []
    assert codes(names["base_prefix"], names["prefix"]) == ["hidden-distribution"]


def test_distribution_without_our_group_hides_too(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    write_dist_info(one, "dist", "1.0")
    write_dist_info(two, "dist", "2.0", entry_points={"b": "n"})
    assert found(one, two) == []
    assert codes(one, two) == ["hidden-distribution"]


def test_one_folder_by_two_paths_is_no_finding(folder):
    write_dist_info(folder, "dist", entry_points={"a": "m"})
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert codes(folder, folder, link) == []


def test_metadata_without_a_metadata_file_hides_nothing(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    (write_dist_info(one, "dist", entry_points={"a": "stale"}) / "METADATA").unlink()
    write_dist_info(two, "dist", "2.0", entry_points={"b": "fresh"})
    assert found(one, two) == [("dist", "b", "fresh")]
    assert codes(one, two) == ["hidden-distribution"]


def test_odd_items_on_the_path_are_passed_over(folder):
    write_dist_info(folder, "good", entry_points={"a": "m"})
    path = [None, 5, folder, b"x", "", "\0", str(folder / "none"), str(folder)]
    assert [each.name for each in scan(path).candidates] == ["a"]


def test_path_object_on_the_path_is_a_finding(folder):
    assert [each.code for each in scan([folder, None]).findings] == ["odd-path-item"]


def test_folder_that_is_a_loop_is_a_finding(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert codes(loop) == ["unreadable-folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folder_is_a_finding(folder):
    folder.chmod(0)
    try:
        assert codes(folder) == ["unreadable-folder"]
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize("first", ["source", "installed"])
def test_egg_info_in_the_source_folder_of_an_editable_install_hides_nothing(tmp_path, first):
    """Setuptools leaves it in `src`, which a .pth file puts on the path."""
    root, installed = tmp_path / "project", tmp_path / "installed"
    info = root / "src" / "ave_models.egg-info"
    info.mkdir(parents=True)
    (info / "PKG-INFO").write_text("Name: ave-models\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[aimm.plugins]\nave = ave_models\n")
    write_dist_info(
        installed,
        "ave-models",
        "0.1",
        entry_points={"ave": "ave_models"},
        direct_url={"url": root.as_uri(), "dir_info": {"editable": True}},
    )
    path = [installed, root / "src"]
    assert codes(*(path if first == "installed" else reversed(path))) == []


def test_wheel_in_a_venv_beneath_an_editable_source_folder_is_still_hidden(tmp_path):
    root = tmp_path / "project"
    write_dist_info(
        tmp_path / "one",
        "dist",
        entry_points={"a": "m"},
        direct_url={"url": root.as_uri(), "dir_info": {"editable": True}},
    )
    write_dist_info(root / ".venv", "dist", entry_points={"a": "m"})
    assert codes(tmp_path / "one", root / ".venv") == ["hidden-distribution"]


def test_distribution_without_metadata_is_told_of_and_its_plugin_is_there(folder):
    info = write_dist_info(folder, "left", entry_points={"a": "m"})
    (info / "METADATA").unlink()
    found_there = scan([str(folder)])
    (finding,) = found_there.findings
    assert (finding.code, finding.subject, finding.place) == (
        "broken-metadata",
        "left 1.0",
        str(info),
    )
    assert str(info) in finding.remedy
    assert finding.remedy.endswith("pip install left.")
    assert [candidate.name for candidate in found_there.candidates] == ["a"]
    assert found_there.unread() == []


def test_faults_of_metadata_are_looked_for_once_however_often_they_are_asked_for(
    folder, monkeypatch
):
    for number in range(3):
        write_dist_info(folder, f"dist{number}", entry_points={"a": "m"})
    looked_at = []
    names = InFolder.stated_name
    monkeypatch.setattr(
        InFolder, "stated_name", property(lambda d: looked_at.append(d.key) or names.__get__(d))
    )
    found_there = scan([str(folder)])
    for _ in range(5):
        assert found_there.doubt("gone") is None
    assert sorted(looked_at) == ["dist0", "dist1", "dist2"]
