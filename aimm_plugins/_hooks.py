"""The hooks of the six actions and the plugin manager behind every call.

Declared functions are no hookimpls: pluggy asks one implementation after the other, which costs
O(plugins) a call and takes a legal `None` for "not me". One implementation of ours, always the
last, looks the key up and boxes what the function returns.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import FunctionType, ModuleType
from typing import Any

import pluggy

PROJECT = "aimm_plugins"
ROUTER = "aimm_plugins.router"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks an implementation of one of the hooks in a plugin module."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a call returned, boxed: every value is legal, `None` too.

    Attributes:
        value: The returned value; for predict `(instance, prediction)`.
    """

    value: Any


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


class PluginManager(pluggy.PluginManager):
    """A `pluggy.PluginManager` that tells its owner of every change and keeps the router last.

    Differences from pluggy's own: registering is all or nothing also with pluggy 1.6; a plain
    implementation that returns anything but a `Result` or `None` is a `TypeError` naming it;
    monitors may be undone in any order; registering does not touch objects in a module that are
    not functions.
    """

    def __init__(self) -> None:
        super().__init__(PROJECT)
        self._observers: list[Callable[[], None]] = []
        self._unregistered: list[Callable[[str], None]] = []
        self._registered: list[Callable[[object], None]] = []
        self._monitors: list[tuple[Callable[..., None], Callable[..., None]]] = []
        self._stop_monitoring: Callable[[], None] | None = None
        self._router: object | None = None
        self.add_hookspecs(HookSpecs)

    def observe(
        self,
        changed: Callable[[], None],
        registered: Callable[[object], None],
        unregistered: Callable[[str], None],
    ) -> None:
        """Be told of changes.

        Args:
            changed: Called after anything that may change what a call does.
            registered: Called with a plugin after it was registered; if it raises, the plugin
                is taken out again.
            unregistered: Called with the name of a plugin after it was taken out.
        """
        self._observers.append(changed)
        self._registered.append(registered)
        self._unregistered.append(unregistered)

    def set_router(self, router: object) -> None:
        """Register the implementation that answers when no executor did."""
        self._router = router
        super().register(router, ROUTER)

    @property
    def monitored(self) -> bool:
        """Whether a monitor or the tracing sees calls."""
        return bool(self._monitors)

    def bare(self, hook: str) -> bool:
        """Whether calls of a hook reach the router alone, unseen by anybody else."""
        return not self._monitors and len(getattr(self.hook, hook).get_hookimpls()) == 1

    def has_executor(self, hook: str) -> bool:
        """Whether somebody may answer calls of a hook before the router."""
        return any(
            impl.plugin is not self._router and not (impl.wrapper or impl.hookwrapper)
            for impl in getattr(self.hook, hook).get_hookimpls()
        )

    def check(self, module: ModuleType) -> None:
        """Judge a module's hookimpls without registering them.

        Raises:
            pluggy.PluginValidationError: One fits no hook, or takes what its hook does not pass.
        """
        for name, function in list(vars(module).items()):
            options = self.parse_hookimpl_opts(module, name)
            if options is None:
                continue
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

    # pluggy's own methods

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        """As pluggy's, but in a module only functions are looked at."""
        if isinstance(plugin, ModuleType) and not isinstance(vars(plugin).get(name), FunctionType):
            return None
        return super().parse_hookimpl_opts(plugin, name)

    def register(self, plugin: object, name: str | None = None) -> str | None:
        """Register a plugin; a module's declarations come with it.

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
        if name is None and isinstance(plugin, ModuleType):
            name = plugin.__name__
        already = name is not None and self.has_plugin(name)
        try:
            registered = super().register(plugin, name)
            if registered is None:
                return None
            self._check_spelling(plugin, registered)
            for registered_hook in self.get_hookcallers(plugin) or ():
                for impl in registered_hook.get_hookimpls():
                    if impl.plugin is plugin and not (impl.wrapper or impl.hookwrapper):
                        impl.function = _answering(impl.function, registered)  # type: ignore[misc]  # pluggy offers no other way to see what one implementation returns
            self._keep_router_last()
            for tell in self._registered:
                tell(plugin)
        except BaseException:
            # pluggy 1.6 leaves what it had registered before the hookimpl that it refuses.
            if not already and self.is_registered(plugin):
                super().unregister(plugin)
            self._tell()
            raise
        self._tell()
        return registered

    def unregister(self, plugin: object = None, name: str | None = None) -> Any:
        """Take a plugin out, and its declarations with it; as pluggy's otherwise."""
        name = self.get_name(plugin) if name is None and plugin is not None else name
        removed = super().unregister(plugin, name)
        if name is not None:
            for tell in self._unregistered:
                tell(name)
        self._tell()
        return removed

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

        pluggy chains monitors: ending the first of two leaves it active and drops the second.
        Here it is given one monitor that asks all of ours.
        """
        monitor = (before, after)
        self._monitors = [*self._monitors, monitor]
        if self._stop_monitoring is None:
            self._stop_monitoring = super().add_hookcall_monitoring(
                self._before_call, self._after_call
            )
        self._tell()

        def undo() -> None:
            self._monitors = [each for each in self._monitors if each is not monitor]
            if not self._monitors and self._stop_monitoring is not None:
                self._stop_monitoring()
                self._stop_monitoring = None
            self._tell()

        return undo

    def _before_call(self, hook_name: str, impls: Sequence[Any], kwargs: Any) -> None:
        for before, _ in self._monitors:
            before(hook_name, impls, kwargs)

    def _after_call(self, outcome: Any, hook_name: str, impls: Sequence[Any], kwargs: Any) -> None:
        for _, after in reversed(self._monitors):
            after(outcome, hook_name, impls, kwargs)

    def _check_spelling(self, plugin: object, name: str) -> None:
        for hook in self.get_hookcallers(plugin) or ():
            if hook.has_spec():
                continue
            for impl in hook.get_hookimpls():
                if impl.plugin is plugin and not impl.optionalhook:
                    raise pluggy.PluginValidationError(
                        plugin, f"{name}: hookimpl {hook.name!r} {_no_such_hook(hook.name)}"
                    )

    def _keep_router_last(self) -> None:
        """A `trylast` executor registered later would stand behind the router, and never run."""
        if self._router is None:
            return
        for name in HOOKS:
            plain = [
                impl
                for impl in getattr(self.hook, name).get_hookimpls()
                if not (impl.wrapper or impl.hookwrapper)
            ]
            if plain and plain[0].plugin is not self._router:
                super().unregister(self._router)
                super().register(self._router, ROUTER)
                return

    def _tell(self) -> None:
        for tell in self._observers:
            tell()


def _no_such_hook(name: str) -> str:
    near = get_close_matches(name, HOOKS, n=1)
    return "matches no hook" + (f"; did you mean {near[0]}?" if near else "")


def _answering(function: Callable[..., object], plugin: str) -> Callable[..., object]:
    """Hold a plain implementation to its word: a `Result`, or `None` to pass."""

    @functools.wraps(function)
    def answer(*args: object) -> object:
        answered = function(*args)
        if answered is None or isinstance(answered, Result):
            return answered
        raise TypeError(
            f"hookimpl {getattr(function, '__qualname__', function)} of plugin {plugin} returned "
            f"{type(answered).__name__}; return aimm_plugins.Result(value) to answer the call, or "
            "None to pass"
        )

    return answer
