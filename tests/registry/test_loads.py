"""Imports that take long are told while they do."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading

import pytest

import aimm_plugins
from aimm_plugins import PluginRecord, initialize
from aimm_plugins._registry.loads import ImportWatch, imports_under_way
from tests.conftest import names
from tests.support.installing import environment

SLOW = PluginRecord(
    name="slow",
    source="entry_point",
    module="acme_slow",
    distribution="acme-slow",
    version="1.0",
    entry_point="slow = acme_slow",
)
PATIENCE = 60


class Counting(logging.Handler):
    """Keeps lines, and lets a test wait for a number of them."""

    def __init__(self):
        super().__init__()
        self.lines = []
        self._come = threading.Semaphore(0)

    def emit(self, record):
        self.lines.append(record)
        self._come.release()

    def wait(self, count):
        for _ in range(count):
            assert self._come.acquire(timeout=PATIENCE)


@pytest.fixture
def log():
    handler = Counting()
    logging.getLogger("aimm_plugins").addHandler(handler)
    yield handler
    logging.getLogger("aimm_plugins").removeHandler(handler)


def test_long_import_is_told_again_at_each_doubling(log):
    with ImportWatch([], slow_seconds=0.05) as watch:
        watch.begin(SLOW)
        log.wait(3)
        watch.end()
    assert {line.levelno for line in log.lines} == {logging.WARNING}
    assert (
        log.lines[0]
        .getMessage()
        .startswith("the import of acme-slow 1.0  entry point slow = acme_slow has taken ")
    )
    assert log.lines[0].distribution == "acme-slow"
    seconds = [line.seconds for line in log.lines]
    assert seconds[0] >= 0.05
    assert seconds[1] >= 0.1
    assert seconds[2] >= 0.2


def test_each_import_has_its_own_time(log):
    with ImportWatch([], slow_seconds=0.05) as watch:
        watch.begin(SLOW)
        log.wait(1)
        watch.end()
        watch.begin(
            SLOW._replace(name="other", module="acme_other", entry_point="other = acme_other")
        )
        while log.lines[-1].plugin != "other":
            log.wait(1)
        watch.end()


def test_quick_imports_are_not_told(log):
    with ImportWatch([], slow_seconds=PATIENCE) as watch:
        for _ in range(3):
            watch.begin(SLOW)
            watch.end()
    assert [line for line in log.lines if line.levelno > logging.DEBUG] == []


def test_load_is_among_those_under_way_while_it_is_open():
    loads: list[ImportWatch] = []
    with ImportWatch(loads) as watch:
        assert imports_under_way(loads) == []
        watch.begin(SLOW)
        ((record, phrase),) = imports_under_way(loads)
        assert record is SLOW
        assert phrase.startswith("acme-slow 1.0  entry point slow = acme_slow is being imported")
        watch.end()
        assert imports_under_way(loads) == []
    assert loads == []


def test_watching_adds_no_thread_that_threading_knows(log):
    before = threading.enumerate()
    with ImportWatch([], slow_seconds=0.05) as watch:
        watch.begin(SLOW)
        log.wait(2)
        watch.end()
    assert [t for t in threading.enumerate() if t not in before and "aimm" not in t.name] == []


WITHOUT_LOGGING = """
import sys
from time import sleep
from aimm_plugins._registry.loads import ImportWatch
from aimm_plugins._values.report import PluginRecord

class Stderr:
    text = ""
    def write(self, text): self.text += text
    def flush(self): pass

before, sys.stderr = sys.stderr, Stderr()
with ImportWatch([], slow_seconds=0.05) as watch:
    watch.begin(PluginRecord(name="slow", source="config", module="acme_slow"))
    while not sys.stderr.text.endswith("so far\\n"):
        sleep(0.01)
print(sys.stderr.text)
sys.stderr = before
assert "logging" not in sys.modules
assert "threading" not in sys.modules
import threading
assert threading.current_thread() is threading.main_thread()
"""


def test_without_logging_it_is_told_on_stderr_and_nothing_is_imported():
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}\n{WITHOUT_LOGGING}"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("the import of module acme_slow has taken ")


@pytest.mark.integration
def test_import_of_a_start_is_told_after_ten_seconds(write, log):
    slow = "import time\nwhile not aimm_plugins.told: time.sleep(0.1)\n"
    write(hanging=slow + "@fit(['k'])\ndef f(m): ...\n")
    aimm_plugins.told = False

    def tell():
        log.wait(1)
        aimm_plugins.told = True

    waiting = threading.Thread(target=tell)
    waiting.start()
    initialize(names("hanging"))
    waiting.join()
    del aimm_plugins.told
    (line,) = [line for line in log.lines if line.levelno == logging.WARNING]
    assert line.plugin == "hanging"
    assert line.seconds >= 10
