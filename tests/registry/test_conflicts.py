"""Several plugins for one key: nobody wins by being first, last or louder."""

from __future__ import annotations

import importlib.util
import itertools
import shutil

import pytest

from aimm_plugins import PluginLoadError, initialize, unload_all
from tests.support.forked.case import BAD, Case, assert_healthy, record

RIVAL = "@fit(['k', '{0}'])\ndef f(m): return '{0}'\n"


def rivals(case: Case, *names: str, versions: bool = True) -> None:
    """Plugins that all provide `fit:k`, and a key of their own each."""
    for number, name in enumerate(names, start=1):
        case.module(name, RIVAL.format(name))
        case.dist(f"{name}-dist", f"{number}.0", entry_points={name: name}, files=[f"{name}.py"])


@pytest.mark.parametrize("count", [2, 3, 5])
def test_rivals_all_lose_that_key_alone(case: Case, count: int) -> None:
    names = [f"rival_{number}" for number in range(count)]
    rivals(case, *names)
    got = case.gauntlet()
    assert_healthy(got, alone=False)
    for stage in ("isolate", "current", "repeat", "again"):
        assert got[stage]["keys"] == ["data_access:good", *(f"fit:{name}" for name in names)]
        assert not got[stage]["ok"]
    for name in names:
        found = record(got["isolate"], name)
        assert found["state"] == "loaded"
        assert found["error"]["type"] == "PluginConflictError"
        for number, other in enumerate(names, start=1):
            assert f"{other}-dist".replace("_", "-") in found["error"]["message"].replace("_", "-")
            assert f"{number}.0" in found["error"]["message"]
            assert f"{other}.py:3" in found["error"]["message"]
        assert "prefer" in found["error"]["message"]
    assert got["strict"]["error"] == "PluginLoadError"
    assert got["strict"]["keys"] == []
    assert got["strict"]["pickled"]


def test_rivals_without_another_key_fail(case: Case) -> None:
    for name in ("one", "two"):
        case.module(name, "@fit(['k'])\ndef f(m): ...\n")
        case.dist(f"{name}-dist", entry_points={name: name})
    got = case.gauntlet()
    assert_healthy(got)
    assert got["isolate"]["states"] == {"good": "loaded", "one": "failed", "two": "failed"}


def test_outcome_does_not_depend_on_the_order_of_the_path(case: Case) -> None:
    folders = []
    for number, name in enumerate(("one", "two", "three")):
        folder = case.folder / name
        case.module(name, RIVAL.format(name), site=folder)
        case.dist(f"{name}-dist", f"{number}.0", entry_points={name: name}, site=folder)
        folders.append(str(folder))
    outcomes = []
    for order in itertools.permutations(folders):
        case.path = [str(case.site), *order]
        got = case.run("out.update(account(initialize({'names': [], 'on_error': 'isolate'})))")
        for each in got["plugins"]:
            each["import_seconds"] = each["imports"] = None
        outcomes.append((got["plugins"], got["keys"]))
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert outcomes[0][1] == ["data_access:good", "fit:one", "fit:three", "fit:two"]


@pytest.mark.parametrize("rule", ["k", "fit:k"])
@pytest.mark.parametrize("wanted", ["two-dist", "Two_Dist", "two"])
def test_prefer_settles_a_conflict_of_three(case: Case, rule: str, wanted: str) -> None:
    rivals(case, "one", "two", "three")
    got = case.gauntlet({"prefer": {rule: wanted}})
    assert_healthy(got, alone=False)
    assert got["isolate"]["ok"]
    assert got["strict"]["error"] is None
    assert {"action": "fit", "key": "k"} in record(got["again"], "two")["provides"]


PREFERENCES = {
    "nobody": {"k": "nobody"},
    "the_healthy_one": {"k": "good-dist"},
    "another_action": {"predict:k": "two-dist"},
    "another_key": {"kk": "two-dist"},
    "unknown_action": {"fitt:k": "two-dist"},
    "empty_key": {"fit:": "two-dist"},
    "only_colons": {"::": "two-dist"},
}


@pytest.mark.parametrize("kind", PREFERENCES)
def test_prefer_for_nobody_settles_nothing_and_is_a_finding(case: Case, kind: str) -> None:
    rivals(case, "one", "two")
    got = case.gauntlet({"prefer": PREFERENCES[kind]})
    assert_healthy(got, alone=False)
    assert got["isolate"]["keys"] == ["data_access:good", "fit:one", "fit:two"]
    assert got["strict"]["error"] == "PluginLoadError"
    assert [finding["code"] for finding in got["isolate"]["findings"]] == ["rule-matches-nothing"]


def test_prefer_two_modules_of_one_distribution_settles_by_module_alone(case: Case) -> None:
    for name in ("one", "two"):
        case.module(name, RIVAL.format(name))
    case.dist("both-dist", entry_points={"one": "one", "two": "two"})
    got = case.gauntlet({"prefer": {"k": "both-dist"}})
    assert "fit:k" not in got["isolate"]["keys"]
    got = case.gauntlet({"prefer": {"k": "two"}})
    assert {"action": "fit", "key": "k"} in record(got["isolate"], "two")["provides"]


WAYS = {
    "name_and_entry_point": (["bad"], {"bad": "bad"}),
    "two_entry_points": ([], {"one": "bad", "two": "bad"}),
    "module_and_object": ([], {"one": "bad", "two": "bad:bad"}),
    "object_and_name": (["bad"], {"one": "bad:bad"}),
    "three_ways": (["bad"], {"one": "bad", "two": "bad:bad"}),
    "same_object_twice": ([], {"one": "bad:bad", "two": "bad:bad"}),
    "alias_of_the_object": ([], {"one": "bad:bad", "two": "bad:alias"}),
}


@pytest.mark.parametrize("kind", WAYS)
def test_one_plugin_by_several_ways_is_no_conflict(case: Case, kind: str) -> None:
    names, entry_points = WAYS[kind]
    case.module(
        "bad",
        f"import os\nos.environ['RUNS'] = os.environ.get('RUNS', '') + 'x'\n{BAD}alias = bad\n",
    )
    case.dist("bad-dist", "6.6.6", entry_points=entry_points, files=["bad.py"])
    got = case.run(
        f"""
        out.update(gauntlet({{"names": {names!r}}}))
        out["runs"] = os.environ["RUNS"]
        """
    )
    assert_healthy(got, alone=False)
    assert got["strict"]["error"] is None
    assert got["bad"] == {"value": "bad"}
    assert got["runs"] == "x"


def test_two_distributions_that_publish_one_module_are_no_conflict(case: Case) -> None:
    case.bad(BAD)
    case.dist("other-dist", entry_points={"other": "bad"})
    got = case.gauntlet()
    assert_healthy(got, alone=False)
    assert got["strict"]["error"] is None
    assert got["bad"] == {"value": "bad"}


def test_function_reexported_by_another_plugin_is_one_provider(case: Case) -> None:
    case.bad(BAD)
    case.module("front", "from bad import bad\n")
    case.dist("front-dist", entry_points={"front": "front:bad"})
    got = case.gauntlet()
    assert_healthy(got, alone=False)
    assert got["strict"]["error"] is None
    assert got["bad"] == {"value": "bad"}


def test_plugin_that_impersonates_another_module_takes_no_key(case: Case) -> None:
    case.bad("__name__ = 'good'\n@data_access('good')\ndef stolen(): return 'stolen'\n")
    got = case.gauntlet()
    assert got["good"] != {"value": "stolen"}


def test_conflict_with_a_broken_plugin_costs_the_healthy_one_nothing(case: Case) -> None:
    case.bad("@data_access('good')\ndef stolen(): return 'stolen'\n1 / 0\n")
    got = case.gauntlet()
    assert_healthy(got)


def test_conflict_with_a_denied_plugin_costs_the_healthy_one_nothing(case: Case) -> None:
    case.bad("@data_access('good')\ndef stolen(): return 'stolen'\n")
    got = case.gauntlet({"entry_points": {"deny": ["bad-dist"]}})
    assert_healthy(got)


def test_conflict_by_hand_is_refused_at_the_decorator(case: Case) -> None:
    got = case.run(
        """
        initialize()
        from aimm_plugins import data_access
        out["hand"] = attempt(data_access("good"), lambda: "stolen")
        out["good"] = attempt(exec_data_access, "good")
        """
    )
    assert got["hand"]["error"] == "PluginConflictError"
    assert got["good"] == {"value": 42}


def test_same_entry_point_name_in_two_distributions_loads_both(case: Case) -> None:
    for name in ("one", "two"):
        case.module(name, f"@fit(['{name}'])\ndef f(m): ...\n")
        case.dist(f"{name}-dist", entry_points={"same": name})
    got = case.gauntlet()
    assert_healthy(got, alone=False)
    assert got["isolate"]["keys"] == ["data_access:good", "fit:one", "fit:two"]


def test_thirty_rivals_for_one_key_are_all_named(case: Case) -> None:
    names = [f"rival_{number}" for number in range(30)]
    rivals(case, *names)
    got = case.gauntlet()
    assert_healthy(got, alone=False)
    assert len(got["isolate"]["keys"]) == 31
    assert len(got["strict"]["members"]) == 1
    for name in sorted(names)[:10]:
        assert f'prefer: {{"fit:k": {name}-dist}}\n' in got["strict"]["text"]


@pytest.mark.parametrize("copied", [False, True])
def test_conflict_of_one_file_under_two_names_says_so(write, install, tmp_path, copied):
    folder = write(mine="@fit(['k'])\ndef f(m): ...\n")
    install("mine-dist", entry_points={"mine": "mine"}, files=["mine.py"])
    file = folder / "mine.py"
    if copied:
        (tmp_path / "copies").mkdir()
        file = shutil.copy(file, tmp_path / "copies")
    spec = importlib.util.spec_from_file_location("copies.mine", file)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    (record,) = initialize({"names": [], "on_error": "isolate"}).failures
    assert "copies.mine and mine are the same code, imported under two names" in str(record.error)
    assert "import it as mine alone" in str(record.error)


def test_an_error_names_the_first_ten_of_many_rivals(case: Case) -> None:
    names = [f"rival_{number}" for number in range(13)]
    rivals(case, *names)
    got = case.run("out.update(account(initialize({'names': [], 'on_error': 'isolate'})))")
    for name in names:
        message = record(got, name)["error"]["message"]
        assert message.startswith("13 plugins provide fit:k\n")
        assert message.count("prefer: ") == 10
        assert "\n  and 3 more\n" in message


@pytest.mark.parametrize("name", ["null", "on", "1", 'a, "fit:x": b'])
def test_prefer_line_of_a_conflict_works_whatever_a_distribution_is_called(
    write, install, tmp_path, name
):
    for module in ("one", "two"):
        write(**{module: "@fit(['k'])\ndef f(m): ...\n"})
    install("other", entry_points={"o": "two"}, files=["two.py"])
    install(name, entry_points={"e": "one"}, files=["one.py"])
    first, _ = initialize({"names": [], "on_error": "isolate"}).failures
    lines = [line for line in str(first.error).splitlines() if "prefer: " in line]
    unload_all()
    (line,) = [line for line in lines if "other" not in line]
    conf = tmp_path / "c.yaml"
    conf.write_text(f"names: []\n{line.strip()}\n")
    report = initialize(conf)
    assert {(r.name, r.state) for r in report} == {("e", "loaded"), ("o", "shadowed")}


def test_conflict_over_several_actions_is_told_once_with_lines_that_settle_all(write, tmp_path):
    svc = "@model(model_type='svc')\nclass Svc:\n"
    for name in ("instance", "fit", "predict", "serialize"):
        svc += f"    def {name}(self): ...\n"
    svc += "    @classmethod\n    def deserialize(cls, content): ...\n"
    write(one=svc, two=f"{svc}@data_access('two')\ndef access(): ...\n")
    conf = tmp_path / "c.yaml"
    conf.write_text("names: [one, two]\n")
    with pytest.raises(PluginLoadError) as raised:
        initialize(conf)
    (error,) = raised.value.exceptions
    actions = ("instantiate", "fit", "predict", "serialize", "deserialize")
    assert (error.key, error.actions) == ("svc", actions)
    lines = [line for line in str(raised.value).splitlines() if "prefer: " in line]
    assert [line.strip() for line in lines] == ['prefer: {"svc": one}', 'prefer: {"svc": two}']
    conf.write_text(f"names: [one, two]\n{lines[0].strip()}\n")
    first, second = initialize(conf)
    assert [action for action, _ in first.provides] == sorted(actions)
    assert second.provides == (("data_access", "two"),)
