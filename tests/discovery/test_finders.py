"""Zips and unusual finders."""

from __future__ import annotations

import sys
import zipfile

from aimm_plugins._discovery.scan import scan
from tests.support.metadata import write_dist_info
from tests.support.scanning import Exiting, Finder, found


def test_zip_on_the_path_is_read_by_importlib_metadata(closed_zips, tmp_path):
    path = tmp_path / "wheel.zip"
    with zipfile.ZipFile(path, "w") as stream:
        stream.writestr("zipped-1.0.dist-info/METADATA", "Name: zipped\nVersion: 1.0\n")
        stream.writestr("zipped-1.0.dist-info/entry_points.txt", "[aimm.plugins]\na = m\n")
    assert found(path) == [("zipped", "a", "m")]
    installed = scan([str(path)])
    assert installed.has("Zipped")
    assert not installed.has("other")
    assert [each.version for each in installed.distributions()] == ["1.0"]


def test_broken_zip_stops_nothing(closed_zips, tmp_path, folder):
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 nonsense")
    write_dist_info(folder, "good", entry_points={"a": "m"})
    assert found(tmp_path / "bad.zip", folder) == [("good", "a", "m")]


def test_zip_first_on_the_path_hides_a_folder(closed_zips, tmp_path, folder):
    path = tmp_path / "wheel.zip"
    with zipfile.ZipFile(path, "w") as stream:
        stream.writestr("dist-1.0.dist-info/METADATA", "Name: dist\nVersion: 1.0\n")
        stream.writestr("dist-1.0.dist-info/entry_points.txt", "[aimm.plugins]\na = m\n")
    write_dist_info(folder, "dist", "2.0", entry_points={"b": "n"})
    assert found(path, folder) == [("dist", "a", "m")]
    assert found(folder, path) == [("dist", "b", "n")]


def test_custom_finder_is_asked(monkeypatch, tmp_path):
    import importlib_metadata

    path = write_dist_info(tmp_path, "virtual", entry_points={"a": "virtual_module"})

    def distributions():
        return [importlib_metadata.PathDistribution(path)]

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder(distributions)])
    assert "virtual" in {each.distribution.name for each in scan().candidates}


def test_finder_that_raises_is_a_finding(monkeypatch):
    def distributions():
        raise RuntimeError("broken")

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder(distributions)])
    assert "broken-finder" in [finding.code for finding in scan().findings]


def test_finder_that_exits_ends_nobody(monkeypatch):
    def distributions():
        yield Exiting()
        raise SystemExit("bye")

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder(distributions), Exiting()])
    broken = [each.message for each in scan().findings if each.code == "broken-finder"]
    assert broken == ["cannot list its distributions: SystemExit: bye"]
