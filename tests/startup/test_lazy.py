"""Lazy loading: keys known by metadata, modules imported by the first call that needs them."""

from __future__ import annotations

import asyncio
import importlib
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import aimm_plugins
from aimm_plugins import PluginLoadError, UnknownPluginError, initialize
from aimm_plugins._diagnostics.take_inventory import take_inventory
from tests.support.forked.case import BAD, HEADER, Case
from tests.support.threads import in_threads, together

OURS = [
    f"{name}-dist"
    for name in ["lazy", "rival", "other", "plain", "object", "caller", "user", "p", "q"]
]


def lazy(**more: object) -> dict[str, object]:
    """A conf that loads lazily, and leaves what else is installed alone."""
    return {"names": [], "load": "lazy", "entry_points": {"allow": OURS}, **more}


def record_of(report, name="ep"):
    return next(each for each in report.plugins if each.name == name)


@pytest.fixture
def dist(write, install):
    """Installs a plugin `p` that publishes fit:k and predict:k."""

    def dist(source=None, name="lazy-dist", module="p", published=None, **more):
        if source is None:
            source = "@fit(['k'])\ndef f(m): return 'fitted'\n@predict(['k'])\ndef g(m): return 5\n"
        write(**{module: source})
        install(
            name,
            entry_points={"ep": module},
            published={"fit:k": f"{module}:f", "predict:k": f"{module}:g"}
            if published is None
            else published,
            **more,
        )

    return dist


def test_published_plugin_is_deferred_with_its_keys_and_not_imported(dist):
    dist()
    mine = record_of(initialize(lazy()))
    assert mine.state == "deferred"
    assert mine.provides == (("fit", "k"), ("predict", "k"))
    assert "imported by the first call" in mine.reason
    assert "p" not in sys.modules


def test_providers_tell_a_deferred_key(dist):
    dist()
    initialize(lazy())
    provider = aimm_plugins.providers("fit")["fit", "k"]
    assert provider.deferred
    assert (provider.module, provider.qualname) == ("p", "f")
    assert provider.function is None


def test_first_call_imports_and_registers_the_whole_plugin(dist):
    dist()
    initialize(lazy())
    assert aimm_plugins.exec_fit("k", None) == "fitted"
    assert record_of(aimm_plugins.current_report()).state == "loaded"
    assert aimm_plugins.exec_predict("k", 1) == (1, 5)
    assert not aimm_plugins.providers()["predict", "k"].deferred


def test_only_the_needed_plugin_is_imported(dist):
    dist()
    dist(
        "@fit(['other'])\ndef f(m): ...\n",
        name="other-dist",
        module="q",
        published={"fit:other": "q:f"},
    )
    initialize(lazy())
    aimm_plugins.exec_fit("k", None)
    assert "q" not in sys.modules


def test_plugin_without_published_keys_is_imported_at_once_and_says_so(write, install):
    write(p="@fit(['k'])\ndef f(m): ...\n")
    install("plain-dist", entry_points={"ep": "p"})
    mine = record_of(initialize(lazy()))
    assert mine.state == "loaded"
    assert "publishes no keys" in mine.reason


def test_config_name_of_a_distribution_that_publishes_is_deferred(dist):
    dist(files=["p.py"])
    mine = record_of(initialize(lazy(names=["p"])), "p")
    assert (mine.state, mine.distribution) == ("deferred", "lazy-dist")
    assert aimm_plugins.exec_fit("k", None) == "fitted"


def test_module_that_is_imported_already_is_loaded_at_once(dist):
    dist()
    importlib.import_module("p")
    assert record_of(initialize(lazy())).state == "loaded"


def test_conflict_of_deferred_plugins_is_found_without_importing(dist):
    dist()
    dist(name="rival-dist", module="q", published={"fit:k": "q:f"})
    with pytest.raises(PluginLoadError, match=r"(?s)lazy-dist 1\.0.*rival-dist 1\.0"):
        initialize(lazy())
    assert not {"p", "q"} & set(sys.modules)


def test_deferred_plugin_that_has_failed_does_not_say_that_a_call_imports_it(dist):
    dist(published={"fit:k": "p:f"})
    dist(name="rival-dist", module="q", published={"fit:k": "q:f"})
    for report in (
        aimm_plugins.plan(lazy(on_error="isolate")),
        initialize(lazy(on_error="isolate")),
    ):
        rival = next(record for record in report if record.module == "q")
        assert (rival.state, rival.reason) == ("failed", None)


def test_key_that_was_lost_to_a_conflict_stays_lost_after_loading(dist):
    dist()
    dist(
        "@fit(['k', 'own'])\ndef f(m): ...\n",
        name="rival-dist",
        module="q",
        published={"fit:k": "q:f", "fit:own": "q:f"},
    )
    initialize(lazy(on_error="isolate"))
    aimm_plugins.exec_fit("own", None)
    aimm_plugins.exec_predict("k", None)
    with pytest.raises(UnknownPluginError):
        aimm_plugins.exec_fit("k", None)


def test_preferred_plugin_answers_and_the_shadowed_one_is_never_imported(dist):
    dist()
    dist("1/0\n", name="rival-dist", module="q", published={"fit:k": "q:f"})
    report = initialize(lazy(prefer={"k": "lazy-dist"}))
    assert [each.state for each in report.plugins if each.module in "pq"] == [
        "deferred",
        "shadowed",
    ]
    assert aimm_plugins.exec_fit("k", None) == "fitted"


@pytest.mark.parametrize("order", [("k", "own"), ("own", "k")])
def test_key_of_a_preferred_plugin_that_fails_is_answered_by_no_other_one(dist, order):
    """Whichever of the two is called first; plan tells the rule as the start does."""
    dist("1/0\n")
    source = "@fit(['k', 'own'])\ndef f(m): return 'own'\n"
    dist(source, "rival-dist", "q", published={"fit:k": "q:f", "fit:own": "q:f"})
    conf = lazy(prefer={"k": "lazy-dist"})
    foreseen = [record.reason for record in aimm_plugins.plan(conf)]
    assert foreseen == [record.reason for record in initialize(conf)]
    assert "gives k to lazy-dist" in str(foreseen[-1])
    for key in (*order, *order):
        if key == "own":
            assert aimm_plugins.exec_fit(key, None) == "own"
        else:
            with pytest.raises(PluginLoadError):
                aimm_plugins.exec_fit(key, None)


def test_failing_import_raises_load_error_and_is_not_tried_again_by_calls(dist):
    dist("aimm_plugins.tries.append(1)\n1/0\n")
    aimm_plugins.tries = []
    initialize(lazy())
    for action in (aimm_plugins.exec_fit, aimm_plugins.exec_predict, aimm_plugins.exec_fit):
        with pytest.raises(PluginLoadError, match=r"lazy-dist 1\.0.*ep = p") as caught:
            action("k", None)
        assert isinstance(caught.value.exceptions[0], ZeroDivisionError)
    assert aimm_plugins.tries == [1]
    assert record_of(aimm_plugins.current_report()).state == "failed"
    del aimm_plugins.tries


def test_repaired_deferred_plugin_loads_after_the_next_initialize(dist, site):
    dist("1/0\n")
    initialize(lazy())
    with pytest.raises(PluginLoadError):
        aimm_plugins.exec_fit("k", None)
    (site / "p.py").write_text(
        "from aimm_plugins import *\n@fit(['k'])\ndef f(m): return 7\n"
        "@predict(['k'])\ndef g(m): ...\n"
    )
    assert record_of(initialize(lazy())).state == "deferred"
    assert aimm_plugins.exec_fit("k", None) == 7


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("@fit(['k'])\ndef f(m): ...\n", r"does not declare predict:k"),
        ("def f(m): ...\n", r"does not declare fit:k, predict:k"),
        (
            "@fit(['k', 'z'])\ndef f(m): ...\n@predict(['k'])\ndef g(m): ...\n",
            r"declares fit:z beyond that",
        ),
    ],
)
def test_other_keys_than_published_are_an_error_naming_both(dist, source, message):
    dist(source)
    initialize(lazy())
    with pytest.raises(PluginLoadError, match=rf"publishes fit:k, predict:k, and p .*{message}"):
        aimm_plugins.exec_fit("k", None)
    assert not {("fit", "k"), ("fit", "z")} & set(aimm_plugins.providers())


def test_other_keys_than_published_are_a_finding_when_eager(dist):
    dist("@fit(['k'])\ndef f(m): ...\n")
    report = initialize()
    assert record_of(report).state == "loaded"
    assert "published-keys-differ" in {finding.code for finding in report.findings}


@pytest.mark.parametrize("load", ["lazy", "eager"])
def test_keys_of_another_plugin_in_a_submodule_are_not_the_packages(write, install, load):
    write(
        twofold____init__="@fit(['k'])\ndef f(m): return 1\n",
        twofold__sub="@fit(['z'])\ndef g(m): return 2\n",
    )
    install(
        "lazy-dist",
        entry_points={"ep": "twofold", "sub": "twofold.sub"},
        published={"fit:k": "twofold:f", "fit:z": "twofold.sub:g"},
        files=["twofold/__init__.py", "twofold/sub.py"],
    )
    alone = {"entry_points": {"enabled": False}}
    initialize({"names": ["twofold.sub"], **alone})
    aimm_plugins.unload_all()
    report = initialize({"names": ["twofold"], "load": load, **alone})
    assert not report.findings
    assert aimm_plugins.exec_fit("k", None) == 1
    assert not aimm_plugins.current_report().findings


def test_denied_plugin_is_not_deferred(dist):
    dist("1/0\n")
    report = initialize(lazy(entry_points={"deny": ["lazy-dist"]}))
    assert record_of(report).state == "denied"
    with pytest.raises(UnknownPluginError, match="denied by 'lazy-dist'"):
        aimm_plugins.exec_fit("k", None)


def test_many_threads_import_once_and_all_get_their_answer(dist):
    dist(
        "aimm_plugins.tries.append(1)\naimm_plugins.gate.wait(10)\n"
        "@fit(['k'])\ndef f(m): return m\n@predict(['k'])\ndef g(m): ...\n"
    )
    aimm_plugins.tries, aimm_plugins.gate = [], threading.Event()
    initialize(lazy())
    answers = []
    works = [lambda i=i: answers.append(aimm_plugins.exec_fit("k", i)) for i in range(8)]
    with in_threads(*works):
        aimm_plugins.gate.set()
    assert sorted(answers) == list(range(8))
    assert aimm_plugins.tries == [1]
    del aimm_plugins.tries, aimm_plugins.gate


def test_many_threads_share_one_failing_import(dist):
    dist("aimm_plugins.tries.append(1)\naimm_plugins.gate.wait(10)\n1/0\n")
    aimm_plugins.tries, aimm_plugins.gate = [], threading.Event()
    initialize(lazy())
    errors = []

    def call():
        try:
            aimm_plugins.exec_fit("k", None)
        except PluginLoadError as error:
            errors.append(error)

    with in_threads(*[call] * 8):
        aimm_plugins.gate.set()
    assert len(errors) == 8
    assert aimm_plugins.tries == [1]
    del aimm_plugins.tries, aimm_plugins.gate


def test_plugins_that_need_each_other_in_two_threads_do_not_deadlock(dist):
    for one, other in (("p", "q"), ("q", "p")):
        dist(
            f"aimm_plugins.barrier.wait(10)\nimport {other}\n@fit(['{one}'])\ndef f(m): return m\n",
            name=f"{one}-dist",
            module=one,
            published={f"fit:{one}": f"{one}:f"},
        )
    aimm_plugins.barrier = threading.Barrier(2)
    initialize(lazy())
    answers = []
    together(*(lambda key=key: answers.append(aimm_plugins.exec_fit(key, key)) for key in "pq"))
    assert sorted(answers) == ["p", "q"]
    del aimm_plugins.barrier


def test_call_of_its_own_key_during_its_import_is_the_plugins_failure(dist):
    dist("aimm_plugins.exec_fit('k', None)\n")
    initialize(lazy())
    with pytest.raises(PluginLoadError, match="in the middle of its own import"):
        aimm_plugins.exec_fit("k", None)


def test_plugin_may_call_another_deferred_one_during_its_import(dist):
    dist()
    dist(
        "VALUE = aimm_plugins.exec_fit('k', None)\n@fit(['q'])\ndef f(m): return VALUE\n",
        name="caller-dist",
        module="q",
        published={"fit:q": "q:f"},
    )
    initialize(lazy())
    assert aimm_plugins.exec_fit("q", None) == "fitted"


def test_deferred_plugin_that_another_one_imports_is_loaded_with_it(dist):
    dist()
    dist(
        "import p\n@fit(['q'])\ndef f(m): ...\n",
        name="user-dist",
        module="q",
        published={"fit:q": "q:f"},
    )
    initialize(lazy())
    aimm_plugins.exec_fit("q", None)
    states = {each.module: each.state for each in aimm_plugins.current_report().plugins}
    assert (states["p"], states["q"]) == ("loaded", "loaded")


def test_hookimpls_of_a_deferred_plugin_wrap_its_very_first_call(dist):
    dist(
        "@fit(['k'])\ndef f(m): return 1\n@predict(['k'])\ndef g(m): ...\n"
        "@hookimpl(wrapper=True)\ndef aimm_fit():\n"
        "    result = yield\n    return Result(result.value + 1)\n"
    )
    initialize(lazy())
    assert aimm_plugins.exec_fit("k", None) == 2


def test_executor_may_answer_without_importing(dist):
    dist()
    initialize(lazy())

    class Executor:
        @aimm_plugins.hookimpl
        def aimm_fit(self):
            return aimm_plugins.Result("elsewhere")

    aimm_plugins.get_plugin_manager().register(Executor())
    assert aimm_plugins.exec_fit("k", None) == "elsewhere"
    assert "p" not in sys.modules


def test_unload_all_forgets_deferred_plugins(dist):
    dist()
    initialize(lazy())
    aimm_plugins.unload_all()
    with pytest.raises(UnknownPluginError):
        aimm_plugins.exec_fit("k", None)


def test_deferred_object_entry_point_brings_that_object_alone(write, install):
    write(p="@fit(['k'])\ndef f(m): return 1\n@fit(['other'])\ndef g(m): ...\n")
    install(
        "object-dist",
        entry_points={"ep": "p:f"},
        published={"fit:k": "p:f", "fit:other": "p:g"},
    )
    assert record_of(initialize(lazy())).provides == (("fit", "k"),)
    assert aimm_plugins.exec_fit("k", None) == 1
    assert ("fit", "other") not in aimm_plugins.providers()


def publish(
    case: Case, source: str, keys: str = "[aimm.plugins.fit]\nbad = bad:bad\n", plugin: bool = True
) -> None:
    """The hostile plugin, with keys in its metadata."""
    case.module("bad", case.trap() + source)
    plugin_line = "[aimm.plugins]\nbad = bad\n" if plugin else ""
    case.dist("bad-dist", "6.6.6", entry_points=plugin_line + keys, files=["bad.py"])


def lazily(case: Case, more: str = "", **conf: object) -> dict:
    """A lazy host that then calls the key."""
    return case.run(
        f"""
        conf = {{"names": [], "load": "lazy", "on_error": "isolate", **{conf!r}}}
        out["plan"] = account(plan(conf))
        out["start"] = account(initialize(conf))
        out["good"] = attempt(exec_data_access, "good")
        out["ran_early"] = os.path.exists("marker")
        out["bad"] = attempt(exec_fit, "bad", None)
        out["twice"] = attempt(exec_fit, "bad", None)
        out["end"] = account(current_report())
        out["good_after"] = attempt(exec_data_access, "good")
        {more}
        """
    )


def assert_deferred(got: dict) -> None:
    """Nothing ran before the call, and the key was known."""
    assert got["start"]["states"]["bad"] == "deferred"
    assert "fit:bad" in got["start"]["keys"]
    assert not got["ran_early"]
    assert got["good"] == got["good_after"] == {"value": 42}


FAILURES = {
    "division": ("1 / 0", "ZeroDivisionError"),
    "exit": ("raise SystemExit(0)", "SystemExit"),
    "missing_module": ("import no_such_module", "no_such_module"),
    "syntax": ("def f(:", "SyntaxError"),
    "own_base_exception": ("raise type('Own', (BaseException,), {})('told')", "told"),
    "cancelled": ("import asyncio\nraise asyncio.CancelledError('told')", "told"),
    "recursion": ("def f(): return f()\nf()", "RecursionError"),
    "unprintable": ("class U(Exception):\n    def __str__(s): raise RuntimeError\nraise U", "U"),
    "removes_itself": ("import sys\ndel sys.modules[__name__]", "bad"),
    "hookimpl": ("@hookimpl\ndef aimm_fti(): ...", "aimm_fti"),
    "declares_twice": (BAD, "a second time"),
    "calls_itself": ("aimm_plugins.exec_fit('bad', None)\n1 / 0", ""),
    "initializes": ("aimm_plugins.initialize({'names': [], 'on_error': 'isolate'})\n1 / 0", ""),
    "unloads": ("aimm_plugins.initialize()\n1 / 0", ""),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_deferred_plugin_that_fails_raises_from_the_call_and_stays_failed(
    case: Case, kind: str
) -> None:
    source, told = FAILURES[kind]
    publish(case, BAD + source)
    got = lazily(
        case,
        f"""
        Path("site/bad.py").write_text({HEADER + BAD!r})
        out["not_tried_again"] = attempt(exec_fit, "bad", None)
        out["again"] = account(initialize(conf))
        out["repaired"] = attempt(exec_fit, "bad", None)
        """,
    )
    assert_deferred(got)
    assert got["bad"]["error"] == "PluginLoadError"
    assert told in got["bad"]["text"]
    assert "bad-dist 6.6.6" in got["bad"]["text"]
    assert got["twice"]["error"] == got["not_tried_again"]["error"]
    assert got["twice"]["error"] in ("PluginLoadError", "UnknownPluginError")
    assert got["end"]["states"] == {"bad": "failed", "good": "loaded"}
    assert got["end"]["plugged"] == ["good"]
    if kind != "hookimpl":
        assert got["repaired"] == {"value": "bad"}


def test_plan_and_start_call_a_plugin_deferred_and_the_plan_tells_what_its_call_raises(
    dist,
):
    keys = {"fit:k": "p:f"}
    dist("import no_such_module\n@fit(['k'])\ndef f(m): ...\n", published=keys)
    inventory = take_inventory(lazy())
    assert not any(item.active for item in inventory.plugins if item.record.name == "ep")
    mine = record_of(inventory.report)
    started = record_of(initialize(lazy()))
    assert (mine.state, mine.provides) == (started.state, started.provides)
    assert (mine.state, started.error) == ("deferred", None)
    assert isinstance(mine.error, ModuleNotFoundError) and mine.error.name == "no_such_module"
    assert "no_such_module" in mine.remedy or "provides it" in mine.remedy
    with pytest.raises(PluginLoadError, match=str(mine.error)):
        aimm_plugins.exec_fit("k", None)


def test_plan_and_start_call_a_required_plugin_failed_that_is_sure_to_fail(dist):
    dist("import no_such_module\n@fit(['k'])\ndef f(m): ...\n")
    conf = lazy(required=["lazy-dist"], on_error="isolate")
    for report in (aimm_plugins.plan(conf), initialize(conf)):
        mine = record_of(report)
        assert (mine.state, type(mine.error)) == ("failed", ModuleNotFoundError)


def test_keyboard_interrupt_passes_through_the_first_call(case: Case) -> None:
    publish(case, BAD + "raise KeyboardInterrupt\n")
    got = lazily(case)
    assert_deferred(got)
    assert got["bad"]["error"] == "KeyboardInterrupt"


BROKEN = {
    "not_utf8": b"[aimm.plugins.fit]\n\xff = bad:bad\nbad = bad:bad\n",
    "no_value": b"[aimm.plugins.fit]\nx =\nbad = bad:bad\n",
    "not_a_name": b"[aimm.plugins.fit]\nx = a b:c\nbad = bad:bad\n",
    "unknown_action": b"[aimm.plugins.fitt]\nx = bad:bad\n[aimm.plugins.fit]\nbad = bad:bad\n",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_published_key_is_a_finding_and_the_others_work(case: Case, kind: str) -> None:
    case.module("bad", BAD)
    folder = case.dist("bad-dist", "6.6.6", files=["bad.py"])
    (folder / "entry_points.txt").write_bytes(b"[aimm.plugins]\nbad = bad\n" + BROKEN[kind])
    got = lazily(case)
    assert got["good"] == {"value": 42}
    assert got["bad"] == {"value": "bad"}
    assert got["start"]["findings"]


def test_published_key_that_an_imported_plugin_declares_is_a_conflict(case: Case) -> None:
    publish(case, BAD)
    case.module("twin", BAD + "@fit(['twin'])\ndef twin(m): return 'twin'\n")
    case.dist("twin-dist", entry_points={"twin": "twin"})
    got = lazily(case)
    assert "fit:bad" not in got["start"]["keys"]
    assert "fit:twin" in got["start"]["keys"]
    assert not case.marker.exists()


def test_forked_child_can_import_a_deferred_plugin(case: Case) -> None:
    publish(case, BAD)
    got = case.run(
        """
        initialize({"names": [], "load": "lazy"})
        pid = os.fork()
        if pid == 0:
            os._exit(0 if exec_fit("bad", None) == "bad" else 1)
        out["child"] = os.waitpid(pid, 0)[1]
        out["bad"] = attempt(exec_fit, "bad", None)
        """
    )
    assert got == {"child": 0, "bad": {"value": "bad"}}


def test_deferred_plugin_that_was_uninstalled_fails_by_name(case: Case) -> None:
    publish(case, BAD)
    got = case.run(
        """
        initialize({"names": [], "load": "lazy"})
        os.remove("site/bad.py")
        out["bad"] = attempt(exec_fit, "bad", None)
        out["good"] = attempt(exec_data_access, "good")
        """
    )
    assert got["bad"]["error"] == "PluginLoadError"
    assert "bad-dist 6.6.6" in got["bad"]["text"]
    assert got["good"] == {"value": 42}


@pytest.mark.parametrize("is_file_left", [True, False])
def test_deferred_plugin_that_was_uninstalled_says_so_and_what_to_do(
    write, install, is_file_left
) -> None:
    write(gone="@fit(['k'])\ndef f(m): ...\n")
    folder = install("lazy-dist", entry_points={"ep": "gone"}, published={"fit:k": "gone:f"})
    initialize({"names": [], "load": "lazy"})
    shutil.rmtree(folder)
    if not is_file_left:
        (folder.parent / "gone.py").unlink()
    with pytest.raises(UnknownPluginError, match=r"lazy-dist is not installed any more: call ref"):
        aimm_plugins.exec_fit("k", None)
    assert "gone" not in sys.modules
    assert record_of(aimm_plugins.refresh()).state == "removed"


def test_deferred_plugin_whose_entry_point_is_gone_says_so(write, install) -> None:
    write(old="@fit(['k'])\ndef f(m): ...\n", new="@fit(['k'])\ndef f(m): return 'new'\n")
    folder = install("lazy-dist", entry_points={"ep": "old"}, published={"fit:k": "old:f"})
    initialize({"names": [], "load": "lazy"})
    shutil.rmtree(folder)
    install("lazy-dist", "2.0", entry_points={"ep": "new"}, published={"fit:k": "new:f"})
    with pytest.raises(UnknownPluginError, match="its entry point is not there any more: call ref"):
        aimm_plugins.exec_fit("k", None)
    assert "old" not in sys.modules
    aimm_plugins.refresh()
    assert aimm_plugins.exec_fit("k", None) == "new"


def test_plugin_that_was_upgraded_while_it_waited_blames_no_author_for_its_old_keys(
    write, install
) -> None:
    write(p="@fit(['old'])\ndef f(m): ...\n")
    old = install("lazy-dist", "1.0", entry_points={"ep": "p"}, published={"fit:old": "p:f"})
    initialize(lazy())
    shutil.rmtree(old)
    write(p="@fit(['new'])\ndef f(m): return 'new'\n")
    install("lazy-dist", "2.0", entry_points={"ep": "p"}, published={"fit:new": "p:f"})
    with pytest.raises(PluginLoadError) as caught:
        aimm_plugins.exec_fit("old", None)
    said = "metadata of lazy-dist 1.0 published fit:old, and p of 2.0, which is installed by now"
    assert said in str(caught.value)
    assert "Call refresh()" in str(caught.value)
    aimm_plugins.refresh()
    assert aimm_plugins.exec_fit("new", None) == "new"


def test_tasks_that_wait_for_an_import_leave_the_pool_of_asyncio_to_others(dist, write):
    dist(
        "import threading, reached\n"
        "reached.threads.append(threading.current_thread().name)\n"
        "reached.go_on.wait(60)\n"
        "@fit(['k'])\ndef f(m): return 'fitted'\n",
        published={"fit:k": "p:f"},
    )
    write(reached="import threading\nthreads = []\ngo_on = threading.Event()")
    write(there="@fit(['there'])\ndef f(m): return 1")
    initialize(lazy(names=["there"]))
    import reached

    async def run():
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        waiting = [asyncio.create_task(aimm_plugins.exec_fit_async("k", None)) for _ in range(9)]
        while not reached.threads:
            await asyncio.sleep(0.01)
        answer = await asyncio.wait_for(aimm_plugins.exec_fit_async("there", None), 30)
        waiting.pop().cancel()
        reached.go_on.set()
        return answer, await asyncio.gather(*waiting)

    assert asyncio.run(run()) == (1, ["fitted"] * 8)
    assert len(reached.threads) == 1


def test_all_tasks_that_wait_for_an_import_are_told_that_it_failed(dist):
    dist("import time\ntime.sleep(0.2)\nraise ValueError('told')")
    initialize(lazy())

    async def run():
        calls = [aimm_plugins.exec_fit_async("k", None) for _ in range(3)]
        return await asyncio.gather(*calls, return_exceptions=True)

    for error in asyncio.run(run()):
        assert isinstance(error, PluginLoadError)
        assert "told" in str(error.exceptions[0])


def test_interrupted_first_call_leaves_the_plugin_to_the_next(dist, write):
    write(state="interrupted = False")
    dist(
        "import state\n"
        "if not state.interrupted:\n    state.interrupted = True\n    raise KeyboardInterrupt\n"
        "@fit(['k'])\ndef f(m): return 'fitted'\n",
        published={"fit:k": "p:f"},
    )
    initialize(lazy())
    with pytest.raises(KeyboardInterrupt):
        aimm_plugins.exec_fit("k", None)
    assert aimm_plugins.exec_fit("k", None) == "fitted"
