"""Processes of environments that end, hang or take too much, and hosts that end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import aimm_plugins
from aimm_plugins import EnvironmentLost, exec_data_access, exec_instantiate, exec_predict
from tests.environments.conftest import Apart


def runs(pid: int) -> bool:
    """Whether a process runs; a zombie does not, once its last thread has closed its files."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" or len(os.listdir(f"/proc/{pid}/task")) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition: Any, seconds: float = 60) -> None:
    """Wait for something that comes about by itself."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_process_that_ends_is_told_and_started_again_by_the_next_call(apart: Apart) -> None:
    apart.start(restarts_per_minute=10)
    for how, cause, status, words in (
        ("print and exit", "left with status 3", 3, "the last words"),
        ("segfault", "was ended by SIGSEGV", -signal.SIGSEGV, r'apart\.py", line \d+ in fail'),
        ("kill", "was ended by SIGKILL", -signal.SIGKILL, "^$"),
    ):
        pid = apart.pid()
        with pytest.raises(EnvironmentLost) as raised:
            exec_data_access("fail", None, how)
        error = raised.value
        assert str(error).startswith(
            f"process {pid} of environment apart {cause}, during data_access:fail"
        )
        assert (error.environment, error.pid, error.status) == ("apart", pid, status)
        assert re.search(words, error.stderr)
        assert error.stderr.replace("\n", "\n    ") in str(error)
        assert apart.pid() != pid


def test_sys_exit_ends_the_call_alone(apart: Apart) -> None:
    apart.start()
    pid = apart.pid()
    with pytest.raises(aimm_plugins.AimmPluginsError, match="SystemExit: 5"):
        exec_data_access("fail", None, "sys.exit")
    assert apart.pid() == pid


def test_a_handle_of_a_lost_instance_says_what_to_do(apart: Apart) -> None:
    apart.start()
    instance = exec_instantiate("counter")
    with pytest.raises(EnvironmentLost):
        exec_data_access("fail", None, "kill")
    with pytest.raises(EnvironmentLost, match=r"is lost: .* SIGKILL\nMake it again by exec_insta"):
        exec_predict("counter", instance)


def test_a_process_that_ends_between_calls_costs_no_call(apart: Apart) -> None:
    apart.start()
    pid = apart.pid()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not runs(pid))
    assert apart.pid() != pid


def test_a_call_that_takes_too_long_is_ended_with_its_process(apart: Apart) -> None:
    apart.start(call_seconds=1)
    pid = apart.pid()
    with pytest.raises(TimeoutError, match=f"took more than 1 s in process {pid} of environment"):
        exec_data_access("fail", None, "hang")
    assert not runs(pid)
    assert apart.pid() != pid


class Stop(TimeoutError):
    """What a signal handler of the host raises; an `OSError`, as most of them do."""


@pytest.fixture
def handler() -> Iterator[None]:
    """A handler of SIGALRM that raises `Stop`."""

    def stop(*_: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    yield
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def alarm(handler: None) -> Iterator[None]:
    """Raise `Stop` in the main thread in half a second."""
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)


def test_a_call_whose_caller_was_interrupted_is_ended_with_its_process_if_it_goes_on(
    apart: Apart, request: pytest.FixtureRequest
) -> None:
    apart.start()
    pid = apart.pid()
    request.getfixturevalue("alarm")
    with pytest.raises(Stop):
        exec_data_access("fail", None, "hang")
    wait_for(lambda: not runs(pid))
    assert apart.pid() != pid


def test_a_call_whose_caller_was_interrupted_ends_at_its_next_event(
    apart: Apart, request: pytest.FixtureRequest
) -> None:
    apart.start()
    pid, instance = apart.pid(), exec_instantiate("counter")
    request.getfixturevalue("alarm")
    with pytest.raises(Stop):
        aimm_plugins.exec_fit("counter", instance, None, 10_000, seconds=0.05)
    done = exec_predict("counter", instance)[1]
    time.sleep(4)  # more than a call that goes on is given
    assert apart.pid() == pid
    assert exec_predict("counter", instance)[1] <= done + 1


class Interrupting:
    """Has a signal of the host arrive while it is pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        signal.raise_signal(signal.SIGALRM)
        return int, ()


def test_what_a_signal_handler_raises_while_arguments_are_packed_is_no_fault_of_theirs(
    apart: Apart, handler: None
) -> None:
    apart.start()
    with pytest.raises(Stop):
        exec_data_access("echo", None, Interrupting())


def test_a_caller_that_is_interrupted_while_it_sends_costs_no_other_call(
    apart: Apart, request: pytest.FixtureRequest
) -> None:
    apart.start()
    pid = apart.pid()
    os.kill(pid, signal.SIGSTOP)  # it takes only a part
    with suppress(Stop):
        request.getfixturevalue("alarm")
        exec_data_access("echo", None, bytes(1_000_000))
    os.kill(pid, signal.SIGCONT)
    assert exec_data_access("numbers") == [0, 1, 2]


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux alone")
def test_a_process_gets_no_more_memory_than_the_conf_allows(apart: Apart) -> None:
    apart.start(memory_mb=2048)
    with pytest.raises(MemoryError):
        exec_data_access("fail", None, "memory")
    assert exec_data_access("numbers") == [0, 1, 2]


@pytest.mark.parametrize("fault", ["bytearray(1 << 30)", "os._exit(1)"])
def test_a_start_that_may_have_failed_by_its_limit_names_it(apart: Apart, fault: str) -> None:
    """A library that gets no memory may end its process instead of raising anything."""
    apart.plugin("other", f"import os\n{fault}\n@data_access('other')\ndef other(): ...\n")
    conf = {"on_error": "isolate"}
    (failed,) = apart.start(plugins=["aimm-other"], memory_mb=600, conf=conf).failures
    assert failed.remedy is not None
    assert "more than 600 MB" in failed.remedy
    assert "environments.apart.memory_mb" in failed.remedy


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited on Linux alone")
@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    reason="without its lock Python reserves more address space than that",
)
def test_an_argument_that_does_not_fit_into_the_memory_costs_no_process(apart: Apart) -> None:
    apart.start(memory_mb=600)
    pid = apart.pid()
    with pytest.raises((OSError, MemoryError), match="memory"):
        exec_data_access("echo", None, bytearray(600 << 20))
    assert apart.pid() == pid


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
def test_a_result_for_which_the_host_has_no_descriptor_costs_no_process(apart: Apart) -> None:
    import resource

    apart.plugin("other", "@data_access('large')\ndef large(): return bytearray(9 << 20)\n")
    apart.start(plugins=["aimm-apart", "aimm-other"])
    pid, limits = apart.pid(), resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(map(int, os.listdir("/proc/self/fd")))
    kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(used)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (used, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            exec_data_access("large")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for descriptor in kept:
            os.close(descriptor)
    assert apart.pid() == pid


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="limits the size of such files")
def test_an_argument_for_which_the_host_has_no_room_costs_neither_process_nor_room(
    apart: Apart,
) -> None:
    import resource

    apart.start()
    pid, limits = apart.pid(), resource.getrlimit(resource.RLIMIT_FSIZE)
    before = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, limits[1]))
    try:
        with pytest.raises(OSError, match=r"no shared memory for \d+ bytes \(File too large\)"):
            exec_data_access("echo", None, bytearray(9 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(os.listdir("/proc/self/fd")) == before
    assert len(exec_data_access("echo", None, bytearray(9 << 20))[0][0]) == 9 << 20
    assert apart.pid() == pid


def test_a_process_that_ends_while_the_callback_runs_is_told_as_any_other(apart: Apart) -> None:
    apart.start()
    pid, instance = apart.pid(), exec_instantiate("counter")

    def callback(_: object) -> None:
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not runs(pid))

    with pytest.raises(EnvironmentLost, match="was ended by SIGKILL, during fit:counter"):
        aimm_plugins.exec_fit("counter", instance, callback, 3)


FORKING = """
import os, subprocess, sys, threading, time

@data_access("orphan")
def orphan():
    subprocess.Popen(["sleep", "30"], start_new_session=True)
    os._exit(4)

@data_access("fork")
def fork(how):
    child = os.fork()
    if child == 0:
        if how == "exit": sys.exit(7)
        return how
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

@data_access("late", state_cb_arg_name="report")
def late(*, report):
    def work():
        while not is_over: time.sleep(0.01)
        report({"message": "nobody listens"})
        reported.append(True)
    threading.Thread(target=work, daemon=True).start()

@data_access("reported")
def get():
    global is_over
    is_over = True
    return bool(reported)

is_over, reported = False, []
"""


def test_what_a_process_has_started_does_not_hide_how_it_ended(apart: Apart) -> None:
    apart.plugin("other", FORKING)
    apart.start(plugins=["aimm-other"], call_seconds=4)
    with pytest.raises(EnvironmentLost, match="left with status 4, during data_access:orphan"):
        exec_data_access("orphan")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks into /proc")
@pytest.mark.parametrize(("how", "status"), [("exit", 7), ("return", 0)])
def test_a_fork_of_a_plugin_ends_alone_and_silently(
    apart: Apart, capsys: pytest.CaptureFixture[str], how: str, status: int
) -> None:
    def children() -> list[str]:
        """Those of the process; one of them ends it with its host."""
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()

    apart.plugin("other", FORKING)
    apart.start(plugins=["aimm-apart", "aimm-other"])
    pid = apart.pid()
    before = children()
    assert exec_data_access("fork", None, how) == status
    assert apart.pid() == pid
    assert children() == before
    aimm_plugins.unload_all()
    assert capsys.readouterr().err == ""


def test_what_a_thread_reports_after_its_call_goes_nowhere(apart: Apart) -> None:
    apart.plugin("other", FORKING)
    apart.start(plugins=["aimm-other"])
    exec_data_access("late", print)
    wait_for(lambda: exec_data_access("reported"))


def test_a_crash_loop_ends_with_an_error_that_names_the_limit(apart: Apart) -> None:
    apart.start(restarts_per_minute=2)
    for _ in range(3):
        with pytest.raises(EnvironmentLost, match="status 3"):
            exec_data_access("fail", None, "exit")
    with pytest.raises(
        EnvironmentLost, match=r"is not started again for .* 2 times within a minute"
    ):
        exec_data_access("numbers")


def test_a_process_that_is_never_started_again_says_what_starts_it(apart: Apart) -> None:
    apart.start(restarts_per_minute=0)
    with pytest.raises(EnvironmentLost, match="status 3"):
        exec_data_access("fail", None, "exit")
    with pytest.raises(EnvironmentLost, match="by unload_all and initialize alone"):
        exec_data_access("numbers")
    aimm_plugins.unload_all()
    apart.start(restarts_per_minute=0)
    assert exec_data_access("numbers") == [0, 1, 2]


MANY = """
import os

class Model:
    def __init__(self, file): self.file = file
    def __del__(self):
        descriptor = os.open(self.file, os.O_APPEND | os.O_WRONLY)
        os.write(descriptor, b".")
        os.close(descriptor)

@instantiate("many")
def make(file): return Model(file)
"""


def test_instances_go_with_their_handles_however_many_go_at_once(
    apart: Apart, tmp_path: Path
) -> None:
    apart.plugin("other", MANY)
    apart.start(plugins=["aimm-other"])
    file = tmp_path / "gone"
    file.touch()
    handles = [aimm_plugins.exec_instantiate("many", None, str(file)) for _ in range(900)]
    del handles
    wait_for(lambda: file.stat().st_size == 900)


def test_other_calls_of_a_lost_process_end_too(apart: Apart) -> None:
    import threading

    apart.start()
    errors: list[BaseException] = []

    def hang() -> None:
        try:
            exec_data_access("fail", None, "hang")
        except BaseException as error:
            errors.append(error)

    pid = apart.pid()
    thread = threading.Thread(target=hang)
    thread.start()
    time.sleep(0.3)
    os.kill(pid, signal.SIGKILL)
    thread.join(20)
    assert [type(error) for error in errors] == [EnvironmentLost]


def test_a_host_without_standard_streams_has_its_environments(apart: Apart, tmp_path: Path) -> None:
    """The connection to a process may then have the number of one of them."""
    file = tmp_path / "answer"
    then = f"open({str(file)!r}, 'w').write(str(aimm_plugins.exec_data_access('numbers')))"
    closed = 'exec "$0" -c "$1" <&- >&- 2>&-'
    subprocess.run(["sh", "-c", closed, sys.executable, source_of_host(apart, then)], check=True)
    assert file.read_text() == "[0, 1, 2]"


def test_greenlets_of_gevent_call_an_environment_at_once(apart: Apart) -> None:
    """None of what waits for the process keeps the others from running."""
    pytest.importorskip("gevent")
    calls = "spawn(aimm_plugins.exec_data_access, name) for name in ('numbers', 'process')"
    then = f"from gevent import joinall, spawn; print([g.value for g in joinall([{calls}])])"
    source = f"from gevent import monkey; monkey.patch_all()\n{source_of_host(apart, then)}"
    line = [sys.executable, "-c", source]
    ran = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True, timeout=60)
    assert "[0, 1, 2]" in ran.stdout


HOST = """
import os, sys, time, aimm_plugins
sys.path.insert(0, {site!r})
aimm_plugins.initialize({conf!r})
print(aimm_plugins.exec_data_access("process"), flush=True)
{then}
"""


def host(apart: Apart, then: str, **options: Any) -> subprocess.Popen[str]:
    """A host of its own, which prints the id of its environment's process."""
    source = source_of_host(apart, then, **options)
    return subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)


def source_of_host(apart: Apart, then: str, **options: Any) -> str:
    """What such a host runs."""
    return HOST.format(site=str(apart.site), conf=apart.conf(**options), then=then)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_processes_end_with_their_host(apart: Apart, sign: signal.Signals) -> None:
    with host(apart, "time.sleep(60)") as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert runs(pid)
        process.send_signal(sign)
    wait_for(lambda: not runs(pid))


def test_a_process_in_the_middle_of_a_call_ends_with_its_host(apart: Apart) -> None:
    with host(apart, "aimm_plugins.exec_data_access('fail', None, 'hang')") as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        time.sleep(0.3)
        process.kill()
    wait_for(lambda: not runs(pid))


def test_a_host_that_comes_to_its_end_takes_its_processes_along(apart: Apart) -> None:
    with host(apart, "") as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
    assert process.returncode == 0
    assert not runs(pid)


def test_unloading_ends_the_processes(apart: Apart) -> None:
    apart.start()
    pid = apart.pid()
    aimm_plugins.unload_all()
    assert not runs(pid)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_of_the_host_starts_processes_of_its_own(apart: Apart) -> None:
    apart.start()
    pid = apart.pid()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, str(apart.pid()).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(reading, 100)) != pid
    assert apart.pid() == pid


@pytest.mark.integration
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_hundreds_of_calls_over_a_crash_loop_leave_nothing_behind(apart: Apart) -> None:
    np = pytest.importorskip("numpy")

    def kept() -> set[tuple[str, str]]:
        """Children, descriptors and mapped memory of this process."""
        found = {("descriptor", name) for name in os.listdir("/proc/self/fd")}
        for task in os.listdir("/proc/self/task"):
            with suppress(FileNotFoundError):
                pids = Path(f"/proc/self/task/{task}/children").read_text().split()
                found.update(("child", pid) for pid in pids)
        maps = Path("/proc/self/maps").read_text().splitlines()
        return found | {("memory", line) for line in maps if "memfd:aimm-plugins" in line}

    before = kept()
    apart.start(restarts_per_minute=1000)
    array = np.ones(200_000)
    answered = lost = 0
    for number in range(300):
        if number % 30 == 29:
            os.kill(apart.pid(), signal.SIGKILL)
        try:
            ((back,), _) = exec_data_access("echo", None, array)
        except EnvironmentLost:
            lost += 1
        else:
            answered += bool((back == array).all())
        back = None
    assert answered + lost == 300
    assert lost <= 10
    aimm_plugins.unload_all()
    # What other tests have left there may go meanwhile.
    wait_for(lambda: kept() <= before)


@pytest.mark.integration
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_memory_of_both_sides_stays_as_it_is_over_thousands_of_calls(apart: Apart) -> None:
    def memory() -> list[int]:
        """Kilobytes of this process and of the one that is called."""
        return [
            int(line.split()[1])
            for pid in (os.getpid(), called)
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith("VmRSS")
        ]

    apart.start()
    called = apart.pid()
    for _ in range(1000):
        exec_data_access("echo", None, b"x" * 8000)
    before = memory()
    for _ in range(6_000):
        exec_data_access("echo", None, b"x" * 8000)
    assert [after - then < 1000 for after, then in zip(memory(), before, strict=True)] == [True] * 2
