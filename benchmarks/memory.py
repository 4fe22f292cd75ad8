"""What a declaration keeps in memory."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.environments import PROBES, Site
from benchmarks.measuring import Constant, Figure, Fresh, Section, Series


def section(quick: bool) -> Section:
    """Figures about memory."""
    count = 100 if quick else 10_000

    def probe(way: str, name: str) -> Fresh:
        arguments = (str(PROBES / "declare.py"), way, str(count))
        return Fresh(name=name, arguments=arguments, counts="bytes")

    plugins = 3 if quick else 100
    site = Site(distributions=plugins, plugins=plugins)

    def loaded(way: str, name: str) -> Fresh:
        arguments = (str(PROBES / "start.py"), way, str(plugins))
        return Fresh(name=name, arguments=arguments, site=site, counts="bytes")

    limit = Constant(name="1 KiB", value=1024, counts="bytes")
    return Section(
        name="memory",
        title="Memory",
        text=f"What tracemalloc counts a declaration at {count:,} declarations, without its "
        "function and its key. After the first call it has a compiled call plan too. And what it "
        f"counts for {plugins} plugins beside their modules alone, which declare a key each.",
        series=(
            Series(
                (
                    Figure(
                        name="a declaration, by 1 KiB",
                        subject=probe("memory", "declared"),
                        reference=limit,
                        target=targets.MEMORY,
                    ),
                    Figure(
                        name="a declaration that was called, by 1 KiB",
                        subject=probe("memory_called", "declared and called"),
                        reference=limit,
                        target=targets.MEMORY_CALLED,
                    ),
                    Figure(
                        name=f"{plugins} plugins by `initialize`, by importing their modules",
                        subject=loaded("memory", "initialized"),
                        reference=loaded("memory_by_hand", "imported"),
                        target=targets.MEMORY_LOADED,
                    ),
                ),
                rounds=1 if quick else 3,
            ),
        ),
    )
