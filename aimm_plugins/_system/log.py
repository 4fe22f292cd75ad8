"""The package's logger, imported late: importing logging takes 5 ms."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aimm_plugins._system.guard import guarded
from aimm_plugins._system.masking import tells_a_secret
from aimm_plugins._system.text import described, safe_text

if TYPE_CHECKING:
    import logging


def logger() -> logging.Logger:
    """The logger `aimm_plugins`."""
    import logging

    return logging.getLogger("aimm_plugins")


def loggable(error: BaseException) -> BaseException:
    """The error, or one with its traceback and class, if a handler could not write its text.

    Its text may not be encodable, `__str__` may raise, and it may tell a secret.
    """
    with guarded():
        if str(error) == safe_text(error) and not tells_a_secret(error):
            return error
    return RuntimeError(described(error)).with_traceback(error.__traceback__)


@contextmanager
def silent_log() -> Generator[None]:
    """Keep failures out of logging's fallback handler, stderr: the answer has them."""
    import logging

    handler = logging.NullHandler()
    logger().addHandler(handler)
    try:
        yield
    finally:
        logger().removeHandler(handler)
