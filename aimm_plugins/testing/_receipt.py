"""Receipts: what was checked, with the hashes of the files that it was checked with.

A receipt is information, not proof: whoever writes the files can write the receipt. No policy
looks at it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from aimm_plugins._config.json_schema import validate
from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.module_location import locate
from aimm_plugins._discovery.record_file import listed
from aimm_plugins._discovery.scan import Scan, scan
from aimm_plugins._system.files import read_file
from aimm_plugins._system.names import normalized
from aimm_plugins._values.report import Finding, PluginRecord, Report
from aimm_plugins.errors import ConfigError

if TYPE_CHECKING:  # listing plugins needs no checks
    from aimm_plugins.testing._results import Verdict

FILE = "aimm-receipt.json"
"""Name of the file in the plugin's package or in the distribution's dist-info."""

FORMAT = 1


def make_receipt(
    verdict: Verdict, plugins: Iterable[str], distribution: Distribution | None = None
) -> dict[str, Any]:
    """A receipt, as in `schemas/receipt.yaml`. Two runs that came to the same give the same.

    Args:
        verdict: What came of the checks.
        plugins: The modules that were checked.
        distribution: Who installs them, if anybody.
    """
    from importlib.metadata import version

    files: dict[str, str] = {}
    for module in plugins:
        files |= hashes(module)
    return {
        "format": FORMAT,
        "distribution": None if distribution is None else distribution.name,
        "version": None if distribution is None else distribution.version,
        "plugins": sorted(plugins),
        "versions": {
            "aimm-plugins": version("aimm-plugins"),
            "python": platform.python_version(),
        },
        "counts": verdict.counts,
        # Figures and reasons differ from run to run, and with them every commit would.
        "checks": [
            {name: each.to_dict()[name] for name in ("check", "about", "status")}
            for each in verdict.results
        ],
        "files": dict(sorted(files.items())),
    }


def write_receipt(path: str | os.PathLike[str], receipt: Mapping[str, Any]) -> None:
    """Write a receipt, whole or not at all.

    Raises:
        OSError: It cannot be written; what was there before still is.
    """
    place = Path(path)
    scratch = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        scratch.write_text(json.dumps(receipt, indent=2) + "\n", encoding="utf-8")
        os.replace(scratch, place)
    finally:
        scratch.unlink(missing_ok=True)


def read_receipt(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A receipt from a file.

    Raises:
        ConfigError: It is no receipt.
        OSError: There is no such file, or it cannot be read.
    """
    return _parsed(Path(path).read_bytes(), os.fspath(path))


def _parsed(content: bytes, place: str) -> dict[str, Any]:
    try:
        receipt: dict[str, Any] = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"no receipt: {error}", file=place) from error
    try:
        validate(receipt, "receipt")
    except ConfigError as error:
        raise ConfigError(f"no receipt: {error}", file=place) from error
    return receipt


def hashes(module: str) -> dict[str, str]:
    """SHA-256 of the files of a module's top-level package, or of the one file of a module.

    Paths begin at the folder of the top level, so that a source folder and an installation agree.
    Caches, hidden files and receipts are left out.
    """
    file = locate(module)
    if file is None:
        return {}
    root = Path(file)
    site = _site(module, root)
    if not (root.parent / "__init__.py").exists() or root.parent == site:
        return {root.relative_to(site).as_posix(): _hash(root)}
    folder = root.parent
    # Not up to a namespace package, where others have files too.
    while folder.parent != site and (folder.parent / "__init__.py").exists():
        folder = folder.parent
    found = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        if hidden or path.suffix == ".pyc" or path.name == FILE or not path.is_file():
            continue
        found[path.relative_to(site).as_posix()] = _hash(path)
    return found


def _site(module: str, file: Path) -> Path:
    """The folder that a module's top level is in."""
    return file.parents[module.count(".") + file.name.startswith("__init__.")]


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


@dataclass(frozen=True, slots=True)
class ReceiptState:
    """How an installed plugin's receipt stands to its files.

    Attributes:
        kind: Whether the files are those that were checked.
        text: In a few words.
        place: The receipt's file.
    """

    kind: Literal["fits", "differs", "unreadable"]
    text: str
    place: str


def receipt_of(record: PluginRecord, installed: Scan) -> ReceiptState | None:
    """How the receipt of an installed plugin stands to its files; `None` where there is none.

    No plugin code runs.
    """
    shipped = shipped_receipt(record, installed)
    if shipped is None:
        return None
    content, place = shipped
    try:
        return _compared(_parsed(content, place), place, record)
    except (ConfigError, OSError, ValueError, IndexError) as error:
        return ReceiptState("unreadable", str(error), place)


def _compared(receipt: Mapping[str, Any], place: str, record: PluginRecord) -> ReceiptState:
    if record.version is not None and receipt["version"] not in (None, record.version):
        return ReceiptState(
            "differs", f"is of version {receipt['version']}, not {record.version}", place
        )
    there = hashes(record.module)
    file = locate(record.module)
    told = receipt["files"]
    for path in sorted(told.keys() | there.keys()):
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise ValueError(f"{path!r} leads out of the folder")
        found = there.get(path)
        if found is None and file is not None:  # of another plugin that the receipt is about
            other = _site(record.module, Path(file)) / path
            found = _hash(other) if other.is_file() else None
        if found is None:
            return ReceiptState("differs", f"{path} is missing", place)
        if path not in told:
            return ReceiptState("differs", f"{path} is not in it", place)
        if found != told[path]:
            return ReceiptState("differs", f"{path} is not the one that was checked", place)
    counts = receipt["counts"]
    text = ", ".join(f"{counts[name]} {name}" for name in ("run", "passed") if name in counts)
    return ReceiptState("fits", text, place)


def shipped_receipt(record: PluginRecord, installed: Scan) -> tuple[bytes, str] | None:
    """A plugin's receipt: beside its code, else where RECORD lists it."""
    file = locate(record.module)
    places = []
    if file is not None:
        parents = Path(file).parents
        depth = record.module.count(".") + (Path(file).name.startswith("__init__."))
        places = [parents[up] / FILE for up in range(max(depth, 0))]
    distribution = None if record.distribution is None else _find(installed, record.distribution)
    if distribution is not None and distribution.folder is not None:
        places += [
            Path(distribution.folder) / path
            for path in listed(distribution) or ()
            if path.rpartition("/")[2] == FILE
        ]
    for place in places:
        try:
            content = read_file(str(place))
        except OSError:
            continue
        if content is not None:
            return content, str(place)
    return None


def _find(installed: Scan, name: str) -> Distribution | None:
    key = normalized(name)
    return next((each for each in installed.distributions() if each.key == key), None)


def with_receipts(report: Report) -> tuple[Report, dict[int, str]]:
    """A report with a finding for each receipt that does not fit, and what to show of each.

    Args:
        report: As `plan` returns it.

    Returns:
        The report, and by number of the plugin how its receipt stands.
    """
    installed = scan()
    shown: dict[int, str] = {}
    findings = []
    for number, record in enumerate(report.plugins):
        if record.distribution is None:
            continue
        state = receipt_of(record, installed)
        if state is None:
            continue
        shown[number] = f"{state.kind}: {state.text}"
        if state.kind != "fits":
            findings.append(
                Finding(
                    code="receipt",
                    subject=record.distribution,
                    message=f"its receipt {state.kind}: {state.text}"
                    if state.kind == "differs"
                    else f"its receipt cannot be read: {state.text}",
                    place=state.place,
                    remedy="A receipt is information; nothing depends on it.",
                )
            )
    return Report(report.plugins, (*report.findings, *dict.fromkeys(findings))), shown
