"""What registering the plugins of a call would lead to, worked out before anything changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import chain
from typing import TypeVar

from aimm_plugins._declarations.declaration import Declaration
from aimm_plugins._declarations.ledger import DeclarationLedger
from aimm_plugins._registry.accounts import Provided, account, without_lost_keys
from aimm_plugins._registry.conflicts import conflict, declared_twice, without_duplicates
from aimm_plugins._registry.findings import check_published_keys, empty_plugins
from aimm_plugins._registry.outcome import Change, Loaded, Resolution
from aimm_plugins._registry.providers import (
    Deferred,
    Offer,
    PluginOwners,
    Slot,
    choose,
    is_same,
)
from aimm_plugins._registry.snapshot import Snapshot
from aimm_plugins._values.actions import Action
from aimm_plugins._values.report import PluginRecord
from aimm_plugins.errors import PluginConflictError


def resolve(current: Snapshot, ledger: DeclarationLedger, change: Change) -> Resolution:
    """Work out who provides what after a call; the snapshot in it is to be published.

    The cost is that of what the call changes, not of what is registered: one plugin that is loaded
    by its first call must not go through the keys of two thousand others.
    """
    return _Resolver(current, ledger, change).resolve()


class _Resolver:
    """The steps of `resolve`, and what they work on."""

    def __init__(self, current: Snapshot, ledger: DeclarationLedger, change: Change) -> None:
        self.current = current
        self.ledger = ledger
        self.change = change
        self.records = change.records
        self.prefer = change.prefer
        self.loaded_by_module = _by_module(change.loaded)
        self.deferred_by_module = _by_module(change.deferred)
        self.kept = {i: r for i, r in current.records.items() if i not in change.removed}
        self.denied = {record.plugin for record in self.records if record.state == "denied"}
        self.denied -= self.loaded_by_module.keys()
        self.denied -= {
            r.plugin for i, r in self.kept.items() if r.is_loaded and i not in change.revoked
        }
        modules = {r.plugin for r in self.kept.values()} | {r.plugin for r in self.records}
        removed = {r.plugin for i, r in current.records.items() if i in change.removed}
        self.removed = removed - modules
        # Deferred and denied plugins own what their modules declare as much as loaded ones.
        self.owners = PluginOwners(modules)
        self.displaced: set[str] = set()  # modules of plugins that lose keys by this call
        self.contenders: dict[Slot, dict[str, Offer]] = {}  # by plugin
        self.errors: dict[str, list[Exception]] = {}
        self.provided: dict[str, Provided] = {}
        self.lost: dict[str, list[str]] = {}
        self.decided_now = (
            self.loaded_by_module.keys() | self.deferred_by_module.keys() | self.removed
        )
        self.next = current.copy()
        self.offers = self.next.offers
        self.shadowed = {
            lost: reason
            for lost, reason in current.shadowed.items()
            if lost[0] not in self.decided_now
        }
        self.contested = {
            lost: error
            for lost, error in current.contested.items()
            if lost[0] not in self.removed and (change.demanded or lost[0] not in self.decided_now)
        }

    def resolve(self) -> Resolution:
        """Take the steps."""
        self.collect_declared()
        findings = check_published_keys(self.loaded_by_module, self.contenders, self.errors)
        self.plugins_with_errors = frozenset(self.errors)
        self.collect_published()
        self.keep_current()
        self.drop_lost_while_deferred()
        for slot, contenders in self.contenders.items():
            sound = [c for c in contenders.values() if c.plugin not in self.plugins_with_errors]
            self.assign(slot, sound)
        self.drop_published_but_not_declared()
        records = self.accounts()
        accounted = self.provided.keys() | self.lost.keys() | self.errors.keys()
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
        """The plugins of earlier calls."""
        return {record.plugin: record for record in self.current.records.values()}

    def _offer(self, declaration: Declaration) -> Offer | None:
        """What a declaration makes a plugin of this call offer; `None` if it is another's."""
        plugin = self.owners.of(declaration)
        if plugin is None or plugin in self.denied:
            return None
        record = None
        if plugin in self.loaded_by_module:
            record = _record_for(declaration, self.loaded_by_module[plugin])
        elif declaration.importer in self.loaded_by_module:
            # A plugin of an earlier call, made to declare more by one that is loaded now.
            record = self._known.get(plugin)
            if record is not None and record.state == "denied":
                return None
        return None if record is None else Offer(plugin, record.provenance, declaration)

    def _settle_duplicate(
        self, slot: Slot, contenders: dict[str, Offer], first: Offer, second: Offer
    ) -> None:
        """Choose between two declarations of one plugin for one slot."""
        one, other = first.declaration, second.declaration
        assert one is not None and other is not None
        if one.target is other.target:
            return
        foreign = [d for d in (one, other) if not self.owners.ran(first.plugin, d)]
        if len(foreign) != 1:
            self.errors.setdefault(first.plugin, []).append(
                declared_twice(first.plugin, slot, one, other)
            )
        elif foreign[0] is one:
            # Another plugin's import ran this one's code once more: that changes nothing.
            contenders[first.plugin] = second

    def collect_published(self) -> None:
        """Let what deferred plugins publish compete as if it were declared."""
        for entry in self.change.deferred:
            for published in entry.published:
                contenders = self.contenders.setdefault((published.action, published.key), {})
                if entry.record.plugin not in contenders:
                    contenders[entry.record.plugin] = Offer(
                        plugin=entry.record.plugin,
                        who=entry.record.provenance,
                        published=published,
                        load=entry.load,
                    )

    def keep_current(self) -> None:
        """Keep what is registered now.

        But for what modules have replaced or the call takes away: what is denied or removed now,
        and what deferred plugins published that have failed since.
        """
        for declared in self.ledger.superseded:
            if self.current.reaches(declared):
                self._withdraw(declared.action, declared.key)
        failing = self.plugins_with_errors | {r.plugin for r in self.records if r.state == "failed"}
        out = self.denied | self.removed
        if not failing and not out:
            return
        for action, keys in self.current.offers.items():
            for key, offer in keys.items():
                is_out = offer.plugin in out
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
        for (plugin, slot), error in self.contested.items():
            if slot in self.contenders and plugin in self.loaded_by_module:
                self.contenders[slot].pop(plugin, None)
                self.errors.setdefault(plugin, []).append(error)

    def assign(self, slot: Slot, contenders: list[Offer]) -> None:
        """Give a slot to one of its contenders, or to none."""
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
            if present is not None:
                self.displaced.add(present.plugin)
            self.offers[action][key] = winner
            for loser in losers:
                self.shadowed[loser.plugin, slot] = why
            return
        if incumbent is not None:
            self.offers[action][key] = incumbent
        error = None
        for loser in losers:
            # Lost by the rule of an earlier call: that still holds while the winner is registered.
            before = self.current.shadowed.get((loser.plugin, slot))
            if incumbent is not None and before is not None:
                self.shadowed[loser.plugin, slot] = before
                continue
            if error is None:
                error = self.conflict(slot, contenders, incumbent)
            self.contested[loser.plugin, slot] = error
            self.errors.setdefault(loser.plugin, []).append(error)

    def conflict(
        self, slot: Slot, contenders: Sequence[Offer], incumbent: Offer | None
    ) -> PluginConflictError:
        """The error of a conflict: what has come first by this call has nothing after a restart."""
        if incumbent is not None and any(r.plugin == incumbent.plugin for r in self.records):
            lost = "after a restart none of them is given it"
            return conflict(*slot, contenders, incumbent, lost)
        return conflict(*slot, contenders, incumbent)

    def drop_published_but_not_declared(self) -> None:
        """Take away keys that plugins published and, now that they are loaded, do not declare."""
        for published in (key for entry in self.change.loaded for key in entry.published):
            offer = self.offers[published.action].get(published.key)
            if offer is None or offer.declaration is not None:
                continue
            if offer.plugin in self.loaded_by_module:
                self._withdraw(published.action, published.key)

    def accounts(self) -> list[PluginRecord]:
        """What became of each plugin of this call."""
        for action, key in self.contenders:
            offer = self.offers[action].get(key)
            if offer is not None:
                self.provided.setdefault(offer.plugin, Provided()).add((action, key), offer)
        for (plugin, _), reason in self.shadowed.items():
            self.lost.setdefault(plugin, []).append(reason)
        # By the object of their record: hundreds may name one module.
        loaded = {id(entry.record): entry for entry in self.change.loaded}
        deferred = {id(entry.record): entry for entry in self.change.deferred}
        return [
            account(
                record,
                self.kept.get(record.identity),
                record.identity in self.change.revoked,
                loaded.get(id(record)),
                deferred.get(id(record)),
                self.provided.get(record.plugin) or Provided(),
                self.lost.get(record.plugin, ()),
                self.errors.get(record.plugin, ()),
            )
            for record in self.records
        ]

    def snapshot(self, records: Sequence[PluginRecord]) -> Snapshot:
        """What would be registered then."""
        there = {r.distribution for r in records if r.is_loaded or r.state == "deferred"}
        environments = {r.environment for r in records}
        accounts = {
            identity: without_lost_keys(record, self.offers, self.shadowed)
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
        deferred = self.current.deferred | {e.record.identity: e for e in self.change.deferred}
        found = self.next
        found.records = accounts
        found.findings = dict(self.current.findings)
        found.shadowed = self.shadowed
        found.losers = {}
        found.contested = self.contested
        found.deferred = {
            identity: entry
            for identity, entry in deferred.items()
            if identity in accounts and accounts[identity].state == "deferred"
        }
        found.broken = self.broken(records)
        found.by_hand = self.current.by_hand - {record.plugin for record in records}
        found.prefer = [*self.prefer, *(x for x in self.current.prefer if x not in self.prefer)]
        return found

    def broken(self, records: Sequence[PluginRecord]) -> dict[Slot, PluginRecord]:
        """Keys that deferred plugins published and failed to bring, with the failure."""
        failed = {record.plugin: record for record in records if record.state == "failed"}
        broken = {
            slot: failed.get(record.plugin, record)
            for slot, record in self.current.broken.items()
            if record.plugin in failed or record.plugin not in self.decided_now | self.denied
        }
        if failed:
            for action, keys in self.current.offers.items():
                for key, offer in keys.items():
                    if offer.declaration is None and offer.plugin in failed:
                        broken[action, key] = failed[offer.plugin]
        return {
            (action, key): record
            for (action, key), record in broken.items()
            if key not in self.offers[action]
        }


E = TypeVar("E", Loaded, Deferred)


def _by_module(entries: Iterable[E]) -> dict[str, list[E]]:
    """The entries by what the registry calls their plugin."""
    found: dict[str, list[E]] = {}
    for entry in entries:
        found.setdefault(entry.record.plugin, []).append(entry)
    return found


def _record_for(declaration: Declaration, entries: Iterable[Loaded]) -> PluginRecord | None:
    for entry in entries:
        if entry.target is None or entry.target is declaration.target:
            return entry.record
    return None
