"""Plugins that only a child process survives: hangs, crashes, silent exits."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.forked.case import BAD, Case, assert_healthy, record

CRASHES = {
    "exits_with_0": ("import os\nos._exit(0)", ""),
    "exits_with_7": ("import os\nos._exit(7)", "7"),
    "segfault": ("import ctypes\nctypes.string_at(0)", "SIGSEGV"),
    "abort": ("import os\nos.abort()", "SIGABRT"),
    "kills_itself": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
    "raises": ("1 / 0", "ZeroDivisionError"),
    "system_exit": ("raise SystemExit(0)", "SystemExit"),
    "keyboard_interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "exec_of_another_program": ("import os\nos.execv('/bin/true', ['/bin/true'])", ""),
    "forks_and_leaves": ("import os\nif os.fork(): os._exit(0)\nimport time\ntime.sleep(60)", ""),
    "closes_all_descriptors": ("import os\nos.closerange(0, 256)\nos._exit(1)", "1"),
    "writes_a_flood": (
        "import os, sys\nfor _ in range(200): os.write(1, b'x' * 10_000), os.write(2, b'y' * 10_000)\nos._exit(3)",
        "3",
    ),
    "unprintable": ("class U(Exception):\n    def __str__(s): raise SystemExit\nraise U", "U"),
    "text_with_surrogates": ("raise ValueError('why \\udcff')", "why"),
    "missing_module": ("import no_such_module", "no_such_module"),
    "text_of_megabytes": ("raise ValueError('why' * 1_000_000)", "why"),
}


@pytest.mark.parametrize("kind", CRASHES)
def test_what_ends_the_child_is_the_plugins_failure(case: Case, kind: str) -> None:
    source, error = CRASHES[kind]
    case.bad(BAD + f"open({str(case.folder / 'ran')!r}, 'a').write('x')\n" + source + "\n")
    got = case.run(
        """
        out["report"] = account(initialize({"names": [], "probe": 30, "on_error": "isolate"}))
        out["good"] = attempt(exec_data_access, "good")
        """
    )
    assert got["good"] == {"value": 42}
    assert got["report"]["states"] == {"bad": "failed", "good": "loaded"}
    found = record(got["report"])
    assert error in f"{found['error']['type']}: {found['error']['message']}"
    assert "bad-dist 6.6.6" in got["report"]["text"]
    assert got["report"]["keys"] == ["data_access:good"]
    assert (case.folder / "ran").read_text() == "x"


HANGS = {
    "sleeps": "import time\ntime.sleep(600)",
    "loops": "while True: pass",
    "waits_for_a_lock": "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()",
    "ignores_signals": "import signal, time\nfor s in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM): signal.signal(s, signal.SIG_IGN)\ntime.sleep(600)",
    "reads_stdin": "import sys, time\nsys.stdin.read()\ntime.sleep(600)",
    "leaves_a_child_with_its_pipes": "import os, time\nif os.fork() == 0: time.sleep(600)\ntime.sleep(600)",
}


@pytest.mark.parametrize("kind", HANGS)
def test_hanging_import_is_ended_and_is_the_plugins_failure(case: Case, kind: str) -> None:
    case.bad(BAD + HANGS[kind] + "\n")
    got = case.run(
        """
        out["report"] = account(
            initialize({"names": ["bad"], "entry_points": {"enabled": False}, "probe": 0.7, "on_error": "isolate"})
        )
        out["good"] = attempt(exec_data_access, "good")
        """
    )
    found = record(got["report"])
    assert found["state"] == "failed"
    assert "0.7" in found["error"]["message"]
    assert (found["distribution"], found["version"]) == ("bad-dist", "6.6.6")
    assert got["report"]["keys"] == []


def test_child_of_a_hanging_import_is_ended_with_it(case: Case) -> None:
    case.bad(
        f"""
        import os, time
        pid = os.fork()
        if pid == 0:
            time.sleep(600)
        open({str(case.folder / "pid")!r}, "w").write(str(pid))
        time.sleep(600)
        """
    )
    case.run(
        """
        initialize({"names": ["bad"], "entry_points": {"enabled": False}, "probe": 3, "on_error": "isolate"})
        """
    )
    pid = int((case.folder / "pid").read_text())
    deadline = time.monotonic() + 10  # a killed process may have to wait for its turn to end
    while (stat := Path(f"/proc/{pid}/stat")).exists():
        if stat.read_text().rpartition(")")[2].split()[0] == "Z":
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_host_that_is_no_python_is_not_started_again(case: Case) -> None:
    case.bad(BAD)
    got = case.run(
        f"""
        sys.executable = {str(case.marker)!r}
        Path(sys.executable).write_text("#!/bin/sh\\necho started >> $0")
        os.chmod(sys.executable, 0o755)
        out.update(account(initialize({{"names": [], "probe": True, "on_error": "isolate"}})))
        """
    )
    assert got["states"] == {"bad": "failed", "good": "failed"}
    message = record(got)["error"]["message"]
    assert f"sys.executable is {case.marker}, which is no Python interpreter" in message
    assert "Leave `probe` out of the conf" in message
    assert case.marker.read_text() == "#!/bin/sh\necho started >> $0"


def test_sound_plugins_load_through_a_probe(case: Case) -> None:
    case.bad(BAD)
    got = case.run(
        """
        out["plan"] = account(plan({"names": [], "probe": True}))
        out["report"] = account(initialize({"names": [], "probe": True}))
        out["bad"] = attempt(exec_fit, "bad", None)
        """
    )
    assert got["plan"]["states"] == {"bad": "planned", "good": "planned"}
    assert got["report"]["states"] == {"bad": "loaded", "good": "loaded"}
    assert got["bad"] == {"value": "bad"}


def test_denied_plugin_is_not_even_probed(case: Case) -> None:
    case.bad(case.trap() + BAD)
    got = case.run(
        "out.update(account(initialize({'names': [], 'probe': True, 'entry_points': {'deny': ['bad-dist']}})))"
    )
    assert got["states"] == {"bad": "denied", "good": "loaded"}
    assert not case.marker.exists()


def test_plan_does_not_probe(case: Case) -> None:
    case.bad(case.trap() + BAD)
    case.run("plan({'names': [], 'probe': True})")
    assert not case.marker.exists()


def test_no_verdict_is_kept(case: Case) -> None:
    case.bad("import os\nos._exit(3)\n")
    got = case.run(
        f"""
        conf = {{"names": [], "probe": 30, "on_error": "isolate"}}
        out["first"] = account(initialize(conf))["states"]
        Path("site/bad.py").write_text("from aimm_plugins import *\\n" + {BAD!r})
        out["second"] = account(initialize(conf))["states"]
        out["bad"] = attempt(exec_fit, "bad", None)
        """
    )
    assert got["first"] == {"bad": "failed", "good": "loaded"}
    assert got["second"] == {"bad": "loaded", "good": "loaded"}
    assert got["bad"] == {"value": "bad"}


def test_plugin_that_behaves_in_a_child_alone_fails_as_any_other(case: Case) -> None:
    case.bad(
        BAD + "import os\nif os.environ.get('HOST') == str(os.getpid()): raise SystemExit(3)\n"
    )
    got = case.run(
        """
        os.environ["HOST"] = str(os.getpid())
        out.update(gauntlet({"probe": True}))
        """
    )
    assert_healthy(got)
    assert got["isolate"]["states"]["bad"] == "failed"


def test_deferred_plugin_is_probed_by_its_first_call(case: Case) -> None:
    case.module("bad", "import os\nos._exit(9)\n")
    case.dist(
        "bad-dist",
        "6.6.6",
        entry_points="[aimm.plugins]\nbad = bad\n[aimm.plugins.fit]\nbad = bad:bad\n",
    )
    got = case.run(
        """
        out["start"] = account(initialize({"names": [], "load": "lazy", "probe": 30}))["states"]
        out["bad"] = attempt(exec_fit, "bad", None)
        out["good"] = attempt(exec_data_access, "good")
        """
    )
    assert got["start"]["bad"] == "deferred"
    assert got["bad"]["error"] == "PluginLoadError"
    assert "bad-dist 6.6.6" in got["bad"]["text"]
    assert got["good"] == {"value": 42}
