"""Find what `aimm-plugins check` is to check, and what the authors say of it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from operator import attrgetter
from typing import Any

from aimm_plugins._config.parse import read
from aimm_plugins._config.values import Conf
from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.groups import CONFORMANCE
from aimm_plugins._discovery.module_location import locate
from aimm_plugins._discovery.scan import Scan, scan
from aimm_plugins._environments.plan import look_up
from aimm_plugins._inventory.module_files import file_in
from aimm_plugins._startup.prepare import admission_now
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.log import logger
from aimm_plugins._system.names import normalized
from aimm_plugins._system.text import described, did_you_mean
from aimm_plugins.errors import PluginImportError
from aimm_plugins.testing._conformance import Conformance
from aimm_plugins.testing._isolation import isolated
from aimm_plugins.testing._trials import plugin_of, trials


class _DeniedError(PluginImportError):
    """A rule keeps a module out."""


def find_target(
    target: str | None,
    only: Iterable[str] = (),
    conf: Conf = None,
    failures: list[PluginImportError] | None = None,
    among: Collection[str] = (),
) -> tuple[Conformance | str, ...]:
    """Find the conformances and plugin modules that `check_plugin` is to check.

    Of all that is installed, what a rule denies is left out, which a warning in the log says; where
    that is all, each is a failure.

    Args:
        target: A distribution, a plugin module, `MODULE:OBJECT` of a `Conformance` or of several,
            or `None` for all that is installed.
        only: Names of checks that are to be run.
        conf: Whose rules hold, beside those of the operator; `None` for the confs of this process.
        failures: Where given, the errors of distributions that cannot be checked are added to it,
            and the others are returned, if `target` is `None`.
        among: Names of distributions that alone are looked at, if `target` is `None`.

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
    search = _Search(conf)
    about = search.everything(failures, among) if target is None else search.target(target)
    trials(about, only)  # raises where a check does not exist
    return tuple(sorted(about, key=lambda subject: isinstance(subject, str)))


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


class _Search:
    def __init__(self, conf: Conf) -> None:
        self._conf = conf
        self._installed = scan()
        self._admission = admission_now(PROCESS.runtime, conf)
        self._distributions = _with_plugins(self._installed)

    def everything(
        self, failures: list[PluginImportError] | None, among: Collection[str]
    ) -> list[Conformance | str]:
        names = [normalized(name) for name in among] or list(self._distributions)
        found = [self._distributions[name] for name in names if name in self._distributions]
        if not found:
            what = f"none of {', '.join(names)}" if among else "no plugin"
            raise LookupError(f"{what} is installed; name a module")
        about: list[Conformance | str] = []
        errors: list[PluginImportError] = []
        for distribution in found:
            try:
                about += self._of(distribution)
            except PluginImportError as error:
                errors.append(error)
        denials = [error for error in errors if isinstance(error, _DeniedError)]
        if len(denials) < len(found):  # a check of nothing must not look as if all were well
            errors = [error for error in errors if error not in denials]
            for denial in denials:
                logger().warning("not checked: %s", denial)
        if failures is not None:
            failures += errors
        elif errors:
            raise errors[0]
        return about

    def target(self, target: str) -> list[Conformance | str]:
        if ":" in target:
            module, _, attribute = target.partition(":")
            return [*self._conformances(module, attribute, target, None)]
        if normalized(target) in self._distributions:
            return self._of(self._distributions[normalized(target)])
        file = locate(target)
        if file is None and target not in sys.modules:
            if self._installed.has(target):
                raise LookupError(
                    f"{target} is installed and has no entry point in the group aimm.plugins: see "
                    f"`aimm-plugins explain {target}`"
                )
            text = f"{target!r} is no installed distribution with plugins, and no module"
            hint = self._environment_hint(target) or _hint(target, self._distributions)
            raise LookupError(text + hint)
        owner = self._installed.owner(target, file)
        self._refuse_denied(target, target, owner)
        said = [] if owner is None else self._of(owner)
        return [target, *(s for s in said if isinstance(s, Conformance) and s.plugin == target)]

    def _of(self, distribution: Distribution) -> list[Conformance | str]:
        """The plugins of a distribution, and what its entry points say of them."""
        from importlib.metadata import EntryPoint, PackageNotFoundError
        from importlib.metadata import distribution as find

        candidates = self._installed.candidates
        own = [c.module for c in candidates if c.distribution.key == distribution.key]
        plugins = list(dict.fromkeys(own))
        for module in plugins:
            self._refuse_denied(module, distribution.who, distribution)
        points: Iterable[EntryPoint] = ()
        with suppress(PackageNotFoundError):
            points = find(distribution.name).entry_points.select(group=CONFORMANCE)
        about: list[Conformance | str] = [*plugins]
        for point in points:
            module, _, attribute = (part.strip() for part in point.value.partition(":"))
            place = f"{point.name} = {point.value}"
            with guarded() as attempt:  # whatever it is, it is no wrong use of the command
                said = self._conformances(module, attribute, place, distribution)
                said = [_with_plugin(conformance, plugins) for conformance in said]
                trials(said)  # raises where one expects a check to fail that does not exist
                about += said
            if isinstance(attempt.error, PluginImportError):
                raise attempt.error
            if attempt.error is not None:
                text = f"{place} of {distribution.name}: {described(attempt.error)}"
                raise PluginImportError(text, name=module) from attempt.error
        return about

    def _conformances(
        self, module: str, attribute: str, place: str, publisher: Distribution | None
    ) -> list[Conformance]:
        """What an object is: a `Conformance`, several, or a function that returns such."""
        self._refuse_denied(module, place, publisher)
        found: Any = None
        with guarded() as attempt:  # sys.exit() must not decide what the check ends with
            found = importlib.import_module(module)
        if attempt.error is not None:
            why = f"{described(attempt.error)}{_hint(module, ())}"
            text = f"{place}: {module} cannot be imported: {why}"
            raise PluginImportError(text, name=module) from attempt.error
        attribute = attribute or "CONFORMANCE"
        try:
            found = attrgetter(attribute)(found)
        except AttributeError as error:
            raise LookupError(f"{place}: {module} has no {attribute!r}") from error
        if callable(found) and not isinstance(found, Conformance):
            make = found
            with guarded() as attempt:
                found = make()
            if attempt.error is not None:
                text = f"{place}: {described(attempt.error)}"
                raise PluginImportError(text, name=module) from attempt.error
        given = [found] if isinstance(found, Conformance) else found
        is_list = isinstance(given, list | tuple)
        if not given or not is_list or not all(isinstance(one, Conformance) for one in given):
            raise ValueError(f"{place}: {found!r:.100} is no Conformance, nor a list of them")
        return list(given)

    def _refuse_denied(self, module: str, place: str, publisher: Distribution | None) -> None:
        denial = self._admission.denial_of(module, publisher)
        if denial is not None:
            raise _DeniedError(f"{place}: {module} is not imported: {denial}", name=module)

    def _environment_hint(self, name: str) -> str:
        """Which environment of a conf has a distribution or module."""
        configs = PROCESS.runtime.confs if self._conf is None else [read(self._conf)]
        for environment in look_up(configs, self._installed):
            modules = {candidate.module for candidate in environment.installed.candidates}
            if name in modules or normalized(name) in _with_plugins(environment.installed):
                where = environment.name
                return f"; environment {where} has it: add --environment {where}"
        return ""


def _with_plugins(installed: Scan) -> dict[str, Distribution]:
    """The distributions that have plugins, by their normalized names."""
    return {found.distribution.key: found.distribution for found in installed.candidates}


def _hint(name: str, distributions: Collection[str]) -> str:
    """What may help where nothing of a name was found."""
    spelled = name.removesuffix(".py").removesuffix("/__init__").strip("./").replace("/", ".")
    spelled = spelled.replace("-", "_").removeprefix("src.")
    for folder in ("src", ".") if locate(name) is None else ():
        file = file_in(os.path.abspath(folder), spelled)
        if file is not None and os.path.isfile(file):
            use = f"add --path {folder}"
            if spelled != name:
                use = f"write {spelled} --path {folder}"
            if os.path.isfile("pyproject.toml"):
                use += ", or install it: pip install -e ."
            return f"; {file} is there: {use}"
    hint = did_you_mean(name, distributions)
    return f"; {hint}" if hint else ""


def _with_plugin(conformance: Conformance, plugins: list[str]) -> Conformance:
    """A conformance with the module of its plugin: one of its distribution's, unless it says so."""
    if conformance.plugin is not None:
        return conformance
    if len(plugins) == 1:
        return replace(conformance, plugin=plugins[0])
    with isolated() as state:
        state.load(*plugins)
        return replace(conformance, plugin=plugin_of(conformance))
