"""The checks: one list behind `check_plugin`, `parametrize_conformance` and the verb `check`."""

from aimm_plugins.testing._checks import calls, events, imports, metadata, round_trips
from aimm_plugins.testing._checks.registry import Check, Kind, checks

__all__ = ["Check", "Kind", "checks"]

# Each registers the checks of its subject. Naming them here imports them where imports are lazy.
_SUBJECTS = (calls, events, imports, metadata, round_trips)
