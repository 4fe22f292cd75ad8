"""The plan: what a call will do, in which order."""

from __future__ import annotations

import time

from aimm_plugins import plan
from tests.support.metadata import write_dist_info


def test_name_that_stands_twice_is_one_plugin_at_its_first_place(write):
    write(one="", two="")
    report = plan({"names": ["one", "two", "one"], "entry_points": {"enabled": False}})
    assert [(record.name, record.config_place) for record in report.plugins] == [
        ("one", "conf names[0]"),
        ("two", "conf names[1]"),
    ]


def test_names_come_first_and_entry_points_by_distribution_and_name(write, install):
    write(own="", mod="")
    install("b-dist", entry_points={"z": "mod", "a": "mod"}, files=["mod.py"])
    install("a-dist", entry_points={"y": "mod"})
    records = plan({"names": ["own"]}).plugins
    mine = [record.name for record in records if record.module in ("own", "mod")]
    assert mine == ["own", "y", "a", "z"]


def test_cost_of_deny_rules_does_not_grow_with_the_plugins(site, write):
    """400 rules and 400 plugins, compared in pairs, took 140 times as long as no rule."""
    for number in range(400):
        write(**{f"mod{number}": ""})
        name, files = f"plugin-{number}", [f"mod{number}.py"]
        write_dist_info(site, name, entry_points={"x": f"mod{number}"}, files=files)
        write_dist_info(site, f"denied-{number}", files=[f"denied{number}.py"])

    def cost(*rules: str) -> float:
        conf = {"names": [], "entry_points": {"deny": list(rules)}}
        began = time.process_time()
        assert len(plan(conf).plugins) >= 400
        return time.process_time() - began

    cost()
    assert cost(*(f"denied-{number}" for number in range(400))) < 10 * cost("absent") + 0.5
