"""What confs and the operator's policy say about artifacts, and whether a signature is trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aimm_plugins._artifacts.info import ArtifactInfo
from aimm_plugins._artifacts.signing import ALGORITHM, KeyFile, Verifier
from aimm_plugins._config.environment import operator_layers
from aimm_plugins._config.values import Config, OnVersion
from aimm_plugins._values.report import Finding

_STRICTNESS: tuple[OnVersion, ...] = ("ignore", "warn", "compatible", "error")


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

    Raises:
        ArtifactError: It is not what a trusted key has signed, or not signed where it must be.
        ConfigError: A key cannot be used.
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
        verifier = Verifier(key)
        known.append(f"{name} ({ALGORITHM} {verifier.id}, {key.place})")
        if (signature.algorithm, signature.key) != (ALGORITHM, verifier.id):
            continue
        if verifier.verify(signature, text):
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
