"""The current snapshot, and the two ways in which it changes: by hand, and by a commit."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence

from aimm_plugins._declarations.declaration import Declaration
from aimm_plugins._declarations.ledger import DeclarationLedger, DeclaredKey
from aimm_plugins._registry.loads import LoadUnderWay
from aimm_plugins._registry.providers import Provider, Slot, choose, is_same, provider_of
from aimm_plugins._registry.snapshot import Snapshot
from aimm_plugins._system.log import logger
from aimm_plugins._values.actions import ACTIONS, Action


class Registry:
    """Who provides what now.

    The ledger holds what was declared; the registry says whose it is, and which of it can be
    called. Whoever changes it holds the ledger's lock; looking up takes no lock.

    Args:
        ledger: Where decorators write.

    Attributes:
        snapshot: What is registered.
        ever_initialized: Whether a commit ever published a snapshot.
        loads: The loads that are under way now.
    """

    def __init__(self, ledger: DeclarationLedger) -> None:
        self.ledger = ledger
        self.snapshot = Snapshot()
        self.ever_initialized = False
        self.loads: list[LoadUnderWay] = []

    def find(self, action: Action, key: str) -> Provider | None:
        return self.snapshot.offers[action].get(key)

    def providers(self, action: Action | None = None) -> dict[Slot, Provider]:
        """All providers, or those of one action, by (action, key), sorted."""
        self.ledger.discard_failed_imports()
        offers = self.snapshot.offers
        chosen: Iterable[Action] = ACTIONS if action is None else (action,)
        return {
            (name, key): provider
            for name in chosen
            for key, provider in sorted(offers[name].copy().items())
        }

    def providers_of(self, key: str, action: Action | None = None) -> dict[Slot, Provider]:
        """The providers of one key, or that of one action, without going through all."""
        found: dict[Slot, Provider] = {}
        chosen: Iterable[Action] = ACTIONS if action is None else (action,)
        for name in chosen:
            provider = self.find(name, key)
            if provider is not None and self.is_unconfirmed(provider):
                self.ledger.discard_failed_imports()
                provider = self.find(name, key)
            if provider is not None:
                found[name, key] = provider
        return found

    def is_unconfirmed(self, provider: Provider) -> bool:
        """Whether it was declared in an import that is not known to have succeeded."""
        declaration = provider.declaration
        module = None if declaration is None else declaration.importing_module
        return module is not None and self.ledger.is_unconfirmed(module)

    # By hand

    def declare(self, new: Sequence[Declaration], gone: Sequence[DeclaredKey]) -> bool:
        """Register what was declared outside any loading, at once.

        Args:
            new: The declarations.
            gone: What they replace, or what a failed import had declared.

        Returns:
            Whether calls that were made before are out of date. A new key has no call yet.

        Raises:
            PluginConflictError: Another plugin provides one of the keys; nothing is registered.
        """
        replaced: set[Slot] = {
            (declared.action, declared.key) for declared in gone if self.snapshot.reaches(declared)
        }
        claims = []
        for declaration in new:
            claimed = self._claimed_by_hand(declaration)
            known = not self.snapshot.offers[declaration.action].keys().isdisjoint(claimed)
            lost = self._lost_by_hand(claimed, replaced) if known else {}
            claims.append((declaration.action, claimed, known, lost))
        changed = bool(replaced)
        for action, claimed, known, lost in claims:
            changed = changed or known
            keys = self.snapshot.offers[action]
            losers = {
                key: claimed[key] if name == claimed[key].plugin else keys[key]
                for name, key in lost
            }
            won = {k: claim for k, claim in claimed.items() if (claim.plugin, k) not in lost}
            keys.update(won)
            self.snapshot.by_hand.update({claim.plugin for claim in claimed.values()})
            # What was replaced is not taken away first: a call in between would find nobody.
            replaced.difference_update((action, key) for key in won)
            if lost:
                self.snapshot.shadowed |= {(p, (action, key)): w for (p, key), w in lost.items()}
                self._take_from(action, losers)
        for action, key in replaced:
            del self.snapshot.offers[action][key]
            if (action, key) in self.snapshot.losers:
                self._give_back((action, key))
        return changed

    def _take_from(self, action: Action, losers: Mapping[str, Provider]) -> None:
        """Account for who has just lost keys by a declaration by hand."""
        from aimm_plugins._registry.accounts import without_lost_keys

        snapshot, modules = self.snapshot, {loser.plugin for loser in losers.values()}
        had = [(i, record) for i, record in snapshot.records.items() if record.plugin in modules]
        for key, loser in losers.items():
            slot = (action, key)
            owners = [i for i, r in had if r.plugin == loser.plugin and slot in r.provides]
            snapshot.losers[slot] = (loser, owners)
        for identity, record in had:
            now = without_lost_keys(record, snapshot.offers, snapshot.shadowed)
            snapshot.records[identity] = now

    def _give_back(self, slot: Slot) -> None:
        """Give a key, which nobody answers any more, to who has lost it to the last one."""
        from aimm_plugins._registry.accounts import with_key_again

        snapshot = self.snapshot
        loser, owners = snapshot.losers.pop(slot)
        lost = (loser.plugin, slot)
        why = snapshot.shadowed.get(lost)
        declared = (None, *self.ledger.declarations_of(*slot))
        if why is None or loser.declaration not in declared:
            return
        snapshot.shadowed = {each: rule for each, rule in snapshot.shadowed.items() if each != lost}
        snapshot.offers[slot[0]][slot[1]] = loser
        for identity in owners:
            snapshot.records[identity] = with_key_again(snapshot.records[identity], slot, why)

    def _claimed_by_hand(self, declaration: Declaration) -> dict[str, Provider]:
        """What a declaration would provide, by key; nothing if its plugin may not."""
        snapshot, action = self.snapshot, declaration.action
        plugin = snapshot.owners.of(declaration)
        records = () if plugin is None else snapshot.records.values()
        record = next((record for record in records if record.plugin == plugin), None)
        # A failed plugin may have left a thread that goes on declaring.
        if record is not None and (
            record.state == "denied"
            or (record.state == "failed" and declaration.module not in sys.modules)
        ):
            logger().warning(
                "%s is not registered: %s is %s",
                ", ".join(f"{action}:{key}" for key in declaration.keys),
                record.provenance,
                record.reason,
            )
            return {}
        provider = provider_of(declaration, plugin or declaration.owner_module, record)
        return {key: provider.of(key) for key in declaration.keys}

    def _lost_by_hand(
        self, claimed: Mapping[str, Provider], replaced: set[Slot]
    ) -> dict[tuple[str, str], str]:
        """Who loses which keys of a declaration by which `prefer` rule: (plugin, key) to the rule.

        Raises:
            PluginConflictError: Another plugin provides one of the keys, and no rule chooses.
        """
        lost: dict[tuple[str, str], str] = {}
        for key, claim in claimed.items():
            present = self.find(claim.action, key)
            if present is None or is_same(present, claim) or claim.slot in replaced:
                continue
            winner, why = choose([present, claim], self.snapshot.prefer)
            if winner is None:
                from aimm_plugins._registry.conflicts import conflict

                raise conflict([present, claim], present)
            lost[(present if winner is claim else claim).plugin, key] = why
        return lost

    # Commits

    def publish(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.ever_initialized = True

    def drop(self, plugin: str) -> None:
        self.snapshot = self.snapshot.without(plugin)
