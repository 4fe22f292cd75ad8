"""What authors test their plugins with: a pytest plugin, fixtures, and conformance checks.

pytest loads this module by its entry point, `-p no:aimm` leaves it out. Importing it loads neither
pytest nor the checks, so that a plugin may declare a `Conformance` in code that it ships.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aimm_plugins.testing._checks import Check, checks
    from aimm_plugins.testing._conformance import Arguments, Claim, Conformance, arguments
    from aimm_plugins.testing._distributions import InstalledDistribution
    from aimm_plugins.testing._events import StateEvents
    from aimm_plugins.testing._fixtures import parametrize_conformance
    from aimm_plugins.testing._fresh_process import FreshProcess
    from aimm_plugins.testing._isolation import Isolated, isolated
    from aimm_plugins.testing._results import CheckResult, Verdict
    from aimm_plugins.testing._target import find_target, uncovered_keys
    from aimm_plugins.testing._trials import check_plugin

_NAMES = {
    "_checks": ("Check", "checks"),
    "_conformance": ("Arguments", "Claim", "Conformance", "arguments"),
    "_distributions": ("InstalledDistribution",),
    "_events": ("StateEvents",),
    "_fixtures": ("parametrize_conformance",),
    "_fresh_process": ("FreshProcess",),
    "_isolation": ("Isolated", "isolated"),
    "_results": ("CheckResult", "Verdict"),
    "_target": ("find_target", "uncovered_keys"),
    "_trials": ("check_plugin",),
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
    "find_target",
    "isolated",
    "parametrize_conformance",
    "uncovered_keys",
]

START_ENVIRONMENT = dict(os.environ)
"""The environment before pytest or `aimm-plugins check` imports any plugin, which may change it."""

pytest_plugins = ("aimm_plugins.testing._fixtures",)


def __getattr__(name: str) -> Any:
    for module, names in _NAMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
