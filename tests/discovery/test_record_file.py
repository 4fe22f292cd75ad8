"""RECORD: what a distribution installed, and the digest of it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from aimm_plugins._discovery.record_file import listed, record_digest, top_levels
from aimm_plugins._discovery.scan import scan
from tests.support.metadata import write_dist_info


def digest(site: Path) -> str | None:
    (distribution,) = scan([str(site)]).distributions()
    return record_digest(distribution)


def test_digest_is_of_the_wheel_not_of_the_installation(tmp_path):
    folder = write_dist_info(tmp_path, "dist")
    own = "pkg/__init__.py,sha256=abc,3\npkg/a.py,sha256=def,3\n"
    (folder / "RECORD").write_text(own)
    first = digest(tmp_path)
    (folder / "RECORD").write_text(
        "../../../bin/tool,sha256=x,1\npkg/__pycache__/a.pyc,sha256=x,\n"
        f"{folder.name}/INSTALLER,sha256=x,4\n{folder.name}/direct_url.json,sha256=x,4\n"
        f"{folder.name}/REQUESTED,sha256=x,0\n{folder.name}/RECORD,,\n"
        f"{folder.name}/RECORD.jws,,\n{folder.name}/RECORD.p7s,,\nbin/tool,sha256=x,1\n"
        + "".join(reversed(own.splitlines(keepends=True)))
    )
    assert digest(tmp_path) == first
    assert first.startswith("sha256:")


def test_digest_is_the_same_wherever_data_files_and_headers_are_put(tmp_path):
    record = write_dist_info(tmp_path, "dist") / "RECORD"
    digests = set()
    for out, include in (
        ("../../../", "../../../include/py"),
        ("../../", "include"),
        ("", "include"),
    ):
        record.write_text(
            f"a.py,sha256=abc,3\n{out}share/a.txt,sha256=x,1\n{include}/a.h,sha256=x,1\n"
            f"../../../bin/run.py,sha256={len(out)},1\n../../Scripts/run.exe,sha256={len(out)},1\n"
        )
        digests.add(digest(tmp_path))
    assert len(digests) == 1
    record.write_text("a.py,sha256=abc,3\n../../../share/a.txt,sha256=other,1\n")
    assert digest(tmp_path) not in digests


def test_record_in_utf_16_says_nothing(tmp_path):
    """Read as UTF-8 it would list other files, so that a deny rule would miss what it installed."""
    record = write_dist_info(tmp_path, "dist") / "RECORD"
    record.write_bytes("pkg/a.py,sha256=abc,3\n".encode("utf-16"))
    (distribution,) = scan([str(tmp_path)]).distributions()
    assert listed(distribution) is None
    assert top_levels(distribution) is None


def test_digest_tells_another_wheel_and_needs_a_record(tmp_path):
    record = write_dist_info(tmp_path, "dist") / "RECORD"
    record.write_text("a.py,sha256=abc,3\n")
    first = digest(tmp_path)
    for other in ("a.py,sha256=abd,3\n", "a.py,sha256=abc,3\nbin/a.py,sha256=x,1\n"):
        record.write_text(other)
        assert digest(tmp_path) != first
    record.unlink()
    assert digest(tmp_path) is None


_PARTS = ["a", "b.py", "/", ",", '"', ".", "\\", "\r", "\n", "\r\n", "\ufeff", " ", "sha256=x"]


@given(st.lists(st.sampled_from(_PARTS), max_size=25).map("".join))
def test_every_file_that_is_listed_is_beneath_one_of_the_top_levels(text):
    with tempfile.TemporaryDirectory() as folder:
        (write_dist_info(Path(folder), "dist") / "RECORD").write_bytes(text.encode())
        (distribution,) = scan([folder]).distributions()
        files, tops = listed(distribution) or {}, top_levels(distribution) or frozenset()
        assert {file.partition("/")[0].partition(".")[0] for file in files} <= tops
