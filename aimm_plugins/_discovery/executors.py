"""Who publishes an executor, by installed metadata; nothing of it is imported.

[aimm_plugins.executors]
dask = aimm_plugins.dask:connect
"""

from __future__ import annotations

from aimm_plugins._discovery.dotted_names import parse_target
from aimm_plugins._discovery.groups import EXECUTORS
from aimm_plugins._discovery.published import Candidate
from aimm_plugins._discovery.scan import Scan
from aimm_plugins._system.ceilings import ENTRY_POINT_LETTERS


def published_executors(installed: Scan, name: str) -> list[Candidate]:
    """The entry points of that name, sorted by distribution.

    Asked only where a conf wants an executor, so that a scan does not look for this group.
    """
    found = []
    for distribution in installed.distributions():
        content = distribution.read("entry_points.txt") or b""
        if EXECUTORS.encode() in content:
            for value in _values(content.decode("utf-8-sig", "replace"), name):
                # What names no module is reported where it cannot be imported.
                module, attribute = parse_target(value) or (value, None)
                found.append(Candidate(name, value, module, attribute, distribution))
    return sorted(found, key=lambda candidate: candidate.distribution.key)


def _values(text: str, name: str) -> list[str]:
    """What the lines of that name say; a line that cannot be read offers no executor."""
    values = []
    section = None
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line.strip("[]")
        elif section == EXECUTORS:
            key, separator, value = line.partition("=")
            if separator and key.strip() == name and len(value) <= ENTRY_POINT_LETTERS:
                values.append(value.strip())
    return values
