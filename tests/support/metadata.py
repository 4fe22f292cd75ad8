"""Installed distributions, as far as their metadata goes."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._system.names import normalized


class Stated(Distribution):
    """A distribution of a name, version and origin, without any files."""

    def __init__(self, name, version, origin):
        super().__init__(normalized(name), "", None)
        self._headers = {"name": name, "version": version or ""}
        self._origin = origin

    def read(self, file, limit=0):
        return None


def write_dist_info(
    site: Path,
    name: str,
    version: str = "1.0",
    *,
    entry_points: Mapping[str, str] | str | None = None,
    published: Mapping[str, str] | None = None,
    files: Sequence[str] = (),
    direct_url: object = None,
    installer: str | None = "pip",
    requires: Sequence[str] = (),
) -> Path:
    """Write what pip leaves of an installed distribution, and return the dist-info folder.

    Args:
        site: Folder on the path.
        name: The distribution's name.
        version: Its version.
        entry_points: Of the group `aimm.plugins`; or the whole text of the file.
        published: `action:key` to `module:function`: keys that the metadata tells.
        files: What RECORD lists beside the metadata; with hashes of those that are there.
        direct_url: Content of `direct_url.json`.
        installer: Content of INSTALLER, or `None` for none.
        requires: Requirements.
    """
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    required = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}"
    )
    if isinstance(entry_points, Mapping):
        lines = "".join(f"{key} = {value}\n" for key, value in entry_points.items())
        entry_points = f"[aimm.plugins]\n{lines}"
    for slot, value in (published or {}).items():
        action, _, key = slot.partition(":")
        entry_points = f"{entry_points or ''}\n[aimm.plugins.{action}]\n{key} = {value}\n"
    if entry_points is not None:
        (folder / "entry_points.txt").write_text(entry_points, encoding="utf-8")
    if direct_url is not None:
        (folder / "direct_url.json").write_text(json.dumps(direct_url))
    if installer is not None:
        (folder / "INSTALLER").write_text(f"{installer}\n")
    with (folder / "RECORD").open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        for file in files:
            writer.writerow(record_row(site, file))
        for path in sorted(folder.iterdir()):
            writer.writerow(
                record_row(site, f"{folder.name}/{path.name}")
                if path.name in ("METADATA", "entry_points.txt")
                else (f"{folder.name}/{path.name}", "", "")
            )
    return folder


def record_row(site: Path, file: str) -> tuple[str, str, str]:
    """A line of RECORD for one installed file."""
    path = site / file
    if not path.is_file():
        return (file, "", "")
    content = path.read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return (file, f"sha256={digest}", str(len(content)))


def write_record(site: Path, name: str, files: Sequence[str], version: str = "1.0") -> Path:
    """Write the dist-info of a distribution whose RECORD has the hashes of files in `site`."""
    return write_dist_info(site, name, version, files=files)
