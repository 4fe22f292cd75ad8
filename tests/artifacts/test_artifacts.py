"""Artifacts: saved models that know who made them, and who can read them."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime

import pytest
import yaml

import aimm_plugins
from aimm_plugins import ArtifactError, ConfigError, cli, initialize, pack, unpack
from aimm_plugins._artifacts.artifacts import FORMAT, HEADER, INFO_LIMIT, MAGIC, verify
from aimm_plugins._config.json_schema import validate
from tests.support.artifacts import joined, parts, repacked

SOURCE = """
@serialize(['k'])
def dump(model): return repr(model).encode()

@deserialize(['k'])
def load(data):
    assert type(data) is bytes
    return int(data)
"""


@pytest.fixture
def dist(write, install, site):
    """Installs a distribution `aimm-svc` whose plugin `svc` serializes `k`."""

    def dist(version="1.2", name="aimm-svc", module="svc", source=SOURCE):
        for old in site.glob(f"{name.replace('-', '_')}-*.dist-info"):
            for path in old.iterdir():
                path.unlink()
            old.rmdir()
        write(**{module: source})
        install(name, version, entry_points={"ep": module}, files=[f"{module}.py"])

    return dist


@pytest.fixture
def artifact(dist):
    """An artifact that `aimm-svc` 1.2 made."""
    dist()
    initialize()
    return pack("k", 7, metadata={"run": 5})


def restart(conf=None):
    """A process that starts anew, as far as plugins go."""
    from aimm_plugins._startup.runtime import RUNTIME

    aimm_plugins.unload_all()
    RUNTIME.versions.clear()
    sys.modules.pop("svc", None)
    return initialize(conf)


def refused(data, reason, *words):
    """The error of an artifact that is not loaded."""
    with pytest.raises(ArtifactError) as caught:
        unpack(data)
    assert caught.value.reason == reason, str(caught.value)
    for word in words:
        assert word in str(caught.value)
    return caught.value


# What is in it


def test_model_comes_out_as_it_went_in(artifact):
    instance, info = unpack(artifact)
    assert instance == 7
    assert info.metadata == {"run": 5}


def test_artifact_ends_with_exactly_the_bytes_of_serialize(artifact):
    assert artifact.endswith(b"}7")
    assert aimm_plugins.inspect(artifact).size == 1


def test_info_tells_who_made_it_with_what_and_when(artifact):
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
    assert [each.partition("==")[0] for each in found][:2] == ["attrs", "jsonschema"]
    assert not {"pytest", "no-such-distribution"} & {each.partition("==")[0] for each in found}


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


# Whole or not at all


@pytest.mark.parametrize("end", range(0, 400, 7))
def test_artifact_that_is_cut_off_is_damaged(artifact, end):
    if end < len(artifact):
        refused(artifact[:end], "damaged")


@pytest.mark.parametrize("position", [12, 20, 31, 40, 70, -3, -1])
def test_artifact_with_a_changed_byte_is_damaged(artifact, position):
    data = bytearray(artifact)
    data[position] ^= 1
    refused(data, "damaged")


def test_artifact_with_something_behind_it_is_damaged(artifact):
    refused(artifact + b"x", "damaged", "followed by something else")


def test_transfer_as_text_is_told(artifact):
    refused(artifact.replace(b"\r\n", b"\n"), "damaged", "transfer it as binary")


def test_bytes_of_another_kind_are_no_artifact(artifact):
    refused(b"\x80\x04K\x07.", "format", "no artifact", "exec_deserialize(model_type, data)")


def test_text_is_a_type_error():
    with pytest.raises(TypeError, match="an artifact is bytes, and was given str"):
        unpack("data")


def test_damaged_payload_is_not_given_to_the_plugin(write):
    aimm_plugins.given = []
    write(svc=SOURCE.replace("return int(data)", "aimm_plugins.given.append(data)"))
    initialize({"names": ["svc"]})
    data = pack("k", 7)
    refused(data[:-1] + b"8", "damaged", "the model in the artifact of k")
    assert aimm_plugins.given == []
    del aimm_plugins.given


def test_later_minor_version_with_unknown_keys_is_read(artifact):
    info, _, payload = parts(artifact)
    info["later"] = {"a": 1}
    info["provider"]["later"] = 2
    data = joined(json.dumps(info).encode(), b"", payload, version=(1, 9), reserved=77)
    instance, found = unpack(data)
    assert (instance, found.format) == (7, (1, 9))


def test_later_major_version_is_refused(artifact):
    info, _, payload = parts(artifact)
    data = joined(json.dumps(info).encode(), b"", payload, version=(2, 0))
    refused(data, "format", "has format 2.0", "reads 1.x", "Upgrade aimm-plugins")


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
def test_info_that_is_no_sound_json_is_refused(text):
    refused(joined(text), "format", "the info of the artifact")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('"python": "3"', "a key stands there twice"),
        ('"x": {"a": 1, "a": 2}', "a key stands there twice"),
        ('"x": -Infinity', "-Infinity is no number"),
        ('"x": 1e999', "info.x is inf"),
        ('"x": "\\ud800"', "info.x holds half a surrogate pair"),
    ],
)
def test_sound_info_with_one_thing_that_is_no_strict_json_is_refused(artifact, more, message):
    info, _, payload = parts(artifact)
    text = json.dumps(info).removesuffix("}") + f", {more}}}"
    refused(joined(text.encode(), b"", payload), "format", message)


@pytest.mark.parametrize(
    "changes",
    [
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
def test_info_of_another_shape_is_refused(artifact, changes):
    refused(repacked(artifact, **changes), "format", "the info of the artifact")


def test_stated_sizes_beyond_all_reason_are_refused_at_once():
    data = MAGIC + bytes([0, 1, 0, 0]) + b"\xff" * 20
    refused(data + bytes(HEADER - len(data)), "damaged", "4294967295 bytes of info")


def test_format_is_the_documented_one():
    assert (64, (1, 0), bytes.fromhex("8941494d4d0d0a1a")) == (HEADER, FORMAT, MAGIC)


# Who can read it


def test_missing_provider_says_what_to_install(artifact):
    restart({"names": [], "entry_points": {"enabled": False}})
    data = repacked(artifact, provider={"distribution": "aimm-x", "version": "3", "module": "x"})
    error = refused(data, "provider", "aimm-x 3, which is not installed", "pip install aimm-x==3")
    assert (error.model_type, error.distribution, error.version) == ("k", "aimm-x", "3")


def test_provider_that_is_installed_and_not_loaded_says_so(artifact):
    restart({"names": [], "entry_points": {"enabled": False}})
    refused(artifact, "provider", "is installed (aimm-svc 1.2) and not loaded", "initialize(conf)")


def test_denied_provider_tells_the_rule(artifact):
    restart({"names": [], "entry_points": {"deny": ["aimm-svc<2"]}})
    refused(artifact, "provider", "which is denied: denied by 'aimm-svc<2'", "Change the rule")


def test_failed_provider_tells_its_error(artifact, dist):
    dist(source="raise ValueError('no libsvm')\n")
    restart({"names": [], "on_error": "isolate"})
    refused(artifact, "provider", "which is failed: ValueError: no libsvm", "Repair that")


def test_shadowed_provider_tells_the_rule(artifact, dist):
    dist(name="aimm-other", module="other")
    restart({"names": [], "prefer": {"k": "aimm-other"}})
    refused(
        artifact,
        "provider",
        "aimm-other 1.2 is here: another provider",
        'prefer aimm-svc 1.2, which is here too (shadowed: prefer {"k": aimm-other} (conf prefer.k)',
        'prefer: {"k": aimm-svc}',
    )


def test_denied_provider_of_a_key_that_another_has_tells_the_rule(artifact, dist):
    dist(name="aimm-other", module="other")
    restart({"names": [], "entry_points": {"deny": ["aimm-svc"]}})
    refused(artifact, "provider", "do not deny aimm-svc 1.2: denied by 'aimm-svc'")


def test_conflict_about_the_key_is_told(artifact, dist):
    dist(name="aimm-other", module="other")
    restart({"names": [], "on_error": "isolate"})
    refused(artifact, "provider", "two plugins provide deserialize:k", "prefer:")


def test_provider_without_the_key_says_which_version_had_it(artifact, dist):
    dist("2.0", source="@serialize(['k'])\ndef dump(m): ...\n")
    restart()
    refused(artifact, "provider", "is here as aimm-svc 2.0 and does not provide", "aimm-svc==1.2")


def test_nothing_initialized_says_so(artifact):
    code = "import aimm_plugins, sys\naimm_plugins.unpack(sys.stdin.buffer.read())"
    done = subprocess.run([sys.executable, "-c", code], input=artifact, capture_output=True)
    assert b"Nothing was ever initialized or declared in this process" in done.stderr


def test_module_that_no_distribution_owns_reads_what_it_wrote(write):
    write(svc=SOURCE)
    initialize({"names": ["svc"]})
    assert unpack(pack("k", 7))[0] == 7


def test_module_that_was_packaged_later_reads_what_it_wrote(write, dist):
    write(svc=SOURCE)
    initialize({"names": ["svc"]})
    data = pack("k", 7)
    dist()
    restart()
    assert unpack(data)[0] == 7


def test_executor_may_read_what_nobody_provides(artifact):
    class Executor:
        @aimm_plugins.hookimpl
        def aimm_deserialize(self, model_type, instance_bytes):
            return aimm_plugins.Result((model_type, instance_bytes))

    restart({"names": [], "entry_points": {"enabled": False}})
    aimm_plugins.get_plugin_manager().register(Executor())
    assert unpack(artifact)[0] == ("k", b"7")


def test_what_the_plugin_raises_is_its_own_error(artifact):
    with pytest.raises(ValueError, match="invalid literal") as caught:
        unpack(repacked(artifact, payload=b"x"))
    assert not isinstance(caught.value, ArtifactError)


# Other versions


@pytest.mark.parametrize(
    ("rule", "version", "outcome"),
    [
        (None, "1.2", "silent"),
        (None, "1.9", "warns"),
        (None, "2.0", "refused"),
        (None, "1!1.2", "refused"),
        ("compatible", "1.9", "warns"),
        ("compatible", "2.0", "refused"),
        ("error", "1.2.1", "refused"),
        ("error", "1.2", "silent"),
        ("warn", "2.0", "warns"),
        ("ignore", "2.0", "silent"),
    ],
)
def test_other_version_follows_the_conf(artifact, dist, caplog, rule, version, outcome):
    dist(version)
    restart({"names": [], **({"artifacts": {"on_version": rule}} if rule else {})})
    caplog.set_level(logging.WARNING)
    if outcome == "refused":
        refused(artifact, "version", f"aimm-svc {version} is here", "pip install aimm-svc==1.2")
    else:
        _, info = unpack(artifact)
        assert [finding.code for finding in info.findings] == (
            ["artifact-version-differs"] if outcome == "warns" else []
        )
        assert ("artifact-version-differs" in caplog.text) == (outcome == "warns")


def test_refusal_tells_the_rule_and_its_place(artifact, dist, tmp_path):
    dist("1.3")
    conf = tmp_path / "plugins.yaml"
    conf.write_text("names: []\nartifacts:\n  on_version: error\n")
    restart(str(conf))
    refused(artifact, "version", f"on_version: error ({conf}:3) refuses")


def test_policy_cannot_be_widened_by_a_conf(artifact, dist, tmp_path, monkeypatch):
    policy = tmp_path / "policy.yaml"
    policy.write_text("artifacts: {on_version: error}\n")
    monkeypatch.setenv("AIMM_PLUGINS_POLICY", str(policy))
    dist("1.3")
    restart({"names": [], "artifacts": {"on_version": "ignore"}})
    refused(artifact, "version", "policy.yaml:1")


# Signatures

SECRET, OTHER = "s" * 32, "t" * 32


@pytest.fixture
def keys(tmp_path):
    """Files of two secrets and of an Ed25519 key pair."""
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    from cryptography.hazmat.primitives.asymmetric import ed25519

    private = ed25519.Ed25519PrivateKey.generate()
    none = serialization.NoEncryption()
    files = {
        "secret": SECRET.encode() + b"\n",
        "other": OTHER.encode(),
        "private": private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none
        ),
        "private.ssh": private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, none
        ),
        "public": private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
        "public.ssh": private.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        ),
        "short": b"abc",
        "garbage": b"-----BEGIN NOTHING-----\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def conf_of(folder, /, **rules):
    """A conf whose key files stand in a folder."""

    def placed(value):
        if isinstance(value, dict):
            return {
                name: str(folder / each) if name in ("hmac", "ed25519") else placed(each)
                for name, each in value.items()
            }
        return value

    return {"names": [], "artifacts": placed(rules)}


@pytest.mark.parametrize(
    ("signer", "verifier"),
    [
        ({"hmac": "secret"}, {"hmac": "secret"}),
        ({"ed25519": "private"}, {"ed25519": "public"}),
        ({"ed25519": "private.ssh"}, {"ed25519": "public.ssh"}),
    ],
)
def test_signed_artifact_is_read_where_its_key_is_trusted(dist, keys, signer, verifier):
    dist()
    restart(conf_of(keys, sign_with=signer))
    data = pack("k", 7)
    restart(conf_of(keys, signed="required", keys={"more": {"hmac": "other"}, "ci": verifier}))
    instance, info = unpack(data)
    assert (instance, info.signed_by) == (7, "ci")


def test_unsigned_artifact_is_refused_where_a_signature_is_required(artifact, keys):
    restart(conf_of(keys, signed="required", keys={"ci": {"hmac": "secret"}}))
    refused(artifact, "signature", "is not signed", "artifacts.signed", "sign_with")


@pytest.fixture
def signed(dist, keys):
    dist()
    restart(conf_of(keys, sign_with={"hmac": "secret"}))
    return pack("k", 7)


def test_artifact_of_a_key_that_is_not_trusted_is_refused_where_required(signed, keys):
    restart(conf_of(keys, signed="required", keys={"ci": {"hmac": "other"}}))
    refused(signed, "signature", "which is not among those trusted: ci (hmac ")


def test_artifact_of_a_key_that_is_not_trusted_is_a_finding_elsewhere(signed, keys):
    restart(conf_of(keys))
    _, info = unpack(signed)
    assert [each.code for each in info.findings] == ["artifact-signature-not-verified"]
    assert info.signed_by is None


@pytest.mark.parametrize("required", ["required", "optional"])
def test_changed_info_under_a_trusted_signature_is_refused(signed, keys, required):
    restart(conf_of(keys, signed=required, keys={"ci": {"hmac": "secret"}}))
    refused(repacked(signed, python="3.99"), "signature", "is not what ci signed")


def test_changed_model_under_a_trusted_signature_is_refused(signed, keys):
    restart(conf_of(keys, keys={"ci": {"hmac": "secret"}}))
    refused(repacked(signed, payload=b"8"), "signature", "is not what ci signed")


def test_signature_of_another_artifact_is_refused(signed, keys):
    info, _, payload = parts(signed)
    _, signature, _ = parts(pack("k", 8))
    restart(conf_of(keys, signed="required", keys={"ci": {"hmac": "secret"}}))
    refused(joined(json.dumps(info).encode(), signature, payload), "signature")


def test_artifact_cannot_choose_another_algorithm_for_a_key(signed, keys):
    """A public key is known to everybody, and must not do as a secret."""
    info, signature, payload = parts(signed)
    changed = json.dumps({**json.loads(signature), "algorithm": "ed25519"}).encode()
    restart(conf_of(keys, signed="required", keys={"ci": {"hmac": "secret"}}))
    refused(joined(json.dumps(info).encode(), changed, payload), "signature", "not among")


@pytest.mark.parametrize("signature", [b"[]", b"{}", b'{"algorithm": 1}', b"\xff"])
def test_signature_of_another_shape_is_refused(artifact, signature):
    info, _, payload = parts(artifact)
    data = joined(json.dumps(info).encode(), signature, payload)
    refused(data, "format", "the signature of the artifact")


def test_keys_of_a_policy_hold_instead_of_those_of_a_conf(signed, keys, monkeypatch):
    policy = keys / "policy.yaml"
    policy.write_text("artifacts: {signed: required, keys: {ops: {hmac: other}}}\n")
    monkeypatch.setenv("AIMM_PLUGINS_POLICY", str(policy))
    restart(conf_of(keys, keys={"mine": {"hmac": "secret"}}))
    error = refused(signed, "signature", "ops (hmac ")
    assert "mine" not in str(error)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ({"hmac": "none"}, "is not there"),
        ({"hmac": "."}, "cannot be read"),
        ({"hmac": "short"}, r"holds 3 bytes \(expected at least 32"),
        ({"ed25519": "secret"}, r"cannot be used.*an Ed25519 public key"),
        ({"ed25519": "garbage"}, "cannot be used"),
        ({"ed25519": "private"}, "cannot be used"),
    ],
)
def test_key_that_cannot_be_used_is_a_config_error(signed, keys, key, message):
    restart(conf_of(keys, keys={"ci": key}))
    with pytest.raises(ConfigError, match=rf"(?s)artifacts\.keys\.ci.*{message}"):
        unpack(signed)


def test_public_key_cannot_sign(artifact, keys):
    restart(conf_of(keys, sign_with={"ed25519": "public"}))
    with pytest.raises(ConfigError, match=r"(?s)sign_with.*an Ed25519 private key"):
        pack("k", 7)


def test_ed25519_without_cryptography_says_what_to_install(artifact, keys, monkeypatch):
    restart(conf_of(keys, sign_with={"ed25519": "private"}))
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(ConfigError, match=r"pip install aimm-plugins\[sign\]"):
        pack("k", 7)


@pytest.mark.parametrize(
    "rules",
    [
        {"on_version": "warm"},
        {"signed": True},
        {"keys": {"ci": {}}},
        {"keys": {"ci": {"hmac": "a", "ed25519": "b"}}},
        {"keys": {"": {"hmac": "a"}}},
        {"keys": {"ci": {"hmac": ""}}},
        {"sign_with": "file"},
        {"sign": {"hmac": "a"}},
    ],
)
def test_conf_that_says_nothing_sound_of_artifacts_is_refused(rules):
    with pytest.raises(ConfigError, match="at artifacts"):
        initialize({"names": [], "artifacts": rules})


# The command line


@pytest.fixture
def run(capsys, tmp_path, artifact):
    """Runs `aimm-plugins artifact VERB model.aimm …` in this process."""

    def run(verb, *arguments, data=artifact):
        (tmp_path / "model.aimm").write_bytes(data)
        aimm_plugins.unload_all()
        sys.modules.pop("svc", None)
        capsys.readouterr()
        status = cli.run(["artifact", verb, str(tmp_path / "model.aimm"), *arguments])
        out, err = capsys.readouterr()
        assert "svc" not in sys.modules
        return status, json.loads(out) if "json" in arguments and out else out, err

    return run


def test_inspect_prints_the_info_as_json(run, artifact):
    status, out, _ = run("inspect", "--format", "json")
    assert (status, out) == (0, aimm_plugins.inspect(artifact).to_dict())


def test_inspect_prints_a_table(run):
    status, out, _ = run("inspect")
    assert status == 0
    assert "provider      aimm-svc 1.2" in out


def test_inspect_of_a_damaged_file_exits_1(run, artifact):
    status, out, err = run("inspect", data=artifact[:-1])
    assert (status, out) == (1, "")
    assert "the artifact is cut off" in err


def test_verify_says_that_it_can_be_loaded(run):
    assert run("verify")[0] == 0
    status, out, _ = run("verify", "--format", "json")
    assert (status, out["ok"], out["error"]) == (0, True, None)


def test_verify_exits_1_with_the_reason_as_json(run, tmp_path):
    conf = tmp_path / "plugins.yaml"
    conf.write_text("names: []\nentry_points: {deny: [aimm-svc]}\n")
    status, out, _ = run("verify", "--format", "json", "--conf", str(conf))
    assert (status, out["ok"], out["error"]["reason"]) == (1, False, "provider")
    assert "denied by 'aimm-svc'" in out["error"]["message"]


def test_verify_refuses_another_major_version(run, dist):
    dist("2.0")
    status, _, err = run("verify")
    assert status == 1
    assert "aimm-svc 2.0 is here: another major version" in err


def test_verify_tells_another_version_on_stderr(run, dist):
    dist("1.3")
    status, _, err = run("verify")
    assert status == 0
    assert "finding  artifact-version-differs" in err


def test_verify_of_a_wrong_conf_exits_2(run, tmp_path):
    conf = tmp_path / "plugins.yaml"
    conf.write_text(yaml.safe_dump({"names": 5}))
    assert run("verify", "--conf", str(conf))[0] == 2


def test_file_that_is_not_there_exits_2(run):
    assert cli.run(["artifact", "inspect", "none.aimm"]) == 2


def test_verify_and_unpack_agree_on_a_signature(signed, keys):
    conf = conf_of(keys, signed="required", keys={"ci": {"hmac": "secret"}})
    assert verify(signed, conf).signed_by == "ci"
    with pytest.raises(ArtifactError, match="is not what ci signed"):
        verify(repacked(signed, payload=b"8"), conf)
