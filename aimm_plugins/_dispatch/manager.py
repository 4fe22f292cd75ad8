"""The plugin manager behind every call.

Declared functions are no hookimpls: pluggy asks one implementation after the other, which costs
O(plugins) a call and takes a legal `None` for "not me". Hookimpls are wrappers and executors. A
call takes the hookimpls of its action as a chain that does not change any more.
"""

from __future__ import annotations

import sys
from _thread import RLock  # without threading, which takes a millisecond to import
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

from aimm_plugins._declarations.declaration import call_site
from aimm_plugins._declarations.ledger import DeclarationLedger
from aimm_plugins._dispatch.hookspecs import (
    PROJECT,
    Chain,
    Execute,
    HookSpecs,
    Monitor,
    answering,
    place_of,
    refusal,
)
from aimm_plugins._system.modules import contents, is_initializing
from aimm_plugins._values.actions import ACTIONS, Action, ActionSpec

_MARK = f"{PROJECT}_impl"
"""Where `hookimpl` leaves its options, on the function itself."""

if TYPE_CHECKING:  # making a Protocol takes as long as importing a module

    class Owner(Protocol):
        """What a plugin manager belongs to; the lock is held during every change."""

        lock: RLock
        ledger: DeclarationLedger

        def hooks_changed(self) -> None:
            """Make calls anew: hookimpls or monitors have changed."""

        def unchanged_if_it_fails(self) -> AbstractContextManager[None]:
            """Have what is registered after a block that raises be that of before."""
            ...

        def plugin_registered(self, plugin: object, name: str) -> None:
            """Register what a plugin declared; what this raises takes the plugin out again."""

        def plugin_unregistered(self, name: str) -> None:
            """Take away what a module declared; may be done twice."""

        def declared_function(
            self, action: Action, key: object, chain: Sequence[pluggy.HookImpl]
        ) -> pluggy.HookImpl:
            """What a direct call of a hook ends with, after the hookimpls of a chain."""
            ...


HOOKS: dict[str, ActionSpec] = {spec.hook: spec for spec in ACTIONS.values()}


class PluginManager(pluggy.PluginManager):
    """A `pluggy.PluginManager` whose hooks end with the declared function.

    Differences from pluggy's own: a plain implementation that returns anything but a `Result` or
    `None` is a `TypeError` naming it; a hookimpl that matches no hook is refused at once; monitors
    may be undone in any order.

    It uses four things that pluggy does not document, and `awaiting` a fifth. A test fails when
    pluggy changes one of them.

    - `_hookexec`, which every hook call of pluggy's ends in: to add the declared function;
    - `_inner_hookexec`, pluggy's loop within its monitors: for calls that bring a chain of their
      own, and to undo monitors in any order;
    - `_name2plugin`: to register a module without hookimpls, which pluggy would first compare with
      all other plugins;
    - the constructor of `HookImpl`.
    """

    def __init__(self, owner: Owner) -> None:
        super().__init__(PROJECT)
        self._owner = owner
        self.monitors: tuple[Monitor, ...] = ()  # the one added last at the end
        self._unmonitored: Execute = self._inner_hookexec
        self.committed: set[str] = set()  # the plugin modules that commits have registered
        self._hookless: dict[int, str] = {}  # the names of modules without hookimpls, by identity
        self._unconfirmed: list[tuple[str, object, Callable[[], object]]] = []
        self.add_hookspecs(HookSpecs)

    def _hookexec(
        self,
        hook_name: str,
        methods: Sequence[pluggy.HookImpl],
        kwargs: Mapping[str, object],
        firstresult: bool,
    ) -> Any:
        """Run a hook that is called directly, such as `manager.hook.aimm_fit(model_type=...)`.

        pluggy's own loop would end with the last hookimpl. This one goes on to the declared
        function.
        """
        spec = HOOKS.get(hook_name)
        if spec is not None:
            key = kwargs.get(spec.key_argument)
            declared = self._owner.declared_function(spec.name, key, methods)
            methods = [declared, *map(answering, methods)]
        return self._inner_hookexec(hook_name, methods, kwargs, firstresult)

    @property
    def size(self) -> int:
        return len(self._name2plugin)

    def chain(self, action: Action) -> Chain:
        """The hookimpls and monitors that calls of an action pass through, as of now."""
        caller: pluggy.HookCaller = getattr(self.hook, ACTIONS[action].hook)
        implementations = tuple(map(answering, caller.get_hookimpls()))
        return Chain(implementations, self._inner_hookexec, self.monitors, self._unmonitored)

    # Plugin modules of a commit; the caller holds the lock and makes calls anew afterwards.

    def add_module(self, name: str) -> None:
        """Register a module's hookimpls, without its declarations, unless somebody did already.

        Raises:
            pluggy.PluginValidationError: A hookimpl fits no hook; nothing is registered.
        """
        module = sys.modules.get(name)
        if name in self._name2plugin or id(module) in self._hookless:
            return
        if not isinstance(module, ModuleType):
            return
        has_hookimpls = self.check(module)
        if has_hookimpls and any(known is module for known in self._name2plugin.values()):
            return
        # First, so that an interrupt in the middle leaves no plugin that nobody takes out again.
        self.committed.add(name)
        self._add(module, name, has_hookimpls)

    def _add(self, plugin: object, name: str, has_hookimpls: bool) -> str | None:
        is_new = name not in self._name2plugin and id(plugin) not in self._hookless
        if has_hookimpls or not isinstance(plugin, ModuleType) or not is_new:
            return super().register(plugin, name)
        self._name2plugin[name] = plugin
        self._hookless[id(plugin)] = name
        return name

    def remove_module(self, name: str) -> None:
        """Take a module's hookimpls out, without its declarations; may be done twice."""
        if self.has_plugin(name):
            plugin = self._name2plugin[name]
            if self._hookless.get(id(plugin)) == name:
                del self._hookless[id(plugin)]
                del self._name2plugin[name]
            else:
                super().unregister(name=name)
        self.committed.discard(name)

    def check(self, plugin: object) -> bool:
        """Judge a plugin's hookimpls without registering them; returns whether it has any.

        Raises:
            pluggy.PluginValidationError: One fits no hook, or takes what its hook does not pass.
        """
        if isinstance(plugin, ModuleType) and not any(
            map(_is_hookimpl, [*contents(plugin).values()])
        ):
            return False  # most modules, without a look at each name of it
        faults, has_hookimpls = [], False
        for name in dir(plugin):  # as pluggy does; a module of its own may fail here
            options = self.parse_hookimpl_opts(plugin, name)
            if options is not None:
                has_hookimpls = True
                function = getattr(plugin, name)
                if fault := refusal(name, function, options, self.hook):
                    faults.append(f"{place_of(function)}: hookimpl {name!r} {fault}")
        if faults:
            raise pluggy.PluginValidationError(plugin, "\n".join(faults))
        return has_hookimpls

    def rollback_failed_imports(self) -> None:
        """Undo what plugins registered here in an import that failed, and keep the rest.

        Python takes a module whose import failed out of `sys.modules`.
        """
        entries, self._unconfirmed = self._unconfirmed, []
        for module, spec, undo in entries:
            if is_initializing(spec):
                self._unconfirmed.append((module, spec, undo))
            elif module not in sys.modules:
                undo()

    def _undo_if_import_fails(self, undo: Callable[[], object]) -> None:
        """Remember how to undo what the caller's caller does, if it is part of a loading."""
        (_, module, _, _), spec = call_site(sys._getframe(2))
        if module is not None and self._owner.ledger.current_importer(module) is not None:
            self._unconfirmed.append((module, spec, undo))

    # pluggy's own methods. Those that go through all plugins do so under the lock: another thread
    # may register one meanwhile.

    def get_plugins(self) -> set[Any]:
        with self._owner.lock:
            return super().get_plugins()

    def is_registered(self, plugin: object) -> bool:
        with self._owner.lock:
            return super().is_registered(plugin)

    def get_name(self, plugin: object) -> str | None:
        with self._owner.lock:
            return super().get_name(plugin)

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        """As pluggy's, of a module's functions alone: a proxy in it may raise at every question."""
        if isinstance(plugin, ModuleType) and not _is_hookimpl(contents(plugin).get(name)):
            return None
        return super().parse_hookimpl_opts(plugin, name)

    def register(self, plugin: object, name: str | None = None) -> str | None:
        """Register a plugin; a module's declarations come with it.

        What a plugin registers while it is imported is taken out again if its import fails.

        Args:
            plugin: A module or any object with hookimpls.
            name: Its name; for a module its import name by default.

        Returns:
            The name, or `None` if it is blocked.

        Raises:
            ValueError: The plugin or the name is registered already.
            pluggy.PluginValidationError: A hookimpl fits no hook; nothing is registered.
            PluginConflictError: It declares a key that another plugin provides; nothing is
                registered.
        """
        with self._owner.lock, self._owner.unchanged_if_it_fails():
            name = name or self.get_canonical_name(plugin)
            known, has_hookimpls = self.get_plugin(name), self.check(plugin)
            try:
                if self._add(plugin, name, has_hookimpls) is None:
                    return None
                # Its wrappers come before its functions: no call is to meet these without those.
                self._owner.hooks_changed()
                self._owner.plugin_registered(plugin, name)
            except BaseException:
                if known is None:
                    self.remove_module(name)
                raise
        self._undo_if_import_fails(
            lambda: self.get_plugin(name) is plugin and self.unregister(plugin)
        )
        return name

    def unregister(self, plugin: object = None, name: str | None = None) -> Any:
        """Take a plugin out, of a module its declarations too; as pluggy's otherwise."""
        with self._owner.lock:
            name = self.get_name(plugin) if name is None and plugin is not None else name
            known = None if name is None else self.get_plugin(name)
            if name is None or known is None or (plugin is not None and plugin is not known):
                return super().unregister(plugin, name)
            self._take_out(name, isinstance(known, ModuleType))
            return known

    def set_blocked(self, name: str) -> None:
        """Block a name: such a plugin is denied by `initialize`; one that is there is taken out."""
        with self._owner.lock:
            self._take_out(name, True, partial(super().set_blocked, name))

    def _take_out(
        self, name: str, is_module: bool, then: Callable[[], None] = lambda: None
    ) -> None:
        def take_out() -> None:
            # Its functions go before its wrappers: no call is to meet these without those.
            if is_module:
                self._owner.plugin_unregistered(name)
            self.remove_module(name)
            then()
            self._owner.hooks_changed()

        try:
            take_out()
        except BaseException:  # an interrupt, which comes after all of it
            take_out()
            raise

    def is_blocked(self, name: str) -> bool:
        """Whether a name is blocked; in one look, since another thread may unregister it."""
        return self._name2plugin.get(name, name) is None

    def unblock(self, name: str) -> bool:
        """Lift a block; returns whether there was one."""
        with self._owner.lock:
            return super().unblock(name)

    def add_hookcall_monitoring(
        self, before: Callable[..., None], after: Callable[..., None]
    ) -> Callable[[], None]:
        """See every call; returns what ends that. Several may be ended in any order.

        pluggy chains monitors in such a way that ending the first of two leaves it active and
        drops the second; here the chain is made again from those that are left.
        """
        monitor = (before, after)
        with self._owner.lock:
            self._monitor((*self.monitors, monitor))

        def undo() -> None:
            with self._owner.lock:
                self._monitor(tuple(other for other in self.monitors if other is not monitor))

        self._undo_if_import_fails(undo)
        return undo

    def _monitor(self, monitors: tuple[Monitor, ...]) -> None:
        # pluggy links the chain, but in a manager of no other use: ours changes in one step.
        spare = pluggy.PluginManager(PROJECT)
        for before, after in monitors:
            spare.add_hookcall_monitoring(before, after)
        self.monitors = monitors
        self._inner_hookexec = spare._inner_hookexec
        self._owner.hooks_changed()


def _is_hookimpl(value: object) -> bool:
    return type(value) is FunctionType and hasattr(value, _MARK)
