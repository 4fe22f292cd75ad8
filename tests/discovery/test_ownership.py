"""Which distributions installed the files that an import would run."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from aimm_plugins._discovery.module_location import HERE, locate
from aimm_plugins._discovery.scan import scan
from tests.support.metadata import write_dist_info
from tests.support.scanning import Finder, python_finders


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
    installed = scan([str(site)])
    files = installed.code_owners(installed.distributions()).files("par.sub.mod", HERE)
    assert [(file.module, [owner.name for owner in file.owners]) for file in files] == [
        ("par.sub.mod", ["addon"]),
        ("par.sub", ["base"]),
        ("par", ["base"]),
    ]
    assert "par" not in sys.modules


def code_owners_of(module: str, suspect: str, *folders: Path) -> list[tuple[str, str | None]]:
    installed = scan([str(path) for path in folders])
    suspects = [installed.find(suspect)]
    files = installed.code_owners(suspects).files(module, HERE)
    return [(owner.name, owner.version) for owner in files[0].owners]


def editable(root: Path) -> dict[str, object]:
    return {"url": root.as_uri(), "dir_info": {"editable": True}}


def test_installed_module_in_a_venv_beneath_an_editable_project_is_not_the_projects(site, install):
    (site / "mod_in.py").write_text("")
    install("project", direct_url=editable(site.parent))
    install("other", files=["mod_in.py"])
    assert code_owners_of("mod_in", "project", site) == []
    assert owner_of("mod_in", site) == "other"


def test_unlisted_module_beneath_an_editable_project_is_the_projects(site, install):
    (site / "mod_un.py").write_text("")
    install("project", direct_url=editable(site.parent))
    assert code_owners_of("mod_un", "project", site) == [("project", "1.0")]


def test_owner_in_a_folder_that_the_path_spells_oddly(site, install, tmp_path, monkeypatch):
    (site / "mod_odd.py").write_text("")
    install("odd-dist", files=["mod_odd.py"])
    (tmp_path / "other").mkdir()
    spelled = tmp_path / "other" / ".." / "site"
    assert owner_of("mod_odd", spelled) == "odd-dist"
    assert code_owners_of("mod_odd", "odd-dist", spelled) == [("odd-dist", "1.0")]


def test_owner_in_a_folder_that_the_path_names_by_a_link(site, install, tmp_path):
    (site / "mod_link.py").write_text("")
    install("linked-dist", files=["mod_link.py"])
    (tmp_path / "link").symlink_to(site)
    assert owner_of("mod_link", tmp_path / "link") == "linked-dist"


def test_hidden_distribution_owns_what_it_installed(site, install, tmp_path):
    (site / "mod_hid.py").write_text("")
    install("dist", "1.0", files=["mod_hid.py"])
    newer = tmp_path / "newer"
    write_dist_info(newer, "dist", "2.0")
    assert code_owners_of("mod_hid", "dist", newer, site) == [("dist", "1.0"), ("dist", "2.0")]


def test_module_in_a_wheel_on_the_path_is_the_wheels(closed_zips, tmp_path, monkeypatch):
    path = tmp_path / "dist-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as stream:
        stream.writestr("mod_whl.py", "")
        stream.writestr("dist-1.0.dist-info/METADATA", "Name: dist\nVersion: 1.0\n")
        stream.writestr("dist-1.0.dist-info/RECORD", "mod_whl.py,,\n")
    monkeypatch.syspath_prepend(path)
    assert owner_of("mod_whl", path) == "dist"
    assert code_owners_of("mod_whl", "dist", path) == [("dist", "1.0")]


def test_module_that_only_a_finder_knows_may_be_an_editable_installs(
    site, install, tmp_path, monkeypatch
):
    install("built", direct_url=editable(tmp_path / "source"))
    monkeypatch.setattr(sys, "meta_path", [*python_finders(), Finder(list)])
    installed = scan([str(site)])
    suspects = installed.code_owners(installed.distributions())
    (file,) = suspects.files("mod_built", HERE)
    assert file.owners == ()
    ((suspect, doubt),) = file.suspects
    assert suspect.name == "built"
    assert Finder.__module__ in doubt


def test_module_that_no_finder_is_left_to_know_is_nobodys(site, install, tmp_path, monkeypatch):
    install("built", direct_url=editable(tmp_path / "source"))
    monkeypatch.setattr(sys, "meta_path", python_finders())
    installed = scan([str(site)])
    (file,) = installed.code_owners(installed.distributions()).files("mod_built", HERE)
    assert (file.owners, file.suspects) == ((), ())
