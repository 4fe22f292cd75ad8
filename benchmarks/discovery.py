"""What finding the installed entry points of the group costs."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.environments import PROBES, Site
from benchmarks.measuring import Figure, Fresh, Section, Series, Target

_OTHERS = (
    ("backport", "importlib_metadata", "importlib-metadata", targets.DISCOVERY_BY_ENTRY_POINTS),
    ("standard", "importlib.metadata", None, targets.DISCOVERY_BY_ENTRY_POINTS),
    ("stevedore", "stevedore, cache warm", "stevedore", targets.DISCOVERY_BY_STEVEDORE),
    ("catalogue", "catalogue", "catalogue", targets.DISCOVERY_BY_OTHERS),
    ("plux", "plux, cache warm", "plux", targets.DISCOVERY_BY_OTHERS),
)


def _probe(
    way: str, name: str, count: int, peer: str | None = None, script: str = "discover.py"
) -> Fresh:
    # One in ten is a plugin: more than is usual, and the harder case.
    return Fresh(
        name=f"{name}, {count:,}",
        needs=(peer,) if peer else (),
        arguments=(str(PROBES / script), way, str(count // 10)),
        site=Site(distributions=count, plugins=count // 10),
        best_of=3 if count < 1000 else 2 if count == 1000 else 1,
    )


def section(quick: bool) -> Section:
    """Figures about discovery."""
    sizes = (10, 20, 40) if quick else (100, 1000, 10_000)
    ours = {size: _probe("ours", "discovery", size) for size in sizes}
    series = []
    for size in sizes:
        others: list[tuple[str, Fresh, Target]] = [
            (
                "the floor",
                _probe("floor_alone", "floor", size, script="start.py"),
                targets.DISCOVERY,
            )
        ]
        others += [
            (name, _probe(way, name, size, peer), target) for way, name, peer, target in _OTHERS
        ]
        figures = tuple(
            Figure(
                name=f"{size:,} distributions, by {name}",
                subject=ours[size],
                reference=reference,
                target=target,
            )
            for name, reference, target in others
        )
        series.append(Series(figures, rounds=1 if quick else 15 if size <= 1000 else 7))
    low, high = sizes[1:]
    growth = Figure(
        name=f"{high:,} distributions by {low:,}",
        subject=ours[high],
        reference=ours[low],
        target=targets.LOADING_GROWTH,
    )
    series.append(Series((growth,), rounds=1 if quick else 9))
    return Section(
        name="discovery",
        title="Discovery",
        text="The first call in a fresh process, whose modules are imported already, over a folder "
        "of generated distributions, a tenth of which are plugins, and the interpreter's own. The "
        "floor lists each folder, opens and reads each `entry_points.txt`, and parses nothing. "
        "stevedore and plux find their disk cache filled; this package has none.",
        series=tuple(series),
    )
