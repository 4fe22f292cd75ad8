"""Metadata in plain folders, however it is named."""

from __future__ import annotations

import os

import pytest

from aimm_plugins._discovery.module_location import ModulesIn
from aimm_plugins._discovery.path_entry import PathEntry, hide_duplicates
from aimm_plugins._discovery.scan import scan
from tests.support.metadata import write_dist_info
from tests.support.scanning import codes, found


def test_metadata_without_name_or_files_stops_nothing(folder):
    write_dist_info(folder, "good", entry_points={"a": "m"})
    (folder / "-1.0.dist-info").mkdir()
    (folder / "empty-1.0.dist-info").mkdir()
    bare = folder / "bare-3.0.dist-info"
    bare.mkdir()
    (bare / "entry_points.txt").write_text("[aimm.plugins]\nx = m\n")
    assert found(folder) == [("bare", "x", "m"), ("good", "a", "m")]
    subjects = [found.subject for found in scan([str(folder)]).findings]
    assert subjects == ["-1.0.dist-info", "bare 3.0"]
    bare_candidate = scan([str(folder)]).candidates[0]
    assert bare_candidate.distribution.version == "3.0"


def test_entry_points_that_are_a_folder_or_a_loop_are_findings(folder):
    path = write_dist_info(folder, "dir")
    (path / "entry_points.txt").mkdir()
    loop = write_dist_info(folder, "loop") / "entry_points.txt"
    loop.symlink_to(loop)
    write_dist_info(folder, "good", entry_points={"a": "m"})
    assert found(folder) == [("good", "a", "m")]
    assert codes(folder) == ["broken-metadata", "broken-metadata"]


def test_huge_entry_points_are_a_finding(folder):
    path = write_dist_info(folder, "huge") / "entry_points.txt"
    with path.open("wb") as stream:
        stream.write(b"[aimm.plugins]\na = m\n")
        stream.truncate(9 * 1024 * 1024)
    assert codes(folder) == ["broken-metadata"]


def test_egg_info_folder_file_and_egg(tmp_path):
    info = tmp_path / "old_dist-1.0-py3.11.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Name: old-dist\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aimm.plugins]\na = m\n")
    (tmp_path / "flat-2.0.egg-info").write_text("Name: flat\nVersion: 2.0\n")
    egg = tmp_path / "eggy-3.0.egg"
    (egg / "EGG-INFO").mkdir(parents=True)
    (egg / "EGG-INFO" / "PKG-INFO").write_text("Name: eggy\nVersion: 3.0\n")
    (egg / "EGG-INFO" / "entry_points.txt").write_text("[aimm.plugins]\nb = n\n")
    assert found(tmp_path, egg) == [("eggy", "b", "n"), ("old-dist", "a", "m")]
    versions = {each.name: each.version for each in scan([str(tmp_path)]).distributions()}
    assert versions == {"old-dist": "1.0", "flat": "2.0"}


def test_file_names_without_a_version_are_names(tmp_path):
    for name in ("bare.dist-info", "flat.egg-info", "x.egg-1.0.dist-info"):
        (tmp_path / name).mkdir()
    assert {each.key for each in scan([str(tmp_path)]).distributions()} == {"bare", "flat", "x-egg"}


def test_odd_case_goes_by_the_stated_name(tmp_path):
    info = tmp_path / "Odd-1.0.Dist-Info"
    info.mkdir()
    (info / "METADATA").write_text("Name: Stated\nVersion: 1.0\n")
    assert [each.name for each in scan([str(tmp_path)]).distributions()] == ["Stated"]


def test_double_in_one_folder_is_said_and_one_counts(folder):
    write_dist_info(folder, "dist", "1.0", entry_points={"a": "m"})
    write_dist_info(folder, "Dist", "2.0", entry_points={"a": "m"})
    assert [name for _, name, _ in found(folder)] == ["a"]
    assert codes(folder) == ["double-distribution"]


@pytest.mark.parametrize("order", [("1.0", "2.0"), ("2.0", "1.0")])
@pytest.mark.parametrize("there", ["1.0", "2.0"])
def test_of_two_in_one_folder_that_one_counts_whose_files_are_there(folder, order, there):
    for version in (*[v for v in order if v != there], there):
        (folder / "mod.py").write_text(f"VERSION = '{version}'\n")
        write_dist_info(folder, "dist", version, entry_points={"a": "mod"}, files=["mod.py"])
    entries = [
        PathEntry(str(folder), {"dist": f"dist-{version}.dist-info"}, {}) for version in order
    ]
    hidden = hide_duplicates(entries, [])
    (counts,) = (entry.distribution("dist") for entry in entries if entry.held)
    assert (counts.version, hidden["dist"][0].version) == (there, *(v for v in order if v != there))


@pytest.mark.parametrize("order", [("1.0", "2.0"), ("2.0", "1.0")])
def test_of_two_in_one_folder_that_fit_as_well_the_newer_one_counts(folder, order):
    for version in order:
        write_dist_info(folder, "dist", version, entry_points={"a": "mod"})
    entries = [
        PathEntry(str(folder), {"dist": f"dist-{version}.dist-info"}, {}) for version in order
    ]
    assert hide_duplicates(entries, [])["dist"][0].version == "1.0"


def test_empty_shell_in_the_same_folder_does_not_count(folder):
    (write_dist_info(folder, "dist", "1.0", entry_points={"a": "stale"}) / "METADATA").unlink()
    write_dist_info(folder, "dist", "2.0", entry_points={"b": "fresh"})
    assert found(folder) == [("dist", "b", "fresh")]


def test_leftover_of_an_uninstall_is_passed_over(folder):
    write_dist_info(folder, "~ist", entry_points={"a": "m"})
    assert found(folder) == []
    assert codes(folder) == ["stale-metadata"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_named_pipe_does_not_block(folder):
    os.mkfifo(write_dist_info(folder, "pipe") / "entry_points.txt")
    write_dist_info(folder, "good", entry_points={"a": "m"})
    assert found(folder) == [("good", "a", "m")]
    assert codes(folder) == ["broken-metadata"]


def test_double_in_one_folder_is_known_as_hidden(folder, site):
    """What it installed can be imported, whichever of the two is listed first."""
    for version in ("1.0", "2.0"):
        write_dist_info(folder, "dist", version, entry_points={"a": "mod"}, files=["mod.py"])
    (folder / "mod.py").write_text("")
    installed = scan([str(folder)])
    owners = installed.code_owners(installed.distributions())
    (file, *_) = owners.files("mod", ModulesIn([str(folder)]))
    assert {owner.version for owner in file.owners} == {"1.0", "2.0"}
