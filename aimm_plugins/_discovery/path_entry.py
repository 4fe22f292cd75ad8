"""What one folder, zip or finder on the path holds, and which of two with one name counts."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from aimm_plugins._discovery.distribution import Distribution, InFolder, is_beneath, spellings
from aimm_plugins._discovery.groups import PLUGINS
from aimm_plugins._values.report import Finding

_MOST_FILES = 100
"""Files of two dist-infos that are compared; a difference shows in the first ones."""

Hidden = Mapping[str, tuple[Distribution, ...]]
"""By normalized name: metadata that other metadata of the same name hides."""


class PathEntry(NamedTuple):
    """The distributions in one folder, or of one zip or finder, by normalized name.

    Attributes:
        held: The name of the dist-info or egg-info, else the place of the metadata.
        contents: The `entry_points.txt` of those that may speak of our groups.
        found: What a finder gave. Those in a folder are made when they are asked for: to make an
            object for each of 10,000 would slow down every scan.
    """

    folder: str | None
    held: dict[str, str]
    contents: dict[str, bytes]
    found: Mapping[str, Distribution] = MappingProxyType({})

    def distribution(self, key: str, hidden: tuple[Distribution, ...] = ()) -> Distribution:
        known = self.found.get(key)
        return known or InFolder(key, self.folder or "", self.held[key], hidden)


def hide_duplicates(entries: Sequence[PathEntry], findings: list[Finding]) -> Hidden:
    """Take those distributions out that another of their name hides, and return them.

    The first on the path counts, as it does for imports. One with a METADATA file goes before one
    without, which is most often what is left of an older version; of two in one folder that one
    counts whose files are there.
    """
    hidden: dict[str, tuple[Distribution, ...]] = {}
    seen: set[str] = set()
    for entry in entries:
        for key in sorted(seen & entry.held.keys()):
            counts, loses = next(first for first in entries if key in first.held), entry
            winner, loser = counts.distribution(key), loses.distribution(key)
            if _counts_all_the_same(loser, winner):
                counts, loses, winner, loser = loses, counts, loser, winner
            if any(PLUGINS.encode() in one.contents.get(key, b"") for one in (counts, loses)):
                findings += _finding(winner, loser, by_metadata=counts is entry)
            hidden[key] = (*hidden.get(key, ()), loser)
            del loses.held[key]
            loses.contents.pop(key, None)
        seen.update(entry.held)
    return hidden


def _finding(winner: Distribution, loser: Distribution, *, by_metadata: bool) -> list[Finding]:
    if _is_same(winner.place, loser.place):
        return []
    if _is_build_of(loser, winner) or _is_build_of(winner, loser) or _is_of_base(loser, winner):
        return []
    if winner.folder is not None and winner.folder == loser.folder:
        code = "double-distribution"
        counts, loses = os.path.basename(winner.place), os.path.basename(loser.place)
        message = (
            f"stands twice in one folder, as an interrupted upgrade leaves it: {counts} counts, "
            f"{loses} does not"
        )
    else:
        code = "hidden-distribution"
        why = "which has a METADATA file" if by_metadata else "which comes first"
        message = f"{loser.place} is hidden by {winner.place}, {why}"
    remedy = f"Uninstall {loser.key} until pip finds none, then install it once."
    return [Finding(code, loser.key, message, loser.place, remedy)]


def _is_build_of(build: Distribution, installed: Distribution) -> bool:
    """Whether metadata is what the build of an editable install has left in the source folder.

    setuptools leaves it in `src/`, which is on the path.
    """
    root = installed.editable_root
    return (
        root is not None
        and build.place.endswith(".egg-info")
        and any(is_beneath(build.place, spelling) for spelling in spellings(root))
    )


def _is_of_base(loser: Distribution, winner: Distribution) -> bool:
    """Whether a virtual environment has its own of what it shares with the Python beneath it."""
    import site

    own, base = (site.getsitepackages([prefix]) for prefix in (sys.prefix, sys.base_prefix))
    return own != base and winner.folder in own and loser.folder in base


def _counts_all_the_same(later: Distribution, earlier: Distribution) -> bool:
    """Whether metadata counts although other metadata of its name comes first."""
    has_metadata = later.has_metadata
    if has_metadata != earlier.has_metadata:
        return has_metadata
    if later.folder is None or later.folder != earlier.folder:
        return False
    return _describes_better(later, earlier)


def _describes_better(one: Distribution, other: Distribution) -> bool:
    """Whether the files of a folder are rather those of one RECORD than of another one in it.

    An interrupted upgrade leaves both. Where both fit as well, the newer version counts.
    """
    from aimm_plugins._discovery.record_file import listed  # most folders have no doubles

    rows = [set((listed(distribution) or {}).items()) for distribution in (one, other)]
    scores = (_score(one, rows[0] - rows[1]), _score(other, rows[1] - rows[0]))
    return scores[0] > scores[1] if scores[0] != scores[1] else _is_newer(one, other)


def _score(distribution: Distribution, rows: set[tuple[str, str]]) -> int:
    """How many files are there with the hash in RECORD, less those that are not."""
    from aimm_plugins._discovery.verification import has_hash

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


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False
