"""The hooks, one an action, and what their implementations return."""

from __future__ import annotations

from typing import Any, NamedTuple

import pluggy

PROJECT = "aimm_plugins"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks an implementation of one of the hooks in a plugin module."""


class Result(NamedTuple):
    """The result of a call, boxed: every value is legal, `None` too.

    Attributes:
        value: The returned value; for predict `(instance, prediction)`.
    """

    value: Any


Args = tuple[Any, ...]
Kwargs = dict[str, Any]


class HookSpecs:
    """The hooks, one an action, which take keywords and stop at the first `Result`.

    The key is `name` or `model_type`; `state_cb` is the caller's callback, or one that does
    nothing; `args` and `kwargs` are what the caller gave for the plugin. An implementation returns
    its answer in a `Result`, or `None` to pass.
    """

    @hookspec(firstresult=True)
    def aimm_data_access(
        self, name: str, state_cb: Any, args: Args, kwargs: Kwargs
    ) -> Result | None:
        """Access data."""

    @hookspec(firstresult=True)
    def aimm_instantiate(
        self, model_type: str, state_cb: Any, args: Args, kwargs: Kwargs
    ) -> Result | None:
        """Make a model instance."""

    @hookspec(firstresult=True)
    def aimm_fit(
        self, model_type: str, instance: Any, state_cb: Any, args: Args, kwargs: Kwargs
    ) -> Result | None:
        """Fit an instance; the answer is the fitted one."""

    @hookspec(firstresult=True)
    def aimm_predict(
        self, model_type: str, instance: Any, state_cb: Any, args: Args, kwargs: Kwargs
    ) -> Result | None:
        """Predict with an instance; the answer is `(instance, prediction)`."""

    @hookspec(firstresult=True)
    def aimm_serialize(self, model_type: str, instance: Any) -> Result | None:
        """Turn an instance into bytes."""

    @hookspec(firstresult=True)
    def aimm_deserialize(self, model_type: str, instance_bytes: Any) -> Result | None:
        """Make an instance of bytes."""
