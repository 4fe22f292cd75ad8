"""What an artifact says of itself, as a value and as the JSON of `info.json`.

The JSON is strict, of limited depth, and read in time linear in its length.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from aimm_plugins._parity.rows import FingerprintRow
from aimm_plugins._system.text import described, printable
from aimm_plugins._values.report import Finding
from aimm_plugins.errors import ArtifactError, spell_path

if TYPE_CHECKING:
    from datetime import datetime

FORMAT = (1, 0)
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_DEPTH_LIMIT = 64

Reason = Literal["damaged", "format", "signature", "provider", "version"]


@dataclass(frozen=True, slots=True)
class Signature:
    """Who says that an artifact is theirs.

    Attributes:
        algorithm: `ed25519`.
        key: Id of the key; 16 hex digits.
        value: The signature in hex.
    """

    algorithm: str
    key: str
    value: str

    def to_dict(self) -> dict[str, str]:
        return asdict(self)

    def to_text(self) -> bytes:
        return _text(self.to_dict())

    @classmethod
    def read(cls, text: bytes | None) -> Signature | None:
        """The signature in the text of `signature.json`, if there is one."""
        if text is None:
            return None
        with _reading(text, "signature") as data:
            return cls(*(_take(data, name, str) for name in ("algorithm", "key", "value")))


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactInfo:
    """The info of an artifact.

    Attributes:
        format: Major and minor version of its format.
        model_type: The model type.
        distribution: Normalized name of the distribution that made it; `None` where none owned the
            plugin.
        version: Its version.
        module: The plugin's module; `None` for all of these where an executor made it.
        fingerprint: The row of `serialize`, as of then.
        requirements: What that distribution needed, itself and by others, as `name==version`.
        python: Version of the Python that made it.
        created: When, in UTC, to the second.
        size: Bytes of the payload.
        sha256: Its SHA-256 in hex.
        metadata: The user's.
        signature: Its signature, if it has one; not verified so far.
        signed_by: Name, in the conf, of the key that the signature was verified with.
        findings: What the rules let pass, such as another version of the provider.
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
        """JSON-serializable: the info, and what was found out about it."""
        return {
            **self._stated(),
            "signature": None if self.signature is None else self.signature.to_dict(),
            "signed_by": self.signed_by,
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def to_text(self) -> bytes:
        """The text of `info.json`, in ASCII, which every tool can show."""
        return _text(self._stated())

    def _stated(self) -> dict[str, Any]:
        names = ("distribution", "version", "module")
        provider = {name: getattr(self, name) for name in names}
        return {
            "format": list(self.format),
            "model_type": self.model_type,
            "provider": None if self.module is None else provider,
            "fingerprint": None if self.fingerprint is None else self.fingerprint.to_dict(),
            "requirements": list(self.requirements),
            "python": self.python,
            "created": self.created.strftime(_TIME),
            "payload": {"size": self.size, "sha256": self.sha256},
            "metadata": dict(self.metadata),
        }

    @classmethod
    def read(cls, text: bytes, signature: Signature | None) -> ArtifactInfo:
        """What the text of `info.json` says; keys that are not known here are ignored."""
        from datetime import UTC, datetime

        with _reading(text, "info") as data:
            major, minor = _items(data, "format", int)
            if major != FORMAT[0]:
                advice = "Upgrade aimm-plugins." if major > FORMAT[0] else "Save it again."
                raise ArtifactError(
                    f"the artifact has format {major}.{minor}, and this version of aimm-plugins "
                    f"reads {FORMAT[0]}.x. {advice}",
                    reason="format",
                )
            maker, payload = _take(data, "provider", dict | None), _take(data, "payload", dict)
            row = _take(data, "fingerprint", dict | None)
            if _take(payload, "size", int) < 0:
                raise ValueError("size is negative")
            return cls(
                format=(major, minor),
                model_type=_take(data, "model_type", str),
                distribution=_take(maker or {}, "distribution", str | None),
                version=_take(maker or {}, "version", str | None),
                module=None if maker is None else _take(maker, "module", str),
                fingerprint=None if row is None else FingerprintRow.from_dict(row),
                requirements=tuple(_items(data, "requirements", str)),
                python=_take(data, "python", str),
                created=datetime.strptime(_take(data, "created", str), _TIME).replace(tzinfo=UTC),
                size=payload["size"],
                sha256=_take(payload, "sha256", str),
                metadata=_take(data, "metadata", dict),
                signature=signature,
            )

    def error(self, reason: Reason, message: str) -> ArtifactError:
        return ArtifactError(
            printable(message),
            reason=reason,
            model_type=self.model_type,
            distribution=self.distribution,
            version=self.version,
        )


@contextmanager
def _reading(text: bytes, what: str) -> Generator[dict[str, Any]]:
    """The mapping in a JSON member; an `ArtifactError` says what is wrong with it."""
    import json

    try:
        loaded = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_no_number)
        if not isinstance(loaded, dict):
            raise ValueError("it is no mapping")
        yield plain(loaded, (what,))
    except ArtifactError:
        raise
    except (ValueError, RecursionError) as error:
        raise ArtifactError(
            printable(
                f"the {what} of the artifact is not what this format has: {described(error):.200}. "
                "It was not written by this package, or is damaged; save it again."
            ),
            reason="format",
        ) from None


def _text(data: Mapping[str, Any]) -> bytes:
    import json

    return json.dumps(data, separators=(",", ":"), allow_nan=False).encode()


def _take(data: Mapping[str, Any], name: str, kind: type | UnionType) -> Any:
    """A value of a kind, which `True` is none of; ValueError where it is of another."""
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, kind):
        raise ValueError(f"{name} is {value!r:.60}")
    return value


def _items(data: Mapping[str, Any], name: str, kind: type) -> list[Any]:
    items: list[Any] = _take(data, name, list)
    return [_take({name: item}, name, kind) for item in items]


def plain(value: object, path: tuple[str | int, ...]) -> Any:
    """A copy of a value as JSON has it; a `TypeError` for what is no JSON.

    A `ValueError` for what is nested too deep, or a number or text that JSON has no word for.
    """
    if len(path) > _DEPTH_LIMIT + 1:
        raise ValueError(f"{path[0]} is nested deeper than {_DEPTH_LIMIT}")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if re.search("[\ud800-\udfff]", value):
            raise ValueError(f"{spell_path(path)} holds half a surrogate pair, which is no text")
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if value - value != 0:
            raise ValueError(f"{spell_path(path)} is {value}, which JSON has no word for")
        return float(value)
    if isinstance(value, list | tuple):
        return [plain(item, (*path, index)) for index, item in enumerate(value)]
    if not isinstance(value, Mapping):
        raise TypeError(f"{spell_path(path)} is a {type(value).__name__}, which is no JSON")
    copy = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise TypeError(f"{spell_path(path)} has the key {key!r}; keys of JSON are text")
        copy[plain(key, path)] = plain(item, (*path, key))
    return copy


def _unique(items: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) != len(items):
        raise ValueError("a key is there twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
