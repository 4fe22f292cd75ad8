"""What host and workers send to each other.

Instances of these classes are unpickled by the scheduler too, which therefore needs this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from distributed import Future
from distributed.protocol import pickle

from aimm_plugins._dispatch.raised_elsewhere import RaisedElsewhere, pickled_as_it_is
from aimm_plugins._values.actions import Action

PREFIX = "aimm_plugins.dask-"
"""Names of executors begin with it; those of one client go on with its id."""

KEPT = "aimm_plugins.kept"
"""Names of tasks that stay where their instance is begin with it; see `never_move_kept`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to call.

    Attributes:
        topic: Where its events go; `None` if the caller gave no callback.
        call: Which call of the executor this is.
        names: Names of the keyword arguments, whose values come last.
    """

    executor: str
    topic: str | None
    call: str
    action: Action
    key: str
    keeps_result: bool
    names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What Dask calls it."""
        return f"{self.action}:{self.key}-{self.call}"

    @property
    def name_where_kept(self) -> str:
        """What Dask calls it if it is to run where its instance is.

        Dask has idle workers take tasks from busy ones, and one whose instance cannot be pickled
        would wait there for ever (dask/distributed#6705).
        """
        return f"{KEPT}-{self.call}-{self.action}:{self.key}"


@dataclass(frozen=True, slots=True)
class Value:
    """Keeps an argument from Dask, which would look for tasks and futures in it."""

    content: Any


def wrapped(argument: Any) -> Any:
    """An argument as it is sent: a future for Dask to resolve, anything else in an envelope."""
    return argument if isinstance(argument, Future) else Value(argument)


def unwrapped(argument: Any) -> Any:
    """An argument as it arrives: out of its envelope, or the result of a future."""
    return argument.content if type(argument) is Value else argument


class RaisedOnWorker(Exception):  # noqa: N818  # it carries an error
    """Carries what a plugin raised: Dask shortens long messages, and ends workers by SystemExit."""

    def __str__(self) -> str:
        return str(self.args[0])[:1000]  # Dask would put its own exception in place of a long one

    def __repr__(self) -> str:
        return str(self)  # workers log it

    @classmethod
    def of(cls, error: BaseException, worker: str) -> RaisedOnWorker:
        """Carry an exception that was raised on the worker with that address."""
        # Dask has exceptions pickled by tblib, which forgets the code of a SystemExit and the like.
        ways = (pickled_as_it_is, pickle.dumps)
        return cls(*RaisedElsewhere.of(error, f"on worker {worker}", ways))

    def original(self) -> BaseException:
        """The plugin's exception, or an `AimmPluginsError` with its text if it cannot travel."""
        return RaisedElsewhere(*self.args).original(loads=pickle.loads)
