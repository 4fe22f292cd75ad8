"""What differs between two fingerprints, as a table with remedies."""

from __future__ import annotations

from typing import Any, TypeAlias

from aimm_plugins._parity.fingerprint import Fingerprint
from aimm_plugins._parity.rows import FingerprintRow
from aimm_plugins._registry.providers import Slot
from aimm_plugins._system.names import pip_install
from aimm_plugins._system.text import aligned
from aimm_plugins._values.difference import Difference, Kind


class Differences(tuple[Difference, ...]):
    """The differences of two fingerprints; false if there are none."""

    __slots__ = ()

    def __str__(self) -> str:
        if not self:
            return "no difference"
        cells = [("what", "first", "second", "keys")]
        for row in self:
            keys = ", ".join(f"{action}:{key}" for action, key in row.provides)
            cells.append((row.kind, row.first or "-", row.second or "-", keys))
        lines = [f"  {line}" for line in aligned(cells)]
        lines.append("To make the second like the first:")
        lines += dict.fromkeys(f"  {row.remedy}" for row in self)
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """JSON-serializable."""
        return {"differences": [row.to_dict() for row in self]}


def compare(first: Fingerprint, second: Fingerprint) -> Differences:
    """Compare the plugins of two places, as a table of differences.

    Args:
        first: How it should be, such as in the host.
        second: How it is, such as in a worker.

    Returns:
        The differences, those of one plugin together; none where both are the same.

    Example:
        >>> from aimm_plugins import compare, data_access, fingerprint
        >>> before = fingerprint()
        >>> @data_access("answer")
        ... def answer():
        ...     return 42
        >>> [difference.kind for difference in compare(fingerprint(), before)]
        ['missing']
    """
    if first.digest == second.digest:
        return Differences()
    wanted: dict[Slot, FingerprintRow] = {(row.action, row.key): row for row in first.rows}
    found: dict[Slot, FingerprintRow] = {(row.action, row.key): row for row in second.rows}
    groups: dict[_Group, list[Slot]] = {}
    for slot in sorted(wanted.keys() | found.keys()):
        group = _difference(wanted.get(slot), found.get(slot))
        if group is not None:
            groups.setdefault(group, []).append(slot)
    return Differences(
        Difference(kind=kind, provides=tuple(slots), first=one, second=other, remedy=remedy)
        for (kind, one, other, remedy), slots in groups.items()
    )


_Group: TypeAlias = "tuple[Kind, str | None, str | None, str]"
"""What the keys of one plugin differ in: kind, both plugins and remedy."""


def _difference(first: FingerprintRow | None, second: FingerprintRow | None) -> _Group | None:
    if first is None:
        assert second is not None
        name = second.distribution or second.module
        remedy = f"take {name} out: uninstall it, or deny it in the conf"
        return "unexpected", None, _release(second), remedy
    if second is None:
        return "missing", _release(first), None, _installing(first, "missing")
    if first == second:
        return None
    same_owner = first.distribution == second.distribution
    same_version = first.version == second.version
    # Another version of a distribution may have its plugin in another module.
    if not same_owner or (same_version and first.module != second.module):
        # A rule that names the distribution would not choose between two of its own plugins.
        choice = first.module if same_owner else first.distribution or first.module
        remedy = f'prefer: {{"{first.key}": {choice}}}  (in the conf)'
        return "other provider", first.plugin, second.plugin, remedy
    kind: Kind = "files differ" if same_version else "version differs"
    return kind, _release(first), _release(second), _installing(first, kind)


def _release(row: FingerprintRow) -> str:
    """The plugin with the beginning of its digest: `aimm-svc 1.2 3f9a51c07d2e`."""
    return f"{row.owner} {(row.files or '')[:12]}".rstrip()


def _installing(row: FingerprintRow, kind: Kind) -> str:
    if row.distribution is None and row.module == "__main__":
        return "declare it in a module; what a main program or a notebook declares stays there"
    if row.distribution is None:
        return f"put the same {row.module} on the path, and into `names` of the conf"
    wanted = f"{row.distribution}=={row.version}" if row.version else row.distribution
    if kind == "files differ":
        return pip_install(wanted, "--force-reinstall ")
    return pip_install(wanted) + ("  (and let the conf load it)" if kind == "missing" else "")
