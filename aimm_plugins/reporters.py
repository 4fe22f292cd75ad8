"""State callbacks that show progress: on rich and tqdm bars, and in a log.

Each takes what the caller made with that library, and understands any event: the keys of
`aimm_plugins.StateEvent` as what they are, others as text. Put
`aimm_plugins.reporting(..., max_per_second=10)` before one where a plugin sends very many.
"""

from __future__ import annotations

import logging
import math
import numbers
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aimm_plugins._system.guard import guarded
from aimm_plugins._system.text import one_line, type_name
from aimm_plugins._values.actions import StateCallback

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Summary", "logging_reporter", "rich_reporter", "summary", "tqdm_reporter"]

_WORDS = ("phase", "unit", "message", "warning")
_UNDERSTOOD = (*_WORDS, "step", "total", "metrics")


@dataclass(frozen=True, slots=True)
class Summary:
    """An event as a progress bar sees it.

    Attributes:
        step: How many are done, if the event says so.
        total: How many there will be, if the event says so.
        unit: What is counted; may be empty.
        phase: What is being done; may be empty.
        text: Message, metrics and all other keys in one line; may be empty.
    """

    step: float | None
    total: float | None
    unit: str
    phase: str
    text: str

    @property
    def count(self) -> str:
        """`3/20`, `3`, or nothing."""
        if self.step is None:
            return ""
        return f"{self.step:g}" if not self.total else f"{self.step:g}/{self.total:g}"

    def __str__(self) -> str:
        unit = self.unit if self.count else ""
        return " ".join(filter(None, (self.phase, self.count, unit, self.text)))


def summary(state: object) -> Summary:
    """Step, total, unit, phase and text of an event, for a progress bar.

    Never raises, and its texts hold no line breaks and no control characters.

    Args:
        state: The event; mostly a dict.

    Returns:
        The parts of the event.

    Example:
        >>> from aimm_plugins.reporters import summary
        >>> event = summary({"phase": "fit", "step": 3, "total": 20, "metrics": {"loss": 0.25}})
        >>> event.count, event.text
        ('3/20', 'loss=0.25')
    """
    if not isinstance(state, dict):
        return Summary(None, None, "", "", _shown(state))
    texts = {name: _shown(state[name]) for name in _WORDS if state.get(name) is not None}
    parts = [texts.get("warning"), texts.get("message")]
    metrics = state.get("metrics")
    if isinstance(metrics, dict):
        parts += _pairs(metrics)
    parts += _pairs({name: state[name] for name in list(state) if name not in _UNDERSTOOD})
    return Summary(
        _number(state.get("step")),
        _number(state.get("total")),
        texts.get("unit", ""),
        texts.get("phase", ""),
        " ".join(filter(None, parts)),
    )


def _pairs(values: dict[Any, Any]) -> list[str]:
    # Of a copy: the plugin may go on to fill the dict that it has sent.
    return [f"{_shown(name)}={_shown(value)}" for name, value in list(values.items())]


def _number(value: Any) -> float | None:
    with guarded():  # a plugin's own kind of number
        number = float(value) if isinstance(value, numbers.Real) else math.nan
        return number if math.isfinite(number) and not isinstance(value, bool) else None
    return None


def _shown(value: Any) -> str:
    text = f"<unprintable {type_name(value)}>"
    with guarded():  # a plugin's `__str__`; showing progress must not end its work
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return one_line(" ".join(text.split()))


def rich_reporter(progress: Progress, description: str = "") -> StateCallback:
    """A callback that shows events on a new bar of a `rich.progress.Progress`.

    Args:
        progress: Started and stopped by the caller; it has one more task afterwards.
        description: Stands before the event's own words; not markup.

    Returns:
        The callback; any thread may call it.

    Example:
        >>> from aimm_plugins.reporters import rich_reporter
        >>> from rich.progress import Progress
        >>> with Progress(disable=True) as bars:
        ...     rich_reporter(bars, "mean:")({"step": 3, "total": 20})
        ...     bars.tasks[0].completed
        3.0
    """
    from rich.markup import escape

    task = progress.add_task(escape(description), total=None)

    def report(state: dict[str, Any]) -> None:
        event = summary(state)
        words = " ".join(filter(None, (description, event.phase, event.text)))
        # None means no change to rich; an event that counts nothing leaves the bar where it is.
        progress.update(task, completed=event.step, total=event.total, description=escape(words))

    return report


def tqdm_reporter(bar: Any) -> StateCallback:
    """A callback that shows events on a `tqdm.tqdm` bar; `pip install "aimm-plugins[tqdm]"`.

    Args:
        bar: Made and closed by the caller, as in `tqdm(total=None)`; it is reset when an event
            counts from the beginning again.

    Returns:
        The callback.

    Example:
        >>> from aimm_plugins.reporters import tqdm_reporter
        >>> from tqdm import tqdm
        >>> with tqdm(total=None, disable=True) as bar:
        ...     tqdm_reporter(bar)({"step": 3, "total": 20})
    """

    def report(state: dict[str, Any]) -> None:
        event = summary(state)
        if event.unit:
            bar.unit = event.unit
        if event.phase:
            bar.set_description_str(event.phase, refresh=False)
        bar.set_postfix_str(event.text, refresh=False)
        if event.step is not None and event.step < bar.n:
            bar.reset(event.total)
        elif event.total is not None:
            bar.total = event.total
        # The bar's own clock decides whether it is drawn now.
        bar.update(0 if event.step is None else event.step - bar.n)

    return report


def logging_reporter(logger: logging.Logger, level: int = logging.INFO) -> StateCallback:
    """A callback that writes a line to a log for each event.

    The event itself is the record's attribute `state_event`, for handlers that write structured
    logs. Warnings, such as `stalled`, are logged as `WARNING` at least.

    Args:
        logger: Where to; a logger of structlog or loguru is bound to `state_event`.
        level: Of events without a warning.

    Returns:
        The callback.

    Example:
        >>> import logging, sys
        >>> from aimm_plugins.reporters import logging_reporter
        >>> form = {"format": "%(message)s", "level": logging.INFO}
        >>> logging.basicConfig(stream=sys.stdout, **form, force=True)
        >>> show = logging_reporter(logging.getLogger("training"))
        >>> show({"phase": "fit", "step": 3, "total": 20, "metrics": {"loss": 0.25}})
        fit 3/20 loss=0.25
    """

    def report(state: dict[str, Any]) -> None:
        warns = isinstance(state, dict) and bool(state.get("warning"))
        grade = max(level, logging.WARNING) if warns else level
        bind = getattr(logger, "bind", None)
        if bind is not None:
            bind(state_event=state).log(grade, str(summary(state)))
        elif logger.isEnabledFor(grade):
            logger.log(grade, "%s", summary(state), extra={"state_event": state})

    return report
