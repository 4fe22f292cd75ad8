"""What a plugin is given, wherever in its code it asks."""

from __future__ import annotations

import json
import sys
import threading

import pytest

import aimm_plugins
from aimm_plugins import (
    UnknownPluginError,
)
from tests.options.conftest import CODE, SCHEMA, given
from tests.support.threads import together


def test_plugin_is_given_its_options_and_defaults(wine):
    wine()
    assert given({"aimm-wine": {"trees": 3}}) == {"trees": 3, "store": {"url": "memory:"}}


@pytest.mark.parametrize("key", ["aimm-wine", "AIMM.Wine", "wine", "aimm_wine"])
def test_options_are_for_a_distribution_a_plugin_or_a_module(wine, key):
    wine()
    assert given({key: {"trees": 3}})["trees"] == 3


def test_options_are_there_while_the_plugin_is_imported(wine):
    wine()
    given({"wine": {"trees": 3}})
    assert sys.modules["aimm_wine"].AT_IMPORT["trees"] == 3


@pytest.mark.parametrize("module", ["aimm_wine.inner", "aimm_wine.inner.deep", "aimm_wine"])
def test_every_module_of_a_plugin_has_its_options(wine, module):
    wine()
    given({"wine": {"trees": 3}})
    assert aimm_plugins.options(module)["trees"] == 3


def test_module_next_to_the_only_plugin_of_a_package_has_its_options(wine):
    wine(
        code="",
        groups={
            "aimm.plugins": {"wine": "aimm_wine.models"},
            "aimm.plugins.options": {"wine": "aimm_wine:options.json"},
        },
        modules={"aimm_wine.models": CODE},
    )
    given({"wine": {"trees": 3}})
    assert aimm_plugins.options("aimm_wine.inner")["trees"] == 3


def test_each_call_gives_a_dict_of_its_own(wine):
    wine()
    first = given({"wine": {}})
    first["trees"] = 0
    first["store"]["url"] = "changed"
    assert aimm_plugins.options("aimm_wine") == {"trees": 100, "store": {"url": "memory:"}}


def test_plugin_without_schema_is_given_what_the_conf_has(make_distribution):
    make_distribution("aimm-wine", modules={"aimm_wine": CODE}, entry_points={"wine": "aimm_wine"})
    assert given({"wine": {"any": [1, {"x": None}]}}) == {"any": [1, {"x": None}]}


def test_object_of_the_host_among_options_is_given_as_it_is(make_distribution):
    make_distribution("aimm-wine", modules={"aimm_wine": CODE}, entry_points={"wine": "aimm_wine"})
    engine = threading.Lock()  # which cannot be copied
    assert given({"wine": {"engines": [engine]}})["engines"][0] is engine


def test_plugin_without_schema_and_options_is_given_nothing(make_distribution):
    make_distribution("aimm-wine", modules={"aimm_wine": CODE}, entry_points={"wine": "aimm_wine"})
    assert given({}) == {}


def test_module_that_a_conf_names_is_given_options(make_distribution):
    make_distribution("aimm-wine", modules={"aimm_wine": CODE})
    aimm_plugins.initialize({"names": ["aimm_wine"], "options": {"aimm_wine": {"a": 1}}})
    assert aimm_plugins.exec_fit("wine", None) == {"a": 1}


def test_options_of_a_distribution_are_for_each_of_its_plugins(wine):
    wine(
        groups={"aimm.plugins": {"wine": "aimm_wine", "inner": "aimm_wine.inner"}},
        modules={"aimm_wine.inner": ""},
    )
    aimm_plugins.initialize({"names": [], "options": {"aimm-wine": {"a": 1}, "inner": {"b": 2}}})
    assert aimm_plugins.options("aimm_wine") == {"a": 1}
    assert aimm_plugins.options("aimm_wine.inner") == {"b": 2}


def test_what_a_host_does_to_its_mapping_later_changes_nothing(wine):
    wine()
    options = {"wine": {"store": {"url": "a"}}}
    given(options)
    options["wine"]["store"]["url"] = "b"
    aimm_plugins.refresh()
    assert aimm_plugins.options("aimm_wine")["store"] == {"url": "a"}


def test_thread_that_an_import_starts_has_the_options_of_the_call(wine):
    wine(
        code="""\
        import threading
        import aimm_plugins

        SEEN = []
        thread = threading.Thread(target=lambda: SEEN.append(aimm_plugins.options(__name__)))
        thread.start()
        thread.join()
        """
    )
    aimm_plugins.initialize({"names": [], "options": {"wine": {"trees": 7}}})
    assert sys.modules["aimm_wine"].SEEN[0]["trees"] == 7


def test_many_threads_are_given_the_same(wine):
    wine()
    given({"wine": {"trees": 3}})
    seen = []

    def ask():
        seen.extend(aimm_plugins.options("aimm_wine")["trees"] for _ in range(50))

    together(ask, ask, ask, ask)
    assert seen == [3] * 200


def test_plugin_imported_by_hand_has_the_defaults(wine):
    wine()
    import aimm_wine

    assert aimm_wine.AT_IMPORT == {"trees": 100, "store": {"url": "memory:"}}


def test_plugin_installed_since_has_its_defaults_by_hand(wine):
    with pytest.raises(UnknownPluginError):
        aimm_plugins.options("aimm_wine")
    wine()
    assert aimm_plugins.options("aimm_wine")["trees"] == 100


def test_nothing_is_checked_by_hand(wine):
    wine({**SCHEMA, "required": ["token"]})
    import aimm_wine

    assert "token" not in aimm_wine.AT_IMPORT


def test_module_of_no_plugin_has_no_options_while_it_is_imported(make_distribution):
    make_distribution("aimm-wine", modules={"aimm_wine": CODE})
    import aimm_wine

    assert aimm_wine.AT_IMPORT == {}
    assert aimm_plugins.options("aimm_wine") == {}


@pytest.mark.parametrize("module", ["wine", "json", "__main__", ""])
def test_module_of_no_plugin_is_refused(wine, module):
    wine()
    with pytest.raises(UnknownPluginError, match="no module of a plugin"):
        aimm_plugins.options(module)


def test_what_is_no_name_is_refused():
    with pytest.raises(TypeError, match="__name__"):
        aimm_plugins.options(json)
