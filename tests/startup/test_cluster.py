"""The executor of a conf, as far as it goes without a cluster; see also integration/test_dask.py."""

from __future__ import annotations

import sys

import pytest

import aimm_plugins
import aimm_plugins.workers
from aimm_plugins import ConfigError, initialize
from tests.conftest import names

NOBODY = {"address": "tcp://127.0.0.1:1"}


def test_conf_that_needs_the_missing_extra_says_what_to_install(write, monkeypatch, tmp_path):
    write(m="")
    monkeypatch.delitem(sys.modules, "aimm_plugins.dask", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    path = tmp_path / "plugins.yaml"
    path.write_text("names: [m]\ndask: {address: local}\n")
    with pytest.raises(ConfigError) as caught:
        initialize(path)
    assert str(caught.value) == (
        f"{path}:2:7: at dask: aimm_plugins.dask needs distributed: "
        "pip install 'aimm-plugins[dask]'"
    )
    assert "m" not in sys.modules


def test_plan_neither_connects_nor_needs_the_extra(write, monkeypatch):
    write(m="")
    monkeypatch.setitem(sys.modules, "distributed", None)
    plan = aimm_plugins.plan(names("m", dask=NOBODY))
    assert [record.state for record in plan.plugins] == ["planned"]


def test_worker_of_a_pool_does_not_connect(write):
    write(m='@data_access("d")\ndef d(): return 1\n')
    aimm_plugins.workers.initializer(names("m", dask=NOBODY))
    assert aimm_plugins.workers.status().ok
    assert aimm_plugins.exec_data_access("d") == 1
