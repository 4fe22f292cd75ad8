"""A plugin under test, as the checks see it: calls with the author's arguments."""

from __future__ import annotations

import copy
import pickle
import unittest
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import aimm_plugins
from aimm_plugins import Action, Provider, StateCallback
from aimm_plugins._declarations.declaration import Declaration
from aimm_plugins._system.child import START_SECONDS, ChildResult, run_task
from aimm_plugins._system.signatures import signature_of
from aimm_plugins._system.text import did_you_mean
from aimm_plugins.testing._child_tasks import as_read, run_jobs
from aimm_plugins.testing._compare import equal
from aimm_plugins.testing._conformance import Arguments, Claim, Conformance, given
from aimm_plugins.testing._events import StateEvents

CallWithCallback = Callable[[StateCallback | None], Any]


class Inapplicable(unittest.SkipTest):  # not an error; hypothesis lets a SkipTest pass
    """A check does not apply; the text is the reason."""


@dataclass(kw_only=True)
class Subject:
    """A plugin, one of its keys, and arguments to call it with.

    What its methods need and the plugin does not have makes them raise `Inapplicable`; what is
    wrong with the plugin, `AssertionError`.
    """

    plugin: str  # empty where that is found out by the key when a check is run
    conformance: Conformance | None
    facts: dict[str, Any]
    drawn: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def spec(self) -> Conformance:
        assert self.conformance is not None, "checks of a key have a Conformance"
        return self.conformance

    @property
    def key(self) -> str:
        return self.spec.key

    def declaration(self, action: Action) -> Declaration | None:
        provider = aimm_plugins.providers(action, self.key).get((action, self.key))
        return None if provider is None else provider.declaration

    def providers(self) -> list[Provider]:
        found = aimm_plugins.providers().values()
        return [provider for provider in found if provider.plugin == self.plugin]

    def need(self, *actions: Action) -> None:
        if actions and not aimm_plugins.providers(key=self.key):
            known = {provider.key for provider in self.providers()}
            hint = did_you_mean(self.key, known) or f"it provides {', '.join(sorted(known))}"
            raise AssertionError(f"{self.plugin} provides no {self.key!r}; {hint}")
        for action in actions:
            if not aimm_plugins.providers(action, self.key):
                raise Inapplicable(f"no plugin provides {action}:{self.key}")

    def claims(self, claim: Claim) -> bool:
        return claim in self.spec.claims

    def equal(self, one: Any, other: Any) -> bool:
        """Whether two results are equal, in the author's sense."""
        if self.spec.compare is not None:
            return bool(self.spec.compare(one, other))
        return equal(one, other, self.spec.tolerance)

    def same(self, one: Any, other: Any, message: str) -> None:
        if not self.equal(one, other):
            raise AssertionError(f"{message}\n  {one!r:.300}\n  {other!r:.300}")

    # Calls

    def arguments(self, action: Action, variant: int = 0) -> Arguments:
        drawn = self.drawn.get(action)
        return given(self.spec.sources[action], variant, None if drawn is None else drawn[variant])

    def call(
        self,
        action: Action,
        made: Arguments,
        *instance: Any,
        state_cb: StateCallback | None = None,
        as_it_is: bool = False,
    ) -> Any:
        """What an action returns; all but `instantiate` and `data_access` need an instance.

        Data and predictions that can be read once are lists, so that they can be compared, if they
        are not wanted as they are.
        """
        function = getattr(aimm_plugins, f"exec_{action}")
        result = function(self.key, *instance, state_cb, *made.args, **made.kwargs)
        if (result[1] if action == "predict" else result) is None:
            self._refuse_none(action, instance)
        if as_it_is:
            return result
        if action == "predict":
            return result[0], as_read(result[1])
        return as_read(result) if action == "data_access" else result

    def _refuse_none(self, action: Action, instance: tuple[Any, ...]) -> None:
        """Fail where `None` can only come of a forgotten `return`."""
        declaration = self.declaration(action)
        if declaration is None or action == "instantiate":
            return
        if action == "fit":
            if instance[0] is not None:
                raise AssertionError("fit returned None; return the instance")
            return
        annotation = str(signature_of(declaration.function).return_annotation)
        if "None" not in annotation and "Optional" not in annotation:
            what = "prediction" if action == "predict" else "data"
            raise AssertionError(
                f"{action} returned None; return the {what}, or annotate the result with None"
            )

    def instantiate(self, state_cb: StateCallback | None = None) -> Any:
        return self.call("instantiate", self.arguments("instantiate"), state_cb=state_cb)

    def fit(self, instance: Any, variant: int = 0, state_cb: StateCallback | None = None) -> Any:
        return self.call("fit", self.arguments("fit", variant), instance, state_cb=state_cb)

    def fitted(self, variant: int = 0) -> Any:
        return self.fit(self.instantiate(), variant)

    def predict(
        self, instance: Any, variant: int = 0, state_cb: StateCallback | None = None
    ) -> tuple[Any, Any]:
        """The instance to go on with, and the prediction."""
        made = self.arguments("predict", variant)
        found: tuple[Any, Any] = self.call("predict", made, instance, state_cb=state_cb)
        return found

    def access(self, state_cb: StateCallback | None = None) -> Any:
        return self.call("data_access", self.arguments("data_access"), state_cb=state_cb)

    def serialize(self, instance: Any) -> bytes:
        return bytes(aimm_plugins.exec_serialize(self.key, instance))

    def deserialize(self, content: bytes) -> Any:
        return aimm_plugins.exec_deserialize(self.key, content)

    def result(self, variant: int = 0, state_cb: StateCallback | None = None) -> Any:
        """A copy of what an instance predicts that is made for it, or of the data."""
        if self.spec.data_access is not None:
            return copied(self.access(state_cb))
        instance = self.fit(self.instantiate(state_cb), variant, state_cb)
        return copied(self.predict(instance, variant, state_cb)[1])

    def repeatable(self, instance: Any) -> tuple[Any, Any]:
        """The instance and its prediction, where predicting again gives the same."""
        instance, first = self.predict(instance)
        first = copied(first)
        instance, second = self.predict(instance)
        if not self.equal(first, second):
            raise Inapplicable("two predictions in a row differ, so nothing can be compared")
        return instance, first

    def predicts(self, instance: Any, expected: Any, message: str) -> None:
        _, prediction = self.predict(instance)
        self.same(expected, prediction, message)

    def calls_with_callback(self) -> dict[Action, CallWithCallback]:
        """The actions that take a state callback, as calls that are given one."""
        calls: dict[Action, CallWithCallback] = {
            "data_access": self.access,
            "instantiate": self.instantiate,
            "fit": lambda state_cb: self.fit(self.instantiate(), 0, state_cb),
            "predict": lambda state_cb: self.predict(self.fitted(), 0, state_cb),
        }
        found: dict[Action, CallWithCallback] = {}
        for action in self.spec.sources:
            declaration = self.declaration(action)
            if declaration is not None and declaration.state_cb_arg_name is not None:
                found[action] = calls[action]
        if not found:
            raise Inapplicable("no action takes a state callback")
        if self.spec.data_access is None:
            self.need("instantiate", "fit", "predict")
        return found

    def events(self) -> dict[Action, StateEvents]:
        sent: dict[Action, StateEvents] = {}
        for action, call in self.calls_with_callback().items():
            events = StateEvents()
            call(events)
            if len(events):
                sent[action] = events
        if not sent:
            raise Inapplicable("no state event was sent")
        return sent

    # Other processes

    def in_child(
        self, *jobs: Sequence[tuple[str, Arguments]], hash_seed: str | None = None
    ) -> ChildResult:
        """What a fresh process answers that loads the plugin, and does jobs."""
        calls = [[(action, made.args, dict(made.kwargs)) for action, made in job] for job in jobs]
        try:
            content = pickle.dumps(calls)
        except Exception as error:
            raise Inapplicable(f"the arguments cannot be pickled: {error}") from error
        result = run_task(
            partial(run_jobs, self.plugin, self.key, content),
            seconds=self.spec.call_seconds,
            start_seconds=START_SECONDS,
            environment={"PYTHONHASHSEED": hash_seed} if hash_seed else {},
        )
        match result.answers:
            case [("absent", _, True)]:
                raise Inapplicable(f"{self.plugin} cannot be imported by name in another process")
            case [("absent", reason, _)]:
                providers = aimm_plugins.providers(key=self.key).values()
                declarations = [p.declaration for p in providers if p.declaration is not None]
                if not any(found.importing_module for found in declarations):
                    raise Inapplicable(
                        f"{self.plugin} declares {self.key} by hand, not by its import"
                    )
                raise AssertionError(f"in a fresh process {reason}")
            case _:
                return result

    def work_in_child(self, hash_seed: str | None = None) -> Any:
        """What a fresh process predicts, or the data that it gets."""
        if self.spec.data_access is None:
            self.need("instantiate", "fit", "predict")
        job = [(action, self.arguments(action)) for action in self.spec.sources]
        return value_of(self.in_child(job, hash_seed=hash_seed))

    def deserialize_in_child(self, *contents: bytes, predict: bool = True) -> ChildResult:
        """What a fresh process answers that deserializes, and predicts with what comes of it."""
        last = [("predict", self.arguments("predict"))] if predict else []
        jobs = ([("deserialize", Arguments((content,))), *last] for content in contents)
        return self.in_child(*jobs)


def value_of(result: ChildResult) -> Any:
    match result.answers:
        case [*_, ("value", value)]:
            return pickle.loads(value)
        case [*_, ("error", name, _, trace, _)]:
            raise AssertionError(f"a fresh process raised {name}\n{trace}".rstrip())
        case _:
            raise AssertionError(f"a fresh process {result.ended}\n{result.text}".rstrip())


def copied(value: Any) -> Any:
    """A deep copy, or the value itself where it cannot be copied."""
    try:
        return copy.deepcopy(value)
    except Exception:  # results may hold anything, locks and files too
        return value
