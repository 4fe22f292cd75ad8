"""The public functions about what is registered."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aimm_plugins._dispatch.manager import PluginManager
from aimm_plugins._registry.providers import Provider
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._values.actions import ACTIONS, Action

if TYPE_CHECKING:
    from aimm_plugins._values.report import Finding, Report


def initialize(conf: Mapping[str, object] | str | os.PathLike[str] | None = None) -> Report:
    """Import and register the plugins that a conf names and that are installed.

    Config names come first, in their order, then the installed entry points of the group
    `aimm.plugins`, sorted by distribution and name. May be called again: a second call adds to the
    first, and modules that are imported already are not executed again. Safe to call from several
    threads; calls go on meanwhile with what was registered before.

    Args:
        conf: A mapping or the path of a YAML file as in `schemas/plugins.yaml`; `None` is the file
            that `AIMM_PLUGINS_CONF` names, else `{"names": []}`: whatever is installed.

    Returns:
        The account of this call: a record for each plugin, and findings.

    Raises:
        ConfigError: The conf is wrong, options do not fit a plugin's schema, or a secret cannot be
            read; nothing was imported.
        PluginLoadError: Under `on_error: strict`, the default, any plugin failed. Nothing of this
            call stays registered; what earlier calls registered does.
        ParityError: The conf runs calls on a cluster, and one of its workers has other plugins;
            nothing of this call stays registered.
        OSError: That cluster cannot be reached; nothing was imported.
        BaseException: `KeyboardInterrupt`, or what a signal handler of the host has raised during
            an import; nothing of this call stays registered. What is raised while the log is
            written comes after the commit; all of it is registered then.

    Example:
        >>> from aimm_plugins import initialize
        >>> report = initialize({"names": ["json"], "entry_points": {"enabled": False}})
        >>> [(record.module, record.state) for record in report]
        [('json', 'loaded')]
        >>> [finding.code for finding in report.findings]
        ['declares-nothing']
    """
    from aimm_plugins._startup import lifecycle

    return lifecycle.initialize(PROCESS.runtime, conf, connect=True)


def plan(conf: Mapping[str, object] | str | os.PathLike[str] | None = None) -> Report:
    """Say what `initialize` would do, without running any plugin code.

    Args:
        conf: As for `initialize`.

    Returns:
        A record for each plugin in the order of loading: `planned`, `deferred`, `denied` with the
        rule, `missing`, or `failed` with the error and remedy where the import is sure to fail. As
        far as metadata and sources tell, also who provides what, and the conflicts and shadows that
        this leads to.

    Raises:
        ConfigError: The conf is wrong.

    Example:
        >>> from aimm_plugins import plan
        >>> (record,) = plan({"names": ["no_such_module"], "entry_points": {"enabled": False}})
        >>> record.state, str(record.error)
        ('failed', "No module named 'no_such_module'")
    """
    from aimm_plugins._startup import lifecycle

    return lifecycle.foresee(PROCESS.runtime, conf).report


def freeze(
    conf: Mapping[str, object] | str | os.PathLike[str] | None = None,
) -> tuple[str, tuple[Finding, ...]]:
    """The freeze file of what a conf would load, for its key `locked`.

    Args:
        conf: As for `initialize`; what it has in `locked` is no matter.

    Returns:
        A list of pip requirements, each with the digest of its RECORD in a comment, and findings:
        `left-out` for each plugin that the conf denies, `not-frozen` for each distribution that has
        nothing to compare, `required-missing` for what is required and not there. Modules that no
        distribution owns are not in it, as no lock holds for them.

    Raises:
        ConfigError: The conf is wrong.

    Example:
        >>> from aimm_plugins import freeze
        >>> freeze({"names": [], "entry_points": {"enabled": False}})
        ('', ())
    """
    from aimm_plugins._startup.freezing import freeze

    return freeze(PROCESS.runtime, conf)


def refresh() -> Report:
    """Catch up with what was installed, upgraded or removed since `initialize`.

    The plan of all `initialize` calls so far is made anew and carried out, with the files of their
    confs, the operator's policy, locks and secrets as they are now; a conf that was given as a
    mapping is as it was then. Plugins that are new are loaded, failed ones are tried again, and
    those that are gone, or denied by all confs now, lose their keys; calls under way finish. A
    plugin that was upgraded or reinstalled is `stale`: it answers as before until a restart, since
    Python does not import a module twice.

    Returns:
        The account of what changed, in state `removed` what is gone; empty where nothing did, or
        nothing was initialized.

    Raises:
        ConfigError: A conf, the operator's policy, a lock or a secret cannot be read any more, or
            options do not fit a plugin's new version; nothing changed.
        PluginLoadError: Under `on_error: strict` any plugin failed; nothing changed.

    Example:
        >>> from aimm_plugins import initialize, refresh
        >>> report = initialize({"names": [], "entry_points": {"enabled": False}})
        >>> refresh().plugins
        ()
    """
    from aimm_plugins._startup import lifecycle

    return lifecycle.refresh(PROCESS.runtime)


def unload_all() -> None:
    """Empty the registry: afterwards no key can be called.

    Modules stay imported, and a later `initialize` registers what they declared without executing
    them again. What was declared by hand comes back only if a conf names its module. Plugins that
    were registered with the plugin manager directly stay there. A cluster that a conf runs calls on
    is let go of; calls under way there end with an error.

    Example:
        >>> from aimm_plugins import data_access, providers, unload_all
        >>> @data_access("answer")
        ... def answer():
        ...     return 42
        >>> unload_all()
        >>> providers()
        {}
    """
    from aimm_plugins._startup import lifecycle

    lifecycle.unload_all(PROCESS.runtime)


def options(module: str) -> Mapping[str, Any]:
    """The options of a plugin, for the plugin itself: `aimm_plugins.options(__name__)`.

    What the conf's `options` give to the plugin, secrets read, with the defaults of the schema that
    the plugin publishes. Works in the plugin's modules while they are imported and whenever they
    are called. A later `initialize` with another conf gives other options, so that what is to
    follow it is asked for when it is needed.

    Args:
        module: `__name__` of any module of the plugin.

    Returns:
        A dict of the caller's own, whose `repr` hides secrets. It is empty where nothing is given
        and no schema has a default. A plugin that is imported without `initialize` has the
        defaults, and nothing is checked.

    Raises:
        ConfigError: No conf gives the plugin any options, and its schema requires some; or its
            schema is code, and what the conf gives does not fit it.
        DeclarationError: The schema that the plugin publishes is broken.
        UnknownPluginError: The module is part of no plugin.

    Example:
        >>> from aimm_plugins import initialize, options
        >>> conf = {"names": ["json"], "options": {"json": {"rows": 3}}}
        >>> report = initialize({**conf, "entry_points": {"enabled": False}})
        >>> options("json")["rows"]
        3
    """
    from aimm_plugins._startup import plugin_options

    return plugin_options.options(PROCESS.runtime, module)


def current_report() -> Report:
    """The account of what is registered now, over all `initialize` calls so far.

    Returns:
        A new report; it does not change with the registry.

    Example:
        >>> from aimm_plugins import current_report, initialize
        >>> report = initialize({"names": ["json"], "entry_points": {"enabled": False}})
        >>> [record.module for record in current_report()]
        ['json']
    """
    from aimm_plugins._startup import registered

    return registered.current_report(PROCESS.runtime)


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

    Example:
        >>> from aimm_plugins import fit, providers
        >>> @fit(["a", "b"])
        ... def learn(model):
        ...     return model
        >>> sorted(providers("fit"))
        [('fit', 'a'), ('fit', 'b')]
    """
    if action is not None and action not in ACTIONS:
        raise ValueError(f"no action {action!r}; the actions are {', '.join(ACTIONS)}")
    return PROCESS.runtime.registry.providers(action, key)


def get_plugin_manager() -> PluginManager:
    """The `pluggy.PluginManager` behind all calls, for wrappers, executors and monitors.

    Returns:
        The manager; it stays the same for the life of the process.

    Example:
        >>> from aimm_plugins import data_access, exec_data_access, get_plugin_manager, hookimpl
        >>> @data_access("answer")
        ... def answer():
        ...     return 42
        >>> class Tell:
        ...     @hookimpl(wrapper=True)
        ...     def aimm_data_access(self, name):
        ...         print("before", name)
        ...         return (yield)
        >>> manager = get_plugin_manager()
        >>> name = manager.register(Tell())
        >>> exec_data_access("answer")
        before answer
        42
        >>> plugin = manager.unregister(name=name)
    """
    return PROCESS.runtime.manager
