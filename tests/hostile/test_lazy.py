"""Plugins that publish their keys as metadata, and are imported by the first call: or not at all."""

from __future__ import annotations

import pytest

from tests.hostile.conftest import BAD, HEADER, Case, record


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


def check_deferred(got: dict) -> None:
    """Nothing ran before the call, and the key was known."""
    assert got["start"]["states"]["bad"] == "deferred"
    assert "fit:bad" in got["start"]["keys"]
    assert not got["ran_early"]
    assert got["good"] == got["good_after"] == {"value": 42}


def test_sound_deferred_plugin_is_imported_by_its_first_call(case: Case) -> None:
    publish(case, BAD)
    got = lazily(case)
    check_deferred(got)
    assert got["bad"] == got["twice"] == {"value": "bad"}
    assert got["end"]["states"] == {"bad": "loaded", "good": "loaded"}
    assert got["end"]["ok"]


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
    check_deferred(got)
    assert got["bad"]["error"] == "PluginLoadError"
    assert told in got["bad"]["text"]
    assert "bad-dist 6.6.6" in got["bad"]["text"]
    assert got["twice"]["error"] == got["not_tried_again"]["error"]
    assert got["twice"]["error"] in ("PluginLoadError", "UnknownPluginError")
    assert got["end"]["states"] == {"bad": "failed", "good": "loaded"}
    assert got["end"]["plugged"] == ["good"]
    if kind != "hookimpl":
        assert got["repaired"] == {"value": "bad"}


def test_keyboard_interrupt_passes_through_the_first_call(case: Case) -> None:
    publish(case, BAD + "raise KeyboardInterrupt\n")
    got = lazily(case)
    check_deferred(got)
    assert got["bad"]["error"] == "KeyboardInterrupt"


LIES = {
    "other_key": (
        "@fit(['other'])\ndef bad(m): ...\n",
        "[aimm.plugins.fit]\nbad = bad:bad\n",
        "other",
    ),
    "no_key": ("def bad(m): ...\n", "[aimm.plugins.fit]\nbad = bad:bad\n", "bad"),
    "one_more_in_metadata": (BAD, "[aimm.plugins.fit]\nbad = bad:bad\nmore = bad:bad\n", "more"),
    "other_action": (
        "@predict(['bad'])\ndef bad(m): ...\n",
        "[aimm.plugins.fit]\nbad = bad:bad\n",
        "predict",
    ),
}


@pytest.mark.parametrize("kind", LIES)
def test_metadata_that_lies_is_an_error_that_names_both(case: Case, kind: str) -> None:
    source, keys, told = LIES[kind]
    publish(case, source, keys)
    got = lazily(case)
    check_deferred(got)
    assert got["bad"]["error"] == "PluginLoadError"
    assert told in got["bad"]["text"]
    assert "bad-dist 6.6.6" in got["bad"]["text"]
    assert got["end"]["states"]["bad"] == "failed"
    assert got["end"]["keys"] == ["data_access:good"]


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


def test_published_keys_of_two_plugins_conflict_before_any_import(case: Case) -> None:
    publish(case, BAD)
    case.module("twin", case.trap() + BAD)
    case.dist(
        "twin-dist",
        entry_points="[aimm.plugins]\ntwin = twin\n[aimm.plugins.fit]\nbad = twin:bad\n",
    )
    got = lazily(case)
    assert "fit:bad" not in got["start"]["keys"]
    assert got["bad"]["error"] == "UnknownPluginError"
    assert record(got["start"])["error"]["type"] == "PluginConflictError"
    assert not case.marker.exists()
    assert got["good"] == {"value": 42}


def test_published_key_that_an_imported_plugin_declares_is_a_conflict(case: Case) -> None:
    publish(case, BAD)
    case.module("twin", BAD + "@fit(['twin'])\ndef twin(m): return 'twin'\n")
    case.dist("twin-dist", entry_points={"twin": "twin"})
    got = lazily(case)
    assert "fit:bad" not in got["start"]["keys"]
    assert "fit:twin" in got["start"]["keys"]
    assert not case.marker.exists()


def test_prefer_holds_for_what_is_deferred(case: Case) -> None:
    publish(case, BAD)
    case.module("twin", case.trap() + "@fit(['bad'])\ndef bad(m): return 'twin'\n")
    case.dist(
        "twin-dist",
        entry_points="[aimm.plugins]\ntwin = twin\n[aimm.plugins.fit]\nbad = twin:bad\n",
    )
    got = lazily(case, prefer={"fit:bad": "bad-dist"})
    assert not got["ran_early"]
    assert got["bad"] == {"value": "bad"}


def test_deferred_plugin_is_imported_once_by_eight_threads(case: Case) -> None:
    publish(case, "import os\nos.environ['RUNS'] = os.environ.get('RUNS', '') + 'x'\n" + BAD)
    got = case.run(
        """
        initialize({"names": [], "load": "lazy"})
        barrier, done = threading.Barrier(8), []
        def work():
            barrier.wait()
            done.append(attempt(exec_fit, "bad", None))
        threads = [threading.Thread(target=work) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        out["done"], out["runs"] = done, os.environ["RUNS"]
        """
    )
    assert got == {"done": [{"value": "bad"}] * 8, "runs": "x"}


def test_deferred_plugin_that_fails_fails_for_all_threads(case: Case) -> None:
    publish(case, BAD + "1 / 0\n")
    got = case.run(
        """
        initialize({"names": [], "load": "lazy"})
        barrier, done = threading.Barrier(8), []
        def work():
            barrier.wait()
            done.append(attempt(exec_fit, "bad", None)["error"])
        threads = [threading.Thread(target=work) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        out["done"] = done
        out["good"] = attempt(exec_data_access, "good")
        """
    )
    assert set(got["done"]) <= {"PluginLoadError", "UnknownPluginError"}
    assert got["good"] == {"value": 42}


def test_two_deferred_plugins_that_import_each_other_from_two_threads_do_not_lock(
    case: Case,
) -> None:
    for mine, other in (("ring_a", "ring_b"), ("ring_b", "ring_a")):
        case.module(
            mine, f"import time\nimport {other}\n@fit(['{mine}'])\ndef f(m): return '{mine}'\n"
        )
        case.dist(
            f"{mine}-dist",
            entry_points=f"[aimm.plugins]\n{mine} = {mine}\n[aimm.plugins.fit]\n{mine} = {mine}:f\n",
        )
    got = case.run(
        """
        initialize({"names": [], "load": "lazy"})
        barrier, done = threading.Barrier(2), {}
        def work(key):
            barrier.wait()
            done[key] = attempt(exec_fit, key, None)
        threads = [threading.Thread(target=work, args=(key,)) for key in ("ring_a", "ring_b")]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        out.update(done)
        """
    )
    assert got == {"ring_a": {"value": "ring_a"}, "ring_b": {"value": "ring_b"}}


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


def test_plugin_without_published_keys_is_imported_at_once_and_told(case: Case) -> None:
    case.bad(case.trap() + BAD)
    got = case.run("out.update(account(initialize({'names': [], 'load': 'lazy'})))")
    assert case.marker.exists()
    assert got["states"]["bad"] == "loaded"
    assert record(got)["reason"] or any("bad" in str(finding) for finding in got["findings"])


def test_unloading_forgets_what_is_deferred(case: Case) -> None:
    publish(case, BAD)
    got = case.run(
        """
        initialize({"names": [], "load": "lazy"})
        unload_all()
        out["keys"] = keys()
        out["bad"] = attempt(exec_fit, "bad", None)
        """
    )
    assert got["keys"] == []
    assert got["bad"]["error"] == "UnknownPluginError"
    assert not case.marker.exists()


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
