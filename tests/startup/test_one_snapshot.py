"""A call uses the registry that it began with, and a change of the registry is whole or not at all."""

from __future__ import annotations

import logging
import shutil
import sys
import threading
import types

import pytest

import aimm_plugins
from aimm_plugins import Result, hookimpl, initialize, unload_all
from aimm_plugins._startup.runtime import PROCESS
from tests.conftest import names
from tests.support.forked.case import Case
from tests.support.interrupting import interrupted_at


class Waiting:
    """A wrapper that stays in the middle of a call until it is told to go on."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    @hookimpl(wrapper=True)
    def aimm_predict(self):
        self.begun.set()
        assert self.go_on.wait(30)
        return (yield)


def test_wrapped_call_under_way_outlives_unload_all(write):
    write(mod="@predict(['k'])\ndef f(m, x): return x\n")
    initialize(names("mod"))
    wrapper, answers = Waiting(), []
    aimm_plugins.get_plugin_manager().register(wrapper)
    thread = threading.Thread(
        target=lambda: answers.append(aimm_plugins.exec_predict("k", 1, None, 2))
    )
    thread.start()
    assert wrapper.begun.wait(30)
    unload_all()
    wrapper.go_on.set()
    thread.join()
    assert answers == [(1, 2)]


def test_first_call_of_a_deferred_plugin_passes_its_own_wrapper_beside_an_executor(write, install):
    class Passing:
        @hookimpl
        def aimm_predict(self, model_type):
            return None

    write(
        guarded="@predict(['k'])\ndef f(m, x): return x\n"
        "@hookimpl(wrapper=True)\n"
        "def aimm_predict(model_type):\n"
        "    result = yield\n"
        "    return Result((result.value[0], 'guarded'))\n"
    )
    install("guarded-dist", entry_points={"g": "guarded"}, published={"predict:k": "guarded:f"})
    aimm_plugins.get_plugin_manager().register(Passing())
    initialize({"names": [], "load": "lazy", "entry_points": {"allow": ["guarded-dist"]}})
    called = [aimm_plugins.exec_predict("k", 1, None, 2)[1] for _ in range(2)]
    assert called == ["guarded", "guarded"]


def test_direct_call_of_a_hook_that_loads_a_plugin_passes_its_own_wrapper(write, install):
    write(
        guarded="@predict(['k'])\ndef f(m, x): return x\n"
        "@hookimpl(wrapper=True)\n"
        "def aimm_predict(model_type):\n"
        "    result = yield\n"
        "    return Result((result.value[0], 'guarded'))\n"
    )
    install("guarded-dist", entry_points={"g": "guarded"}, published={"predict:k": "guarded:f"})
    initialize({"names": [], "load": "lazy", "entry_points": {"allow": ["guarded-dist"]}})
    hook = aimm_plugins.get_plugin_manager().hook.aimm_predict
    arguments = {"model_type": "k", "instance": 1, "state_cb": None, "args": (2,), "kwargs": {}}
    assert [hook(**arguments) for _ in range(2)] == [Result((1, "guarded"))] * 2


def test_module_registered_by_hand_outlives_unload_all(write):
    write(
        hand="@fit(['hand'])\ndef f(m): return 1\n"
        "@hookimpl(wrapper=True)\ndef aimm_predict(): return (yield)\n"
    )
    import hand

    manager = aimm_plugins.get_plugin_manager()
    manager.register(hand)
    unload_all()
    assert manager.is_registered(hand)


def test_finding_that_was_repaired_is_not_in_the_current_report(install):
    conf = {"names": [], "entry_points": {"allow": [], "deny": ["later-dist"]}}
    initialize(conf)
    codes = {finding.code for finding in aimm_plugins.current_report().findings}
    assert "rule-matches-nothing" in codes
    install("later-dist")
    initialize(conf)
    assert aimm_plugins.current_report().findings == ()


def test_finding_that_was_repaired_is_gone_after_refresh(install):
    initialize({"names": [], "entry_points": {"allow": [], "deny": ["later-dist"]}})
    install("later-dist")
    aimm_plugins.refresh()
    assert aimm_plugins.current_report().findings == ()


def test_refresh_beside_unload_all_registers_nothing(write):
    write(
        mod="@fit(['k'])\ndef f(m): return 1\n",
    )
    initialize(names("mod"))
    with PROCESS.runtime.lock:
        thread = threading.Thread(target=aimm_plugins.refresh)
        thread.start()
        unload_all()
    thread.join()
    assert aimm_plugins.current_report().plugins == ()


@pytest.mark.parametrize("change", ["refresh", "initialize"])
def test_plugin_stays_loaded_that_a_call_loads_in_the_middle_of_a_change(write, install, change):
    """The change has found `early` deferred, and waits in `late`, which comes after it."""
    write(
        early="@fit(['early'])\ndef f(m): return 1\n"
        "@hookimpl(wrapper=True)\ndef aimm_fit(): return (yield)\n",
        late="import threading\nbegun, go_on = threading.Event(), threading.Event()\n"
        "@fit(['late'])\ndef _f(m): return 2\n"
        "def __getattr__(name):\n"
        "    if name != 'f': raise AttributeError(name)\n"
        "    if threading.current_thread() is not threading.main_thread():\n"
        "        begun.set()\n"
        "        assert go_on.wait(60)\n"
        "    return _f\n",
        new="import late\n",
    )
    install("early-dist", entry_points={"e": "early"}, published={"fit:early": "early:f"})
    install("late-dist", entry_points={"l": "late:f"}, published={"fit:late": "late:f"})
    allowed = {"allow": ["early-dist", "late-dist", "new-dist"]}
    conf = {"names": [], "load": "lazy", "entry_points": allowed}
    initialize(conf)
    install("new-dist", entry_points={"n": "new"})
    changes = {"refresh": aimm_plugins.refresh, "initialize": lambda: initialize(conf)}
    thread = threading.Thread(target=changes[change])
    thread.start()
    while "late" not in sys.modules or not hasattr(sys.modules["late"], "_f"):
        thread.join(0.01)
    late = sys.modules["late"]
    assert late.begun.wait(60)
    assert aimm_plugins.exec_fit("early", None) == 1
    late.go_on.set()
    thread.join()
    assert not aimm_plugins.providers()["fit", "early"].deferred
    assert aimm_plugins.get_plugin_manager().has_plugin("early")


def test_call_finds_what_another_thread_has_just_registered(write, install, monkeypatch):
    """The other thread has swapped the registry, and not yet the tables of calls."""
    write(early="@fit(['early'])\ndef f(m): return 1\n")
    install("early-dist", entry_points={"e": "early"}, published={"fit:early": "early:f"})
    initialize({"names": [], "load": "lazy", "entry_points": {"allow": ["early-dist"]}})
    runtime, begun, go_on, answers = PROCESS.runtime, threading.Event(), threading.Event(), []
    publish = runtime.registry.publish

    def publish_slowly(snapshot):
        publish(snapshot)
        begun.set()
        assert go_on.wait(60)

    def call():
        answers.append(aimm_plugins.exec_fit("early", None))

    monkeypatch.setattr(runtime.registry, "publish", publish_slowly)
    threads = [threading.Thread(target=call) for _ in range(2)]
    threads[0].start()
    assert begun.wait(60)
    threads[1].start()
    threads[1].join(0.2)  # which waits for the first one's commit
    go_on.set()
    for thread in threads:
        thread.join()
    assert answers == [1, 1]


def test_modules_that_come_and_go_are_not_held():
    manager = aimm_plugins.get_plugin_manager()
    for number in range(200):
        module = types.ModuleType(f"made_{number}")
        sys.modules[module.__name__] = module
        exec(
            "import aimm_plugins\n@aimm_plugins.fit(['made'])\ndef f(m): return 1",
            vars(module),
        )
        manager.register(module)
        manager.unregister(module)
        del sys.modules[module.__name__]
    held = [each for each in PROCESS.runtime.ledger.modules() if str(each.origins) >= "made_0"]
    assert len(PROCESS.runtime.ledger.modules()) < 150, len(held)


def test_plugins_that_came_and_went_leave_nothing(site, write, install):
    runtime = PROCESS.runtime
    initialize({"names": [], "load": "lazy", "entry_points": {"allow": ["passing-dist"]}})
    for number in range(3):
        name = f"passing{number}"
        write(**{name: "@fit(['k'])\ndef f(m): return __name__\n"})
        info = install("passing-dist", entry_points={"e": name}, published={"fit:k": f"{name}:f"})
        aimm_plugins.refresh()
        assert aimm_plugins.exec_fit("k", None) == name
        (site / f"{name}.py").unlink()
        shutil.rmtree(info)
        aimm_plugins.refresh()
        del sys.modules[name]
    aimm_plugins.refresh()
    kept = [*runtime.versions, *runtime._load_locks, *runtime.registry.snapshot.published]
    assert [name for name in map(str, kept) if "passing" in name] == []


@pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="nothing of it depends on threads"
)
def test_interrupt_at_any_line_of_unload_all_leaves_all_or_nothing(write):
    modules = ["one", "two"]
    wrapper = "@hookimpl(wrapper=True)\ndef aimm_predict(): return (yield)\n"
    for name in modules:
        write(**{name: f"@fit(['{name}'])\ndef f(m): return 1\n{wrapper}"})
    manager, line, interrupted = aimm_plugins.get_plugin_manager(), 0, True
    while interrupted:
        initialize(names(*modules))
        line += 1
        interrupted = interrupted_at(line, unload_all)
        there = sorted(key for _, key in aimm_plugins.providers())
        assert there in ([], modules)
        assert sorted(i.plugin_name for i in manager.hook.aimm_predict.get_hookimpls()) == there
    assert line > 50


class Interrupting(logging.Handler):
    """Ctrl-C while a line is written."""

    def emit(self, record: logging.LogRecord) -> None:
        raise KeyboardInterrupt


def test_interrupt_while_a_start_logs_leaves_all_of_it_registered(write):
    write(one="@fit(['one'])\ndef f(m): return 1\n", two="@fit(['two'])\ndef f(m): return 2\n")
    initialize(names("one"))
    handler, logger = Interrupting(logging.INFO), logging.getLogger("aimm_plugins")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            initialize(names("one", "two"))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert [r.state for r in aimm_plugins.current_report()] == ["loaded", "loaded"]
    assert aimm_plugins.exec_fit("two", None) == 2
    assert PROCESS.runtime.registry.snapshot.confs[-1].names == ("one", "two")
    assert aimm_plugins.refresh().plugins == ()


def test_interrupt_in_the_middle_of_a_change_leaves_all_or_nothing(case: Case) -> None:
    modules = [f"m{number}" for number in range(8)]
    for module in modules:
        case.module(
            module,
            f"@fit(['{module}'])\ndef f(m): return 1\n"
            "@hookimpl(wrapper=True)\ndef aimm_predict(): return (yield)\n",
        )
    got = case.run(
        f"""
        import random, signal, time
        modules = {modules!r}
        conf = {{"names": modules, "entry_points": {{"enabled": False}}}}
        def interrupt(*_):
            raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, interrupt)
        initialize(conf)
        begin = time.perf_counter()
        unload_all()
        initialize(conf)
        seconds = time.perf_counter() - begin
        out["halves"], out["interrupted"] = [], 0
        for _ in range(100):
            for change in (lambda: initialize(conf), unload_all):
                try:
                    signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, seconds))
                    change()
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except KeyboardInterrupt:
                    out["interrupted"] += 1
                there = sorted(set(plugged()) & set(modules))
                callable = sorted(key for _, key in providers())
                if there != callable or len(there) not in (0, len(modules)):
                    out["halves"].append([there, callable])
        """
    )
    assert got["halves"] == []
    assert got["interrupted"]
