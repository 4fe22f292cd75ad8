"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import stat
import sys

import pytest

from aimm_plugins._system.files import write_atomically

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")


@pytest.fixture
def modes_written(monkeypatch):
    """The modes under which content lay on the disk before it took its place."""
    modes = []

    def fsync(handle):
        modes.append(stat.S_IMODE(os.fstat(handle).st_mode))

    monkeypatch.setattr(os, "fsync", fsync)
    return modes


def test_process_keeps_its_umask_all_along(tmp_path, monkeypatch):
    """It belongs to all threads: a file that another one creates meanwhile would be open to all."""
    before = os.umask(0o027)
    try:
        monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("another thread's umask"))
        write_atomically(str(tmp_path / "new"), b"content")
    finally:
        monkeypatch.undo()
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_content_of_a_file_that_is_there_is_never_more_open_than_it(tmp_path, modes_written, mode):
    path = tmp_path / "there"
    path.write_bytes(b"before")
    path.chmod(mode)
    write_atomically(str(path), b"after")
    assert path.read_bytes() == b"after"
    assert modes_written == [0o600]
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_nothing_is_left_of_what_could_not_be_written(tmp_path, monkeypatch):
    def fail(source, target):
        raise OSError("no")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match=r"^no$"):
        write_atomically(str(tmp_path / "new"), b"content")
    assert list(tmp_path.iterdir()) == []
