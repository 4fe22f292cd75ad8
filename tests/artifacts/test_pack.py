"""Packing and unpacking: what an artifact holds, and what a plugin is given."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

import pytest

import aimm_plugins
from aimm_plugins import initialize, pack, unpack
from aimm_plugins._artifacts.container import INFO_LIMIT
from aimm_plugins._config.json_schema import validate
from tests.support.artifacts import SOURCE, assert_refused, joined, parts, repacked, restart


def test_model_comes_out_as_it_went_in(artifact):
    instance, info = unpack(artifact)
    assert instance == 7
    assert info.metadata == {"run": 5}


def test_payload_is_exactly_the_bytes_of_serialize(artifact):
    assert parts(artifact)[2] == b"7"
    assert aimm_plugins.inspect(artifact).size == 1


def test_artifact_is_what_zipfile_writes_of_its_members(artifact):
    info, signature, payload = parts(artifact)
    text = json.dumps(info, separators=(",", ":")).encode()
    assert joined(text, signature, payload) == artifact


def test_same_model_gives_the_same_artifact_but_for_the_time(artifact):
    again = pack("k", 7, metadata={"run": 5})
    created = parts(artifact)[0]["created"]
    assert repacked(again, created=created) == repacked(artifact)


def test_info_says_who_made_it_with_what_and_when(artifact):
    info = aimm_plugins.inspect(artifact)
    assert (info.model_type, info.distribution, info.version, info.module) == (
        "k",
        "aimm-svc",
        "1.2",
        "svc",
    )
    assert info.python == sys.version.split()[0]
    assert abs((datetime.now(UTC) - info.created).total_seconds()) < 3600
    rows = [r for r in aimm_plugins.fingerprint().rows if (r.action, r.key) == ("serialize", "k")]
    assert rows == [info.fingerprint]


def test_info_is_what_its_schema_says(artifact):
    validate(parts(artifact)[0], "artifact")


def test_requirements_are_those_of_the_distribution_and_of_theirs(dist, site):
    dist("3.3")
    with (site / "aimm_svc-3.3.dist-info" / "METADATA").open("a") as stream:
        stream.write(
            "Requires-Dist: jsonschema\nRequires-Dist: no-such-distribution\n"
            'Requires-Dist: pytest; extra == "test"\nRequires-Dist: (((\n'
        )
    restart()
    found = aimm_plugins.inspect(pack("k", 7)).requirements
    assert [line.partition("==")[0] for line in found][:2] == ["attrs", "jsonschema"]
    assert not {"pytest", "no-such-distribution"} & {line.partition("==")[0] for line in found}


@pytest.mark.parametrize("kind", [bytearray, memoryview, lambda data: memoryview(bytearray(data))])
def test_artifact_may_be_any_bytes(artifact, kind):
    assert unpack(kind(artifact))[0] == 7


@pytest.mark.parametrize(
    ("made", "content"),
    [
        ("b'ab'", b"ab"),
        ("bytearray(b'ab')", b"ab"),
        ("memoryview(b'ab')", b"ab"),
        ("memoryview(b'abcd')[::2]", b"ac"),
        ("memoryview(b'abcdefgh').cast('H')", b"abcdefgh"),
    ],
)
def test_plugin_may_return_any_bytes(write, made, content):
    write(
        svc=f"@serialize(['k'])\ndef s(m): return {made}\n@deserialize(['k'])\ndef d(b): return b\n"
    )
    initialize({"names": ["svc"]})
    assert unpack(pack("k", None))[0] == content


def test_plugin_that_returns_no_bytes_is_a_type_error(write):
    write(svc="@serialize(['k'])\ndef s(m): return 5\n")
    initialize({"names": ["svc"]})
    with pytest.raises(TypeError, match="serialize returns bytes, and returned int"):
        pack("k", None)


@pytest.mark.parametrize(
    ("metadata", "error", "message"),
    [
        ({"a": {1}}, TypeError, r"metadata\.a is a set"),
        ({"a": {1: 2}}, TypeError, r"metadata\.a has the key 1"),
        ({"a": [float("nan")]}, ValueError, r"metadata\.a\[0\] is nan"),
        ({"a": "\ud800"}, ValueError, r"metadata\.a holds half a surrogate"),
        ("text", TypeError, "metadata is a mapping, and was given str"),
        ({"a": "x" * (INFO_LIMIT + 1)}, ValueError, "too long"),
    ],
)
def test_metadata_that_is_no_json_is_refused(artifact, metadata, error, message):
    with pytest.raises(error, match=message):
        pack("k", 7, metadata=metadata)


def test_metadata_that_is_nested_too_deep_is_refused(artifact):
    deep: list = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(ValueError, match="nested deeper than 64"):
        pack("k", 7, metadata={"a": deep})


def test_damaged_payload_is_not_given_to_the_plugin(write):
    aimm_plugins.given = []
    write(svc=SOURCE.replace("return int(data)", "aimm_plugins.given.append(data)"))
    initialize({"names": ["svc"]})
    data = pack("k", 7)
    assert_refused(
        data.replace(b"payload7", b"payload8"), "damaged", "the model in the artifact of k"
    )
    assert aimm_plugins.given == []
    del aimm_plugins.given


def test_payload_with_another_digest_is_not_given_to_the_plugin(write):
    aimm_plugins.given = []
    write(svc=SOURCE.replace("return int(data)", "aimm_plugins.given.append(data)"))
    initialize({"names": ["svc"]})
    info, _, _ = parts(pack("k", 7))
    assert_refused(
        joined(json.dumps(info).encode(), payload=b"8"), "damaged", "the model in the artifact of k"
    )
    assert aimm_plugins.given == []
    del aimm_plugins.given
