"""What an author says of a plugin: arguments to call it with, claims, and known failures."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from aimm_plugins._system.signatures import signature_of
from aimm_plugins._values.actions import Action

Claim = Literal["deterministic", "thread_safe", "distributable"]


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of one call, without key, instance and state callback; see `arguments`."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


def arguments(*args: Any, **kwargs: Any) -> Arguments:
    """The arguments of one call, as the plugin is to be given them.

    Args:
        *args: The positional arguments.
        **kwargs: The keyword arguments.

    Returns:
        The arguments.

    Example:
        >>> from aimm_plugins.testing import arguments
        >>> arguments([1.0, 2.0], epochs=3).kwargs
        {'epochs': 3}
    """
    return Arguments(args, kwargs)


Given = Arguments | tuple[Any, ...] | Mapping[str, Any]
Source = Callable[..., Given]
"""A function that makes new arguments each time, or a hypothesis strategy of such values."""


@dataclass(frozen=True, kw_only=True)
class Conformance:
    """The arguments of a plugin's checks, and the claims of its author.

    A source of arguments is a function or a hypothesis strategy; both give `arguments(...)`, a
    tuple of positional arguments, or a dict of keywords. A function is called once for each call;
    one that takes a parameter is given a number, 0 or 1, and should give other data for each: only
    so a check can see whether instances mix. Without a source the call is made without arguments.

    Args:
        model_type: Key of the model; either this or `data_access`.
        data_access: Key of the data access.
        plugin: Module to import, where it is not the one that provides the key by now.
        instantiate: Source of the arguments of `exec_instantiate`.
        fit: Of `exec_fit`. A fit has to be short: it is done some fifty times.
        predict: Of `exec_predict`.
        access: Of `exec_data_access`.
        claims: `deterministic`: equal arguments give equal results, whatever happened before.
            `thread_safe`: calls with different instances, and predictions with one, may run at the
            same time. `distributable`: instances and arguments can be pickled.
        expected_failures: Name of a check to the reason why it is known to fail. Strict: a check
            that passes all the same is a failure.
        compare: Whether two results are equal; by default numbers may differ by `tolerance`.
        tolerance: Relative difference between equal numbers.
        import_seconds: Time that the import may take in a fresh process, dependencies included.
        call_seconds: Time that one call may take in a child process before it counts as hanging.
        serialized_bytes: Most bytes that a serialized instance may have; `None` for any number.
        examples: How many examples a strategy is asked for, a check.

    Raises:
        ValueError: Not exactly one key, or an unknown claim or check.
    """

    model_type: str | None = None
    data_access: str | None = None
    plugin: str | None = None
    instantiate: Source | Any = None
    fit: Source | Any = None
    predict: Source | Any = None
    access: Source | Any = None
    claims: Collection[Claim] = ()
    expected_failures: Mapping[str, str] = field(default_factory=dict)
    compare: Callable[[Any, Any], bool] | None = None
    tolerance: float = 1e-9
    import_seconds: float = 30.0
    call_seconds: float = 20.0
    serialized_bytes: int | None = None
    examples: int = 5

    def __post_init__(self) -> None:
        if (self.model_type is None) == (self.data_access is None):
            raise ValueError("a Conformance is of a model_type or of a data_access")
        for claim in self.claims:
            if claim not in get_args(Claim):
                raise ValueError(f"no claim {claim!r}; there are {', '.join(get_args(Claim))}")
        for name, reason in self.expected_failures.items():
            if not reason:
                raise ValueError(f"expected_failures[{name!r}] needs a reason")

    @property
    def key(self) -> str:
        """The model type or the data access name."""
        return self.model_type or self.data_access or ""

    @property
    def sources(self) -> dict[Action, Any]:
        """The sources of arguments, by action."""
        if self.data_access is not None:
            return {"data_access": self.access}
        return {"instantiate": self.instantiate, "fit": self.fit, "predict": self.predict}

    def strategies(self) -> dict[str, Any]:
        """Those sources that are hypothesis strategies."""
        return {action: source for action, source in self.sources.items() if _is_strategy(source)}


def _is_strategy(source: object) -> bool:
    hypothesis = sys.modules.get("hypothesis.strategies")
    return hypothesis is not None and isinstance(source, hypothesis.SearchStrategy)


def given(source: Any, variant: int, drawn: Any = None) -> Arguments:
    """Arguments for one call, which no other call holds, or TypeError where a source gives none."""
    if source is None:
        return Arguments()
    if _is_strategy(source):
        made = copy.deepcopy(drawn)
    elif callable(source):
        made = source(variant) if _takes_variant(source) else source()
    else:
        raise TypeError(
            f"a source of arguments is a function or a hypothesis strategy, not {source!r}"
        )
    if isinstance(made, Arguments):
        return made
    if isinstance(made, tuple):
        return Arguments(made)
    if isinstance(made, Mapping):
        return Arguments((), made)
    raise TypeError(f"{source!r} gave {type(made).__name__}; return arguments(...)")


def _takes_variant(source: Callable[..., Any]) -> bool:
    with suppress(TypeError, ValueError):
        signature_of(source).bind(0)
        return True
    return False


def varies(source: Any) -> bool:
    """Whether variants of a source differ: it is a strategy, or takes the variant."""
    return source is not None and (_is_strategy(source) or _takes_variant(source))
