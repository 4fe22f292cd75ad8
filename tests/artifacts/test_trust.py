"""Signatures: which artifacts are trusted, by the conf and the operator's policy alone."""

from __future__ import annotations

import json
import logging
import sys
import threading

import pytest

from aimm_plugins import (
    AimmPluginsError,
    ArtifactError,
    ConfigError,
    initialize,
    pack,
    unload_all,
    unpack,
)
from aimm_plugins._artifacts.pack import verify
from aimm_plugins._artifacts.trust import rules_of
from aimm_plugins._startup.runtime import PROCESS
from tests.support.artifacts import assert_refused, joined, parts, repacked, restart

serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")


@pytest.fixture
def keys(tmp_path):
    """Files of two Ed25519 keys, one as PEM and as OpenSSH, and of what is no such key."""
    from cryptography.hazmat.primitives.asymmetric import ed25519, x25519

    private, other = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    pem, ssh = serialization.Encoding.PEM, serialization.Encoding.OpenSSH
    pkcs8, openssh = serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.OpenSSH
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    none = serialization.NoEncryption()
    passphrase = serialization.BestAvailableEncryption(b"secret")
    files = {
        "private": private.private_bytes(pem, pkcs8, none),
        "private.ssh": private.private_bytes(pem, openssh, none),
        "locked": private.private_bytes(pem, pkcs8, passphrase),
        "public": private.public_key().public_bytes(pem, spki),
        "public.ssh": private.public_key().public_bytes(ssh, serialization.PublicFormat.OpenSSH),
        "other": other.public_key().public_bytes(pem, spki),
        "other_kind": x25519.X25519PrivateKey.generate().public_key().public_bytes(pem, spki),
        "garbage": b"-----BEGIN NOTHING-----\n",
        "endless": b"x" * 100_000,
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def conf_of(folder, *, keys=None, sign_with=None, **rules):
    """A conf whose keys are files in a folder."""
    if keys is not None:
        rules["keys"] = {name: {"ed25519": str(folder / file)} for name, file in keys.items()}
    if sign_with is not None:
        rules["sign_with"] = {"ed25519": str(folder / sign_with)}
    return {"names": [], "artifacts": rules}


@pytest.mark.parametrize(
    ("signer", "verifier"), [("private", "public"), ("private.ssh", "public.ssh")]
)
def test_signed_artifact_is_read_where_its_key_is_trusted(dist, keys, signer, verifier):
    dist()
    restart(conf_of(keys, sign_with=signer))
    data = pack("k", 7)
    restart(conf_of(keys, signed="required", keys={"more": "other", "ci": verifier}))
    instance, info = unpack(data)
    assert (instance, info.signed_by) == (7, "ci")


def test_unsigned_artifact_is_refused_where_a_signature_is_required(artifact, keys):
    restart(conf_of(keys, signed="required", keys={"ci": "public"}))
    assert_refused(artifact, "signature", "is not signed", "artifacts.signed", "sign_with")


def test_signature_is_required_from_the_moment_at_which_the_plugin_can_be_called(artifact, keys):
    unload_all()
    answers = []

    class Request(logging.Handler):
        """Another thread unpacks while `initialize` tells what it has registered."""

        def emit(self, record):
            thread = threading.Thread(target=request)
            thread.start()
            thread.join()

    def request():
        try:
            answers.append(unpack(artifact))
        except AimmPluginsError as error:
            answers.append(error)

    logger, handler = logging.getLogger("aimm_plugins"), Request(logging.INFO)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        initialize(conf_of(keys, signed="required", keys={"ci": "public"}))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert answers
    assert all("is not signed" in str(answer) for answer in answers)


def test_table_of_calls_has_the_rules_that_were_registered_with_its_plugins(artifact, keys):
    calls = PROCESS.calls.deserialize
    restart(conf_of(keys, signed="required", keys={"ci": "public"}))
    later = PROCESS.calls.deserialize
    unload_all()
    assert rules_of(calls.snapshot.confs).signed_place is None
    assert rules_of(later.snapshot.confs).signed_place == "conf artifacts.signed"


@pytest.fixture
def signed(dist, keys):
    dist()
    restart(conf_of(keys, sign_with="private"))
    return pack("k", 7)


def test_artifact_of_a_key_that_is_not_trusted_is_refused_where_required(signed, keys):
    restart(conf_of(keys, signed="required", keys={"ci": "other"}))
    assert_refused(signed, "signature", "which is not among those trusted: ci (ed25519 ")


def test_artifact_of_a_key_that_is_not_trusted_is_a_finding_elsewhere(signed, keys):
    restart(conf_of(keys))
    _, info = unpack(signed)
    assert [finding.code for finding in info.findings] == ["artifact-signature-not-verified"]
    assert info.signed_by is None


@pytest.mark.parametrize("required", ["required", "optional"])
def test_changed_info_under_a_trusted_signature_is_refused(signed, keys, required):
    restart(conf_of(keys, signed=required, keys={"ci": "public"}))
    assert_refused(repacked(signed, python="3.99"), "signature", "is not what ci signed")


def test_changed_model_under_a_trusted_signature_is_refused(signed, keys):
    restart(conf_of(keys, keys={"ci": "public"}))
    assert_refused(repacked(signed, payload=b"8"), "signature", "is not what ci signed")


def test_signature_of_another_artifact_is_refused(signed, keys):
    info, _, payload = parts(signed)
    _, signature, _ = parts(pack("k", 8))
    restart(conf_of(keys, signed="required", keys={"ci": "public"}))
    assert_refused(joined(json.dumps(info).encode(), signature, payload), "signature")


@pytest.mark.parametrize("algorithm", ["hmac", "none", "ED25519", ""])
def test_artifact_cannot_choose_another_algorithm(signed, keys, algorithm):
    info, signature, payload = parts(signed)
    changed = json.dumps({**json.loads(signature), "algorithm": algorithm}).encode()
    restart(conf_of(keys, signed="required", keys={"ci": "public"}))
    assert_refused(joined(json.dumps(info).encode(), changed, payload), "signature", "not among")


@pytest.mark.parametrize("value", ["", "no hex", "00" * 64, "00" * 5000])
def test_signature_that_is_none_is_refused(signed, keys, value):
    info, signature, payload = parts(signed)
    changed = json.dumps({**json.loads(signature), "value": value}).encode()
    restart(conf_of(keys, signed="required", keys={"ci": "public"}))
    with pytest.raises(ArtifactError):
        unpack(joined(json.dumps(info).encode(), changed, payload))


def test_signature_that_was_taken_out_is_refused_where_required(signed, keys):
    info, _, payload = parts(signed)
    restart(conf_of(keys, signed="required", keys={"ci": "public"}))
    assert_refused(joined(json.dumps(info).encode(), b"", payload), "signature", "is not signed")


def test_unsigned_artifact_is_refused_before_its_payload_is_read(artifact, keys):
    restart(conf_of(keys, signed="required", keys={"ci": "public"}))
    info, _, _ = parts(artifact)
    data = joined(json.dumps(info).encode(), payload=b"something else")
    assert_refused(data, "signature", "is not signed")


def test_keys_of_a_policy_hold_instead_of_those_of_a_conf(signed, keys, monkeypatch):
    policy = keys / "policy.yaml"
    policy.write_text("artifacts: {signed: required, keys: {ops: {ed25519: other}}}\n")
    monkeypatch.setenv("AIMM_PLUGINS_POLICY", str(policy))
    restart(conf_of(keys, keys={"mine": "public"}))
    error = assert_refused(signed, "signature", "ops (ed25519 ")
    assert "mine" not in str(error)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("none", "is not there"),
        (".", "cannot be read"),
        ("endless", "cannot be read"),
        ("garbage", r"cannot be used.*an Ed25519 public key"),
        ("private", "cannot be used"),
        ("other_kind", "a key of another kind"),
    ],
)
def test_key_that_cannot_be_used_is_a_config_error(signed, keys, key, message):
    restart(conf_of(keys, keys={"ci": key}))
    with pytest.raises(ConfigError, match=rf"(?s)artifacts\.keys\.ci.*{message}"):
        unpack(signed)


@pytest.mark.parametrize("key", ["public", "locked", "garbage"])
def test_key_that_cannot_sign_is_a_config_error(artifact, keys, key):
    restart(conf_of(keys, sign_with=key))
    with pytest.raises(ConfigError, match=r"(?s)sign_with.*an Ed25519 private key"):
        pack("k", 7)


def test_ed25519_without_cryptography_says_what_to_install(artifact, keys, monkeypatch):
    restart(conf_of(keys, sign_with="private"))
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(ConfigError, match=r"pip install aimm-plugins\[sign\]"):
        pack("k", 7)


@pytest.mark.parametrize(
    "rules",
    [
        {"on_version": "warm"},
        {"signed": True},
        {"keys": {"ci": {}}},
        {"keys": {"ci": {"hmac": "a"}}},
        {"keys": {"ci": {"ed25519": "a", "hmac": "b"}}},
        {"keys": {"": {"ed25519": "a"}}},
        {"keys": {"ci": {"ed25519": ""}}},
        {"keys": {"ci": "file"}},
        {"sign_with": "file"},
        {"sign": {"ed25519": "a"}},
    ],
)
def test_conf_that_says_nothing_sound_of_artifacts_is_refused(rules):
    with pytest.raises(ConfigError, match="at artifacts"):
        initialize({"names": [], "artifacts": rules})


def test_verify_and_unpack_agree_on_a_signature(signed, keys):
    conf = conf_of(keys, signed="required", keys={"ci": "public"})
    assert verify(signed, conf).signed_by == "ci"
    with pytest.raises(ArtifactError, match="is not what ci signed"):
        verify(repacked(signed, payload=b"8"), conf)
