"""What starting a host with many plugins costs."""

from __future__ import annotations

from benchmarks import targets
from benchmarks.environments import PROBES, Site
from benchmarks.measuring import Figure, Fresh, Section, Series

_SCRIPT = str(PROBES / "start.py")


def _probe(way: str, name: str, site: Site) -> Fresh:
    return Fresh(
        name=name,
        needs=("stevedore",) if "stevedore" in way else (),
        arguments=(_SCRIPT, way, str(site.plugins)),
        site=site,
        whole=way.endswith("_whole"),
        best_of=5 if way == "ours_isolated" else 3 if site.plugins < 1000 else 1,
    )


def section(quick: bool) -> Section:
    """Figures about `initialize`."""
    plugins, distributions, rounds = (3, 20, 1) if quick else (100, 1000, 15)
    among = Site(distributions=distributions, plugins=plugins)
    few = Site(distributions=distributions, plugins=plugins // 10)
    alone = Site(distributions=plugins, plugins=plugins)
    tenfold = Site(distributions=10 * plugins, plugins=10 * plugins)
    half_broken = Site(distributions=plugins, plugins=plugins, broken=plugins)
    twice = Site(distributions=2 * plugins, plugins=2 * plugins)
    without = _probe("ours_isolated", f"{plugins} plugins", alone)
    return Section(
        name="initialize",
        title="Start",
        text="Plugins are modules that declare one key. stevedore loads the same modules, by an "
        "`ExtensionManager` whose disk cache is filled. By hand means: the floor of the discovery, "
        "and importing the modules by name. Each call is the first in a process that has imported "
        "what it uses, which takes this package some 10 ms. The whole process, from its start to "
        "its end, has that in it. `plan` reads metadata and the sources of plugins. The last "
        "figure is what broken plugins add to a call, by what as many sound ones add, in a process "
        "that has called `initialize` before without plugins, and whose log handler drops the "
        "tracebacks. What the first failure of a process imports, some milliseconds, is in it.",
        series=(
            Series(
                (
                    Figure(
                        name=f"`initialize`, {plugins} plugins among {distributions:,} "
                        "distributions, by stevedore",
                        subject=_probe("ours", "initialize", among),
                        reference=_probe("by_stevedore", "stevedore", among),
                        target=targets.INITIALIZE,
                    ),
                    Figure(
                        name="the same by hand",
                        subject=_probe("ours", "initialize", among),
                        reference=_probe("by_hand", "by hand", among),
                        target=targets.INITIALIZE_BY_HAND,
                    ),
                    Figure(
                        name="a second `initialize`, by `importlib.metadata.entry_points`",
                        subject=_probe("ours_again", "initialize again", among),
                        reference=_probe("entry_points", "entry_points", among),
                        target=targets.INITIALIZE_AGAIN,
                    ),
                    Figure(
                        name=f"`plan`, {plugins // 10} plugins among {distributions:,} "
                        "distributions, by stevedore finding them",
                        subject=_probe("planned", "plan", few),
                        reference=Fresh(
                            name="stevedore finds",
                            needs=("stevedore",),
                            arguments=(str(PROBES / "discover.py"), "stevedore", "0"),
                            site=few,
                            best_of=3,
                        ),
                        target=targets.PLAN,
                    ),
                    Figure(
                        name=f"whole process, {plugins} plugins, by stevedore",
                        subject=_probe("ours_whole", "whole process", alone),
                        reference=_probe("by_stevedore_whole", "whole process, stevedore", alone),
                        target=targets.WHOLE_START,
                    ),
                ),
                rounds,
            ),
            Series(
                (
                    Figure(
                        name=f"{10 * plugins:,} plugins by {plugins}",
                        subject=_probe("ours", "initialize tenfold", tenfold),
                        reference=_probe("ours", "initialize alone", alone),
                        target=targets.LOADING_GROWTH,
                    ),
                ),
                rounds,
            ),
            Series(
                (
                    Figure(
                        name=f"{plugins} broken plugins beside {plugins}, by {plugins} more sound "
                        "ones",
                        subject=_probe("ours_isolated", f"{plugins} more broken", half_broken)
                        - without,
                        reference=_probe("ours_isolated", f"{2 * plugins} plugins", twice)
                        - without,
                        target=targets.BROKEN_PLUGINS,
                    ),
                ),
                rounds,
            ),
        ),
    )
