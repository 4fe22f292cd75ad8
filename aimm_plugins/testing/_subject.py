"""A plugin under test, as the checks see it: calls with the author's arguments."""

from __future__ import annotations

import copy
import os
import pickle
import sys
import unittest
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import aimm_plugins
from aimm_plugins import Action, Provider, StateCallback
from aimm_plugins.testing._compare import equal
from aimm_plugins.testing._conformance import Arguments, Claim, Conformance, given, varies
from aimm_plugins.testing._events import StateEvents
from aimm_plugins.testing._process import Answers, ask


class Inapplicable(unittest.SkipTest):  # not an error; hypothesis lets a SkipTest pass
    """A check does not apply; the reason is its text."""


@dataclass(slots=True)
class Shared:
    """What the checks of one plugin have in common, found out once.

    Attributes:
        facts: What importing it in a fresh process took and changed.
    """

    facts: dict[str, Any] | None = None


_IMPORTED_WITH: dict[str, dict[str, str | None]] = {}
"""By plugin: the variables that its import here has changed, and what they were before.

A child process would inherit them, and its import would seem to change nothing.
"""


@contextmanager
def seeing_environment(plugin: str) -> Generator[None]:
    """Remember what the import of a plugin in the block does to the environment."""
    before = None if plugin in sys.modules else dict(os.environ)
    yield
    if before is not None and plugin in sys.modules:
        names = before.keys() | os.environ.keys()
        _IMPORTED_WITH[plugin] = {
            name: before.get(name) for name in names if before.get(name) != os.environ.get(name)
        }


def environment_before(plugin: str) -> dict[str, str | None]:
    """What to set, or with `None` to remove, for an environment as before the plugin's import."""
    return dict(_IMPORTED_WITH.get(plugin, {}))


@dataclass(kw_only=True)
class Subject:
    """A plugin, one of its keys, and arguments to call it with.

    Attributes:
        plugin: Its module.
        conformance: What its author says; `None` where only the plugin as such is looked at.
        shared: What its checks have in common.
        drawn: What hypothesis gave for this example: action to the two variants.
        notes: What checks report beside their verdict.
    """

    plugin: str
    conformance: Conformance | None
    shared: Shared
    drawn: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def told(self) -> Conformance:
        """What the author says."""
        assert self.conformance is not None, "checks of a key have a Conformance"
        return self.conformance

    @property
    def key(self) -> str:
        """The key that is called."""
        return self.told.key

    def provider(self, action: Action) -> Provider | None:
        """Who answers an action, if anybody does."""
        return aimm_plugins.providers(action, self.key).get((action, self.key))

    def providers(self) -> list[Provider]:
        """All that the plugin provides."""
        return [each for each in aimm_plugins.providers().values() if each.plugin == self.plugin]

    def need(self, *actions: Action) -> None:
        """Refuse where an action is not provided.

        Raises:
            Inapplicable: It is not.
        """
        for action in actions:
            if self.provider(action) is None:
                raise Inapplicable(f"no plugin provides {action}:{self.key}")

    def claims(self, claim: Claim) -> bool:
        """Whether the author claims something."""
        return claim in self.told.claims

    def equal(self, one: Any, other: Any) -> bool:
        """Whether two results are equal, in the author's sense."""
        if self.told.compare is not None:
            return bool(self.told.compare(one, other))
        return equal(one, other, self.told.tolerance)

    def same(self, one: Any, other: Any, message: str) -> None:
        """Fail unless two results are equal.

        Raises:
            AssertionError: They are not.
        """
        if not self.equal(one, other):
            raise AssertionError(f"{message}\n  {_short(one)}\n  {_short(other)}")

    # Calls

    def arguments(self, action: str, variant: int = 0) -> Arguments:
        """Arguments that nobody else holds."""
        drawn = self.drawn.get(action)
        return given(self.told.sources[action], variant, None if drawn is None else drawn[variant])

    def varies(self) -> bool:
        """Whether the two variants of the data differ."""
        return varies(self.told.fit)

    def instantiate(self, state_cb: StateCallback | None = None) -> Any:
        """A new instance."""
        made = self.arguments("instantiate")
        return aimm_plugins.exec_instantiate(self.key, state_cb, *made.args, **made.kwargs)

    def fit(self, instance: Any, variant: int = 0, state_cb: StateCallback | None = None) -> Any:
        """The fitted instance."""
        made = self.arguments("fit", variant)
        return aimm_plugins.exec_fit(self.key, instance, state_cb, *made.args, **made.kwargs)

    def fitted(self, variant: int = 0) -> Any:
        """A new instance, fitted."""
        return self.fit(self.instantiate(), variant)

    def predict(
        self, instance: Any, variant: int = 0, state_cb: StateCallback | None = None
    ) -> tuple[Any, Any]:
        """The instance to go on with, and the prediction."""
        made = self.arguments("predict", variant)
        return aimm_plugins.exec_predict(self.key, instance, state_cb, *made.args, **made.kwargs)

    def access(self, state_cb: StateCallback | None = None) -> Any:
        """The data."""
        made = self.arguments("data_access")
        return aimm_plugins.exec_data_access(self.key, state_cb, *made.args, **made.kwargs)

    def serialize(self, instance: Any) -> bytes:
        """The instance's bytes."""
        return bytes(aimm_plugins.exec_serialize(self.key, instance))

    def deserialize(self, content: bytes) -> Any:
        """An instance of bytes."""
        return aimm_plugins.exec_deserialize(self.key, content)

    def repeatable(self, instance: Any) -> tuple[Any, Any]:
        """The instance and its prediction, where predicting again gives the same.

        Raises:
            Inapplicable: It does not.
        """
        instance, first = self.predict(instance)
        first = copied(first)
        instance, second = self.predict(instance)
        if not self.equal(first, second):
            raise Inapplicable("two predictions in a row differ, so nothing can be compared")
        return instance, first

    def called(self) -> dict[Action, Callable[[StateCallback | None], Any]]:
        """The actions that take a state callback, as calls that are given one.

        Raises:
            Inapplicable: There is none.
        """
        if self.told.data_access is not None:
            calls: dict[Action, Callable[[StateCallback | None], Any]] = {
                "data_access": self.access
            }
        else:
            calls = {
                "instantiate": self.instantiate,
                "fit": lambda state_cb: self.fit(self.instantiate(), 0, state_cb),
                "predict": lambda state_cb: self.predict(self.fitted(), 0, state_cb),
            }
        found = {}
        for action, call in calls.items():
            provider = self.provider(action)
            declaration = None if provider is None else provider.declaration
            if declaration is not None and declaration.state_cb_arg_name is not None:
                found[action] = call
        if not found:
            raise Inapplicable("no action takes a state callback")
        if self.told.data_access is None:
            self.need("instantiate", "fit", "predict")
        return found

    def events(self) -> dict[Action, StateEvents]:
        """The events of each action that sent any.

        Raises:
            Inapplicable: There were none.
        """
        sent: dict[Action, StateEvents] = {}
        for action, call in self.called().items():
            events = StateEvents()
            call(events)
            if len(events):
                sent[action] = events
        if not sent:
            raise Inapplicable("no state event was sent")
        return sent

    # Other processes

    def ask(self, task: str, *, hash_seed: str | None = None, **job: Any) -> Answers:
        """Run a task in a fresh process that has loaded the plugin.

        Raises:
            Inapplicable: The plugin was declared by hand, and so is not there.
            AssertionError: It cannot be loaded there.
        """
        job = {"plugin": self.plugin, "key": self.key, **job}
        environment = environment_before(self.plugin)
        if hash_seed is not None:
            environment["PYTHONHASHSEED"] = hash_seed
        answers = ask(task, job, seconds=self.told.call_seconds, environment=environment)
        if answers.told and answers.told[0][0] == "absent":
            if answers.told[0][2]:
                raise Inapplicable(f"{self.plugin} cannot be imported by name in another process")
            if all(
                each.declaration is None or each.declaration.importing_module is None
                for each in aimm_plugins.providers(key=self.key).values()
            ):
                raise Inapplicable(f"{self.plugin} declares {self.key} by hand, not by its import")
            raise AssertionError(f"in a fresh process {answers.told[0][1]}")
        return answers

    def calls(self, *actions: str) -> bytes:
        """The arguments of actions, pickled for another process.

        Raises:
            Inapplicable: They cannot be pickled.
        """
        made = {action: self.arguments(action) for action in actions}
        try:
            return pickle.dumps(
                {action: (each.args, dict(each.kwargs)) for action, each in made.items()}
            )
        except Exception as error:
            raise Inapplicable(f"the arguments cannot be pickled: {error}") from error

    def work(self, hash_seed: str | None = None) -> Any:
        """What a fresh process predicts, or the data that it gets."""
        if self.told.data_access is not None:
            calls = self.calls("data_access")
        else:
            self.need("instantiate", "fit", "predict")
            calls = self.calls("instantiate", "fit", "predict")
        return value_of(self.ask("work", hash_seed=hash_seed, calls=calls))


def value_of(answers: Answers) -> Any:
    """The value that a child told.

    Raises:
        AssertionError: It told of an error, hung or crashed.
    """
    if not answers.told or answers.told[-1][0] == "ready":
        raise AssertionError(f"a fresh process {answers.ended}\n{answers.output}".rstrip())
    answer = answers.told[-1]
    if answer[0] != "value":
        raise AssertionError(f"a fresh process raised {answer[1]}\n{answer[2]}".rstrip())
    return pickle.loads(answer[1])


def copied(value: Any) -> Any:
    """A deep copy, or the value itself where it cannot be copied."""
    try:
        return copy.deepcopy(value)
    except Exception:  # results may hold anything, locks and files too
        return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}..."
