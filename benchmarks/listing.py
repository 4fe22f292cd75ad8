"""What the quickest question on the command line costs."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.environments import Site
from benchmarks.measuring import Figure, Fresh, Section, Series

_SCAN = "import click, importlib_metadata as m; m.entry_points(group='aimm.plugins')"


def section(quick: bool) -> Section:
    """Figures about `aimm-plugins list`."""
    plugins, distributions = (3, 20) if quick else (100, 1000)
    site = Site(distributions=distributions, plugins=plugins)

    def process(name: str, *arguments: str) -> Fresh:
        return Fresh(name=name, arguments=arguments, site=site, whole=True, best_of=3)

    return Section(
        name="listing",
        title="Command line",
        text="Whole processes. `aimm-plugins list` reads the metadata of each plugin, and "
        "the source where it publishes no keys, as none does here. The reference imports click and "
        "importlib-metadata and asks the latter for the entry points of the group, once.",
        series=(
            Series(
                (
                    Figure(
                        name=f"`aimm-plugins list`, {plugins} plugins among {distributions:,} "
                        "distributions",
                        subject=process("`aimm-plugins list`", "-m", "aimm_plugins", "list"),
                        reference=process("imports and one scan", "-c", _SCAN),
                        target=targets.LISTING,
                    ),
                ),
                rounds=1 if quick else 15,
            ),
        ),
    )
