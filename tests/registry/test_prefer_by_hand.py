"""What a notebook or a main program declares beside plugins, and `prefer`, in whichever order."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import pytest

import aimm_plugins
from aimm_plugins import PluginConflictError, PluginLoadError, initialize
from tests.conftest import names

PLUGIN = "@predict(['mean', 'other'])\ndef guess(model): return 'plugin'\n"
HOST = __name__


def declare(*keys: str) -> None:
    @aimm_plugins.predict([*(keys or ("mean",))])
    def mine(model):
        return "mine"


def answer(key: str = "mean") -> object:
    return aimm_plugins.exec_predict(key, None)[1]


def record():
    return next(r for r in aimm_plugins.current_report() if r.module == "models")


def remedies(error: Exception) -> dict[str, dict[str, str]]:
    """The confs that an error tells to write, by who is preferred."""
    lines = [line.strip() for line in str(error).splitlines() if line.startswith("  prefer: ")]
    rules = [line.removeprefix('prefer: {"').removesuffix("}").split('": ') for line in lines]
    return {wanted: {rule: wanted} for rule, wanted in rules}


@pytest.mark.parametrize("winner", ["models", HOST])
@pytest.mark.parametrize("first", ["plugin", "host"])
def test_remedy_of_the_message_works_in_either_order(write, first, winner):
    write(models=PLUGIN)
    if first == "plugin":
        initialize(names("models"))
        with pytest.raises(PluginConflictError) as caught:
            declare()
        error = caught.value
    else:
        declare()
        with pytest.raises(PluginLoadError) as failed:
            initialize(names("models"))
        (error,) = failed.value.exceptions
    assert [*remedies(error)] == (["models", HOST] if first == "plugin" else [HOST, "models"])
    aimm_plugins.unload_all()
    conf = names("models", prefer=remedies(error)[winner])
    if first == "plugin":
        initialize(conf)
        declare()
    else:
        declare()
        initialize(conf)
    assert answer() == ("plugin" if winner == "models" else "mine")
    assert answer("other") == "plugin"


def test_remedy_works_without_unloading(write):
    write(models=PLUGIN)
    initialize(names("models"))
    with pytest.raises(PluginConflictError):
        declare()
    assert answer() == "plugin"
    initialize(names("models", prefer={"predict:mean": HOST}))
    declare()
    assert answer() == "mine"


def test_plugin_that_lost_a_key_to_a_declaration_by_hand_says_so(write):
    write(models=PLUGIN)
    initialize(names("models", prefer={"mean": HOST}))
    declare()
    assert record().provides == (("predict", "other"),)
    assert f'prefer {{"mean": {HOST}}}' in record().reason
    assert record().state == "loaded"


def test_plugin_that_lost_all_keys_to_a_declaration_by_hand_is_shadowed(write):
    write(models="@predict(['mean'])\ndef guess(model): return 'plugin'\n")
    initialize(names("models", prefer={"mean": HOST}))
    declare()
    assert record().state == "shadowed"


def test_declaration_by_hand_loses_a_key_to_the_preferred_plugin_and_keeps_others(write):
    write(models=PLUGIN)
    initialize(names("models", prefer={"mean": "models"}))
    declare("mean", "own")
    assert answer() == "plugin"
    assert answer("own") == "mine"


def test_conflict_by_hand_registers_none_of_the_keys(write):
    write(models=PLUGIN)
    initialize(names("models", prefer={"mean": HOST}))
    with pytest.raises(PluginConflictError):
        declare("own", "mean", "other")
    assert answer() == "plugin"
    with pytest.raises(aimm_plugins.UnknownPluginError):
        answer("own")


def test_who_declares_later_is_no_rule_that_matches_nothing():
    report = initialize(names(prefer={"predict:mean": HOST, "mean": "no_such_module"}))
    assert [finding.subject for finding in report.findings] == ["prefer mean: no_such_module"]


def test_conflict_with_a_plugin_that_was_there_says_what_a_restart_does(write, install):
    write(models=PLUGIN, late="@predict(['mean'])\ndef guess(model): return 'late'\n")
    install("models", "1.0", entry_points={"m": "models"}, files=["models.py"])
    initialize({"names": [], "entry_points": {"allow": ["models", "late"]}, "on_error": "isolate"})
    install("late", "1.0", entry_points={"l": "late"}, files=["late.py"])
    (late,) = aimm_plugins.refresh()
    said = "models had the key first and keeps it; after a restart none of them is given it."
    assert said in str(late.error)
    aimm_plugins.unload_all()
    initialize({"names": [], "entry_points": {"allow": ["models", "late"]}, "on_error": "isolate"})
    with pytest.raises(aimm_plugins.UnknownPluginError):
        answer()


def test_rule_that_was_taken_out_of_the_conf_does_not_hold_after_a_refresh(write, tmp_path):
    write(models=PLUGIN)
    conf = tmp_path / "conf.yaml"
    text = "names: [models]\nentry_points: {enabled: false}\n"
    conf.write_text(f"{text}prefer: {{mean: {HOST}}}\n")
    initialize(conf)
    conf.write_text(text)
    aimm_plugins.refresh()
    with pytest.raises(PluginConflictError):
        declare()
    assert answer() == "plugin"


def test_two_plugins_of_one_distribution_are_told_apart_by_module(write, install):
    write(models=PLUGIN, late="@predict(['mean'])\ndef guess(model): return 'late'\n")
    install("both", "1.0", entry_points={"m": "models", "l": "late"})
    conf = {"names": [], "entry_points": {"allow": ["both"]}}
    with pytest.raises(PluginLoadError) as caught:
        initialize(conf)
    (error,) = caught.value.exceptions
    assert sorted(remedies(error)) == ["late", "models"]
    initialize({**conf, "prefer": remedies(error)["late"]})
    assert answer() == "late"


def import_again(write, source: str) -> None:
    """Import the module `models` once more by hand, with another source."""
    write(models=source)
    del sys.modules["models"]
    shutil.rmtree(
        Path(aimm_plugins.current_report().plugins[0].file).with_name("__pycache__"), True
    )
    importlib.import_module("models")


def test_module_that_was_imported_anew_has_the_keys_of_its_last_run_in_its_account(write):
    write(models=PLUGIN)
    initialize(names("models"))
    import_again(write, "@predict(['mean', 'new'])\ndef guess(model): return 'again'\n")
    assert record().provides == (("predict", "mean"), ("predict", "new"))
    assert [key for _, key in aimm_plugins.providers()] == ["mean", "new"]


def test_declaration_by_hand_takes_a_key_of_a_plugin_whose_other_key_is_gone(write):
    write(models=PLUGIN)
    initialize(names("models", prefer={"mean": HOST}))
    import_again(write, PLUGIN.replace(", 'other'", ""))
    declare()
    assert answer() == "mine"
    assert (record().state, record().provides) == ("shadowed", ())


def test_rule_that_takes_one_key_after_the_other_is_told_once(write):
    write(models=f"{PLUGIN}@fit(['mean'])\ndef learn(model): ...\n")
    initialize(names("models", prefer={"mean": HOST}))
    declare()
    aimm_plugins.fit(["mean"])(lambda model: model)
    assert record().provides == (("predict", "other"),)
    assert record().reason.count("gives mean to") == 1
