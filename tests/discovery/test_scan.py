"""Reading installed metadata: what is found, and what stops nobody."""

from __future__ import annotations

import gc
import importlib.machinery
import importlib.util
import os
import sys
import warnings
import zipfile
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType

import pytest

from aimm_plugins._discovery.module_location import locate
from aimm_plugins._discovery.scan import scan
from tests.support.metadata import write_dist_info


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "packages"
    path.mkdir()
    return path


def found(*folders: Path | str) -> list[tuple[str, str, str]]:
    return [
        (each.distribution.name, each.name, each.value)
        for each in scan([str(path) for path in folders]).candidates
    ]


def codes(*folders: Path | str) -> list[str]:
    return [finding.code for finding in scan([str(path) for path in folders]).findings]


def test_entry_points_are_sorted_by_distribution_and_name(folder):
    write_dist_info(folder, "b-dist", entry_points={"z": "m", "a": "m:f"})
    write_dist_info(folder, "A.dist", entry_points={"x": "m"})
    assert [(dist, name) for dist, name, _ in found(folder)] == [
        ("A.dist", "x"),
        ("b-dist", "a"),
        ("b-dist", "z"),
    ]


def test_value_is_split_into_module_and_object(folder):
    write_dist_info(folder, "dist", entry_points={"x": "pkg.mod : Cls.method [extra]"})
    (candidate,) = scan([str(folder)]).candidates
    assert (candidate.module, candidate.attribute) == ("pkg.mod", "Cls.method")
    assert str(candidate.provenance) == "dist 1.0  entry point x = pkg.mod : Cls.method [extra]"


def test_comments_blank_lines_and_other_groups_are_passed_over(folder):
    text = "\ufeff# c\n[console_scripts]\nx\n\n[aimm.plugins]\n; c\n\n a = m \n[other]\nb = n\n"
    write_dist_info(folder, "dist", entry_points=text)
    assert found(folder) == [("dist", "a", "m")]
    assert codes(folder) == []


@pytest.mark.parametrize(
    "line", ["no separator", "= m", "a = ", "a = 1m", "a = m:", "a = m n", "a = .m"]
)
def test_broken_line_is_a_finding_and_the_others_count(folder, line):
    write_dist_info(folder, "dist", entry_points=f"[aimm.plugins]\n{line}\nok = m\n")
    assert found(folder) == [("dist", "ok", "m")]
    assert codes(folder) == ["broken-entry-point"]


def test_bytes_that_are_not_utf8_spoil_one_line_only(folder):
    path = write_dist_info(folder, "dist", entry_points={})
    (path / "entry_points.txt").write_bytes(b"[x]\n\xff = \xff\n[aimm.plugins]\n\xff = m\nok = m\n")
    assert found(folder) == [("dist", "ok", "m")]
    assert codes(folder) == ["broken-entry-point"]


def test_first_folder_hides_the_second(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    write_dist_info(one, "my-dist", "1.0", entry_points={"a": "m"})
    write_dist_info(two, "My.Dist", "2.0", entry_points={"b": "n"})
    assert found(one, two) == [("my-dist", "a", "m")]
    assert codes(one, two) == ["hidden-distribution"]


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


def test_metadata_without_name_or_files_stops_nothing(folder):
    write_dist_info(folder, "good", entry_points={"a": "m"})
    (folder / "-1.0.dist-info").mkdir()
    (folder / "empty-1.0.dist-info").mkdir()
    bare = folder / "bare-3.0.dist-info"
    bare.mkdir()
    (bare / "entry_points.txt").write_text("[aimm.plugins]\nx = m\n")
    assert found(folder) == [("bare", "x", "m"), ("good", "a", "m")]
    assert codes(folder) == ["broken-metadata"]
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


def test_long_but_sane_file_is_read_whole(folder):
    lines = {f"name{i}": f"module_{i}" for i in range(5000)}
    write_dist_info(folder, "many", entry_points=lines)
    assert len(found(folder)) == 5000


def test_odd_items_on_the_path_are_passed_over(folder):
    write_dist_info(folder, "good", entry_points={"a": "m"})
    path = [None, 5, folder, b"x", "", "\0", str(folder / "none"), str(folder)]
    assert [each.name for each in scan(path).candidates] == ["a"]


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


@pytest.fixture
def closed_zips():
    """importlib_metadata leaves a zip open until its objects are collected: here, not in a later test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


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


class Finder(MetaPathFinder):
    def __init__(self, distributions):
        self.distributions = distributions

    def find_spec(self, *arguments):
        raise RuntimeError("no spec")

    def find_distributions(self, context=None):
        return self.distributions()


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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folder_is_a_finding(folder):
    folder.chmod(0)
    try:
        assert codes(folder) == ["unreadable-folder"]
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize(
    ("direct_url", "installer", "origin"),
    [
        (None, "pip", "index"),
        (None, None, "unknown"),
        ({"url": "file:///x", "dir_info": {"editable": True}}, "pip", "editable"),
        ({"url": "file:///x", "dir_info": {}}, "pip", "local"),
        ({"url": "https://host/x.whl", "archive_info": {}}, "pip", "url"),
        ({"url": "https://host/x", "vcs_info": {"vcs": "git"}}, "pip", "vcs"),
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


def owner_of(module: str, *folders: Path) -> str | None:
    owner = scan([str(path) for path in folders]).owner(module, locate(module))
    return owner.name if owner else None


def test_owner_by_record(site, install):
    (site / "mod_a.py").write_text("")
    install("some-dist", files=["mod_a.py"])
    install("mod-a-not", files=["mod_b.py"])
    assert owner_of("mod_a", site) == "some-dist"


def test_owner_by_top_level_of_an_egg(site):
    (site / "mod_e.py").write_text("")
    info = site / "egg_dist-1.0.egg-info"
    info.mkdir()
    (info / "top_level.txt").write_text("mod_e\n")
    assert owner_of("mod_e", site) == "egg-dist"


def test_owner_by_editable_folder(site, install, tmp_path, monkeypatch):
    source = tmp_path / "my source"
    source.mkdir()
    (source / "mod_ed.py").write_text("")
    monkeypatch.syspath_prepend(source)
    (site / "_ed_dist.pth").write_text(str(source))
    install("ed-dist", direct_url={"url": source.as_uri(), "dir_info": {"editable": True}})
    assert owner_of("mod_ed", site, source) == "ed-dist"


def test_owner_by_an_entry_point_that_names_the_module(site, install):
    install("ep-dist", entry_points={"a": "mod_nowhere"})
    assert owner_of("mod_nowhere", site) == "ep-dist"


def test_own_module_has_no_owner(site):
    (site / "mine.py").write_text("")
    assert owner_of("mine", site) is None


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


def test_file_names_without_a_version_are_names(tmp_path):
    for name in ("bare.dist-info", "flat.egg-info", "x.egg-1.0.dist-info"):
        (tmp_path / name).mkdir()
    assert {each.key for each in scan([str(tmp_path)]).distributions()} == {"bare", "flat", "x-egg"}


def test_odd_case_goes_by_the_stated_name(tmp_path):
    info = tmp_path / "Odd-1.0.Dist-Info"
    info.mkdir()
    (info / "METADATA").write_text("Name: Stated\nVersion: 1.0\n")
    assert [each.name for each in scan([str(tmp_path)]).distributions()] == ["Stated"]


def test_metadata_without_a_metadata_file_hides_nothing(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    (write_dist_info(one, "dist", entry_points={"a": "stale"}) / "METADATA").unlink()
    write_dist_info(two, "dist", "2.0", entry_points={"b": "fresh"})
    assert found(one, two) == [("dist", "b", "fresh")]
    assert codes(one, two) == ["hidden-distribution"]


def test_double_in_one_folder_is_said_and_one_counts(folder):
    write_dist_info(folder, "dist", "1.0", entry_points={"a": "m"})
    write_dist_info(folder, "Dist", "2.0", entry_points={"a": "m"})
    assert [name for _, name, _ in found(folder)] == ["a"]
    assert codes(folder) == ["double-distribution"]


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


def test_path_object_on_the_path_is_a_finding(folder):
    assert [each.code for each in scan([folder, None]).findings] == ["odd-path-item"]


def test_folder_that_is_a_loop_is_a_finding(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert codes(loop) == ["unreadable-folder"]


def test_zip_first_on_the_path_hides_a_folder(closed_zips, tmp_path, folder):
    path = tmp_path / "wheel.zip"
    with zipfile.ZipFile(path, "w") as stream:
        stream.writestr("dist-1.0.dist-info/METADATA", "Name: dist\nVersion: 1.0\n")
        stream.writestr("dist-1.0.dist-info/entry_points.txt", "[aimm.plugins]\na = m\n")
    write_dist_info(folder, "dist", "2.0", entry_points={"b": "n"})
    assert found(path, folder) == [("dist", "a", "m")]
    assert found(folder, path) == [("dist", "b", "n")]


class Exiting:
    def __getattr__(self, name):
        raise SystemExit(f"no {name}")


def test_finder_that_exits_ends_nobody(monkeypatch):
    def distributions():
        yield Exiting()
        raise SystemExit("bye")

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder(distributions), Exiting()])
    broken = [each.message for each in scan().findings if each.code == "broken-finder"]
    assert broken == ["cannot list its distributions: SystemExit: bye"]


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


PUBLISHED = "[aimm.plugins]\nx = pkg\n[aimm.plugins.fit]\n"


def keys(folder: Path, text: str) -> list[tuple[str, str, str, str]]:
    write_dist_info(folder, "dist", entry_points=text)
    return [
        (each.action, each.key, each.module, each.attribute)
        for each in scan([str(folder)]).published
    ]


def test_published_keys_are_read(folder):
    text = (
        PUBLISHED
        + "my model = pkg.a:f [extra]\na:b=pkg:C.run\n[aimm.plugins.predict]\niris.svc = pkg:p\n"
    )
    assert keys(folder, text) == [
        ("fit", "a:b", "pkg", "C.run"),
        ("fit", "my model", "pkg.a", "f"),
        ("predict", "iris.svc", "pkg", "p"),
    ]
    place = scan([str(folder)]).published[0].place
    assert place == str(folder / "dist-1.0.dist-info" / "entry_points.txt:5")


def test_published_key_without_a_function_is_a_finding(folder):
    assert keys(folder, PUBLISHED + "k = pkg\nok = pkg:f\n") == [("fit", "ok", "pkg", "f")]
    assert codes(folder) == ["broken-entry-point"]


def test_group_of_no_action_is_a_finding_with_the_nearest(folder):
    assert keys(folder, "[aimm.plugins]\nx = pkg\n[aimm.plugins.predic]\nk = pkg:f\n") == []
    (finding,) = scan([str(folder)]).findings
    assert finding.code == "unknown-action-group"
    assert finding.remedy == "Did you mean [aimm.plugins.predict]?"


def keys_by_plugin(folder: Path, text: str) -> dict[str, list[str]]:
    write_dist_info(folder, "dist", entry_points=text)
    installed = scan([str(folder)])
    return {
        each.name: [key.key for key in installed.keys_of(each)] for each in installed.candidates
    }


def test_keys_belong_to_the_nearest_plugin_module(folder):
    text = "[aimm.plugins]\nx = pkg\ny = pkg.sub\n[aimm.plugins.fit]\na = pkg:f\nb = pkg.sub.m:f\nc = pkg.subs:f\n"
    assert keys_by_plugin(folder, text) == {"x": ["a", "c"], "y": ["b"]}
    assert codes(folder) == []


def test_only_plugin_of_a_distribution_has_all_its_keys(folder):
    assert keys_by_plugin(folder, PUBLISHED + "a = elsewhere:f\n") == {"x": ["a"]}
    assert codes(folder) == []


def test_plugin_of_one_object_has_the_keys_of_that_object(folder):
    text = "[aimm.plugins]\nx = pkg:C\ny = pkg:D\n[aimm.plugins.fit]\na = pkg:C\nb = pkg:C.f\nc = pkg:D\nd = pkg:Cx\n"
    assert keys_by_plugin(folder, text) == {"x": ["a", "b"], "y": ["c"]}
    assert codes(folder) == ["published-keys-without-plugin"]


def test_keys_that_could_be_anyones_are_a_finding(folder):
    text = "[aimm.plugins]\nx = pkg\ny = other\n[aimm.plugins.fit]\na = third:f\n"
    assert keys_by_plugin(folder, text) == {"x": [], "y": []}
    assert codes(folder) == ["published-keys-without-plugin"]


def test_keys_of_a_module_that_a_conf_names(folder):
    keys(folder, "[aimm.plugins.fit]\na = pkg.m:f\n")
    installed = scan([str(folder)])
    assert [each.key for each in installed.keys_of(("Dist", "pkg"))] == ["a"]
    assert installed.keys_of(("other", "pkg")) == ()


def test_owner_that_is_named_otherwise_is_found_by_an_index(site, install):
    (site / "ns").mkdir()
    for name in ("one", "two"):
        (site / "ns" / f"{name}.py").write_text("")
        install(f"dist-{name}", files=[f"ns/{name}.py"])
    assert owner_of("ns.two", site) == "dist-two"


def test_innermost_editable_folder_owns(site, install, tmp_path, monkeypatch):
    inner = tmp_path / "repo" / "inner"
    inner.mkdir(parents=True)
    (inner / "mod_in.py").write_text("")
    monkeypatch.syspath_prepend(inner)
    (site / "a.pth").write_text(str(inner))
    for name, root in (("a-outer", inner.parent), ("b-inner", inner)):
        install(name, direct_url={"url": root.as_uri(), "dir_info": {"editable": True}})
    assert owner_of("mod_in", site) == "b-inner"


def test_owners_are_those_of_the_parents_too(site, install):
    for name in ("par/__init__.py", "par/sub/__init__.py", "par/sub/mod.py"):
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text("raise SystemExit")
    install("base", files=["par/__init__.py", "par/sub/__init__.py"])
    install("addon", files=["par/sub/mod.py"])
    owners = scan([str(site)]).owners("par.sub.mod", locate)
    assert [each.name for each in owners] == ["addon", "base"]
    assert "par" not in sys.modules


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
