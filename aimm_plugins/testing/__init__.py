"""What authors test their plugins with: a pytest plugin, fixtures, and conformance checks.

pytest loads this module by its entry point, `-p no:aimm` leaves it out. Importing it loads neither
pytest nor the checks, so that a plugin may declare a `Conformance` in code that it ships.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aimm_plugins.testing._checks import Check, checks
    from aimm_plugins.testing._conformance import Arguments, Claim, Conformance, arguments
    from aimm_plugins.testing._distributions import InstalledDistribution
    from aimm_plugins.testing._events import StateEvents
    from aimm_plugins.testing._fixtures import parametrize_conformance
    from aimm_plugins.testing._isolation import Isolated, isolated
    from aimm_plugins.testing._process import FreshProcess
    from aimm_plugins.testing._results import CheckResult, Verdict
    from aimm_plugins.testing._verdict import check_plugin

_HOMES = {
    "Arguments": "_conformance",
    "Check": "_checks",
    "CheckResult": "_results",
    "Claim": "_conformance",
    "Conformance": "_conformance",
    "FreshProcess": "_process",
    "InstalledDistribution": "_distributions",
    "Isolated": "_isolation",
    "StateEvents": "_events",
    "Verdict": "_results",
    "arguments": "_conformance",
    "check_plugin": "_verdict",
    "checks": "_checks",
    "isolated": "_isolation",
    "parametrize_conformance": "_fixtures",
}

__all__ = [
    "Arguments",
    "Check",
    "CheckResult",
    "Claim",
    "Conformance",
    "FreshProcess",
    "InstalledDistribution",
    "Isolated",
    "StateEvents",
    "Verdict",
    "arguments",
    "check_plugin",
    "checks",
    "isolated",
    "parametrize_conformance",
]

pytest_plugins = ("aimm_plugins.testing._fixtures",)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"aimm_plugins.testing.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
