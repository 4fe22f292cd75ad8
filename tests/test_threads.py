"""Many threads and processes at once: nothing lost, nothing half built, nobody stuck."""

from __future__ import annotations

import os
import random
import threading
import traceback
from collections.abc import Callable

import pytest

import aimm_plugins
from aimm_plugins import UnknownPluginError, initialize, refresh, unload_all
from tests.conftest import names


def together(*works: Callable[[], object], seconds: float = 60) -> list[BaseException]:
    """Run works in a thread each, from one moment on; what they raised."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        try:
            barrier.wait(seconds)
            work()
        except BaseException as error:
            traceback.print_exception(error)  # pytest shows it if the test fails by it
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
        assert not thread.is_alive(), "a thread is stuck"
    return errors


def test_all_that_changes_the_registry_at_once_loses_nothing(write, install):
    eager = [f"eager_{i}" for i in range(6)]
    lazy = [f"lazy_{i}" for i in range(6)]
    source = "@fit(['{0}'])\ndef f(m): return '{0}'\n@predict(['{0}'])\ndef g(m): return '{0}'\n"
    write(**{name: source.format(name) for name in (*eager, *lazy)})
    for name in lazy:
        install(
            f"{name}-dist",
            entry_points={name: name},
            published={f"fit:{name}": f"{name}:f", f"predict:{name}": f"{name}:g"},
        )
    conf = {
        "names": eager,
        "load": "lazy",
        "entry_points": {"allow": [f"{name}-dist" for name in lazy]},
    }
    initialize(conf)

    def call() -> None:
        for name in random.Random(1).sample([*eager, *lazy] * 20, 200):
            try:
                assert aimm_plugins.exec_fit(name, None) == name
                assert aimm_plugins.exec_predict(name, 1) == (1, name)
            except UnknownPluginError:  # between an unload_all and the next initialize
                continue

    def whole() -> None:
        for _ in range(40):
            found = {key for action, key in aimm_plugins.providers("fit")}
            assert not found & {*eager, *lazy} or found >= {*eager, *lazy}

    def again() -> None:
        for _ in range(10):
            initialize(conf)

    def anew() -> None:
        for _ in range(10):
            refresh()
            unload_all()
            initialize(conf)

    assert together(call, call, call, whole, again, anew, anew, refresh) == []
    initialize(conf)
    assert {key for _, key in aimm_plugins.providers("fit")} >= {*eager, *lazy}
    for name in (*eager, *lazy):
        assert aimm_plugins.exec_fit(name, None) == name


def test_deferred_key_is_called_by_threads_while_a_plugin_imports_it_by_hand(write, install):
    write(
        p="@fit(['k'])\ndef f(m): return 1\n",
        user="import p\n@fit(['user'])\ndef f(m): return 2\n",
    )
    install("p-dist", entry_points={"p": "p"}, published={"fit:k": "p:f"})
    conf = {"names": [], "load": "lazy", "entry_points": {"allow": ["p-dist"]}}
    initialize(conf)
    answers = []
    errors = together(
        *[lambda: answers.append(aimm_plugins.exec_fit("k", None))] * 4,
        lambda: initialize(names("user")),
    )
    assert errors == []
    assert answers == [1] * 4
    assert aimm_plugins.exec_fit("user", None) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_child_forked_in_the_middle_of_loading_can_call_and_load(write, install):
    write(
        ready="@fit(['ready'])\ndef f(m): return 1\n",
        slow="aimm_plugins.begun.set()\naimm_plugins.go_on.wait(30)\n",
        p="@fit(['k'])\ndef f(m): return 2\n",
        q="aimm_plugins.q_begun.set()\naimm_plugins.go_on.wait(30)\n@fit(['q'])\ndef f(m): ...\n",
    )
    for name, key in (("p", "k"), ("q", "q")):
        install(f"{name}-dist", entry_points={name: name}, published={f"fit:{key}": f"{name}:f"})
    aimm_plugins.begun, aimm_plugins.go_on = threading.Event(), threading.Event()
    aimm_plugins.q_begun = threading.Event()
    initialize(
        {"names": ["ready"], "load": "lazy", "entry_points": {"allow": ["p-dist", "q-dist"]}}
    )
    threads = [
        threading.Thread(target=initialize, args=(names("slow"),)),
        threading.Thread(target=aimm_plugins.exec_fit, args=("q", None)),
    ]
    for thread in threads:
        thread.start()
    assert aimm_plugins.begun.wait(30)
    assert aimm_plugins.q_begun.wait(30)
    child = os.fork()
    if child == 0:  # nothing of the test run may go on in here
        try:
            told = (aimm_plugins.exec_fit("ready", None), aimm_plugins.exec_fit("k", None))
            os._exit(0 if told == (1, 2) else 3)
        except BaseException:
            os._exit(4)
    aimm_plugins.go_on.set()
    for thread in threads:
        thread.join(30)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    del aimm_plugins.begun, aimm_plugins.go_on, aimm_plugins.q_begun
