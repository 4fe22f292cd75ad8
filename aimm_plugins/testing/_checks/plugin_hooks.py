"""The check of hook implementations, which a plugin may have beside its declarations."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

import aimm_plugins
from aimm_plugins._dispatch.hookimpls import mistake, place_of, refusal
from aimm_plugins._dispatch.hookspecs import PROJECT
from aimm_plugins._dispatch.manager import HOOKS
from aimm_plugins._system.modules import contents
from aimm_plugins.testing._checks.registry import check
from aimm_plugins.testing._subject import Subject


@check("plugin")
def hookimpls_are_in_order(subject: Subject) -> None:
    """Each hook implementation has the marker of this package, and fits its hook."""
    manager = aimm_plugins.get_plugin_manager()
    known = {
        getattr(impl.function, "__func__", impl.function)
        for plugin in manager.get_plugins()
        for caller in manager.get_hookcallers(plugin) or ()
        for impl in caller.get_hookimpls()
    }
    declared = {p.declaration.target for p in subject.providers() if p.declaration is not None}
    faults = []
    for name, function, marks in _functions(subject.plugin):
        if PROJECT in marks:
            options = marks[PROJECT]
            fault = refusal(name, function, options, manager.hook) or mistake(function, options)
            if fault is None and function not in known:
                subject.notes.append(
                    f"{place_of(function)}: {name} is registered neither by the import nor by a "
                    f"conf, which registers functions at the top of {subject.plugin} alone"
                )
        else:
            fault = None if function in declared else _unmarked(name, marks)
        if fault is not None:
            faults.append(f"{place_of(function)}: {name} {fault}")
    if faults:
        raise AssertionError("\n".join(faults))


Marks = Mapping[str, Mapping[str, Any]]
"""The options that markers of pluggy have left on a function, by their projects' names."""


def _functions(plugin: str) -> Iterator[tuple[str, Callable[..., Any], Marks]]:
    """The functions and methods that a plugin's modules define, with their marks."""
    for module_name, module in list(sys.modules.items()):
        if not f"{module_name}.".startswith(f"{plugin}.") or not isinstance(module, ModuleType):
            continue
        for name, value in list(contents(module).items()):
            # Not `isinstance`: a proxy that stands for what is not there raises when it is asked.
            if not issubclass(type(value), FunctionType | type):
                continue
            if value.__module__ != module_name:
                continue
            members = vars(value) if isinstance(value, type) else {name: value}
            for member, found in members.items():
                # The mark of a static method may be on itself, and not on its function.
                is_method = type(found) in (staticmethod, classmethod)
                function = found.__func__ if is_method else found
                if type(function) is FunctionType:
                    yield member, function, _marks(found)


def _marks(function: Any) -> Marks:
    return {
        name.removesuffix("_impl"): value
        for name, value in vars(function).items()
        if name.endswith("_impl") and isinstance(value, dict) and "hookwrapper" in value
    }


def _unmarked(name: str, marks: Marks) -> str | None:
    """What is wrong with a function that this package's marker is not on."""
    remedy = "mark it by aimm_plugins.hookimpl"
    for project, options in marks.items():
        if (options.get("specname") or name) in HOOKS:
            return f"is marked for {project!r}, which nobody calls; {remedy}"
    if name in HOOKS and not marks:
        return f"has the name of a hook and no marker; {remedy}, or rename it"
    return None
