"""Checks of the plugin's metadata, and of how its code is declared and documented."""

from __future__ import annotations

import inspect
from functools import partial

import aimm_plugins
from aimm_plugins import Action, Provider
from aimm_plugins._discovery.groups import CONFORMANCE, OPTIONS, suffix_of
from aimm_plugins._discovery.module_location import locate
from aimm_plugins._discovery.scan import scan
from aimm_plugins._system.signatures import signature_of
from aimm_plugins.testing._checks.registry import check
from aimm_plugins.testing._subject import Inapplicable, Subject


@check("plugin")
def keys_are_as_published(subject: Subject) -> None:
    """The keys that the metadata publishes are those that the code declares."""
    installed = scan()
    published = {
        (line.action, line.key)
        for candidate in installed.candidates
        if candidate.module == subject.plugin
        for line in installed.keys_of(candidate)
    }
    if not published:
        raise Inapplicable("its metadata publishes no keys")
    declared = {(provider.action, provider.key) for provider in subject.providers()}
    faults = [
        f"{what}: {', '.join(f'{action}:{key}' for action, key in sorted(slots))}"
        for what, slots in (
            ("published and not declared", published - declared),
            ("declared and not published", declared - published),
        )
        if slots
    ]
    if faults:
        raise AssertionError(
            "; ".join(faults) + ". To publish what is declared: aimm-plugins entry-points --write, "
            "then install the package again (pip install -e .)"
        )


@check("plugin")
def entry_points_resolve(subject: Subject) -> None:
    """Each entry point of its distribution, of this package's groups, names what is there."""
    from importlib.metadata import PackageNotFoundError, distribution

    name = _distribution_of(subject.plugin)
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

    published = scan().options_of(subject.plugin, _distribution_of(subject.plugin))
    if len(published) > 1:
        raise AssertionError("several schemas: " + ", ".join(map(str, published)))
    if not published:
        raise Inapplicable("its metadata publishes no schema of options")
    schema = read_schema(published[0], partial(denial_now, PROCESS.runtime))
    # Without any options the only fault can be that some are required, which is no fault of the
    # schema; a default that does not fit raises.
    schema.check({})
    bare = [option.name for option in schema.known() if not option.description]
    if bare:
        subject.notes.append(f"without a description: {', '.join(bare)}")


def _distribution_of(module: str) -> str | None:
    installed = scan()
    for candidate in installed.candidates:
        if candidate.module == module:
            return candidate.distribution.name
    owner = installed.owner(module, locate(module))
    return None if owner is None else owner.name


@check("plugin")
def something_is_declared(subject: Subject) -> None:
    """The plugin declares a function or class, or has a hook implementation."""
    for finding in aimm_plugins.current_report().findings:
        if finding.code == "declares-nothing":
            raise AssertionError(f"{finding.message}. {finding.remedy}")


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
