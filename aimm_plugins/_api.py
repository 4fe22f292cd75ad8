"""The public functions: thin, over the process's one runtime."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

from aimm_plugins._actions import Action
from aimm_plugins._hooks import PluginManager
from aimm_plugins._providers import Provider
from aimm_plugins._runtime import RUNTIME
from aimm_plugins._state import StateCallback

if TYPE_CHECKING:
    from aimm_plugins._report import Finding, Report

_DISPATCHER = RUNTIME.dispatcher


def initialize(conf: Mapping[str, object] | str | os.PathLike[str] | None = None) -> Report:
    """Import and register the plugins that a conf names and that are installed.

    Config names come first, in their order, then the installed entry points of the group
    `aimm.plugins`, sorted by distribution and name. May be called again: a second call adds to the
    first, and modules that are imported already are not executed again. Safe to call from several
    threads; calls go on meanwhile with what was registered before.

    Args:
        conf: A mapping or the path of a YAML file as in `schemas/plugins.yaml`; `None` is
            `{"names": []}`: whatever is installed.

    Returns:
        The account of this call: a record for each plugin, and findings.

    Raises:
        ConfigError: The conf is wrong; nothing was imported.
        PluginLoadError: Under `on_error: strict`, the default, any plugin failed. Nothing of this
            call stays registered; what earlier calls registered does.
        KeyboardInterrupt: Raised by an import; nothing of this call stays registered.
    """
    from aimm_plugins import _lifecycle

    return _lifecycle.initialize(RUNTIME, conf)


def plan(conf: Mapping[str, object] | str | os.PathLike[str] | None = None) -> Report:
    """What `initialize` would do, without running any plugin code.

    Args:
        conf: As for `initialize`.

    Returns:
        A record for each plugin in the order of loading: `planned`, `deferred`, `denied` with the
        rule, or `missing`. Where plugins publish their keys, also who provides what, and the
        conflicts and shadows that this leads to.

    Raises:
        ConfigError: The conf is wrong.
    """
    from aimm_plugins import _lifecycle

    return _lifecycle.plan(RUNTIME, conf)


def freeze(
    conf: Mapping[str, object] | str | os.PathLike[str] | None = None,
) -> tuple[str, tuple[Finding, ...]]:
    """The freeze file of what a conf would load, for its key `locked`.

    Args:
        conf: As for `initialize`; what it denies is left out.

    Returns:
        A list of pip requirements, each with the digest of its RECORD in a comment, and a finding
        for each distribution that has nothing to compare. Modules that no distribution owns are
        not in it, as no lock holds for them.

    Raises:
        ConfigError: The conf is wrong.
    """
    from aimm_plugins import _lifecycle

    return _lifecycle.freeze(RUNTIME, conf)


def refresh() -> Report:
    """Catch up with what was installed, upgraded or removed since `initialize`.

    The plan of all `initialize` calls so far is made anew and carried out: plugins that are new
    are loaded, failed ones are tried again, and the keys of those that are gone go away; calls
    under way finish. A plugin that was upgraded stays as it is, with the reason that a restart is
    needed, since Python does not import a module twice.

    Returns:
        The account of what changed, in state `removed` what is gone; empty where nothing did, or
        nothing was initialized.

    Raises:
        ConfigError: The operator's policy cannot be read any more; nothing changed.
        PluginLoadError: Under `on_error: strict` any plugin failed; nothing changed.
    """
    from aimm_plugins import _lifecycle

    return _lifecycle.refresh(RUNTIME)


def unload_all() -> None:
    """Empty the registry: afterwards no key can be called.

    Modules stay imported, and a later `initialize` registers what they declared without executing
    them again. What was declared by hand comes back only if a conf names its module. Plugins that
    were registered with the plugin manager directly stay there.
    """
    from aimm_plugins import _lifecycle

    _lifecycle.unload_all(RUNTIME)


def current_report() -> Report:
    """The account of what is registered now, over all `initialize` calls so far."""
    from aimm_plugins import _lifecycle

    return _lifecycle.current_report(RUNTIME)


def providers(
    action: Action | None = None, key: str | None = None
) -> dict[tuple[Action, str], Provider]:
    """Who answers what now.

    Args:
        action: Only this action.
        key: Only this key; the cost does not depend on how many there are then.

    Returns:
        A new dict from (action, key) to provider, sorted.

    Raises:
        ValueError: There is no such action.
    """
    if action is not None and action not in get_args(Action):
        raise ValueError(f"no action {action!r}; the actions are {', '.join(get_args(Action))}")
    if key is None:
        return RUNTIME.registry.providers(action)
    return RUNTIME.registry.providers_of(key, action)


def get_plugin_manager() -> PluginManager:
    """The `pluggy.PluginManager` behind all calls, for wrappers, executors and monitors."""
    return RUNTIME.manager


# The following are the hot path. Their bodies are written out rather than shared: one more Python
# call costs a third of a whole dispatch.


def exec_data_access(
    name: str, state_cb: StateCallback | None = None, *args: Any, **kwargs: Any
) -> Any:
    """Access data by a plugin.

    Args:
        name: Key of the data access.
        state_cb: Receives the plugin's progress, if it reports any; `None` for nobody.
        *args: Passed to the plugin.
        **kwargs: Passed to the plugin.

    Returns:
        What the plugin returns.

    Raises:
        UnknownPluginError: No plugin provides it.
        TypeError: `state_cb` cannot be called, or the plugin does not take these arguments.
        Exception: Whatever the plugin or the callback raises, as it is, with a note.
    """
    plan = _DISPATCHER.plans["data_access"].get(name) or _DISPATCHER.plan("data_access", name)
    return plan(None, state_cb, args, kwargs)


def exec_instantiate(
    model_type: str, state_cb: StateCallback | None = None, *args: Any, **kwargs: Any
) -> Any:
    """Make a model instance by a plugin.

    Args:
        model_type: Key of the model.
        state_cb: Receives the plugin's progress, if it reports any; `None` for nobody.
        *args: Passed to the plugin.
        **kwargs: Passed to the plugin.

    Returns:
        The new instance.

    Raises:
        UnknownPluginError: No plugin provides it.
        TypeError: `state_cb` cannot be called, or the plugin does not take these arguments.
        Exception: Whatever the plugin or the callback raises, as it is, with a note.
    """
    plan = _DISPATCHER.plans["instantiate"].get(model_type) or _DISPATCHER.plan(
        "instantiate", model_type
    )
    return plan(None, state_cb, args, kwargs)


def exec_fit(
    model_type: str,
    instance: Any,
    state_cb: StateCallback | None = None,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Fit a model instance by a plugin.

    Args:
        model_type: Key of the model.
        instance: As made by `exec_instantiate` or `exec_deserialize`; mostly changed in place.
        state_cb: Receives the plugin's progress, if it reports any; `None` for nobody. What it
            raises ends the fit and comes out here.
        *args: Passed to the plugin.
        **kwargs: Passed to the plugin.

    Returns:
        The fitted instance.

    Raises:
        UnknownPluginError: No plugin provides it.
        TypeError: `state_cb` cannot be called, or the plugin does not take these arguments.
        Exception: Whatever the plugin or the callback raises, as it is, with a note.
    """
    plan = _DISPATCHER.plans["fit"].get(model_type) or _DISPATCHER.plan("fit", model_type)
    return plan(instance, state_cb, args, kwargs)


def exec_predict(
    model_type: str,
    instance: Any,
    state_cb: StateCallback | None = None,
    *args: Any,
    **kwargs: Any,
) -> tuple[Any, Any]:
    """Predict with a model instance by a plugin.

    Args:
        model_type: Key of the model.
        instance: A fitted instance; predicting may change it.
        state_cb: Receives the plugin's progress, if it reports any; `None` for nobody.
        *args: Passed to the plugin.
        **kwargs: Passed to the plugin.

    Returns:
        The instance to go on with, and the prediction.

    Raises:
        UnknownPluginError: No plugin provides it.
        TypeError: `state_cb` cannot be called, or the plugin does not take these arguments.
        Exception: Whatever the plugin or the callback raises, as it is, with a note.
    """
    plan = _DISPATCHER.plans["predict"].get(model_type) or _DISPATCHER.plan("predict", model_type)
    answer: tuple[Any, Any] = plan(instance, state_cb, args, kwargs)
    return answer


def exec_serialize(model_type: str, instance: Any) -> bytes | bytearray | memoryview:
    """Turn a model instance into bytes by a plugin.

    Args:
        model_type: Key of the model.
        instance: The instance.

    Returns:
        The plugin's bytes.

    Raises:
        UnknownPluginError: No plugin provides it.
        Exception: Whatever the plugin raises, as it is, with a note.
    """
    plan = _DISPATCHER.plans["serialize"].get(model_type) or _DISPATCHER.plan(
        "serialize", model_type
    )
    answer: bytes = plan(instance, None, (), {})
    return answer


def exec_deserialize(model_type: str, instance_bytes: bytes | bytearray | memoryview) -> Any:
    """Make a model instance of the bytes of `exec_serialize` by a plugin.

    Args:
        model_type: Key of the model.
        instance_bytes: The bytes.

    Returns:
        The instance.

    Raises:
        UnknownPluginError: No plugin provides it.
        Exception: Whatever the plugin raises, as it is, with a note.
    """
    plan = _DISPATCHER.plans["deserialize"].get(model_type) or _DISPATCHER.plan(
        "deserialize", model_type
    )
    return plan(instance_bytes, None, (), {})
