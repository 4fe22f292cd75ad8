"""Whether the files of a distribution are those that its RECORD has hashes of."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from aimm_plugins._discovery.scan import scan
from aimm_plugins._discovery.verification import Verified, fault_of_place, verify
from tests.support.metadata import write_dist_info, write_record


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A site folder with a package, and a module of which RECORD is silent beside it."""
    for name in ("pkg/__init__.py", "pkg/mod.py", "pkg/sub/__init__.py", "ns/part.py", "single.py"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# {name}\n")
    return tmp_path


FILES = ("pkg/__init__.py", "pkg/mod.py", "pkg/sub/__init__.py", "ns/part.py", "single.py")


def found(site: Path) -> Verified | str:
    (distribution,) = scan([str(site)]).distributions()
    return verify(distribution)


def fault(site: Path) -> str | None:
    proven = found(site)
    return proven if isinstance(proven, str) else None


def test_untouched_files_are_proven_with_their_hashes(package):
    write_record(package, "dist", FILES)
    proven = found(package)
    assert {str(package / file) for file in FILES} < proven.hashes.keys()
    assert proven.packages == {"pkg"}
    assert proven.modules == {"ns.part", "single", "ns"}


def test_changed_file_of_the_package_is_named(package):
    write_record(package, "dist", FILES)
    (package / "pkg/sub/__init__.py").write_text("import os\n")
    assert f"{package / 'pkg/sub/__init__.py'} is not what was installed" in fault(package)


def test_changed_module_beside_the_package_is_named(package):
    write_record(package, "dist", FILES)
    (package / "single.py").write_text("import os\n")
    assert f"{package / 'single.py'} is not what was installed" in fault(package)


@pytest.mark.parametrize("name", ["METADATA", "entry_points.txt"])
def test_changed_metadata_that_decides_is_named(package, name):
    info = write_dist_info(package, "dist", entry_points={"a": "pkg"}, files=FILES)
    assert fault(package) is None
    with (info / name).open("a") as stream:
        stream.write("x = y\n")
    assert f"{info / name} is not what was installed" in fault(package)


def test_entry_points_that_record_does_not_list_are_named(package):
    info = write_record(package, "dist", FILES)
    (info / "entry_points.txt").write_text("[aimm.plugins]\na = pkg\n")
    assert fault(package) == f"{info / 'entry_points.txt'} is not listed in RECORD"


def test_missing_file_is_named(package):
    write_record(package, "dist", FILES)
    (package / "pkg/mod.py").unlink()
    assert fault(package) == f"{package / 'pkg/mod.py'} is missing"


@pytest.mark.parametrize(
    "extra",
    [
        "pkg/extra.py",
        "pkg/mod.abi3.so",
        "pkg/old.pyc",
        "pkg/sub/x.py",
        "pkg/mod/__init__.py",
        "pkg/.py",  # as which `import_module("pkg.")` finds it
        "ns/part.abi3.so",
        "ns/part/__init__.py",
        "single/__init__.py",
    ],
)
def test_importable_file_that_record_does_not_list_is_named(package, extra):
    write_record(package, "dist", FILES)
    (package / extra).parent.mkdir(exist_ok=True)
    (package / extra).write_text("")
    assert fault(package) == f"{package / extra} is not listed in RECORD"


@pytest.mark.parametrize(
    "extra",
    [
        "pkg/__pycache__/__init__.cpython-311.pyc",
        "pkg/notes.txt",
        "pkg/._mod.py",
        "pkg/._mod.abi3.so",
        "pkg/mod.orig.py",
        "ns/other.py",
    ],
)
def test_what_no_import_takes_and_other_parts_of_a_namespace_may_stand_there(package, extra):
    write_record(package, "dist", FILES)
    (package / extra).parent.mkdir(exist_ok=True)
    (package / extra).write_text("")
    assert fault(package) is None


def append(package: Path, line: str) -> None:
    with (write_record(package, "dist", FILES) / "RECORD").open("a") as stream:
        stream.write(line)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("pkg/mod.py,,\n", "has no hash"),
        ("pkg/mod.py,md5=abc,\n", "not accepted: md5"),
        ("pkg/mod.py,nonsense,\n", "not accepted: nonsense"),
        ("pkg/mod.py\n", "has no hash"),
        ("pkg/../../out.py,sha256=abc,\n", "leads out of its folder"),
        ('"pkg/a,b.txt",sha256=abc,\n', "a,b.txt is missing"),
        ("pkg/mod.py,sha256=abc,\n", "is not what was installed"),
    ],
)
def test_line_that_proves_nothing_is_a_fault(package, line, reason):
    append(package, line)
    assert reason in fault(package)


@pytest.mark.parametrize(
    "line",
    ["/pkg/x.py,sha256=abc,\n", "../pkg/x.py,sha256=abc,\n", "pkg/__pycache__/x.pyc,,\n", "\n"],
)
def test_line_about_other_places_is_passed_over(package, line):
    append(package, line)
    assert fault(package) is None


def test_line_of_many_folders_costs_little(package):
    append(package, "a/" * 50_000 + "x.py,sha256=AA,1")
    tracemalloc.start()
    assert "cannot be read" in str(fault(package))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50 * 2**20


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_named_pipe_does_not_block(package):
    write_record(package, "dist", FILES)
    (package / "pkg/mod.py").unlink()
    os.mkfifo(package / "pkg/mod.py")
    assert "not a regular file" in fault(package)


def test_module_shadowed_by_another_path_item_is_not_proven(package, tmp_path_factory):
    write_record(package, "dist", FILES)
    other = str(tmp_path_factory.mktemp("other") / "pkg.py")
    assert fault_of_place(found(package), "pkg", other) == (
        f"{other}, which an import of pkg would run, is not a file that RECORD lists"
    )


def test_editable_install_is_refused_with_that_reason(package):
    write_dist_info(
        package, "dist", direct_url={"url": "file:///x", "dir_info": {"editable": True}}
    )
    assert "editable install" in fault(package)


def test_distribution_without_record_or_lines_is_refused(package):
    path = write_dist_info(package, "dist")
    (path / "RECORD").write_text("")
    assert "has no RECORD" in fault(package)
    (path / "RECORD").unlink()
    assert "has no RECORD" in fault(package)


def test_package_that_shadows_a_module_of_a_folder_without_an_init_is_named(package):
    (package / "pkg/inner").mkdir()
    (package / "pkg/inner/mod.py").write_text("")
    write_record(package, "dist", (*FILES, "pkg/inner/mod.py"))
    assert fault(package) is None
    (package / "pkg/inner/mod").mkdir()
    (package / "pkg/inner/mod/__init__.py").write_text("")
    assert fault(package) == f"{package / 'pkg/inner/mod/__init__.py'} is not listed in RECORD"


def test_link_to_a_listed_file_in_another_folder_is_not_the_listed_file(package, tmp_path_factory):
    write_record(package, "dist", FILES)
    farm = tmp_path_factory.mktemp("farm") / "pkg"
    farm.mkdir()
    (farm / "__init__.py").symlink_to(package / "pkg/__init__.py")
    assert fault_of_place(found(package), "pkg", str(farm / "__init__.py")) is not None


def test_folder_that_the_path_names_by_a_link_holds_the_listed_files(package, tmp_path_factory):
    write_record(package, "dist", FILES)
    link = tmp_path_factory.mktemp("links") / "site"
    link.symlink_to(package)
    proven = found(link)
    for site in (link, package):
        assert fault_of_place(proven, "pkg", str(site / "pkg/__init__.py")) is None


def test_bytecode_that_pip_listed_leaves_room_for_that_of_other_interpreters(package):
    cache = package / "pkg/__pycache__"
    cache.mkdir()
    for name in ("__init__.cpython-311.pyc", "__init__.cpython-312.pyc", "mod.cpython-311.pyc"):
        (cache / name).write_bytes(b"")
    append(package, "pkg/__pycache__/__init__.cpython-311.pyc,,\n")
    assert fault(package) is None
