"""What is wrong with a hook implementation, told with its place and what to do."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from inspect import isgeneratorfunction
from typing import Any

from aimm_plugins._system.signatures import signature_of
from aimm_plugins._system.text import nearest
from aimm_plugins._values.provenance import short_file


def place_of(function: Callable[..., Any]) -> str:
    inner: Any = inspect.unwrap(getattr(function, "__func__", function))
    code = getattr(inner, "__code__", None)
    if code is None:  # of an extension
        return str(getattr(inner, "__module__", "?"))
    # What is made by `exec` may have no module.
    return f"{short_file(code.co_filename, inner.__module__ or '')}:{code.co_firstlineno}"


def refusal(
    name: str, function: Callable[..., Any], options: Mapping[str, Any], hooks: object
) -> str | None:
    """Why an implementation, with the options of its marker, cannot be registered, if so."""
    hook = options.get("specname") or name
    caller = getattr(hooks, hook, None)
    spec = getattr(caller, "spec", None)
    if spec is None and options.get("optionalhook"):
        return None
    if spec is None:
        known = [other for other, caller in vars(hooks).items() if getattr(caller, "spec", None)]
        near = nearest(hook, known)
        if near:
            return f"matches no hook; did you mean {near[0]}?"
        return (
            f"matches no hook; there are {', '.join(sorted(known))}. One that only some hosts have "
            "is marked by hookimpl(optionalhook=True)"
        )
    offered = (*spec.argnames, *spec.kwargnames)
    unknown = [argument for argument in _needed(function) if argument not in offered]
    if unknown:
        return (
            f"takes {', '.join(unknown)}, which {hook} does not pass; it passes "
            f"{', '.join(offered)}. Name those of them that are needed"
        )
    styles = [style for style in ("wrapper", "hookwrapper") if options.get(style)]
    if styles and _is_async(function):
        return _NOT_AWAITED
    if styles and not isgeneratorfunction(function):
        return "is marked as a wrapper and does not yield; write `result = yield` where the call is"
    if styles and caller is not None and caller.is_historic():
        return f"is a wrapper, and {hook} is a historic hook, which takes none"
    if len(styles) > 1:
        return "is marked as a wrapper of both styles; write hookimpl(wrapper=True)"
    return None


def mistake(function: Callable[..., Any], options: Mapping[str, Any]) -> str | None:
    """Why an implementation that can be registered cannot do what it is meant to."""
    is_wrapper = options.get("wrapper") or options.get("hookwrapper")
    if isgeneratorfunction(function) and not is_wrapper:
        return "yields and is no wrapper, so that its calls fail; mark it by hookimpl(wrapper=True)"
    if _is_async(function):
        return _NOT_AWAITED
    for parameter in signature_of(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            star = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
            return (
                f"takes {star}{parameter.name}, which stays empty; hooks pass what a parameter "
                f"names: write args and kwargs without stars"
            )
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            return f"takes {parameter.name} as a keyword, and hooks pass by position; remove the *"
    return None


_NOT_AWAITED = "is async, and hooks are not awaited; write it without async"


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _needed(function: Callable[..., Any]) -> list[str]:
    """The parameters that a hook has to pass, as pluggy sees them."""
    try:
        parameters = signature_of(function).parameters.values()
    except (TypeError, ValueError):  # pluggy looks at the code, and has its own words
        return []
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in parameters if p.kind in by_position and p.default is p.empty]
    is_method = "." in getattr(function, "__qualname__", "").rpartition("<locals>.")[2]
    return names[1:] if is_method and names[:1] in (["self"], ["cls"]) else names
