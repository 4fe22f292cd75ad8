"""Record state events as they are sent, and find what is wrong with them."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any


class StateEvents(list[Any]):
    """A list of state events that is a state callback too: each event is copied as it is sent.

    It is true also while it is empty, since plugins ask `if state_cb:`.

    Attributes:
        sent: The very objects that were sent.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Any] = []

    def __call__(self, event: Any) -> None:
        """Record an event."""
        self.sent.append(event)
        self.append(copy.deepcopy(event))

    def __bool__(self) -> bool:
        return True

    @property
    def steps(self) -> list[Any]:
        """The `step` of each event that has one."""
        return [event["step"] for event in self if isinstance(event, dict) and "step" in event]

    def check(self) -> None:
        """Hold all events to the schema, and their steps to going forward and arriving.

        Raises:
            AssertionError: Something is wrong with them; the text has all of it.
        """
        faults = [*invalid(self), *backward(self), *unfinished(self), *shared(self.sent)]
        if faults:
            raise AssertionError("state events are not in order:\n  " + "\n  ".join(faults))


def invalid(events: Sequence[Any]) -> list[str]:
    """What is wrong with events on their own: not JSON, or not as `schemas/state-event.yaml`."""
    from jsonschema import Draft202012Validator

    from aimm_plugins._config.json_schema import schema

    validator = Draft202012Validator(schema("state-event"))
    faults = []
    for number, event in enumerate(events, start=1):
        if not isinstance(event, dict):
            faults.append(f"event {number} is a {type(event).__name__}, not a dict")
            continue
        try:
            json.dumps(event, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            faults.append(f"event {number} is not JSON: {error}: {event!r:.200}")
            continue
        for fault in validator.iter_errors(event):
            place = ".".join(map(str, fault.absolute_path)) or "its root"
            faults.append(f"event {number}: at {place}: {fault.message}")
    return faults


def backward(events: Sequence[Any]) -> list[str]:
    """Steps that go back or beyond the total, within one phase."""
    faults = []
    last: dict[str | None, float] = {}
    for number, phase, step, total in _positions(events):
        if step < last.get(phase, step):
            faults.append(f"event {number}: step {step:g} after step {last[phase]:g}")
        if total is not None and step > total:
            faults.append(f"event {number}: step {step:g} of a total of {total:g}")
        last[phase] = step
    return faults


def unfinished(events: Sequence[Any]) -> list[str]:
    """Phases with a total whose last step is not the total."""
    ends = {phase: (step, total) for _, phase, step, total in _positions(events)}
    return [
        f"{f'phase {phase!r}' if phase else 'the work'} ended at step {step:g} of {total:g}"
        for phase, (step, total) in ends.items()
        if total is not None and step < total
    ]


def shared(sent: Sequence[Any]) -> list[str]:
    """One dict that was sent again after it was changed: receivers that keep it see it change."""
    if len({id(event) for event in sent}) == len(sent):
        return []
    return ["one and the same dict was sent several times; send a new one each time"]


def _positions(events: Sequence[Any]) -> Iterator[tuple[int, str | None, float, float | None]]:
    """Number, phase, step and total of the events that have a step."""
    for number, event in enumerate(events, start=1):
        if isinstance(event, dict) and (step := _number(event.get("step"))) is not None:
            phase = event.get("phase")
            name = phase if isinstance(phase, str) else None
            yield number, name, step, _number(event.get("total"))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value
