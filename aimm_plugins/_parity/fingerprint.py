"""What is registered, as a digest with its table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from aimm_plugins._discovery.distribution import Distribution, path_in_record
from aimm_plugins._discovery.module_location import HERE
from aimm_plugins._parity.rows import FingerprintRow
from aimm_plugins._parity.source_digest import (
    hashes_in_files,
    hashes_in_record,
    source_digest,
)
from aimm_plugins._registry.providers import Provider
from aimm_plugins._registry.snapshot import Snapshot
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._system.names import normalized
from aimm_plugins._system.text import aligned
from aimm_plugins._values.actions import Action

if TYPE_CHECKING:
    from aimm_plugins._discovery.scan import Scan

_FORMAT = "aimm-fingerprint-1"
"""Part of every digest; to be changed where the same plugins would get another digest."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The registered plugins: equal for the same plugins, on every platform and Python.

    Attributes:
        rows: A row for each action and key, sorted.
        digest: SHA-256 of the rows in hex.
    """

    rows: tuple[FingerprintRow, ...]
    digest: str

    def find(self, action: Action, key: str) -> FingerprintRow | None:
        """The row of an action and key, if there is one."""
        return next((row for row in self.rows if (row.action, row.key) == (action, key)), None)

    def to_dict(self) -> dict[str, Any]:
        """JSON-serializable."""
        return {"digest": self.digest, "rows": [row.to_dict() for row in self.rows]}

    @classmethod
    def from_dict(cls, data: object) -> Fingerprint:
        """The fingerprint of `to_dict`.

        Raises:
            ValueError: It is none, or its digest is not that of its rows.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("rows"), list | tuple):
            raise ValueError("a fingerprint is a mapping with digest and rows")
        made = of_rows(FingerprintRow.from_dict(row) for row in data["rows"])
        if made.digest != data.get("digest"):
            raise ValueError("the digest of a fingerprint is not that of its rows")
        return made

    def __str__(self) -> str:
        cells = [
            (f"{row.action}:{row.key}", row.plugin, (row.files or "-")[:12]) for row in self.rows
        ]
        return "\n  ".join([f"fingerprint {self.digest}", *aligned(cells)])


def fingerprint() -> Fingerprint:
    """The fingerprint of what is registered in this process.

    A deferred plugin is not imported; its row is that of its metadata, which is the same once it is
    loaded. Kept until the registry changes: sources that are edited later on are not read again.

    Returns:
        The digest with its table.

    Example:
        >>> from aimm_plugins import Fingerprint, data_access, fingerprint
        >>> @data_access("answer")
        ... def answer():
        ...     return 42
        >>> [(row.action, row.key) for row in fingerprint().rows]
        [('data_access', 'answer')]
    """
    PROCESS.runtime.ledger.discard_failed_imports()
    return of_snapshot(PROCESS.runtime.registry.snapshot)


def of_snapshot(snapshot: Snapshot) -> Fingerprint:
    # A declaration by hand adds to a snapshot without replacing it.
    return of_providers(snapshot, tuple(snapshot.providers()))


@lru_cache(maxsize=1)
def of_providers(snapshot: Snapshot, providers: tuple[Provider, ...]) -> Fingerprint:
    """The fingerprint of the providers of a snapshot; the last one is kept."""
    return of_rows(_rows(providers))


def of_rows(rows: Iterable[FingerprintRow]) -> Fingerprint:
    import hashlib
    import json

    table = tuple(sorted(rows, key=attrgetter("action", "key")))
    text = json.dumps([_FORMAT, FingerprintRow._fields, table], separators=(",", ":"))
    return Fingerprint(table, hashlib.sha256(text.encode()).hexdigest())


def installed_in(environment: str) -> Scan:
    """What is installed in an environment whose plugins are registered; for "" here."""
    from aimm_plugins._discovery.scan import scan

    found = PROCESS.runtime.environments.get(environment)
    return scan() if found is None else found.installed


def _rows(providers: Iterable[Provider]) -> Iterator[FingerprintRow]:
    installed, in_record = cache(installed_in), cache(hashes_in_record)
    in_files = cache(hashes_in_files)

    @cache  # the keys of one plugin have this in common
    def common(
        plugin: str, declaring: str, publisher: str | None, version: str | None
    ) -> tuple[str | None, str | None, str, str | None]:
        module, _, environment = plugin.partition("@")
        modules = installed(environment).modules if environment else HERE
        there = partial(installed, environment)
        name, release, owner = owner_of(module, publisher, version, there)
        hashes = {} if owner is None else in_record(owner)
        if owner is None or path_in_record(owner, modules.locate(module)) not in hashes:
            hashes = in_files(module, modules)
        if name is None:
            # A plugin with an owner may be deferred in another process, which does not know yet
            # which module declares its keys, and must have the same row.
            hashes = {**hashes, **in_files(declaring, modules)}
        # multiprocessing gives the main module another name in a process that it spawns.
        called = "__main__" if module == "__mp_main__" else plugin
        return name, release, called, source_digest(hashes)

    for provider in providers:
        who = provider.provenance
        key = (provider.plugin, provider.module, who.distribution, who.version)
        yield FingerprintRow(provider.action, provider.key, *common(*key))


def owner_of(
    module: str, publisher: str | None, version: str | None, installed: Callable[[], Scan]
) -> tuple[str | None, str | None, Distribution | None]:
    """The distribution that owns a plugin's module: normalized name, version and metadata.

    The publisher is the distribution that brought the plugin, by an entry point or as the owner of
    its module; `version` is that of the publisher when the module was imported.
    """
    if publisher is None:
        return None, None, None
    scanned = installed()
    file = scanned.modules.locate(module)
    found = scanned.owner(module, file) or scanned.find(publisher)
    if found is None or found.key == normalized(publisher):
        return normalized(publisher), version, found
    return found.key, found.version, found
