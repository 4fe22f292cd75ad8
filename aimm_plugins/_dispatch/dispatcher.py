"""From key to provider to call.

A call is made for each action and key on first use, and kept until anything changes that could
change the outcome. Where nothing wraps or monitors the action, it calls the declared function
itself; elsewhere it goes through pluggy's loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

from aimm_plugins._dispatch.direct_call import DirectCall, call_of
from aimm_plugins._dispatch.hook_call import AnyCall, HookCall, declared_function
from aimm_plugins._dispatch.hookspecs import Chain, is_wrapper
from aimm_plugins._dispatch.manager import PluginManager
from aimm_plugins._registry.providers import Offer
from aimm_plugins._registry.registry import Registry
from aimm_plugins._registry.snapshot import Snapshot
from aimm_plugins._values.actions import ACTIONS, Action, ActionSpec

if TYPE_CHECKING:
    from concurrent.futures import Future


class ActionCalls(dict[str, AnyCall]):
    """Key to call, for one action at one moment; the call of a missing key is made now.

    A change of the registry or the hookimpls leaves this as it is and puts another in its place. So
    whoever took this one goes on with what was registered then.
    """

    __slots__ = ("_chain", "_dispatcher", "_spec", "snapshot")

    def __init__(
        self, dispatcher: Dispatcher, spec: ActionSpec, snapshot: Snapshot, chain: Chain
    ) -> None:
        self._dispatcher = dispatcher
        self._spec = spec
        self.snapshot = snapshot
        self._chain = chain

    def __missing__(self, key: str) -> AnyCall:
        registry, chain, action = self._dispatcher.registry, self._chain, self._spec.name
        if not isinstance(key, str):
            raise self._error(key)
        offer = self._offer(key)
        load = None if offer is None else offer.load
        if load is not None and not chain.has_executor:
            # Before any hook is called, since the plugin may bring wrappers of its own.
            load()
            return self._later()[key]
        call: AnyCall | None
        call = direct = None if offer is None or load else call_of(offer.provider(action, key))
        if not chain.is_empty:
            call = HookCall(
                self._spec,
                key,
                chain,
                direct,
                lambda: self._load(key, chain.implementations),
                load and (lambda: self._dispatcher.load_in_thread(load)),
            )
        if call is None:
            raise self._error(key)
        # Not kept: a key that an executor alone may know, of which there could be any number; and
        # what was declared in an import that may still fail.
        if offer is not None and not registry.is_unconfirmed(offer):
            self[key] = call
        return call

    async def make_async(self, key: str) -> AnyCall:
        """The call of a key; a deferred plugin is imported in a thread."""
        offer = self._offer(key)
        if offer is not None and offer.load is not None and not self._chain.has_executor:
            await self._dispatcher.load_in_thread(offer.load)
        return self[key]

    async def call_async(self, key: str, *given: Any) -> Any:
        call = self.get(key) or await self.make_async(key)
        return await call.call_async(*given)

    def _offer(self, key: str) -> Offer | None:
        """What answers a key now, after failed imports by hand were discarded."""
        offer = self.snapshot.offers[self._spec.name].get(key)
        registry = self._dispatcher.registry
        if offer is not None and registry.is_unconfirmed(offer):
            registry.ledger.discard_failed_imports()
            offer = self.snapshot.offers[self._spec.name].get(key)
        return offer

    def declared_function(self, key: Any, chain: Sequence[pluggy.HookImpl]) -> pluggy.HookImpl:
        """The declared function of a key, for a call of the hook that passes through a chain."""
        offer = self._offer(key)
        if offer is not None and offer.load is None:
            call = self[key]
            direct = call if isinstance(call, DirectCall) else call.direct
            assert direct is not None
            return declared_function(self._spec, direct.call)
        return declared_function(self._spec, lambda *given: self._load(key, chain).call(*given))

    def _load(self, key: str, chain: Sequence[pluggy.HookImpl]) -> AnyCall:
        """Import a deferred plugin within a hook call that no executor has answered.

        Returns its call, within the wrappers that it has brought beyond those of `chain`, which the
        hook call has entered.
        """
        action = self._spec.name
        offer = self._offer(key)
        if offer is None or offer.load is None:
            raise self._error(key)
        offer.load()
        later = self._later()
        offer = later._offer(key)
        if offer is None or offer.load is not None:
            raise self._error(key)
        direct = call_of(offer.provider(action, key))
        entered = set(map(id, chain))
        brought = [
            impl
            for impl in later._chain.implementations
            if is_wrapper(impl) and id(impl) not in entered
        ]
        if not brought:
            return direct
        return HookCall(self._spec, key, self._chain.within(brought), direct, lambda: direct, None)

    def _error(self, key: object) -> Exception:
        from aimm_plugins._registry.key_errors import call_error

        return call_error(self._dispatcher.registry, self._spec.name, key)

    def _later(self) -> ActionCalls:
        """The table that a change has put in the place of this one."""
        with self._dispatcher.registry.ledger.lock:  # another thread may be about to put it there
            later = self._dispatcher.of(self._spec.name)
        if later is self:  # asking again would go on for ever
            raise RuntimeError(f"loading a plugin for {self._spec.name} has registered nothing")
        return later


class Dispatcher:
    """The calls made since the last change: an attribute an action, replaced by each change."""

    __slots__ = (*ACTIONS, "_loading", "_manager", "registry")

    data_access: ActionCalls
    instantiate: ActionCalls
    fit: ActionCalls
    predict: ActionCalls
    serialize: ActionCalls
    deserialize: ActionCalls

    def __init__(self, registry: Registry, manager: PluginManager) -> None:
        self.registry = registry
        self._manager = manager
        self._loading: dict[Callable[[], None], Future[None]] = {}
        self.renew()

    def of(self, action: Action) -> ActionCalls:
        calls: ActionCalls = getattr(self, action)
        return calls

    def renew(self) -> None:
        """Put new tables in the place of all calls. To be called after a change, under the lock."""
        snapshot = self.registry.snapshot
        for action, spec in ACTIONS.items():
            setattr(self, action, ActionCalls(self, spec, snapshot, self._manager.chain(action)))

    async def load_in_thread(self, load: Callable[[], None]) -> None:
        """Import a deferred plugin in a thread, for all tasks that wait for it.

        The thread is none of asyncio's pool: that has few, and an import may take minutes.
        """
        from aimm_plugins._dispatch.awaiting import in_own_thread

        await in_own_thread(load, self._loading)

    def after_fork(self) -> None:
        """Forget the threads that do not exist in a forked child.

        Without the GIL a dict that threads write to at the fork may stay locked in the child.
        """
        self._loading = {}
        self.renew()
