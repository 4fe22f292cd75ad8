"""The executor of a conf, as far as it goes without a cluster; see also integration/test_dask.py."""

from __future__ import annotations

import os
import sys
import tomllib

import pytest

import aimm_plugins
import aimm_plugins.workers
from aimm_plugins import ConfigError, exec_predict, initialize
from aimm_plugins._startup.runtime import PROCESS
from tests.conftest import names
from tests.docs.pages import Page
from tests.support.installing import ROOT

UNREACHABLE = {"address": "tcp://127.0.0.1:1"}
MISSING_EXTRA = "aimm_plugins.dask needs distributed: pip install 'aimm-plugins[dask]'"

FAKE = """
    class Fake:
        def __init__(self, rules): self.rules = rules
        def is_ready(self, snapshot): return True
        def prepare(self, confs, snapshot): pass
        def switch_on(self): pass
        def close(self): pass

    connect = Fake
"""


pytestmark = pytest.mark.usefixtures("all_installed")


@pytest.fixture
def without_distributed(monkeypatch):
    """The extra is not installed."""
    monkeypatch.delitem(sys.modules, "aimm_plugins.dask", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)


@pytest.fixture
def publish(write, install):
    """Installs a distribution whose module `fake` has an executor; the text of the module."""

    def publish(text=FAKE, *, name="acme-fake", value="fake:connect"):
        write(fake=text)
        install(name, entry_points=f"[aimm_plugins.executors]\ndask = {value}\n", files=["fake.py"])

    return publish


def conf(**rules):
    return {"names": [], "entry_points": {"enabled": False, **rules}, "dask": UNREACHABLE}


# This package's own


def test_conf_that_needs_the_missing_extra_says_what_to_install(
    write, without_distributed, tmp_path
):
    write(m="")
    path = tmp_path / "plugins.yaml"
    path.write_text("names: [m]\ndask: {address: local}\n")
    with pytest.raises(ConfigError) as caught:
        initialize(path)
    assert str(caught.value) == f"{path}:2:7: at dask: {MISSING_EXTRA}"
    assert "m" not in sys.modules


def test_checkout_without_metadata_says_what_to_install(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT), os.path.dirname(os.__file__)])
    with pytest.raises(ConfigError) as caught:
        initialize(conf())
    assert str(caught.value) == (
        "at dask: no installed distribution has an entry point dask in [aimm_plugins.executors]; "
        "aimm-plugins has it where it is installed: pip install 'aimm-plugins[dask]'"
    )


def test_plan_neither_connects_nor_needs_the_extra(write, without_distributed):
    write(m="")
    plan = aimm_plugins.plan(names("m", dask=UNREACHABLE))
    assert [record.state for record in plan.plugins] == ["planned"]


def test_worker_of_a_pool_does_not_connect(write):
    write(m='@data_access("d")\ndef d(): return 1\n')
    aimm_plugins.workers.initializer(names("m", dask=UNREACHABLE))
    assert aimm_plugins.workers.status().ok
    assert aimm_plugins.exec_data_access("d") == 1


# Of other distributions


def test_executor_of_another_distribution_is_opened_and_closed(publish):
    publish()
    initialize(conf(deny=["aimm-plugins"]))
    executor = PROCESS.runtime.executor
    assert (type(executor).__name__, executor.rules.address) == ("Fake", UNREACHABLE["address"])
    aimm_plugins.unload_all()
    assert PROCESS.runtime.executor is None


def test_two_executors_are_refused_by_name_before_either_is_imported(publish):
    publish()
    with pytest.raises(ConfigError) as caught:
        initialize(conf())
    assert str(caught.value) == (
        "at dask: 2 distributions have the entry point dask in [aimm_plugins.executors]\n"
        "  acme-fake 1.0  entry point dask = fake:connect\n"
        f"  aimm-plugins {aimm_plugins.__version__}  entry point dask = aimm_plugins.dask:connect\n"
        "Deny all but one of acme-fake, aimm-plugins under entry_points.deny, or uninstall them."
    )
    assert "fake" not in sys.modules


@pytest.mark.parametrize(
    "rules", [{"deny": ["acme-fake"]}, {"allow": ["other"]}, {"deny_origins": ["index"]}]
)
def test_executor_that_a_rule_keeps_out_is_never_imported(publish, without_distributed, rules):
    publish()
    with pytest.raises(ConfigError, match=r"aimm_plugins\.dask needs distributed"):
        initialize(conf(**rules))  # this package's own is chosen
    assert "fake" not in sys.modules


def test_module_in_this_package_is_not_allowed_by_its_name(publish, without_distributed):
    publish(value="aimm_plugins.odd:connect")
    with pytest.raises(ConfigError, match=r"aimm_plugins\.dask needs distributed"):
        initialize(conf(allow=["other"]))


def test_executor_of_a_denied_distribution_hides_behind_no_other(publish, install):
    """`acme-front` publishes a module that `acme-fake` has installed."""
    publish(name="acme-front")
    install("acme-fake", files=["fake.py"])
    with pytest.raises(ConfigError, match=r"would run acme-fake 1\.0, which is denied"):
        initialize(conf(deny=["acme-fake", "aimm-plugins"]))
    assert "fake" not in sys.modules


def test_executors_that_are_all_kept_out_are_named_with_the_rules(publish):
    publish()
    with pytest.raises(ConfigError) as caught:
        initialize(conf(deny=["acme-fake", "aimm-plugins"]))
    assert str(caught.value).splitlines() == [
        "at dask: the executor may not run",
        "  acme-fake 1.0  entry point dask = fake:connect",
        "    denied by 'acme-fake' (conf entry_points.deny[0])",
        f"  aimm-plugins {aimm_plugins.__version__}  entry point dask = aimm_plugins.dask:connect",
        "    denied by 'aimm-plugins' (conf entry_points.deny[1])",
    ]


def test_operators_rules_hold_for_executors(publish, monkeypatch, without_distributed):
    publish()
    monkeypatch.setenv("AIMM_PLUGINS_DENY", "acme-fake")
    with pytest.raises(ConfigError, match=r"aimm_plugins\.dask needs distributed"):
        initialize(conf())
    assert "fake" not in sys.modules


@pytest.mark.parametrize(
    ("text", "value", "fault"),
    [
        ("import nowhere_at_all", "fake:connect", "ModuleNotFoundError: No module named 'nowh"),
        ("raise SystemExit(3)", "fake:connect", "SystemExit: 3"),
        ("connect = 5", "fake:connect", "dask = fake:connect: is no function"),
        ("connect = 5", "fake:other", "has no attribute 'other'"),
        ("connect = 5", "fake", "dask = fake: is no function"),
    ],
)
def test_broken_executor_is_named_with_its_fault(publish, text, value, fault):
    publish(text, value=value)
    with pytest.raises(
        ConfigError, match=r"^at dask: acme-fake 1\.0  entry point dask = "
    ) as caught:
        initialize(conf(deny=["aimm-plugins"]))
    assert fault in str(caught.value)


def test_connect_that_returns_no_executor_is_named(publish):
    publish("def connect(rules): return 5\n")
    with pytest.raises(ConfigError, match=r"acme-fake 1\.0 .* returned int, which is no aimm_plug"):
        initialize(conf(deny=["aimm-plugins"]))


def test_unreadable_metadata_of_others_hides_no_executor(publish, install):
    publish()
    install("acme-odd", entry_points="\x00 =\n[aimm_plugins.executors\ndask\n=\n[]\n]\n")
    initialize(conf(deny=["aimm-plugins"]))
    assert type(PROCESS.runtime.executor).__name__ == "Fake"


def test_executor_that_the_docs_show_predicts_in_a_pool(write, install, site):
    files = Page(ROOT / "docs" / "reference" / "contrib.md").files()
    (site / "acme_pool.py").write_text(files["acme_pool.py"])
    points = tomllib.loads(files["pyproject.toml"])["project"]["entry-points"]
    lines = [f"[{group}]\n{k} = {v}\n" for group, each in points.items() for k, v in each.items()]
    install("acme-pool", entry_points="".join(lines), files=["acme_pool.py"])
    write(
        one="import os\n@predict(['where'])\ndef where(model, x): return os.getpid(), x\n",
        two="@predict(['twice'])\ndef twice(model, x): return 2 * x\n",
    )
    initialize({**conf(deny=["aimm-plugins"]), "names": ["one"]})
    pid, x = exec_predict("where", None, None, 5)[1]
    assert (pid != os.getpid(), x) == (True, 5)
    initialize(names("two"))
    assert exec_predict("twice", None, None, 5)[1] == 10
    assert exec_predict("where", None, None, 5)[1][0] != os.getpid()
    aimm_plugins.unload_all()
    initialize(names("one"))
    assert exec_predict("where", None, None, 5)[1][0] == os.getpid()
