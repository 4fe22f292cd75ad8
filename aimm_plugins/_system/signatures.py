"""What functions take, without evaluating annotations that only type checkers can.

Since Python 3.14 an annotation is evaluated when somebody asks for it (PEP 649). A sound plugin may
annotate with a class that only type checkers import, or with one that is defined further down.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

from aimm_plugins._system.guard import guarded
from aimm_plugins._system.masking import masked

_EVALUATED: dict[str, Any] = {}
_TEXT: dict[str, Any] = {}
if sys.version_info >= (3, 14):
    from annotationlib import Format

    # Of names that are not there, the names; and all as text, where an annotation raises.
    _EVALUATED = {"annotation_format": Format.FORWARDREF}
    _TEXT = {"annotation_format": Format.STRING}


def signature_of(function: Callable[..., Any], *, follow_wrapped: bool = True) -> inspect.Signature:
    """The function's signature; a name in an annotation that is not there stays a name."""
    try:
        return inspect.signature(function, follow_wrapped=follow_wrapped, **_EVALUATED)
    except Exception:
        return inspect.signature(function, follow_wrapped=follow_wrapped, **_TEXT)


def shown_signature(function: Callable[..., Any], *, follow_wrapped: bool = True) -> str:
    """The function's signature as text, with annotations as they are written; raises likewise.

    An annotation that is not evaluated would else be shown with an address in it. A default may be
    a secret that the plugin was given.
    """
    found: Any = inspect.signature(function, follow_wrapped=follow_wrapped, **_TEXT)
    with guarded():  # a default may have no text
        text: str = found.format(quote_annotation_strings=False) if _TEXT else str(found)
        return masked(text)
    return "(...)"
