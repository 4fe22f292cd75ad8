"""The checks: one list behind `check_plugin`, `parametrize_conformance` and `aimm-plugins check`.

Each module registers the checks of its subject.
"""

from aimm_plugins.testing._checks import calls, events, imports, metadata, round_trips
from aimm_plugins.testing._checks.registry import Check, Kind, checks

__all__ = ["Check", "Kind", "calls", "checks", "events", "imports", "metadata", "round_trips"]
