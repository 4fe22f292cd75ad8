"""What is registered, and the rules by which it changes.

The book holds what was declared; the registry decides whose it is and which of it can be called.
A commit works everything out first and then publishes one new snapshot; calls go on with the one
they found.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence, Set
from typing import get_args

from aimm_plugins._declarations.ledger import Book, Declaration
from aimm_plugins._registry.providers import (
    Deferred,
    Owners,
    Preferences,
    Provider,
    Slot,
    Snapshot,
    conflict,
    provider_of,
    same_provider,
)
from aimm_plugins._registry.resolution import Loaded, Resolution, resolve
from aimm_plugins._system.log import logger
from aimm_plugins._system.text import described, indented, one_line, printable
from aimm_plugins._values.actions import Action
from aimm_plugins._values.report import Finding, Identity, PluginRecord, Report
from aimm_plugins.errors import (
    AimmPluginsError,
    PluginImportError,
    PluginLoadError,
    UnknownPluginError,
)


class Registry:
    """The current snapshot, and the rules by which it changes."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.lock = book.lock
        self.snapshot = Snapshot()
        self.changed: Callable[[], None] = lambda: None
        self.ever_initialized = False

    # Looking up

    def find(self, action: Action, key: str) -> Provider | None:
        """The provider, or `None`. Takes no lock."""
        return self.snapshot.providers[action].get(key)

    def providers(self, action: Action | None = None) -> dict[Slot, Provider]:
        """All providers, or those of one action, by (action, key), sorted."""
        self.sweep()
        snapshot = self.snapshot
        chosen = get_args(Action) if action is None else (action,)
        return {
            (each, key): provider
            for each in chosen
            for key, provider in sorted(dict(snapshot.providers[each]).items())
        }

    def providers_of(self, key: str, action: Action | None = None) -> dict[Slot, Provider]:
        """The providers of one key, or that of one action, without going through all."""
        found: dict[Slot, Provider] = {}
        for each in get_args(Action) if action is None else (action,):
            provider = self.find(each, key)
            declared = None if provider is None else provider.declaration
            if declared and declared.body is not None and self.book.unfinished(declared.body):
                self.sweep()
                provider = self.find(each, key)
            if provider is not None:
                found[each, key] = provider
        return found

    def absent(self, action: Action, key: object) -> AimmPluginsError:
        """The error for a call that nobody answers.

        Of a deferred plugin that failed to load, its failure; it is not tried again by a call.
        """
        broken = self.snapshot.broken.get((action, key)) if isinstance(key, str) else None
        return self.unknown(action, key) if broken is None else not_loaded(broken)

    def unknown(self, action: Action, key: object) -> UnknownPluginError:
        """The error for a key that is not known, saying all that could help."""
        snapshot = self.snapshot
        if not isinstance(key, str):
            return UnknownPluginError(f"a key is a str, and was given {key!r}", action=action)
        known = list(snapshot.providers[action])
        nearest = _nearest(key, known)
        shown = one_line(key)
        lines = [f"no plugin provides {action}:{shown}"]
        if nearest:
            lines.append("  nearest: " + ", ".join(f"{action}:{one_line(k)}" for k in nearest))
        elsewhere = [each for each in get_args(Action) if key in snapshot.providers[each]]
        if elsewhere:
            found = ", ".join(f"{each}:{shown}" for each in elsewhere)
            lines.append(f"  under other actions: {found}")
        lines += [f"  {printable(indented(line))}" for line in self._absent(action, key)]
        if not self.ever_initialized and not self.book.ever_used:
            lines.append(
                "  Nothing was ever initialized or declared in this process: call "
                "aimm_plugins.initialize(conf) in it first. A process that is spawned "
                "begins empty."
            )
        elif len(lines) == 1 and not any(snapshot.providers.values()):
            lines.append("  No plugin is registered at all: see aimm_plugins.current_report().")
        return UnknownPluginError("\n".join(lines), action=action, key=key, nearest=nearest)

    def _absent(self, action: Action, key: str) -> list[str]:
        """Who would provide it, but was denied, failed or shadowed."""
        records = list(self.snapshot.records.values())
        owner = Owners(record.module for record in records)
        lines = []
        for each in self.book.declarations():
            if (each.action, each.key) != (action, key):
                continue
            for record in records:
                if record.module == owner.of(each):
                    why = record.reason or (described(record.error) if record.error else "")
                    shadow = self.snapshot.shadowed.get((record.module, (action, key)))
                    state = "shadowed" if shadow else record.state
                    who = record.provenance._replace(file=each.file, line=each.line)
                    lines.append(f"{state}: {who}: {shadow or why}".rstrip(": "))
        failed = [record for record in records if record.state == "failed"]
        lines += [
            f"failed, may have provided it: {record.provenance}" for record in failed if not lines
        ]
        return lines

    # Declarations by hand

    def declared(self, new: Sequence[Declaration], gone: Sequence[Declaration]) -> None:
        """Register what was declared outside any loading, at once.

        Called by the book, which holds the lock.

        Raises:
            PluginConflictError: Another plugin provides one of the keys; nothing is registered.
        """
        snapshot = self.snapshot
        records = {record.module: record for record in snapshot.records.values()}
        owners = Owners(records)
        updates: list[Provider] = []
        for each in new:
            plugin = owners.of(each) or each.home
            record = records.get(plugin)
            # A failed plugin may have left a thread that goes on declaring.
            if record is not None and (
                record.state == "denied"
                or (record.state == "failed" and each.module not in sys.modules)
            ):
                logger().warning(
                    "%s:%s is not registered: %s is %s",
                    each.action,
                    each.key,
                    record.provenance,
                    record.reason,
                )
                continue
            provider = provider_of(each, plugin, record)
            standing = self.find(each.action, each.key)
            if (
                standing is not None
                and not same_provider(standing, provider)
                and standing.declaration not in gone
            ):
                raise conflict(each.action, each.key, [standing, provider], keeps=standing)
            updates.append(provider)
        # What is replaced is not taken away first: a call in between would find nobody.
        slots = {(provider.action, provider.key) for provider in updates}
        replaced = self._withdraw(each for each in gone if (each.action, each.key) not in slots)
        for provider in updates:
            keys = snapshot.providers[provider.action]
            replaced = replaced or provider.key in keys
            keys[provider.key] = provider
        # A new key has no call plan yet; only what is replaced can have one.
        if replaced:
            self.changed()

    def _withdraw(self, gone: Iterable[Declaration]) -> bool:
        snapshot = self.snapshot
        withdrawn = False
        for each in gone:
            keys = snapshot.providers[each.action]
            standing = keys.get(each.key)
            if standing is not None and standing.declaration is each:
                del keys[each.key]
                withdrawn = True
        return withdrawn

    def sweep(self) -> None:
        """Forget what modules declared whose import by hand failed in the end."""
        self.book.sweep()

    def adopt(self, module: str) -> None:
        """Register what a module declared, on the word of somebody who registers it in pluggy.

        Raises:
            PluginConflictError: Another plugin provides one of its keys.
        """
        with self.lock:
            self.declared([each for each in self.book.declarations() if each.home == module], [])

    # Commits

    def resolve(
        self,
        records: Sequence[PluginRecord],
        loaded: Sequence[Loaded],
        prefer: Preferences,
        *,
        deferred: Sequence[Deferred] = (),
        removed: Set[Identity] = frozenset(),
        demanded: bool = False,
    ) -> Resolution:
        """What registering the plugins of a call would lead to; see `_resolution.resolve`."""
        self.book.sweep()
        return resolve(
            self.snapshot,
            self.book.declarations(),
            records,
            loaded,
            prefer,
            deferred=deferred,
            removed=removed,
            demanded=demanded,
        )

    def publish(self, resolution: Resolution, findings: Iterable[Finding]) -> None:
        """Make a resolution the current snapshot. The caller holds the lock."""
        for finding in findings:
            key = (finding.code, finding.subject, finding.place)
            resolution.snapshot.findings[key] = finding
        self.snapshot = resolution.snapshot
        self.ever_initialized = True
        self.changed()

    def drop(self, plugin: str) -> None:
        """Take a plugin's declarations out of the registry."""
        with self.lock:
            old = self.snapshot
            self.snapshot = Snapshot(
                providers={
                    action: {
                        k: p
                        for k, p in keys.items()
                        if p.plugin != plugin
                        # As `adopt` has it, whichever plugin's load ran the module.
                        and (p.declaration is None or p.declaration.home != plugin)
                    }
                    for action, keys in old.providers.items()
                },
                records={i: r for i, r in old.records.items() if r.module != plugin},
                findings=old.findings,
                shadowed={s: r for s, r in old.shadowed.items() if s[0] != plugin},
                contested={s: e for s, e in old.contested.items() if s[0] != plugin},
                deferred={i: d for i, d in old.deferred.items() if d.record.module != plugin},
                broken={s: r for s, r in old.broken.items() if r.module != plugin},
            )
            self.changed()

    def clear(self) -> None:
        """Forget all that is registered; the book keeps what modules declared."""
        with self.lock:
            self.snapshot = Snapshot()
            self.changed()


def _nearest(key: str, known: list[str]) -> list[str]:
    try:
        from difflib import get_close_matches
    except KeyboardInterrupt:
        raise
    except BaseException:  # a plugin has broken imports for everybody; the error counts without
        return []
    return get_close_matches(key, known, n=3, cutoff=0.6)


def not_loaded(record: PluginRecord) -> PluginLoadError:
    """The error for a call that needs a deferred plugin which has failed to load."""
    error = record.error
    if not isinstance(error, Exception):
        error = PluginImportError(described(error) if error else str(record.reason))
    text = indented(described(error))
    return PluginLoadError(
        f"a deferred plugin failed to load\n  {record.provenance}\n    {text}\n"
        "It is tried again by initialize() and refresh(), and not by calls.",
        [error],
        Report((record,)),
    )
