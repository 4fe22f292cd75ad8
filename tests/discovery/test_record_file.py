"""RECORD: the digest of what a distribution installed."""

from __future__ import annotations

from pathlib import Path

from aimm_plugins._discovery.record_file import record_digest
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
        + "".join(reversed(own.splitlines(keepends=True)))
    )
    assert digest(tmp_path) == first
    assert first.startswith("sha256:")


def test_digest_tells_another_wheel_and_needs_a_record(tmp_path):
    record = write_dist_info(tmp_path, "dist") / "RECORD"
    record.write_text("a.py,sha256=abc,3\n")
    first = digest(tmp_path)
    record.write_text("a.py,sha256=abd,3\n")
    assert digest(tmp_path) != first
    record.unlink()
    assert digest(tmp_path) is None
