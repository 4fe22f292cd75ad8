"""What a check is, and the list of all.

A check is a function of a `Subject`. It returns where all is well, raises `Inapplicable` where it
has nothing to look at, and anything else where something is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from aimm_plugins import Action
from aimm_plugins.testing._conformance import Claim
from aimm_plugins.testing._subject import Inapplicable, Subject

Kind = Literal["plugin", "model", "data"]
Function = Callable[[Subject], None]

WORK: tuple[Action, ...] = ("instantiate", "fit", "predict")
ROUND_TRIP: tuple[Action, ...] = (*WORK, "serialize", "deserialize")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A named check.

    Attributes:
        name: Its name, as in `expected_failures`.
        kinds: What it is of: the plugin as such, a model type, a data access.
        claim: The claim without which it does not apply.
        needs: Actions without which it does not apply.
        child: Whether it starts a process.
        function: Raises where something is wrong.
    """

    name: str
    kinds: tuple[Kind, ...]
    claim: Claim | None
    needs: tuple[Action, ...]
    child: bool
    function: Function

    @property
    def summary(self) -> str:
        """What holds where it passes, in a sentence."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    def __call__(self, subject: Subject) -> None:
        if self.claim is not None and not subject.claims(self.claim):
            raise Inapplicable(f"not claimed: {self.claim}")
        if subject.conformance is not None and subject.spec.model_type is not None:
            subject.need(*self.needs)
        self.function(subject)


_CHECKS: dict[str, Check] = {}


def checks() -> tuple[Check, ...]:
    """All checks, in the order in which they run: those of the plugin as such come first.

    Returns:
        The checks.

    Example:
        >>> from aimm_plugins.testing import checks
        >>> checks()[0].name
        'import-succeeds'
    """
    return tuple(sorted(_CHECKS.values(), key=lambda check: check.kinds != ("plugin",)))


def check(
    *kinds: Kind, needs: Sequence[Action] = (), claim: Claim | None = None, child: bool = False
) -> Callable[[Function], Function]:
    """Make a check of a function, whose name and docstring are the check's; see `Check`."""

    def add(function: Function) -> Function:
        name = function.__name__.replace("_", "-")
        _CHECKS[name] = Check(
            name=name, kinds=kinds, claim=claim, needs=tuple(needs), child=child, function=function
        )
        return function

    return add
