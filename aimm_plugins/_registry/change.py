"""What goes into a resolution, and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from aimm_plugins._declarations.declaration import Declaration
from aimm_plugins._registry.providers import Preferences
from aimm_plugins._registry.snapshot import Snapshot
from aimm_plugins._values.report import Finding, Identity, PluginRecord

if TYPE_CHECKING:
    from aimm_plugins._discovery.published import Published


class Loaded(NamedTuple):
    """A plugin whose module is imported and sound."""

    record: PluginRecord
    target: object | None = None  # the decorated object, for an entry point `module:object`
    lazily: bool = False  # whether others have relied meanwhile on the keys that it publishes
    # Whether it may declare nothing: it has brought hook implementations, or what was imported is
    # another's file, which is a finding of its own.
    may_be_empty: bool = False
    is_stale: bool = False  # whether another version was imported than is installed by now
    elsewhere: tuple[Declaration, ...] = ()  # what it declares in a process of an environment


class Change(NamedTuple):
    """What a call brings to the registry."""

    records: Sequence[PluginRecord]  # the accounts of all plugins of the call, in order
    prefer: Preferences  # rules that settle conflicts; earlier layers are asked first
    loaded: Sequence[Loaded] = ()
    # What the metadata of plugins publishes. A deferred one competes by it.
    published: Mapping[Identity, Sequence[Published]] = MappingProxyType({})
    load: Callable[[Identity], None] = lambda _: None  # imports and registers a deferred plugin
    removed: Set[Identity] = frozenset()  # of earlier calls, and not installed any more
    revoked: Set[Identity] = frozenset()  # of earlier calls; lose their keys if denied by now
    # Whether the plugins were deferred, and a call needs one of them: what they lost to others
    # while they waited stays lost.
    demanded: bool = False


class Resolution(NamedTuple):
    """What a commit would do: the accounts in the order of the call, and what is found of them."""

    records: list[PluginRecord]
    snapshot: Snapshot
    findings: list[Finding]
