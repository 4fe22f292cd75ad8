"""Find what `aimm-plugins check` is to check, and what the authors say of it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import aimm_plugins
from aimm_plugins._config.values import Conf
from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.groups import CONFORMANCE
from aimm_plugins._discovery.module_location import locate
from aimm_plugins._discovery.scan import Scan, scan
from aimm_plugins._inventory.places import file_in
from aimm_plugins._startup.admission import Admission
from aimm_plugins._startup.prepare import admission_now
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.log import logger
from aimm_plugins._system.names import normalized
from aimm_plugins._system.text import described, did_you_mean
from aimm_plugins.errors import PluginImportError
from aimm_plugins.testing._conformance import Conformance
from aimm_plugins.testing._isolation import isolated
from aimm_plugins.testing._trials import trials


class _DeniedError(PluginImportError):
    """A rule keeps a module out."""


def find_target(
    target: str | None,
    only: Iterable[str] = (),
    conf: Conf = None,
    failures: list[PluginImportError] | None = None,
) -> tuple[Conformance | str, ...]:
    """Find the conformances and plugin modules that `check_plugin` is to check.

    Of all that is installed, what a rule denies is left out, which a warning in the log says.

    Args:
        target: A distribution, a plugin module, `MODULE:OBJECT` of a `Conformance` or of several,
            or `None` for all that is installed.
        only: Names of checks that are to be run.
        conf: Whose rules hold, beside those of the operator; `None` for the confs of this process.
        failures: Where given, the errors of distributions that cannot be checked are added to it,
            and the others are returned, if `target` is `None`.

    Returns:
        What `check_plugin` takes: modules by name, and the conformances.

    Raises:
        ConfigError: The conf is wrong.
        LookupError: There is nothing of that name.
        ValueError: What `target` names is no `Conformance`, or there is no such check.
        PluginImportError: A module is denied, one that holds a `Conformance` cannot be imported, or
            an entry point of an installed distribution names none.

    Example:
        >>> from aimm_plugins.testing import find_target
        >>> find_target("json")
        ('json',)
    """
    plugins, conformances = _find(target, admission_now(PROCESS.runtime, conf), failures)
    trials(conformances, plugins, only)  # raises where a check does not exist
    return (*conformances, *plugins)


def uncovered_keys(*about: Conformance | str) -> tuple[str, ...]:
    """Keys of the plugins that no `Conformance` is about, so that no check calls them.

    Args:
        *about: As `check_plugin` takes it.

    Returns:
        The keys, sorted.

    Raises:
        PluginLoadError: A plugin cannot be loaded.

    Example:
        >>> from aimm_plugins.testing import uncovered_keys
        >>> uncovered_keys("json")
        ()
    """
    conformances = [subject for subject in about if isinstance(subject, Conformance)]
    modules = [subject for subject in about if isinstance(subject, str)]
    modules += [conformance.plugin for conformance in conformances if conformance.plugin]
    with isolated() as state:
        state.load(*dict.fromkeys(modules))
        keys = {key for _, key in state.providers()}
    return tuple(sorted(keys - {conformance.key for conformance in conformances}))


def _find(
    target: str | None, admission: Admission, failures: list[PluginImportError] | None
) -> tuple[list[str], list[Conformance]]:
    installed = scan()
    by_key = {
        candidate.distribution.key: candidate.distribution for candidate in installed.candidates
    }
    if target is None:
        if not by_key:
            raise LookupError("no plugin is installed; name a module")
        plugins: list[str] = []
        conformances: list[Conformance] = []
        for distribution in by_key.values():
            try:
                modules, said = _of_distribution(installed, distribution, admission)
            except _DeniedError as error:
                logger().warning("not checked: %s", error)
            except PluginImportError as error:
                if failures is None:
                    raise
                failures.append(error)
            else:
                plugins += modules
                conformances += said
        return plugins, conformances
    if ":" in target:
        module, _, attribute = target.partition(":")
        return [], _conformances(module, attribute, target, None, admission)
    if normalized(target) in by_key:
        return _of_distribution(installed, by_key[normalized(target)], admission)
    file = locate(target)
    if file is None and target not in sys.modules:
        text = f"{target!r} is no installed distribution with plugins, and no module"
        raise LookupError(text + _hint(target, by_key))
    owner = installed.owner(target, file)
    _refuse_denied(target, target, owner, admission)
    if owner is None:
        return [target], []
    _, said = _of_distribution(installed, owner, admission)
    return [target], [conformance for conformance in said if conformance.plugin == target]


def _hint(name: str, distributions: Collection[str]) -> str:
    """What may help where nothing of a name was found."""
    file = file_in(os.getcwd(), name) if locate(name) is None else None
    if file is not None and os.path.isfile(file):
        return f"; {file} is there: add --path ."
    hint = did_you_mean(name, distributions)
    return f"; {hint}" if hint else ""


def _of_distribution(
    installed: Scan, distribution: Distribution, admission: Admission
) -> tuple[list[str], list[Conformance]]:
    from importlib.metadata import EntryPoint, PackageNotFoundError
    from importlib.metadata import distribution as find

    modules = dict.fromkeys(
        candidate.module
        for candidate in installed.candidates
        if candidate.distribution.key == distribution.key
    )
    for module in modules:
        _refuse_denied(module, distribution.who, distribution, admission)
    points: Iterable[EntryPoint] = ()
    with suppress(PackageNotFoundError):
        points = find(distribution.name).entry_points
    plugins = list(modules)
    conformances: list[Conformance] = []
    for point in points:
        if point.group == CONFORMANCE:
            module, _, attribute = (part.strip() for part in point.value.partition(":"))
            place = f"{point.name} = {point.value}"
            with guarded() as attempt:  # whatever it is, it is no wrong use of the command
                found = _conformances(module, attribute, place, distribution, admission)
                found = [_with_plugin(conformance, plugins) for conformance in found]
                trials(found)  # raises where one expects a check to fail that does not exist
                conformances += found
            if isinstance(attempt.error, PluginImportError):
                raise attempt.error
            if attempt.error is not None:
                text = f"{place} of {distribution.name}: {described(attempt.error)}"
                raise PluginImportError(text, name=module) from attempt.error
    return plugins, conformances


def _conformances(
    module: str,
    attribute: str,
    place: str,
    publisher: Distribution | None,
    admission: Admission,
) -> list[Conformance]:
    """What an object is: a `Conformance`, several, or a function that returns such."""
    _refuse_denied(module, place, publisher, admission)
    found: Any = None
    with guarded() as attempt:  # sys.exit() must not decide what the check ends with
        found = importlib.import_module(module)
    if attempt.error is not None:
        raise PluginImportError(
            f"{place}: {module} cannot be imported: {described(attempt.error)}{_hint(module, ())}",
            name=module,
        ) from attempt.error
    for name in attribute.split(".") if attribute else ["CONFORMANCE"]:
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise LookupError(f"{place}: {module} has no {name!r}") from error
    if callable(found) and not isinstance(found, Conformance):
        found = found()
    given = [found] if isinstance(found, Conformance) else found
    if not given or not (
        isinstance(given, list | tuple) and all(isinstance(item, Conformance) for item in given)
    ):
        raise ValueError(f"{place}: {found!r:.100} is no Conformance, nor a list of them")
    return list(given)


def _refuse_denied(
    module: str, place: str, publisher: Distribution | None, admission: Admission
) -> None:
    denial = admission.denial_of(module, publisher)
    if denial is not None:
        raise _DeniedError(f"{place}: {module} is not imported: {denial}", name=module)


def _with_plugin(conformance: Conformance, plugins: list[str]) -> Conformance:
    """A conformance with the module of its plugin: one of its distribution's, unless it says so."""
    if conformance.plugin is not None:
        return conformance
    if len(plugins) == 1:
        return replace(conformance, plugin=plugins[0])
    with isolated() as state:
        state.load(*plugins)
        for provider in aimm_plugins.providers(key=conformance.key).values():
            return replace(conformance, plugin=provider.plugin)
    raise LookupError(f"none of {', '.join(plugins)} provides {conformance.key!r}")
