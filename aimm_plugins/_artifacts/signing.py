"""Ed25519 signatures of artifacts, by key files that a conf names; needs `aimm-plugins[sign]`."""

from __future__ import annotations

from typing import Any, NamedTuple

from aimm_plugins._artifacts.info import Signature
from aimm_plugins._system.files import read_file
from aimm_plugins.errors import ConfigError

ALGORITHM = "ed25519"

_PURPOSE = b"aimm-artifact-1\n"
"""Signed before the info, so that no other text that a key signs is taken for an info."""

_KEY_LIMIT = 64 * 1024


class KeyFile(NamedTuple):
    """A key by its file, and the place of the conf that names it."""

    path: str
    place: str


def sign(text: bytes, key: KeyFile) -> Signature:
    private = _load(key, private=True)
    value = private.sign(_PURPOSE + text).hex()
    return Signature(ALGORITHM, _id(private.public_key()), value)


class Verifier:
    """Verifies signatures of one key; its `id` is what `Signature.key` calls it."""

    def __init__(self, key: KeyFile) -> None:
        self._key = _load(key, private=False)
        self.id = _id(self._key)

    def verify(self, signature: Signature, text: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(bytes.fromhex(signature.value), _PURPOSE + text)
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
    pem = content.lstrip().startswith(b"-----BEGIN") and b"OPENSSH" not in content[:64]
    kind: Any = ed25519.Ed25519PrivateKey if private else ed25519.Ed25519PublicKey
    why = "it is a key of another kind"
    loaded: Any
    try:
        if private:
            load = serialization.load_pem_private_key if pem else serialization.load_ssh_private_key
            loaded = load(content, password=None)
        elif pem:
            loaded = serialization.load_pem_public_key(content)
        else:
            loaded = serialization.load_ssh_public_key(content)
        if isinstance(loaded, kind):
            return loaded
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        why = str(error)
    role = "private" if private else "public"
    raise ConfigError(
        f"{file} cannot be used: {why}",
        expected=f"an Ed25519 {role} key without a passphrase, as PEM or OpenSSH",
    )
