"""`options(__name__)`: what a plugin was given, wherever in its code that is asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from aimm_plugins._config.values import Config
from aimm_plugins._declarations.declaration import modules_being_imported
from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._options.hiding import Options, Path, hiding
from aimm_plugins._options.schema_source import Denial
from aimm_plugins._options.state import Given, OptionsState, PluginOptions, plugin_of
from aimm_plugins._startup.runtime import PROCESS, Runtime
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.text import nearest
from aimm_plugins.errors import UnknownPluginError

if TYPE_CHECKING:
    from aimm_plugins._loading.importer import Outcome


def options_state(runtime: Runtime) -> OptionsState:
    """The options that starts under way give, kept from the first that gives any."""
    with runtime.lock:
        runtime.options = runtime.options or OptionsState()
        return runtime.options


def give(module: str, options: Mapping[str, Any]) -> None:
    """Give options to a plugin that this process, a child of a host, will import by hand."""
    given = _given_by_host({module: options})
    options_state(PROCESS.runtime).stage(PluginOptions(given, modules=[module]))


def give_all(options: Mapping[str, Mapping[str, Any]]) -> PluginOptions:
    """Give options, by module, to plugins that this process, a child of a host, will initialize."""
    PROCESS.runtime.registry.snapshot.options = made = PluginOptions(_given_by_host(options))
    return made


def check_all(options: PluginOptions, outcome: Outcome, denial: Denial) -> None:
    """Fail the plugins whose options do not fit a schema that is code, now that it can be run."""
    for entry in outcome.loaded:
        if entry.record.module in options.given:
            with guarded() as attempt:
                options.value(entry.record.module, denial)
            if attempt.error is not None:
                outcome.fail(entry.record, attempt.error)


def _given_by_host(options: Mapping[str, Mapping[str, Any]]) -> dict[str, Given]:
    given = {}
    for module, values in options.items():
        # Which of them are secrets is not known here.
        secrets: dict[Path, str] = {(key,): "the host" for key in values}
        given[module] = Given(Config(), module, hiding(values, secrets), secrets)
    return given


def options(runtime: Runtime, module: str) -> Options:
    if not isinstance(module, str):
        raise TypeError(f"options takes a module's name, such as __name__, not {module!r:.80}")
    state = runtime.options or options_state(runtime)
    denial = partial(denial_now, runtime)
    for staged in state.staged():
        plugin = staged.plugin_of(module)
        if plugin is not None:
            return staged.value(plugin, denial)
    snapshot = runtime.registry.snapshot
    current = snapshot.options = snapshot.options or PluginOptions()
    # `initialize` is loading, and its conf gives no options.
    importer = runtime.ledger.current_importer(None)
    if importer is not None and plugin_of(module, {importer}) is not None:
        return current.value(importer, denial)
    if current.followed is not snapshot:
        records = snapshot.records.values()
        current.follow(snapshot, (r.module for r in records if r.state != "denied"))
    for layer in (current, *state.staged(by_any_thread=True)):
        plugin = layer.plugin_of(module)
        if plugin is not None:
            return layer.value(plugin, denial)
    return _by_hand(runtime, current, module, denial)


def denial_now(runtime: Runtime, module: str, publisher: Distribution) -> str | None:
    """Why a module must not be imported by the rules that hold now; `None` if it may be."""
    from aimm_plugins._startup.prepare import admission_now

    admissions = runtime.admissions or [admission_now(runtime)]
    reasons = (admission.denial_of(module, publisher) for admission in admissions)
    return next(filter(None, reasons), None)


def _by_hand(runtime: Runtime, current: PluginOptions, module: str, denial: Denial) -> Options:
    """The options of a plugin that no `initialize` has loaded: defaults, or nothing."""
    plugin = module if module in current.checked else None
    modules: set[str] = set()
    for again in (False, True):  # pip may have been at work since that was first asked
        if plugin is None:
            modules = {candidate.module for candidate in current.installed(again=again).candidates}
            plugin = plugin_of(module, modules)
    if plugin is None:
        providers = runtime.registry.snapshot.providers()
        plugin = plugin_of(module, {provider.plugin for provider in providers})
    if plugin is not None:
        return current.value(plugin, denial, by_hand=True)
    if module in modules_being_imported():  # it may declare something yet
        return Options()
    raise _unknown(module, modules | current.modules)


def _unknown(module: str, plugins: Collection[str]) -> UnknownPluginError:
    top = module.partition(".")[0]
    near = sorted(plugin for plugin in plugins if plugin and plugin.partition(".")[0] == top)
    near = near or nearest(module, sorted(plugins), count=3)
    hint = f" Modules of plugins are {', '.join(near)}." if near else ""
    return UnknownPluginError(
        f"{module!r} is no module of a plugin that is loaded or installed, so it has no options. "
        f"A plugin asks by aimm_plugins.options(__name__), in its own modules.{hint}",
        nearest=near,
    )
