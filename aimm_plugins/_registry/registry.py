"""The current snapshot, and the two ways in which it changes: by hand, and by a commit."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from aimm_plugins._declarations.declaration import Declaration
from aimm_plugins._declarations.ledger import DeclarationLedger, DeclaredKey
from aimm_plugins._registry.providers import Offer, Provider, Slot, choose, is_same
from aimm_plugins._registry.snapshot import Snapshot
from aimm_plugins._system.log import logger
from aimm_plugins._values.actions import ACTIONS, Action

if TYPE_CHECKING:  # what watches imports takes as long to import as all that is here
    from aimm_plugins._registry.loads import ImportWatch


class Registry:
    """Who provides what now.

    The ledger holds what was declared; the registry says whose it is, and which of it can be
    called. Whoever changes it holds the ledger's lock; looking up takes no lock.
    """

    def __init__(self, ledger: DeclarationLedger) -> None:
        self.ledger = ledger
        self.snapshot = Snapshot()
        self.ever_initialized = False  # whether a commit ever published a snapshot
        self.loads: list[ImportWatch] = []  # those under way now

    def find(self, action: Action, key: str) -> Provider | None:
        offer = self.snapshot.offers[action].get(key)
        return None if offer is None else offer.provider(action, key)

    def providers(
        self, action: Action | None = None, key: str | None = None
    ) -> dict[Slot, Provider]:
        """All providers, or those of one action or key, by (action, key), sorted."""
        self.ledger.discard_failed_imports()
        found: dict[Slot, Provider] = {}
        chosen: Iterable[Action] = ACTIONS if action is None else (action,)
        for name in chosen:
            offers = self.snapshot.offers[name]
            for known in sorted(offers.copy()) if key is None else (key,):
                offer = offers.get(known)
                if offer is not None:
                    found[name, known] = offer.provider(name, known)
        return found

    def is_unconfirmed(self, offer: Offer) -> bool:
        """Whether it was declared in an import that is not known to have succeeded."""
        module = None if offer.declaration is None else offer.declaration.importing_module
        return module is not None and self.ledger.is_unconfirmed(module)

    # By hand

    def declare(self, new: Sequence[Declaration], gone: Sequence[DeclaredKey]) -> bool:
        """Register at once what was declared outside any loading, in place of what is gone.

        Returns:
            Whether calls that were made before are out of date. A new key has no call yet.

        Raises:
            PluginConflictError: Another plugin provides one of the keys; nothing is registered.
        """
        snapshot = self.snapshot
        replaced: set[Slot] = set()
        if gone:
            replaced = {(d.action, d.key) for d in gone if snapshot.reaches(d)}
        changed = bool(replaced)
        made = []
        for declaration in new:
            offer = self._offer_by_hand(declaration)
            if offer is not None:
                lost: dict[str, tuple[Offer, str]] = {}
                if not snapshot.offers[declaration.action].keys().isdisjoint(declaration.keys):
                    changed, lost = True, self._lost_by_hand(declaration, offer, replaced)
                made.append((declaration, offer, lost))
        for declaration, offer, lost in made:
            action, won = declaration.action, declaration.keys
            keys = snapshot.offers[action]
            if lost:
                won = tuple(key for key in won if key not in lost or lost[key][0] is not offer)
                for key, (loser, why) in lost.items():
                    snapshot.lost[loser.plugin, (action, key)] = why
                    snapshot.losers[action, key] = loser
            keys.update(dict.fromkeys(won, offer))
            snapshot.by_hand.add(offer.plugin)
            if replaced:
                # What was replaced is not taken away first: a call in between would find nobody.
                replaced.difference_update((action, key) for key in won)
        for slot in replaced:
            del snapshot.offers[slot[0]][slot[1]]
            self._give_back(slot)
        return changed

    def _give_back(self, slot: Slot) -> None:
        """Give a key, which nobody answers any more, to who has lost it to the last one."""
        offer = self.snapshot.losers.pop(slot, None)
        if offer is None or (offer.plugin, slot) not in self.snapshot.lost:
            return
        declared = self.ledger.declarations_of(*slot)
        if offer.declaration is None or offer.declaration in declared:
            loss = (offer.plugin, slot)
            self.snapshot.lost = {k: why for k, why in self.snapshot.lost.items() if k != loss}
            self.snapshot.offers[slot[0]][slot[1]] = offer

    def _offer_by_hand(self, declaration: Declaration) -> Offer | None:
        snapshot, action = self.snapshot, declaration.action
        # Most often nothing was initialized yet, and all is declared by hand.
        plugin = snapshot.owners.of(declaration) if snapshot.records else None
        if plugin is None:
            return Offer(declaration.owner_module, None, declaration)
        record = next((r for r in snapshot.records.values() if r.plugin == plugin), None)
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
            return None
        return Offer(plugin, None if record is None else record.provenance, declaration)

    def _lost_by_hand(
        self, declaration: Declaration, offer: Offer, replaced: set[Slot]
    ) -> dict[str, tuple[Offer, str]]:
        """Who loses which keys by which `prefer` rule, where others provide them too."""
        action = declaration.action
        lost: dict[str, tuple[Offer, str]] = {}
        keys = self.snapshot.offers[action]
        for key in declaration.keys:
            present = keys.get(key)
            if present is None or is_same(present, offer) or (action, key) in replaced:
                continue
            winner, why = choose([present, offer], (action, key), self.snapshot.prefer)
            if winner is None:
                from aimm_plugins._registry.conflicts import conflict

                raise conflict([action], key, [present, offer], present)
            lost[key] = (present if winner is offer else offer), why
        return lost

    # Commits

    def publish(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.ever_initialized = True
