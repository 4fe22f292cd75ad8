"""OpenTelemetry: a span for every call of a plugin.

Name this module in a conf, `names: [aimm_plugins.contrib.otel]`, or call `instrument()`. Needs
`pip install aimm-plugins[otel]`, which brings the API alone; the host sets up the SDK.

A span is named by action and key (`fit iris.svc`), is of kind internal, and is the current span
while the plugin runs, so that what the plugin traces, and plugins that it calls, are its children.
Its attributes:

    aimm.action               data_access, instantiate, fit, predict, serialize or deserialize
    aimm.key                  the data access name or model type
    aimm.plugin.module        the plugin's module
    aimm.plugin.distribution  the distribution that brought it, if any
    aimm.plugin.version       its version, where it can be read
    aimm.plugin.environment   the environment in whose process it runs, if in any
    code.function.name        the declared function, with its module
    error.type                class of the exception that the call raised

Those of the plugin and its code are absent where an executor answers for a key that no plugin
declares. An exception is recorded as an event and makes the status an error; `KeyboardInterrupt`
and the cancelling of a task are none.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

import aimm_plugins
from aimm_plugins import Action, Result, get_plugin_manager, hookimpl
from aimm_plugins._values.actions import ACTIONS, ActionSpec

try:
    from opentelemetry import trace
except ImportError as error:
    raise ImportError(
        "aimm_plugins.contrib.otel needs opentelemetry-api: pip install 'aimm-plugins[otel]'",
        name=error.name,
    ) from error

Wrapper = Generator[None, Result, Result]
Hookimpl = Callable[[str], Wrapper]


class OpenTelemetryWrapper:
    """A plugin for the plugin manager that makes a span of every call.

    It has a hook wrapper for each action: `aimm_fit`, `aimm_predict` and so on.

    Args:
        tracer_provider: Where spans go; `None` for the global one, also where that is set later.
    """

    def __init__(self, tracer_provider: trace.TracerProvider | None = None) -> None:
        tracer = trace.get_tracer("aimm_plugins", aimm_plugins.__version__, tracer_provider)
        for action in ACTIONS.values():
            setattr(self, action.hook, _hook_wrapper(action, tracer))


def _hook_wrapper(action: ActionSpec, tracer: trace.Tracer) -> Hookimpl:
    """A wrapper of one action's hook; pluggy passes it the key by the name of its parameter."""

    def traced(key: str) -> Wrapper:
        with tracer.start_as_current_span(
            f"{action.name} {key}",
            kind=trace.SpanKind.INTERNAL,
            attributes=_attributes(action.name, key),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                return (yield)
            except Exception as error:
                _record(span, error)
                raise

    def of_name(name: str) -> Wrapper:
        return (yield from traced(name))

    def of_model_type(model_type: str) -> Wrapper:
        return (yield from traced(model_type))

    wrapper = of_name if action.key_argument == "name" else of_model_type
    wrapper.__name__ = wrapper.__qualname__ = action.hook
    return hookimpl(wrapper=True)(wrapper)


def _attributes(action: Action, key: str) -> dict[str, str]:
    attributes = {"aimm.action": str(action), "aimm.key": key}
    provider = aimm_plugins.providers(action, key).get((action, key))
    if provider is None:
        return attributes
    attributes["aimm.plugin.module"] = provider.provenance.module
    if provider.qualname:
        attributes["code.function.name"] = f"{provider.module}.{provider.qualname}"
    if provider.distribution is not None:
        attributes["aimm.plugin.distribution"] = provider.distribution
    if provider.version is not None:
        attributes["aimm.plugin.version"] = provider.version
    if provider.environment is not None:
        attributes["aimm.plugin.environment"] = provider.environment
    return attributes


def _record(span: trace.Span, error: Exception) -> None:
    """Record an error, even one whose message cannot be asked for.

    OpenTelemetry's own recording asks for the message and lets out what that raises, which would
    hide the plugin's error.
    """
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ != "builtins":
        name = f"{kind.__module__}.{name}"
    span.set_attribute("error.type", name)
    try:
        text = f"{kind.__name__}: {error}"
        span.record_exception(error)
    except Exception:
        text = kind.__name__
        span.add_event("exception", {"exception.type": name})
    span.set_status(trace.StatusCode.ERROR, text)


def instrument(tracer_provider: trace.TracerProvider | None = None) -> Callable[[], None]:
    """Trace every call of this process from now on.

    Args:
        tracer_provider: Where spans go; `None` for the global one, also where that is set later.

    Returns:
        A function that ends it; calling it twice does no harm.

    Raises:
        ValueError: Calls are traced already, by an earlier `instrument` or by a conf.
    """
    manager = get_plugin_manager()
    wrapper = OpenTelemetryWrapper(tracer_provider)
    # The name that the module has when a conf brings it: no call gets two spans.
    manager.register(wrapper, __name__)

    def end() -> None:
        if manager.is_registered(wrapper):
            manager.unregister(wrapper)

    return end


# What a conf that names this module registers: the module is the plugin then.
globals().update(vars(OpenTelemetryWrapper()))
