"""A plugin that serializes, and artifacts that differ from what `pack` makes.

The artifacts are written and read by `zipfile`, as sound archives.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import aimm_plugins
from aimm_plugins import ArtifactError, initialize, unpack
from tests.support.metadata import write_dist_info

SOURCE = """
@serialize(['k'])
def dump(model): return repr(model).encode()

@deserialize(['k'])
def load(data):
    assert type(data) is bytes
    return int(data)
"""


def install_svc(
    site: Path,
    version: str = "1.2",
    name: str = "aimm-svc",
    module: str = "svc",
    source: str = SOURCE,
) -> None:
    """Install a distribution, in place of its other versions, whose plugin serializes `k`."""
    for old in site.glob(f"{name.replace('-', '_')}-*.dist-info"):
        shutil.rmtree(old)
    (site / f"{module}.py").write_text(f"from aimm_plugins import *\n{source}")
    importlib.invalidate_caches()
    write_dist_info(site, name, version, entry_points={"ep": module}, files=[f"{module}.py"])


def restart(conf: Any = None) -> aimm_plugins.Report:
    """Start again, as far as plugins go."""
    from aimm_plugins._startup.runtime import PROCESS

    aimm_plugins.unload_all()
    PROCESS.runtime.versions.clear()
    sys.modules.pop("svc", None)
    return initialize(conf)


def assert_refused(data: bytes, reason: str, *words: str) -> ArtifactError:
    """The error of an artifact that is not loaded."""
    with pytest.raises(ArtifactError) as caught:
        unpack(data)
    assert caught.value.reason == reason, str(caught.value)
    for word in words:
        assert word in str(caught.value)
    return caught.value


def parts(artifact: bytes) -> tuple[dict[str, Any], bytes, bytes]:
    """Info, signature (empty if there is none) and payload."""
    with zipfile.ZipFile(io.BytesIO(artifact)) as archive:
        info, *signature, payload = (archive.read(name) for name in archive.namelist())
    return json.loads(info), b"".join(signature), payload


def archive(*members: tuple[str, bytes], **more: Any) -> bytes:
    """A ZIP archive with the headers that artifacts have; `more` are fields of each member."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        for name, content in members:
            member = zipfile.ZipInfo(name)
            member.create_system, member.external_attr = 3, 0o100644 << 16
            for field, value in more.items():
                setattr(member, field, value)
            opened.writestr(member, content)
    return stream.getvalue()


def joined(info: bytes, signature: bytes = b"", payload: bytes = b"") -> bytes:
    """An artifact of its parts."""
    signed = [("signature.json", signature)] if signature else []
    return archive(("info.json", info), *signed, ("payload", payload))


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
