"""The state callback as every call passes it on; what else there is of state lies in `_state`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

StateCallback = Callable[[dict[str, Any]], None]
"""What a plugin calls with a JSON-serializable dict. What it raises ends the plugin's work."""


def ignore_state(state: dict[str, Any]) -> None:
    """Stand in for the callback that a caller did not give."""
