"""Checks of fitting, predicting and accessing data: what calls may change, mix and depend on."""

from __future__ import annotations

import copy
import random
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from aimm_plugins import Action
from aimm_plugins._system.text import described
from aimm_plugins.testing._checks.registry import WORK, check
from aimm_plugins.testing._compare import equal, is_unchangeable
from aimm_plugins.testing._conformance import varies
from aimm_plugins.testing._subject import Inapplicable, Subject, copied


@check("model", needs=WORK)
def fit_gives_a_predictor(subject: Subject) -> None:
    """Fitting returns an instance that predicts."""
    unfitted = subject.instantiate()
    try:
        fitted = subject.fit(unfitted)
    except (TypeError, AttributeError) as error:
        if unfitted is not None:
            raise
        why = f"instantiate returned None, and fit raised {described(error)}; return the instance"
        raise AssertionError(why) from error
    instance, prediction = subject.predict(fitted)
    if _begins_with_instance(prediction, instance):
        raise AssertionError(
            "predict returned the instance and the prediction; return the prediction alone, or "
            "declare it with returns_instance=True"
        )


def _begins_with_instance(prediction: Any, instance: Any) -> bool:
    """Whether a prediction is a pair as `returns_instance` asks for."""
    if not isinstance(prediction, tuple) or len(prediction) != 2 or is_unchangeable(instance):
        return False
    first = prediction[0]
    # A container may be a prediction, too; two models of one class are a model and its successor.
    is_container = hasattr(instance, "__len__") or type(instance).__module__ == "builtins"
    return type(first) is type(instance) and (not is_container or equal(first, instance))


@check("model", needs=WORK)
def fit_again_gives_a_predictor(subject: Subject) -> None:
    """A fitted instance can be fitted again, and predicts."""
    subject.predict(subject.fit(subject.fitted(), 1), 1)


@check("model", needs=WORK)
def fit_keeps_arguments(subject: Subject) -> None:
    """Fitting does not alter the arguments that it was given."""
    _keeps_arguments(subject, "fit", subject.instantiate())


@check("model", needs=WORK)
def predict_keeps_arguments(subject: Subject) -> None:
    """Predicting does not alter the arguments that it was given."""
    _keeps_arguments(subject, "predict", subject.fitted())


@check("model", needs=("instantiate",))
def instantiate_keeps_arguments(subject: Subject) -> None:
    """Making an instance does not alter the arguments that it was given."""
    _keeps_arguments(subject, "instantiate")


@check("data")
def access_keeps_arguments(subject: Subject) -> None:
    """Accessing data does not alter the arguments that it was given."""
    _keeps_arguments(subject, "data_access")


def _keeps_arguments(subject: Subject, action: Action, *instance: Any) -> None:
    given = subject.arguments(action)
    try:
        before = copy.deepcopy(given)
    except Exception as error:
        raise Inapplicable(f"the arguments cannot be copied: {error}") from error
    subject.call(action, given, *instance)
    values, after = ({**dict(enumerate(made.args)), **made.kwargs} for made in (before, given))
    for name, old in values.items():
        new = after[name]
        if not equal(old, new):
            raise AssertionError(f"argument {name!r} was {old!r:.200}, and is {new!r:.200} now")


@check("model", needs=("instantiate", "fit"))
def instances_are_separate(subject: Subject) -> None:
    """Two instances are two objects, and fitting one leaves the other as it was."""
    one, other = subject.instantiate(), subject.instantiate()
    if is_unchangeable(one):
        return
    if one is other:
        raise AssertionError("instantiate returned one object twice")
    before = copied(other)
    if before is other or not equal(before, other):
        raise Inapplicable("instances cannot be copied and compared")
    subject.fit(one)
    if not equal(before, other):
        raise AssertionError("fitting one instance changed another one")


@check("model", needs=WORK)
def instances_do_not_mix(subject: Subject) -> None:
    """An instance predicts the same after another one was fitted with other data."""
    one, expected = subject.repeatable(subject.fitted(0))
    other = subject.fitted(1)
    subject.predict(other, 1)
    subject.predicts(one, expected, "another instance's fit changed the prediction")
    if not varies(subject.spec.fit):
        subject.notes.append("both were fitted with the same data: the source takes no variant")


# Randomness


@check("model", needs=WORK)
def random_state_is_left_alone(subject: Subject) -> None:
    """No call seeds the process's random generators."""
    ends = []
    with _random_state_kept():
        for seed in (1, 2):
            _seed(seed)
            subject.predict(subject.fitted())
            ends.append(_random_states())
    for name in ends[0]:
        if name in ends[1] and equal(ends[0][name], ends[1][name]):
            raise AssertionError(f"{name} was seeded; use a generator of the instance's own")


@check("model", needs=WORK, claim="deterministic")
def deterministic_fit(subject: Subject) -> None:
    """Instances that are fitted with equal arguments predict the same."""
    found = []
    with _random_state_kept():
        for seed in (1, 2):
            _seed(seed)
            found.append(subject.result())
    subject.same(found[0], found[1], "two fits with equal arguments led to different predictions")


@check("model", needs=WORK, claim="deterministic")
def deterministic_predict(subject: Subject) -> None:
    """Predicting twice with equal arguments gives the same."""
    with _random_state_kept():
        _seed(1)
        instance, first = subject.predict(subject.fitted())
        first = copied(first)
        _seed(2)
        _, second = subject.predict(instance)
    subject.same(first, second, "two predictions with equal arguments differ")


@check("data", claim="deterministic")
def deterministic_access(subject: Subject) -> None:
    """Accessing twice with equal arguments gives the same data."""
    first = copied(subject.access())
    subject.same(first, subject.access(), "two accesses gave different data")


@check("model", "data", claim="deterministic", child=True)
def deterministic_in_other_processes(subject: Subject) -> None:
    """Other processes come to the same results, whatever their hash seeds are."""
    first, second = subject.work_in_child(hash_seed="1"), subject.work_in_child(hash_seed="2")
    subject.same(first, second, "two processes came to different results")


def _random_states() -> dict[str, Any]:
    states: dict[str, Any] = {"random": random.getstate()}
    if "numpy.random" in sys.modules:
        states["numpy.random"] = sys.modules["numpy.random"].get_state()
    return states


@contextmanager
def _random_state_kept() -> Generator[None]:
    states = _random_states()
    try:
        yield
    finally:
        random.setstate(states["random"])
        if "numpy.random" in states:
            sys.modules["numpy.random"].set_state(states["numpy.random"])


def _seed(seed: int) -> None:
    random.seed(seed)
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed(seed)


# Processes and threads


@check("model", "data", child=True)
def works_in_a_spawned_process(subject: Subject) -> None:
    """A fresh process that only loads the plugin can do the work."""
    subject.work_in_child()


@check("model", needs=WORK, claim="thread_safe")
def threads_do_not_mix(subject: Subject) -> None:
    """Threads that fit and predict at the same time get what each would get alone."""
    variants = (0, 1, 0, 1)
    expected = [subject.result(variant) for variant in (0, 1)]
    shared = subject.fitted(0)
    results: list[list[Any]] = [[] for _ in variants]
    failures: list[BaseException] = []
    barrier = threading.Barrier(len(variants))

    def work(variant: int, predictions: list[Any]) -> None:
        try:
            barrier.wait(60)
            for _ in range(3):
                predictions.append(subject.predict(subject.fitted(variant), variant)[1])
                predictions.append(subject.predict(shared, 0)[1])
        except BaseException as error:
            failures.append(error)
            barrier.abort()

    threads = [
        threading.Thread(target=work, args=arguments, daemon=True)
        for arguments in zip(variants, results, strict=True)
    ]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(subject.spec.call_seconds + 60)
    finally:
        sys.setswitchinterval(interval)
    if failures:
        own = [error for error in failures if not isinstance(error, threading.BrokenBarrierError)]
        raise (own or failures)[0]
    if any(thread.is_alive() for thread in threads):
        raise AssertionError("threads that fit and predict at the same time hang")
    if not subject.claims("deterministic"):
        return
    for variant, predictions in zip(variants, results, strict=True):
        for number, prediction in enumerate(predictions):
            alone = expected[0 if number % 2 else variant]
            subject.same(alone, prediction, "a prediction among threads is not that of one alone")


@check("data")
def results_are_separate(subject: Subject) -> None:
    """Each access gives data of its own, which the caller may change."""
    first, second = subject.access(), subject.access()
    if _changeable_parts(first) & _changeable_parts(second):
        raise AssertionError("two accesses returned one object, which a caller may change")


def _changeable_parts(value: Any) -> set[object]:
    """A result and its direct members, as far as they can be changed, by where they are."""
    members = [value]
    if isinstance(value, tuple | list):
        members += value
    elif isinstance(value, dict):
        members += value.values()
    return {_place(member) for member in members if not is_unchangeable(member)}


def _place(value: Any) -> object:
    """What two objects have in common if they share their content; views of an array do."""
    if getattr(value, "size", 0) and hasattr(value, "__array_interface__"):
        return "memory", value.__array_interface__["data"][0]
    return id(value)
