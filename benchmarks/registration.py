"""What declaring costs as declarations become many."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.environments import PROBES, Site
from benchmarks.measuring import Figure, Fresh, Section, Series


def section(quick: bool) -> Section:
    """Figures about decorators."""
    low, high = (20, 200) if quick else (1000, 10_000)
    site = Site(declares=(low, high))

    def probe(way: str, name: str, count: int) -> Fresh:
        return Fresh(
            name=f"{name}, {count:,}",
            arguments=(str(PROBES / "declare.py"), way, str(count)),
            site=site,
            best_of=1 if quick else 2,
        )

    return Section(
        name="registration",
        title="Registration",
        text="Ten times the declarations in a fresh process: by hand, each callable at once, and "
        "in one module that `initialize` loads. The garbage collector runs.",
        series=tuple(
            Series(
                (
                    Figure(
                        name=f"{high:,} declarations by {low:,}, {name}",
                        subject=probe(way, name, high),
                        reference=probe(way, name, low),
                        target=targets.DECLARING_GROWTH,
                    ),
                ),
                rounds=1 if quick else 11,
            )
            for way, name in (("by_hand", "by hand"), ("by_initialize", "by `initialize`"))
        ),
    )
