"""Saved models that know who made them, and who can read them.

An artifact, format 1.0, all numbers big-endian:

    bytes  content
    8      89 41 49 4D 4D 0D 0A 1A: not text, and a transfer as text changes it
    2, 2   major and minor version of the format
    4      length of the info
    4      length of the signature, 0 where there is none
    4      0; readers do not look at it
    8      length of the payload
    32     SHA-256 of the 32 bytes above, the info and the signature
    …      the info: JSON in UTF-8, as in `schemas/artifact.yaml`
    …      the signature: JSON likewise, `#/$defs/signature` there
    …      the payload: what `exec_serialize` returned, to the end

The info holds length and SHA-256 of the payload, so that all is covered and the payload is hashed
once. What is signed is the line `aimm-artifact-1` and the info. A reader takes unknown keys and
later minor versions, and refuses another major version. It believes nothing of an artifact but that
it is whole: what may be loaded, and by whose signature, is for the conf to say.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NoReturn, get_args

from aimm_plugins import _api
from aimm_plugins._config.config import Config, KeyFile, KeyKind, OnVersion, operator_layers, read
from aimm_plugins._parity.fingerprint import FingerprintRow, fingerprint
from aimm_plugins._startup.runtime import RUNTIME
from aimm_plugins._system.text import described, printable
from aimm_plugins._values.report import Finding, PluginRecord
from aimm_plugins.errors import AimmPluginsError, ArtifactError, ConfigError

if TYPE_CHECKING:
    import os
    from datetime import datetime

    from aimm_plugins._registry.providers import Provider

_LOG = logging.getLogger("aimm_plugins")

MAGIC = b"\x89AIMM\r\n\x1a"
FORMAT = (1, 0)

_FIXED = struct.Struct(">8sHHIIIQ")
_DIGEST = 32
HEADER = _FIXED.size + _DIGEST
"""Bytes before the info."""

INFO_LIMIT = 16 * 1024 * 1024
_SIGNATURE_LIMIT = 64 * 1024
_DEPTH_LIMIT = 64
_SIGNED = b"aimm-artifact-1\n"
_SECRET_LIMITS = (32, 64 * 1024)

Data = bytes | bytearray | memoryview

Reason = Literal["damaged", "format", "signature", "provider", "version"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Who says that an artifact is theirs.

    Attributes:
        algorithm: `hmac` (HMAC-SHA-256) or `ed25519`.
        key: Tells keys apart; 16 hex digits that do not give a secret away.
        value: The signature in hex.
    """

    algorithm: str
    key: str
    value: str

    def to_dict(self) -> dict[str, str]:
        """JSON-serializable."""
        return {"algorithm": self.algorithm, "key": self.key, "value": self.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactInfo:
    """What an artifact says of itself.

    Attributes:
        format: Major and minor version of its format.
        model_type: The model type.
        distribution: The distribution that made it; `None` where none owned the plugin.
        version: Its version.
        module: The plugin's module; `None` for all of these where an executor made it.
        fingerprint: The row of `serialize`, as of then.
        requirements: What that distribution needed, itself and by others, as `name==version`.
        python: Version of the Python that made it.
        created: When, in UTC, to the second.
        size: Bytes of the payload.
        sha256: Its SHA-256 in hex.
        metadata: The user's.
        signature: Its signature, if it has one; whose, nobody has checked yet.
        signed_by: Name, in the conf, of the key that the signature was verified with.
        findings: What was let pass, such as another version of the provider.
    """

    format: tuple[int, int] = FORMAT
    model_type: str
    distribution: str | None = None
    version: str | None = None
    module: str | None = None
    fingerprint: FingerprintRow | None = None
    requirements: tuple[str, ...] = ()
    python: str
    created: datetime
    size: int
    sha256: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    signature: Signature | None = None
    signed_by: str | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def provider(self) -> str:
        """Who made it, for messages: `aimm-svc 1.2`, or the module."""
        if self.distribution is None:
            return self.module or "an executor"
        return f"{self.distribution} {self.version or '(unknown version)'}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-serializable: the info, and what was found out beside it."""
        return {
            "format": list(self.format),
            **_info_dict(self),
            "signature": None if self.signature is None else self.signature.to_dict(),
            "signed_by": self.signed_by,
            "findings": [finding.to_dict() for finding in self.findings],
        }


def _info_dict(info: ArtifactInfo) -> dict[str, Any]:
    return {
        "model_type": info.model_type,
        "provider": None
        if info.module is None
        else {
            "distribution": info.distribution,
            "version": info.version,
            "module": info.module,
        },
        "fingerprint": None if info.fingerprint is None else info.fingerprint.to_dict(),
        "requirements": list(info.requirements),
        "python": info.python,
        "created": info.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "payload": {"size": info.size, "sha256": info.sha256},
        "metadata": dict(info.metadata),
    }


# Writing


def pack(model_type: str, instance: Any, *, metadata: Mapping[str, Any] | None = None) -> bytes:
    """A model as bytes that know who made them, for `unpack`.

    Signed where the conf has `artifacts.sign_with`.

    Args:
        model_type: The model type.
        instance: The instance.
        metadata: Of your own: anything that is JSON.

    Returns:
        The artifact: a header, the info, and the bytes of `exec_serialize`.

    Raises:
        UnknownPluginError: No plugin provides `serialize` for the model type.
        TypeError: The metadata is no JSON, or the plugin returned no bytes.
        ValueError: The metadata is nested too deep, too long, or holds what JSON has no word for.
        ConfigError: The key to sign with cannot be used.
        Exception: Whatever the plugin raises, as it is, with a note.
    """
    import hashlib
    import json
    import platform
    from datetime import UTC, datetime

    own = {} if metadata is None else _checked(metadata)
    payload = _contents(_api.exec_serialize(model_type, instance))
    provider = _provider("serialize", model_type)
    info = ArtifactInfo(
        model_type=model_type,
        python=platform.python_version(),
        created=datetime.now(UTC).replace(microsecond=0),
        size=payload.nbytes,
        sha256=hashlib.sha256(payload).hexdigest(),
        metadata=own,
    )
    if provider is not None:
        info = replace(
            info,
            distribution=provider.distribution,
            version=provider.version,
            module=provider.plugin,
            fingerprint=_row("serialize", model_type),
            requirements=_requirements(provider.distribution, provider.version),
        )
    # ASCII: every tool can show it, and metadata with a lone surrogate cannot break the encoding.
    text = json.dumps(_info_dict(info), separators=(",", ":"), allow_nan=False).encode()
    if len(text) > INFO_LIMIT:
        raise ValueError(f"the metadata is too long: {len(text)} bytes, of at most {INFO_LIMIT}")
    signature = b""
    signer = _rules(RUNTIME.confs).sign_with
    if signer is not None:
        signed = _sign(*signer, text)
        signature = json.dumps(signed.to_dict(), separators=(",", ":")).encode()
    fixed = _FIXED.pack(MAGIC, *FORMAT, len(text), len(signature), 0, payload.nbytes)
    digest = hashlib.sha256(fixed + text + signature).digest()
    return b"".join((fixed, digest, text, signature, payload))


def _row(action: str, key: str) -> FingerprintRow | None:
    return next((row for row in fingerprint().rows if (row.action, row.key) == (action, key)), None)


def _contents(content: object) -> memoryview:
    # `bytes` of a number would be that many zeros.
    if not isinstance(content, bytes | bytearray | memoryview):
        raise TypeError(f"serialize returns bytes, and returned {type(content).__name__}")
    return _view(content)


def _view(data: Data) -> memoryview:
    view = memoryview(data)
    return view.cast("B") if view.c_contiguous else memoryview(view.tobytes())


def _checked(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata as JSON has it.

    Raises:
        TypeError: It is no JSON.
        ValueError: It is nested too deep, or holds a number that is none.
    """
    if not isinstance(metadata, Mapping):
        raise TypeError(f"metadata is a mapping, and was given {type(metadata).__name__}")
    plain: dict[str, Any] = _plain(metadata, "metadata", 0)
    return plain


def _plain(value: Any, where: str, depth: int) -> Any:
    if depth > _DEPTH_LIMIT:
        raise ValueError(f"{where} is nested deeper than {_DEPTH_LIMIT}")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if not _can_be_encoded(value):
            raise ValueError(f"{where} holds half a surrogate pair, which is no text")
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError(f"{where} is {value}, which JSON has no word for")
        return float(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r}; keys of JSON are text")
        return {
            _plain(key, where, depth): _plain(each, f"{where}.{key}", depth + 1)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_plain(each, f"{where}[{index}]", depth + 1) for index, each in enumerate(value)]
    raise TypeError(f"{where} is a {type(value).__name__}, which is no JSON")


def _can_be_encoded(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@lru_cache(maxsize=256)
def _requirements(name: str | None, version: str | None) -> tuple[str, ...]:
    """What a distribution needs, itself and by others, as far as it is installed and readable.

    Args:
        name: The distribution.
        version: Its version, so that another one is asked again.
    """
    if name is None:
        return ()
    from importlib.metadata import distribution

    from packaging.requirements import Requirement

    from aimm_plugins._system.guard import guarded
    from aimm_plugins._system.names import normalized

    found: dict[str, str] = {}
    seen = {normalized(name)}
    waiting = [name]
    while waiting:
        lines: list[str] = []
        with guarded():
            lines = list(distribution(waiting.pop()).requires or ())
        for line in lines:
            with guarded():
                needed = Requirement(line)
                key = normalized(needed.name)
                if key in seen or (needed.marker and not needed.marker.evaluate({"extra": ""})):
                    continue
                seen.add(key)
                installed = distribution(needed.name).version
                if isinstance(installed, str):
                    found[key] = installed
                    waiting.append(needed.name)
    return tuple(f"{key}=={found[key]}" for key in sorted(found))


# Reading


def inspect(data: Data) -> ArtifactInfo:
    """What an artifact says of itself; nothing is loaded, and no plugin asked.

    It is known then that the artifact is whole, and not yet that it is anybody's: signatures are
    held against the conf's keys by `unpack`.

    Args:
        data: The artifact.

    Raises:
        ArtifactError: It is no artifact, damaged, or of a format that is not known here.
        TypeError: `data` is not bytes.
    """
    parts = _split(data)
    _check_payload(parts.info, parts.payload)
    return parts.info


def unpack(data: Data) -> tuple[Any, ArtifactInfo]:
    """The model in an artifact, if it is whole, trusted, and there is somebody to read it.

    The plugin is given nothing before all of that is known. What is trusted, and what another
    version of the provider leads to, stands under `artifacts` in the confs that this process was
    initialized with and in the operator's policy.

    Args:
        data: The artifact.

    Returns:
        The instance, and what the artifact says of itself.

    Raises:
        ArtifactError: It is damaged, not signed as the conf wants, or its provider is missing,
            denied, failed, shadowed, or of another version; with what to do.
        ConfigError: The policy or a key cannot be read.
        TypeError: `data` is not bytes.
        Exception: Whatever the plugin raises, as it is, with a note.
    """
    return unpack_as(data, None)


def unpack_as(data: Data, model_type: str | None) -> tuple[Any, ArtifactInfo]:
    """As `unpack`; an artifact of another model type than a given one is an `ArtifactError`."""
    parts = _split(data)
    if model_type is not None and parts.info.model_type != model_type:
        raise _error(
            "provider",
            f"the artifact is of {parts.info.model_type}, and a {model_type} is wanted. Load it as "
            "what it is, or load another.",
            parts.info,
        )
    # A copy, which plugins want as `bytes` anyhow: nobody can change it between hash and use.
    payload = bytes(parts.payload)
    _check_payload(parts.info, payload)
    rules = _rules(RUNTIME.confs)
    info = _trusted(parts, rules)
    provider = _provider("deserialize", info.model_type)
    if provider is not None:
        here = _Maker(provider.distribution, provider.version, provider.plugin)
        info = _fitting(info, here, rules, _api.current_report().plugins)
    elif not _has_executor("aimm_deserialize"):
        raise _unreadable(info)
    for finding in info.findings:
        _LOG.warning("%s", finding)
    return _api.exec_deserialize(info.model_type, payload), info


def verify(
    data: Data, conf: Mapping[str, object] | str | os.PathLike[str] | None = None
) -> ArtifactInfo:
    """Whether a process with that conf could load an artifact, as far as metadata tells.

    No plugin is imported and the artifact's payload not touched but for its hash.

    Args:
        data: The artifact.
        conf: As for `initialize`.

    Raises:
        ArtifactError: It could not; with what to do.
        ConfigError: The conf, the policy or a key cannot be read.
    """
    parts = _split(data)
    _check_payload(parts.info, parts.payload)
    rules = _rules([read(conf)])
    info = _trusted(parts, rules)
    if info.module is None:
        return info
    report = _api.plan(conf)
    there = [each for each in report.plugins if each.state in ("planned", "deferred")]
    slot = ("deserialize", info.model_type)
    readers = [each for each in there if slot in each.provides]
    readers = readers or [each for each in there if _is_maker(each, info)]
    if not readers:
        raise _error("provider", _who_is_missing(info, report.plugins), info)
    here = readers[0]
    return _fitting(
        info, _Maker(here.distribution, here.version, here.module), rules, report.plugins
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    """An artifact taken apart, with all but the payload checked."""

    info: ArtifactInfo
    text: bytes
    payload: memoryview


def _damaged(message: str) -> ArtifactError:
    return ArtifactError(
        f"{message}. Nothing of it was loaded; fetch or save it anew.", reason="damaged"
    )


def _split(data: Data) -> _Parts:
    """Take an artifact apart, believing nothing.

    Raises:
        ArtifactError: It is none, or not whole.
    """
    import hashlib

    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"an artifact is bytes, and was given {type(data).__name__}")
    view = _view(data)
    start = bytes(view[: len(MAGIC)])
    if start != MAGIC:
        raise _no_artifact(start, view.nbytes)
    if view.nbytes < HEADER:
        raise _damaged(f"the artifact is cut off within its header, after {view.nbytes} bytes")
    fixed = bytes(view[: _FIXED.size])
    _, major, minor, info_size, signature_size, _, payload_size = _FIXED.unpack(fixed)
    if major != FORMAT[0]:
        raise ArtifactError(
            f"the artifact has format {major}.{minor}, and this version of aimm-plugins reads "
            f"{FORMAT[0]}.x. "
            + (
                "Upgrade aimm-plugins."
                if major > FORMAT[0]
                else "Fetch or save it anew: no version has written such a format."
            ),
            reason="format",
        )
    if info_size > INFO_LIMIT or signature_size > _SIGNATURE_LIMIT:
        raise _damaged(
            f"the artifact's header states {info_size} bytes of info and {signature_size} of "
            f"signature; there are at most {INFO_LIMIT} and {_SIGNATURE_LIMIT}"
        )
    stated = HEADER + info_size + signature_size + payload_size
    if stated != view.nbytes:
        what = "cut off" if view.nbytes < stated else "followed by something else"
        raise _damaged(f"the artifact is {what}: it states {stated} bytes and has {view.nbytes}")
    text = bytes(view[HEADER : HEADER + info_size])
    signature = bytes(view[HEADER + info_size : stated - payload_size])
    if hashlib.sha256(fixed + text + signature).digest() != view[_FIXED.size : HEADER]:
        raise _damaged("the artifact's header or info is not what was written")
    info = _info(_parsed(text, "info"))
    return _Parts(
        replace(
            info,
            format=(major, minor),
            signature=_signature(_parsed(signature, "signature")) if signature else None,
        ),
        text,
        view[stated - payload_size :],
    )


def _no_artifact(start: bytes, size: int) -> ArtifactError:
    if not size:
        return _damaged("the artifact is empty")
    if MAGIC.startswith(start):
        return _damaged(f"the artifact is cut off within its header, after {size} bytes")
    if start.startswith((b"\x89AIMM\n", b"\x89AIMM\r\r", b"\xc2\x89AIMM")):
        return _damaged("the artifact was changed by a transfer as text; transfer it as binary")
    return ArtifactError(
        "these bytes are no artifact: they do not begin as one. Plain bytes of exec_serialize are "
        "read by exec_deserialize(model_type, data), and packed with pack() after that.",
        reason="format",
    )


def _check_payload(info: ArtifactInfo, payload: Data) -> None:
    import hashlib

    if len(payload) != info.size or hashlib.sha256(payload).hexdigest() != info.sha256:
        raise _about(
            _damaged(f"the model in the artifact of {info.model_type} is not what was written"),
            info,
        )


def _about(error: ArtifactError, info: ArtifactInfo) -> ArtifactError:
    """The error with what the info tells."""
    error.model_type = info.model_type
    error.distribution, error.version = info.distribution, info.version
    return error


def _error(reason: Reason, message: str, info: ArtifactInfo) -> ArtifactError:
    return _about(ArtifactError(printable(message), reason=reason), info)


def _parsed(text: bytes, what: str) -> dict[str, Any]:
    """Strict JSON: one mapping, no key twice, numbers that are some, not too deep."""
    import json

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            raise ValueError("a key stands there twice")
        return found

    def constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is no number")

    try:
        loaded = json.loads(text.decode("utf-8"), object_pairs_hook=pairs, parse_constant=constant)
        if not isinstance(loaded, dict):
            raise ValueError("it is no mapping")
        plain: dict[str, Any] = _plain(loaded, what, 0)
    except (ValueError, RecursionError) as error:
        raise _malformed(what, described(error)) from None
    return plain


def _malformed(what: str, why: str) -> ArtifactError:
    return ArtifactError(
        printable(
            f"the {what} of the artifact is not what this format has: {why}. It was not "
            "written by this package, or is damaged; save it anew."
        ),
        reason="format",
    )


def _text(data: Mapping[str, Any], key: str, where: str) -> str:
    value = data.get(key)
    if not isinstance(value, str):
        raise _malformed("info", f"{where} is {value!r:.60}")
    return value


def _optional_text(data: Mapping[str, Any], key: str, where: str) -> str | None:
    return None if data.get(key) is None else _text(data, key, where)


def _info(data: Mapping[str, Any]) -> ArtifactInfo:
    from datetime import UTC, datetime

    provider, payload = data.get("provider"), data.get("payload")
    requirements, metadata = data.get("requirements"), data.get("metadata")
    fingerprint = data.get("fingerprint")
    if provider is not None and not isinstance(provider, dict):
        raise _malformed("info", "provider is no mapping")
    if not isinstance(payload, dict) or not isinstance(metadata, dict):
        raise _malformed("info", "payload or metadata is no mapping")
    size = payload.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise _malformed("info", f"payload.size is {size!r:.60}")
    if not isinstance(requirements, list) or not all(isinstance(r, str) for r in requirements):
        raise _malformed("info", "requirements is no list of texts")
    created = _text(data, "created", "created")
    try:
        when = datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        row = None if fingerprint is None else FingerprintRow.from_dict(fingerprint)
    except ValueError as error:
        raise _malformed("info", described(error)) from None
    made = provider or {}
    return ArtifactInfo(
        model_type=_text(data, "model_type", "model_type"),
        distribution=_optional_text(made, "distribution", "provider.distribution"),
        version=_optional_text(made, "version", "provider.version"),
        module=None if provider is None else _text(made, "module", "provider.module"),
        fingerprint=row,
        requirements=tuple(requirements),
        python=_text(data, "python", "python"),
        created=when,
        size=size,
        sha256=_text(payload, "sha256", "payload.sha256"),
        metadata=metadata,
    )


def _signature(data: Mapping[str, Any]) -> Signature:
    fields = {name: data.get(name) for name in ("algorithm", "key", "value")}
    for name, value in fields.items():
        if not isinstance(value, str):
            raise _malformed("signature", f"{name} is {value!r:.60}")
    return Signature(**{name: str(value) for name, value in fields.items()})


# Trust: what confs and policy say


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    """All rules about artifacts that hold, with the place of each."""

    on_version: OnVersion
    on_version_place: str
    signed_place: str | None
    keys: Mapping[str, tuple[KeyFile, str, str]]
    sign_with: tuple[KeyFile, str, str] | None


_STRICTNESS: tuple[OnVersion, ...] = ("ignore", "warn", "compatible", "error")


def _rules(confs: Sequence[Config]) -> _Rules:
    """The strictest of all that is said.

    Keys that the operator's policy names are the only ones: a conf could widen them otherwise.
    """
    operator = operator_layers()
    layers = (*operator, *confs)
    said: list[tuple[OnVersion, str]] = [
        (rule, layer.where("artifacts", "on_version"))
        for layer in layers
        if (rule := layer.artifacts.on_version) is not None
    ]
    if not said:
        said.append(("compatible", "the default"))
    strictest = max(said, key=lambda rule: _STRICTNESS.index(rule[0]))
    named = _keys(operator) or _keys(confs)
    return _Rules(
        on_version=strictest[0],
        on_version_place=strictest[1],
        signed_place=next(
            (each.where("artifacts", "signed") for each in layers if each.artifacts.signed), None
        ),
        keys=named,
        sign_with=next(
            (
                (key, each.beside(key.path), each.where("artifacts", "sign_with"))
                for each in (*operator, *reversed(confs))
                if (key := each.artifacts.sign_with) is not None
            ),
            None,
        ),
    )


def _keys(layers: Sequence[Config]) -> dict[str, tuple[KeyFile, str, str]]:
    return {
        name: (key, layer.beside(key.path), layer.where("artifacts", "keys", name))
        for layer in layers
        for name, key in layer.artifacts.keys.items()
    }


def _trusted(parts: _Parts, rules: _Rules) -> ArtifactInfo:
    """The info with the name of the key that it is signed with, if it is as the rules want it.

    Raises:
        ArtifactError: It is not.
    """
    info, signature = parts.info, parts.info.signature
    required = rules.signed_place
    of = f"the artifact of {info.model_type}"
    if signature is None:
        if required is None:
            return info
        raise _error(
            "signature",
            f"{of} is not signed, and a signature is required ({required}). Have it packed where "
            "artifacts.sign_with is set.",
            info,
        )
    unknown = f"{of} is signed with {signature.algorithm} key {signature.key}, which is not "
    known = []
    for name, (key, path, place) in rules.keys.items():
        verifier = _verifier(key.kind, path, place)
        known.append(f"{name} ({key.kind} {verifier.id}, {place})")
        if key.kind != signature.algorithm or verifier.id != signature.key:
            continue
        if verifier.verify(signature.value, parts.text):
            return replace(info, signed_by=name)
        raise _error(
            "signature",
            f"{of} is not what {name} signed ({place}): it, or its signature, was changed. "
            "Nothing of it was loaded.",
            info,
        )
    trusted = "among those trusted: " + ", ".join(known) if known else "trusted: no key is"
    if required is not None:
        raise _error(
            "signature",
            f"{unknown}{trusted}; a signature is required ({required}). If you trust that key, "
            "add its file to artifacts.keys.",
            info,
        )
    finding = Finding(
        code="artifact-signature-not-verified",
        subject=info.model_type,
        message=f"{unknown}{trusted}",
        remedy="Add its file to artifacts.keys, to have it verified.",
    )
    return replace(info, findings=(*info.findings, finding))


class _Secret:
    """Signs and verifies with HMAC-SHA-256."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.id = self._mac(b"aimm-key\n")[:16]

    def _mac(self, message: bytes) -> str:
        import hmac

        return hmac.new(self._secret, message, "sha256").hexdigest()

    def sign(self, text: bytes) -> str:
        return self._mac(_SIGNED + text)

    def verify(self, value: str, text: bytes) -> bool:
        import hmac

        return hmac.compare_digest(value.encode(), self.sign(text).encode())


class _Public:
    """Verifies with Ed25519."""

    def __init__(self, key: Any) -> None:
        import hashlib

        self._key = key
        raw: bytes = key.public_bytes_raw()
        self.id = hashlib.sha256(b"aimm-key\n" + raw).hexdigest()[:16]

    def verify(self, value: str, text: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(bytes.fromhex(value), _SIGNED + text)
        except (InvalidSignature, ValueError):
            return False
        return True


def _sign(key: KeyFile, path: str, place: str, text: bytes) -> Signature:
    if key.kind == "hmac":
        secret = _secret(path, place)
        return Signature(algorithm="hmac", key=secret.id, value=secret.sign(text))
    private = _ed25519(path, place, private=True)
    return Signature(
        algorithm="ed25519",
        key=_Public(private.public_key()).id,
        value=private.sign(_SIGNED + text).hex(),
    )


def _verifier(kind: KeyKind, path: str, place: str) -> _Secret | _Public:
    return _secret(path, place) if kind == "hmac" else _Public(_ed25519(path, place, private=False))


def _key_bytes(path: str, place: str) -> bytes:
    from aimm_plugins._system.files import read_file

    try:
        content = read_file(path, _SECRET_LIMITS[1])
    except (OSError, ValueError) as error:
        raise ConfigError(f"{place}: key file {path} cannot be read: {error}") from error
    if content is None:
        raise ConfigError(f"{place}: key file {path} is not there")
    return content


def _secret(path: str, place: str) -> _Secret:
    # Editors end the last line, and a file made by `openssl rand -hex 32` has its line ended too.
    secret = _key_bytes(path, place).rstrip(b"\r\n")
    if len(secret) < _SECRET_LIMITS[0]:
        raise ConfigError(
            f"{place}: key file {path} holds {len(secret)} bytes",
            expected=f"at least {_SECRET_LIMITS[0]}, such as openssl rand -hex 32 makes",
        )
    return _Secret(secret)


def _ed25519(path: str, place: str, *, private: bool) -> Any:
    content = _key_bytes(path, place)
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise ConfigError(
            f"{place}: Ed25519 needs cryptography: pip install aimm-plugins[sign]"
        ) from error
    wanted: Any = ed25519.Ed25519PrivateKey if private else ed25519.Ed25519PublicKey
    pem = content.lstrip().startswith(b"-----BEGIN") and b"OPENSSH" not in content[:64]
    try:
        key: Any
        if private:
            load = serialization.load_pem_private_key if pem else serialization.load_ssh_private_key
            key = load(content, password=None)
        elif pem:
            key = serialization.load_pem_public_key(content)
        else:
            key = serialization.load_ssh_public_key(content)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            f"{place}: key file {path} cannot be used: {error}", expected=_expected(private)
        ) from error
    if not isinstance(key, wanted):
        raise ConfigError(
            f"{place}: key file {path} holds a key of another kind", expected=_expected(private)
        )
    return key


def _expected(private: bool) -> str:
    kind = "private" if private else "public"
    return f"an Ed25519 {kind} key without a passphrase, as PEM or OpenSSH"


# Who may read it


@dataclass(frozen=True, slots=True)
class _Maker:
    """Who would read an artifact here."""

    distribution: str | None
    version: str | None
    module: str

    def __str__(self) -> str:
        if self.distribution is None:
            return self.module
        return f"{self.distribution} {self.version or '(unknown version)'}"


def _provider(action: Literal["serialize", "deserialize"], key: str) -> Provider | None:
    return _api.providers(action, key).get((action, key))


def _has_executor(hook: str) -> bool:
    return any(
        not (impl.wrapper or impl.hookwrapper) and impl.plugin is not RUNTIME.dispatcher
        for impl in getattr(_api.get_plugin_manager().hook, hook).get_hookimpls()
    )


def _fitting(
    info: ArtifactInfo, here: _Maker, rules: _Rules, records: Sequence[PluginRecord]
) -> ArtifactInfo:
    """The info, with a finding where another version, or another provider, is let pass.

    Raises:
        ArtifactError: The rules do not let it pass.
    """
    from aimm_plugins._system.names import normalized

    if info.module is None:
        return info
    if info.distribution is None or here.distribution is None:
        # A module that was packaged later, or is run from its sources, is the same provider.
        if info.module == here.module:
            return info
        major, what = True, "another provider"
    elif normalized(info.distribution) != normalized(here.distribution):
        major, what = True, "another provider"
    elif info.version == here.version:
        return info
    else:
        major = _differ_in_major(info.version, here.version)
        what = "another major version" if major else "another version"
    rule = rules.on_version
    if rule == "ignore":
        return info
    message = f"the artifact of {info.model_type} was made by {info.provider}, and {here} is here"
    said = f"artifacts.on_version: {rule} ({rules.on_version_place})"
    if rule == "error" or (rule == "compatible" and major):
        raise _error(
            "provider" if what == "another provider" else "version",
            f"{message}: {what}, which {said} refuses.\n"
            f"To load it, {_have_it_read(info, here, records)}\n"
            f"If {here} is known to read it, add to the conf: artifacts: {{on_version: warn}}",
            info,
        )
    finding = Finding(
        code="artifact-version-differs",
        subject=info.model_type,
        message=f"{message}: {what}",
        remedy=f"Save it anew, or {_install(info)}",
    )
    return replace(info, findings=(*info.findings, finding))


def _differ_in_major(one: str | None, other: str | None) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        first, second = Version(one or ""), Version(other or "")
    except InvalidVersion:
        return True
    return (first.epoch, first.release[0]) != (second.epoch, second.release[0])


def _have_it_read(info: ArtifactInfo, here: _Maker, records: Sequence[PluginRecord]) -> str:
    """How to have the one that made it read it, where another does now."""
    for record in records:
        maker = _Maker(record.distribution, record.version, record.module)
        if maker.module == here.module or not _is_maker(record, info):
            continue
        if record.state == "denied":
            return f"do not deny {maker}: {record.reason}"
        why = f" ({record.state}: {record.reason})" if record.reason else ""
        owner = maker.distribution or maker.module
        return (
            f"prefer {maker}, which is here too{why}; in the conf: "
            f'prefer: {{"{info.model_type}": {owner}}}'
        )
    return f"have {info.provider} provide it: {_install(info)}"


def _install(info: ArtifactInfo) -> str:
    if info.distribution is None:
        return f"put {info.module} on the path, and into `names` of the conf"
    wanted = info.distribution + (f"=={info.version}" if info.version else "")
    return f"pip install {wanted}"


def _is_maker(record: PluginRecord, info: ArtifactInfo) -> bool:
    from aimm_plugins._system.names import normalized

    if info.distribution is None or record.distribution is None:
        return record.module == info.module
    return normalized(record.distribution) == normalized(info.distribution)


def _unreadable(info: ArtifactInfo) -> ArtifactError:
    """Nobody reads it in this process."""
    absent: AimmPluginsError = RUNTIME.registry.absent("deserialize", info.model_type)
    records = _api.current_report().plugins
    return _error("provider", f"{_who_is_missing(info, records)}\n{absent}", info)


def _who_is_missing(info: ArtifactInfo, records: Sequence[PluginRecord]) -> str:
    """Why the provider is not there, and what to do."""
    begin = f"the artifact of {info.model_type} was made by {info.provider}, which"
    mine = [record for record in records if _is_maker(record, info)]
    lines = []
    for record in mine:
        why = record.reason or (described(record.error) if record.error else None)
        if record.state in ("denied", "failed", "shadowed", "missing") or record.error is not None:
            state = "failed" if record.state == "loaded" else record.state
            lines.append(f"{begin} is {state}: {why}\n  {record.provenance}")
    if lines:
        advice = "Change the rule, if it is to be loaded."
        if any(record.error is not None for record in mine):
            advice = "Repair that, and call initialize(conf) or refresh()."
        return "\n".join([*lines, advice])
    from aimm_plugins._discovery.scan import scan

    found = None if info.distribution is None else scan().find(info.distribution)
    if mine:
        here = _Maker(mine[0].distribution, mine[0].version, mine[0].module)
        return (
            f"{begin} is here as {here} and does not provide deserialize:{info.model_type}. "
            f"To load it: {_install(info)}"
        )
    if found is not None:
        return (
            f"{begin} is installed ({found.name} {found.version}) and not loaded in this process. "
            "Call initialize(conf) with a conf that loads it."
        )
    if info.distribution is None:
        return f"{begin} is not loaded here. To load it, {_install(info)}."
    return f"{begin} is not installed here. To load it: {_install(info)}"


assert set(_STRICTNESS) == set(get_args(OnVersion))
