"""What is registered at one moment."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, NamedTuple

from aimm_plugins._declarations.ledger import DeclaredKey
from aimm_plugins._registry.providers import Offer, PluginOwners, Preferences, Provider, Slot
from aimm_plugins._values.actions import ACTIONS, Action
from aimm_plugins.errors import PluginConflictError

if TYPE_CHECKING:
    from aimm_plugins._config.values import Conf, Config
    from aimm_plugins._discovery.published import Published
    from aimm_plugins._discovery.scan import Scan
    from aimm_plugins._options.state import PluginOptions
    from aimm_plugins._policy.rules import Rule
    from aimm_plugins._values.report import Finding, Identity, PluginRecord, State


class Start(NamedTuple):
    """One `initialize` that holds."""

    config: Config
    given: Conf  # what that was read from; a path is absolute
    findings: tuple[Finding, ...] = ()  # besides plugins and broken installations
    required: tuple[Rule, ...] = ()  # by it and by the operator


class Snapshot:
    """What is registered.

    A commit replaces the snapshot as a whole. A declaration by hand adds to the inner mappings of
    `offers` in one atomic update, because copying them for each would cost O(N²) for N
    declarations.
    """

    def __init__(self) -> None:
        # What answers each key.
        self.offers: dict[Action, dict[str, Offer]] = {action: {} for action in ACTIONS}
        # The account of each plugin of the calls so far, and what it publishes.
        self.records: dict[Identity, PluginRecord] = {}
        self.published: Mapping[Identity, Sequence[Published]] = {}
        # What the last look at the installed distributions found, and loading deferred plugins; and
        # that look, as long as plugins wait: it takes as much memory as all plugins.
        self.installed_findings: tuple[Finding, ...] = ()
        self.installed: Scan | None = None
        self.findings: dict[tuple[str, str, str | None], Finding] = {}
        # Keys that plugins lost: to a `prefer` rule, which its text names, or to a conflict.
        self.lost: dict[tuple[str, Slot], str | PluginConflictError] = {}
        # Who has lost a key to a declaration by hand since the last commit.
        self.losers: dict[Slot, Offer] = {}
        self.broken: Set[Identity] = frozenset()  # that failed when a call was to load them
        self.by_hand: set[str] = set()  # modules that declare by hand, and of no plugin of a call
        # What was initialized and not unloaded; and its rules, for what is declared by hand later.
        self.starts: tuple[Start, ...] = ()
        self.prefer: Preferences = ()
        # What confs give to plugins, once one does or a plugin asks.
        self.options: PluginOptions | None = None
        self._owners: PluginOwners | None = None

    def copy(self) -> Snapshot:
        """The same, without the keys that will be declared by hand."""
        copied = Snapshot()
        vars(copied).update(vars(self))
        copied.offers = {action: dict(keys) for action, keys in self.offers.items()}
        copied.losers, copied.records = dict(self.losers), dict(self.records)
        copied.by_hand = set(self.by_hand)
        copied._owners = None  # who copies it may give it other records
        return copied

    @property
    def confs(self) -> list[Config]:
        return [start.config for start in self.starts]

    def deferred(self, identity: Identity) -> bool:
        record = self.records.get(identity)
        return record is not None and record.state == "deferred"

    @property
    def owners(self) -> PluginOwners:
        """Finds the plugin of a declaration among those that have an account here."""
        if self._owners is None:
            self._owners = PluginOwners(record.plugin for record in self.records.values())
        return self._owners

    def providers(self) -> Iterator[Provider]:
        for action, keys in self.offers.items():
            for key, offer in keys.items():
                yield offer.provider(action, key)

    def publishers(self, slots: Collection[Slot]) -> Iterator[PluginRecord]:
        """The plugins whose metadata has one of some keys."""
        for identity, keys in self.published.items():
            record = self.records.get(identity)
            if record is not None and any((k.action, k.key) in slots for k in keys):
                yield record

    def broken_publisher(self, slots: Collection[Slot]) -> PluginRecord | None:
        """A plugin that published one of some keys while it was deferred, and has failed since."""
        return next((r for r in self.publishers(slots) if r.identity in self.broken), None)

    def conflicts(self, slots: Collection[Slot]) -> Iterator[PluginConflictError]:
        """The conflicts by which plugins have lost one of some keys."""
        for (_, slot), why in self.lost.items():
            if slot in slots and isinstance(why, PluginConflictError):
                yield why

    def of_unknown_keys(self, state: State) -> Iterator[PluginRecord]:
        """The plugins in a state whose keys nobody knows."""
        for identity, record in self.records.items():
            is_known = isinstance(record.error, PluginConflictError)
            if record.state == state and not is_known and not self.published.get(identity):
                yield record

    def reaches(self, declared: DeclaredKey) -> bool:
        offer = self.offers[declared.action].get(declared.key)
        return offer is not None and offer.declaration is declared.declaration

    def loaded_modules(self) -> dict[str, None]:
        """The modules of plugins that are loaded, in the order of their calls."""
        return {
            r.module: None for r in self.records.values() if r.is_loaded and r.environment is None
        }

    def without(self, plugin: str) -> Snapshot:
        """A snapshot without a plugin, whichever plugin's load ran its module."""
        found = self.copy()
        found.offers = {
            action: {key: offer for key, offer in keys.items() if not _is_of(offer, plugin)}
            for action, keys in self.offers.items()
        }
        found.records = {i: record for i, record in self.records.items() if record.plugin != plugin}
        found.lost = {lost: why for lost, why in self.lost.items() if lost[0] != plugin}
        found.by_hand = self.by_hand - {plugin}
        found.losers = {}
        return found


def _is_of(offer: Offer, plugin: str) -> bool:
    """Whether it is a plugin's, or was declared by a run of its module."""
    if offer.plugin == plugin:
        return True
    if offer.declaration is None or offer.provenance.environment is not None:
        return False
    return offer.declaration.owner_module == plugin
