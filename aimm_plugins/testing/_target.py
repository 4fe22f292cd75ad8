"""What `aimm-plugins check` is to look at, and who says what of it."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import aimm_plugins
from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.module_location import locate
from aimm_plugins._discovery.scan import Scan, scan
from aimm_plugins._system.names import normalized
from aimm_plugins._system.text import described
from aimm_plugins.errors import PluginImportError
from aimm_plugins.testing._checks import CONFORMANCE_GROUP
from aimm_plugins.testing._conformance import Conformance
from aimm_plugins.testing._isolation import isolated
from aimm_plugins.testing._results import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Plugins to check.

    Attributes:
        plugins: Their modules.
        conformances: What their authors say.
    """

    plugins: tuple[str, ...]
    conformances: tuple[Conformance, ...]

    @property
    def modules(self) -> tuple[str, ...]:
        """All modules, each once."""
        named = (each.plugin for each in self.conformances if each.plugin is not None)
        return tuple(dict.fromkeys([*self.plugins, *named]))

    def uncovered(self, verdict: Verdict) -> tuple[str, ...]:
        """Keys of the plugins that no Conformance is of."""
        covered = {each.key for each in self.conformances}
        with isolated() as state:
            state.load(*self.modules)
            keys = {key for _, key in state.providers()}
        return tuple(sorted(keys - covered))


def find_target(target: str | None) -> Target:
    """What to check.

    Args:
        target: A distribution, a plugin module, `MODULE:OBJECT` of a Conformance or of several, or
            `None` for all that is installed.

    Raises:
        LookupError: There is nothing of that name.
        ValueError: What an entry point names is no Conformance.
    """
    installed = scan()
    if target is None:
        parts = [
            _of_distribution(installed, each)
            for each in {
                each.distribution.key: each.distribution for each in installed.candidates
            }.values()
        ]
        if not parts:
            raise LookupError("no plugin is installed; name a module")
        return Target(
            plugins=tuple(name for part in parts for name in part.plugins),
            conformances=tuple(each for part in parts for each in part.conformances),
        )
    if ":" in target:
        module, _, attribute = target.partition(":")
        given = _conformances(module, attribute, target)
        return Target(plugins=(), conformances=_with_plugin(given, None))
    key = normalized(target)
    for each in installed.candidates:
        if each.distribution.key == key:
            return _of_distribution(installed, each.distribution)
    file = locate(target)
    if file is None and not _is_there(target):
        raise LookupError(f"{target!r} is no installed distribution with plugins, and no module")
    owner = installed.owner(target, file)
    if owner is None:
        return Target(plugins=(target,), conformances=())
    whole = _of_distribution(installed, owner)
    return replace(
        whole,
        plugins=(target,),
        conformances=tuple(each for each in whole.conformances if each.plugin == target),
    )


def _is_there(module: str) -> bool:
    import sys

    return module in sys.modules


def _of_distribution(installed: Scan, distribution: Distribution) -> Target:
    plugins = tuple(
        dict.fromkeys(
            each.module
            for each in installed.candidates
            if each.distribution.key == distribution.key
        )
    )
    conformances: list[Conformance] = []
    for module, attribute, place in _entry_points(distribution):
        conformances += _conformances(module, attribute, place)
    return Target(
        plugins=plugins,
        conformances=_with_plugin(conformances, plugins),
    )


def _entry_points(distribution: Distribution) -> Iterable[tuple[str, str, str]]:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import distribution as find

    try:
        points = find(distribution.name).entry_points
    except PackageNotFoundError:
        return
    for point in points:
        if point.group == CONFORMANCE_GROUP:
            module, _, attribute = point.value.partition(":")
            yield module.strip(), attribute.strip(), f"{point.name} = {point.value}"


def _conformances(module: str, attribute: str, place: str) -> list[Conformance]:
    """What an object names: a Conformance, several, or a function that returns such."""
    try:
        found: Any = importlib.import_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit() too: it must not decide what the check ends with
        raise PluginImportError(
            f"{place}: {module} cannot be imported: {described(error)}", name=module
        ) from error
    for name in attribute.split(".") if attribute else ["CONFORMANCE"]:
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise LookupError(f"{place}: {module} has no {name!r}") from error
    if callable(found) and not isinstance(found, Conformance):
        found = found()
    given = [found] if isinstance(found, Conformance) else found
    if not isinstance(given, list | tuple) or not all(isinstance(e, Conformance) for e in given):
        raise ValueError(f"{place}: {found!r:.100} is no Conformance, nor a list of them")
    return list(given)


def _with_plugin(
    conformances: Iterable[Conformance], plugins: tuple[str, ...] | None
) -> tuple[Conformance, ...]:
    """The conformances with the plugin's module, where they do not name it."""
    found = []
    for each in conformances:
        if each.plugin is None and plugins is not None:
            each = replace(each, plugin=_provider(each, plugins))
        found.append(each)
    return tuple(found)


def _provider(conformance: Conformance, plugins: tuple[str, ...]) -> str:
    if len(plugins) == 1:
        return plugins[0]
    with isolated() as state:
        state.load(*plugins)
        for provider in aimm_plugins.providers(key=conformance.key).values():
            return provider.plugin
    raise LookupError(f"none of {', '.join(plugins)} provides {conformance.key!r}")
