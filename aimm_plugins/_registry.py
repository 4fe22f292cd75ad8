"""Who answers which action and key: owners, conflicts, preferences.

The book holds what was declared; the registry decides whose it is and which of it can be called.
A commit works everything out first and then publishes one new snapshot; calls go on with the one
they found.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, get_args

from aimm_plugins._actions import Action
from aimm_plugins._declarations import Book, Declaration
from aimm_plugins._provenance import Provenance
from aimm_plugins._report import Finding, PluginRecord, State
from aimm_plugins.errors import (
    DeclarationError,
    PluginConflictError,
    UnknownPluginError,
)

_LOG = logging.getLogger("aimm_plugins")

Slot = tuple[Action, str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Provider:
    """The plugin that answers one action and key.

    Attributes:
        action: The action.
        key: The data access name or model type.
        plugin: Module of the plugin; for what was declared by hand, the module that did.
        provenance: Who that is, with file and line of the declaration.
        declaration: What was declared.
    """

    action: Action
    key: str
    plugin: str
    provenance: Provenance
    declaration: Declaration

    @property
    def function(self) -> Callable[..., Any]:
        """What is called."""
        return self.declaration.function

    @property
    def module(self) -> str:
        """The module that made the declaration."""
        return self.declaration.module

    @property
    def qualname(self) -> str:
        """Dotted name of the function within its module."""
        return self.declaration.qualname

    @property
    def file(self) -> str:
        """Source file of the declaration."""
        return self.declaration.file

    @property
    def line(self) -> int:
        """Line of the declaration, from 1."""
        return self.declaration.line

    @property
    def distribution(self) -> str | None:
        """The distribution that brought it, if any."""
        return self.provenance.distribution

    @property
    def version(self) -> str | None:
        """Version of that distribution."""
        return self.provenance.version

    def __str__(self) -> str:
        return f"{self.action}:{self.key}  {self.provenance}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is registered.

    A commit replaces the snapshot as a whole. A declaration by hand adds to the inner mappings, in
    one atomic update: copying them for each would cost O(N²) for N declarations.

    Attributes:
        providers: Action to key to provider.
        records: The account of each plugin of the calls so far, by identity.
        findings: What the calls so far found beside them.
        shadowed: Keys that plugins lost to a `prefer` rule: (plugin, slot) to the reason.
    """

    providers: dict[Action, dict[str, Provider]] = field(
        default_factory=lambda: {action: {} for action in get_args(Action)}
    )
    records: dict[tuple[str, str, str, str | None], PluginRecord] = field(default_factory=dict)
    findings: dict[tuple[str, str, str | None], Finding] = field(default_factory=dict)
    shadowed: dict[tuple[str, Slot], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A plugin whose module is imported, with the object that its entry point names.

    Attributes:
        record: Its account so far.
        target: The decorated object, for an entry point `module:object`; else `None`.
    """

    record: PluginRecord
    target: object | None = None


@dataclass(slots=True)
class Resolution:
    """What a commit would do.

    Attributes:
        records: The accounts, in the order of the plan.
        snapshot: What would be registered then.
        modules: Plugin modules that belong into the plugin manager then.
    """

    records: list[PluginRecord]
    snapshot: Snapshot
    modules: list[str]


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
            body = None if provider is None else provider.declaration.body
            if body is not None and self.book.unfinished(body):
                self.sweep()
                provider = self.find(each, key)
            if provider is not None:
                found[each, key] = provider
        return found

    def unknown(self, action: Action, key: object) -> UnknownPluginError:
        """The error for a call that nobody answers, saying all that could help."""
        snapshot = self.snapshot
        if not isinstance(key, str):
            return UnknownPluginError(f"a key is a str, and was given {key!r}", action=action)
        known = list(snapshot.providers[action])
        nearest = get_close_matches(key, known, n=3, cutoff=0.6)
        lines = [f"no plugin provides {action}:{key}"]
        if nearest:
            lines.append("  nearest: " + ", ".join(f"{action}:{each}" for each in nearest))
        elsewhere = [each for each in get_args(Action) if key in snapshot.providers[each]]
        if elsewhere:
            found = ", ".join(f"{each}:{key}" for each in elsewhere)
            lines.append(f"  under other actions: {found}")
        lines += [f"  {line}" for line in self._absent(action, key)]
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
        owner = _Owners(record.module for record in records)
        lines = []
        for each in self.book.declarations():
            if (each.action, each.key) != (action, key):
                continue
            for record in records:
                if record.module == owner.of(each):
                    why = record.reason or (
                        f"{type(record.error).__name__}: {record.error}" if record.error else ""
                    )
                    shadow = self.snapshot.shadowed.get((record.module, (action, key)))
                    state = "shadowed" if shadow else record.state
                    who = replace(record.provenance, file=each.file, line=each.line)
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
        owners = _Owners(records)
        updates: list[Provider] = []
        for each in new:
            plugin = owners.of(each) or each.home
            record = records.get(plugin)
            if record is not None and record.state == "denied":
                _LOG.warning(
                    "%s:%s is not registered: %s is %s",
                    each.action,
                    each.key,
                    record.provenance,
                    record.reason,
                )
                continue
            provider = _provider(each, plugin, record)
            standing = self.find(each.action, each.key)
            if (
                standing is not None
                and not _same(standing, provider)
                and standing.declaration not in gone
            ):
                raise conflict(each.action, each.key, [standing, provider], keeps=standing)
            updates.append(provider)
        replaced = self._withdraw(gone)
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
        with self.lock:
            if self._withdraw(self.book.sweep()):
                self.changed()

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
        prefer: Mapping[str, str],
    ) -> Resolution:
        """Work out what registering the loaded plugins would lead to; change nothing.

        Args:
            records: The accounts of all plugins of this call, in order.
            loaded: Those whose modules are imported and sound.
            prefer: `"action:key"` or `"key"` to distribution or module.

        Returns:
            The accounts with their keys and errors, and the snapshot to publish.
        """
        self.book.sweep()
        standing = self.snapshot
        mine = _by_module(loaded)
        loaded_before = {r.module for r in standing.records.values() if r.state == "loaded"}
        denied = {record.module for record in records if record.state == "denied"}
        denied -= loaded_before | set(mine)
        owners = _Owners([*loaded_before, *(record.module for record in records)])
        declarations = self.book.declarations()
        contenders, contradictions = self._contenders(declarations, owners, mine, denied)
        errors: dict[str, list[Exception]] = {}
        for plugin, error in contradictions:
            errors.setdefault(plugin, []).append(error)
        faulty = frozenset(errors)

        # What stood before stays, but for what the book forgot and what is denied now.
        in_book = set(declarations)
        providers: dict[Action, dict[str, Provider]] = {
            action: {
                key: provider
                for key, provider in keys.items()
                if provider.declaration in in_book
                and provider.plugin not in denied
                and owners.of(provider.declaration) not in denied
            }
            for action, keys in standing.providers.items()
        }
        shadowed = {
            lost: reason for lost, reason in standing.shadowed.items() if lost[0] not in mine
        }
        for (action, key), rivals in contenders.items():
            keys = providers[action]
            present = keys.get(key)
            rivals = [each for each in rivals if each.plugin not in faulty]
            if not rivals:
                continue
            incumbent: Provider | None = None
            if present is not None:
                incumbent = next((each for each in rivals if _same(each, present)), None)
                if incumbent is None:
                    incumbent = present
                    rivals = [present, *rivals]
            winner, rule = _choose(rivals, (action, key), prefer)
            others = [each for each in rivals if each is not (winner or incumbent)]
            if winner is None and incumbent is not None:
                keys[key] = incumbent
                # Lost by the rule of an earlier call: that still holds while the winner stands.
                for each in others[:]:
                    before = standing.shadowed.get((each.plugin, (action, key)))
                    if before is not None:
                        shadowed[each.plugin, (action, key)] = before
                        others.remove(each)
            elif winner is not None:
                keys[key] = winner
                for each in others:
                    shadowed[each.plugin, (action, key)] = (
                        f"{rule} gives {action}:{key} to {winner.provenance.owner}"
                    )
                continue
            for each in others:
                error = conflict(action, key, rivals, keeps=incumbent)
                errors.setdefault(each.plugin, []).append(error)

        provided: dict[str, list[Provider]] = {}
        for keys in providers.values():
            for provider in keys.values():
                provided.setdefault(provider.plugin, []).append(provider)
        lost: dict[str, list[str]] = {}
        for (plugin, _), reason in shadowed.items():
            lost.setdefault(plugin, []).append(reason)
        done = [
            _account(
                record,
                standing.records.get(record.identity),
                [entry for entry in mine.get(record.module, ()) if entry.record is record],
                provided.get(record.module, ()),
                lost.get(record.module, ()),
                errors.get(record.module, ()),
            )
            for record in records
        ]
        snapshot = Snapshot(
            providers=providers,
            records={**standing.records, **{record.identity: record for record in done}},
            findings=dict(standing.findings),
            shadowed=shadowed,
        )
        modules = [record.module for record in done if record.state == "loaded"]
        return Resolution(done, snapshot, list(dict.fromkeys(modules)))

    def _contenders(
        self,
        declarations: Iterable[Declaration],
        owners: _Owners,
        mine: Mapping[str, Sequence[Loaded]],
        denied: Set[str],
    ) -> tuple[dict[Slot, list[Provider]], list[tuple[str, Exception]]]:
        """All that plugins of this call declare, by slot; and what contradicts itself."""
        known = {record.module: record for record in self.snapshot.records.values()}
        contenders: dict[Slot, list[Provider]] = {}
        contradictions: list[tuple[str, Exception]] = []
        for each in declarations:
            plugin = owners.of(each)
            if plugin is None or plugin in denied:
                continue
            if plugin in mine:
                record = _record_for(each, mine[plugin])
            elif each.importer in mine:
                # A plugin of an earlier call, made to declare more by one that is loaded now.
                record = known.get(plugin)
            else:
                record = None
            if record is None:
                continue
            rivals = contenders.setdefault((each.action, each.key), [])
            twin = next((rival for rival in rivals if rival.plugin == plugin), None)
            if twin is None:
                rivals.append(_provider(each, plugin, record))
            elif twin.declaration.target is not each.target:
                contradictions.append((plugin, _declared_twice(plugin, twin.declaration, each)))
        return contenders, contradictions

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
                    action: {k: p for k, p in keys.items() if p.plugin != plugin}
                    for action, keys in old.providers.items()
                },
                records={i: r for i, r in old.records.items() if r.module != plugin},
                findings=old.findings,
                shadowed={s: r for s, r in old.shadowed.items() if s[0] != plugin},
            )
            self.changed()

    def clear(self) -> None:
        """Forget all that is registered; the book keeps what modules declared."""
        with self.lock:
            self.snapshot = Snapshot()
            self.changed()


class _Owners:
    """Finds the plugin that a declaration belongs to."""

    def __init__(self, modules: Iterable[str]) -> None:
        self._modules = frozenset(modules)
        self._known: dict[str, str | None] = {}

    def of(self, declaration: Declaration) -> str | None:
        """The plugin's module.

        The plugin whose module, or a submodule of it, made the declaration; else the one whose
        loading first ran it; else the one during whose import by hand it ran.
        """
        made = self._of_module(declaration.module)
        if made is not None:
            return made
        if declaration.importer is not None:
            importer = self._of_module(declaration.importer)
            if importer is not None:
                return importer
        return self._of_module(declaration.body) if declaration.body is not None else None

    def _of_module(self, module: str) -> str | None:
        if module not in self._known:
            name = module
            while name not in self._modules and name:
                name = name.rpartition(".")[0]
            self._known[module] = name or None
        return self._known[module]


def _by_module(loaded: Iterable[Loaded]) -> dict[str, list[Loaded]]:
    found: dict[str, list[Loaded]] = {}
    for each in loaded:
        found.setdefault(each.record.module, []).append(each)
    return found


def _record_for(declaration: Declaration, entries: Iterable[Loaded]) -> PluginRecord | None:
    for entry in entries:
        if entry.target is None or entry.target is declaration.target:
            return entry.record
    return None


def _provider(declaration: Declaration, plugin: str, record: PluginRecord | None) -> Provider:
    who = Provenance(module=plugin) if record is None else record.provenance
    return Provider(
        action=declaration.action,
        key=declaration.key,
        plugin=plugin,
        provenance=replace(
            who,
            file=declaration.file,
            line=declaration.line,
            file_module=declaration.module,
        ),
        declaration=declaration,
    )


def _same(one: Provider, other: Provider) -> bool:
    """Whether both are the same plugin's, or one function that was reached in two ways."""
    return one.plugin == other.plugin or one.declaration.target is other.declaration.target


def _account(
    record: PluginRecord,
    before: PluginRecord | None,
    entries: Sequence[Loaded],
    provided: Sequence[Provider],
    lost: Sequence[str],
    errors: Sequence[Exception],
) -> PluginRecord:
    """What became of one plugin, given all that its module provides, lost and broke."""
    if record.state == "denied" and before is not None and before.state == "loaded":
        return replace(
            before,
            reason=f"loaded by an earlier initialize, and now {record.reason}; to be rid of it, "
            "unload_all() and initialize again",
        )
    if record.state != "planned":
        return record
    target = entries[0].target if entries else None
    provides = tuple(
        sorted(
            (each.action, each.key)
            for each in provided
            if target is None or each.declaration.target is target
        )
    )
    error = _joined(errors)
    if record.import_seconds is None and before is not None:
        record = replace(record, import_seconds=before.import_seconds)
    if error is not None and not provides:
        return replace(record, state="failed", error=error)
    state: State = "shadowed" if lost and not provides else "loaded"
    return replace(
        record, state=state, provides=provides, error=error, reason="; ".join(lost) or None
    )


def _choose(
    rivals: Sequence[Provider], slot: Slot, prefer: Mapping[str, str]
) -> tuple[Provider | None, str]:
    """The one that answers, and the rule that says so; `None` for a conflict."""
    if len(rivals) == 1:
        return rivals[0], ""
    action, key = slot
    for rule in (f"{action}:{key}", key):
        wanted = prefer.get(rule)
        if wanted is None:
            continue
        matching = [each for each in rivals if named(each, wanted)]
        if len(matching) == 1:
            return matching[0], f'prefer {{"{rule}": {wanted}}}'
    return None, ""


def named(provider: Provider, wanted: str) -> bool:
    """Whether a `prefer` rule's distribution or module is this provider's."""
    distribution = provider.provenance.distribution
    if wanted in (provider.plugin, provider.module):
        return True
    return distribution is not None and _plain(distribution) == _plain(wanted)


def _plain(name: str) -> str:
    # As PEP 503; discovery's own function lies in a stage that the registry does not know.
    return "-".join(
        part for part in name.lower().replace("_", "-").replace(".", "-").split("-") if part
    )


def conflict(
    action: Action, key: str, rivals: Sequence[Provider], keeps: Provider | None = None
) -> PluginConflictError:
    """The error for a slot that several plugins provide, with the line that would settle it.

    Args:
        action: The action.
        key: The key.
        rivals: All that provide it.
        keeps: The one that had the key already, and keeps it.
    """
    rows = [each.provenance.columns() for each in rivals]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    table = "\n".join(
        "  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True) if w).rstrip()
        for row in rows
    )
    outcome = (
        "None of them is given the key."
        if keeps is None
        else f"{keeps.provenance.owner} had the key before and keeps it."
    )
    choice = rivals[-1].provenance.owner
    if sum(each.provenance.owner == choice for each in rivals) > 1:
        choice = rivals[-1].plugin
    return PluginConflictError(
        f"{_number(len(rivals))} plugins provide {action}:{key}\n{table}\n"
        f"{outcome} To choose one, add to the conf:\n"
        f'  prefer: {{"{action}:{key}": {choice}}}',
        action=action,
        key=key,
        providers=[each.provenance for each in rivals],
    )


def _number(count: int) -> str:
    return {2: "two", 3: "three"}.get(count, str(count))


def _declared_twice(plugin: str, first: Declaration, second: Declaration) -> DeclarationError:
    return DeclarationError(
        f"{plugin} declares {second.action}:{second.key} a second time; the first is at "
        f"{first.file}:{first.line}. Remove one, or give it another key.",
        file=second.file,
        line=second.line,
    )


def _joined(errors: Sequence[Exception]) -> Exception | None:
    if not errors:
        return None
    first = errors[0]
    if all(isinstance(each, PluginConflictError) for each in errors):
        return PluginConflictError(
            "\n".join(str(each) for each in errors),
            action=getattr(first, "action", None),
            key=getattr(first, "key", None),
            providers=getattr(first, "providers", ()),
        )
    return first
