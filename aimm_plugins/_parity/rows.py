"""One row of a fingerprint: who answers an action and key, and with which files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

from aimm_plugins._values.actions import Action


class FingerprintRow(NamedTuple):
    """Who answers one action and key, and with which files.

    Attributes:
        action: The action.
        key: The data access name or model type.
        distribution: Normalized name of the distribution that owns the plugin's module, even if
            another one publishes the entry point; `None` where no distribution owns it.
        version: Its version.
        module: The plugin's module.
        files: SHA-256 of the Python sources in hex; `None` where there are none, as for what is
            typed into an interpreter.
    """

    action: Action
    key: str
    distribution: str | None
    version: str | None
    module: str
    files: str | None

    @property
    def owner(self) -> str:
        """The distribution with its version, or the module: `aimm-svc 1.2`."""
        if self.distribution is None:
            return self.module
        return f"{self.distribution} {self.version or '(unknown version)'}"

    @property
    def plugin(self) -> str:
        """The distribution and the module: `aimm-svc 1.2  aimm_svc`."""
        return self.module if self.distribution is None else f"{self.owner}  {self.module}"

    def to_dict(self) -> dict[str, str | None]:
        return self._asdict()

    @classmethod
    def from_dict(cls, data: object) -> FingerprintRow:
        """The row of `to_dict`, or a `ValueError`; keys that are not known here are ignored."""
        if not isinstance(data, Mapping):
            raise ValueError("a row of a fingerprint is a mapping")
        values: dict[str, Any] = {name: data.get(name) for name in cls._fields}
        for name, value in values.items():
            optional = value is None and name in ("distribution", "version", "files")
            if not (isinstance(value, str) or optional):
                raise ValueError(f"{name} of a fingerprint's row is {value!r:.60}")
        if values["action"] not in get_args(Action):
            raise ValueError(f"there is no action {values['action']!r:.60}")
        return cls(**values)
