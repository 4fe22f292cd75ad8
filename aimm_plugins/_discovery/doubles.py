"""Which of two dist-infos in one folder is that of the files which are there.

An interrupted upgrade leaves both, with the files of the new version. The order in which a folder
is listed, by which importlib-metadata chooses, says nothing.
"""

from __future__ import annotations

import os

from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.record_file import listed
from aimm_plugins._discovery.verification import has_hash

_MOST_FILES = 100
"""Files that are compared; a difference between two versions shows in the first ones."""


def describes_better(one: Distribution, other: Distribution) -> bool:
    """Whether the files are rather those of one RECORD than those of another in the folder.

    Where both fit as well, the newer version counts.
    """
    rows = [set((listed(distribution) or {}).items()) for distribution in (one, other)]
    scores = (_score(one, rows[0] - rows[1]), _score(other, rows[1] - rows[0]))
    return scores[0] > scores[1] if scores[0] != scores[1] else _is_newer(one, other)


def _score(distribution: Distribution, rows: set[tuple[str, str]]) -> int:
    """How many files are there with the hash in RECORD, less those that are not."""
    folder = distribution.folder or ""
    info = os.path.basename(distribution.place)
    code = sorted(row for row in rows if not row[0].startswith(f"{info}/"))[:_MOST_FILES]
    return sum(1 if has_hash(os.path.join(folder, path), hash_) else -1 for path, hash_ in code)


def _is_newer(one: Distribution, other: Distribution) -> bool:
    from packaging.version import Version

    try:
        return Version(one.version or "") > Version(other.version or "")
    except ValueError:
        return False
