"""Workers of real pools: the same plugins as the host, or none."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

import aimm_plugins
from aimm_plugins import ParityError, compare, fingerprint, initialize, workers
from aimm_plugins._parity.fingerprint import of_rows
from tests.conftest import names

MODULE = """
import os

@fit(['k'])
def f(m): return os.getpid()

@predict(['k'])
def g(m): ...

@serialize(['k'])
def h(m): return b''

@deserialize(['k'])
def i(data): ...

@data_access('d')
def j(): ...

@instantiate('k')
def l(): ...
"""
CONF = names("pooled", options={"pooled": {"place": "env:PATH"}})
CALLS = {
    "data_access": ("d",),
    "instantiate": ("k",),
    "fit": ("k", None),
    "predict": ("k", None),
    "serialize": ("k", None),
    "deserialize": ("k", b""),
}


@pytest.fixture
def host(write):
    """The fingerprint of a host that has the plugin `pooled`."""
    write(pooled=MODULE)
    initialize(CONF)
    return fingerprint()


@pytest.fixture
def other(host):
    """The fingerprint of a host whose plugin has other files."""
    return of_rows([_other(row) for row in host.rows])


def _other(row):
    return type(row).from_dict({**row.to_dict(), "files": "0" * 64})


def call(key="k"):
    """What a worker does."""
    return aimm_plugins.exec_fit(key, None)


def as_worker(conf, expected):
    """Make this very process a worker."""
    workers.initializer(conf, expected)
    return workers.status()


# In this process


def test_worker_with_the_same_plugins_calls_them(host):
    assert as_worker(CONF, host).ok
    assert call() == os.getpid()


@pytest.mark.parametrize("action", CALLS)
def test_differing_worker_refuses_every_action_with_the_table(other, action):
    as_worker(CONF, other)
    with pytest.raises(ParityError) as caught:
        getattr(aimm_plugins, f"exec_{action}")(*CALLS[action])
    assert str(compare(other, fingerprint())) in str(caught.value)
    assert {difference.kind for difference in caught.value.differences} == {"files differ"}


@pytest.mark.parametrize("action", CALLS)
def test_differing_worker_refuses_every_awaited_action(other, action):
    as_worker(CONF, other)
    with pytest.raises(ParityError, match="files differ"):
        asyncio.run(getattr(aimm_plugins, f"exec_{action}_async")(*CALLS[action]))


def test_refusal_survives_pickling_with_its_table(other):
    as_worker(CONF, other)
    with pytest.raises(ParityError) as caught:
        call()
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.differences) == (str(caught.value), caught.value.differences)


def test_differing_worker_refuses_keys_that_it_does_not_know(other):
    as_worker(CONF, other)
    with pytest.raises(ParityError):
        call("no.such.key")


def test_deferred_plugin_is_not_imported_before_a_refusal(write, install):
    write(p="@fit(['k'])\ndef f(m): ...\n")
    install("d", entry_points={"ep": "p"}, published={"fit:k": "p:f"})
    as_worker({"names": [], "load": "lazy"}, of_rows([]))
    with pytest.raises(ParityError):
        call()
    assert "p" not in sys.modules


def test_wrapper_of_a_plugin_does_not_run_before_a_refusal(write):
    write(
        wrapping="aimm_plugins.seen = []\n"
        "@hookimpl(wrapper=True, tryfirst=True)\ndef aimm_fit():\n"
        "    aimm_plugins.seen.append(1)\n    return (yield)\n"
        "@fit(['k'])\ndef f(m): ...\n"
    )
    as_worker(names("wrapping"), of_rows([]))
    with pytest.raises(ParityError):
        call()
    assert aimm_plugins.seen == []
    del aimm_plugins.seen


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("raise ValueError('broken')\n", "ValueError: broken"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("raise KeyboardInterrupt\n", "KeyboardInterrupt"),
    ],
)
def test_failed_initialize_is_raised_by_calls_and_not_by_the_initializer(write, source, message):
    write(broken_worker=source)
    found = as_worker(names("broken_worker"), None)
    assert not found.ok
    with pytest.raises(ParityError, match="could not be initialized") as caught:
        call()
    assert message in str(caught.value)


def test_conf_that_cannot_be_read_is_raised_by_calls(tmp_path):
    as_worker(str(tmp_path / "none.yaml"), None)
    with pytest.raises(ParityError, match=r"ConfigError.*none\.yaml"):
        call()


def test_failure_that_isolate_lets_pass_is_shown_with_the_difference(host, write):
    write(broken_worker="raise ValueError('no such library')\n")
    more = of_rows(
        [*host.rows, type(host.rows[0]).from_dict({**host.rows[0].to_dict(), "key": "x"})]
    )
    as_worker(names("pooled", "broken_worker", on_error="isolate"), more)
    with pytest.raises(ParityError, match=r"(?s)missing.*data_access:x.*no such library"):
        call()


def test_worker_that_was_repaired_calls_again(host, other):
    as_worker(CONF, other)
    assert as_worker(CONF, host).ok
    assert call() == os.getpid()


def test_refusal_survives_unload_all(other):
    as_worker(CONF, other)
    aimm_plugins.unload_all()
    initialize(CONF)
    with pytest.raises(ParityError):
        call()


def test_without_a_fingerprint_nothing_is_compared(host):
    assert as_worker(CONF, None).ok


# In pools. One of each kind, with two workers, does all that is to be seen there.

METHODS = [
    method
    for method in ("fork", "spawn", "forkserver")
    if method in multiprocessing.get_all_start_methods()
]


@pytest.mark.parametrize("method", METHODS)
def test_executor_calls_plugins_in_workers_that_were_checked(host, method):
    with ProcessPoolExecutor(
        2,
        multiprocessing.get_context(method),
        initializer=workers.initializer,
        initargs=(CONF, host),
    ) as pool:
        found = workers.check(pool)
        assert len({status.pid for status in found}) == 2
        assert {status.digest for status in found} == {host.digest}
        assert pool.submit(aimm_plugins.exec_fit, "k", None).result() != os.getpid()
        given = pool.submit(aimm_plugins.options, "pooled").result()
        assert (given, repr(given)) == ({"place": os.environ["PATH"]}, "{'place': ***}")


@pytest.mark.parametrize("method", METHODS)
def test_pool_whose_workers_differ_refuses_and_does_not_break(host, other, method):
    context = multiprocessing.get_context(method)
    with context.Pool(2, initializer=workers.initializer, initargs=(CONF, other)) as pool:
        with pytest.raises(ParityError, match=r"2 of 2 workers run no plugin\nworker \d+: "):
            workers.check(pool)
        for _ in range(3):
            with pytest.raises(ParityError, match="files differ"):
                pool.apply(aimm_plugins.exec_fit, ("k", None))
        pool.close()
        pool.join()


def test_joblib_calls_plugins_in_workers_that_were_checked(host):
    joblib = pytest.importorskip("joblib")
    with joblib.parallel_config(
        backend="loky", initializer=workers.initializer, initargs=(CONF, host)
    ):
        with joblib.Parallel(n_jobs=2) as parallel:
            assert len(workers.check(parallel)) == 2
            pids = parallel(joblib.delayed(aimm_plugins.exec_fit)("k", None) for _ in range(2))
    joblib.externals.loky.get_reusable_executor().shutdown(wait=True)
    assert os.getpid() not in pids


# Asking


def test_worker_that_was_not_initialized_is_not_ok(host):
    with ProcessPoolExecutor(1, multiprocessing.get_context(METHODS[0])) as pool:
        # A fork of this process has its account; a new process has none.
        pool.submit(_forget).result()
        with pytest.raises(ParityError, match=r"never initialized.*initializer=aimm_plugins"):
            workers.check(pool)


def _forget():
    aimm_plugins.get_plugin_manager().unregister(name="aimm_plugins.workers")


def test_workers_that_do_not_come_are_an_error(host):
    as_worker(CONF, host)
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(TimeoutError, match="1 of 2 workers answered within 0"):
            workers.check(pool, workers=2, timeout=0.0)


def test_pool_whose_workers_die_when_they_start_is_an_error(host):
    with multiprocessing.get_context("spawn").Pool(1, os._exit, (3,)) as pool:
        with pytest.raises(TimeoutError, match=r"0 of 1 workers answered .* die when they start"):
            workers.check(pool, timeout=0.5)


def test_what_is_no_pool_is_refused():
    with pytest.raises(TypeError, match="a int does not tell how many workers"):
        workers.check(5)
    with pytest.raises(TypeError, match="a pool has submit or apply_async"):
        workers.check(5, workers=2)
