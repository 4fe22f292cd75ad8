"""What the environment says; its deny rules are among the tests of rules."""

from __future__ import annotations

import pytest

import aimm_plugins
from aimm_plugins import ConfigError, cli
from aimm_plugins._startup.runtime import PROCESS


@pytest.fixture
def conf(write, tmp_path, monkeypatch):
    """A conf that `AIMM_PLUGINS_CONF` names by a relative path, and a module that it names."""
    write(wine="")
    (tmp_path / "plugins.yaml").write_text("names: [wine]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIMM_PLUGINS_CONF", "plugins.yaml")
    return tmp_path / "plugins.yaml"


def names(report):
    return [record.name for record in report.plugins if record.source == "config"]


@pytest.mark.parametrize("do", [aimm_plugins.initialize, aimm_plugins.plan])
def test_start_without_a_conf_reads_the_one_of_the_environment(conf, do):
    assert names(do()) == ["wine"]


@pytest.mark.parametrize("do", [aimm_plugins.initialize, aimm_plugins.plan])
def test_conf_that_is_given_holds_instead_of_the_one_of_the_environment(conf, do):
    assert names(do({"names": []})) == []


def test_conf_of_the_environment_is_known_to_workers_by_its_whole_path(conf):
    aimm_plugins.initialize()
    (start,) = PROCESS.runtime.registry.snapshot.starts
    assert start.given == str(conf)


def test_refresh_reads_the_conf_of_the_environment_that_was_read(conf, monkeypatch):
    aimm_plugins.initialize()
    monkeypatch.delenv("AIMM_PLUGINS_CONF")
    aimm_plugins.refresh()
    assert names(aimm_plugins.current_report()) == ["wine"]


def test_empty_variable_names_no_conf(conf, monkeypatch):
    monkeypatch.setenv("AIMM_PLUGINS_CONF", "")
    assert names(aimm_plugins.plan()) == []


def test_conf_of_the_environment_that_is_not_there_is_an_error(conf, monkeypatch):
    monkeypatch.setenv("AIMM_PLUGINS_CONF", "nowhere.yaml")
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read.*AIMM_PLUGINS_CONF"):
        aimm_plugins.initialize()


@pytest.mark.parametrize("given", ["file", "mapping", "policy", "policy alone"])
def test_paths_lead_where_they_led_at_the_start_when_the_host_has_changed_its_folder(
    given, write, install, tmp_path, monkeypatch
):
    """A daemon goes to `/` when it has read its conf; a deferred call reads the locks again."""
    write(wine="@fit(['wine'])\ndef learn(model): return 'fitted'\n")
    install(
        "aimm-wine",
        entry_points={"w": "wine"},
        published={"fit:wine": "wine:learn"},
        files=["wine.py"],
    )
    monkeypatch.chdir(tmp_path)
    assert cli.run(["freeze", "-o", "wine.lock"]) == 0
    (tmp_path / "rules.yaml").write_text("locked: wine.lock\n")
    (tmp_path / "plugins.yaml").write_text("names: []\nload: lazy\nlocked: wine.lock\n")
    conf = {"names": [], "load": "lazy", "locked": "wine.lock"}
    if given.startswith("policy"):
        monkeypatch.setenv("AIMM_PLUGINS_POLICY", "rules.yaml")
        del conf["locked"]
    aimm_plugins.initialize("plugins.yaml" if given == "file" else conf)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    if given != "policy alone":
        aimm_plugins.refresh()
    assert aimm_plugins.exec_fit("wine", None) == "fitted"
    aimm_plugins.refresh()


def test_conf_that_is_given_again_from_another_folder_is_no_further_conf(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        aimm_plugins.initialize({"names": [], "artifacts": {"keys": {}}})
    assert len(PROCESS.runtime.registry.snapshot.starts) == 1
