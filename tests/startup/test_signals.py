"""What a signal handler of the host raises while a plugin is imported reaches the host."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

import aimm_plugins
from aimm_plugins import PluginLoadError, initialize
from aimm_plugins.workers import attempt
from tests.conftest import names

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs SIGUSR1")

STRIKES = "import signal\nsignal.raise_signal(signal.SIGUSR1)\n"
STRIKES_THE_PARENT = (
    "import os, signal, time\nos.kill(os.getppid(), signal.SIGUSR1)\ntime.sleep(600)\n"
)
DECLARES = "@data_access('d')\ndef f(): return 5\n"
ONCE = "import os\nif not os.environ.pop('STRUCK', ''):\n    os.environ['STRUCK'] = '1'\n    "


class OutOfTime(Exception):
    """What hosts raise to stop what takes too long."""


@pytest.fixture(params=[OutOfTime, SystemExit], autouse=True)
def raised(request) -> Iterator[type[BaseException]]:
    """What the host's handler of SIGUSR1 raises."""

    def handler(*_: object) -> None:
        raise request.param(7)

    before = signal.signal(signal.SIGUSR1, handler)
    yield request.param
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def strikes_once(monkeypatch) -> str:
    """The beginning of a module whose first import is interrupted."""
    monkeypatch.delenv("STRUCK", raising=False)
    return ONCE + STRIKES.replace("\n", "\n    ", 1)


@pytest.mark.parametrize("on_error", ["strict", "isolate"])
def test_initialize_lets_it_through_and_registers_nothing(write, raised, on_error):
    write(good="@fit(['k'])\ndef f(m): ...\n", slow=DECLARES + STRIKES)
    with pytest.raises(raised):
        initialize(names("good", "slow", on_error=on_error))
    assert aimm_plugins.providers() == {}
    assert aimm_plugins.current_report().plugins == ()


def test_plugin_loads_the_next_time(write, raised, strikes_once):
    write(slow=strikes_once + DECLARES)
    with pytest.raises(raised):
        initialize(names("slow"))
    initialize(names("slow"))
    assert aimm_plugins.exec_data_access("d") == 5


def test_it_passes_a_plugin_that_makes_an_import_error_of_it(write, raised):
    write(
        slow="try:\n    " + STRIKES.replace("\n", "\n    ", 1) + "except BaseException as error:\n"
        "    raise ImportError('install the extra') from error\n"
    )
    with pytest.raises(raised):
        initialize(names("slow", on_error="isolate"))


def test_deferred_plugin_is_tried_again_by_the_next_call(write, install, raised, strikes_once):
    write(slow=strikes_once + DECLARES)
    install("slow-dist", entry_points={"ep": "slow"}, published={"data_access:d": "slow:f"})
    initialize({"names": [], "load": "lazy", "entry_points": {"allow": ["slow-dist"]}})
    with pytest.raises(raised):
        aimm_plugins.exec_data_access("d")
    assert aimm_plugins.current_report().plugins[0].state == "deferred"
    assert aimm_plugins.exec_data_access("d") == 5


def test_probe_that_it_interrupts_says_nothing_of_the_plugin(write, raised):
    write(slow=STRIKES_THE_PARENT)
    with pytest.raises(raised):
        initialize(names("slow", on_error="isolate", probe=600))
    assert aimm_plugins.current_report().plugins == ()


def test_worker_is_ended_by_it(write, raised):
    write(slow=STRIKES)
    with pytest.raises(raised):
        attempt([names("slow")], None)


def test_schema_of_options_that_is_code_may_be_interrupted(write, install, raised):
    write(
        slow="import signal\nclass Options:\n    @classmethod\n"
        "    def model_json_schema(cls): signal.raise_signal(signal.SIGUSR1)\n"
    )
    install(
        "slow-dist",
        entry_points="[aimm.plugins]\nep = slow\n[aimm.plugins.options]\nslow = slow:Options\n",
    )
    conf = {"names": [], "entry_points": {"allow": ["slow-dist"]}, "options": {"slow": {"a": 1}}}
    with pytest.raises(raised):
        initialize(conf)


# What is the plugin's


def test_handler_that_a_plugin_sets_is_its_own(write):
    write(
        own="import signal\ndef strike(*_): raise SystemExit(3)\n"
        "before = signal.signal(signal.SIGUSR1, strike)\n"
        "try: signal.raise_signal(signal.SIGUSR1)\n"
        "finally: signal.signal(signal.SIGUSR1, before)\n"
    )
    (record,) = initialize(names("own", on_error="isolate")).plugins
    assert record.state == "failed"
    assert "SystemExit: 3" in str(record.error)


def test_exit_of_a_plugin_is_its_failure_even_where_the_host_is_handling_a_signal(write, raised):
    write(own="raise SystemExit(3)")
    try:
        signal.raise_signal(signal.SIGUSR1)
    except raised:
        with pytest.raises(PluginLoadError, match="SystemExit: 3"):
            initialize(names("own"))
