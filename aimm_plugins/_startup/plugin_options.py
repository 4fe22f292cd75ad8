"""`options(__name__)`: what a plugin was given, wherever in its code that is asked."""

from __future__ import annotations

import sys
from collections.abc import Collection

from aimm_plugins._declarations.declaration import modules_being_imported
from aimm_plugins._discovery.scan import scan
from aimm_plugins._options.schema import Options, as_options
from aimm_plugins._options.values import BY_HAND, State, staged, staged_elsewhere
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins.errors import UnknownPluginError


def options(runtime: Runtime, module: str) -> Options:
    """The options of the plugin that a module is part of; see `aimm_plugins.options`."""
    if not isinstance(module, str):
        raise TypeError(f"options takes a module's name, such as __name__, not {module!r:.80}")
    staging = staged()
    if staging is not None:
        plugin = _plugin(module, staging.modules, staging.homes)
        if plugin is not None:
            return staging.value(plugin)
    state = runtime.options
    if state is None:
        with runtime.lock:
            state = runtime.options = runtime.options or State()
    # `initialize` is loading, and its conf gives nothing to anybody.
    importer = runtime.ledger.current_importer(None)
    if importer is not None and _home(module, {importer}) is not None:
        return state.value(importer)
    snapshot = runtime.registry.snapshot
    if state.snapshot is not snapshot:
        state.modules = frozenset(
            record.module for record in snapshot.records.values() if record.state != "denied"
        )
        state.homes = {}
        state.snapshot = snapshot
    plugin = _plugin(module, state.modules, state.homes)
    if plugin is not None:
        return state.value(plugin)
    for other in staged_elsewhere():
        plugin = _plugin(module, other.modules, other.homes)
        if plugin is not None:
            return other.value(plugin)
    return _by_hand(runtime, state, module)


def _plugin(module: str, plugins: Collection[str], known: dict[str, str]) -> str | None:
    """As `_home`, looked for once."""
    found = known.get(module)
    if found is None:
        found = _home(module, plugins)
        if found is not None:
            known[module] = found
    return found


def _home(module: str, plugins: Collection[str]) -> str | None:
    """The plugin module that a module is, or is beneath; or the only one in the same package."""
    above = [each for each in plugins if each and f"{module}.".startswith(f"{each}.")]
    if above:
        return max(above, key=len)
    top = module.partition(".")[0]
    if getattr(sys.modules.get(top), "__file__", None) is None:
        return None  # a namespace package may be shared with strangers
    beside = [each for each in plugins if each.partition(".")[0] == top]
    return beside[0] if len(beside) == 1 else None


def _by_hand(runtime: Runtime, state: State, module: str) -> Options:
    """Of a plugin that no `initialize` has loaded: its schema's defaults, or nothing."""
    if module in state.by_hand:
        return state.value_by_hand(module)
    fresh = state.installed is None
    plugin, installed = _installed(state, module)
    if plugin is None and not fresh:  # pip may have been at work since
        state.installed = None
        plugin, installed = _installed(state, module)
    if plugin is None:
        snapshot = runtime.registry.snapshot
        plugin = _home(
            module,
            {offer.plugin for keys in snapshot.offers.values() for offer in keys.values()},
        )
    if plugin is not None:
        return state.value_by_hand(plugin)
    if module in modules_being_imported():  # it may declare something yet
        return as_options({})
    raise _unknown(module, installed | state.modules)


def _installed(state: State, module: str) -> tuple[str | None, set[str]]:
    """The installed plugin that a module is part of, and the modules of all."""
    if state.installed is None:
        state.installed = scan()
    modules = {candidate.module for candidate in state.installed.candidates}
    return _home(module, modules | BY_HAND.keys()), modules


def _unknown(module: str, plugins: Collection[str]) -> UnknownPluginError:
    from difflib import get_close_matches

    top = module.partition(".")[0]
    near = sorted(each for each in plugins if each and each.partition(".")[0] == top)
    near = near or get_close_matches(module, sorted(plugins), n=3)
    hint = f" Modules of plugins are {', '.join(near)}." if near else ""
    return UnknownPluginError(
        f"{module!r} is no module of a plugin that is loaded or installed, so it has no options. "
        f"A plugin asks by aimm_plugins.options(__name__), in its own modules.{hint}",
        nearest=near,
    )
