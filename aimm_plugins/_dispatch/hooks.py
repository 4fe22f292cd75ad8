"""The hooks of the six actions and the plugin manager behind every call.

Declared functions are no hookimpls: pluggy asks one implementation after the other, which costs
O(plugins) a call and takes a legal `None` for "not me". One implementation of ours, always the
last, looks the key up and boxes what the function returns.
"""

from __future__ import annotations

import functools
import inspect
import sys
from _thread import RLock  # that of threading, which takes a millisecond to load
from collections.abc import Callable
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any, NoReturn

import pluggy

from aimm_plugins._declarations.ledger import call_site, current_importer
from aimm_plugins._system.modules import contents, is_initializing

PROJECT = "aimm_plugins"
ROUTER = "aimm_plugins.router"
_MARK = f"{PROJECT}_impl"
"""Where `hookimpl` leaves its options, on the function itself."""

Monitor = tuple[Callable[..., None], Callable[..., None]]
"""What pluggy calls before and after each hook call."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks an implementation of one of the hooks in a plugin module."""


class Result:
    """What a call returned, boxed: every value is legal, `None` too.

    Attributes:
        value: The returned value; for predict `(instance, prediction)`.
    """

    __slots__ = ("value",)
    __match_args__ = ("value",)

    value: Any

    def __init__(self, value: Any) -> None:
        _set_value(self, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Result does not change; return another one")

    def __reduce__(self) -> tuple[type[Result], tuple[Any]]:
        return (Result, (self.value,))

    def __eq__(self, other: object) -> bool:
        return bool(self.value == other.value) if isinstance(other, Result) else NotImplemented

    def __hash__(self) -> int:
        return hash((Result, self.value))

    def __repr__(self) -> str:
        return f"Result(value={self.value!r})"


# One is made for each hook call; `object.__setattr__` would take twice as long.
_set_value = vars(Result)["value"].__set__


class HookSpecs:
    """The hooks, one an action; all take keywords and stop at the first `Result`."""

    @hookspec(firstresult=True)
    def aimm_data_access(
        self, name: str, state_cb: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Result | None:
        """Access data.

        Args:
            name: Key of the data access.
            state_cb: The caller's callback, or one that does nothing.
            args: The caller's positional arguments.
            kwargs: The caller's keyword arguments.

        Returns:
            The data in a `Result`, or `None` to pass.
        """

    @hookspec(firstresult=True)
    def aimm_instantiate(
        self, model_type: str, state_cb: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Result | None:
        """Make a model instance.

        Returns:
            The instance in a `Result`, or `None` to pass.
        """

    @hookspec(firstresult=True)
    def aimm_fit(
        self,
        model_type: str,
        instance: Any,
        state_cb: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Result | None:
        """Fit an instance.

        Returns:
            The fitted instance in a `Result`, or `None` to pass.
        """

    @hookspec(firstresult=True)
    def aimm_predict(
        self,
        model_type: str,
        instance: Any,
        state_cb: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Result | None:
        """Predict with an instance.

        Returns:
            `(instance, prediction)` in a `Result`, or `None` to pass.
        """

    @hookspec(firstresult=True)
    def aimm_serialize(self, model_type: str, instance: Any) -> Result | None:
        """Turn an instance into bytes.

        Returns:
            The bytes in a `Result`, or `None` to pass.
        """

    @hookspec(firstresult=True)
    def aimm_deserialize(self, model_type: str, instance_bytes: Any) -> Result | None:
        """Make an instance of bytes.

        Returns:
            The instance in a `Result`, or `None` to pass.
        """


HOOKS = tuple(name for name in vars(HookSpecs) if name.startswith("aimm_"))


class HookCaller(pluggy.HookCaller):
    """One of our hooks: holds executors to their word, and keeps the router behind them.

    Done while an implementation is added, in one step, so that a call from another thread meets it
    either not at all or as it stays.
    """

    __slots__ = ()

    def _add_hookimpl(self, hookimpl: pluggy.HookImpl) -> None:
        if hookimpl.plugin_name == ROUTER or hookimpl.wrapper or hookimpl.hookwrapper:
            super()._add_hookimpl(hookimpl)
            return
        hookimpl.function = _answering(hookimpl.function, hookimpl.plugin_name)  # type: ignore[misc]  # pluggy offers no other way to see what one implementation returns
        if hookimpl.trylast and self._hookimpls and self._hookimpls[0].plugin_name == ROUTER:
            # The first of the list is called last; pluggy would put this one before the router,
            # where it never runs.
            self._hookimpls.insert(1, hookimpl)
        else:
            super()._add_hookimpl(hookimpl)


class PluginManager(pluggy.PluginManager):
    """A `pluggy.PluginManager` that tells its owner of every change and keeps the router last.

    Differences from pluggy's own: registering is all or nothing also with pluggy 1.6; a plain
    implementation that returns anything but a `Result` or `None` is a `TypeError` naming it;
    monitors may be undone in any order; registering does not touch objects in a module that are
    not functions.

    Attributes:
        monitors: The monitors that see calls, the one added last at the end; never changed in
            place.
        checked: The plugin modules that `check` found sound, by the name they were loaded by.
    """

    def __init__(self) -> None:
        super().__init__(PROJECT)
        self._observers: list[Callable[[], None]] = []
        self._unregistered: list[Callable[[str], None]] = []
        self._registered: list[Callable[[object, str], None]] = []
        self._lock = RLock()
        self.monitors: tuple[Monitor, ...] = ()
        self.checked: dict[str, ModuleType] = {}
        self._judged: dict[int, dict[str, Any]] = {}
        self._ids: set[int] = set()
        self._unsettled: list[tuple[str, object, Callable[[], object]]] = []
        self.router: object | None = None
        for name in HOOKS:
            setattr(self.hook, name, HookCaller(name, self._hookexec))
        self.add_hookspecs(HookSpecs)

    def observe(
        self,
        changed: Callable[[], None],
        registered: Callable[[object, str], None],
        unregistered: Callable[[str], None],
    ) -> None:
        """Be told of changes.

        Args:
            changed: Called after anything that may change what a call does.
            registered: Called with a plugin and its name after it was registered; if it raises,
                the plugin is taken out again.
            unregistered: Called with the name of a plugin after it was taken out.
        """
        self._observers.append(changed)
        self._registered.append(registered)
        self._unregistered.append(unregistered)

    def set_router(self, router: object) -> None:
        """Register the implementation that answers when no executor did."""
        self.router = router
        super().register(router, ROUTER)

    def bare(self, hook: str) -> bool:
        """Whether calls of a hook reach the router alone, unseen by anybody else."""
        if self.monitors:
            return False
        impls = getattr(self.hook, hook).get_hookimpls()
        return len(impls) == 1 and impls[0].plugin is self.router

    def has_executor(self, hook: str) -> bool:
        """Whether somebody may answer calls of a hook before the router."""
        return any(
            impl.plugin is not self.router and not (impl.wrapper or impl.hookwrapper)
            for impl in getattr(self.hook, hook).get_hookimpls()
        )

    def check(self, module: ModuleType) -> None:
        """Judge a module's hookimpls without registering them.

        Raises:
            pluggy.PluginValidationError: One fits no hook, or takes what its hook does not pass.
        """
        implementations = {}
        self._judged.pop(id(module), None)
        for name, options in self._implementations(module).items():
            function = implementations[name] = contents(module)[name]
            hook = options.get("specname") or name
            where = f"{module.__name__}: hookimpl {name!r}"
            if hook not in HOOKS:
                if not options.get("optionalhook"):
                    raise pluggy.PluginValidationError(module, f"{where} {_no_such_hook(hook)}")
                continue
            offered = inspect.signature(getattr(HookSpecs, hook)).parameters
            odd = [each for each in inspect.signature(function).parameters if each not in offered]
            if odd:
                raise pluggy.PluginValidationError(
                    module,
                    f"{where} takes {', '.join(odd)}, which {hook} does not pass; it passes "
                    f"{', '.join(each for each in offered if each != 'self')}",
                )
        if implementations:
            trial = pluggy.PluginManager(PROJECT)
            trial.add_hookspecs(HookSpecs)
            trial.register(SimpleNamespace(**implementations), module.__name__)
        self._judged[id(module)] = implementations

    def check_again(self, module: ModuleType) -> None:
        """Find out whether a module that has hookimpls still has the ones that were found sound.

        Raises:
            pluggy.PluginValidationError: It has others by now.
        """
        judged = self._judged.get(id(module))
        if judged and judged != {
            name: contents(module).get(name) for name in self._implementations(module)
        }:
            raise pluggy.PluginValidationError(
                module, "its hookimpls were changed after its import, by another plugin"
            )

    def _implementations(self, module: object) -> dict[str, Any]:
        """The options of a module's hookimpls, by name.

        Where there are any, pluggy will ask the module what it has, and may stumble over what it
        says: that is to be the module's fault where this is asked before.
        """
        if issubclass(type(module), ModuleType):
            held = list(contents(module).items())
            names = [n for n, each in held if type(each) is FunctionType and type(n) is str]
        else:
            names = dir(module)
        found = {}
        for name in names:
            options = self.parse_hookimpl_opts(module, name)
            if options is not None:
                found[name] = options
        if found:
            dir(module)
        return found

    def settle(self) -> None:
        """Undo what plugins registered here in an import that failed, and keep the rest.

        Python takes a module whose import failed out of `sys.modules`.
        """
        entries, self._unsettled = self._unsettled, []
        for module, spec, undo in entries:
            if is_initializing(spec):
                self._unsettled.append((module, spec, undo))
            elif module not in sys.modules:
                undo()

    def _made_at_import(self, undo: Callable[[], object]) -> None:
        """Remember how to undo what the caller's caller does, if it is part of a loading."""
        site = call_site(2)
        if site.body is not None and current_importer(site.body) is not None:
            self._unsettled.append((site.body, site.spec, undo))

    # pluggy's own methods

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> Any:
        """As pluggy's, in less time for our own class, which every start goes through."""
        if module_or_class is HookSpecs:
            return getattr(vars(HookSpecs).get(name), f"{PROJECT}_spec", None)
        return super().parse_hookspec_opts(module_or_class, name)

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        """As pluggy's, but in a module only functions are looked at."""
        if isinstance(plugin, ModuleType):
            function = contents(plugin).get(name)
        elif plugin is self.router:
            function = vars(type(plugin)).get(name)
        else:
            return super().parse_hookimpl_opts(plugin, name)
        # By `type`: `isinstance` asks the object for its `__class__`, a stranger's code.
        if type(function) is not FunctionType:
            return None
        options = getattr(function, _MARK, None)
        return options if isinstance(options, dict) else None

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
        registered = self.adopt(plugin, name)
        if registered is not None:
            self._made_at_import(
                lambda: self.get_plugin(registered) is plugin and self.unregister(plugin)
            )
        return registered

    def adopt(
        self, plugin: object, name: str | None = None, *, checked: bool = False
    ) -> str | None:
        """As `register`, for plugins whose coming and going is the caller's business.

        Args:
            plugin: A module or any object with hookimpls.
            name: Its name.
            checked: Whether `check` has just judged it; if it had no hookimpls then, it has none
                now, since what it has got meanwhile is another plugin's doing.
        """
        if name is None and isinstance(plugin, ModuleType):
            name = plugin.__name__
        wanted = name or self.get_canonical_name(plugin)
        already = self.has_plugin(wanted)
        registered: str | None = wanted
        try:
            if self._hooks_nothing(plugin, wanted, checked and self._judged.get(id(plugin)) == {}):
                self._name2plugin[wanted] = plugin
            elif (registered := super().register(plugin, name)) is None:
                return None
            elif len(vars(self.hook)) > len(HOOKS):  # a hook nobody has specified, or a host's own
                self._check_spelling(plugin, registered)
            self._ids.add(id(plugin))
            for tell in self._registered:
                tell(plugin, wanted)
        except BaseException:
            # pluggy 1.6 leaves what it had registered before the hookimpl that it refuses.
            # By name: under another one it was registered before, and stays.
            if not already and self.get_plugin(wanted) is plugin:
                super().unregister(name=wanted)
                self._ids.discard(id(plugin))
            self._tell()
            raise
        self._tell()
        return registered

    def _hooks_nothing(self, plugin: object, name: str, hookless: bool) -> bool:
        """Whether it is a new module without hookimpls.

        pluggy's `register` would do no more for it than to keep its name, and compares a plugin
        with all others first: N² for N of them, by whatever equality they have.
        """
        return (
            issubclass(type(plugin), ModuleType)
            and id(plugin) not in self._ids
            and name not in self._name2plugin
            and (hookless or not self._implementations(plugin))
        )

    def unregister(self, plugin: object = None, name: str | None = None) -> Any:
        """Take a plugin out, and its declarations with it; as pluggy's otherwise.

        Raises:
            ValueError: It is the router, without which no call would be answered.
        """
        name = self.get_name(plugin) if name is None and plugin is not None else name
        if name == ROUTER:
            raise ValueError(f"{ROUTER} answers every call, and is no plugin to be taken out")
        if name is not None and (plugin is None or self.get_plugin(name) is plugin):
            # Before its wrappers go: nobody is to call a module's function without them.
            for tell in self._unregistered:
                tell(name)
        try:
            gone = super().unregister(plugin, name)
            self._ids.discard(id(gone))
            return gone
        finally:
            self._tell()

    def list_name_plugin(self) -> list[tuple[str, Any]]:
        """Names and plugins, `None` for a blocked name; without the router, which is no plugin."""
        return [pair for pair in super().list_name_plugin() if pair[0] != ROUTER]

    def get_plugins(self) -> set[Any]:
        """All plugins, without the router."""
        return {each for each in super().get_plugins() if each is not self.router}

    def set_blocked(self, name: str) -> None:
        """Block a name: such a plugin is denied by `initialize`; one that is there is taken out."""
        super().set_blocked(name)
        for tell in self._unregistered:
            tell(name)
        self._tell()

    def unblock(self, name: str) -> bool:
        """Lift a block; returns whether there was one."""
        unblocked = super().unblock(name)
        self._tell()
        return unblocked

    def add_hookcall_monitoring(
        self, before: Callable[..., None], after: Callable[..., None]
    ) -> Callable[[], None]:
        """See every call; returns what ends that. Several may be ended in any order.

        pluggy chains monitors in such a way that ending the first of two leaves it active and
        drops the second; here the chain is made anew from those that are left.
        """
        monitor = (before, after)
        with self._lock:
            self._monitor((*self.monitors, monitor))

        def undo() -> None:
            with self._lock:
                self._monitor(tuple(each for each in self.monitors if each is not monitor))

        self._made_at_import(undo)
        return undo

    def _monitor(self, monitors: tuple[Monitor, ...]) -> None:
        # pluggy links the chain, but in a manager of no other use: ours changes in one step.
        spare = pluggy.PluginManager(PROJECT)
        for before, after in monitors:
            spare.add_hookcall_monitoring(before, after)
        self.monitors = monitors
        self._inner_hookexec = spare._inner_hookexec
        self._tell()

    def _check_spelling(self, plugin: object, name: str) -> None:
        for hook in self.get_hookcallers(plugin) or ():
            if hook.has_spec():
                continue
            for impl in hook.get_hookimpls():
                if impl.plugin is plugin and not impl.optionalhook:
                    raise pluggy.PluginValidationError(
                        plugin, f"{name}: hookimpl {hook.name!r} {_no_such_hook(hook.name)}"
                    )

    def _tell(self) -> None:
        for tell in self._observers:
            tell()


def _no_such_hook(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, HOOKS, n=1)
    return "matches no hook" + (f"; did you mean {near[0]}?" if near else "")


def _answering(function: Callable[..., object], plugin: str) -> Callable[..., object]:
    """Hold a plain implementation to its word: a `Result`, or `None` to pass."""

    @functools.wraps(function)
    def answer(*args: object, **kwargs: object) -> object:
        answered = function(*args, **kwargs)
        if answered is None or isinstance(answered, Result):
            return answered
        raise TypeError(
            f"hookimpl {getattr(function, '__qualname__', function)} of plugin {plugin} returned "
            f"{type(answered).__name__}; return aimm_plugins.Result(value) to answer the call, or "
            "None to pass"
        )

    return answer
