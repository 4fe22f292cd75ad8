"""The ZIP archive that an artifact is: its members come in, bytes go out, and back.

The members are stored, not compressed, in this order: `info.json`, which says what the artifact is;
`signature.json`, which unsigned artifacts do not have; and `payload`, what `exec_serialize`
returned.

All other bytes follow from sizes and checksums of the members, and `split` compares them with those
that `join` would write. So an archive can hold nothing else: no further members, no name twice, no
compression, encryption or comments, no second sizes, nothing before, between or after.

`zipfile` opens artifacts, but cannot check them like that. It reads the directory at the end and
ignores most of the headers, so that two programs can see two models in one file. It makes an object
for every entry before a limit can be looked at. And the bytes that it writes may change with
Python, while artifacts are kept for years.

Reference: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, sections 4.3.7 to 4.3.16.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

from aimm_plugins.errors import ArtifactError

Data = bytes | bytearray | memoryview

INFO, SIGNATURE, PAYLOAD = "info.json", "signature.json", "payload"
INFO_LIMIT = 1024 * 1024
"""Bytes of the longest info."""
_LIMITS = {INFO: INFO_LIMIT, SIGNATURE: 4096, PAYLOAD: 1 << 62}

_BEGIN = b"PK\3\4"
_HEADER = 30
"""Bytes of a header before its name."""
_NEW_YEAR_1980, _UNIX, _FILE_MODE = 0x21, 3 << 8, 0o100644 << 16
_NONE = 0xFFFFFFFF
"""Says that the number is in a 64-bit field."""
_BIG = _NONE - 2 * INFO_LIMIT
"""Bytes of the largest payload after which the directory is sure to begin before 4 GiB."""

_CHUNK = 256 * 1024
"""Bytes that stay in a processor's cache between two checksums."""


def checksums(content: Data) -> tuple[str, int]:
    """SHA-256 in hex, and CRC-32, in one pass: that takes three quarters of the time of two."""
    import hashlib
    from binascii import crc32

    view, digest, crc = memoryview(content), hashlib.sha256(), 0
    for start in range(0, view.nbytes, _CHUNK):
        chunk = view[start : start + _CHUNK]
        digest.update(chunk)
        crc = crc32(chunk, crc)
    return digest.hexdigest(), crc


class Parts(NamedTuple):
    """The members of an archive; the payload's checksum is only stated so far."""

    info: bytes
    signature: bytes | None
    payload: memoryview
    crc: int


def frame(members: Mapping[str, tuple[int, int]]) -> list[bytes]:
    """The headers of members (name to size and CRC-32, the payload last), and what follows them."""
    pieces: list[bytes] = []
    directory, offset, big = b"", 0, False
    for name, (size, crc) in members.items():
        big = size > _BIG
        extra = struct.pack("<2H2Q", 1, 16, size, size) if big else b""
        version, stated = (45, _NONE) if big else (20, size)
        # 0, 0, 0: no flags, no compression, midnight.
        fields = (version, 0, 0, 0, _NEW_YEAR_1980, crc, stated, stated, len(name), len(extra))
        named = name.encode() + extra
        pieces.append(struct.pack("<4s5H3I2H", _BEGIN, *fields) + named)
        entry = (b"PK\1\2", _UNIX | version, *fields, 0, 0, 0, _FILE_MODE, offset)
        directory += struct.pack("<4s6H3I5H2I", *entry) + named
        offset += len(pieces[-1]) + size
    count, length = len(members), len(directory)
    end = b""
    if big:
        record = (b"PK\6\6", 44, _UNIX | 45, 45, 0, 0, count, count, length, offset)
        end = struct.pack("<4sQ2H2I4Q4sIQI", *record, b"PK\6\7", 0, offset + length, 1)
        offset = _NONE
    end += struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, length, offset, 0)
    return [*pieces, directory + end]


def join(info: bytes, signature: bytes | None, payload: Data, crc: int) -> bytes:
    """The archive of these members; the same bytes for the same members, always."""
    contents: dict[str, Data] = {INFO: info}
    if signature is not None:
        contents[SIGNATURE] = signature
    members = {name: (len(text), checksums(text)[1]) for name, text in contents.items()}
    *headers, directory = frame({**members, PAYLOAD: (len(payload), crc)})
    pairs = zip(headers, [*contents.values(), payload], strict=True)
    return b"".join([*(piece for pair in pairs for piece in pair), directory])


def split(data: memoryview) -> Parts:
    """Take an archive apart, believing nothing; the payload is neither read nor copied."""
    members: dict[str, tuple[int, int]] = {}
    contents: dict[str, memoryview] = {}
    at = 0
    for name in (INFO, SIGNATURE, PAYLOAD):
        if name == SIGNATURE and data[at + _HEADER :][: len(name)] != name.encode():
            continue
        header, size, crc = _stated(data[at:], name)
        start, at = at + len(header), at + len(header) + size
        if at > data.nbytes:
            raise damaged(f"the artifact is cut off: it states {at} bytes and has {data.nbytes}")
        members[name], contents[name] = (size, crc), data[start:at]
        if name != PAYLOAD and checksums(contents[name])[1] != crc:
            raise damaged(f"{name} in the artifact is not what was written")
    directory = frame(members)[-1]
    end = bytes(data[at : at + len(directory) + 1])
    if end != directory:
        what = "cut off" if directory.startswith(end) else "followed by something else"
        raise damaged(f"the artifact is {what} after {PAYLOAD}")
    signature = bytes(contents[SIGNATURE]) if SIGNATURE in contents else None
    return Parts(bytes(contents[INFO]), signature, contents[PAYLOAD], members[PAYLOAD][1])


def _stated(data: memoryview, name: str) -> tuple[bytes, int, int]:
    """The header of a member, and the size and checksum that it states."""
    found = bytes(data[: _HEADER + len(name) + 20])
    spelled = found[_HEADER : _HEADER + len(name)]
    if not (_BEGIN.startswith(found[: len(_BEGIN)]) and name.encode().startswith(spelled)):
        if name != INFO:
            raise damaged(f"the artifact has no {name} in its place")
        raise ArtifactError(
            "these bytes are no artifact: they do not begin as one. Plain bytes of exec_serialize "
            "are read by exec_deserialize(model_type, data), and packed with pack() after that.",
            reason="format",
        )
    if len(spelled) < len(name):
        raise damaged(f"the artifact is cut off where {name} begins")
    flags, method, crc, size = struct.unpack_from("<6x2H4xI4xI", found)
    if size == _NONE and len(found) == _HEADER + len(name) + 20:
        (size,) = struct.unpack_from("<4xQ", found, _HEADER + len(name))
    if size > _LIMITS[name]:
        raise damaged(f"the artifact states {size} bytes of {name}, of {_LIMITS[name]} at most")
    header = frame({name: (size, crc)})[0]
    if not found.startswith(header):
        odd = "compressed" if method else "encrypted" if flags & 1 else "not as pack writes it"
        raise damaged(f"{name} in the artifact is {odd}: another program has written or changed it")
    return header, size, crc


def damaged(message: str) -> ArtifactError:
    """The error of an artifact that is not whole, or not as it was written."""
    remedy = "Nothing of it was loaded. Fetch it again, as binary, or save it again."
    return ArtifactError(f"{message}. {remedy}", reason="damaged")
