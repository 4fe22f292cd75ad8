"""Options of one call, or none of them."""

from __future__ import annotations

import pytest

import aimm_plugins
from aimm_plugins import (
    ConfigError,
    PluginLoadError,
    cli,
)
from aimm_plugins.testing import isolated
from tests.options.conftest import CODE, IN_CODE, MODEL, SECRET, given


def test_other_conf_gives_other_options(wine):
    wine()
    assert given({"wine": {"trees": 3}})["trees"] == 3
    assert given({"wine": {"trees": 4}})["trees"] == 4


def test_later_conf_that_says_nothing_of_a_plugin_leaves_its_options(wine):
    wine()
    given({"wine": {"trees": 3}})
    assert given({})["trees"] == 3


def test_nothing_is_left_of_options_after_unload_all(wine):
    wine()
    given({"wine": {"trees": 3}})
    aimm_plugins.unload_all()
    assert given({})["trees"] == 100


def test_failed_call_leaves_the_options_that_there_were(wine, make_distribution):
    wine()
    given({"wine": {"trees": 3}})
    make_distribution("aimm-bad", modules={"bad": "1 / 0"}, entry_points={"bad": "bad"})
    with pytest.raises(PluginLoadError):
        aimm_plugins.initialize({"names": [], "options": {"wine": {"trees": 4}}})
    assert aimm_plugins.options("aimm_wine")["trees"] == 3


def test_plugin_that_fails_keeps_its_options_while_others_get_theirs(wine, make_distribution):
    wine(groups=IN_CODE, modules={"aimm_wine.inner": MODEL})
    make_distribution("aimm-other", modules={"other": ""}, entry_points={"other": "other"})
    given({"wine": {"a": 1}, "other": {"b": 1}})
    aimm_plugins.initialize(
        {
            "names": [],
            "on_error": "isolate",
            "options": {"wine": {"a": 2, "trees": "x"}, "other": {}},
        }
    )
    assert aimm_plugins.options("aimm_wine")["a"] == 1
    assert aimm_plugins.options("other") == {}


def test_refresh_reads_secrets_again(wine, monkeypatch):
    wine()
    monkeypatch.setenv("WINE_TOKEN", SECRET)
    given({"wine": {"token": "env:WINE_TOKEN"}})
    monkeypatch.setenv("WINE_TOKEN", "another-secret")
    aimm_plugins.refresh()
    assert aimm_plugins.options("aimm_wine")["token"] == "another-secret"


def test_refresh_that_cannot_read_a_secret_changes_nothing(wine, monkeypatch):
    wine()
    monkeypatch.setenv("WINE_TOKEN", SECRET)
    given({"wine": {"token": "env:WINE_TOKEN"}})
    monkeypatch.delenv("WINE_TOKEN")
    with pytest.raises(ConfigError, match="WINE_TOKEN is not set"):
        aimm_plugins.refresh()
    assert aimm_plugins.options("aimm_wine")["token"] == SECRET


def test_probe_gives_the_child_the_options_of_the_plugin(wine, monkeypatch):
    wine(code=CODE + "assert AT_IMPORT['token'] and AT_IMPORT['trees'] == 100\n")
    monkeypatch.setenv("WINE_TOKEN", SECRET)
    conf = {"names": [], "probe": 60, "options": {"wine": {"token": "env:WINE_TOKEN"}}}
    assert aimm_plugins.initialize(conf).ok


def test_profile_gives_the_child_the_options_of_the_plugin(wine, conf, monkeypatch, capsys):
    wine(code=CODE + "assert AT_IMPORT['token'] and AT_IMPORT['trees'] == 100\n")
    monkeypatch.setenv("WINE_TOKEN", SECRET)
    arguments = ["profile", "--runs", "1", "--format", "json", "--conf"]
    assert cli.run([*arguments, conf("wine: {token: 'env:WINE_TOKEN'}")]) == 0
    printed = capsys.readouterr()
    assert SECRET not in printed.out + printed.err


def test_profile_tells_of_a_secret_that_cannot_be_read(wine, conf, capsys):
    wine()
    assert cli.run(["profile", "--conf", conf("wine: {token: 'env:AIMM_NOT_SET'}")]) == 2
    assert "AIMM_NOT_SET is not set" in capsys.readouterr().err


def test_isolated_runtime_has_options_of_its_own(wine):
    wine()
    given({"wine": {"trees": 3}})
    with isolated() as aimm:
        aimm.load("aimm_wine", options={"aimm_wine": {"trees": 4}})
        assert aimm_plugins.options("aimm_wine")["trees"] == 4
    assert aimm_plugins.options("aimm_wine")["trees"] == 3


def test_call_that_fails_to_commit_leaves_the_options_that_there_were(wine, write):
    wine()
    given({"wine": {"trees": 3}})
    # pluggy refuses the hookimpl only when the plugin is registered, after all imports.
    write(other="@hookimpl\ndef aimm_fit(nothing_like_it): ...\n")
    with pytest.raises(PluginLoadError):
        aimm_plugins.initialize({"names": ["other"], "options": {"wine": {"trees": 4}}})
    assert aimm_plugins.options("aimm_wine")["trees"] == 3
