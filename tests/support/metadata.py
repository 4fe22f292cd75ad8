"""Installed distributions, as far as their metadata goes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_dist_info(
    site: Path,
    name: str,
    version: str = "1.0",
    *,
    entry_points: Mapping[str, str] | str | None = None,
    files: Sequence[str] = (),
    direct_url: object = None,
    installer: str | None = "pip",
) -> Path:
    """Write what pip leaves of an installed distribution, and return the dist-info folder.

    Args:
        site: Folder on the path.
        name: The distribution's name.
        version: Its version.
        entry_points: Of the group `aimm.plugins`; or the whole text of the file.
        files: What RECORD lists beside the metadata.
        direct_url: Content of `direct_url.json`.
        installer: Content of INSTALLER, or `None` for none.
    """
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if isinstance(entry_points, Mapping):
        lines = "".join(f"{key} = {value}\n" for key, value in entry_points.items())
        entry_points = f"[aimm.plugins]\n{lines}"
    if entry_points is not None:
        (folder / "entry_points.txt").write_text(entry_points, encoding="utf-8")
    if direct_url is not None:
        (folder / "direct_url.json").write_text(json.dumps(direct_url))
    if installer is not None:
        (folder / "INSTALLER").write_text(f"{installer}\n")
    (folder / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    return folder
