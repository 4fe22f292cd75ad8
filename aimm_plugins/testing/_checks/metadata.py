"""Checks of the plugin's metadata, and of how its code is declared, documented and hooked in."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from functools import partial
from types import FunctionType, ModuleType
from typing import Any

import aimm_plugins
from aimm_plugins import Action, Provider
from aimm_plugins._discovery.groups import CONFORMANCE, OPTIONS, suffix_of
from aimm_plugins._discovery.scan import scan
from aimm_plugins._dispatch.hookspecs import PROJECT, place_of, refusal
from aimm_plugins._dispatch.manager import HOOKS
from aimm_plugins._system.modules import contents
from aimm_plugins._system.signatures import signature_of
from aimm_plugins.testing._checks.registry import check
from aimm_plugins.testing._subject import Inapplicable, Subject


@check("plugin")
def keys_are_as_published(subject: Subject) -> None:
    """The keys that the metadata publishes are those that the code declares."""
    _refuse_finding("published-keys-differ")


def _refuse_finding(code: str) -> None:
    """Fail where the start, which has loaded the plugin alone, has found this."""
    for finding in aimm_plugins.current_report().findings:
        if finding.code == code:
            raise AssertionError(f"{finding.message}. {finding.remedy}")


@check("plugin")
def entry_points_resolve(subject: Subject) -> None:
    """Each entry point of its distribution, of this package's groups, names what is there."""
    from importlib.metadata import PackageNotFoundError, distribution

    name = scan().publisher(subject.plugin)
    if name is None:
        raise Inapplicable("no distribution owns it")
    try:
        points = distribution(name).entry_points
    except PackageNotFoundError:
        raise Inapplicable(f"the metadata of {name} cannot be read") from None
    faults = []
    for point in points:
        # Those of options may name files, and have a check of their own.
        if point.group == CONFORMANCE or suffix_of(point.group) not in (None, OPTIONS):
            try:
                point.load()
            except Exception as error:
                faults.append(f"[{point.group}] {point.name} = {point.value}: {error}")
    if faults:
        raise AssertionError("\n".join(faults))


@check("plugin")
def options_have_a_sound_schema(subject: Subject) -> None:
    """The schema that it publishes for its options is there and sound, and its defaults fit it."""
    from aimm_plugins._options.schema import read_schema
    from aimm_plugins._startup.plugin_options import denial_now
    from aimm_plugins._startup.runtime import PROCESS

    installed = scan()
    published = installed.options_of(subject.plugin, installed.publisher(subject.plugin))
    if len(published) > 1:
        raise AssertionError("several schemas: " + ", ".join(map(str, published)))
    if not published:
        raise Inapplicable("its metadata publishes no schema of options")
    schema = read_schema(published[0], partial(denial_now, PROCESS.runtime))
    # Without any options the only fault can be that some are required, which is no fault of the
    # schema; a default that does not fit raises.
    schema.check({})


@check("plugin")
def something_is_declared(subject: Subject) -> None:
    """The plugin declares a function or class, or has a hook implementation."""
    _refuse_finding("declares-nothing")


@check("plugin")
def actions_come_in_pairs(subject: Subject) -> None:
    """What is serialized can be deserialized, and what is fitted can be made."""
    actions: dict[str, set[Action]] = {}
    for provider in subject.providers():
        actions.setdefault(provider.key, set()).add(provider.action)
    faults = []
    for key, provided in sorted(actions.items()):
        if len(provided & {"serialize", "deserialize"}) == 1:
            (one,) = provided & {"serialize", "deserialize"}
            faults.append(f"{key} has {one} alone")
        if provided & {"fit", "predict"} and not provided & {"instantiate", "deserialize"}:
            faults.append(f"{key} has neither instantiate nor deserialize")
    if faults:
        raise AssertionError("; ".join(faults))


@check("plugin")
def signatures_are_typed(subject: Subject) -> None:
    """Each parameter and result of a declared function has an annotation."""
    faults = [
        f"{_place(provider)}: {', '.join(bare)}"
        for provider in subject.providers()
        if (bare := _untyped(provider))
    ]
    if faults:
        raise AssertionError("without an annotation:\n" + "\n".join(dict.fromkeys(faults)))


def _untyped(provider: Provider) -> list[str]:
    declaration = provider.declaration
    assert declaration is not None, "the plugin is loaded"
    try:
        signature = signature_of(declaration.function)
    except (TypeError, ValueError):
        return []
    parameters = list(signature.parameters.values())
    if declaration.method is not None:
        parameters = parameters[1:]
    bare = [parameter.name for parameter in parameters if parameter.annotation is parameter.empty]
    if signature.return_annotation is signature.empty and not inspect.isclass(declaration.function):
        bare.append("its result")
    return bare


@check("plugin")
def docstrings_are_there(subject: Subject) -> None:
    """Each declared function, method and class has a docstring."""
    faults = []
    for provider in subject.providers():
        declaration = provider.declaration
        assert declaration is not None, "the plugin is loaded"
        # A class inherits no `__doc__`; an inherited method has its parent's, and a
        # `functools.partial` that of its class, which is about no plugin.
        text = getattr(declaration.function, "__doc__", None) or ""
        if not text.strip() or text == type(declaration.function).__doc__:
            faults.append(_place(provider))
    if faults:
        raise AssertionError("without a docstring: " + ", ".join(dict.fromkeys(faults)))


def _place(provider: Provider) -> str:
    return f"{provider.qualname} ({provider.provenance.place})"


# Hook implementations, which a plugin may have beside its declarations


@check("plugin")
def hookimpls_are_in_order(subject: Subject) -> None:
    """Each hook implementation has the marker of this package, and fits its hook."""
    hooks = aimm_plugins.get_plugin_manager().hook
    declared = {p.declaration.target for p in subject.providers() if p.declaration is not None}
    faults = []
    for name, function in _functions(subject.plugin):
        marks = _marks(function)
        if PROJECT in marks:
            fault = refusal(name, function, marks[PROJECT], hooks)
        else:
            fault = None if function in declared else _unmarked(name, marks)
        if fault is not None:
            faults.append(f"{place_of(function)}: {name} {fault}")
    if faults:
        raise AssertionError("\n".join(faults))


def _functions(plugin: str) -> Iterator[tuple[str, FunctionType]]:
    """The functions that a plugin's modules define.

    The manager itself refuses methods that do not fit, when their object is registered.
    """
    for module_name, module in list(sys.modules.items()):
        if not f"{module_name}.".startswith(f"{plugin}.") or not isinstance(module, ModuleType):
            continue
        for name, value in list(contents(module).items()):
            # Not `isinstance`: a proxy that stands for what is not there raises when it is asked.
            if type(value) is FunctionType and value.__module__ == module_name:
                yield name, value


def _marks(function: FunctionType) -> dict[str, Any]:
    """The options that markers of pluggy have left on a function, by their projects' names."""
    return {
        name.removesuffix("_impl"): value
        for name, value in vars(function).items()
        if name.endswith("_impl") and isinstance(value, dict) and "hookwrapper" in value
    }


def _unmarked(name: str, marks: dict[str, Any]) -> str | None:
    """What is wrong with a function that this package's marker is not on."""
    remedy = "mark it by aimm_plugins.hookimpl"
    for project, options in marks.items():
        if (options.get("specname") or name) in HOOKS:
            return f"is marked for {project!r}, which nobody calls; {remedy}"
    if name in HOOKS and not marks:
        return f"has the name of a hook and no marker; {remedy}, or rename it"
    return None
