"""A plugin that somebody imports before its host, which it imports and which initializes."""

from __future__ import annotations

import importlib

import pytest

import aimm_plugins
from aimm_plugins import PluginConflictError, exec_fit, initialize
from tests.conftest import names

HOST = "REPORT = aimm_plugins.initialize({conf!r})\nclass Base: ...\n"
PLUGIN = "from first_host import Base\n@fit(['k'])\ndef f(model): return 5\n"


@pytest.fixture
def plugin_first(write):
    """Imports a plugin, whose import leads to `initialize`; its record of that call."""

    def run(plugin: str = PLUGIN, **conf: object) -> aimm_plugins.PluginRecord:
        write(first_host=HOST.format(conf=names("first_plugin", **conf)), first_plugin=plugin)
        importlib.import_module("first_plugin")
        (record,) = importlib.import_module("first_host").REPORT.plugins
        return record

    return run


@pytest.mark.parametrize("on_error", ["strict", "isolate"])
def test_it_does_not_fail_for_it(plugin_first, on_error):
    record = plugin_first(on_error=on_error)
    assert (record.state, record.error) == ("deferred", None)
    assert "its own import has led to this one" in record.reason
    assert exec_fit("k", None) == 5


def test_report_tells_of_its_keys_from_then_on(plugin_first):
    plugin_first()
    (record,) = aimm_plugins.current_report().plugins
    assert (record.state, record.provides) == ("loaded", (("fit", "k"),))
    (provider,) = aimm_plugins.providers().values()
    assert provider.provenance.config_place == "conf names[0]"


def test_refresh_loads_it(plugin_first):
    plugin_first()
    (record,) = aimm_plugins.refresh().plugins
    assert (record.state, record.provides, record.reason) == ("loaded", (("fit", "k"),), None)


def test_another_plugins_key_is_refused_where_it_declares_it(plugin_first, write):
    write(first_other="@fit(['k'])\ndef g(model): ...\n")
    initialize(names("first_other"))
    with pytest.raises(PluginConflictError, match="first_other"):
        plugin_first()


def test_nothing_of_it_stays_where_its_import_fails(plugin_first):
    with pytest.raises(KeyError):
        plugin_first(PLUGIN + "raise KeyError(5)\n")
    (record,) = aimm_plugins.current_report().plugins
    assert record.state == "deferred"
    assert aimm_plugins.providers() == {}
