"""The package's logger, imported late: importing logging takes 5 ms."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aimm_plugins._system.guard import chain, guarded
from aimm_plugins._system.masking import tells_a_secret
from aimm_plugins._system.text import described, safe_text

if TYPE_CHECKING:
    import logging


def logger() -> logging.Logger:
    import logging

    return logging.getLogger("aimm_plugins")


def loggable(error: BaseException) -> BaseException:
    """The error, or one with its traceback and class, if a handler could not write its text.

    Its text may not be encodable, `__str__` may raise, and it may tell a secret.
    """
    with guarded():
        text = safe_text(error)
        if str(error) == text and not tells_a_secret(error):
            if not any(map(_breaks_its_traceback, chain(error))):
                return error
            if type(error) is ModuleNotFoundError:
                return ModuleNotFoundError(text).with_traceback(error.__traceback__)
    return RuntimeError(described(error)).with_traceback(error.__traceback__)


def _breaks_its_traceback(error: BaseException) -> bool:
    """Whether Python 3.15 fails to write its traceback.

    It looks for other files of a missing module in its parent. A parent that failed is imported
    once more for that, and the new error leaves the printing (python/cpython#151631).
    """
    if not isinstance(error, ModuleNotFoundError) or not isinstance(error.name, str):
        return False
    parent = error.name.rpartition(".")[0]
    return bool(parent) and parent not in sys.modules


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
