"""What functions take, without evaluating annotations that only type checkers can.

Since Python 3.14 an annotation is evaluated when somebody asks for it (PEP 649). A sound plugin may
annotate with a class that only type checkers import, or with one that is defined further down.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

if sys.version_info >= (3, 14):
    from annotationlib import Format

    def signature_of(
        function: Callable[..., Any],
        *,
        follow_wrapped: bool = True,
        annotations: Format = Format.FORWARDREF,
    ) -> inspect.Signature:
        """The function's signature; a name in an annotation that is not there stays a name.

        Where an annotation raises, all are text.
        """
        try:
            return inspect.signature(
                function, follow_wrapped=follow_wrapped, annotation_format=annotations
            )
        except Exception:
            return inspect.signature(
                function, follow_wrapped=follow_wrapped, annotation_format=Format.STRING
            )

    def shown_signature(function: Callable[..., Any], *, follow_wrapped: bool = True) -> str:
        """The function's signature as text, with annotations as they are written; raises likewise.

        An annotation that is not evaluated would else be shown with an address in it.
        """
        found = signature_of(function, follow_wrapped=follow_wrapped, annotations=Format.STRING)
        return found.format(quote_annotation_strings=False)

else:
    signature_of = inspect.signature

    def shown_signature(function: Callable[..., Any], *, follow_wrapped: bool = True) -> str:
        """The function's signature as text."""
        return str(inspect.signature(function, follow_wrapped=follow_wrapped))
