"""An entry point's object that its package imports only when it is asked for it."""

from __future__ import annotations

import pytest

import aimm_plugins
from aimm_plugins import PluginConflictError, PluginLoadError, exec_fit, initialize
from tests.conftest import record_of

ASKED = """
def __getattr__(name):
    if name == "do":
        from {package}._impl import do
        return do
    raise AttributeError(name)
"""
DECLARES = "@fit(['k'])\ndef do(model): return __name__\n"


@pytest.fixture
def on_demand(write, install):
    """Installs a package that imports its object on demand."""

    def make(package: str, source: str = DECLARES) -> None:
        write(
            **{
                f"{package}____init__": ASKED.format(package=package),
                f"{package}___impl": source,
            }
        )
        install(package.replace("_", "-"), entry_points={package: f"{package}:do"})

    return make


def conf(*distributions: str, **more: object) -> dict[str, object]:
    return {"names": [], "entry_points": {"allow": list(distributions)}, **more}


def test_it_is_registered_for_its_plugin(on_demand):
    on_demand("asked_a")
    initialize(conf("asked-a"))
    assert exec_fit("k", None) == "asked_a._impl"
    (provider,) = aimm_plugins.providers().values()
    assert (provider.plugin, provider.distribution) == ("asked_a", "asked-a")


def test_nothing_of_it_is_registered_where_another_plugin_fails(on_demand, write, install):
    on_demand("asked_b")
    write(asked_broken="raise KeyError(5)")
    install("asked-broken", entry_points={"ep": "asked_broken"})
    with pytest.raises(PluginLoadError):
        initialize(conf("asked-b", "asked-broken"))
    assert aimm_plugins.providers() == {}


def test_two_with_one_key_conflict(on_demand):
    on_demand("asked_c")
    on_demand("asked_d")
    report = initialize(conf("asked-c", "asked-d", on_error="isolate"))
    assert aimm_plugins.providers() == {}
    assert all(isinstance(record.error, PluginConflictError) for record in report.plugins)


def test_prefer_settles_between_two(on_demand):
    on_demand("asked_e")
    on_demand("asked_f")
    initialize(conf("asked-e", "asked-f", prefer={"fit:k": "asked-f"}))
    assert exec_fit("k", None) == "asked_f._impl"


def test_probe_imports_it(on_demand):
    on_demand("asked_g", "import os\nos._exit(7)")
    report = initialize(conf("asked-g", on_error="isolate", probe=600))
    assert "left with status 7" in str(record_of(report, "asked_g").error)


def test_probe_imports_it_also_where_the_host_has_imported_the_package(on_demand):
    on_demand("asked_h", "import os\nos._exit(7)")
    __import__("asked_h")
    report = initialize(conf("asked-h", on_error="isolate", probe=600))
    assert "left with status 7" in str(record_of(report, "asked_h").error)


def test_its_import_is_part_of_the_time(on_demand):
    on_demand("asked_i", "import time\ntime.sleep(0.05)\n" + DECLARES)
    (record,) = initialize(conf("asked-i")).plugins
    assert record.import_seconds >= 0.05


def test_object_that_is_not_there_is_named(on_demand, install):
    on_demand("asked_j")
    install("asked-j", "2.0", entry_points={"ep": "asked_j:no"})
    report = initialize(conf("asked-j", on_error="isolate"))
    assert "asked_j has no 'no', which asked-j 2.0" in str(record_of(report, "ep").error)
