"""Digests of sources: which files count, and that it does not matter how they are installed."""

from __future__ import annotations

import pytest

import aimm_plugins
from aimm_plugins import Fingerprint, fingerprint, initialize
from tests.conftest import names

SVC = "@fit(['k'])\ndef f(m): ...\n@predict(['k'])\ndef g(m): ...\n"


def again(*modules: str) -> Fingerprint:
    """The fingerprint of modules, `p` by default, from nothing."""
    aimm_plugins.unload_all()
    initialize(names(*modules or ("p",)))
    return fingerprint()


def test_line_ends_do_not_matter(site):
    text = b"from aimm_plugins import fit\n@fit(['k'])\ndef f(m): ...\n"
    (site / "p.py").write_bytes(text)
    unix = again()
    (site / "p.py").write_bytes(text.replace(b"\n", b"\r\n"))
    assert again() == unix


def test_file_of_the_package_that_declares_nothing_counts(write, site):
    write(p____init__=SVC, p__deep__part="X = 1\n")
    before = again()
    (site / "p" / "deep" / "part.py").write_text("X = 2\n")
    assert again() != before


def test_renamed_file_counts(write, site):
    write(p____init__=SVC, p__part="X = 1\n")
    before = again()
    (site / "p" / "part.py").rename(site / "p" / "other.py")
    assert again() != before


def test_bytecode_and_other_files_do_not_count(write, site):
    write(p____init__=SVC)
    before = again()
    (site / "p" / "__pycache__").mkdir(exist_ok=True)
    (site / "p" / "__pycache__" / "x.py").write_text("")
    (site / "p" / "data.csv").write_text("")
    assert again() == before


def test_neighbours_in_a_namespace_do_not_count(write, site):
    write(nspace__p=SVC)
    before = again("nspace.p")
    write(nspace__neighbour="")
    assert again("nspace.p") == before
    assert before.rows[0].files is not None


def test_outermost_package_counts_for_a_plugin_deep_within(write, site):
    write(
        outermost____init__="",
        outermost__plugins____init__="",
        outermost__plugins__p=SVC,
        outermost__shared="X = 1\n",
    )
    before = again("outermost.plugins.p")
    (site / "outermost" / "shared.py").write_text("X = 2\n")
    assert again("outermost.plugins.p") != before


def test_declaring_module_outside_the_plugin_counts_too(write, site):
    write(borrowing="import loose\n", loose=SVC)
    before = again("borrowing")
    (site / "loose.py").write_text((site / "loose.py").read_text() + "# changed\n")
    assert again("borrowing") != before
    assert len(before.rows) == 2


# Installed distributions


def write_package(site, folder="p"):
    """A package with the plugin `p`, its files as Python sources have them everywhere."""
    files = {f"{folder}/__init__.py": SVC, f"{folder}/part.py": "X = 1\n"}
    (site / folder).mkdir(parents=True)
    for path, text in files.items():
        (site / path).write_text(f"from aimm_plugins import *\n{text}")
    return list(files)


def test_wheel_and_editable_install_have_the_same_row(site, install):
    files = write_package(site)
    source = {"url": site.as_uri(), "dir_info": {"editable": True}}
    folder = install("d", entry_points={"ep": "p"}, direct_url=source)
    editable = again()
    folder.rename(site.parent / "uninstalled")
    install("d", entry_points={"ep": "p"}, files=[*files, "../../bin/p.py", "p/x.so"])
    assert again() == editable
    assert editable.rows[0].distribution == "d"


def test_source_of_an_installed_wheel_is_not_read(site, install):
    install("d", entry_points={"ep": "p"}, files=write_package(site))
    before = again()
    (site / "p" / "part.py").write_text("X = 2\n")
    assert again() == before


def test_every_package_of_an_installed_distribution_counts(site, install):
    files = write_package(site)
    (site / "helper.py").write_text("X = 1\n")
    install("d", entry_points={"ep": "p"}, files=[*files, "helper.py"])
    before = again()
    (site / "helper.py").write_text("X = 2\n")
    (site / "d-1.0.dist-info").rename(site.parent / "uninstalled")
    install("d", entry_points={"ep": "p"}, files=[*files, "helper.py"])
    assert again() != before


@pytest.mark.parametrize(
    "record",
    [
        None,
        "",
        "p/__init__.py,,\np/part.py,,\n",
        "p/__init__.py\n",
        "p/__init__.py,sha512=AAAA,1\n",
        "p/__init__.py,sha256=?,1\n",
        "p/part.py,sha256=AAAA,1\n",
        "__editable___d_finder.py,sha256=AAAA,1\n",
        '"' + "x" * 200_000 + '",,\n',
    ],
)
def test_files_are_read_where_record_has_no_hashes_of_them(site, install, record):
    write_package(site)
    wanted = again().rows[0].files
    folder = install("d", entry_points={"ep": "p"})
    if record is None:
        (folder / "RECORD").unlink()
    else:
        (folder / "RECORD").write_text(record)
    assert again().rows[0][2:] == ("d", "1.0", "p", wanted)
