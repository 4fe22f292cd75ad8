"""Look at module objects."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from aimm_plugins._system.guard import guarded

contents: Callable[[Any], dict[str, Any]] = vars(ModuleType)["__dict__"].__get__
"""The module's real `__dict__`, even if its class overrides `__dict__` or `__getattribute__`."""


def is_initializing(spec: object) -> bool:
    """Whether Python is running the body of the module that the spec belongs to."""
    with guarded():  # a module may replace its spec by any object
        return bool(getattr(spec, "_initializing", False))
    return False
