"""Child processes: what they are given, how they end, and that nothing of them is left."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from functools import partial

import pytest

from aimm_plugins._system.child import OUTPUT_LIMIT, ChildError, run_task
from tests.support.threads import together

HERE = os.path.dirname(__file__)
needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc")


@pytest.fixture
def task(site):
    """Makes a task of the body of a generator function with the parameter `args`."""

    def make(body: str, *args: object):
        source = "import os, sys, time\ndef task(*args):\n" + textwrap.indent(body, "    ")
        (site / "the_task.py").write_text(source + "\n    yield from ()\n")
        importlib.invalidate_caches()
        return partial(importlib.import_module("the_task").task, *args)

    return make


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def assert_ended(*pids: int) -> None:
    deadline = time.monotonic() + 10
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline, f"still running: {[*filter(is_running, pids)]}"
        time.sleep(0.02)


# What a child is given


def test_answers_come_in_order(task):
    result = run_task(task("yield from args\nyield {'text': 'ä\\udcff', 'bytes': b'1'}", 1, None))
    assert result.answers == [1, None, {"text": "ä\udcff", "bytes": b"1"}]
    assert (result.finished, result.status) == (True, 0)


def test_child_has_the_hosts_path_folder_and_environment(task, tmp_path, monkeypatch):
    (tmp_path / "warnings.py").write_text("raise SystemExit('of the working directory')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAKEN", "1")
    monkeypatch.setenv("LEFT_OUT", "1")
    body = "yield sys.path, os.getcwd(), [os.environ.get(name) for name in args]"
    result = run_task(
        task(body, "TAKEN", "LEFT_OUT", "ADDED"), environment={"ADDED": "2", "LEFT_OUT": None}
    )
    assert result.answers == [(sys.path, str(tmp_path), ["1", None, "2"])]


@needs_proc
def test_child_has_an_empty_stdin_one_thread_and_no_arguments(task):
    body = "yield sys.stdin.read(), os.read(0, 1), sys.argv, len(os.listdir('/proc/self/task'))"
    assert run_task(task(body)).answers == [("", b"", [""], 1)]


OPTIMIZED = """\
import sys
sys.path[:] = {path!r}
import the_task
from functools import partial
from aimm_plugins._system.child import run_task
print(run_task(partial(the_task.task)).answers)
"""


def test_child_has_the_hosts_options(task, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/no/such/folder")  # which -E has the host ignore
    task("yield __debug__, sys.flags.ignore_environment, sys.flags.dont_write_bytecode")
    host = [sys.executable, "-O", "-E", "-B", "-c", OPTIMIZED.format(path=sys.path)]
    found = subprocess.run(host, capture_output=True, text=True, check=False)
    assert found.stdout == "[(False, 1, 1)]\n", found.stderr


def test_flags_are_the_interpreters(task):
    assert run_task(task("yield sys.flags.dev_mode"), flags=["-X", "dev"]).answers == [True]


def test_new_folder_is_empty_and_removed_afterwards(task, monkeypatch):
    monkeypatch.chdir(HERE)
    monkeypatch.syspath_prepend(".")
    body = "open('made', 'w').close()\nyield os.getcwd(), os.listdir('.'), sys.path[0]"
    ((folder, files, first),) = run_task(task(body), in_new_folder=True).answers
    assert files == ["made"]
    assert first == HERE
    assert not os.path.exists(folder)


def test_job_of_any_size_is_read(task):
    content = os.urandom(3_000_000)
    assert run_task(task("yield args[0]", content)).answers == [content]


def test_children_run_beside_each_other(task):
    made = task("time.sleep(0.1)\nyield os.getpid()")
    answers = []
    together(*[lambda: answers.extend(run_task(made).answers)] * 4)
    assert len(set(answers)) == 4


# Output

PRINTS = "print('out')\nsys.stdout.flush()\nos.write(2, b'err')\nyield 1"


def test_interrupt_within_a_lock_of_popen_leaves_no_child_and_does_not_hang(task, monkeypatch):
    class Interrupted(subprocess.Popen):
        def wait(self, timeout=None):
            self._waitpid_lock.acquire()
            children.append(self.pid)
            raise KeyboardInterrupt

    children = []
    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_task(task("time.sleep(600)"))
    (pid,) = children
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_captured_output_is_stdout_and_stderr(task):
    assert run_task(task(PRINTS)).text == "out\nerr"


def test_output_is_in_the_result_alone(task, capfd):
    assert run_task(task(PRINTS)).text == "out\nerr"
    assert capfd.readouterr() == ("", "")


def test_shown_output_goes_to_stderr(task, capfd):
    run_task(task(PRINTS), shown=True)
    assert capfd.readouterr() == ("", "out\nerr")


def test_flood_is_cut(task):
    body = f"for _ in range({OUTPUT_LIMIT // 500_000}): os.write(1, b'x' * 1_000_000)\nyield 1"
    result = run_task(task(body))
    assert result.answers == [1]
    assert len(result.output) == OUTPUT_LIMIT


def test_what_is_printed_before_the_task_is_no_answer(task, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("print('welcome')")
    result = run_task(task("yield 1"), environment={"PYTHONPATH": str(tmp_path)})
    assert (result.answers, result.finished) == ([1], True)


# How a child ends


@pytest.mark.parametrize(
    ("body", "ended"),
    [
        ("os._exit(3)", "left with status 3"),
        ("os.kill(os.getpid(), 9)", "was ended by SIGKILL"),
        ("os.kill(os.getpid(), 37)", "was ended by signal 37"),
        ("1 / 0", "left with status 1"),
        ("sys.exit(5)", "left with status 1"),
        ("time.sleep(60)", "gave no answer for 0.5 seconds"),
    ],
)
def test_end_before_the_task_is_done_is_described(task, body, ended):
    result = run_task(task(f"yield 1\n{body}"), seconds=0.5, start_seconds=30)
    assert result.answers == [1]
    assert not result.finished
    assert result.ended == ended


def test_error_of_a_task_is_in_the_output(task):
    result = run_task(task("1 / 0"))
    assert "ZeroDivisionError: division by zero" in result.text


def test_time_counts_between_two_answers(task):
    body = "for _ in range(4):\n    yield 1\n    time.sleep(0.5)"
    result = run_task(task(body), seconds=1.9, start_seconds=30)
    assert result.finished


def test_time_of_the_first_answer_includes_the_start(task):
    result = run_task(task("time.sleep(60)\nyield 1"), seconds=0.25, start_seconds=0.5)
    assert result.ended == "gave no answer for 0.75 seconds"


def test_child_that_never_reads_its_job_is_ended(task, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import time\ntime.sleep(60)")
    result = run_task(
        task("yield 1", b"x" * 1_000_000), seconds=1, environment={"PYTHONPATH": str(tmp_path)}
    )
    assert result.ended == "gave no answer for 1 seconds"


def test_thread_of_a_plugin_does_not_hold_the_child(task):
    body = "import threading\nthreading.Thread(target=time.sleep, args=[60]).start()\nyield 1"
    begin = time.monotonic()
    assert run_task(task(body)).finished
    assert time.monotonic() - begin < 30


@needs_proc
@pytest.mark.parametrize("end", ["yield os.getpid()", "os._exit(1)", "time.sleep(60)"])
def test_nothing_that_the_child_started_is_left(task, tmp_path, end):
    file = tmp_path / "pids"
    body = f"""
import subprocess
started = subprocess.Popen(["sleep", "60"])
open(args[0], "w").write(f"{{os.getpid()}} {{started.pid}}")
{end}
"""
    run_task(task(body, str(file)), seconds=5)
    first, second = map(int, file.read_text().split())
    assert_ended(first, second)


@needs_proc
def test_finished_child_leaves_not_even_a_dead_process(task):
    (pid,) = run_task(task("yield os.getpid()")).answers
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)


@needs_proc
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, TimeoutError])
def test_what_a_signal_handler_raises_comes_out_when_the_child_has_ended(task, tmp_path, error):
    def handler(*_: object) -> None:
        raise error("of the host")

    file = tmp_path / "pid"
    body = "open(args[0], 'w').write(str(os.getpid()))\nos.kill(os.getppid(), args[1])\n"
    made = task(body + "time.sleep(60)", str(file), int(signal.SIGUSR1))
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(error, match="of the host"):
            run_task(made)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not is_running(int(file.read_text()))


HANGS = {
    "waits": "",
    "holds the interpreter's lock": "import ctypes\nctypes.PyDLL(None).pause()",
    "has forked": "os.fork()\nopen(args[0], 'a').write(f'{os.getpid()}\\n')",
    "has closed all descriptors": "os.closerange(0, 256)",
    "reads stdin": "sys.stdin.read()",
    "ignores signals": "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)",
}


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("kind", HANGS)
def test_child_ends_with_its_host(site, tmp_path, kind, number):
    pids, scratch = tmp_path / "pids", tmp_path / "scratch"
    scratch.mkdir()
    (site / "the_task.py").write_text(
        "import os, sys, time\ndef task(*args):\n"
        "    open(args[0], 'a').write(f'{os.getpid()}\\n')\n"
        f"{textwrap.indent(HANGS[kind], '    ')}\n"
        "    open('file', 'w').close()\n    open(args[1], 'w').close()\n"
        "    time.sleep(60)\n    yield 1\n"
    )
    ready = tmp_path / "ready"
    program = f"""
import sys
sys.path.insert(0, {str(site)!r})
from functools import partial
from aimm_plugins._system.child import run_task
from the_task import task
run_task(partial(task, {str(pids)!r}, {str(ready)!r}), in_new_folder=True)
"""
    host = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "TMPDIR": str(scratch)}
    )
    deadline = time.monotonic() + 30
    while not (ready.exists() or (kind.startswith("holds") and pids.exists())):
        assert time.monotonic() < deadline
        assert host.poll() is None
        time.sleep(0.02)
    host.send_signal(number)
    host.wait()
    assert_ended(*map(int, pids.read_text().split()))
    deadline = time.monotonic() + 10
    while os.listdir(scratch):
        assert time.monotonic() < deadline, f"left: {os.listdir(scratch)}"
        time.sleep(0.02)


# Hosts without an interpreter


@pytest.mark.parametrize(
    ("executable", "frozen", "reason"),
    [
        (None, False, "sys.executable is empty"),
        ("", False, "sys.executable is empty"),
        ("/usr/bin/uwsgi", False, "sys.executable is /usr/bin/uwsgi, which is no Python"),
        ("/x/pythonservice.exe", False, "which is no Python interpreter"),
        (sys.executable, True, "this program is frozen"),
        ("/no/such/python", False, "No such file or directory"),
    ],
)
def test_host_that_cannot_be_started_again_is_not(task, monkeypatch, executable, frozen, reason):
    monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.setattr(sys, "frozen", frozen, raising=False)
    with pytest.raises(ChildError, match=f"no child process can be started: .*{reason}"):
        run_task(task("yield 1"))


def test_subinterpreter_may_start_a_child():
    interpreters = pytest.importorskip("concurrent.interpreters")
    interpreter = interpreters.create()
    try:
        interpreter.exec("from aimm_plugins._startup.probe import probe\nprobe('json', 120)\n")
    finally:
        interpreter.close()
