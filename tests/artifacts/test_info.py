"""What `info.json` says: strict JSON of one shape, open to later minor versions."""

from __future__ import annotations

import json
import time

import pytest

import aimm_plugins
from aimm_plugins import unpack
from tests.support.artifacts import assert_refused, joined, parts, repacked


def test_later_minor_version_with_unknown_keys_is_read(artifact):
    provider = {**parts(artifact)[0]["provider"], "later": 2}
    instance, found = unpack(repacked(artifact, format=[1, 9], later={"a": 1}, provider=provider))
    assert (instance, found.format) == (7, (1, 9))


def test_later_major_version_is_assert_refused(artifact):
    data = repacked(artifact, format=[2, 0], metadata=...)
    assert_refused(data, "format", "has format 2.0", "reads 1.x", "Upgrade aimm-plugins")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b"{}",
        b'{"a": 1, "a": 1}',
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 100 + b"1" + b"}" * 100,
        b'{"a": ' + b"1" * 10_000 + b"}",
    ],
)
def test_info_that_is_no_sound_json_is_assert_refused(text):
    assert_refused(joined(text), "format", "the info of the artifact")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('"python": "3"', "a key is there twice"),
        ('"x": {"a": 1, "a": 2}', "a key is there twice"),
        ('"x": -Infinity', "-Infinity is no number"),
        ('"x": 1e999', "info.x is inf"),
        ('"x": "\\ud800"', "info.x holds half a surrogate pair"),
    ],
)
def test_sound_info_with_one_thing_that_is_no_strict_json_is_assert_refused(
    artifact, more, message
):
    info, _, payload = parts(artifact)
    text = json.dumps(info).removesuffix("}") + f", {more}}}"
    assert_refused(joined(text.encode(), b"", payload), "format", message)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": ...},
        {"format": [1]},
        {"format": [True, 0]},
        {"model_type": 5},
        {"model_type": ...},
        {"provider": 5},
        {"provider": {"module": None}},
        {"provider": {"module": "m", "version": 5}},
        {"payload": 5},
        {"payload": {"size": True, "sha256": ""}},
        {"payload": {"size": -1, "sha256": ""}},
        {"requirements": [5]},
        {"metadata": []},
        {"created": "yesterday"},
        {"created": ...},
        {"fingerprint": {}},
        {"python": None},
    ],
)
def test_info_of_another_shape_is_assert_refused(artifact, changes):
    assert_refused(repacked(artifact, **changes), "format", "the info of the artifact")


@pytest.mark.parametrize("signature", [b"[]", b"{}", b'{"algorithm": 1}', b"\xff", b"[" * 4000])
def test_signature_of_another_shape_is_refused(artifact, signature):
    info, _, payload = parts(artifact)
    data = joined(json.dumps(info).encode(), signature, payload)
    assert_refused(data, "format", "the signature of the artifact")


@pytest.mark.parametrize(
    "metadata",
    [
        b'{"' + b"k" * 100_000 + b'": [' + b"0," * 100_000 + b"0]}",
        b'{"a": [' + b"[]," * 100_000 + b"[]]}",
        b'{"a": [' + (b"[" * 60 + b"]" * 60 + b",") * 2_500 + b"0]}",
    ],
)
def test_longest_info_is_read_in_a_time_that_is_linear_in_its_length(artifact, metadata):
    """A text for the place of every value took 9 s for 0.8 MB, and four times that for twice it."""
    info, _, payload = parts(artifact)
    text = json.dumps({**info, "metadata": ...}, default=lambda _: "?").encode()
    data = joined(text.replace(b'"?"', metadata), payload=payload)
    begin = time.process_time()
    aimm_plugins.inspect(data)
    assert time.process_time() - begin < 5
