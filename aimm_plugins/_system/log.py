"""The package's logger, imported late: importing logging takes 5 ms."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging


def logger() -> logging.Logger:
    """The logger `aimm_plugins`."""
    import logging

    return logging.getLogger("aimm_plugins")
