"""Throw-away installed distributions: real metadata in a temporary folder."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib
import json
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aimm_plugins._discovery.groups import PLUGINS

_WHEEL = "Wheel-Version: 1.0\nGenerator: aimm-plugins\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledDistribution:
    """The distribution that `make_distribution` installed.

    Attributes:
        name: As its metadata spells it.
        version: Its version.
        folder: The folder on `sys.path`.
        dist_info: Its metadata folder in there.
        modules: Names of its modules.
    """

    name: str
    version: str
    folder: Path
    dist_info: Path
    modules: tuple[str, ...]


def write_distribution(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    modules: Mapping[str, str] | None = None,
    entry_points: Mapping[str, str] | Mapping[str, Mapping[str, str]] | None = None,
    published: Mapping[str, str] | None = None,
    files: Mapping[str, str | bytes] | None = None,
    requires: tuple[str, ...] = (),
    direct_url: Mapping[str, object] | None = None,
) -> InstalledDistribution:
    """Write what an installer leaves of a distribution; see the fixture `make_distribution`."""
    rows: list[tuple[str, str, str]] = []

    def write(path: str, content: str | bytes, *, with_hash: bool = True) -> None:
        raw = content if isinstance(content, bytes) else textwrap.dedent(content).encode()
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(raw)
        digest = base64.urlsafe_b64encode(hashlib.sha256(raw).digest()).rstrip(b"=").decode()
        rows.append((path, f"sha256={digest}", str(len(raw))) if with_hash else (path, "", ""))

    sources = dict(modules or {})
    for module, source in sources.items():
        is_package = any(other.startswith(f"{module}.") for other in sources)
        write(module.replace(".", "/") + ("/__init__.py" if is_package else ".py"), source)
    for path, content in (files or {}).items():
        write(path, content)
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    write(f"{info}/METADATA", metadata)
    write(f"{info}/WHEEL", _WHEEL)
    if text := _entry_points(entry_points or {}, published or {}):
        write(f"{info}/entry_points.txt", text)
    # What installers write has no hash in RECORD.
    write(f"{info}/INSTALLER", "pip\n", with_hash=False)
    if direct_url is not None:
        write(f"{info}/direct_url.json", json.dumps(direct_url), with_hash=False)
    rows.append((f"{info}/RECORD", "", ""))
    with (folder / info / "RECORD").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)
    importlib.invalidate_caches()
    return InstalledDistribution(
        name=name, version=version, folder=folder, dist_info=folder / info, modules=tuple(sources)
    )


def _entry_points(
    entry_points: Mapping[str, str] | Mapping[str, Mapping[str, str]], published: Mapping[str, str]
) -> str:
    groups: dict[str, dict[str, str]] = {}
    for name, value in entry_points.items():
        if isinstance(value, str):
            groups.setdefault(PLUGINS, {})[name] = value
        else:
            groups.setdefault(name, {}).update(value)
    for slot, value in published.items():
        action, _, key = slot.partition(":")
        groups.setdefault(f"{PLUGINS}.{action}", {})[key] = value
    return "\n".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items())
        for group, lines in groups.items()
    )


def forget_modules(folder: Path) -> None:
    inside = str(folder)
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        path = list(getattr(module, "__path__", ())) if file is None else [file]
        if any(isinstance(place, str) and place.startswith(inside) for place in path):
            del sys.modules[name]
    importlib.invalidate_caches()
