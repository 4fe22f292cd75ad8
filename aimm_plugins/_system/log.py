"""The package's logger, asked for when there is something to say: logging takes 5 ms to load."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging


def logger() -> logging.Logger:
    """The logger `aimm_plugins`."""
    import logging

    return logging.getLogger("aimm_plugins")
