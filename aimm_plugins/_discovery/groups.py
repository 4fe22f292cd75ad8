"""The groups of entry points that are ours, and those that are nearly spelled like one of them."""

from __future__ import annotations

from aimm_plugins._system.text import nearest
from aimm_plugins._values.actions import ACTIONS

PLUGINS = "aimm.plugins"
"""The group of plugins; those of published keys are called `aimm.plugins.<action>`."""

OPTIONS = "options"
"""The group `aimm.plugins.options` is no action's: it says where schemas of options are."""

EXECUTORS = "aimm_plugins.executors"
CONFORMANCE = "aimm_plugins.conformance"
"""Entry points that name a `Conformance`, or a list of them, for the command line."""

_MOST_LETTERS = 100
_ALIKE = 0.85
"""How alike a group has to be: `aimm_plugins` and `aim.plugins` are, `acme.plugins` is not."""


def may_be_ours(content: bytes) -> bool:
    """Whether an `entry_points.txt` may have a group of ours, or one that was meant to be."""
    return b"aimm" in content or b"lugins]" in content


def suffix_of(group: str) -> str | None:
    """What a group is for: "" for plugins, else what follows the dot; `None` if it is not ours."""
    if group == PLUGINS:
        return ""
    return group.removeprefix(f"{PLUGINS}.") if group.startswith(f"{PLUGINS}.") else None


def group_meant(group: str) -> str | None:
    """The group of ours that is meant by one which nobody reads; `None` if it is another's."""
    plain = _plain(group)
    if len(group) > _MOST_LETTERS or not ("aim" in plain or "plug" in plain):
        return None  # without the module that compares
    groups = (f"{PLUGINS}.{name}" for name in (*ACTIONS, OPTIONS))
    known = {_plain(name): name for name in (PLUGINS, EXECUTORS, CONFORMANCE, *groups)}
    near = [] if group in known.values() else nearest(plain, known, cutoff=_ALIKE)
    return known[near[0]] if near else None


def _plain(group: str) -> str:
    return group.replace("_", ".").replace("-", ".").lower()
