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
    code.function.name        the declared function, with its module
    error.type                class of the exception that the call raised

Those of the plugin and its code are absent where an executor answers for a key that nobody
declared. An exception is recorded as an event and makes the status an error; `KeyboardInterrupt`
and the cancelling of a task are none.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

import aimm_plugins
from aimm_plugins import Action, Result, get_plugin_manager, hookimpl

try:
    from opentelemetry import trace
except ImportError as error:
    raise ImportError(
        "aimm_plugins.contrib.otel needs opentelemetry-api: pip install 'aimm-plugins[otel]'",
        name=error.name,
    ) from error

Wrapper = Generator[None, Result, Result]


class OpenTelemetryWrapper:
    """A plugin for the plugin manager that makes a span of every call.

    Args:
        tracer_provider: Where spans go; `None` for the global one, also where that is set later.
    """

    def __init__(self, tracer_provider: trace.TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("aimm_plugins", aimm_plugins.__version__, tracer_provider)

    @hookimpl(wrapper=True)
    def aimm_data_access(self, name: str) -> Wrapper:
        """Trace the access to data."""
        return (yield from self._traced("data_access", name))

    @hookimpl(wrapper=True)
    def aimm_instantiate(self, model_type: str) -> Wrapper:
        """Trace the making of an instance."""
        return (yield from self._traced("instantiate", model_type))

    @hookimpl(wrapper=True)
    def aimm_fit(self, model_type: str) -> Wrapper:
        """Trace a fit."""
        return (yield from self._traced("fit", model_type))

    @hookimpl(wrapper=True)
    def aimm_predict(self, model_type: str) -> Wrapper:
        """Trace a prediction."""
        return (yield from self._traced("predict", model_type))

    @hookimpl(wrapper=True)
    def aimm_serialize(self, model_type: str) -> Wrapper:
        """Trace a serialization."""
        return (yield from self._traced("serialize", model_type))

    @hookimpl(wrapper=True)
    def aimm_deserialize(self, model_type: str) -> Wrapper:
        """Trace a deserialization."""
        return (yield from self._traced("deserialize", model_type))

    def _traced(self, action: Action, key: str) -> Wrapper:
        with self._tracer.start_as_current_span(
            f"{action} {key}",
            kind=trace.SpanKind.INTERNAL,
            attributes=_attributes(action, key),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                return (yield)
            except Exception as error:
                _record(span, error)
                raise


def _attributes(action: Action, key: str) -> dict[str, str]:
    attributes = {"aimm.action": str(action), "aimm.key": key}
    provider = aimm_plugins.providers(action, key).get((action, key))
    if provider is None:
        return attributes
    attributes["aimm.plugin.module"] = provider.plugin
    if provider.qualname:
        attributes["code.function.name"] = f"{provider.module}.{provider.qualname}"
    if provider.distribution is not None:
        attributes["aimm.plugin.distribution"] = provider.distribution
    if provider.version is not None:
        attributes["aimm.plugin.version"] = provider.version
    return attributes


def _record(span: trace.Span, error: Exception) -> None:
    """Record an error; one that cannot even tell its message must not be hidden by another.

    OpenTelemetry's own recording asks for the message and lets out what that raises.
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
        A function that ends it. Calling that twice does no harm.

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


_GLOBAL = OpenTelemetryWrapper()

# What a conf that names this module registers. pluggy takes functions of a module, not methods.


@hookimpl(wrapper=True)
def aimm_data_access(name: str) -> Wrapper:
    """Trace the access to data, for the global tracer provider."""
    return (yield from _GLOBAL.aimm_data_access(name))


@hookimpl(wrapper=True)
def aimm_instantiate(model_type: str) -> Wrapper:
    """Trace the making of an instance, for the global tracer provider."""
    return (yield from _GLOBAL.aimm_instantiate(model_type))


@hookimpl(wrapper=True)
def aimm_fit(model_type: str) -> Wrapper:
    """Trace a fit, for the global tracer provider."""
    return (yield from _GLOBAL.aimm_fit(model_type))


@hookimpl(wrapper=True)
def aimm_predict(model_type: str) -> Wrapper:
    """Trace a prediction, for the global tracer provider."""
    return (yield from _GLOBAL.aimm_predict(model_type))


@hookimpl(wrapper=True)
def aimm_serialize(model_type: str) -> Wrapper:
    """Trace a serialization, for the global tracer provider."""
    return (yield from _GLOBAL.aimm_serialize(model_type))


@hookimpl(wrapper=True)
def aimm_deserialize(model_type: str) -> Wrapper:
    """Trace a deserialization, for the global tracer provider."""
    return (yield from _GLOBAL.aimm_deserialize(model_type))
