"""Read the secrets that a conf names by `env:NAME` and `file:PATH`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from aimm_plugins._config.values import Config
from aimm_plugins._options.hiding import Path, hiding
from aimm_plugins._options.state import Given
from aimm_plugins._system.files import read_file
from aimm_plugins._system.masking import remember_secret
from aimm_plugins._values.report import Finding

_MAX_BYTES = 1024 * 1024


def read_given(config: Config, key: str, *, looking: bool, findings: list[Finding]) -> Given:
    """The options under a key of a conf's `options`, with secrets read.

    While only `looking` no secret is in the values, and `findings` gets those that cannot be read.
    """
    secrets: dict[Path, str] = {}

    def read(value: Any, path: Path) -> Any:
        if isinstance(value, Mapping):
            return {name: read(item, (*path, name)) for name, item in value.items()}
        if isinstance(value, list):
            return [read(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, str):
            return value
        kind, colon, name = value.partition(":")
        if not colon or kind not in ("env", "file") or name.startswith("//"):  # file:// is a URL
            return value
        if name.startswith(":"):
            return f"{kind}{name}"
        secrets[path] = value
        try:
            text = _secret(kind, name, config)
        except ValueError as error:
            where, problem = ("options", key, *path), f"cannot be read: {error}"
            if not looking:
                expected = f"{kind}::{name} for the text {value} itself"
                raise config.error(f"{value} {problem}", where, expected=expected) from None
            remedy = "Provide it where initialize is called."
            remedy = remedy if name else f"Name it; or write {kind}:: for the text {value} itself."
            findings.append(Finding("secret-missing", value, problem, config.where(*where), remedy))
            return value
        if looking:
            return value
        remember_secret(text)
        return text

    values = read(config.options[key], ())
    # The `repr` of what is kept hides secrets too: tools that report errors print local variables.
    return Given(config, key, hiding(values, secrets), secrets)


def _secret(kind: str, name: str, config: Config) -> str:
    """The text of a secret; a ValueError says why there is none."""
    if not name:
        raise ValueError("it names nothing")
    if kind == "env":
        if name not in os.environ:
            raise ValueError(f"the environment variable {name} is not set")
        return os.environ[name]
    path = config.resolved(name)
    try:
        content = read_file(path, _MAX_BYTES)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if content is None:
        raise ValueError(f"there is no file {path}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:  # whose text would show what is in the file
        raise ValueError(f"{path} is not UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
