"""What artifacts and fingerprints cost."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.environments import PROBES
from benchmarks.measuring import Figure, Fresh, Section, Series


def section(quick: bool) -> Section:
    """Figures about saved models and about what is registered."""

    def probe(way: str, name: str) -> Fresh:
        return Fresh(name=name, arguments=(str(PROBES / "artifacts.py"), way))

    copied = probe("copied", "SHA-256 and a copy")
    figures = (
        Figure(
            name="`pack` of 100 MB, by hashing and copying them",
            subject=probe("pack", "pack"),
            reference=copied,
            target=targets.PACK,
        ),
        Figure(
            name="`unpack` of 100 MB, by hashing and copying them",
            subject=probe("unpack", "unpack"),
            reference=copied,
            target=targets.PACK,
        ),
        Figure(
            name="`fingerprint` of 100 plugins, by hashing their sources",
            subject=probe("fingerprint", "fingerprint"),
            reference=probe("hashed", "sources hashed"),
            target=targets.FINGERPRINT,
        ),
    )
    return Section(
        name="artifacts",
        title="Artifacts and fingerprints",
        text="A plugin that hands 100 MB on as they are, so that nothing but `pack` and `unpack` "
        "is measured; and packages of five files that declare four keys each, which are listed, "
        "read and hashed by both sides.",
        series=(Series(figures, rounds=1 if quick else 8),),
    )
