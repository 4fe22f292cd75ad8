"""What a call passes through: hookimpls and monitors at one moment."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pluggy

from aimm_plugins._dispatch.hookspecs import Result

Execute = Callable[[str, Sequence[pluggy.HookImpl], Mapping[str, object], bool], Any]
"""Runs a hook: its name, its implementations, the arguments, whether the first result ends."""

Monitor = tuple[Callable[..., None], Callable[..., None]]
"""What pluggy calls before and after each hook call."""


class Chain(NamedTuple):
    """What a call of one action passes through besides the declared function.

    Attributes:
        implementations: Executors and wrappers as pluggy orders them: the last is called first.
        execute: pluggy's own loop over implementations, within the monitors.
        monitors: What sees calls before and after, the last one outermost.
        execute_unmonitored: pluggy's loop without the monitors.
    """

    implementations: tuple[pluggy.HookImpl, ...]
    execute: Execute
    monitors: tuple[Monitor, ...]
    execute_unmonitored: Execute

    @property
    def is_empty(self) -> bool:
        """Whether calls reach the declared function alone, and nothing sees them."""
        return not self.implementations and not self.monitors

    def within(self, implementations: Sequence[pluggy.HookImpl]) -> Chain:
        """Other implementations, for a call within one that the monitors see already."""
        return self._replace(
            implementations=tuple(implementations), execute=self.execute_unmonitored, monitors=()
        )

    @property
    def has_executor(self) -> bool:
        """Whether something may answer calls before the declared function."""
        return any(not is_wrapper(impl) for impl in self.implementations)


def is_wrapper(impl: pluggy.HookImpl) -> bool:
    return impl.wrapper or impl.hookwrapper


def answering(impl: pluggy.HookImpl) -> pluggy.HookImpl:
    """A hookimpl whose plain function is held to its word: a `Result`, or `None` to pass."""
    if is_wrapper(impl):
        return impl
    function = impl.function

    @functools.wraps(function)
    def answer(*args: object, **kwargs: object) -> object:
        answered = function(*args, **kwargs)
        if answered is None or isinstance(answered, Result):
            return answered
        raise TypeError(
            f"hookimpl {getattr(function, '__qualname__', function)} of plugin {impl.plugin_name} "
            f"returned {type(answered).__name__}; return aimm_plugins.Result(value) to answer the "
            "call, or None to pass"
        )

    return pluggy.HookImpl(impl.plugin, impl.plugin_name, answer, impl.opts)
