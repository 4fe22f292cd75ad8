"""The executor on real clusters: processes of their own, that are killed, restarted and differ."""

from __future__ import annotations

import asyncio
import importlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import aimm_plugins
import aimm_plugins.cli
from aimm_plugins import (
    ParityError,
    exec_data_access,
    exec_deserialize,
    exec_fit,
    exec_fit_async,
    exec_instantiate,
    exec_predict,
    exec_serialize,
    initialize,
)
from tests.conftest import names
from tests.docs.pages import Page
from tests.support.installing import ROOT, environment
from tests.support.metadata import write_dist_info
from tests.support.threads import in_threads

distributed = pytest.importorskip("distributed")

aimm_dask = importlib.import_module("aimm_plugins.dask")
dask_executor = aimm_dask.dask_executor
worker_status = importlib.import_module("aimm_plugins._dask.worker").status

pytestmark = pytest.mark.integration

LONG = (
    600  # seconds; a worker's process imports distributed, which takes a minute where all is busy
)

PLUGIN = '''
import copy
import os
import sys
import time
from pathlib import Path

from aimm_plugins import data_access, deserialize, fit, instantiate, options, predict, serialize


class Odd(Exception):
    """Cannot be made of its args, and loses its notes when pickled."""

    def __init__(self, *, code):
        super().__init__("odd " * 5000)
        self.code = code

    def __reduce__(self):
        return (odd, (self.code,))


def odd(code):
    return Odd(code=code)


class Heavy:
    """Must not leave its process."""

    fits = 0

    def __reduce__(self):
        raise TypeError("a Heavy is not to be moved")

    def __deepcopy__(self, memo):
        made = Heavy()
        made.fits = self.fits
        return made


class Counted:
    """Counts how often it is pickled, in the process that does it."""

    pickled = 0

    def __getstate__(self):
        Counted.pickled += 1
        return {}


@data_access("pid")
def pid(*args, **kwargs):
    return os.getpid()


@data_access("opted")
def opted():
    return dict(options(__name__))


@data_access("echo")
def echo(*args, **kwargs):
    return args, kwargs


@data_access("odd")
def raise_odd():
    raise Odd(code=7)


@data_access("exit")
def leave():
    sys.exit(3)


@instantiate("plain")
def make():
    return {"fits": 0}


@fit(["plain"], state_cb_arg_name="state_cb")
def fit_plain(model, steps, *, state_cb):
    for step in range(steps):
        state_cb({"step": step})
    model["fits"] += 1
    return model


@fit(["gated"], state_cb_arg_name="state_cb")
def fit_gated(model, gate, *, state_cb):
    """Waits for a file."""
    state_cb({"pid": os.getpid()})
    while not Path(gate).exists():
        time.sleep(0.005)
    return model


@fit(["endless"], state_cb_arg_name="state_cb")
def fit_endless(model, ended, *, state_cb):
    Path(ended + ".begun").touch()
    try:
        while True:
            state_cb({"message": "on"})
            time.sleep(0.005)
    except BaseException as error:
        Path(ended + ".new").write_text(type(error).__name__)
        os.replace(ended + ".new", ended)
        raise


@predict(["plain"])
def predict_plain(model, x, factor=1):
    if isinstance(x, str) and x == "fail":
        raise Odd(code=8)
    return model["fits"], x * factor


@predict(["told"], state_cb_arg_name="state_cb")
def predict_told(model, steps, *, state_cb):
    for step in range(steps):
        state_cb({"step": step})
    return steps


@predict(["endless"], state_cb_arg_name="state_cb")
def predict_endless(model, ended, *, state_cb):
    if ended.startswith("fail when "):
        while not Path(ended.removeprefix("fail when ")).exists():
            time.sleep(0.005)
        raise Odd(code=9)
    return fit_endless(model, ended, state_cb=state_cb)


@predict(["telling"])
def predict_telling(model, file):
    Path(file + ".new").write_text(str(os.getpid()))
    os.replace(file + ".new", file)


@serialize(["plain"])
def to_bytes(model):
    return repr(model["fits"]).encode()


@deserialize(["plain"])
def of_bytes(data):
    return {"fits": int(data), "pid": os.getpid()}


@instantiate("heavy")
def make_heavy():
    return Heavy()


@fit(["heavy"])
def fit_heavy(model):
    model.fits += 1
    return model


@predict(["heavy"])
def predict_heavy(model):
    return model.fits


@predict(["heavy_chunk"])
def predict_heavy_chunk(model, x):
    time.sleep(0.3)
    return model.fits


@predict(["online"], returns_instance=True)
def predict_online(model):
    model.fits += 1
    return model, model.fits


@predict(["counted"])
def predict_counted(model, x):
    return x
'''
CONF = names("cluster_plugin")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    (folder / "cluster_plugin.py").write_text(PLUGIN)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    sys.modules.pop("cluster_plugin", None)


@pytest.fixture(scope="module")
def client(folder):
    """A client of two worker processes, which all tests share."""
    # Every two seconds the memory manager drops copies of what is on several workers. A test that
    # kills a worker needs the copies on the other.
    copies = {"distributed.scheduler.active-memory-manager.start": False}
    with (
        importlib.import_module("dask").config.set(copies),
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            memory_limit=None,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def host(client):
    """The host initialized; returns what opens a block."""
    initialize(CONF)

    def block(**options):
        return dask_executor(client, conf=CONF, **options)

    return block


def test_calls_run_on_the_cluster_as_long_as_the_block_lasts(host):
    with host():
        assert exec_data_access("pid") != os.getpid()
    assert exec_data_access("pid") == os.getpid()


def test_block_without_a_conf_has_that_of_the_environment(client, folder, tmp_path, monkeypatch):
    path = tmp_path / "plugins.yaml"
    path.write_text("names: [cluster_plugin]\nentry_points: {enabled: false}\n")
    monkeypatch.setenv("AIMM_PLUGINS_CONF", str(path))
    initialize()
    with dask_executor(client):
        assert exec_data_access("pid") != os.getpid()


def test_actions_and_keys_say_what_runs_there(host):
    with host(actions=["data_access"], keys=["pid"]):
        assert exec_data_access("pid") != os.getpid()
        model = exec_instantiate("plain")
        assert exec_fit("plain", model, None, 0) is model
    with host(keys=["echo"]):
        assert exec_data_access("pid") == os.getpid()


def test_arguments_arrive_as_they_are(host, client):
    args = ((sum, [1, 2]), "pid", {"a": (1,)}, None)
    kwargs = {"key": "k", "workers": 1, "pure": 2, "task": 3}
    with host():
        assert exec_data_access("echo", None, *args, **kwargs) == (args, kwargs)


def test_future_as_argument_is_resolved(host, client):
    (future,) = client.scatter([5], hash=False)
    with host():
        assert exec_data_access("echo", None, 1, future, x=future) == ((1, 5), {"x": 5})


def test_fit_works_on_a_copy_and_returns_it(host):
    model = {"fits": 0}
    with host():
        assert exec_fit("plain", model, None, 0) == {"fits": 1}
    assert model == {"fits": 0}


def test_prediction_comes_with_the_instance_as_it_is_afterwards(host):
    with host():
        assert exec_predict("plain", {"fits": 2}, None, "x", factor=2) == ({"fits": 2}, (2, "xx"))


def test_events_arrive_all_and_in_order_in_the_thread_of_the_caller(host):
    events = []
    with host():
        exec_fit("plain", {"fits": 0}, events.append, 500)
    assert events == [{"step": step} for step in range(500)]


def test_awaited_fit_runs_on_the_cluster(host):
    events = []
    with host():
        model = asyncio.run(exec_fit_async("plain", {"fits": 0}, events.append, 3))
    assert (model, len(events)) == ({"fits": 1}, 3)


class Stop(Exception):
    pass


def test_what_the_callback_raises_comes_out_and_ends_the_work_there(host, tmp_path):
    ended = tmp_path / "ended"
    events = []

    def stop_at_third(event):
        events.append(event)
        if len(events) == 3:
            raise Stop

    with host():
        with pytest.raises(Stop):
            exec_fit("endless", None, stop_at_third, str(ended))
        await_file(ended)
    assert (ended.read_text(), len(events)) == ("Cancelled", 3)


def test_error_of_a_plugin_comes_whole_with_its_traceback_as_a_note(host):
    with host():
        with pytest.raises(Exception) as caught:
            exec_data_access("odd")
    error = caught.value
    assert (type(error).__name__, error.code, str(error)) == ("Odd", 7, "odd " * 5000)
    notes = "\n".join(error.__notes__)
    assert "in data_access:odd" in notes
    assert "on worker tcp://" in notes
    assert "in raise_odd\n    raise Odd(code=7)" in notes


def test_exit_of_a_plugin_comes_to_the_caller_and_its_worker_stays(host, client):
    before = set(client.run(os.getpid).values())
    with host():
        with pytest.raises(SystemExit) as caught:
            exec_data_access("exit")
    assert caught.value.code == 3
    assert set(client.run(os.getpid).values()) == before


def test_unknown_key_is_told_as_without_a_cluster(host):
    with host(), pytest.raises(aimm_plugins.UnknownPluginError, match="pid"):
        exec_data_access("pit")


def test_kept_instance_is_fitted_and_used_without_being_moved(host):
    with host(keep_on_cluster=True):
        made = exec_instantiate("heavy")
        fitted = exec_fit("heavy", made)
        same, prediction = exec_predict("heavy", fitted)
        assert same is fitted
        assert prediction == 1
        assert exec_predict("heavy", made)[1] == 0


def test_kept_instance_that_predict_returns_is_another_future(host):
    with host(keep_on_cluster=True):
        made = exec_instantiate("heavy")
        after, prediction = exec_predict("online", made)
        assert isinstance(after, distributed.Future)
        assert prediction == 1
        assert exec_predict("online", after)[1] == 2
        assert exec_predict("heavy", made)[1] == 0


@pytest.mark.parametrize("call", ["predict", "predict_another", "map"])
def test_kept_instance_that_cannot_be_pickled_is_used_where_it_is(host, client, call):
    """Dask would have the idle worker take the call from the busy one, and wait there for ever."""
    given = []

    def work():
        if call == "map":
            given.extend(executor.map("heavy_chunk", made, range(4)))
        else:
            key = "heavy" if call == "predict" else "online"
            given.append(exec_predict(key, made)[1])

    with host(keep_on_cluster=True) as executor:
        made = exec_instantiate("heavy")
        busy = client.submit(time.sleep, 1, workers=client.who_has(made)[made.key], pure=False)
        with in_threads(work):
            busy.result()
    assert given == {"predict": [0], "predict_another": [1], "map": [0, 0, 0, 0]}[call]


def test_kept_instance_is_saved_and_loaded(host):
    with host(keep_on_cluster=True):
        fitted = exec_fit("plain", exec_instantiate("plain"), None, 0)
        data = exec_serialize("plain", fitted)
        loaded = exec_deserialize("plain", memoryview(data))
        assert data == b"1"
        assert loaded.result()["pid"] != os.getpid()


def test_kept_instance_goes_to_the_cluster_whatever_actions_say(host):
    with host(keep_on_cluster=True, actions=["instantiate"]):
        fitted = exec_fit("plain", exec_instantiate("plain"), None, 0)
        assert fitted.result() == {"fits": 1}


def test_map_sends_the_instance_once_and_keeps_the_order(host):
    with host() as executor:
        counted = sys.modules["cluster_plugin"].Counted
        before = counted.pickled
        chunks = list(range(40))
        assert executor.map("counted", counted(), chunks) == chunks
    assert counted.pickled == before + 1


def test_map_tells_how_many_are_done_and_passes_arguments(host):
    events = []
    with host() as executor:
        done = executor.map("plain", {"fits": 1}, [1, 2, 3], events.append, factor=10)
    assert done == [(1, 10), (1, 20), (1, 30)]
    assert [(event["step"], event["total"]) for event in events] == [(1, 3), (2, 3), (3, 3)]


def test_map_tells_what_plugins_report_with_the_chunk_and_in_its_order(host):
    events = []
    chunks = [40, 0, 7, 23, 15]
    with host() as executor:
        assert executor.map("told", None, chunks, events.append) == chunks
    reported = [event for event in events if "chunk" in event]
    for index, steps in enumerate(chunks):
        steps_told = [event["step"] for event in reported if event["chunk"] == index]
        assert steps_told == list(range(steps))
    counted = [event["step"] for event in events if "chunk" not in event]
    assert counted == [1, 2, 3, 4, 5]
    # All that a chunk has reported is told before it counts as done.
    assert events[-1] == {"phase": "predict", "step": 5, "total": 5, "unit": "chunk"}


def test_what_the_callback_of_a_map_raises_ends_all_chunks(host, tmp_path):
    """Those under way by their next event; those that have not begun never begin."""
    files = [tmp_path / str(number) for number in range(10)]
    begun = set()

    def stop_when_two_have_begun(event):
        begun.add(event["chunk"])
        if len(begun) == 2:
            raise Stop

    with host() as executor:
        with pytest.raises(Stop):
            executor.map("endless", None, [str(file) for file in files], stop_when_two_have_begun)
        for index in begun:
            await_file(files[index])
        # Both workers are free again, and nothing else has run before this.
        assert executor.map("told", None, [0, 0]) == [0, 0]
    ended = {file.name: file.read_text() for file in files if file.exists()}
    assert ended == {str(index): "Cancelled" for index in begun}


def test_error_in_one_chunk_ends_the_others(host, tmp_path):
    ended = tmp_path / "ended"
    with host() as executor:
        with pytest.raises(Exception) as caught:
            executor.map("endless", None, [str(ended), f"fail when {ended}.begun"])
        await_file(ended)
    assert (caught.value.code, ended.read_text()) == (9, "Cancelled")
    assert "in chunk 1" in caught.value.__notes__


def test_counts_go_on_where_predictions_are_lost_that_were_done(host, client, tmp_path):
    """A slow callback hears of the first chunk when all are done and a worker dies with its part."""
    client.wait_for_workers(2, timeout=LONG)  # another test may have killed one
    files = [tmp_path / str(number) for number in range(20)]
    events = []

    def kill_when_all_are_done(event):
        events.append(event)
        if len(events) == 1:
            for file in files:
                await_file(file)
            pid = files[0].read_text()
            os.kill(int(pid), signal.SIGKILL)
            wait_until(lambda: files[0].read_text() != pid)  # another worker has done it again

    with host() as executor:
        executor.map("telling", None, map(str, files), kill_when_all_are_done)
    counts = [event["step"] for event in events if event.get("phase") == "predict"]
    assert counts == list(range(1, 21))
    assert ("restarted", 0) in [(event.get("warning"), event.get("chunk")) for event in events]


def test_bag_is_predicted_for_by_its_partitions(host):
    bag = importlib.import_module("dask.bag").from_sequence(range(7), npartitions=3)
    with host() as executor:
        done = executor.map("plain", {"fits": 1}, bag.map(lambda x: x + 1))
    assert [x for _, part in done for x in part] == [1, 2, 3, 4, 5, 6, 7]
    assert len(done) == 3


def test_lazy_chunks_and_futures_may_stand_among_others(host, client):
    dask = importlib.import_module("dask")
    (future,) = client.scatter([5], hash=False)
    with host() as executor:
        chunks = [dask.delayed(sum)([1, 2]), 4, future]
        assert executor.map("plain", {"fits": 1}, chunks) == [(1, 3), (1, 4), (1, 5)]
        assert executor.map("plain", {"fits": 1}, chunks[0]) == [(1, 3)]


def test_array_is_predicted_for_by_its_rows(host):
    numpy = pytest.importorskip("numpy")
    array = importlib.import_module("dask.array")
    x = numpy.arange(12.0).reshape(6, 2)
    with host() as executor:
        done = executor.map("plain", {"fits": 1}, array.from_array(x, chunks=(4, 2)), factor=2)
        with pytest.raises(ValueError, match=r"rechunk\(\{1: -1\}\)"):
            executor.map("plain", {"fits": 1}, array.from_array(x, chunks=(4, 1)))
    assert [part.shape for _, part in done] == [(4, 2), (2, 2)]
    assert (numpy.concatenate([part for _, part in done]) == 2 * x).all()


def test_dataframe_is_predicted_for_by_its_partitions(host):
    pandas = pytest.importorskip("pandas")
    dataframe = pytest.importorskip("dask.dataframe", exc_type=ImportError)
    frame = pandas.DataFrame({"x": range(5)})
    with host() as executor:
        done = executor.map("plain", {"fits": 1}, dataframe.from_pandas(frame, npartitions=2))
    assert pandas.concat([part for _, part in done]).equals(frame)


def test_no_chunks_give_no_predictions(host):
    with host() as executor:
        assert executor.map("plain", {"fits": 1}, []) == []


def test_callback_of_a_map_that_cannot_be_called_is_refused(host):
    """The usual mistake is to pass the next argument there."""
    with host() as executor, pytest.raises(TypeError, match="state_cb is a callable or None"):
        executor.map("plain", {"fits": 1}, [1], 10)


def test_map_is_refused_where_predict_returns_the_instance(host):
    with host() as executor, pytest.raises(TypeError, match="returns another instance"):
        executor.map("online", None, [1])


def test_error_in_one_chunk_is_the_plugins_own(host):
    with host() as executor:
        with pytest.raises(Exception) as caught:
            executor.map("plain", {"fits": 1}, [1, "fail", 3])
    assert caught.value.code == 8
    assert "in predict_plain" in "\n".join(caught.value.__notes__)


def test_killed_worker_is_told_of_and_the_fit_is_finished_by_another(host, tmp_path):
    events = []

    def kill_first(event):
        events.append(event)
        if len(events) == 1:
            os.kill(event["pid"], signal.SIGKILL)
        elif "pid" in event:
            (tmp_path / "gate").touch()

    with host():
        assert exec_fit("gated", {"fits": 5}, kill_first, str(tmp_path / "gate")) == {"fits": 5}
    first, told, second = events
    assert first["pid"] != second["pid"]
    assert told["warning"] == "restarted"
    assert "was lost; the work begins again on tcp://" in told["message"]


def test_restarted_workers_have_the_plugins_again(host, client):
    with host() as executor:
        before = set(client.run(os.getpid).values())
        client.restart(timeout=LONG)
        client.wait_for_workers(2, timeout=LONG)
        statuses = client.run(worker_status, executor.name).values()
        assert [status.ok for status in statuses] == [True, True]
        assert exec_data_access("pid") not in before


SECOND = """
import os
import aimm_plugins


@aimm_plugins.data_access("second")
def pid():
    return os.getpid()
"""


def test_host_with_other_plugins_is_refused_and_disturbs_nobody(host, client, folder):
    (folder / "second_plugin.py").write_text(SECOND)
    with host():
        initialize(names("second_plugin"))  # makes this process another host
        with pytest.raises(ParityError, match=r"serves a host with other plugins(.|\n)*second"):
            with host():
                pass
        assert exec_data_access("pid") != os.getpid()
    aimm_plugins.unload_all()
    initialize(names("second_plugin"))
    with dask_executor(client, conf=names("second_plugin")):
        assert exec_data_access("second") != os.getpid()


def test_host_that_ended_without_a_word_does_not_stand_in_the_way(client, folder):
    (folder / "second_plugin.py").write_text(SECOND)
    initialize(CONF)
    with distributed.Client(client.scheduler.address, set_as_default=False) as gone:
        lost = aimm_dask.DaskExecutor(gone, None, None, False)
        lost.setups.start()
        lost.setups.apply([CONF], aimm_plugins.fingerprint())
    aimm_plugins.unload_all()
    initialize(names("second_plugin"))
    with dask_executor(client, conf=names("second_plugin")):
        assert exec_data_access("second") != os.getpid()


def topics(client):
    """The topics of ours that the scheduler keeps."""
    return client.run_on_scheduler(
        lambda dask_scheduler: [
            topic for topic in dask_scheduler._broker._topics if topic.startswith("aimm_plugins")
        ]
    )


def test_scheduler_keeps_one_topic_a_client_and_none_of_clients_that_left(host, client):
    before = clients(client)
    with distributed.Client(client.scheduler.address, set_as_default=False) as second:
        with dask_executor(second, conf=CONF):
            exec_fit("plain", {"fits": 0}, lambda event: None, 3)
        assert len(topics(client)) == 2
    await_only(client, before)
    for _ in range(3):
        with host():
            exec_fit("plain", {"fits": 0}, lambda event: None, 3)
    assert topics(client) == [f"aimm_plugins.dask-{client.id}"]


def test_worker_in_the_process_of_the_host_runs_what_it_is_sent(folder):
    initialize(CONF)
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
        dask_executor(client),  # the host is initialized, by whatever conf
    ):
        assert exec_data_access("pid") == os.getpid()
        model = {"fits": 0}
        assert exec_fit("plain", model, None, 0) == {"fits": 1}
        assert model == {"fits": 0}
        (name,) = [name for name, _ in manager_plugins() if name.startswith("aimm_plugins.dask-")]
        assert worker_status(name).ok
    assert worker_status(name) is None


def manager_plugins():
    return aimm_plugins.get_plugin_manager().list_name_plugin()


# Switched on by the conf


@pytest.fixture
def conf(client):
    """Makes a conf that has the plugin's calls run on the cluster."""

    def conf(**options):
        return {**CONF, "dask": {"address": client.scheduler.address, **options}}

    return conf


def clients(client):
    """Who is connected to the scheduler."""
    return set(client.run_on_scheduler(lambda dask_scheduler: set(dask_scheduler.clients)))


def await_only(client, before):
    """Wait until nobody else is connected: the scheduler hears of it later than who leaves."""
    deadline = time.monotonic() + LONG
    while not (now := clients(client)) <= before:
        assert time.monotonic() < deadline, now - before
        time.sleep(0.01)


def test_initialize_connects_and_unload_all_disconnects(conf, client):
    before = clients(client)
    initialize(conf(keys=["pid", "plain"], keep_on_cluster=True))
    assert exec_data_access("pid") != os.getpid()
    made = exec_instantiate("plain")
    assert aimm_dask.current_executor().map("plain", made, [1]) == [(0, 1)]
    assert len(clients(client) - before) == 1
    aimm_plugins.unload_all()
    await_only(client, before)
    initialize(CONF)
    assert exec_data_access("pid") == os.getpid()


def test_options_of_the_conf_are_those_of_the_workers(conf):
    initialize({**conf(), "options": {"cluster_plugin": {"size": 3}}})
    assert exec_data_access("opted") == {"size": 3}


def test_second_initialize_reaches_the_workers_too(conf, client, folder):
    (folder / "second_plugin.py").write_text(SECOND)
    before = clients(client)
    initialize(conf())
    initialize(conf())
    initialize(names("second_plugin"))
    assert exec_data_access("second") in client.run(os.getpid).values()
    assert exec_data_access("pid") in client.run(os.getpid).values()
    assert len(clients(client) - before) == 1


def test_refresh_reaches_the_workers_too(conf, client, folder):
    initialize({**conf(), "entry_points": {"allow": ["aimm-late"]}})
    (folder / "late_plugin.py").write_text(SECOND.replace("second", "late"))
    late = write_dist_info(folder, "aimm-late", "1.0", entry_points={"late": "late_plugin"})
    try:
        aimm_plugins.refresh()
        assert exec_data_access("late") in client.run(os.getpid).values()
    finally:
        shutil.rmtree(late)
    aimm_plugins.refresh()
    with pytest.raises(aimm_plugins.UnknownPluginError):
        exec_data_access("late")
    assert exec_data_access("pid") in client.run(os.getpid).values()


def test_workers_that_miss_a_second_conf_leave_the_first_as_it_was(conf, client, tmp_path):
    initialize(conf())
    here = tmp_path / "here"
    here.mkdir()
    (here / "only_here.py").write_text(
        "from aimm_plugins import data_access\n\n"
        '@data_access("only.here")\ndef none():\n    return None\n'
    )
    sys.path.insert(0, str(here))
    try:
        with pytest.raises(ParityError, match="only_here"):
            initialize(names("only_here"))
    finally:
        sys.path.remove(str(here))
    with pytest.raises(aimm_plugins.UnknownPluginError):
        exec_data_access("only.here")
    assert exec_data_access("pid") in client.run(os.getpid).values()


def test_one_cluster_at_a_time(conf):
    initialize(conf())
    with pytest.raises(aimm_plugins.ConfigError, match=r"at dask: calls run on tcp://.* already"):
        initialize({**CONF, "dask": {"address": "tcp://127.0.0.1:1"}})
    assert exec_data_access("pid") != os.getpid()


def test_strict_failure_leaves_no_connection(conf, client):
    before = clients(client)
    with pytest.raises(aimm_plugins.PluginLoadError):
        initialize({**conf(), "names": ["cluster_plugin", "no_such_module"]})
    await_only(client, before)


def test_cluster_that_does_not_answer_fails_before_any_import(folder, tmp_path):
    (folder / "never_imported.py").write_text("")
    path = tmp_path / "plugins.yaml"
    path.write_text("names: [never_imported]\ndask:\n  address: tcp://127.0.0.1:1\n")
    dask = importlib.import_module("dask")
    with dask.config.set({"distributed.comm.timeouts.connect": "200ms"}):
        with pytest.raises(OSError, match=r"127\.0\.0\.1:1") as caught:
            initialize(path)
    assert caught.value.__notes__ == [f"address of dask: {path}:3"]
    assert "never_imported" not in sys.modules


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_fork_answers_its_calls_itself(conf):
    initialize(conf())
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # a call that went to the cluster would wait for ever
        try:
            os.write(writing, b"here" if exec_data_access("pid") == os.getpid() else b"elsewhere")
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        assert answer.read() == b"here"
    os.waitpid(child, 0)
    assert exec_data_access("pid") != os.getpid()


def test_executor_of_the_conf_is_told_to_be_missing_where_there_is_none():
    with pytest.raises(LookupError, match="no conf has switched on an executor"):
        aimm_dask.current_executor()


JOB = """
plugins: {{names: [cluster_plugin], entry_points: {{enabled: false}}, dask: {{address: "{}"}}}}
data: {{who: {{access: pid}}}}
model: {{type: plain}}
predict: {{data: who, output: out.jsonl}}
"""


def test_job_runs_where_its_conf_says_and_disconnects(client, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = clients(client)
    Path("job.yaml").write_text(JOB.format(client.scheduler.address))
    assert aimm_plugins.cli.run(["run", "job.yaml"]) == 0
    assert int(Path("out.jsonl").read_text().split()[1]) in client.run(os.getpid).values()
    await_only(client, before)


def test_option_takes_the_place_of_what_the_conf_says(client, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("job.yaml").write_text(JOB.format("tcp://127.0.0.1:1"))
    assert aimm_plugins.cli.run(["run", "job.yaml", "--dask", client.scheduler.address]) == 0
    assert int(Path("out.jsonl").read_text().split()[1]) in client.run(os.getpid).values()


# Workers that differ

VERSIONED = """
from pathlib import Path

from aimm_plugins import data_access


@data_access("versioned")
def touch(path):
    Path(path).touch()
    return "version {version}"
"""


def install(folder, version):
    folder.mkdir()
    (folder / "versioned.py").write_text(VERSIONED.replace("{version}", version))
    write_dist_info(folder, "aimm-versioned", version, entry_points={"v": "versioned"})
    return folder


@contextmanager
def worker(address, folder):
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "distributed.cli.dask_worker", address),
            *("--no-nanny", "--nthreads", "1", "--no-dashboard", "--name", folder.name),
        ],
        env=environment(PYTHONPATH=str(folder)),
        cwd=folder,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def test_worker_of_another_version_runs_no_plugin(tmp_path, monkeypatch):
    """Neither one that joins late nor one that is there when a block begins."""
    same, other = install(tmp_path / "same", "1.0"), install(tmp_path / "other", "1.1")
    monkeypatch.syspath_prepend(same)
    monkeypatch.delitem(sys.modules, "versioned", raising=False)
    conf = {"names": [], "entry_points": {"allow": ["aimm-versioned"]}}
    initialize(conf)
    with (
        distributed.LocalCluster(n_workers=0, processes=True, dashboard_address=":0") as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
        worker(cluster.scheduler_address, same),
    ):
        client.wait_for_workers(1, timeout=LONG)
        (first,) = client.scheduler_info()["workers"]
        with dask_executor(client, conf=conf):
            assert exec_data_access("versioned", None, str(tmp_path / "a")) == "version 1.0"
            with worker(cluster.scheduler_address, other):
                client.wait_for_workers(2, timeout=LONG)
                client.retire_workers([first])
                with pytest.raises(ParityError, match=r"aimm-versioned 1\.0.*aimm-versioned 1\.1"):
                    exec_data_access("versioned", None, str(tmp_path / "b"))
                with pytest.raises(ParityError, match=r"1 of 1 workers run no plugin"):
                    with dask_executor(client, conf=conf):
                        pass
                aimm_plugins.unload_all()
                connected = clients(client)
                with pytest.raises(ParityError, match=r"1 of 1 workers run no plugin"):
                    initialize({**conf, "dask": {"address": cluster.scheduler_address}})
                await_only(client, connected)
                assert aimm_plugins.providers() == {}
    assert [(tmp_path / name).exists() for name in "ab"] == [True, False]
    monkeypatch.delitem(sys.modules, "versioned", raising=False)


@contextmanager
def scheduler(port):
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"),
            *("--port", str(port), "--no-dashboard"),
        ],
        env=environment(),
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_a_new_scheduler_at_the_same_address_gets_the_setup_with_the_next_call(folder):
    initialize(CONF)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    with scheduler(port), worker(address, folder):
        client = distributed.Client(address, timeout=LONG, set_as_default=False)
        block = dask_executor(client, conf=CONF)
        block.__enter__()
        assert exec_data_access("pid") != os.getpid()
    steps = []
    with scheduler(port), worker(address, folder), client, ExitStack() as stack:
        stack.push(block)
        exec_fit("plain", {"fits": 0}, steps.append, 3)
        assert exec_data_access("pid") != os.getpid()
    assert [event["step"] for event in steps] == [0, 1, 2]


# A cluster that lacks something


WITHOUT_PACKAGE = """
import sys
sys.modules["aimm_plugins"] = None  # as if it were not installed
from distributed.cli.dask_{0} import main
main()
"""


@contextmanager
def started(role, *arguments):
    """A scheduler or a worker that cannot import this package."""
    process = subprocess.Popen(
        [sys.executable, "-c", WITHOUT_PACKAGE.format(role), *arguments, "--no-dashboard"],
        env=environment(),
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def test_worker_without_the_package_is_named_with_what_to_install(folder):
    initialize(CONF)
    with (
        distributed.LocalCluster(n_workers=0, processes=True, dashboard_address=":0") as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
        started("worker", cluster.scheduler_address, "--no-nanny"),
    ):
        client.wait_for_workers(1, timeout=LONG)
        (address,) = client.scheduler_info()["workers"]
        with pytest.raises(ParityError) as caught, dask_executor(client, conf=CONF):
            pass
    text = str(caught.value)
    assert text.startswith(f"1 of 1 workers run no plugin\nworker {address} cannot read what")
    assert "pip install 'aimm-plugins[dask]'" in text


def test_scheduler_without_the_package_is_named_with_what_to_install(folder, tmp_path):
    initialize(CONF)
    file = tmp_path / "scheduler.json"
    with started("scheduler", "--port", "0", "--scheduler-file", str(file)):
        with distributed.Client(scheduler_file=str(file), set_as_default=False) as client:
            with pytest.raises(ParityError) as caught, dask_executor(client, conf=CONF):
                pass
            address = client.scheduler.address
    text = str(caught.value)
    assert text.startswith(f"the scheduler at {address} cannot read what")
    assert "pip install 'aimm-plugins[dask]'" in text


def test_cluster_without_workers_warns_that_calls_wait(folder, caplog):
    initialize(CONF)
    with (
        distributed.LocalCluster(n_workers=0, processes=True, dashboard_address=":0") as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
        dask_executor(client, conf=CONF),
    ):
        pass
    assert (
        f"no worker is connected to the scheduler at {cluster.scheduler_address}; calls wait for "
        "the first"
    ) in caplog.messages


# The page


def test_page_runs_and_prints_what_it_shows(tmp_path):
    page = Page(ROOT / "docs" / "dask.md")
    for name, text in page.files().items():
        (tmp_path / name).write_text(text)
    ((command, _, block),) = page.outputs()
    done = subprocess.run(
        [sys.executable, *command.split()[1:]],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    page.hold(block, done.stdout)


UNCLOSED = """
import os
import aimm_plugins

if __name__ == "__main__":
    aimm_plugins.initialize(
        {
            "names": ["cluster_plugin"],
            "entry_points": {"enabled": False},
            "dask": {"address": "local"},
        }
    )
    print(aimm_plugins.exec_data_access("pid"))
"""


def test_process_that_ends_connected_leaves_no_worker(folder, tmp_path):
    (tmp_path / "main.py").write_text(UNCLOSED)
    done = subprocess.run(
        [sys.executable, "main.py"],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(folder)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


# Wrong use


def test_bare_string_of_actions_is_refused(client):
    with pytest.raises(TypeError, match="actions is a list"):
        with dask_executor(client, actions="fit"):
            pass


def test_unknown_action_is_refused(client):
    with pytest.raises(ValueError, match="no such action: fitt"):
        with dask_executor(client, actions=["fitt"]):
            pass


def await_file(path: Path) -> None:
    wait_until(path.exists)


def wait_until(happened) -> None:
    deadline = time.monotonic() + LONG
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)
