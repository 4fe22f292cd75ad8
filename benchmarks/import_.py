"""What importing the package costs."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.measuring import Figure, Fresh, Section, Series


def _process(name: str, code: str) -> Fresh:
    return Fresh(name=name, arguments=("-c", code), whole=True, best_of=3)


def section(quick: bool) -> Section:
    """Figures about `import aimm_plugins`."""
    empty = _process("an empty process", "pass")
    pluggy = _process("`import pluggy`", "import pluggy")
    ours = _process("`import aimm_plugins`", "import aimm_plugins")
    return Section(
        name="import",
        title="Import",
        text="Whole processes, from their start to their end. The target is about these; the "
        "second line takes an empty interpreter off both sides.",
        series=(
            Series(
                (
                    Figure(
                        name="`import aimm_plugins`",
                        subject=ours,
                        reference=pluggy,
                        target=targets.IMPORT,
                    ),
                    Figure(
                        name="`import aimm_plugins`, beyond an empty process",
                        subject=ours - empty,
                        reference=pluggy - empty,
                        target=targets.IMPORT_BEYOND_EMPTY,
                    ),
                ),
                rounds=1 if quick else 25,
            ),
        ),
    )
