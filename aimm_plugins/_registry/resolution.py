"""What registering the plugins of a call would lead to, worked out before anything changes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from itertools import chain

from aimm_plugins._declarations.declaration import Declaration
from aimm_plugins._declarations.ledger import DeclarationLedger, declared_twice
from aimm_plugins._registry.change import Change, Loaded, Resolution
from aimm_plugins._registry.conflicts import (
    conflict,
    joined,
    joined_reasons,
    without_duplicates,
    without_lost_keys,
)
from aimm_plugins._registry.findings import check_published_keys, empty_plugins
from aimm_plugins._registry.providers import Offer, PluginOwners, Slot, choose, is_same
from aimm_plugins._registry.snapshot import Snapshot
from aimm_plugins._values.actions import Action
from aimm_plugins._values.report import PluginRecord, State
from aimm_plugins.errors import PluginConflictError


def resolve(current: Snapshot, ledger: DeclarationLedger, change: Change) -> Resolution:
    """Work out who provides what after a call; the snapshot in it is to be published.

    The cost is that of what the call changes: one plugin that is loaded by its first call must not
    go through the keys of two thousand others.
    """
    return _Resolver(current, ledger, change).resolve()


_Conflict = tuple[list[Offer], Offer | None, list[tuple[str, Slot]]]


class _Resolver:
    """The steps of `resolve`, and what they work on."""

    def __init__(self, current: Snapshot, ledger: DeclarationLedger, change: Change) -> None:
        self.current = current
        self.ledger = ledger
        self.change = change
        self.records = change.records
        self.prefer = change.prefer
        self.loaded_by_module: dict[str, list[Loaded]] = {}
        for entry in change.loaded:
            self.loaded_by_module.setdefault(entry.record.plugin, []).append(entry)
        losers = {offer.plugin for offer in current.losers.values()}
        self.kept = {
            i: without_lost_keys(r, current.offers, current.lost) if r.plugin in losers else r
            for i, r in current.records.items()
            if i not in change.removed
        }
        kept = [r for i, r in self.kept.items() if r.is_loaded and i not in change.revoked]
        self.denied = {record.plugin for record in self.records if record.state == "denied"}
        self.denied -= self.loaded_by_module.keys() | {record.plugin for record in kept}
        modules = {r.plugin for r in self.kept.values()} | {r.plugin for r in self.records}
        removed = {r.plugin for i, r in current.records.items() if i in change.removed}
        self.removed = removed - modules
        # Deferred and denied plugins own what their modules declare as much as loaded ones.
        self.owners = PluginOwners(modules)
        self.displaced: set[str] = set()  # modules of plugins that lose keys by this call
        self.contenders: dict[Slot, dict[str, Offer]] = {}  # by plugin
        self.errors: dict[str, list[Exception]] = {}
        self.rules: dict[str, list[str]] = {}  # that have taken keys, by plugin
        # By key, plugins and the one of them that keeps the key: who loses which slots.
        self.conflicts: dict[tuple[str, frozenset[str], str | None], _Conflict] = {}
        deferred = {record.plugin for record in self.records if record.state == "deferred"}
        self.decided_now = self.loaded_by_module.keys() | deferred | self.removed
        # Some of whose entry points are gone: what the others do not bring goes with them.
        self.reduced = removed & modules & self.decided_now
        self.next = current.copy()
        self.offers = self.next.offers
        self.lost: dict[tuple[str, Slot], str | PluginConflictError] = {
            lost: why
            for lost, why in current.lost.items()
            if change.demanded or lost[0] not in self.decided_now
        }

    def resolve(self) -> Resolution:
        self.collect_declared()
        findings = check_published_keys(
            self.loaded_by_module, self.change.published, self.contenders, self.errors
        )
        self.plugins_with_errors = frozenset(self.errors)
        self.collect_published()
        self.keep_current()
        self.drop_published_before()
        self.drop_lost_while_deferred()
        for slot, contenders in self.contenders.items():
            sound = [c for c in contenders.values() if c.plugin not in self.plugins_with_errors]
            self.assign(slot, sound)
        self.tell_conflicts()
        records = self.accounts()
        providing = {plugin for plugin, _ in self.provided}
        accounted = providing | {plugin for plugin, _ in self.lost} | self.errors.keys()
        findings += empty_plugins(self.loaded_by_module, accounted, self.ledger)
        return Resolution(records=records, snapshot=self.snapshot(records), findings=findings)

    def collect_declared(self) -> None:
        """Collect all that plugins of this call declare, by slot; and what contradicts itself."""
        offers: dict[Declaration, Offer | None] = {}
        for module in self.ledger.modules():
            plugins = set(map(self.owners.of_module, chain.from_iterable(module.origins)))
            if plugins.isdisjoint(self.loaded_by_module):
                continue
            for action, key, declaration in module:
                if declaration not in offers:
                    offers[declaration] = self._offer(declaration)
                offer = offers[declaration]
                if offer is not None:
                    self._contend((action, key), offer)
        for plugin, entries in self.loaded_by_module.items():
            for entry in entries:
                for declaration in entry.elsewhere:
                    offer = Offer(plugin, entry.record.provenance, declaration)
                    for key in declaration.keys:
                        self._contend((declaration.action, key), offer)

    def _contend(self, slot: Slot, offer: Offer) -> None:
        contenders = self.contenders.setdefault(slot, {})
        duplicate = contenders.setdefault(offer.plugin, offer)
        if duplicate is not offer and duplicate.declaration is not None:
            self._settle_duplicate(slot, contenders, duplicate, offer)

    @cached_property
    def _known(self) -> dict[str, PluginRecord]:
        return {record.plugin: record for record in self.current.records.values()}

    def _offer(self, declaration: Declaration) -> Offer | None:
        """What a declaration makes a plugin of this call offer; `None` if it is another's."""
        plugin = self.owners.of(declaration)
        if plugin is None or plugin in self.denied:
            return None
        record = None
        if plugin in self.loaded_by_module:
            target, entries = declaration.target, self.loaded_by_module[plugin]
            records = (e.record for e in entries if e.target is None or e.target is target)
            record = next(records, None)
        elif declaration.importer in self.loaded_by_module:
            # A plugin of an earlier call, made to declare more by one that is loaded now.
            record = self._known.get(plugin)
            if record is not None and record.state == "denied":
                return None
        return None if record is None else Offer(plugin, record.provenance, declaration)

    def _settle_duplicate(
        self, slot: Slot, contenders: dict[str, Offer], first: Offer, second: Offer
    ) -> None:
        one, other = first.declaration, second.declaration
        assert one is not None and other is not None
        if one.target is other.target:
            return
        foreign = [d for d in (one, other) if not self.owners.ran(first.plugin, d)]
        if len(foreign) != 1:
            error = declared_twice(first.plugin, *slot, *((d.file, d.line) for d in (one, other)))
            self.errors.setdefault(first.plugin, []).append(error)
        elif foreign[0] is one:
            # Another plugin's import ran this one's code once more: that changes nothing.
            contenders[first.plugin] = second

    def collect_published(self) -> None:
        """Let what deferred plugins publish compete as if it were declared."""
        for record in self.records:
            if record.state == "deferred":
                load = partial(self.change.load, record.identity)
                for key in self.change.published.get(record.identity, ()):
                    offer = Offer(record.plugin, record.provenance, published=key, load=load)
                    contenders = self.contenders.setdefault((key.action, key.key), {})
                    contenders.setdefault(record.plugin, offer)

    def keep_current(self) -> None:
        """Keep what is registered now.

        But for what modules have replaced or the call takes away: what is denied or removed now,
        and what deferred plugins published that have failed since.
        """
        for declared in self.ledger.superseded:
            if self.current.reaches(declared):
                self._withdraw(declared.action, declared.key)
        failing = self.plugins_with_errors | {r.plugin for r in self.records if r.state == "failed"}
        # Another process has taken the place of one that had them.
        gone = {r.plugin for r in self.records if r.state == "failed" and r.environment is not None}
        out = self.denied | self.removed | gone
        if not failing and not out and not self.reduced:
            return
        for action, keys in self.current.offers.items():
            for key, offer in keys.items():
                contends = offer.plugin in self.contenders.get((action, key), ())
                is_out = offer.plugin in out or (offer.plugin in self.reduced and not contends)
                if offer.declaration is None:
                    is_out = is_out or offer.plugin in failing
                elif self.denied and offer.provenance.environment is None:
                    is_out = is_out or self.owners.of(offer.declaration) in self.denied
                if is_out and key in self.offers[action]:
                    self._withdraw(action, key)

    def _withdraw(self, action: Action, key: str) -> None:
        self.displaced.add(self.offers[action].pop(key).plugin)

    def drop_lost_while_deferred(self) -> None:
        """Keep a deferred plugin from winning, by being loaded, what it lost while it waited."""
        for (plugin, slot), why in self.lost.items():
            if slot in self.contenders and plugin in self.loaded_by_module:
                self.contenders[slot].pop(plugin, None)
                if not isinstance(why, str):
                    self.errors.setdefault(plugin, []).append(why)

    def assign(self, slot: Slot, contenders: list[Offer]) -> None:
        contenders = without_duplicates(contenders)
        if not contenders:
            return
        action, key = slot
        present = self.offers[action].get(key)
        incumbent: Offer | None = None
        if present is not None:
            incumbent = next((c for c in contenders if is_same(c, present)), None)
            if incumbent is None:
                incumbent = present
                contenders = [present, *contenders]
        winner, why = choose(contenders, slot, self.prefer)
        losers = [c for c in contenders if c is not (winner or incumbent)]
        if winner is not None:
            if present is not None and present.plugin != winner.plugin:
                self.displaced.add(present.plugin)
            self.offers[action][key] = winner
            for loser in losers:
                self.lost[loser.plugin, slot] = why
            return
        if incumbent is not None:
            self.offers[action][key] = incumbent
        for loser in losers:
            # Lost by the rule of an earlier call: that still holds while the winner is registered.
            before = self.current.lost.get((loser.plugin, slot))
            if incumbent is not None and isinstance(before, str):
                self.lost[loser.plugin, slot] = before
                continue
            among = (key, frozenset(c.plugin for c in contenders), incumbent and incumbent.plugin)
            lost = self.conflicts.setdefault(among, (contenders, incumbent, []))[2]
            lost.append((loser.plugin, slot))

    def tell_conflicts(self) -> None:
        """Make the errors: one of a key for all actions that the same plugins provide."""
        called = {record.plugin for record in self.records} if self.conflicts else ()
        for (key, *_), (contenders, incumbent, lost) in self.conflicts.items():
            actions: dict[Action, None] = dict.fromkeys(slot[0] for _, slot in lost)
            # What has come first by this call has nothing after a restart.
            is_of_call = incumbent is not None and incumbent.plugin in called
            error = conflict(list(actions), key, contenders, incumbent, is_lasting=not is_of_call)
            for plugin, slot in lost:
                self.lost[plugin, slot] = error
                self.errors.setdefault(plugin, []).append(error)

    def drop_published_before(self) -> None:
        """Take away keys that plugins have published, and do not declare or publish any more."""
        for record in self.records:
            keys = self.current.published.get(record.identity, ())
            for key in keys if record.plugin in self.decided_now else ():
                offer = self.offers[key.action].get(key.key)
                if offer is None or offer.plugin != record.plugin or offer.declaration is not None:
                    continue
                if record.plugin not in self.contenders.get((key.action, key.key), ()):
                    self._withdraw(key.action, key.key)

    @cached_property
    def provided(self) -> dict[tuple[str, int | None], list[Slot]]:
        """What plugins of this call answer, by plugin and the `id` of the declared object.

        Under `None` is all of the plugin. Thousands of plugins may be objects of one module.
        """
        found: dict[tuple[str, int | None], list[Slot]] = {}
        for action, key in self.contenders:
            offer = self.offers[action].get(key)
            if offer is not None:
                found.setdefault((offer.plugin, None), []).append((action, key))
                if offer.declaration is not None:
                    of_target = (offer.plugin, id(offer.declaration.target))
                    found.setdefault(of_target, []).append((action, key))
        return found

    def accounts(self) -> list[PluginRecord]:
        for (plugin, _), why in self.lost.items():
            if isinstance(why, str):
                self.rules.setdefault(plugin, []).append(why)
        loaded = {entry.record.identity: entry for entry in self.change.loaded}
        return [self._account(record, loaded.get(record.identity)) for record in self.records]

    def _account(self, record: PluginRecord, loaded: Loaded | None) -> PluginRecord:
        before, is_here = self.kept.get(record.identity), record.environment is None
        if record.state == "denied" and before is not None and before.is_loaded:
            if record.identity in self.change.revoked:
                return record
            return before._replace(
                reason=f"loaded by an earlier initialize, and now {record.reason}; to be rid of "
                "it, unload_all() and initialize again",
            )
        if record.state == "failed" and before is not None and before.is_loaded and is_here:
            # What an earlier call has registered stays, as far as it answers.
            now = without_lost_keys(before, self.offers, self.lost)
            if now.provides or not before.provides:
                return now._replace(error=record.error, remedy=record.remedy)
        if record.state not in ("planned", "deferred"):
            return record
        provides = self._provided_by(record, loaded)
        lost = self.rules.get(record.plugin, ())
        error = joined([*dict.fromkeys(self.errors.get(record.plugin, ()))])
        if record.import_seconds is None and before is not None:
            record = record._replace(import_seconds=before.import_seconds, imports=before.imports)
        if error is not None and not provides:
            return record.failed(error, record.remedy)
        state: State = "deferred" if record.state == "deferred" else "loaded"
        if loaded is not None and loaded.is_stale:
            state = "stale"
        if lost and not provides:
            state = "shadowed"
        reason = joined_reasons(record.reason if state != "shadowed" else None, lost)
        return record._replace(state=state, provides=provides, error=error, reason=reason)

    def _provided_by(self, record: PluginRecord, loaded: Loaded | None) -> tuple[Slot, ...]:
        target = None if loaded is None else loaded.target
        provided = self.provided.get((record.plugin, None if target is None else id(target)), ())
        keys = self.change.published.get(record.identity, ()) if record.state == "deferred" else ()
        published = {(key.action, key.key) for key in keys}
        return tuple(
            sorted(
                (action, key)
                for action, key in provided
                if (action, key) in published or self.offers[action][key].declaration is not None
            )
        )

    def snapshot(self, records: Sequence[PluginRecord]) -> Snapshot:
        there = {r.distribution for r in records if r.is_loaded or r.state == "deferred"}
        environments = {r.environment for r in records}
        accounts = {
            identity: without_lost_keys(record, self.offers, self.lost)
            if record.plugin in self.displaced
            else record
            for identity, record in self.kept.items()
            if record.state != "missing"
            or (
                record.environment not in environments
                if record.environment
                else record.distribution not in there
            )
        }
        accounts.update({record.identity: record for record in records})
        found = self.next
        found.records = accounts
        found.findings = dict(self.current.findings)
        found.lost = self.lost
        found.losers = {}
        told = {record.identity for record in records}
        before = {i: keys for i, keys in self.current.published.items() if i not in told}
        published = before | dict(self.change.published)
        found.published = {i: keys for i, keys in published.items() if i in accounts}
        found.broken = {
            identity
            for identity, record in accounts.items()
            if record.state == "failed"
            and not isinstance(record.error, PluginConflictError)
            and (identity in self.current.broken or self.current.deferred(identity))
        }
        found.by_hand = self.current.by_hand - {record.plugin for record in records}
        found.prefer = [*self.prefer, *(x for x in self.current.prefer if x not in self.prefer)]
        return found
