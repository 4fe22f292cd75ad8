"""Spans of calls, as the SDK exports them."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import subprocess
import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import aimm_plugins
from aimm_plugins import Result, get_plugin_manager, hookimpl
from aimm_plugins._system import masking
from aimm_plugins.contrib import otel
from tests.conftest import names

MODELS = """
    import pickle

    @data_access("rows")
    def rows(n): return list(range(n))

    @instantiate("mean")
    def make(): return {}

    @fit(["mean"], state_cb_arg_name="cb")
    def learn(model, cb):
        cb({})
        model["mean"] = sum(exec_data_access("rows", None, 3))
        return model

    @predict(["mean"])
    def guess(model): return model["mean"]

    @serialize(["mean"])
    def dump(model): return pickle.dumps(model)

    @deserialize(["mean"])
    def load(data): return pickle.loads(data)
"""


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter) -> TracerProvider:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


@pytest.fixture
def spans(provider, exporter):
    """Traces calls; gives the finished spans by name, each once."""
    end = otel.instrument(provider)

    def spans():
        finished = exporter.get_finished_spans()
        found = {span.name: span for span in finished}
        assert len(found) == len(finished)
        return found

    yield spans
    end()


@pytest.fixture
def points(provider):
    """Measures calls; gives the points of a metric as of now."""
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    end = otel.instrument(provider, meters)

    def points(name):
        data = reader.get_metrics_data()
        scopes = [] if data is None else data.resource_metrics[0].scope_metrics
        metrics = [metric for scope in scopes for metric in scope.metrics]
        return [
            point for metric in metrics if metric.name == name for point in metric.data.data_points
        ]

    yield points
    end()
    meters.shutdown()


def test_every_action_has_its_span(write, spans):
    write(models=MODELS)
    aimm_plugins.initialize(names("models"))
    model = aimm_plugins.exec_fit("mean", aimm_plugins.exec_instantiate("mean"))
    model = aimm_plugins.exec_deserialize("mean", aimm_plugins.exec_serialize("mean", model))
    assert aimm_plugins.exec_predict("mean", model) == ({"mean": 3}, 3)
    assert set(spans()) == {
        "instantiate mean",
        "data_access rows",
        "fit mean",
        "serialize mean",
        "deserialize mean",
        "predict mean",
    }
    for name, span in spans().items():
        assert name == f"{span.attributes['aimm.action']} {span.attributes['aimm.key']}"
        assert span.kind is trace.SpanKind.INTERNAL
        assert span.status.status_code is trace.StatusCode.UNSET


def test_span_tells_who_answered(write, install, spans):
    write(models=MODELS)
    install("aimm-models", "2.1", entry_points={"m": "models"}, files=["models.py"])
    aimm_plugins.initialize({"names": [], "entry_points": {"allow": ["aimm-models"]}})
    aimm_plugins.exec_instantiate("mean")
    assert dict(spans()["instantiate mean"].attributes) == {
        "aimm.action": "instantiate",
        "aimm.key": "mean",
        "aimm.plugin.module": "models",
        "aimm.plugin.distribution": "aimm-models",
        "aimm.plugin.version": "2.1",
        "code.function.name": "models.make",
    }
    scope = spans()["instantiate mean"].instrumentation_scope
    assert (scope.name, scope.version) == ("aimm_plugins", aimm_plugins.__version__)


def test_span_of_a_first_call_tells_who_is_loaded_for_it(write, install, spans):
    write(waiting="@instantiate('mean')\ndef make(): return {}")
    published = {"instantiate:mean": "waiting:make"}
    install("waiting", "3.0", entry_points={"w": "waiting"}, published=published)
    aimm_plugins.initialize({"names": [], "load": "lazy"})
    assert "waiting" not in sys.modules
    aimm_plugins.exec_instantiate("mean")
    attributes = spans()["instantiate mean"].attributes
    assert attributes["aimm.plugin.distribution"] == "waiting"
    assert attributes["aimm.plugin.version"] == "3.0"
    assert attributes["code.function.name"] == "waiting.make"


def test_module_without_distribution_has_no_distribution_in_its_span(write, spans):
    write(models=MODELS)
    aimm_plugins.initialize(names("models"))
    aimm_plugins.exec_instantiate("mean")
    attributes = spans()["instantiate mean"].attributes
    assert "aimm.plugin.distribution" not in attributes
    assert "aimm.plugin.version" not in attributes


def test_call_made_by_a_plugin_is_a_child(write, spans):
    write(models=MODELS)
    aimm_plugins.initialize(names("models"))
    aimm_plugins.exec_fit("mean", {})
    outer, inner = spans()["fit mean"], spans()["data_access rows"]
    assert inner.parent.span_id == outer.context.span_id
    assert outer.parent is None


def test_span_is_a_child_of_the_callers(write, spans, provider):
    write(models=MODELS)
    aimm_plugins.initialize(names("models"))
    with provider.get_tracer("host").start_as_current_span("request") as request:
        aimm_plugins.exec_instantiate("mean")
        assert trace.get_current_span() is request
    assert spans()["instantiate mean"].parent.span_id == request.context.span_id


def test_error_is_recorded_and_reaches_the_caller(spans):
    failure = ValueError("no rows")

    @aimm_plugins.fit(["failing"])
    def learn(model):
        raise failure

    with pytest.raises(ValueError, match="no rows") as caught:
        aimm_plugins.exec_fit("failing", {})
    assert caught.value is failure
    span = spans()["fit failing"]
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.status.description == "ValueError: no rows"
    assert span.attributes["error.type"] == "ValueError"
    (event,) = span.events
    assert event.attributes["exception.message"] == "no rows"
    assert "raise failure" in event.attributes["exception.stacktrace"]
    assert not trace.get_current_span().is_recording()


def test_error_that_cannot_be_printed_reaches_the_caller_all_the_same(spans):
    class MuteError(Exception):
        def __str__(self):
            raise RuntimeError("mute")

    @aimm_plugins.fit(["failing"])
    def learn(model):
        raise MuteError

    with pytest.raises(MuteError):
        aimm_plugins.exec_fit("failing", {})
    span = spans()["fit failing"]
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.attributes["error.type"].endswith("MuteError")
    assert [event.name for event in span.events] == ["exception"]


def test_span_of_a_failed_call_shows_no_secret(spans, monkeypatch):
    monkeypatch.setattr(masking, "_texts", {})
    masking.remember_secret("p@ss word")

    @aimm_plugins.fit(["failing"])
    def learn(model):
        raise ConnectionError("refused for p@ss word")

    with pytest.raises(ConnectionError, match="p@ss word"):
        aimm_plugins.exec_fit("failing", {})
    span = spans()["fit failing"]
    assert span.status.description == "ConnectionError: refused for ***"
    assert "p@ss" not in span.to_json()


@pytest.mark.parametrize(
    "kind", [KeyboardInterrupt, aimm_plugins.Cancelled, asyncio.CancelledError]
)
def test_span_of_a_cancelled_call_says_so_and_is_no_error(spans, kind):
    @aimm_plugins.fit(["stopped"])
    def learn(model):
        raise kind

    with pytest.raises(kind):
        aimm_plugins.exec_fit("stopped", {})
    span = spans()["fit stopped"]
    assert span.status.status_code is trace.StatusCode.UNSET
    assert span.attributes["error.type"].endswith(kind.__name__)
    assert [event.name for event in span.events] == ["cancelled"]


async def test_span_of_a_call_whose_task_is_cancelled_says_so(spans):
    begun = asyncio.Event()

    @aimm_plugins.fit(["slow"])
    async def learn(model):
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.ensure_future(aimm_plugins.exec_fit_async("slow", None))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [event.name for event in spans()["fit slow"].events] == ["cancelled"]


def test_calls_are_counted_and_timed_by_action_key_and_plugin(write, install, points):
    write(models=MODELS)
    install("aimm-models", "2.1", entry_points={"m": "models"}, files=["models.py"])
    aimm_plugins.initialize({"names": [], "entry_points": {"allow": ["aimm-models"]}})
    for _ in range(3):
        aimm_plugins.exec_instantiate("mean")
    (point,) = points("aimm.call.duration")
    assert point.count == 3
    assert point.sum >= 0
    assert dict(point.attributes) == {
        "aimm.action": "instantiate",
        "aimm.key": "mean",
        "aimm.plugin.module": "models",
        "aimm.plugin.distribution": "aimm-models",
    }


def test_errors_are_counted_by_type(points):
    @aimm_plugins.predict(["odd"])
    def guess(model, number):
        if number % 2:
            raise ValueError("no")
        return model, number

    for number in range(5):
        with contextlib.suppress(ValueError):
            aimm_plugins.exec_predict("odd", None, None, number)
    counts = {p.attributes.get("error.type"): p.count for p in points("aimm.call.duration")}
    assert counts == {None: 3, "ValueError": 2}


def test_unknown_keys_do_not_multiply_the_metrics(points):
    for number in range(5):
        with pytest.raises(aimm_plugins.UnknownPluginError):
            aimm_plugins.exec_fit(f"nobody.{number}", {})
    (point,) = points("aimm.call.duration")
    assert point.count == 5
    assert "aimm.key" not in point.attributes


def test_plugins_are_counted_by_state(write, points):
    write(good="", bad="raise ValueError('no licence')")
    aimm_plugins.initialize(names("good", "bad", on_error="isolate"))
    counts = {p.attributes["aimm.plugin.state"]: p.value for p in points("aimm.plugins")}
    assert counts["loaded"] == counts["failed"] == 1
    assert counts["denied"] == counts["missing"] == counts["deferred"] == 0


def test_import_of_each_plugin_is_a_gauge(write, points):
    write(slow="import time; time.sleep(0.02)")
    report = aimm_plugins.initialize(names("slow"))
    (point,) = points("aimm.plugin.import.duration")
    assert point.value == report.plugins[0].import_seconds >= 0.02
    assert dict(point.attributes) == {"aimm.plugin.module": "slow"}


def test_ended_instrumentation_gives_no_figures(provider, points):
    assert points("aimm.plugins")
    get_plugin_manager().unregister(name=otel.__name__)
    assert points("aimm.plugins") == []


def test_unknown_key_is_an_error_of_its_span(spans):
    with pytest.raises(aimm_plugins.UnknownPluginError):
        aimm_plugins.exec_fit("nobody", {})
    span = spans()["fit nobody"]
    assert span.attributes["error.type"] == "aimm_plugins.errors.UnknownPluginError"


def test_answer_of_an_executor_is_traced_too(spans):
    class Executor:
        @hookimpl
        def aimm_fit(self, model_type):
            return Result(model_type.upper())

    get_plugin_manager().register(Executor())
    assert aimm_plugins.exec_fit("remote", {}) == "REMOTE"
    assert dict(spans()["fit remote"].attributes) == {"aimm.action": "fit", "aimm.key": "remote"}


async def test_span_is_current_across_an_await_and_in_its_task_only(provider, exporter):
    """The async dispatcher drives a wrapper up to its yield, awaits, and then drives it on."""
    wrapper = otel.OpenTelemetryWrapper(provider)

    async def call(key: str, mine: asyncio.Event, others: asyncio.Event) -> None:
        before = trace.get_current_span()
        driven = wrapper.aimm_fit(key)
        next(driven)
        mine.set()
        await others.wait()
        provider.get_tracer("plugin").start_span(f"inside {key}").end()
        with pytest.raises(StopIteration) as stopped:
            driven.send(Result(key))
        assert stopped.value.value == Result(key)
        assert trace.get_current_span() is before

    first, second = asyncio.Event(), asyncio.Event()
    await asyncio.gather(call("a", first, second), call("b", second, first))
    spans = {span.name: span for span in exporter.get_finished_spans()}
    for key in "ab":
        assert spans[f"inside {key}"].parent.span_id == spans[f"fit {key}"].context.span_id
        assert spans[f"fit {key}"].parent is None


@pytest.mark.skipif(
    not hasattr(aimm_plugins, "exec_data_access_async"), reason="no async calls in this version"
)
async def test_span_of_an_async_call_covers_the_work(spans, provider):
    @aimm_plugins.data_access("slow")
    async def slow():
        await asyncio.sleep(0)
        provider.get_tracer("plugin").start_span("inside").end()

    @aimm_plugins.data_access("threaded")
    def threaded():
        provider.get_tracer("plugin").start_span("in thread").end()

    await asyncio.gather(
        aimm_plugins.exec_data_access_async("slow"), aimm_plugins.exec_data_access_async("threaded")
    )
    found = spans()
    assert found["inside"].parent.span_id == found["data_access slow"].context.span_id
    assert found["in thread"].parent.span_id == found["data_access threaded"].context.span_id


def test_none_is_a_result(spans):
    aimm_plugins.data_access("nothing")(lambda: None)
    assert aimm_plugins.exec_data_access("nothing") is None
    assert spans()["data_access nothing"].status.status_code is trace.StatusCode.UNSET


def test_ended_instrumentation_sees_no_call(provider, exporter):
    aimm_plugins.data_access("nothing")(lambda: None)
    end = otel.instrument(provider)
    end()
    end()
    aimm_plugins.exec_data_access("nothing")
    assert exporter.get_finished_spans() == ()


def test_second_instrumentation_is_refused(spans):
    with pytest.raises(ValueError, match=r"aimm_plugins\.contrib\.otel"):
        otel.instrument()


@pytest.fixture
def global_provider(provider, monkeypatch):
    """The global provider, which the API lets be set once a process."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    # Tracers of the global provider look for it once.
    importlib.reload(otel)
    yield provider
    monkeypatch.undo()
    importlib.reload(otel)


def test_conf_line_is_enough(write, global_provider, exporter):
    write(models=MODELS)
    report = aimm_plugins.initialize(names("models", "aimm_plugins.contrib.otel"))
    assert [record.state for record in report.plugins] == ["loaded", "loaded"]
    model = aimm_plugins.exec_fit("mean", aimm_plugins.exec_instantiate("mean"))
    aimm_plugins.exec_deserialize("mean", aimm_plugins.exec_serialize("mean", model))
    aimm_plugins.exec_predict("mean", model)
    assert sorted(span.name for span in exporter.get_finished_spans()) == [
        "data_access rows",
        "deserialize mean",
        "fit mean",
        "instantiate mean",
        "predict mean",
        "serialize mean",
    ]


def test_conf_line_goes_with_unload_all(write, global_provider, exporter):
    aimm_plugins.initialize(names("aimm_plugins.contrib.otel"))
    aimm_plugins.unload_all()
    aimm_plugins.data_access("nothing")(lambda: None)
    aimm_plugins.exec_data_access("nothing")
    assert exporter.get_finished_spans() == ()


def test_global_provider_may_be_set_after_instrumenting():
    code = """
import aimm_plugins
from aimm_plugins.contrib import otel
from opentelemetry import trace
otel.instrument()
aimm_plugins.data_access("nothing")(lambda: None)
aimm_plugins.exec_data_access("nothing")
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
aimm_plugins.exec_data_access("nothing")
print(*(span.name for span in exporter.get_finished_spans()), sep=";")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "data_access nothing\n"


@pytest.fixture
def without_extra(monkeypatch):
    """As if opentelemetry were not installed."""
    for name in [each for each in sys.modules if each.partition(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "aimm_plugins.contrib.otel")


def test_missing_extra_is_an_import_error_that_names_it(without_extra):
    with pytest.raises(ImportError, match=r"pip install 'aimm-plugins\[otel\]'"):
        importlib.import_module("aimm_plugins.contrib.otel")


def test_missing_extra_fails_the_conf_line_and_says_what_to_install(without_extra):
    conf = names("aimm_plugins.contrib.otel", on_error="isolate")
    (record,) = aimm_plugins.initialize(conf).plugins
    assert record.state == "failed"
    assert "pip install 'aimm-plugins[otel]'" in str(record.error)


def test_package_and_its_start_never_import_opentelemetry():
    code = (
        "import sys, aimm_plugins, aimm_plugins.compat, aimm_plugins.contrib\n"
        "aimm_plugins.initialize({'names': [], 'entry_points': {'enabled': False}})\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
