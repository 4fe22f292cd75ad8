"""What a declaration keeps in memory."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.environments import PROBES
from benchmarks.measuring import Constant, Figure, Fresh, Section, Series


def section(quick: bool) -> Section:
    """Figures about memory."""
    count = 100 if quick else 10_000

    def probe(way: str, name: str) -> Fresh:
        arguments = (str(PROBES / "declare.py"), way, str(count))
        return Fresh(name=name, arguments=arguments, counts="bytes")

    limit = Constant(name="1 KiB", value=1024, counts="bytes")
    return Section(
        name="memory",
        title="Memory",
        text=f"What tracemalloc counts a declaration at {count:,} declarations, without its "
        "function and its key. After the first call it has a compiled call plan too.",
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
                ),
                rounds=1 if quick else 3,
            ),
        ),
    )
