"""What starting costs where most plugins are heavy and one light one is used."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.environments import PROBES, Site
from benchmarks.measuring import Figure, Fresh, Section, Series

_HEAVY = ("numpy", "pandas", "scipy", "scikit-learn")


def section(quick: bool) -> Section:
    """Figures about `load: lazy`."""
    site = Site(heavy=20)

    def probe(way: str, name: str, *needs: str, best_of: int = 3) -> Fresh:
        return Fresh(
            name=name,
            needs=needs,
            arguments=(str(PROBES / "lazy.py"), way),
            site=site,
            whole=True,
            best_of=1 if quick else best_of,
        )

    lazy = probe("lazy", "lazy", "aimm_plugins:load")
    return Section(
        name="lazy",
        title="Lazy start",
        text="Whole processes that call one light plugin. Beside it 20 plugins are installed that "
        "import numpy, pandas, scipy and scikit-learn; all publish their keys. By hand means: "
        "`import aimm_plugins` and the light module.",
        series=(
            Series(
                (
                    Figure(
                        name="lazy by hand",
                        subject=lazy,
                        reference=probe("by_hand", "by hand"),
                        target=targets.LAZY,
                    ),
                ),
                rounds=1 if quick else 15,
            ),
            Series(
                (
                    Figure(
                        name="lazy by eager",
                        subject=lazy,
                        reference=probe("eager", "eager", *_HEAVY, best_of=1),
                        target=targets.LAZY_BY_EAGER,
                    ),
                ),
                rounds=1 if quick else 7,
            ),
        ),
    )
