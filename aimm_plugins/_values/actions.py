"""The six actions, as one table: whatever differs between them is a column here."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

Action = Literal["data_access", "instantiate", "fit", "predict", "serialize", "deserialize"]

StateCallback = Callable[[dict[str, Any]], None]
"""What a plugin calls with a JSON-serializable dict. What it raises ends the plugin's work."""


def ignore_state(state: dict[str, Any]) -> None:
    """Stand in for the callback that a caller did not give."""


class ActionSpec(NamedTuple):
    """What the framework has to know of one action.

    Attributes:
        hook: Its hook in the plugin manager.
        key_argument: What callers and hooks call the key.
        takes: The argument between key and callback: `"instance"`, `"instance_bytes"` or `None`.
        free_arguments: Whether a callback and the caller's own arguments are passed.
    """

    name: Action
    hook: str
    key_argument: Literal["name", "model_type"]
    takes: Literal["instance", "instance_bytes"] | None
    free_arguments: bool


ACTIONS: dict[Action, ActionSpec] = {
    spec.name: spec
    for spec in (
        ActionSpec("data_access", "aimm_data_access", "name", None, True),
        ActionSpec("instantiate", "aimm_instantiate", "model_type", None, True),
        ActionSpec("fit", "aimm_fit", "model_type", "instance", True),
        ActionSpec("predict", "aimm_predict", "model_type", "instance", True),
        ActionSpec("serialize", "aimm_serialize", "model_type", "instance", False),
        ActionSpec("deserialize", "aimm_deserialize", "model_type", "instance_bytes", False),
    )
}

assert tuple(ACTIONS) == get_args(Action)

MODEL_ACTIONS: tuple[Action, ...] = ("instantiate", "fit", "predict", "serialize", "deserialize")
"""What `@model` declares of one class: it makes the instances, and its methods do the rest."""
