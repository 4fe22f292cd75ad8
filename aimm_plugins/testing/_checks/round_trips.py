"""Checks of bytes: instances that are serialized, deserialized and pickled, and broken bytes."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from time import perf_counter
from typing import Any

import aimm_plugins
from aimm_plugins._system.child import ChildResult
from aimm_plugins.testing._checks.registry import ROUND_TRIP, WORK, check
from aimm_plugins.testing._child_tasks import as_read
from aimm_plugins.testing._compare import is_unchangeable
from aimm_plugins.testing._subject import Subject, copied, value_of


@check("model", needs=ROUND_TRIP)
def round_trip(subject: Subject) -> None:
    """A deserialized instance predicts what the serialized one does."""
    instance, expected = subject.repeatable(subject.fitted())
    again = subject.deserialize(subject.serialize(instance))
    subject.predicts(again, expected, "the deserialized instance predicts something else")


@check("model", needs=ROUND_TRIP)
def round_trip_twice(subject: Subject) -> None:
    """An instance that was serialized and deserialized twice predicts the same."""
    instance, expected = subject.repeatable(subject.fitted())
    for _ in range(2):
        instance = subject.deserialize(subject.serialize(instance))
    subject.predicts(instance, expected, "the second generation predicts something else")


@check("model", needs=ROUND_TRIP)
def round_trip_then_fit(subject: Subject) -> None:
    """A deserialized instance can be fitted on, to the same end as the serialized one."""
    original = subject.fitted()
    again = subject.deserialize(subject.serialize(original))
    results = [
        copied(subject.predict(subject.fit(instance, 1), 1)[1]) for instance in (original, again)
    ]
    if subject.claims("deterministic"):
        subject.same(
            results[0], results[1], "fitted on, the deserialized instance predicts something else"
        )


@check("model", needs=ROUND_TRIP, child=True)
def round_trip_in_a_fresh_process(subject: Subject) -> None:
    """A fresh process deserializes the instance, and predicts the same."""
    instance, expected = subject.repeatable(subject.fitted())
    prediction = value_of(subject.deserialize_in_child(subject.serialize(instance)))
    subject.same(expected, prediction, "a fresh process predicts something else")


@check("model", needs=ROUND_TRIP)
def serialize_keeps_the_instance(subject: Subject) -> None:
    """Serializing leaves the instance as it was."""
    instance, expected = subject.repeatable(subject.fitted())
    subject.serialize(instance)
    subject.predicts(instance, expected, "after serializing, the instance predicts something else")


@check("model", needs=ROUND_TRIP)
def serialize_gives_bytes(subject: Subject) -> None:
    """Serializing gives bytes, and at least one."""
    content: object = aimm_plugins.exec_serialize(subject.key, subject.fitted())
    if not isinstance(content, bytes | bytearray | memoryview):
        raise AssertionError(f"serialize returned {type(content).__name__}, not bytes")
    if not len(content):
        raise AssertionError("serialize returned no bytes at all")
    if bytes(content[:1]) == pickle.PROTO and bytes(content[-1:]) == pickle.STOP:
        subject.notes.append("a pickle: reading one that others wrote runs what code they like")


@check("model", needs=ROUND_TRIP)
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
    limit = subject.spec.serialized_bytes
    if limit is not None and len(content) > limit:
        raise AssertionError(f"{len(content)} bytes, and the limit is {limit}")


@check("model", needs=ROUND_TRIP)
def deserialized_instances_are_separate(subject: Subject) -> None:
    """Two instances of the same bytes do not change each other."""
    content = subject.serialize(subject.fitted())
    one, other = subject.deserialize(content), subject.deserialize(content)
    if one is other and not is_unchangeable(one):
        raise AssertionError("deserialize returned one object twice")
    other, expected = subject.repeatable(other)
    subject.fit(one, 1)
    subject.predicts(other, expected, "fitting one changed what the other one predicts")


# Broken bytes

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


@check("model", needs=("deserialize",), child=True)
def garbage_is_refused(subject: Subject) -> None:
    """Deserializing what is no instance raises an ordinary error, and neither hangs nor crashes."""
    result = subject.deserialize_in_child(*_GARBAGE, predict=False)
    names = [f"{content!r:.40}" for content in _GARBAGE]
    _refuse("deserialize of garbage", names, result, lambda made: f"gave a {made}")


@check("model", needs=ROUND_TRIP, child=True)
def truncated_bytes_are_refused(subject: Subject) -> None:
    """Deserializing cut bytes raises an ordinary error, and neither hangs nor crashes."""
    instance, expected = subject.repeatable(subject.fitted())
    content = subject.serialize(instance)
    size = len(content)
    sizes = {1, size // 4, size // 2, size * 3 // 4, size - 2, size - 1}
    cuts = sorted(cut for cut in sizes if 0 < cut < size)

    def fault_of(prediction: Any) -> str | None:
        if subject.equal(expected, prediction):  # padding at the end may go missing without harm
            return None
        return "gave an instance that predicts something else"

    result = subject.deserialize_in_child(*(content[:cut] for cut in cuts))
    names = [f"the first {cut} of {size} bytes" for cut in cuts]
    _refuse("deserialize of cut bytes", names, result, fault_of)


def _refuse(
    what: str, names: list[str], result: ChildResult, fault_of: Callable[[Any], str | None]
) -> None:
    """Fail where contents were not refused, or the process did not come to all of them.

    The names are those of the contents; `fault_of` says what is wrong with what was made of one.
    """
    faults, raised = [], set()
    answers = result.answers[1:]  # the first one says that the process is ready
    for name, answer in zip(names, answers, strict=False):
        match answer:
            case ("error", kind, text, _, False):
                faults.append(f"{name}: raised {kind}: {text:.300}")
                raised.add(kind)
            case ("value", value) if fault := fault_of(pickle.loads(value)):
                faults.append(f"{name}: {fault}")
            case _:
                pass
    if not result.finished:
        at = [*names, "its end"][len(answers)] if result.answers else "its start"
        faults.append(f"at {at} the process {result.ended}\n{result.text}".rstrip())
    if not faults:
        return
    if raised:
        kinds = ", ".join(sorted(raised))
        remedy = f"catch {kinds} in deserialize, and raise ValueError with a text from it."
    elif not result.finished:
        remedy = (
            "write a checksum before what serialize gives, and have deserialize raise ValueError "
            "where it does not fit, before a reader that hangs or crashes sees the rest."
        )
    else:
        remedy = "raise ValueError where what was read lacks anything that serialize writes."
    raise AssertionError("\n  ".join([what, *faults, f"To do: {remedy}"]))


# Pickles


@check("model", needs=WORK, claim="distributable")
def instances_can_be_pickled(subject: Subject) -> None:
    """A fitted instance can be pickled, and predicts the same afterwards."""
    instance, expected = subject.repeatable(subject.fitted())
    again = pickle.loads(pickle.dumps(instance))
    subject.predicts(again, expected, "the unpickled instance predicts something else")


@check("model", "data", claim="distributable")
def arguments_can_be_pickled(subject: Subject) -> None:
    """The arguments of all calls can be pickled."""
    for action in subject.spec.sources:
        made = subject.arguments(action)
        pickle.loads(pickle.dumps((made.args, dict(made.kwargs))))


@check("model", "data", claim="distributable")
def results_can_be_pickled(subject: Subject) -> None:
    """Predictions, or the data, can be pickled and are the same afterwards."""
    if subject.spec.data_access is not None:
        made = subject.arguments("data_access")
        result = subject.call("data_access", made, as_it_is=True)
    else:
        subject.need(*WORK)
        made = subject.arguments("predict")
        _, result = subject.call("predict", made, subject.fitted(), as_it_is=True)
    again = pickle.loads(pickle.dumps(result))
    subject.same(as_read(result), as_read(again), "the unpickled result differs")
