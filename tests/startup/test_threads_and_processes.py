"""Many threads and processes at once: nothing lost, nothing half built, nobody stuck."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

import aimm_plugins
from aimm_plugins import UnknownPluginError, initialize, refresh, unload_all
from tests.conftest import names
from tests.support.forked.case import BAD, Case
from tests.support.threads import together


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


@pytest.mark.parametrize("look_up", ["is_registered", "get_name"])
def test_plugin_is_looked_up_while_another_thread_registers_one(look_up):
    manager = aimm_plugins.get_plugin_manager()
    threads = []

    class Asked:
        __hash__ = object.__hash__

        def __eq__(self, _):
            if not threads:
                threads.append(threading.Thread(target=manager.register, args=(object(),)))
                threads[0].start()
                threads[0].join(0.2)
            return False

    manager.register(object())
    assert not getattr(manager, look_up)(Asked())
    threads[0].join()
    assert len(manager.list_name_plugin()) == 2


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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_child_forked_in_the_middle_of_a_plugins_import_imports_it_itself(write, install):
    write(
        parts="aimm_plugins.begun.set()\naimm_plugins.go_on.wait(30)\n",
        late="import parts\n@fit(['late'])\ndef f(m): return 3\n",
    )
    install("late-dist", entry_points={"l": "late"}, published={"fit:late": "late:f"})
    aimm_plugins.begun, aimm_plugins.go_on = threading.Event(), threading.Event()
    conf = {"names": [], "load": "lazy", "entry_points": {"allow": ["late-dist"]}}
    initialize(conf)
    thread = threading.Thread(target=aimm_plugins.exec_fit, args=("late", None))
    thread.start()
    assert aimm_plugins.begun.wait(30)
    child = os.fork()
    if child == 0:  # nothing of the test run may go on in here
        signal.alarm(20)
        try:
            aimm_plugins.go_on = threading.Event()
            aimm_plugins.go_on.set()
            told = aimm_plugins.exec_fit("late", None)
            unload_all()
            initialize(conf)
            os._exit(0 if told == aimm_plugins.exec_fit("late", None) == 3 else 3)
        except BaseException:
            os._exit(4)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    aimm_plugins.go_on.set()
    thread.join(30)
    assert status == 0
    assert aimm_plugins.exec_fit("late", None) == 3
    del aimm_plugins.begun, aimm_plugins.go_on


STARTED = """
done, errors = [], []
def run(*works):
    barrier = threading.Barrier(len(works))
    def guarded(work):
        barrier.wait()
        try:
            work()
        except BaseException as error:
            errors.append(f"{type(error).__name__}: {error}")
    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""


def many(case: Case, count: int = 12) -> list[str]:
    """Several sound plugins."""
    names = [f"many_{number}" for number in range(count)]
    for name in names:
        case.module(name, f"@fit(['{name}'])\ndef f(m): return '{name}'\n")
    case.dist("many-dist", entry_points={name: name for name in names})
    return names


def hosted(case: Case, script: str, **kwargs) -> dict:
    """Run a script after the tools for threads."""
    return case.run(STARTED + script, **kwargs)


@pytest.mark.parametrize("broken", [False, True])
def test_eight_threads_that_initialize_lose_nothing(case: Case, broken: bool) -> None:
    names = many(case)
    case.bad("raise SystemExit(1)\n" if broken else BAD)
    got = hosted(
        case,
        """
def work():
    initialize({"names": [], "on_error": "isolate"})
    done.append(attempt(exec_data_access, "good"))
run(*[work] * 8)
out.update(done=done, errors=errors, keys=keys(), plugged=plugged(), report=account(current_report()))
""",
    )
    assert got["errors"] == []
    assert got["done"] == [{"value": 42}] * 8
    expected = ["data_access:good", *sorted(f"fit:{name}" for name in names)]
    assert got["keys"] == sorted(expected + ([] if broken else ["fit:bad"]))
    assert got["report"]["states"]["bad"] == ("failed" if broken else "loaded")


def test_eight_threads_that_initialize_strictly_with_a_broken_plugin_all_hear_of_it(
    case: Case,
) -> None:
    many(case)
    case.bad("1 / 0\n")
    got = hosted(
        case,
        """
def work():
    done.append(strictly(None)["error"])
run(*[work] * 8)
out.update(done=done, errors=errors, keys=keys(), plugged=plugged())
""",
    )
    assert got == {"done": ["PluginLoadError"] * 8, "errors": [], "keys": [], "plugged": []}


def test_threads_with_different_confs_add_up(case: Case) -> None:
    names = many(case)
    got = hosted(
        case,
        f"""
names = {names!r}
def adds(name):
    return lambda: initialize({{"names": [name], "entry_points": {{"enabled": False}}}})
run(*[adds(name) for name in names])
out.update(errors=errors, keys=keys(), plugged=plugged())
""",
    )
    assert got["errors"] == []
    assert got["keys"] == sorted(f"fit:{name}" for name in names)
    assert got["plugged"] == sorted(names)


def test_calls_go_on_while_others_initialize_unload_and_refresh(case: Case) -> None:
    many(case)
    got = hosted(
        case,
        """
initialize()
stop = threading.Event()
seen = set()
def changes():
    for _ in range(4):
        initialize()
        aimm_plugins.refresh()
        unload_all()
        initialize()
    stop.set()
def calls():
    while not stop.is_set():
        try:
            seen.add(exec_data_access("good"))
        except UnknownPluginError:
            seen.add("unloaded")
def looks():
    while not stop.is_set():
        count = len([key for key in keys() if key.startswith("fit:many_")])
        seen.add(f"keys {count}")
        str(current_report())
run(changes, calls, calls, looks)
out.update(errors=errors, seen=sorted(map(str, seen)), keys=keys(), good=attempt(exec_data_access, "good"))
""",
        timeout=60,
    )
    assert got["errors"] == []
    assert set(got["seen"]) <= {"42", "unloaded", "keys 0", "keys 12"}
    assert got["good"] == {"value": 42}
    assert len(got["keys"]) == 13


def test_calls_under_way_finish_when_everything_is_unloaded(case: Case) -> None:
    case.bad(
        "@fit(['bad'])\ndef bad(model, begun, go):\n    begun.set()\n    go.wait(20)\n    return 'finished'\n"
    )
    got = hosted(
        case,
        """
initialize()
begun, go = threading.Event(), threading.Event()
def calls():
    done.append(exec_fit("bad", None, None, begun, go))
def unloads():
    begun.wait(20)
    unload_all()
    done.append(attempt(exec_fit, "bad", None)["error"])
    go.set()
run(calls, unloads)
out.update(done=done, errors=errors)
""",
    )
    assert got == {"done": ["UnknownPluginError", "finished"], "errors": []}


SLOW = "aimm_plugins.begun.set()\naimm_plugins.go.wait(20)\n" + BAD

MEANWHILE = {
    "call": "attempt(exec_data_access, 'early')['value']",
    "providers": "len(keys())",
    "report": "len(current_report().plugins)",
    "plan": "len(plan({'names': ['early'], 'entry_points': {'enabled': False}}).plugins)",
    "initialize": "len(initialize({'names': ['early'], 'entry_points': {'enabled': False}}).plugins)",
    "unknown_key": "len([attempt(exec_fit, 'nothing', None)['error']])",
    "hand_declared": "attempt(aimm_plugins.data_access('hand'), lambda: 1) and attempt(exec_data_access, 'hand')['value']",
    "manager": "len(plugged())",
}


@pytest.mark.parametrize("kind", MEANWHILE)
def test_slow_import_holds_up_nobody(case: Case, kind: str) -> None:
    case.module("early", "@data_access('early')\ndef f(): return 1\n")
    case.bad(SLOW)
    got = hosted(
        case,
        f"""
initialize({{"names": ["early"], "entry_points": {{"enabled": False}}}})
aimm_plugins.begun, aimm_plugins.go = threading.Event(), threading.Event()
def meanwhile():
    aimm_plugins.begun.wait(20)
    try:
        done.append({MEANWHILE[kind]})
        done.append("before" if not aimm_plugins.go.is_set() else "after")
    finally:
        aimm_plugins.go.set()
run(lambda: initialize(), meanwhile)
out.update(done=done, errors=errors, bad=attempt(exec_fit, "bad", None))
""",
    )
    assert got == {"done": [1, "before"], "errors": [], "bad": {"value": "bad"}}


@pytest.mark.parametrize("action", ["unload_all()", "aimm_plugins.refresh()"])
def test_unloading_or_refreshing_during_a_slow_import_ends_well(case: Case, action: str) -> None:
    case.bad(SLOW)
    got = hosted(
        case,
        f"""
aimm_plugins.begun, aimm_plugins.go = threading.Event(), threading.Event()
initialize({{"names": ["good"], "entry_points": {{"enabled": False}}}})
def meanwhile():
    aimm_plugins.begun.wait(20)
    aimm_plugins.go.set()
    {action}
run(lambda: initialize(), meanwhile)
initialize()
out.update(errors=errors, keys=keys(), plugged=plugged())
""",
    )
    assert got == {
        "errors": [],
        "keys": ["data_access:good", "fit:bad"],
        "plugged": ["bad", "good"],
    }


def test_child_forked_during_a_slow_import_can_call(case: Case) -> None:
    case.bad(SLOW)
    got = hosted(
        case,
        """
aimm_plugins.begun, aimm_plugins.go = threading.Event(), threading.Event()
initialize({"names": ["good"], "entry_points": {"enabled": False}})
def forks():
    aimm_plugins.begun.wait(20)
    try:
        import warnings
        warnings.simplefilter("ignore")
        pid = os.fork()
        if pid == 0:
            try:
                fine = exec_data_access("good") == 42 and keys() == ["data_access:good"]
                fine = fine and attempt(exec_fit, "bad", None)["error"] == "UnknownPluginError"
                aimm_plugins.fit(["child"])(lambda model: 1)
                fine = fine and exec_fit("child", None) == 1
            finally:
                os._exit(0 if fine else 1)
        done.append(os.waitpid(pid, 0)[1])
    finally:
        aimm_plugins.go.set()
run(lambda: initialize(), forks)
out.update(done=done, errors=errors, keys=keys())
""",
    )
    assert got == {"done": [0], "errors": [], "keys": ["data_access:good", "fit:bad"]}


@pytest.mark.parametrize("module", ["difflib", "aimm_plugins._registry.key_errors"])
def test_child_forked_while_a_thread_imports_what_errors_need_is_told_its_error(
    case: Case, module: str
) -> None:
    got = hosted(
        case,
        f"""
initialize({{"names": ["good"], "entry_points": {{"enabled": False}}}})
begun = threading.Event()
sys.modules.pop({module!r}, None)
import signal, time
from importlib.machinery import SourceFileLoader
execute = SourceFileLoader.exec_module
def slowly(loader, module):
    if module.__name__ == {module!r}:
        begun.set()
        time.sleep(0.5)
    execute(loader, module)
SourceFileLoader.exec_module = slowly
def forks():
    begun.wait(20)
    pid = os.fork()
    if pid == 0:
        signal.alarm(15)
        told = attempt(exec_fit, "god", None)["error"]
        os._exit(0 if told == "UnknownPluginError" else 1)
    done.append(os.waitpid(pid, 0)[1])
run(lambda: attempt(exec_fit, "god", None), forks)
out.update(done=done, errors=errors)
""",
    )
    assert got == {"done": [0], "errors": []}


def test_children_forked_while_threads_call_and_initialize_never_hang(case: Case) -> None:
    many(case)
    got = hosted(
        case,
        """
import warnings
warnings.simplefilter("ignore")
initialize()
stop = threading.Event()
def calls():
    while not stop.is_set():
        exec_data_access("good")
        keys()
def initializes():
    while not stop.is_set():
        initialize()
def forks():
    try:
        for _ in range(8):
            pid = os.fork()
            if pid == 0:
                os._exit(0 if exec_data_access("good") == 42 and exec_fit("many_1", None) == "many_1" else 1)
            done.append(os.waitpid(pid, 0)[1])
    finally:
        stop.set()
run(calls, initializes, forks)
out.update(done=done, errors=errors)
""",
        timeout=60,
    )
    assert got == {"done": [0] * 8, "errors": []}


def test_child_forked_while_threads_write_to_the_calls_can_call(case: Case) -> None:
    """Without the GIL a dict that threads write to at the fork may stay locked in the child."""
    got = hosted(
        case,
        """
import signal, warnings
warnings.simplefilter("ignore")
from aimm_plugins._startup.runtime import PROCESS
initialize()
def write(table):
    while True:
        table["other"] = None
        table.pop("other", None)
for _ in range(3):
    threading.Thread(target=write, args=(PROCESS.calls.data_access,), daemon=True).start()
for _ in range(8):
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        os._exit(0 if exec_data_access("good") == 42 else 1)
    done.append(os.waitpid(pid, 0)[1])
out.update(done=done)
""",
        timeout=200,
    )
    assert got == {"done": [0] * 8}


def test_forked_child_can_initialize_anew(case: Case) -> None:
    case.bad("raise SystemExit(5)\n")
    got = case.run(
        """
        initialize({"names": [], "on_error": "isolate"})
        pid = os.fork()
        if pid == 0:
            unload_all()
            again = initialize({"names": [], "on_error": "isolate"})
            os._exit(0 if exec_data_access("good") == 42 and not again.ok else 1)
        out["child"] = os.waitpid(pid, 0)[1]
        out["good"] = attempt(exec_data_access, "good")
        """
    )
    assert got == {"child": 0, "good": {"value": 42}}


def test_spawned_child_begins_empty_and_is_told_so(case: Case) -> None:
    got = case.run(
        """
        import subprocess
        initialize()
        code = (
            "import aimm_plugins\\n"
            "try: aimm_plugins.exec_data_access('good')\\n"
            "except LookupError as error: print(error)\\n"
            "aimm_plugins.initialize({'names': ['good'], 'entry_points': {'enabled': False}})\\n"
            "print(aimm_plugins.exec_data_access('good'))\\n"
        )
        out["text"] = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
        """
    )
    assert "ever initialized" in got["text"]
    assert got["text"].endswith("42\n")


def test_errors_of_a_pool_reach_the_parent_with_their_message(case: Case) -> None:
    case.bad(
        "class Odd(Exception):\n    def __init__(s, a, b): super().__init__('told')\nraise Odd(1, 2)\n"
    )
    case.module("work", "def work(n):\n    aimm_plugins.initialize()\n")
    got = case.run(
        """
        import multiprocessing, work
        with multiprocessing.get_context("fork").Pool(1) as pool:
            out.update(attempt(pool.map, work.work, [1]))
        """
    )
    assert got["error"] == "PluginLoadError"
    assert "bad-dist 6.6.6" in got["text"]
    assert "told" in got["text"]


def test_interrupt_from_the_keyboard_during_an_import_undoes_all(case: Case) -> None:
    case.module("aaa", "@fit(['aaa'])\ndef f(m): ...\n")
    case.dist("aaa-dist", entry_points={"aaa": "aaa"})
    case.bad("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n" + BAD)
    got = case.run(
        """
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)
        out.update(attempt(initialize, {"names": [], "on_error": "isolate"}))
        out["keys"], out["plugged"] = keys(), plugged()
        """
    )
    assert got["error"] == "KeyboardInterrupt"
    assert got["keys"] == got["plugged"] == []


def test_plugin_that_imports_in_a_thread_of_its_own_does_not_lock(case: Case) -> None:
    case.module("helper_module", "x = 1\n")
    case.bad(
        """
        import threading
        def work():
            import helper_module
            import aimm_plugins
            aimm_plugins.providers()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        """
        + "\n"
    )
    got = case.gauntlet()
    assert got["isolate"]["states"] == {"bad": "loaded", "good": "loaded"}


def test_plugin_that_initializes_in_a_thread_and_waits_for_it_does_not_lock(case: Case) -> None:
    case.bad(
        """
        import threading
        thread = threading.Thread(
            target=lambda: aimm_plugins.initialize({"names": ["good"], "entry_points": {"enabled": False}})
        )
        thread.start()
        thread.join()
        """
    )
    got = case.run(
        "out.update(account(initialize()))\nout['good'] = attempt(exec_data_access, 'good')\n"
    )
    assert got["good"] == {"value": 42}
    assert got["states"] == {"bad": "loaded", "good": "loaded"}


def test_threads_that_import_rings_of_plugins_from_both_ends_do_not_lock(case: Case) -> None:
    for mine, other in (("ring_a", "ring_b"), ("ring_b", "ring_a")):
        case.module(mine, f"import {other}\n@fit(['{mine}'])\ndef f(m): return '{mine}'\n")
    got = hosted(
        case,
        """
def adds(*names):
    return lambda: initialize({"names": list(names), "entry_points": {"enabled": False}})
run(adds("ring_a", "ring_b"), adds("ring_b", "ring_a"))
out.update(errors=errors, keys=keys())
""",
    )
    assert got == {"errors": [], "keys": ["fit:ring_a", "fit:ring_b"]}


def test_daemon_thread_that_a_plugin_left_does_not_keep_the_host_from_leaving(case: Case) -> None:
    case.bad(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n1 / 0\n"
    )
    got = case.run(
        """
        import subprocess
        code = (
            "import aimm_plugins\\n"
            "r = aimm_plugins.initialize({'names': ['good', 'bad'], 'entry_points': {'enabled': False}, 'on_error': 'isolate'})\\n"
            "print(aimm_plugins.exec_data_access('good'))\\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=15)
        out.update(code=done.returncode, text=done.stdout)
        """
    )
    assert got == {"code": 0, "text": "42\n"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_fork_begins_no_import_that_a_load_in_another_thread_may_have_begun():
    script = """
        import os, sys, aimm_plugins
        aimm_plugins.initialize({"names": [], "entry_points": {"enabled": False}})
        assert "importlib.metadata" not in sys.modules
        pid = os.fork()
        if pid == 0:
            os._exit("importlib.metadata" not in sys.modules)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_forked_child_forgets_loads_although_an_import_before_the_fork_has_failed():
    script = """
        import os, signal, sys, threading, aimm_plugins
        from aimm_plugins._startup.runtime import PROCESS
        def loads():
            with PROCESS.runtime.load_lock("plugin"):
                begun.set()
                over.wait(30)
        begun, over = threading.Event(), threading.Event()
        threading.Thread(target=loads).start()
        begun.wait(30)
        sys.modules["difflib"] = None
        pid = os.fork()
        if pid == 0:
            signal.alarm(30)
            with PROCESS.runtime.load_lock("plugin"):
                os._exit(0)
        over.set()
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    command = [sys.executable, "-Wignore", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("Exception ignored")) == (0, 1)
