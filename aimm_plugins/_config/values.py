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
Load = Literal["eager", "lazy"]
Verify = Literal["none", "record"]
OnVersion = Literal["compatible", "error", "warn", "ignore"]
Start = Literal["eager", "lazy"]


class EntryPointRules(NamedTuple):
    """The conf's rules about installed entry points.

    Attributes:
        enabled: Whether they are loaded at all.
        allow: Requirements; `None` allows all, an empty tuple none.
        deny: Requirements; deny beats allow.
        deny_origins: Where pip may not have got a distribution from.
    """

    enabled: bool = True
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    deny_origins: tuple[str, ...] = ()


class ArtifactRules(NamedTuple):
    """The conf's rules about saved models.

    Attributes:
        on_version: What another version of the provider leads to; `None` where nothing is said.
        signed: Whether a signature by one of the keys is required.
        keys: Files of the public keys that signatures are verified with, by the names that messages
            call them.
        sign_with: File of the private key that new artifacts are signed with.
    """

    on_version: OnVersion | None = None
    signed: bool = False
    keys: Mapping[str, str] = MappingProxyType({})
    sign_with: str | None = None


class DaskRules(NamedTuple):
    """Which calls run on a Dask cluster.

    Attributes:
        address: Of its scheduler; `local` for a worker process of the host's own.
        actions: Only these; `None` for all.
        keys: Only these; `None` for all.
        keep_on_cluster: Whether instances stay there.
    """

    address: str
    actions: tuple[Action, ...] | None = None
    keys: tuple[str, ...] | None = None
    keep_on_cluster: bool = False


class EnvironmentRules(NamedTuple):
    """An environment whose plugins run in processes of their own.

    Attributes:
        name: What records and messages call it.
        requirements: What is installed into it, as PEP 508 has them.
        lock: File of what is installed into it instead.
        path: Folder or interpreter of an environment that somebody else made; else it is ours.
        python: Version or interpreter that ours is made with; `None` for that of the host.
        plugins: Only plugins of these distributions; `None` for all.
        processes: How many run at once.
        call_seconds: After which a call is ended with its process; `None` for never.
        memory_mb: Address space of a process in MiB; `None` for no limit.
        start: Whether processes start with the host, or with the first call.
        restarts_per_minute: How often processes are started again before calls fail.
    """

    name: str
    requirements: tuple[str, ...] = ()
    lock: str | None = None
    path: str | None = None
    python: str | None = None
    plugins: tuple[str, ...] | None = None
    processes: int = 1
    call_seconds: float | None = None
    memory_mb: int | None = None
    start: Start = "eager"
    restarts_per_minute: int = 10


class Config(NamedTuple):
    """A conf, or another layer of rules, that was read and is sound.

    Attributes:
        names: Modules to import, in order.
        entry_points: Rules about installed entry points.
        required: Requirements of distributions that must be there and loaded.
        prefer: `"action:key"` or `"key"` to distribution or module.
        on_error: What a failed plugin leads to.
        load: Whether plugins that publish their keys wait for their first call.
        verify: Whether installed files are held against their RECORD.
        probe: Seconds that a plugin has to be imported in a child process first; `None` for no
            probe.
        locked: File of the distributions that may be loaded.
        artifacts: Rules about saved models.
        dask: The cluster that calls run on; `None` for none.
        options: By distribution or plugin, what its plugins are given; secrets are not yet read.
        environments: By name, environments whose plugins run in processes of their own.
        environments_folder: Where environments are made; `None` for a folder of the user's.
        document: The file that the layer was read from, if it was read from one.
        prefix: Where in `document` the layer begins.
        place: What messages call every place in a layer that is neither a mapping nor a file.
    """

    names: tuple[str, ...] = ()
    entry_points: EntryPointRules = EntryPointRules()
    required: tuple[str, ...] = ()
    prefer: Mapping[str, str] = MappingProxyType({})
    on_error: OnError = "strict"
    load: Load = "eager"
    verify: Verify = "none"
    probe: float | None = None
    locked: str | None = None
    artifacts: ArtifactRules = ArtifactRules()
    dask: DaskRules | None = None
    options: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    environments: Mapping[str, EnvironmentRules] = MappingProxyType({})
    environments_folder: str | None = None
    document: Document | None = None
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
        """A path that the layer names, seen from the folder of the layer's own file."""
        return path if self.source is None else os.path.join(os.path.dirname(self.source), path)

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
