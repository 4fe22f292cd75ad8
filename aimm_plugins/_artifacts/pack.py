"""Pack models, and unpack, inspect and verify artifacts: the functions that users call."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from aimm_plugins._api import calling, starting
from aimm_plugins._artifacts import container
from aimm_plugins._artifacts.container import Data, Parts
from aimm_plugins._artifacts.info import ArtifactInfo, Signature, plain
from aimm_plugins._artifacts.readers import checked, expected_reader, why_missing
from aimm_plugins._artifacts.trust import rules_of, sign, trusted
from aimm_plugins._config.parse import read
from aimm_plugins._discovery.distribution import requirements
from aimm_plugins._parity.fingerprint import fingerprint, installed_in, of_snapshot
from aimm_plugins._registry.key_errors import call_error
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.log import logger


def pack(model_type: str, instance: Any, *, metadata: Mapping[str, Any] | None = None) -> bytes:
    """A model as bytes that know who made them, for `unpack`.

    Signed where the conf has `artifacts.sign_with`.

    Args:
        model_type: The model type.
        instance: The instance.
        metadata: Of your own: anything that is JSON, up to 1 MiB.

    Returns:
        The artifact: a ZIP archive of the info, the signature if there is one, and the bytes of
        `exec_serialize`.

    Raises:
        UnknownPluginError: No plugin provides `serialize` for the model type.
        TypeError: The metadata is no JSON, or the plugin returned no bytes.
        ValueError: The metadata is nested too deep, too long, or holds what JSON has no word for.
        ConfigError: The key to sign with cannot be used.
        Exception: Whatever the plugin raises, as it is, with a note.

    Example:
        >>> from aimm_plugins import inspect, pack, serialize
        >>> @serialize(["mean"])
        ... def save(model):
        ...     return str(model).encode()
        >>> inspect(pack("mean", 1.5, metadata={"rows": 3})).metadata
        {'rows': 3}
    """
    if metadata is not None and not isinstance(metadata, Mapping):
        raise TypeError(f"metadata is a mapping, and was given {type(metadata).__name__}")
    own: dict[str, Any] = plain(metadata or {}, ("metadata",))
    serialized = calling.exec_serialize(model_type, instance)
    # `bytes` of a number would be that many zeros.
    if not isinstance(serialized, Data):
        raise TypeError(f"serialize returns bytes, and returned {type(serialized).__name__}")
    payload = _view(serialized)
    sha256, crc = container.checksums(payload)
    info = _info(model_type, payload.nbytes, sha256, own)
    text = info.to_text()
    limit = container.INFO_LIMIT
    if len(text) > limit:
        raise ValueError(f"the metadata is too long: {len(text)} bytes, of at most {limit}")
    key = rules_of(PROCESS.runtime.confs).sign_with
    signature = None if key is None else sign(text, key).to_text()
    return container.join(text, signature, payload, crc)


def _info(model_type: str, size: int, sha256: str, metadata: Mapping[str, Any]) -> ArtifactInfo:
    import platform
    from datetime import UTC, datetime

    info = ArtifactInfo(
        model_type=model_type,
        python=platform.python_version(),
        created=datetime.now(UTC).replace(microsecond=0),
        size=size,
        sha256=sha256,
        metadata=metadata,
    )
    row = fingerprint().find("serialize", model_type)
    if row is None:  # an executor has answered
        return info
    return replace(
        info,
        distribution=row.distribution,
        version=row.version,
        module=row.module,
        fingerprint=row,
        requirements=_requirements(row.distribution, row.version, row.module.partition("@")[2]),
    )


@lru_cache(maxsize=256)
def _requirements(name: str | None, version: str | None, environment: str) -> tuple[str, ...]:
    """What a distribution needs, itself and by others, as `name==version`.

    What is not installed, or has metadata that cannot be read, is left out. The version is a key of
    the cache: an upgraded distribution is asked again.
    """
    from packaging.requirements import Requirement

    installed = installed_in(environment)
    find, context = installed.find, {"extra": "", "python_version": installed.modules.python}
    found: dict[str, str] = {}
    waiting = [] if name is None else [name]
    while waiting:
        distribution = find(waiting.pop())
        for line in () if distribution is None else requirements(distribution):
            with guarded():
                required = Requirement(line)
                wanted = required.marker is None or required.marker.evaluate(context)
                needed = find(required.name) if wanted else None
                if needed and needed.version and needed.key != name and needed.key not in found:
                    found[needed.key] = needed.version
                    waiting.append(needed.key)
    return tuple(f"{key}=={release}" for key, release in sorted(found.items()))


def inspect(data: Data) -> ArtifactInfo:
    """Read the info of an artifact; nothing is loaded, and no plugin is asked.

    The artifact is whole then. Whether its signature is one of a trusted key is checked by `unpack`
    alone.

    Args:
        data: The artifact.

    Returns:
        What the artifact says of itself.

    Raises:
        ArtifactError: It is no artifact, damaged, or of a format that is not known here.
        TypeError: `data` is not bytes.

    Example:
        >>> from aimm_plugins import inspect, pack, serialize
        >>> @serialize(["mean"])
        ... def save(model):
        ...     return str(model).encode()
        >>> info = inspect(pack("mean", 1.5))
        >>> info.model_type, info.size
        ('mean', 3)
    """
    parts, info = _opened(data)
    _check_payload(info, parts.payload, parts.crc)
    return info


def unpack(data: Data) -> tuple[Any, ArtifactInfo]:
    """The model in an artifact, if it is whole and trusted, and a plugin here may read it.

    The plugin is given nothing before all of that is known. What is trusted, and what another
    version of the provider leads to, is said under `artifacts` in the confs that this process was
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

    Example:
        >>> from aimm_plugins import deserialize, pack, serialize, unpack
        >>> @serialize(["mean"])
        ... def save(model):
        ...     return str(model).encode()
        >>> @deserialize(["mean"])
        ... def load(data):
        ...     return float(data)
        >>> model, info = unpack(pack("mean", 1.5))
        >>> model
        1.5
    """
    return unpack_as(data, None)


def unpack_as(data: Data, model_type: str | None) -> tuple[Any, ArtifactInfo]:
    """As `unpack`; an artifact of another model type than a given one is an `ArtifactError`."""
    parts, info = _opened(data)
    if model_type is not None and info.model_type != model_type:
        raise info.error(
            "provider",
            f"the artifact is of {info.model_type}, and a {model_type} is wanted. Load it as what "
            "it is, or load another.",
        )
    PROCESS.runtime.ledger.discard_failed_imports()
    # Rules and provider are those of the call below, also if `refresh` runs meanwhile.
    calls = PROCESS.calls.deserialize
    rules = rules_of(calls.snapshot.confs)
    info = trusted(info, parts.info, rules)
    # Plugins are given `bytes`. This copy cannot change between check and use.
    payload = bytes(parts.payload)
    _check_payload(info, payload, parts.crc)
    has_executor = PROCESS.runtime.manager.chain("deserialize").has_executor
    row = of_snapshot(calls.snapshot).find("deserialize", info.model_type)
    if row is not None:
        info = checked(info, row, rules, starting.current_report().plugins)
    elif not has_executor:
        unknown = call_error(PROCESS.runtime.registry, "deserialize", info.model_type)
        why = why_missing(info, starting.current_report().plugins)
        raise info.error("provider", f"{why}\n{unknown}")
    offer = calls.snapshot.offers["deserialize"].get(info.model_type)
    if offer is not None and offer.load is not None and not has_executor:
        offer.load()
        return unpack_as(data, model_type)  # it may have been upgraded while it was deferred
    for finding in info.findings:
        logger().warning("%s", finding)
    return calls[info.model_type].call(payload, None, (), {}), info


def verify(
    data: Data, conf: Mapping[str, object] | str | os.PathLike[str] | None = None
) -> ArtifactInfo:
    """Whether a process with that conf could load an artifact, as far as metadata says.

    No plugin is imported, and the payload is read for its checksums alone.

    Args:
        data: The artifact.
        conf: As for `initialize`.

    Raises:
        ArtifactError: It could not; with what to do.
        ConfigError: The conf, the policy or a key cannot be read.
    """
    parts, info = _opened(data)
    rules = rules_of([read(conf)])
    info = trusted(info, parts.info, rules)
    _check_payload(info, parts.payload, parts.crc)
    if info.module is None:
        return info
    records = starting.plan(conf).plugins
    reader = expected_reader(info, records)
    if reader is None:
        raise info.error("provider", why_missing(info, records))
    return checked(info, reader, rules, records)


def _opened(data: Data) -> tuple[Parts, ArtifactInfo]:
    """An artifact taken apart, with all but the payload checked."""
    if not isinstance(data, Data):
        raise TypeError(f"an artifact is bytes, and was given {type(data).__name__}")
    parts = container.split(_view(data))
    return parts, ArtifactInfo.read(parts.info, Signature.read(parts.signature))


def _view(data: Data) -> memoryview:
    view = memoryview(data)
    return view.cast("B") if view.c_contiguous else memoryview(view.tobytes())


def _check_payload(info: ArtifactInfo, payload: Data, crc: int) -> None:
    if len(payload) != info.size or container.checksums(payload) != (info.sha256, crc):
        what = f"the model in the artifact of {info.model_type}"
        error = container.damaged(f"{what} is not what was written")
        raise info.error("damaged", str(error))
