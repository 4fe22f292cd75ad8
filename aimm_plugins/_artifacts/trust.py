"""What confs and the operator's policy say about artifacts; Ed25519 signatures by what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from aimm_plugins._artifacts.info import ArtifactInfo, Signature
from aimm_plugins._config.environment import operator_layers
from aimm_plugins._config.values import Config, OnVersion
from aimm_plugins._system.files import read_file
from aimm_plugins._values.report import Finding
from aimm_plugins.errors import ConfigError

_ALGORITHM = "ed25519"

_PURPOSE = b"aimm-artifact-1\n"
"""Signed before the info, so that no other text that a key signs is taken for an info."""

_KEY_LIMIT = 64 * 1024


_STRICTNESS: tuple[OnVersion, ...] = ("ignore", "warn", "compatible", "error")


class KeyFile(NamedTuple):
    path: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All rules about artifacts that hold, with the places of a conf that say so."""

    on_version: OnVersion
    on_version_place: str
    signed_place: str | None
    keys: Mapping[str, KeyFile]
    sign_with: KeyFile | None


def rules_of(confs: Sequence[Config]) -> Rules:
    """The strictest of all that confs and the operator's policy say.

    Keys that the policy names are the only ones: a conf could add its own otherwise.
    """
    operator = operator_layers()
    layers = (*operator, *confs)
    default: tuple[OnVersion, str] = ("compatible", "the default")
    on_version: list[tuple[OnVersion, str]] = [
        (rule, layer.where("artifacts", "on_version"))
        for layer in layers
        if (rule := layer.artifacts.on_version) is not None
    ]
    strictest = max(on_version or [default], key=lambda said: _STRICTNESS.index(said[0]))
    signed = [layer.where("artifacts", "signed") for layer in layers if layer.artifacts.signed]
    signers = [
        KeyFile(layer.resolved(path), layer.where("artifacts", "sign_with"))
        for layer in (*operator, *reversed(confs))
        if (path := layer.artifacts.sign_with) is not None
    ]
    return Rules(
        on_version=strictest[0],
        on_version_place=strictest[1],
        signed_place=signed[0] if signed else None,
        keys=_keys(operator) or _keys(confs),
        sign_with=signers[0] if signers else None,
    )


def _keys(layers: Sequence[Config]) -> dict[str, KeyFile]:
    return {
        name: KeyFile(layer.resolved(path), layer.where("artifacts", "keys", name))
        for layer in layers
        for name, path in layer.artifacts.keys.items()
    }


def trusted(info: ArtifactInfo, text: bytes, rules: Rules) -> ArtifactInfo:
    """The info with the name of the trusted key that has signed `text`, which is `info.json`.

    Where no signature is required, the signature of another key is a finding.
    """
    signature, required = info.signature, rules.signed_place
    subject = f"the artifact of {info.model_type}"
    if signature is None:
        if required is None:
            return info
        raise info.error(
            "signature",
            f"{subject} is not signed, and a signature is required ({required}). Have it packed "
            "where artifacts.sign_with is set.",
        )
    known = []
    for name, key in rules.keys.items():
        public = _load(key, private=False)
        known.append(f"{name} ({_ALGORITHM} {_id(public)}, {key.place})")
        if (signature.algorithm, signature.key) != (_ALGORITHM, _id(public)):
            continue
        if _has_signed(public, signature, text):
            return replace(info, signed_by=name)
        raise info.error(
            "signature",
            f"{subject} is not what {name} signed ({key.place}): it, or its signature, was "
            "changed. Nothing of it was loaded.",
        )
    among = "among those trusted: " + ", ".join(known) if known else "trusted: no key is"
    message = (
        f"{subject} is signed with {signature.algorithm} key {signature.key}, which is not {among}"
    )
    if required is not None:
        advice = "If you trust that key, add its file to artifacts.keys."
        raise info.error("signature", f"{message}; a signature is required ({required}). {advice}")
    finding = Finding(
        code="artifact-signature-not-verified",
        subject=info.model_type,
        message=message,
        remedy="Add its file to artifacts.keys, to have it verified.",
    )
    return replace(info, findings=(*info.findings, finding))


def sign(text: bytes, key: KeyFile) -> Signature:
    private = _load(key, private=True)
    value = private.sign(_PURPOSE + text).hex()
    return Signature(_ALGORITHM, _id(private.public_key()), value)


def _has_signed(public: Any, signature: Signature, text: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        public.verify(bytes.fromhex(signature.value), _PURPOSE + text)
    except (InvalidSignature, ValueError):
        return False
    return True


def _id(key: Any) -> str:
    import hashlib

    raw: bytes = key.public_bytes_raw()
    return hashlib.sha256(b"aimm-key\n" + raw).hexdigest()[:16]


def _load(key: KeyFile, *, private: bool) -> Any:
    file = f"{key.place}: key file {key.path}"
    try:
        content = read_file(key.path, _KEY_LIMIT)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    if content is None:
        raise ConfigError(f"{file} is not there")
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        needed = "Ed25519 needs cryptography: pip install aimm-plugins[sign]"
        raise ConfigError(f"{key.place}: {needed}") from error
    is_pem = content.lstrip().startswith(b"-----BEGIN") and b"OPENSSH" not in content[:64]
    role = "private" if private else "public"
    load: Any = getattr(serialization, f"load_{'pem' if is_pem else 'ssh'}_{role}_key")
    why = "it is a key of another kind"
    try:
        loaded = load(content, password=None) if private else load(content)
        if isinstance(loaded, ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey):
            return loaded
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        why = str(error)
    raise ConfigError(
        f"{file} cannot be used: {why}",
        expected=f"an Ed25519 {role} key without a passphrase, as PEM or OpenSSH",
    )
