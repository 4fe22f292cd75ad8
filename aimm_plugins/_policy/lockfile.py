"""Freeze files: which distributions, in which version with which files, a host may load.

A freeze file is a list of pip requirements, so that `pip install -r` installs what it names; the
digest of RECORD stands behind each in a comment, since pip's own `--hash` is that of an archive.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from aimm_plugins._config.values import Config
from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._system.files import read_file
from aimm_plugins._system.names import normalized
from aimm_plugins.errors import ConfigError

_LINE = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*==\s*(?P<version>[^\s#;]+)"
    r"\s+#\s*record\s+(?P<digest>sha256:[0-9a-f]{64})"
)
_MAX_BYTES = 8 * 1024 * 1024


class LockEntry(NamedTuple):
    """One distribution of a freeze file; `digest` is `sha256:` and the digest of its RECORD."""

    name: str
    version: str
    digest: str
    line: int


class Lock(NamedTuple):
    """A freeze file that was read, with its entries by normalized name."""

    file: str
    entries: Mapping[str, LockEntry] = MappingProxyType({})


def read_lock(config: Config, locked: str) -> Lock:
    """Read a freeze file; messages call it by the words of the conf that names it."""
    called = os.path.join(os.path.dirname(config.source or ""), locked)
    try:
        content = read_file(config.resolved(locked), _MAX_BYTES)
        if content is None:
            raise FileNotFoundError("there is no such file")
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        advice = "aimm-plugins freeze -o writes it so"
        raise ConfigError("is not UTF-8", file=called, expected=advice) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        place = config.where("locked")
        advice = f"the file that {place} locks; aimm-plugins freeze -o writes it"
        raise ConfigError(f"cannot be read: {reason}", file=called, expected=advice) from error
    return parse_lock(text, called)


def parse_lock(text: str, called: str) -> Lock:
    """The entries of a freeze file's text; `called` is its name in messages."""
    entries: dict[str, LockEntry] = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ConfigError(
                f"{line[:100]!r} locks nothing",
                file=called,
                line=number,
                expected="name==version  # record sha256:...; aimm-plugins freeze writes it",
            )
        name = normalized(match["name"])
        if name in entries:
            raise ConfigError(
                f"{match['name']} is locked twice, first in line {entries[name].line}",
                file=called,
                line=number,
            )
        entries[name] = LockEntry(match["name"], match["version"], match["digest"], number)
    return Lock(called, entries)


def freeze_line(distribution: Distribution, digest: str | None) -> str | None:
    """A distribution's line in a freeze file; `None` where there is nothing to compare.

    That is so without a digest of RECORD, and without a sound version and name: what reads the
    file, pip too, would take the rest of such a line for other lines.
    """
    from packaging.version import InvalidVersion, Version

    try:
        Version(distribution.version or "")
    except InvalidVersion:
        return None
    line = f"{distribution.name}=={distribution.version}  # record {digest}"
    return f"{line}\n" if _LINE.fullmatch(line) else None
