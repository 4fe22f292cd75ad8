"""Times statements on request, as `calls.py` does, beside other processes; in wall time.

Run as a script with the name of a setup. What is measured goes on in several processes, so that the
CPU time of this one would tell little.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter_ns
from typing import Any

LONGER = 50
"""How many times longer than a statement of `calls.py` one is repeated here."""

PLUGIN = """
from aimm_plugins import fit, instantiate, predict


@instantiate("linear")
def make():
    return {"weight": 2.0}


@predict(["linear"])
def predict_linear(model, x):
    return [model["weight"] * value for value in x]


@fit(["linear"])
def fit_linear(model, steps):
    weight = model["weight"]
    for _ in range(steps):
        weight = weight * 0.999 + 0.001
    model["weight"] = weight
    return model


def nothing():
    pass
"""
CONF = {"names": ["bench_cluster_plugin"], "entry_points": {"enabled": False}}


def _cluster(stack: ExitStack, workers: int) -> dict[str, Any]:
    from distributed import Client, LocalCluster

    import aimm_plugins
    from aimm_plugins import dask
    from aimm_plugins._dask import worker

    folder = stack.enter_context(TemporaryDirectory())
    (Path(folder) / "bench_cluster_plugin.py").write_text(PLUGIN)
    sys.path.insert(0, folder)  # workers get the path of the process that spawns them
    aimm_plugins.initialize(CONF)
    cluster = stack.enter_context(
        LocalCluster(  # type: ignore[no-untyped-call,unused-ignore]  # typed in part
            n_workers=workers, threads_per_worker=1, memory_limit=None, dashboard_address=":0"
        )
    )
    client = stack.enter_context(Client(cluster, set_as_default=False))
    executor = stack.enter_context(
        dask.dask_executor(client, conf=CONF, keep_on_cluster=True),
    )
    plugin = sys.modules["bench_cluster_plugin"]
    pool = stack.enter_context(ThreadPoolExecutor(2))
    # What `check` asks for, as it is in a worker.
    setup = worker.Setup(
        executor=executor.name, name="check", confs=[], expected=aimm_plugins.fingerprint()
    )
    setup.setup(None)
    kept = aimm_plugins.exec_instantiate("linear")

    def fit_two(steps: int) -> None:
        def fit(number: int) -> None:
            aimm_plugins.exec_fit("linear", {"weight": 1.0}, None, steps)

        list(pool.map(fit, range(2)))

    def submit_two(steps: int) -> None:
        models = [{"weight": 1.0}, {"weight": 1.0}]
        client.gather(client.map(plugin.fit_linear, models, steps=steps, pure=False))

    return {
        "check": worker.check,
        "chunks": lambda count: [[float(number)] * 100 for number in range(count)],
        "client": client,
        "exec_predict": aimm_plugins.exec_predict,
        "executor": executor,
        "fit_two": fit_two,
        "function": plugin.predict_linear,
        "kept": kept,
        "key": "linear",
        "nothing": plugin.nothing,
        "submit_two": submit_two,
        "x": [1.0] * 100,
    }


def one_worker(stack: ExitStack) -> dict[str, Any]:
    """A cluster of one worker."""
    return _cluster(stack, 1)


def two_workers(stack: ExitStack) -> dict[str, Any]:
    """A cluster of two workers."""
    return _cluster(stack, 2)


APART = """
import numpy

from aimm_plugins import data_access


@data_access("same")
def same(x):
    return x
"""


def same(x: Any) -> Any:
    """What the plugin does, for a pool."""
    return x


def _apart(stack: ExitStack, *environments: str) -> dict[str, Any]:
    """A plugin of this interpreter, and a conf that has it run in processes of its own."""
    folder = stack.enter_context(TemporaryDirectory())
    sys.path.insert(0, folder)
    for name in environments:
        (Path(folder) / f"bench_{name}.py").write_text(APART.replace("same", f"same.{name}", 1))
        info = Path(folder) / f"bench_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: bench-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[aimm.plugins]\n{name} = bench_{name}\n")
    return {
        "names": [],
        "environments": {
            name: {"path": sys.prefix, "plugins": [f"bench-{name}"]} for name in environments
        },
    }


def environment(stack: ExitStack) -> dict[str, Any]:
    """A plugin in an environment, and a pool of one process."""
    import numpy

    import aimm_plugins

    aimm_plugins.initialize(_apart(stack, "one"))
    stack.callback(aimm_plugins.unload_all)
    pool = stack.enter_context(ProcessPoolExecutor(1))
    array = numpy.ones(12_500_000)
    empty = numpy.empty_like(array)

    def copy_twice() -> None:
        for _ in range(2):
            numpy.copyto(empty, array)

    return {
        "array": array,
        "call": lambda x: aimm_plugins.exec_data_access("same.one", None, x),
        "copy_twice": copy_twice,
        "submit": lambda x: pool.submit(same, x).result(),
        "x": 1.0,
    }


def starting(stack: ExitStack) -> dict[str, Any]:
    """One environment, to be started again and again."""
    return _starting(_apart(stack, "one"))


def starting_two(stack: ExitStack) -> dict[str, Any]:
    """Two environments, to be started again and again."""
    return _starting(_apart(stack, "one", "two"))


def _starting(conf: dict[str, Any]) -> dict[str, Any]:
    import aimm_plugins

    def start() -> None:
        aimm_plugins.initialize(conf)
        aimm_plugins.unload_all()

    def by_hand() -> None:
        code = f"import sys; sys.path[:] = {sys.path}; import bench_one"
        subprocess.run([sys.executable, "-P", "-c", code], check=True)

    return {"by_hand": by_hand, "start": start}


def serve(names: dict[str, Any]) -> None:
    """Answer requests until there are no more."""
    space = dict(names)
    known: dict[str, Any] = {}
    for line in sys.stdin:
        request = json.loads(line)
        statement = request["statement"]
        if statement not in known:
            exec(f"def run():\n    {statement}\n", space)
            known[statement] = space["run"]
        run = known[statement]
        wanted = request["milliseconds"] * 1e6 * LONGER
        count, begin = 0, perf_counter_ns()
        while count == 0 or perf_counter_ns() - begin < wanted:
            run()
            count += 1
        print((perf_counter_ns() - begin) / count, flush=True)


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    with ExitStack() as stack:
        serve(globals()[sys.argv[1]](stack))
