"""Artifacts that differ from what `pack` makes, and are whole all the same."""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

HEAD = struct.Struct(">8sHHIIIQ")


def parts(artifact: bytes) -> tuple[dict[str, Any], bytes, bytes]:
    """Info, signature and payload."""
    *_, info, signature, _, _ = HEAD.unpack(artifact[:32])
    text, rest = artifact[64 : 64 + info], artifact[64 + info :]
    return json.loads(text), rest[:signature], rest[signature:]


def joined(
    info: bytes,
    signature: bytes = b"",
    payload: bytes = b"",
    version: tuple[int, int] = (1, 0),
    reserved: int = 0,
) -> bytes:
    """An artifact of its parts, with the digest that they have."""
    head = HEAD.pack(
        b"\x89AIMM\r\n\x1a", *version, len(info), len(signature), reserved, len(payload)
    )
    return head + hashlib.sha256(head + info + signature).digest() + info + signature + payload


def repacked(artifact: bytes, *, payload: Any = None, **changes: Any) -> bytes:
    """The artifact with other keys in its info; `...` takes one out."""
    info, signature, content = parts(artifact)
    if payload is not None and not isinstance(payload, bytes):
        changes["payload"] = payload
    elif payload is not None:
        content = payload
        changes["payload"] = {
            "size": len(payload),
            "sha256": hashlib.sha256(payload).hexdigest(),
        }
    info = {key: value for key, value in {**info, **changes}.items() if value is not ...}
    return joined(json.dumps(info).encode(), signature, content)
