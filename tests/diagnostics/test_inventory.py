"""The facts that verbs render: who declares a key, whether a call reaches it, and why not."""

from __future__ import annotations

import sys

import pytest

import aimm_plugins
from aimm_plugins._diagnostics.take_inventory import take_inventory

LINE = "from aimm_plugins import fit\n\n@fit(['line', 'line.old'])\ndef learn(m): ...\n"
CURVE = "from aimm_plugins import fit\n\n@fit(['line'])\ndef bend(m): ...\n"
LOOPS = LINE + "for key in 'ab':\n    fit([key])(learn)\n"
RULES = {"names": [], "entry_points": {"allow": ["acme-line", "acme-curve"]}}


@pytest.fixture
def site_of_two(site, install):
    """Two distributions that declare one key; neither publishes it."""
    (site / "acme_line.py").write_text(LINE)
    (site / "acme_curve.py").write_text(CURVE)
    install("acme-line", "1.0", entry_points={"line": "acme_line"}, files=["acme_line.py"])
    install("acme-curve", "2.0", entry_points={"curve": "acme_curve"}, files=["acme_curve.py"])
    return site


def answers(inventory) -> dict[str, list[str]]:
    """Who answers each key."""
    found: dict[str, list[str]] = {}
    for key in inventory.keys:
        found.setdefault(key.slot, [])
        if key.answers:
            found[key.slot].append(key.item.record.name)
    return found


def test_key_of_two_plugins_is_answered_by_neither(site_of_two):
    inventory = take_inventory(RULES)
    assert answers(inventory) == {"fit:line": [], "fit:line.old": ["line"]}
    first, second = inventory.keys_named("line")
    assert first.why_not == second.why_not
    assert "PluginConflictError" in first.why_not


@pytest.mark.parametrize("load", ["eager", "lazy"])
def test_key_in_conflict_has_its_own_conflict_alone(site_of_two, load):
    (site_of_two / "acme_curve.py").write_text(LINE)
    inventory = take_inventory({**RULES, "load": load})
    for key in inventory.keys:
        assert key.why_not is not None
        assert key.why_not.startswith(f"PluginConflictError: two plugins provide {key.slot}")
        assert key.why_not.count("two plugins provide") == 1


def test_preferred_plugin_answers_and_the_other_knows_the_rule(site_of_two):
    inventory = take_inventory({**RULES, "prefer": {"fit:line": "acme-curve"}})
    assert answers(inventory)["fit:line"] == ["curve"]
    (lost,) = [key for key in inventory.keys_named("fit:line") if not key.answers]
    assert lost.prefer_place == "conf prefer.fit:line"
    assert lost.why_not == f"prefer gives fit:line to acme-curve ({lost.prefer_place})"


def test_denied_plugin_is_known_with_the_keys_that_it_publishes_and_its_source_is_not_read(
    site_of_two, install
):
    (site_of_two / "acme_arc.py").write_text(CURVE)
    published = {"fit:arc": "acme_arc:bend"}
    install("acme-arc", entry_points={"arc": "acme_arc"}, published=published)
    deny = {"names": [], "entry_points": {"deny": ["acme-line", "acme-arc"]}}
    inventory = take_inventory(deny)
    (line,), (arc,) = map(inventory.of_distribution, ("Acme_Line", "acme-arc"))
    assert (line.record.state, line.active) == ("denied", False)
    assert (line.keys, line.keys_from, line.complete) == ((), "unknown", False)
    assert (arc.keys, arc.keys_from) == ((("fit", "arc"),), "metadata")
    assert {key.why_not for key in inventory.keys_of(arc)} == {arc.record.reason}
    assert (line.source, arc.source) == (None, None)


def test_place_of_a_key_is_that_of_its_declaration(site_of_two):
    (key,) = take_inventory(RULES).keys_named("line.old")
    assert key.place == "acme_line.py:3"


def test_item_is_complete_only_if_its_source_leaves_nothing_open(site_of_two):
    (item,) = take_inventory(RULES).of_distribution("acme-line")
    assert (item.keys_from, item.complete) == ("source", True)
    (site_of_two / "acme_line.py").write_text(LOOPS)
    (item,) = take_inventory(RULES).of_distribution("acme-line")
    assert (item.keys_from, item.complete) == ("source", False)


def test_nothing_is_imported_unless_asked_for(site_of_two):
    take_inventory(RULES)
    assert not {"acme_line", "acme_curve"} & set(sys.modules)
    assert take_inventory(RULES, load=True).loaded
    assert {"acme_line", "acme_curve"} <= set(sys.modules)


def test_imported_plugin_is_known_with_the_keys_that_it_lost(site_of_two):
    inventory = take_inventory(RULES, load=True)
    (item,) = inventory.of_distribution("acme-line")
    assert (item.record.state, item.keys_from) == ("loaded", "import")
    assert item.record.provides == (("fit", "line.old"),)
    assert item.keys == (("fit", "line"), ("fit", "line.old"))
    assert answers(inventory) == {"fit:line": [], "fit:line.old": ["line"]}


def test_imports_of_a_lazy_conf_meet_what_its_first_calls_meet(site, install):
    """Keys that differ from the published ones are an error there, and a finding elsewhere."""
    (site / "acme_arc.py").write_text(CURVE + "@fit(['arc'])\ndef arc(m): ...\n")
    published = {"fit:arc": "acme_arc:arc"}
    install("acme-arc", entry_points={"arc": "acme_arc"}, published=published)
    conf = {"names": [], "entry_points": {"allow": ["acme-arc"]}}
    assert answers(take_inventory({**conf, "load": "lazy"}, load=True))["fit:arc"] == []
    with pytest.raises(aimm_plugins.PluginLoadError):
        aimm_plugins.exec_fit("arc", None)
    aimm_plugins.unload_all()
    assert answers(take_inventory(conf, load=True))["fit:arc"] == ["arc"]


def test_signature_that_cannot_be_told_is_unknown(site, install):
    source = "from aimm_plugins import fit\n\nclass Odd:\n    __signature__ = 5\n    def __call__(self, m): ...\n"
    (site / "acme_odd.py").write_text(
        source + "    __doc__ = property(lambda s: 1 / 0)\nfit(['odd'])(Odd())\n"
    )
    install("acme-odd", entry_points={"odd": "acme_odd"}, files=["acme_odd.py"])
    conf = {"names": [], "entry_points": {"allow": ["acme-odd"]}}
    (key,) = take_inventory(conf, load=True).keys_named("fit:odd")
    assert key.answers
    assert (key.declaration.signature, key.declaration.docstring) == (None, None)
