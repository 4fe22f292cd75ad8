"""OpenTelemetry: a span and a measurement for every call of a plugin, and figures of the plugins.

Name this module in a conf, `names: [aimm_plugins.contrib.otel]`, or call `instrument()`. Needs
`pip install aimm-plugins[otel]`, which brings the API alone; the host sets up the SDK.

The page on integrations has the spans, their attributes and the metrics. A span is the current one
while the plugin runs. Attributes of the plugin and its code are absent where an executor answers
for a key that no plugin declares. The key of a call that no plugin answers is in its span alone,
since callers could make up any number.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator
from time import perf_counter
from typing import get_args

import aimm_plugins
from aimm_plugins import Action, Result, get_plugin_manager, hookimpl
from aimm_plugins._system.masking import tells_a_secret
from aimm_plugins._system.text import described
from aimm_plugins._values.actions import ACTIONS, ActionSpec
from aimm_plugins._values.report import State

try:
    from opentelemetry import metrics, trace
except ImportError as error:
    raise ImportError(
        "aimm_plugins.contrib.otel needs opentelemetry-api: pip install 'aimm-plugins[otel]'",
        name=error.name,
    ) from error

Wrapper = Generator[None, Result, Result]
Hookimpl = Callable[[str], Wrapper]
_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 1800)
_OF_PLANS_AND_CALLS = ("planned", "undone", "removed")
_STATES = [state for state in get_args(State) if state not in _OF_PLANS_AND_CALLS]
_MEASURED = (
    "aimm.action",
    "aimm.key",
    "aimm.plugin.module",
    "aimm.plugin.distribution",
    "aimm.plugin.environment",
)
"""Attributes of spans that measurements have too."""


class OpenTelemetryWrapper:
    """A plugin for the plugin manager that makes a span and a measurement of every call.

    It has a hook wrapper for each action: `aimm_fit`, `aimm_predict` and so on. The gauges are
    those of the plugins as long as it, or another one, is registered.

    Args:
        tracer_provider: Where spans go; `None` for the global one, also where that is set later.
        meter_provider: Where metrics go, likewise.
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        version = aimm_plugins.__version__
        tracer = trace.get_tracer("aimm_plugins", version, tracer_provider)
        meter = metrics.get_meter("aimm_plugins", version, meter_provider)
        duration = meter.create_histogram(
            "aimm.call.duration",
            unit="s",
            description="Time of each call of a plugin.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        meter.create_observable_gauge(
            "aimm.plugins", [_count_plugins], unit="{plugin}", description="Plugins by state."
        )
        meter.create_observable_gauge(
            "aimm.plugin.import.duration",
            [_import_seconds],
            unit="s",
            description="Time of the import of each plugin.",
        )
        for action in ACTIONS.values():
            setattr(self, action.hook, _hook_wrapper(action, tracer, duration))


def _hook_wrapper(
    action: ActionSpec, tracer: trace.Tracer, duration: metrics.Histogram
) -> Hookimpl:
    """A wrapper of one action's hook; pluggy passes it the key by the name of its parameter."""

    def observed(key: str) -> Wrapper:
        attributes = _attributes(action.name, key)
        measured = {name: attributes[name] for name in _MEASURED if name in attributes}
        with tracer.start_as_current_span(
            f"{action.name} {key}",
            kind=trace.SpanKind.INTERNAL,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            begin = perf_counter()
            try:
                return (yield)
            except BaseException as error:
                measured["error.type"] = _record(span, error)
                if "aimm.plugin.module" not in measured:
                    del measured["aimm.key"]
                raise
            finally:
                duration.record(perf_counter() - begin, measured)

    def of_name(name: str) -> Wrapper:
        return (yield from observed(name))

    def of_model_type(model_type: str) -> Wrapper:
        return (yield from observed(model_type))

    wrapper = of_name if action.key_argument == "name" else of_model_type
    wrapper.__name__ = wrapper.__qualname__ = action.hook
    return hookimpl(wrapper=True)(wrapper)


def _attributes(action: Action, key: str) -> dict[str, str]:
    attributes = {"aimm.action": str(action), "aimm.key": key}
    provider = aimm_plugins.providers(action, key).get((action, key))
    if provider is None:
        return attributes
    attributes |= _who(provider.provenance.module, provider.distribution, provider.version)
    if provider.qualname:
        attributes["code.function.name"] = f"{provider.module}.{provider.qualname}"
    if provider.environment is not None:
        attributes["aimm.plugin.environment"] = provider.environment
    return attributes


def _who(module: str, distribution: str | None, version: str | None) -> dict[str, str]:
    found = {
        "aimm.plugin.module": module,
        "aimm.plugin.distribution": distribution,
        "aimm.plugin.version": version,
    }
    return {name: value for name, value in found.items() if value is not None}


def _record(span: trace.Span, error: BaseException) -> str:
    """Record an error, even one whose message cannot be asked for; returns its type.

    OpenTelemetry's own recording asks for the message and lets out what that raises, which would
    hide the plugin's error. Nor does it know of secrets.
    """
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ != "builtins":
        name = f"{kind.__module__}.{name}"
    span.set_attribute("error.type", name)
    if _is_cancel(error):
        span.add_event("cancelled", {"exception.type": name})
        return name
    try:
        if tells_a_secret(error):
            raise ValueError
        span.record_exception(error)
    except Exception:
        span.add_event("exception", {"exception.type": name})
    span.set_status(trace.StatusCode.ERROR, described(error))
    return name


def _is_cancel(error: BaseException) -> bool:
    """Whether the caller, and not the plugin, has ended a call."""
    if isinstance(error, KeyboardInterrupt | aimm_plugins.Cancelled):
        return True
    asyncio = sys.modules.get("asyncio")  # without it there is no task that could be cancelled
    return asyncio is not None and isinstance(error, asyncio.CancelledError)


def _count_plugins(options: metrics.CallbackOptions) -> Iterator[metrics.Observation]:
    """Plugins by state; a state without plugins is told too, so that an alarm can end."""
    if not get_plugin_manager().has_plugin(__name__):
        return
    states = [record.state for record in aimm_plugins.current_report()]
    for state in _STATES:
        yield metrics.Observation(states.count(state), {"aimm.plugin.state": state})


def _import_seconds(options: metrics.CallbackOptions) -> Iterator[metrics.Observation]:
    if not get_plugin_manager().has_plugin(__name__):
        return
    for record in aimm_plugins.current_report():
        if record.import_seconds is not None:
            who = _who(record.module, record.distribution, record.version)
            yield metrics.Observation(record.import_seconds, who)


def instrument(
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
) -> Callable[[], None]:
    """Trace and measure every call of this process from now on.

    Args:
        tracer_provider: Where spans go; `None` for the global one, also where that is set later.
        meter_provider: Where metrics go, likewise.

    Returns:
        A function that ends it; calling it twice does no harm.

    Raises:
        ValueError: Calls are traced already, by an earlier `instrument` or by a conf.
    """
    manager = get_plugin_manager()
    wrapper = OpenTelemetryWrapper(tracer_provider, meter_provider)
    # The name that the module has when a conf brings it: no call gets two spans.
    manager.register(wrapper, __name__)

    def end() -> None:
        if manager.is_registered(wrapper):
            manager.unregister(wrapper)

    return end


# What a conf that names this module registers: the module is the plugin then.
globals().update(vars(OpenTelemetryWrapper()))
