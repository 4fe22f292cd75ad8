"""Laws of artifacts: what went in comes out, and what was changed does not.

`AIMM_PLUGINS_MUTATIONS=100000 pytest tests/properties/test_artifacts.py` takes as many mutations.
"""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import aimm_plugins
from aimm_plugins import ArtifactError, deserialize, pack, serialize, unpack
from tests.support.artifacts import joined, parts
from tests.support.mutations import MUTATIONS, mutated

LAW = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

texts = st.text(st.characters(codec="utf-8"), max_size=8)
metadata = st.dictionaries(
    texts,
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**70), 2**70)
        | st.floats(allow_nan=False, allow_infinity=False)
        | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@pytest.fixture(autouse=True)
def given_bytes():
    """What the plugin `k` was given to deserialize; it serializes bytes as they are."""
    received: list[bytes] = []

    @serialize(["k"])
    def dump(model):
        return model

    @deserialize(["k"])
    def load(data):
        received.append(data)
        return data

    return received


@LAW
@given(st.binary(max_size=200), metadata)
def test_what_went_in_comes_out(given_bytes, payload, own):
    instance, info = unpack(pack("k", payload, metadata=own))
    assert instance == payload
    assert info.metadata == own


@LAW
@given(st.binary(max_size=200))
def test_bytes_that_were_not_packed_are_an_artifact_error(given_bytes, data):
    with pytest.raises(ArtifactError):
        unpack(data)


@LAW
@given(
    st.binary(max_size=80) | metadata.map(lambda own: json.dumps(own).encode()),
    st.binary(max_size=40),
)
def test_sound_frame_around_anything_is_an_artifact_error(given_bytes, info, signature):
    for read in (unpack, aimm_plugins.inspect):
        with pytest.raises(ArtifactError):
            read(joined(info, signature, b"x"))
    assert given_bytes == []


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)


@LAW
@given(st.data())
def test_info_with_one_other_value_is_read_or_an_artifact_error(given_bytes, data):
    """No shape of the JSON, digest and all being right, does anything else."""
    info, _, payload = parts(pack("k", b"model", metadata={"a": 1}))
    where = info
    while True:
        key = data.draw(st.sampled_from(sorted(where)))
        if isinstance(where[key], dict) and where[key] and data.draw(st.booleans()):
            where = where[key]
            continue
        where[key] = data.draw(json_like)
        break
    try:
        instance, _ = unpack(joined(json.dumps(info).encode(), b"", payload))
    except ArtifactError:
        return
    assert instance == b"model"


def test_no_mutation_does_anything_but_raise_artifact_error(given_bytes):
    """Drawn from one seed, by a plain generator: hypothesis keeps account of each example."""
    model = bytes(range(64))
    whole = pack("k", model, metadata={"note": "ü", "list": [1, 2.5, None]})
    draw = random.Random(20261125)
    for number in range(MUTATIONS):
        data = mutated(whole, draw)
        if data == whole:
            continue
        for read in (unpack, aimm_plugins.inspect):
            try:
                read(data)
            except ArtifactError:
                continue
            raise AssertionError(f"mutation {number} was read: {data!r}")
    assert given_bytes == []


def test_no_mutation_of_the_info_in_a_sound_frame_changes_the_model(given_bytes):
    """The JSON is changed and the digest made to fit, as an attacker without a key can."""
    model = b"model"
    whole = pack("k", model)
    info, _, payload = parts(whole)
    text = json.dumps(info).encode()
    draw = random.Random(5)
    for _ in range(MUTATIONS):
        try:
            unpack(joined(mutated(text, draw), b"", payload))
        except ArtifactError:
            continue
    assert set(given_bytes) <= {model}
