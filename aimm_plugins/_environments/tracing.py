"""Take the current trace along into a process of an environment, where something traces."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial

from aimm_plugins._system.guard import guarded


def carrier() -> dict[str, str]:
    """The current trace as headers; empty where nothing has imported OpenTelemetry."""
    found: dict[str, str] = {}
    if "opentelemetry.trace" in sys.modules:
        with guarded():
            from opentelemetry import propagate

            propagate.inject(found)
    return found


@contextmanager
def continued(headers: Mapping[str, str]) -> Generator[None]:
    """Have spans of the block be children of a trace that `carrier` took along."""
    detach: Callable[[], None] | None = None
    if headers:
        with guarded():
            from opentelemetry import context, propagate

            detach = partial(context.detach, context.attach(propagate.extract(headers)))
    try:
        yield
    finally:
        if detach is not None:
            with guarded():
                detach()
