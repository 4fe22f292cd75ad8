"""Environments together with everything else that calls, runs, carries or checks plugins."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import aimm_plugins
from aimm_plugins import ParityError, exec_data_access, exec_predict, workers
from aimm_plugins._artifacts.pack import verify
from aimm_plugins.testing import isolated
from tests.environments.conftest import Apart
from tests.environments.test_losses import runs, wait_for
from tests.support.metadata import write_dist_info


def command(apart: Apart, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `aimm-plugins` beside the plugin."""
    return subprocess.run(
        [sys.executable, "-m", "aimm_plugins", *arguments],
        cwd=apart.site,
        env={**os.environ, "PYTHONPATH": str(apart.site)},
        capture_output=True,
        text=True,
        check=False,
    )


# Jobs


def test_a_job_is_done_in_an_environment(apart: Apart) -> None:
    apart.plugin(
        "other",
        """
        @fit(["counted"], state_cb_arg_name="report")
        def count(model, numbers, *, report):
            for place, number in enumerate(numbers, start=1):
                model["count"] += number
                report({"step": place, "total": len(numbers)})
            return model
        @instantiate("counted")
        def make(): return {"count": 0}
        @predict(["counted"])
        def get(model, numbers): return [model["count"] + number for number in numbers]
        @serialize(["counted"])
        def to_bytes(model): return repr(model).encode()
        @deserialize(["counted"])
        def from_bytes(content): return eval(bytes(content).decode())
        """,
    )
    plugins = {"plugins": apart.conf(plugins=["aimm-apart", "aimm-other"])}
    data = {"data": {"some": {"access": "numbers", "args": [3]}}}
    predict = {"predict": {"data": "some", "output": "out.csv"}}
    first = {"model": {"type": "counted"}, "fit": {"data": ["some"]}, "save": "model.aimm"}
    (apart.site / "first.yaml").write_text(json.dumps({**plugins, **data, **first, **predict}))
    done = command(apart, "run", "first.yaml", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert "fit: 3/3" in done.stderr
    predicted = (apart.site / "out.csv").read_text()
    again = {"model": {"type": "counted", "load": "model.aimm"}}
    (apart.site / "again.yaml").write_text(json.dumps({**plugins, **data, **again, **predict}))
    done = command(apart, "run", "again.yaml", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert (apart.site / "out.csv").read_text() == predicted


def test_a_job_whose_process_ends_tells_the_step_and_how_it_ended(apart: Apart) -> None:
    told = {"plugins": apart.conf(), "data": {"some": {"access": "fail", "args": ["exit"]}}}
    told["model"] = {"type": "counter"}
    (apart.site / "job.yaml").write_text(json.dumps(told))
    done = command(apart, "run", "job.yaml")
    assert done.returncode == 1
    assert "left with status 3" in done.stderr
    assert "Traceback" not in done.stderr


# Tests of others


def test_isolated_environments_end_with_the_block_and_leave_those_outside(apart: Apart) -> None:
    apart.start()
    outside = apart.pid()
    with isolated() as state:
        assert state.providers() == {}
        apart.start()
        inside = apart.pid()
        assert inside != outside
    wait_for(lambda: not runs(inside))
    assert apart.pid() == outside


# Other processes


def test_a_worker_has_environments_of_its_own_and_the_same_plugins(apart: Apart) -> None:
    apart.start()
    given = (apart.conf(), aimm_plugins.fingerprint())
    with ProcessPoolExecutor(1, initializer=workers.initializer, initargs=given) as pool:
        assert pool.submit(workers.status).result().problem is None
        assert pool.submit(exec_data_access, "process").result() != apart.pid()
        instance = aimm_plugins.exec_instantiate("counter", None, 7)
        assert pool.submit(exec_predict, "counter", instance).result()[1] == 7


def test_a_worker_without_the_environment_calls_nothing(apart: Apart) -> None:
    apart.start()
    given = ({"names": [], "entry_points": {"enabled": False}}, aimm_plugins.fingerprint())
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, workers.initializer, given) as pool:
        with pytest.raises(ParityError, match="apart"):
            pool.submit(exec_data_access, "process").result()


@pytest.mark.integration
def test_workers_of_a_cluster_have_the_environments_of_the_conf(apart: Apart) -> None:
    distributed = pytest.importorskip("distributed")
    from aimm_plugins.dask import dask_executor

    apart.start()
    here = apart.pid()
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=":0", memory_limit=None
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
        dask_executor(client, conf=apart.conf(), keep_on_cluster=True),
    ):
        assert apart.pid() != here
        instance = aimm_plugins.exec_fit(
            "counter", aimm_plugins.exec_instantiate("counter"), None, 3
        )
        assert exec_predict("counter", instance)[1] == 3
        with dask_executor(client, conf=apart.conf()):  # instances travel there and back
            instance = aimm_plugins.exec_instantiate("counter")
            assert instance.process == here
            instance = aimm_plugins.exec_fit("counter", instance, None, 3)
            assert exec_predict("counter", instance)[1] == 3
        with pytest.raises(aimm_plugins.EnvironmentLost, match="left with status 3"):
            exec_data_access("fail", None, "exit")
        assert apart.pid() != here


@pytest.mark.integration
def test_workers_of_a_cluster_without_the_environment_are_refused(apart: Apart) -> None:
    distributed = pytest.importorskip("distributed")
    from aimm_plugins.dask import dask_executor

    apart.start()
    without = {"names": [], "entry_points": {"enabled": False}}
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=":0", memory_limit=None
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
        pytest.raises(ParityError, match="apart"),
        dask_executor(client, conf=without),
    ):
        exec_data_access("process")


# Spans, readiness, artifacts


def test_a_span_names_the_environment(apart: Apart) -> None:
    pytest.importorskip("opentelemetry.trace")
    from aimm_plugins.contrib.otel import _attributes

    apart.start()
    attributes = _attributes("predict", "counter")
    assert attributes["aimm.plugin.environment"] == "apart"
    assert attributes["aimm.plugin.module"] == "apart"


def test_a_trace_goes_on_in_the_process(apart: Apart) -> None:
    trace = pytest.importorskip("opentelemetry.sdk.trace")
    apart.plugin(
        "other",
        """
        from opentelemetry import trace

        @data_access("trace")
        def current(): return trace.get_current_span().get_span_context().trace_id
        """,
    )
    apart.start(plugins=["aimm-other"])
    with trace.TracerProvider().get_tracer("a host").start_as_current_span("work") as span:
        assert exec_data_access("trace") == span.get_span_context().trace_id


def test_a_server_is_not_ready_while_a_required_environment_is_missing(apart: Apart) -> None:
    from aimm_plugins.contrib._readiness import LoadStatus

    conf = {**apart.conf(path=str(apart.site / "nowhere")), "on_error": "isolate"}
    aimm_plugins.initialize(conf)
    told = LoadStatus(None).readiness(details=True)
    assert (told["ready"], told["reason"], told["missing"]) == (
        False,
        "required-missing",
        ["apart"],
    )


@pytest.mark.parametrize("required", ["aimm-apart", "predict:counter", "counter"])
def test_a_server_is_not_ready_while_a_required_environment_is_in_a_crash_loop(
    apart: Apart, required: str
) -> None:
    from aimm_plugins.contrib._readiness import LoadStatus

    apart.start(restarts_per_minute=1, conf={"required": [required]})
    status = LoadStatus(None)
    for is_ready in (True, False):
        with pytest.raises(aimm_plugins.EnvironmentLost):
            exec_data_access("fail", None, "exit")
        assert status.readiness(details=True)["ready"] is is_ready


def test_an_artifact_is_packed_and_unpacked_by_the_environment(apart: Apart) -> None:
    apart.start()
    packed = aimm_plugins.pack("counter", aimm_plugins.exec_instantiate("counter", None, 7))
    again, _ = aimm_plugins.unpack(packed)
    assert again.environment == "apart"
    assert exec_predict("counter", again)[1] == 7


def test_an_artifact_is_that_of_its_plugin_wherever_it_runs(apart: Apart) -> None:
    """What was saved before a plugin moved into an environment, or out of one, can be loaded."""
    here = {"names": [], "entry_points": {"allow": ["aimm-apart"]}}
    for first, then in ((here, apart.conf()), (apart.conf(), here)):
        aimm_plugins.initialize(first)
        model = aimm_plugins.exec_instantiate("counter", None, 7)
        packed = aimm_plugins.pack("counter", model)
        aimm_plugins.unload_all()
        for conf in (first, then):
            assert not verify(packed, conf).findings
        aimm_plugins.initialize(then)
        again, info = aimm_plugins.unpack(packed)
        assert (exec_predict("counter", again)[1], info.findings) == (7, ())
        aimm_plugins.unload_all()


def test_options_are_held_against_a_schema_that_is_code_at_the_import(apart: Apart) -> None:
    source = "SCHEMA = {'properties': {'n': {'type': 'integer'}}}\n"
    points = "[aimm.plugins]\nother = other\n[aimm.plugins.options]\nother = other:SCHEMA\n"
    apart.plugin("other", f"{source}@data_access('n')\ndef n(): ...\n", entry_points=points)
    conf = apart.conf(plugins=["aimm-other"], conf={"options": {"aimm-other": {"n": "many"}}})
    file = apart.site / "plugins.yaml"
    file.write_text(json.dumps(conf, indent=1))
    line = file.read_text().splitlines().index('   "n": "many"') + 1
    with pytest.raises(aimm_plugins.PluginLoadError) as caught:
        aimm_plugins.initialize(file)
    (error,) = caught.value.exceptions
    assert isinstance(error, aimm_plugins.ConfigError)
    assert (error.line, error.path) == (line, ("options", "aimm-other", "n"))
    assert str(error).endswith("(expected a whole number)")


def test_what_the_host_has_no_package_of_is_read_where_it_is(
    separate: tuple[Path, dict[str, Any]],
) -> None:
    """The schema of its options, its files in a fingerprint, and what a saved model needed."""
    site, conf = separate
    (site / "alone").mkdir()
    (site / "alone" / "__init__.py").write_text(ALONE)
    (site / "alone" / "options.yaml").write_text("properties: {n: {type: integer}}\n")
    points = "[aimm.plugins]\na = alone\n[aimm.plugins.options]\nalone = alone:options.yaml\n"
    files = ["alone/__init__.py", "alone/options.yaml"]
    needs = ["needed", "other; python_version < '3'"]
    write_dist_info(site, "aimm-alone", entry_points=points, files=files, requires=needs)
    write_dist_info(site, "needed", "1.7")
    with pytest.raises(aimm_plugins.ConfigError, match="expected a whole number"):
        aimm_plugins.plan({**conf, "options": {"alone": {"n": "many"}}})
    aimm_plugins.initialize({**conf, "options": {"alone": {"n": 3}}})
    row = aimm_plugins.fingerprint().find("serialize", "alone")
    assert row is not None
    assert (row.plugin, row.files is None) == ("aimm-alone 1.0  alone@elsewhere", False)
    packed = aimm_plugins.pack("alone", 1)
    assert aimm_plugins.inspect(packed).requirements == ("needed==1.7",)
    assert aimm_plugins.unpack(packed)[0].environment == "elsewhere"


ALONE = """
from aimm_plugins import deserialize, options, serialize


@serialize(["alone"])
def save(number): return bytes([number, options(__name__)["n"]])

@deserialize(["alone"])
def load(content): return set(content)
"""


def test_a_fingerprint_has_the_plugins_of_environments(apart: Apart) -> None:
    apart.start()
    assert aimm_plugins.fingerprint().find("predict", "counter") is not None
