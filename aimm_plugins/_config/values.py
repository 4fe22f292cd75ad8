"""The conf as a checked value: what a start without a conf file needs, and no more."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from aimm_plugins._values.actions import Action
from aimm_plugins.errors import ConfigError, spell_path

if TYPE_CHECKING:
    from aimm_plugins._config.yaml_reader import Document

OnError = Literal["strict", "isolate"]
LoadMode = Literal["eager", "lazy"]
Verify = Literal["none", "record"]
OnVersion = Literal["compatible", "error", "warn", "ignore"]
StartMode = Literal["eager", "lazy"]


class EntryPointRules(NamedTuple):
    """The conf's `entry_points`; `allow` of `None` allows all, and an empty tuple none."""

    enabled: bool = True
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    deny_origins: tuple[str, ...] = ()


class ArtifactRules(NamedTuple):
    """The conf's `artifacts`; `signed` is whether a signature is required."""

    on_version: OnVersion | None = None
    signed: bool = False
    keys: Mapping[str, str] = MappingProxyType({})
    sign_with: str | None = None


class DaskRules(NamedTuple):
    """Which calls run on a cluster: the conf's `dask`; `actions` or `keys` of `None` are all."""

    address: str
    actions: tuple[Action, ...] | None = None
    keys: tuple[str, ...] | None = None
    keep_on_cluster: bool = False


class EnvironmentRules(NamedTuple):
    """One of the conf's `environments`, as `schemas/plugins.yaml` describes it."""

    name: str
    requirements: tuple[str, ...] = ()
    lock: str | None = None
    path: str | None = None
    python: str | None = None
    plugins: tuple[str, ...] | None = None
    processes: int = 1
    call_seconds: float | None = None
    memory_mb: int | None = None
    start: StartMode = "eager"
    restarts_per_minute: int = 10


class Config(NamedTuple):
    """A conf, or another layer of rules, that was read and is sound.

    Its keys are those of `schemas/plugins.yaml`; secrets in `options` are not yet read.

    Attributes:
        probe: Seconds that a plugin has to be imported in a child process first; `None` for no
            probe.
        document: The file that the layer was read from, if it was read from one.
        folder: Where relative paths in it count from: a daemon leaves the folder it was started in.
        prefix: Where in `document` the layer begins.
        place: What messages call every place in a layer that is neither a mapping nor a file.
    """

    names: tuple[str, ...] = ()
    entry_points: EntryPointRules = EntryPointRules()
    required: tuple[str, ...] = ()
    prefer: Mapping[str, str] = MappingProxyType({})
    on_error: OnError = "strict"
    load: LoadMode = "eager"
    verify: Verify = "none"
    probe: float | None = None
    locked: str | None = None
    artifacts: ArtifactRules = ArtifactRules()
    dask: DaskRules | None = None
    options: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    environments: Mapping[str, EnvironmentRules] = MappingProxyType({})
    environments_folder: str | None = None
    document: Document | None = None
    folder: str | None = None
    prefix: tuple[str | int, ...] = ()
    place: str | None = None

    @property
    def source(self) -> str | None:
        """Name of the file, for messages; `None` for a mapping."""
        return None if self.document is None else self.document.file

    def where(self, *path: str | int) -> str:
        """A place in the conf, for messages: `plugins.yaml:3`, or `conf entry_points.deny[0]`."""
        if self.document is not None and self.document.file is not None:
            place = self.document.place((*self.prefix, *path))
            if place is not None:
                return f"{self.document.file}:{place[0]}"
        return self.place or f"conf {spell_path(path)}"

    def resolved(self, path: str) -> str:
        """Where a path that the layer names leads, from whatever folder the process is in now."""
        return os.path.join(self.folder or "", path)

    def error(
        self,
        message: str,
        path: tuple[str | int, ...],
        *,
        expected: str | None = None,
        key: bool = False,
    ) -> ConfigError:
        """An error about a value in the conf; with `key` about the value's key."""
        whole = (*self.prefix, *path)
        place = None if self.document is None else self.document.place(whole, key=key)
        line, column = place or (None, None)
        return ConfigError(
            message, file=self.source, line=line, column=column, path=whole, expected=expected
        )


Conf = Mapping[str, object] | str | os.PathLike[str] | Config | None
"""What a conf may be given as, within this package: callers of it have no `Config`."""
