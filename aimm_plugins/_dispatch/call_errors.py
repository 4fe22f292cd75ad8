"""Say more about what went wrong in a call: whose plugin it is, and which argument does not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from typing import Any

from aimm_plugins._registry.providers import Provider
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.log import logger
from aimm_plugins._system.signatures import shown_signature, signature_of
from aimm_plugins._system.text import did_you_mean, type_name
from aimm_plugins._values.actions import ACTIONS, Action


def not_a_callback(action: Action, given: object) -> TypeError:
    """The error for what is given in the place of the state callback, mostly the data."""
    spec = ACTIONS[action]
    before = spec.key_argument if spec.takes is None else f"{spec.key_argument}, {spec.takes}"
    return TypeError(
        f"exec_{action}: state_cb is a callable or None, and was given {type(given).__name__}. "
        f"The state callback comes before the arguments of the plugin: "
        f"exec_{action}({before}, state_cb, ...)"
    )


def explain(
    error: BaseException,
    provider: Provider,
    instance: Any,
    state_cb: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> None:
    """Say more about an exception of a declared function; call it in the frame that caught it.

    Checking arguments before each call would cost more than most calls, and Python checks them
    anyhow. So the signature is looked at only after Python has refused them.

    Raises:
        TypeError: The function was never entered, since it does not take these arguments.
    """
    if issubclass(type(error), TypeError | AttributeError):
        traceback = error.__traceback__
        # This module's caller and the call itself. A further frame is code that we called.
        if traceback is None or traceback.tb_next is None:
            misfit = _misfit(provider, instance, state_cb, args, kwargs)
            if misfit is not None:
                raise misfit from None
    annotate(error, provider)


def annotate(error: BaseException, provider: Provider) -> None:
    """Add a note that names the plugin to its own exception, which stays what it is."""
    note = f"in {provider}"
    with guarded() as attempt:  # an exception class may override `add_note`
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
    if attempt.error is not None:
        logger().debug("no note could be added to %s", type_name(error))


def _misfit(
    provider: Provider,
    instance: Any,
    state_cb: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> TypeError | None:
    declaration = provider.declaration
    assert declaration is not None
    spec = ACTIONS[declaration.action]
    function = declaration.function
    if declaration.method is not None:
        found = getattr(instance, declaration.method, None)
        if found is None:
            return TypeError(
                f"the instance is a {type(instance).__qualname__}, which has no method "
                f"{declaration.method}; {provider} expects a {declaration.target.__name__}"
            )
        function, takes_first = found, False
    else:
        takes_first = spec.takes is not None and declaration.instance_arg_name is None
    if takes_first:
        args = (instance, *args)
    keywords = dict(kwargs)
    if declaration.instance_arg_name is not None:
        keywords[declaration.instance_arg_name] = instance
    if declaration.state_cb_arg_name is not None:
        keywords[declaration.state_cb_arg_name] = state_cb
    found = _signature(function)
    if found is None:
        return None
    signature, shown = found
    try:
        signature.bind(*args, **keywords)
    except TypeError as refusal:
        reason = _reason(str(refusal), signature, args, kwargs, keywords, takes_first)
        takes_callback = spec.free_arguments and declaration.method is None
        if takes_callback and declaration.state_cb_arg_name is None:
            reason += _undeclared_callback(reason, signature)
        return TypeError(
            f"{provider.action}:{provider.key} cannot be called like this: {reason}\n"
            f"  {declaration.qualname}{shown}\n"
            f"  {provider.provenance}"
        )
    return None


def _signature(function: Callable[..., Any]) -> tuple[Signature, str] | None:
    # What a decorated function says it takes may not be what its decorator takes, and it is the
    # decorator's function that refused. Only what is not written in Python has no signature but
    # that of what it wraps.
    for follow_wrapped in (False, True):
        try:
            signature = signature_of(function, follow_wrapped=follow_wrapped)
            return signature, shown_signature(function, follow_wrapped=follow_wrapped)
        except Exception:  # what a callable object says of itself may be broken
            continue
    return None


def _reason(
    refusal: str,
    signature: Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    keywords: Mapping[str, Any],
    takes_first: bool,
) -> str:
    """Python's own words, with what they leave out."""
    parameters = signature.parameters
    if refusal == "too many positional arguments":
        takes = sum(
            parameter.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
            and name not in keywords
            for name, parameter in parameters.items()
        )
        given = f"{len(args)} given{', with the instance,' if takes_first else ''}"
        return f"{refusal}: {given} and it takes {takes}"
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return refusal
    free = [name for name in parameters if name not in keywords]
    for name in kwargs:
        if name in parameters:
            continue
        # Of a missing and an unknown argument, Python names one.
        if repr(name) not in refusal:
            refusal += f"; there is no argument {name!r}"
        near = did_you_mean(name, free)
        if near:
            refusal += f" ({near})"
    return refusal


def _undeclared_callback(reason: str, signature: Signature) -> str:
    """A hint, if what is missing looks like the state callback, which has to be asked for."""
    for name in signature.parameters:
        is_missing = reason.startswith("missing") and repr(name) in reason
        if is_missing and name.endswith(("cb", "callback")):
            return f" (if that is the state callback, decorate with state_cb_arg_name={name!r})"
    return ""
