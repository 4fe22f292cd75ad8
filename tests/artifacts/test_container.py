"""The archive of an artifact: whole and as it was written, or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import mmap
import struct
import zipfile
from binascii import crc32

import pytest

from aimm_plugins import unpack
from aimm_plugins._artifacts.container import INFO_LIMIT, frame, join, split
from tests.support.artifacts import archive, assert_refused, joined, parts, repacked


@pytest.mark.parametrize("end", range(0, 800, 7))
def test_artifact_that_is_cut_off_is_damaged(artifact, end):
    if end < len(artifact):
        assert_refused(artifact[:end], "damaged")


@pytest.mark.parametrize("position", [12, 20, 26, 40, 70, -3, -1])
def test_artifact_with_a_changed_byte_is_damaged(artifact, position):
    data = bytearray(artifact)
    data[position] ^= 1
    assert_refused(data, "damaged")


def test_artifact_with_something_behind_it_is_damaged(artifact):
    assert_refused(artifact + b"x", "damaged", "followed by something else")


def test_transfer_as_text_says_to_fetch_it_as_binary(artifact):
    data = repacked(artifact, payload=b"1\r\n2\r\n").replace(b"\r\n", b"\n")
    assert_refused(data, "damaged", "Fetch it again, as binary")


def test_bytes_of_another_kind_are_no_artifact(artifact):
    assert_refused(b"\x80\x04K\x07.", "format", "no artifact", "exec_deserialize(model_type, data)")


def test_text_is_a_type_error():
    with pytest.raises(TypeError, match="an artifact is bytes, and was given str"):
        unpack("data")


def test_zip_archive_of_another_kind_is_no_artifact():
    assert_refused(archive(("data.pkl", b"")), "format", "exec_deserialize(model_type, data)")


def test_same_members_make_the_same_bytes_for_ever():
    digest = hashlib.sha256(join(b"{}", b"[]", b"model", crc32(b"model"))).hexdigest()
    assert digest == KNOWN


KNOWN = "8a750a87f1a99258352b1d59b5df7482b4527e604b2213a72118a285a1af5ae8"


def test_members_come_out_as_they_went_in():
    data = join(b"{}", b"[]", b"model", crc32(b"model"))
    assert split(memoryview(data)) == (b"{}", b"[]", b"model", crc32(b"model"))


def members(artifact):
    """Info and payload as members of an archive."""
    info, _, payload = parts(artifact)
    return ("info.json", json.dumps(info).encode()), ("payload", payload)


def patched(artifact, at, form, *values):
    """The artifact with other numbers at a place; a negative one is counted from the end."""
    data = bytearray(artifact)
    struct.pack_into(form, data, at if at >= 0 else len(data) + at, *values)
    return bytes(data)


def streamed(artifact):
    """What zipfile writes to a stream that it cannot seek in: sizes behind the contents."""

    class Stream(io.RawIOBase):
        def __init__(self):
            self.written = b""

        def writable(self):
            return True

        def write(self, data):
            self.written += bytes(data)
            return len(data)

    stream = Stream()
    with zipfile.ZipFile(stream, "w") as opened:
        for name, content in members(artifact):
            opened.writestr(name, content)
    return stream.written


def with_comment(artifact):
    stream = io.BytesIO(artifact)
    with zipfile.ZipFile(stream, "a") as opened:
        opened.comment = b"PK"
    return stream.getvalue()


def zip64(artifact, size):
    """The artifact with a payload whose size is in a 64-bit field."""
    info, payload = (content for _, content in members(artifact))
    header, big, directory = frame(
        {"info.json": (len(info), crc32(info)), "payload": (2**33, crc32(payload))}
    )
    big = big.replace(struct.pack("<Q", 2**33), struct.pack("<Q", size))
    return header + info + big + payload + directory


PAYLOAD_HEADER = 30 + len("payload") + len("7")
END = 22
PAYLOAD_ENTRY = END + 46 + len("payload")

HOSTILE = {
    "compressed": lambda a: archive(*members(a), compress_type=zipfile.ZIP_DEFLATED),
    "compressed_by_word": lambda a: patched(a, 8, "<H", 8),
    "encrypted": lambda a: patched(a, 6, "<H", 1),
    "strongly_encrypted": lambda a: patched(a, 6, "<H", 0x41),
    "utf8_flag": lambda a: patched(a, 6, "<H", 0x800),
    "sizes_behind_contents": streamed,
    "extra_field": lambda a: archive(*members(a), extra=b"\x99\x99\0\0"),
    "comment_of_members": lambda a: archive(*members(a), comment=b"x"),
    "comment_of_the_archive": with_comment,
    "another_date": lambda a: archive(*members(a), date_time=(2020, 1, 1, 0, 0, 0)),
    "info_twice": lambda a: archive(members(a)[0], ("info_json", b"{}"), members(a)[1]).replace(
        b"info_json", b"info.json"
    ),
    "payload_twice": lambda a: archive(*members(a), ("pay_load", b"8")).replace(
        b"pay_load", b"payload\0"
    ),
    "another_member_at_the_end": lambda a: archive(*members(a), ("evil.py", b"")),
    "another_member_in_the_middle": lambda a: archive(members(a)[0], ("x", b""), members(a)[1]),
    "payload_first": lambda a: archive(*reversed(members(a))),
    "no_payload": lambda a: archive(members(a)[0]),
    "no_info": lambda a: archive(members(a)[1]),
    "many_members": lambda a: archive(*members(a), *((f"{n}", b"") for n in range(5000))),
    "nul_in_a_name": lambda a: archive(members(a)[0], ("payload_.py", b"7")).replace(
        b"payload_", b"payload\0"
    ),
    "longer_name": lambda a: archive(members(a)[0], ("payload" + "/x" * 20_000, b"7")),
    "something_before": lambda a: b"#!/bin/sh\n" + a,
    "something_between": lambda a: a.replace(b"PK\1\2", b"xPK\1\2", 1),
    "another_archive_behind": lambda a: a + joined(b"{}"),
    "wrong_checksum_in_the_header": lambda a: patched(a, a.index(b"payload7") - 16, "<I", 5),
    "wrong_checksum_in_the_directory": lambda a: patched(a, -PAYLOAD_ENTRY + 16, "<I", 5),
    "wrong_checksum_of_the_info": lambda a: patched(a, 14, "<I", 5),
    "larger_info": lambda a: patched(a, 18, "<2I", 2**31, 2**31),
    "largest_info": lambda a: patched(a, 18, "<2I", 2**32 - 1, 2**32 - 1),
    "smaller_info": lambda a: patched(a, 18, "<2I", 2, 2),
    "two_sizes": lambda a: patched(a, 18, "<I", 2),
    "another_size_in_the_directory": lambda a: patched(a, -PAYLOAD_ENTRY + 24, "<I", 0),
    "overlapping_entries": lambda a: patched(a, -PAYLOAD_ENTRY + 42, "<I", 0),
    "entry_beyond_the_file": lambda a: patched(a, -PAYLOAD_ENTRY + 42, "<I", 2**31),
    "symbolic_link": lambda a: patched(a, -PAYLOAD_ENTRY + 38, "<I", 0o120777 << 16),
    "several_disks": lambda a: patched(a, -END + 4, "<2H", 1, 1),
    "count_of_entries": lambda a: patched(a, -END + 8, "<2H", 1, 1),
    "directory_elsewhere": lambda a: patched(a, -END + 16, "<I", 0),
    "larger_directory": lambda a: patched(a, -END + 12, "<I", 2**32 - 1),
    "no_directory": lambda a: a[: a.index(b"PK\1\2")],
    "sizes_of_64_bits": lambda a: zip64(a, 1),
    "largest_size_of_64_bits": lambda a: zip64(a, 2**64 - 1),
    "beyond_the_file_by_64_bits": lambda a: zip64(a, 2**40),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_archive_that_pack_would_not_write_is_refused(artifact, kind):
    data = HOSTILE[kind](artifact)
    assert data != artifact
    expected = {"something_before": "format", "payload_first": "format", "no_info": "format"}
    assert_refused(data, expected.get(kind, "damaged"))


def test_refusal_of_a_compressed_member_says_so(artifact):
    assert_refused(HOSTILE["compressed"](artifact), "damaged", "info.json", "is compressed")


def test_refusal_of_an_encrypted_member_says_so(artifact):
    assert_refused(HOSTILE["encrypted"](artifact), "damaged", "info.json", "is encrypted")


def test_longer_info_than_any_is_refused_by_its_stated_size():
    data = archive(("info.json", b" " * (INFO_LIMIT + 1)), ("payload", b""))
    assert_refused(data, "damaged", f"states {INFO_LIMIT + 1} bytes of info.json")


def test_payload_of_more_than_4_gib_is_a_member_as_others_see_it(tmp_path):
    """The file is sparse: its payload is never read, and takes no room."""
    size = 2**32 + 1
    first, second, directory = frame({"info.json": (2, crc32(b"{}")), "payload": (size, 5)})
    path = tmp_path / "large.aimm"
    with path.open("wb") as stream:
        stream.write(first + b"{}" + second)
        stream.seek(size, io.SEEK_CUR)
        stream.write(directory)
    with zipfile.ZipFile(path) as opened:
        assert [(member.filename, member.file_size) for member in opened.infolist()] == [
            ("info.json", 2),
            ("payload", size),
        ]
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as all_:
        found = split(memoryview(all_))
        assert (found.info, found.payload.nbytes, found.crc) == (b"{}", size, 5)
        del found
