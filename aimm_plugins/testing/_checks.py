"""The checks: one list behind `check_plugin`, `parametrize_conformance` and `aimm-plugins check`.

A check is a function of a subject. It returns where all is well, raises `Inapplicable` where it has
nothing to look at, and anything else where something is wrong.
"""

from __future__ import annotations

import copy
import inspect
import pickle
import random
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal

from aimm_plugins import Action, Provider
from aimm_plugins.errors import Cancelled
from aimm_plugins.testing import _events
from aimm_plugins.testing._compare import equal
from aimm_plugins.testing._conformance import Claim
from aimm_plugins.testing._process import ask
from aimm_plugins.testing._subject import (
    Inapplicable,
    Subject,
    copied,
    environment_before,
    value_of,
)

Kind = Literal["plugin", "model", "data"]

CONFORMANCE_GROUP = "aimm_plugins.conformance"
"""Entry points that name a `Conformance`, or a list of them, for the command line."""


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
    function: Callable[[Subject], None]

    @property
    def summary(self) -> str:
        """What holds where it passes, in a sentence."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    def __call__(self, subject: Subject) -> None:
        """Run it."""
        if self.claim is not None and not subject.claims(self.claim):
            raise Inapplicable(f"not claimed: {self.claim}")
        if subject.conformance is not None and subject.told.model_type is not None:
            subject.need(*self.needs)
        self.function(subject)


_CHECKS: dict[str, Check] = {}
_WORK: tuple[Action, ...] = ("instantiate", "fit", "predict")
_ROUND_TRIP: tuple[Action, ...] = (*_WORK, "serialize", "deserialize")


def checks() -> tuple[Check, ...]:
    """All checks, in the order in which they run."""
    return tuple(_CHECKS.values())


def _check(
    *kinds: Kind,
    needs: Sequence[Action] = (),
    claim: Claim | None = None,
    child: bool = False,
) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
    def add(function: Callable[[Subject], None]) -> Callable[[Subject], None]:
        name = function.__name__.replace("_", "-")
        _CHECKS[name] = Check(
            name=name,
            kinds=kinds,
            claim=claim,
            needs=tuple(needs),
            child=child,
            function=function,
        )
        return function

    return add


# The plugin as such


def _facts(subject: Subject) -> dict[str, Any]:
    """What importing the plugin in a fresh process took and changed."""
    if subject.shared.facts is None:
        subject.shared.facts = _import_facts(subject)
    return subject.shared.facts


def _import_facts(subject: Subject) -> dict[str, Any]:
    import tempfile

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        answers = ask(
            "import",
            {"module": subject.plugin},
            seconds=60.0,
            environment=environment_before(subject.plugin),
            folder=folder,
        )
    if not answers.told:
        raise AssertionError(
            f"importing {subject.plugin} in a fresh process: it {answers.ended}\n{answers.output}"
        )
    facts: dict[str, Any] = answers.told[0]
    if facts.get("absent"):
        raise Inapplicable(f"{subject.plugin} cannot be imported by name in another process")
    facts["text"] = answers.output
    return facts


def _unchanged(subject: Subject, prefix: str) -> None:
    found = [each for each in _facts(subject)["changes"] if each.startswith(prefix)]
    if found:
        raise AssertionError("importing the plugin: " + "; ".join(found))


@_check("plugin", child=True)
def import_leaves_threads(subject: Subject) -> None:
    """Importing the plugin leaves no thread running."""
    _unchanged(subject, "threads")


@_check("plugin", child=True)
def import_leaves_signals(subject: Subject) -> None:
    """Importing the plugin sets no signal handler."""
    _unchanged(subject, "signal handlers")


@_check("plugin", child=True)
def import_leaves_environment(subject: Subject) -> None:
    """Importing the plugin sets no environment variable."""
    _unchanged(subject, "os.environ")


@_check("plugin", child=True)
def import_leaves_working_directory(subject: Subject) -> None:
    """Importing the plugin does not change the working directory."""
    _unchanged(subject, "working directory")


@_check("plugin", child=True)
def import_leaves_logging(subject: Subject) -> None:
    """Importing the plugin does not configure logging."""
    _unchanged(subject, "root logging")
    _unchanged(subject, "globals: logging")
    _unchanged(subject, "globals: the logger")


@_check("plugin", child=True)
def import_leaves_warnings(subject: Subject) -> None:
    """Importing the plugin adds no warning filter."""
    _unchanged(subject, "warning filters")


@_check("plugin", child=True)
def import_leaves_path(subject: Subject) -> None:
    """Importing the plugin does not change `sys.path`."""
    _unchanged(subject, "sys.path")


@_check("plugin", child=True)
def import_leaves_globals(subject: Subject) -> None:
    """Importing the plugin changes no hook, stream, limit, locale or random state of Python's."""
    _unchanged(subject, "globals")


@_check("plugin", child=True)
def import_writes_no_file(subject: Subject) -> None:
    """Importing the plugin writes no file into the working directory."""
    files = _facts(subject)["files"]
    if files:
        raise AssertionError("importing the plugin wrote " + ", ".join(files))


@_check("plugin", child=True)
def import_prints_nothing(subject: Subject) -> None:
    """Importing the plugin prints nothing on stdout or stderr."""
    facts = _facts(subject)
    if facts["output"]:
        raise AssertionError(f"importing the plugin printed: {facts['text']:.500}")


@_check("plugin", child=True)
def import_is_quick(subject: Subject) -> None:
    """Importing the plugin takes no longer than `import_seconds`."""
    limit = 30.0 if subject.conformance is None else subject.told.import_seconds
    seconds = _facts(subject)["seconds"]
    if seconds > limit:
        # Once more: files that were never read before and a busy machine are not the plugin's.
        seconds = min(seconds, _import_facts(subject)["seconds"])
    subject.notes.append(f"imported in {seconds:.2f} s")
    if seconds > limit:
        raise AssertionError(f"the import took {seconds:.2f} s, and the limit is {limit:g} s")


@_check("plugin")
def keys_are_as_published(subject: Subject) -> None:
    """The keys that the metadata publishes are those that the code declares."""
    from aimm_plugins._discovery.scan import scan

    found = scan()
    published = {
        (each.action, each.key)
        for candidate in found.candidates
        if candidate.module == subject.plugin
        for each in found.keys_of(candidate)
    }
    if not published:
        raise Inapplicable("its metadata publishes no keys")
    declared = {(each.action, each.key) for each in subject.providers()}
    faults = [
        f"{what}: {', '.join(f'{action}:{key}' for action, key in sorted(slots))}"
        for what, slots in (
            ("published and not declared", published - declared),
            ("declared and not published", declared - published),
        )
        if slots
    ]
    if faults:
        raise AssertionError(
            "; ".join(faults) + ". To publish what is declared: aimm-plugins entry-points --write, "
            "then install the package again (pip install -e .)"
        )


@_check("plugin")
def entry_points_resolve(subject: Subject) -> None:
    """Each entry point of its distribution, of this package's groups, names what is there."""
    from importlib.metadata import PackageNotFoundError, distribution

    name = distribution_of(subject.plugin)
    if name is None:
        raise Inapplicable("no distribution owns it")
    try:
        points = distribution(name).entry_points
    except PackageNotFoundError:
        raise Inapplicable(f"the metadata of {name} cannot be read") from None
    faults = []
    for point in points:
        if point.group == "aimm.plugins.options":  # which may name files; a check of its own
            continue
        if point.group.startswith("aimm.plugins") or point.group == CONFORMANCE_GROUP:
            try:
                point.load()
            except Exception as error:
                faults.append(f"[{point.group}] {point.name} = {point.value}: {error}")
    if faults:
        raise AssertionError("\n".join(faults))


@_check("plugin")
def options_have_a_sound_schema(subject: Subject) -> None:
    """The schema that it publishes for its options is there and sound, and its defaults fit it."""
    from aimm_plugins._discovery.scan import scan
    from aimm_plugins._options.schema import read_schema

    published = scan().options_of(subject.plugin, distribution_of(subject.plugin))
    if len(published) > 1:
        raise AssertionError("several schemas: " + ", ".join(map(str, published)))
    if not published:
        raise Inapplicable("its metadata publishes no schema of options")
    schema = read_schema(published[0])
    # What it has against no options at all is that some are required; a default that does not fit
    # is raised.
    schema.check({})
    bare = [each.name for each in schema.known() if not each.description]
    if bare:
        subject.notes.append(f"without a description: {', '.join(bare)}")


def distribution_of(module: str) -> str | None:
    """Name of the distribution that owns a module."""
    from aimm_plugins._discovery.module_location import locate
    from aimm_plugins._discovery.scan import scan

    found = scan()
    for candidate in found.candidates:
        if candidate.module == module:
            return candidate.distribution.name
    owner = found.owner(module, locate(module))
    return None if owner is None else owner.name


@_check("plugin")
def actions_come_in_pairs(subject: Subject) -> None:
    """What is serialized can be deserialized, and what is fitted can be made."""
    actions: dict[str, set[Action]] = {}
    for each in subject.providers():
        actions.setdefault(each.key, set()).add(each.action)
    faults = []
    for key, there in sorted(actions.items()):
        if len(there & {"serialize", "deserialize"}) == 1:
            (one,) = there & {"serialize", "deserialize"}
            faults.append(f"{key} has {one} alone")
        if there & {"fit", "predict"} and not there & {"instantiate", "deserialize"}:
            faults.append(f"{key} has neither instantiate nor deserialize")
    if faults:
        raise AssertionError("; ".join(faults))


@_check("plugin")
def signatures_are_typed(subject: Subject) -> None:
    """Each parameter and result of a declared function has an annotation."""
    faults = [
        f"{_where(each)}: {', '.join(bare)}"
        for each in subject.providers()
        if (bare := _untyped(each))
    ]
    if faults:
        raise AssertionError("without an annotation:\n" + "\n".join(dict.fromkeys(faults)))


def _untyped(provider: Provider) -> list[str]:
    declaration = provider.declaration
    assert declaration is not None, "the plugin is loaded"
    try:
        signature = inspect.signature(declaration.function)
    except (TypeError, ValueError):
        return []
    parameters = list(signature.parameters.values())
    if declaration.method is not None:
        parameters = parameters[1:]
    bare = [each.name for each in parameters if each.annotation is each.empty]
    if signature.return_annotation is signature.empty and not inspect.isclass(declaration.function):
        bare.append("its result")
    return bare


@_check("plugin")
def docstrings_are_there(subject: Subject) -> None:
    """Each declared function, method and class has a docstring."""
    faults = []
    for each in subject.providers():
        declaration = each.declaration
        assert declaration is not None, "the plugin is loaded"
        # A class inherits no `__doc__`, and a method that is not written anew has its parent's.
        if not (getattr(declaration.function, "__doc__", None) or "").strip():
            faults.append(_where(each))
    if faults:
        raise AssertionError("without a docstring: " + ", ".join(dict.fromkeys(faults)))


def _where(provider: Provider) -> str:
    return f"{provider.qualname} ({provider.provenance.place})"


# Fitting and predicting


@_check("model", needs=_WORK)
def fit_gives_a_predictor(subject: Subject) -> None:
    """Fitting returns an instance that predicts."""
    fitted = subject.fitted()
    if fitted is None:
        raise AssertionError("fit returned None; return the instance")
    subject.predict(fitted)


@_check("model", needs=_WORK)
def fit_again_gives_a_predictor(subject: Subject) -> None:
    """A fitted instance can be fitted again, and predicts."""
    subject.predict(subject.fit(subject.fitted(), 1), 1)


@_check("model", needs=_WORK)
def fit_keeps_arguments(subject: Subject) -> None:
    """Fitting does not alter the arguments that it was given."""
    instance = subject.instantiate()
    made = subject.arguments("fit")
    before = _copy(made)
    _call("fit", subject.key, instance, *made.args, **made.kwargs)
    _unaltered(made, before)


@_check("model", needs=_WORK)
def predict_keeps_arguments(subject: Subject) -> None:
    """Predicting does not alter the arguments that it was given."""
    instance = subject.fitted()
    made = subject.arguments("predict")
    before = _copy(made)
    _call("predict", subject.key, instance, *made.args, **made.kwargs)
    _unaltered(made, before)


@_check("model", needs=("instantiate",))
def instantiate_keeps_arguments(subject: Subject) -> None:
    """Making an instance does not alter the arguments that it was given."""
    made = subject.arguments("instantiate")
    before = _copy(made)
    _call("instantiate", subject.key, *made.args, **made.kwargs)
    _unaltered(made, before)


def _call(action: str, key: str, *args: Any, **kwargs: Any) -> Any:
    import aimm_plugins

    function = getattr(aimm_plugins, f"exec_{action}")
    if action in ("instantiate", "data_access"):
        return function(key, None, *args, **kwargs)
    instance, *rest = args
    return function(key, instance, None, *rest, **kwargs)


def _copy(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception as error:
        raise Inapplicable(f"the arguments cannot be copied: {error}") from error


def _unaltered(made: Any, before: Any) -> None:
    names = [*range(len(made.args)), *made.kwargs]
    for name in names:
        one, other = (
            (each.args[name] if isinstance(name, int) else each.kwargs[name])
            for each in (before, made)
        )
        if not equal(one, other):
            raise AssertionError(f"argument {name!r} was {one!r:.200}, and is {other!r:.200} now")


@_check("model", needs=("instantiate", "fit"))
def instances_are_separate(subject: Subject) -> None:
    """Two instances are two objects, and fitting one leaves the other as it was."""
    one, other = subject.instantiate(), subject.instantiate()
    if one is other:
        raise AssertionError("instantiate returned one object twice")
    before = copied(other)
    if before is other or not equal(before, other):
        raise Inapplicable("instances cannot be copied and compared")
    subject.fit(one)
    if not equal(before, other):
        raise AssertionError("fitting one instance changed another one")


@_check("model", needs=_WORK)
def instances_do_not_mix(subject: Subject) -> None:
    """An instance predicts the same after another one was fitted with other data."""
    one, expected = subject.repeatable(subject.fitted(0))
    other = subject.fitted(1)
    subject.predict(other, 1)
    _, prediction = subject.predict(one)
    subject.same(expected, prediction, "another instance's fit changed the prediction")
    if not subject.varies():
        subject.notes.append("both were fitted with the same data: the source takes no variant")


@_check("model", needs=_WORK)
def random_state_is_left_alone(subject: Subject) -> None:
    """No call seeds the process's random generators."""
    kept = _random_states()
    ends = []
    try:
        for seed in (1, 2):
            _seed(seed)
            subject.predict(subject.fitted())
            ends.append(_random_states())
    finally:
        _set_random_states(kept)
    for name in ends[0]:
        if name in ends[1] and equal(ends[0][name], ends[1][name]):
            raise AssertionError(f"{name} was seeded anew; use a generator of the instance's own")


def _random_states() -> dict[str, Any]:
    states: dict[str, Any] = {"random": random.getstate()}
    if "numpy.random" in sys.modules:
        states["numpy.random"] = sys.modules["numpy.random"].get_state()
    return states


def _set_random_states(states: dict[str, Any]) -> None:
    random.setstate(states["random"])
    if "numpy.random" in states:
        sys.modules["numpy.random"].set_state(states["numpy.random"])


def _seed(seed: int) -> None:
    random.seed(seed)
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed(seed)


@_check("model", needs=_WORK, claim="deterministic")
def deterministic_fit(subject: Subject) -> None:
    """Instances that are fitted with equal arguments predict the same."""
    kept = _random_states()
    found = []
    try:
        for seed in (1, 2):
            _seed(seed)
            found.append(copied(subject.predict(subject.fitted())[1]))
    finally:
        _set_random_states(kept)
    subject.same(found[0], found[1], "two fits with equal arguments led to different predictions")


@_check("model", needs=_WORK, claim="deterministic")
def deterministic_predict(subject: Subject) -> None:
    """Predicting twice with equal arguments gives the same."""
    kept = _random_states()
    try:
        _seed(1)
        instance, first = subject.predict(subject.fitted())
        first = copied(first)
        _seed(2)
        _, second = subject.predict(instance)
    finally:
        _set_random_states(kept)
    subject.same(first, second, "two predictions with equal arguments differ")


@_check("model", "data", claim="deterministic", child=True)
def deterministic_in_other_processes(subject: Subject) -> None:
    """Other processes come to the same results, whatever their hash seeds are."""
    first, second = subject.work(hash_seed="1"), subject.work(hash_seed="2")
    subject.same(first, second, "two processes came to different results")


@_check("model", "data", child=True)
def works_in_a_spawned_process(subject: Subject) -> None:
    """A fresh process that only loads the plugin can do the work."""
    subject.work()


@_check("model", needs=_WORK, claim="thread_safe")
def threads_do_not_mix(subject: Subject) -> None:
    """Threads that fit and predict at the same time get what each would get alone."""
    variants = (0, 1, 0, 1)
    expected = [copied(subject.predict(subject.fitted(each), each)[1]) for each in (0, 1)]
    shared = subject.fitted(0)
    results: list[Any] = [None] * len(variants)
    failures: list[BaseException] = []
    barrier = threading.Barrier(len(variants))

    def work(place: int, variant: int) -> None:
        try:
            barrier.wait(60)
            own = []
            for _ in range(3):
                own.append(subject.predict(subject.fitted(variant), variant)[1])
                own.append(subject.predict(shared, 0)[1])
            results[place] = own
        except BaseException as error:
            failures.append(error)
            barrier.abort()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        workers = [
            threading.Thread(target=work, args=each, daemon=True) for each in enumerate(variants)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(subject.told.call_seconds + 60)
    finally:
        sys.setswitchinterval(interval)
    if failures:
        own = [each for each in failures if not isinstance(each, threading.BrokenBarrierError)]
        raise (own or failures)[0]
    if any(worker.is_alive() for worker in workers):
        raise AssertionError("threads that fit and predict at the same time hang")
    if not subject.claims("deterministic"):
        return
    for variant, own in zip(variants, results, strict=True):
        for number, prediction in enumerate(own):
            alone = expected[0 if number % 2 else variant]
            subject.same(alone, prediction, "a prediction among threads is not that of one alone")


# State events


def _events_are(subject: Subject, judge: Callable[[Sequence[Any]], list[str]]) -> None:
    faults = [
        f"{action}: {fault}"
        for action, events in subject.events().items()
        for fault in judge(events)
    ]
    if faults:
        raise AssertionError("\n".join(faults[:10]))


@_check("model", "data")
def events_are_valid(subject: Subject) -> None:
    """State events are JSON and as `schemas/state-event.yaml`."""
    _events_are(subject, _events.invalid)


@_check("model", "data")
def events_go_forward(subject: Subject) -> None:
    """The steps of a phase never go back, nor beyond the total."""
    _events_are(subject, _events.backward)


@_check("model", "data")
def events_arrive(subject: Subject) -> None:
    """The last step of a phase is its total, where a total is told."""
    _events_are(subject, _events.unfinished)


@_check("model", "data")
def events_are_separate(subject: Subject) -> None:
    """Each state event is a dict of its own."""
    faults = [
        f"{action}: {fault}"
        for action, events in subject.events().items()
        for fault in _events.shared(events.sent)
    ]
    if faults:
        raise AssertionError("\n".join(faults))


@_check("model", "data")
def events_end_with_the_call(subject: Subject) -> None:
    """No state event comes after the call has returned."""
    for action, call in subject.called().items():
        before = set(threading.enumerate())
        events = _events.StateEvents()
        call(events)
        count = len(events)
        for thread in set(threading.enumerate()) - before:
            thread.join(1.0)
        if len(events) > count:
            raise AssertionError(f"{action} sent {len(events) - count} events after its return")


class _StopError(Exception):
    """What the checks raise from a callback."""


def _raising(error: BaseException, at: int) -> Callable[[dict[str, Any]], None]:
    count = 0

    def state_cb(state: dict[str, Any]) -> None:
        nonlocal count
        count += 1
        if count > at:
            raise error

    return state_cb


def _passes_through(subject: Subject, make: Callable[[], BaseException]) -> None:
    """Fail unless what a callback raises comes out, whichever event it answers."""
    for action, events in subject.events().items():
        call = subject.called()[action]
        for at in sorted({0, len(events) // 2, len(events) - 1}):
            error = make()
            name = type(error).__name__
            try:
                call(_raising(error, at))
            except BaseException as raised:
                if raised is not error:
                    raise AssertionError(
                        f"{action}: the callback raised {name} at event {at + 1}, and "
                        f"{type(raised).__name__} came out: {raised}"
                    ) from raised
            else:
                raise AssertionError(
                    f"{action}: the callback raised {name} at event {at + 1}, and nothing came out"
                )


@_check("model", "data")
def callback_errors_reach_the_caller(subject: Subject) -> None:
    """What the state callback raises comes out of the call as it is."""
    _passes_through(subject, lambda: _StopError("raised by a check"))


@_check("model", "data")
def cancelled_reaches_the_caller(subject: Subject) -> None:
    """`Cancelled`, raised by the state callback, unwinds the call."""
    _passes_through(subject, Cancelled)


@_check("model", "data")
def interrupts_reach_the_caller(subject: Subject) -> None:
    """`KeyboardInterrupt`, raised while the state callback runs, comes out of the call."""
    _passes_through(subject, KeyboardInterrupt)


@_check("model", needs=_WORK)
def callback_errors_leave_a_usable_instance(subject: Subject) -> None:
    """An instance whose fit the callback ended predicts or says why not, and can be fitted."""
    events = subject.events().get("fit")
    if events is None:
        raise Inapplicable("fit sends no state event")
    for at in sorted({0, len(events) // 2}):
        instance = subject.instantiate()
        try:
            subject.fit(instance, 0, _raising(_StopError("raised by a check"), at))
        except _StopError:
            pass
        else:
            raise Inapplicable("the fit did not end by the callback's error")
        try:
            subject.predict(instance)
        except Exception as error:
            if isinstance(error, AttributeError | KeyError | IndexError | NameError) or not str(
                error
            ):
                raise AssertionError(
                    f"after a fit that the callback ended, predict raised {type(error).__name__}: "
                    f"{error}; say that the instance is not fitted, or keep it usable"
                ) from error
        subject.predict(subject.fit(instance))


@_check("model", "data")
def callback_changes_nothing(subject: Subject) -> None:
    """Calls without a state callback, and with one, come to the same."""
    if not subject.claims("deterministic"):
        raise Inapplicable("not claimed: deterministic")
    subject.called()
    if subject.told.data_access is not None:
        results = [copied(subject.access(each)) for each in (None, _events.StateEvents())]
    else:
        results = []
        for state_cb in (None, _events.StateEvents()):
            instance = subject.fit(subject.instantiate(state_cb), 0, state_cb)
            results.append(copied(subject.predict(instance, 0, state_cb)[1]))
    subject.same(results[0], results[1], "the result depends on whether there is a state callback")


# Serialization


@_check("model", needs=_ROUND_TRIP)
def round_trip(subject: Subject) -> None:
    """A deserialized instance predicts what the serialized one does."""
    instance, expected = subject.repeatable(subject.fitted())
    again = subject.deserialize(subject.serialize(instance))
    _, prediction = subject.predict(again)
    subject.same(expected, prediction, "the deserialized instance predicts something else")


@_check("model", needs=_ROUND_TRIP)
def round_trip_twice(subject: Subject) -> None:
    """An instance that was serialized and deserialized twice predicts the same."""
    instance, expected = subject.repeatable(subject.fitted())
    for _ in range(2):
        instance = subject.deserialize(subject.serialize(instance))
    _, prediction = subject.predict(instance)
    subject.same(expected, prediction, "the second generation predicts something else")


@_check("model", needs=_ROUND_TRIP)
def round_trip_then_fit(subject: Subject) -> None:
    """A deserialized instance can be fitted on, to the same end as the serialized one."""
    instance = subject.fitted()
    again = subject.deserialize(subject.serialize(instance))
    results = []
    for each in (instance, again):
        results.append(copied(subject.predict(subject.fit(each, 1), 1)[1]))
    if subject.claims("deterministic"):
        subject.same(
            results[0], results[1], "fitted on, the deserialized instance predicts something else"
        )


@_check("model", needs=_ROUND_TRIP, child=True)
def round_trip_in_a_fresh_process(subject: Subject) -> None:
    """A fresh process deserializes the instance, and predicts the same."""
    instance, expected = subject.repeatable(subject.fitted())
    answers = subject.ask(
        "deserialize", blobs=[subject.serialize(instance)], calls=subject.calls("predict")
    )
    subject.same(expected, value_of(answers), "a fresh process predicts something else")


@_check("model", needs=_ROUND_TRIP)
def serialize_keeps_the_instance(subject: Subject) -> None:
    """Serializing leaves the instance as it was."""
    instance, expected = subject.repeatable(subject.fitted())
    subject.serialize(instance)
    _, prediction = subject.predict(instance)
    subject.same(expected, prediction, "after serializing, the instance predicts something else")


@_check("model", needs=_ROUND_TRIP)
def serialize_gives_bytes(subject: Subject) -> None:
    """Serializing gives bytes, and at least one."""
    import aimm_plugins

    content: object = aimm_plugins.exec_serialize(subject.key, subject.fitted())
    if not isinstance(content, bytes | bytearray | memoryview):
        raise AssertionError(f"serialize returned {type(content).__name__}, not bytes")
    if not len(content):
        raise AssertionError("serialize returned no bytes at all")


@_check("model", needs=_ROUND_TRIP)
def serialize_cost(subject: Subject) -> None:
    """Size and time of serializing are reported, and the size is within `serialized_bytes`."""
    instance = subject.fitted()
    begin = perf_counter()
    content = subject.serialize(instance)
    middle = perf_counter()
    subject.deserialize(content)
    end = perf_counter()
    subject.notes.append(
        f"{len(content)} bytes, serialized in {middle - begin:.4f} s, "
        f"deserialized in {end - middle:.4f} s"
    )
    limit = subject.told.serialized_bytes
    if limit is not None and len(content) > limit:
        raise AssertionError(f"{len(content)} bytes, and the limit is {limit}")


@_check("model", needs=_ROUND_TRIP)
def deserialized_instances_are_separate(subject: Subject) -> None:
    """Two instances of the same bytes do not change each other."""
    content = subject.serialize(subject.fitted())
    one, other = subject.deserialize(content), subject.deserialize(content)
    if one is other:
        raise AssertionError("deserialize returned one object twice")
    other, expected = subject.repeatable(other)
    subject.fit(one, 1)
    _, prediction = subject.predict(other)
    subject.same(expected, prediction, "fitting one changed what the other one predicts")


_GARBAGE = (
    b"",
    b"\0",
    b"garbage",
    b"{}",
    b"[]",
    b"null",
    b"\x80\x05.",
    b"PK\x03\x04garbage",
    bytes(range(256)),
    b"[" * 10_000,
    b"\xff" * 4096,
)


@_check("model", needs=("deserialize",), child=True)
def garbage_is_refused(subject: Subject) -> None:
    """Deserializing what is no instance raises an ordinary error, and neither hangs nor crashes."""
    answers = subject.ask("deserialize", blobs=_GARBAGE, calls=None)
    told = answers.told[1:]
    faults = [
        f"{blob!r:.40}: {fault}"
        for blob, answer in zip(_GARBAGE, told, strict=False)
        if (fault := _fault(answer))
    ]
    if answers.ended is not None:
        faults.append(_ended(answers, len(told), _GARBAGE))
    if faults:
        raise AssertionError("deserialize of garbage\n  " + "\n  ".join(faults))


@_check("model", needs=_ROUND_TRIP, child=True)
def truncated_bytes_are_refused(subject: Subject) -> None:
    """Deserializing cut bytes raises an ordinary error, and neither hangs nor crashes."""
    instance, expected = subject.repeatable(subject.fitted())
    content = subject.serialize(instance)
    size = len(content)
    cuts = sorted({1, size // 4, size // 2, size * 3 // 4, size - 2, size - 1} - {0, size})
    blobs = [content[:cut] for cut in cuts if 0 < cut < size]
    answers = subject.ask("deserialize", blobs=blobs, calls=subject.calls("predict"))
    told = answers.told[1:]
    faults = []
    for cut, answer in zip(cuts, told, strict=False):
        # Padding at the end may go missing without harm.
        if answer[0] == "value" and subject.equal(expected, pickle.loads(answer[1])):
            continue
        if fault := _fault(answer):
            faults.append(f"the first {cut} of {size} bytes: {fault}")
    if answers.ended is not None:
        faults.append(_ended(answers, len(told), blobs))
    if faults:
        raise AssertionError("deserialize of cut bytes\n  " + "\n  ".join(faults))


def _fault(answer: tuple[Any, ...]) -> str | None:
    match answer:
        case ("error", _, _, True):
            return None
        case ("error", name, text, _):
            return f"raised {name}: {text:.300}"
        case ("instance", name):
            return f"gave a {name}"
        case _:
            return "gave an instance that predicts something else"


def _ended(answers: Any, told: int, blobs: Sequence[bytes]) -> str:
    at = f"{blobs[told]!r:.40}" if answers.told and told < len(blobs) else "its start"
    return f"at {at} the process {answers.ended}\n{answers.output}".rstrip()


@_check("model", needs=_WORK, claim="distributable")
def instances_can_be_pickled(subject: Subject) -> None:
    """A fitted instance can be pickled, and predicts the same afterwards."""
    instance, expected = subject.repeatable(subject.fitted())
    again = pickle.loads(pickle.dumps(instance))
    _, prediction = subject.predict(again)
    subject.same(expected, prediction, "the unpickled instance predicts something else")


@_check("model", "data", claim="distributable")
def arguments_can_be_pickled(subject: Subject) -> None:
    """The arguments of all calls can be pickled."""
    for action in subject.told.sources:
        made = subject.arguments(action)
        pickle.loads(pickle.dumps((made.args, dict(made.kwargs))))


@_check("model", "data", claim="distributable")
def results_can_be_pickled(subject: Subject) -> None:
    """Predictions, or the data, can be pickled and are the same afterwards."""
    if subject.told.data_access is not None:
        result = subject.access()
    else:
        subject.need(*_WORK)
        _, result = subject.predict(subject.fitted())
    subject.same(result, pickle.loads(pickle.dumps(result)), "the unpickled result differs")


# Data


@_check("data")
def access_keeps_arguments(subject: Subject) -> None:
    """Accessing data does not alter the arguments that it was given."""
    made = subject.arguments("data_access")
    before = _copy(made)
    _call("data_access", subject.key, *made.args, **made.kwargs)
    _unaltered(made, before)


@_check("data", claim="deterministic")
def deterministic_access(subject: Subject) -> None:
    """Accessing twice with equal arguments gives the same data."""
    first = copied(subject.access())
    subject.same(first, subject.access(), "two accesses gave different data")


@_check("data")
def results_are_separate(subject: Subject) -> None:
    """Each access gives data of its own, which the caller may change."""
    if _parts(subject.access()) & _parts(subject.access()):
        raise AssertionError("two accesses returned one object, which a caller may change")


_KEPT: list[Any] = []
_UNCHANGEABLE = (str, bytes, int, float, complex, type(None), tuple, frozenset)


def _parts(value: Any) -> set[int]:
    """The identities of a result and its direct members, as far as they can be changed."""
    _KEPT[:] = [*_KEPT[-1:], value]  # alive until compared, or an identity might be given anew
    members = [value]
    if isinstance(value, tuple | list):
        members += value
    elif isinstance(value, dict):
        members += value.values()
    return {id(each) for each in members if not isinstance(each, _UNCHANGEABLE)}
