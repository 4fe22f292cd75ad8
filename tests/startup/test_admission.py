"""Rules at the moment of an import: what they say of its files by then, whoever asks for it."""

from __future__ import annotations

import sys

import pytest

import aimm_plugins
from aimm_plugins import UnknownPluginError, initialize, plan, refresh
from tests.conftest import record_of
from tests.support.bytecode import forge_bytecode
from tests.support.metadata import write_dist_info

FIT = "@fit(['k'])\ndef f(m): return 'fitted'\n"
PUBLISHED = {"fit:k": "p:f"}


@pytest.fixture
def trapped(trap):
    """Source that writes it."""
    return f"open({str(trap)!r}, 'w').close()\n"


@pytest.fixture
def policy(tmp_path, monkeypatch):
    """Writes the operator's policy."""
    path = tmp_path / "policy.yaml"
    monkeypatch.setenv("AIMM_PLUGINS_POLICY", str(path))
    path.write_text("{}")
    return path.write_text


@pytest.fixture
def plugin(write, install):
    """Installs the plugin `p` of `p-dist`, whose RECORD has hashes."""

    def plugin(source=FIT, version="1.0"):
        write(p=source)
        return install(
            "p-dist", version, entry_points={"ep": "p"}, published=PUBLISHED, files=["p.py"]
        )

    return plugin


def allowing(*rules, **more):
    return {"names": [], "entry_points": {"allow": list(rules)}, **more}


def lazy(**more):
    return allowing("p-dist<2", load="lazy", **more)


def refused(match):
    return pytest.raises(UnknownPluginError, match=match)


def test_deferred_plugin_that_was_upgraded_is_told_in_the_version_that_ran(plugin, site):
    info = plugin()
    initialize(allowing("p-dist", load="lazy"))
    info.rename(site / "old")
    plugin(version="2.0")
    assert aimm_plugins.exec_fit("k", None) == "fitted"
    assert record_of(aimm_plugins.current_report(), "ep").version == "2.0"
    assert aimm_plugins.providers()["fit", "k"].provenance.version == "2.0"


def test_deferred_plugin_whose_version_is_kept_out_by_then_never_runs(plugin, site, trap, trapped):
    info = plugin()
    initialize(lazy())
    info.rename(site / "old")
    plugin(trapped + FIT, "2.0")
    with refused("p-dist 2.0 is not in 'p-dist<2'"):
        aimm_plugins.exec_fit("k", None)
    assert record_of(aimm_plugins.current_report(), "ep").state == "denied"
    assert not trap.exists()


def test_deferred_plugin_whose_file_was_edited_never_runs_under_verify(plugin, site, trap, trapped):
    plugin()
    initialize(lazy(verify="record"))
    (site / "p.py").write_text(trapped)
    with refused("is not what was installed"):
        aimm_plugins.exec_fit("k", None)
    assert not trap.exists()


def test_deferred_plugin_is_judged_by_the_policy_as_it_is_by_then(plugin, policy):
    plugin()
    initialize(lazy())
    policy("entry_points: {deny: [p-dist]}")
    with refused("denied by 'p-dist'"):
        aimm_plugins.exec_fit("k", None)
    assert "p" not in sys.modules


def test_policy_that_cannot_be_read_leaves_the_plugin_deferred(plugin, policy):
    plugin()
    initialize(lazy())
    policy("][")
    with pytest.raises(aimm_plugins.ConfigError):
        aimm_plugins.exec_fit("k", None)
    policy("{}")
    assert aimm_plugins.exec_fit("k", None) == "fitted"


def test_deferred_plugin_whose_distribution_is_gone_is_not_the_hosts_own(plugin, site):
    info = plugin()
    initialize(lazy())
    info.rename(site / "old")
    with refused("p-dist is not installed any more"):
        aimm_plugins.exec_fit("k", None)
    assert "p" not in sys.modules


@pytest.mark.parametrize("name", ["evil.nope", "evil.", "evil.a.b"])
def test_parent_package_of_a_name_that_does_not_exist_is_judged(
    write, install, trap, trapped, policy, name
):
    write(evil____init__=trapped)
    install("evil-dist", files=["evil/__init__.py"])
    policy("entry_points: {deny: [evil-dist]}")
    conf = {"names": [name], "entry_points": {"enabled": False}, "on_error": "isolate"}
    assert record_of(aimm_plugins.plan(conf), name).state == "denied"
    assert record_of(initialize(conf), name).state == "denied"
    assert not trap.exists()


def test_file_that_comes_before_the_module_while_plugins_load_is_judged(
    write, install, tmp_path, trap, trapped, monkeypatch
):
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "second.py").write_text(trapped)
    write(a=f"import sys\nsys.path.insert(0, {str(tmp_path / 'first')!r})\n", second=FIT)
    install("p-dist", entry_points={"a": "a", "b": "second"}, files=["a.py", "second.py"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    report = initialize(allowing("p-dist", on_error="isolate"))
    assert record_of(report, "a").state == "loaded"
    assert record_of(report, "b").state == "denied"
    assert not trap.exists()


def test_module_of_another_distribution_is_judged_by_its_owner_too(write, install):
    write(theirs=FIT)
    install("theirs-dist", files=["theirs.py"])
    install("p-dist", entry_points={"ep": "theirs"})
    report = initialize(allowing("p-dist", on_error="isolate"))
    assert record_of(report, "ep").reason == (
        "importing theirs would run theirs-dist 1.0, and theirs-dist is not among those allowed "
        "(conf entry_points.allow)"
    )


@pytest.mark.parametrize("rule", [{"deny": ["b-dist"]}, {"allow": ["a-dist"]}])
def test_denied_part_of_a_shared_namespace_is_not_read(write, install, rule):
    write(ns__a="from ns.b import KEY\n@fit([KEY])\ndef f(m): ...\n", ns__b="KEY = 'told'\n")
    install("a-dist", entry_points={"a": "ns.a"}, files=["ns/a.py"])
    install("b-dist", files=["ns/b.py"])
    assert record_of(plan(), "a").provides == (("fit", "told"),)
    assert record_of(plan({"names": [], "entry_points": rule}), "a").provides == ()


def test_file_that_nobody_installed_does_not_run_for_an_allowed_distribution(write, install):
    write(pkg____init__="", pkg__loose=FIT)
    install("p-dist", entry_points={"ep": "pkg.loose"}, files=["pkg/__init__.py"])
    reason = record_of(initialize(allowing("p-dist", on_error="isolate")), "ep").reason
    assert "pkg/loose.py, which no distribution has installed" in reason


def test_module_that_no_distribution_owns_is_the_hosts_own_where_the_conf_names_it(write):
    write(own=FIT)
    conf = {"names": ["own"], "entry_points": {"allow": []}, "verify": "record"}
    assert record_of(initialize(conf), "own").state == "loaded"


def test_module_beside_metadata_without_record_may_be_anyones(write, install):
    write(own=FIT)
    (install("untold-dist") / "RECORD").unlink()
    conf = {"names": ["own"], "entry_points": {"deny": ["untold-dist"], "allow": []}}
    reason = record_of(initialize({**conf, "on_error": "isolate"}), "own").reason
    assert reason.startswith("importing own may run untold-dist 1.0, which is denied")
    assert "has no RECORD that can be read" in reason


def test_probe_runs_verified_bytes_alone(plugin, site, trap, trapped):
    plugin()
    forge_bytecode(site / "p.py", trapped)
    report = initialize(allowing("p-dist", verify="record", probe=30))
    assert record_of(report, "ep").state == "loaded"
    assert not trap.exists()


SCHEMA = "[aimm.plugins]\nep = p\n[aimm.plugins.options]\nep = settings:schema\n"


@pytest.fixture
def schema_of_another(write, install, trapped):
    """The plugin's schema is code that another distribution has installed."""
    write(p="@fit(['k'])\ndef f(m): return aimm_plugins.options(__name__)\n")
    write(settings=trapped + "schema = {}\n")
    install("settings-dist", files=["settings.py"])
    install("p-dist", entry_points=SCHEMA, files=["p.py"])
    return allowing("p-dist", "settings-dist", on_error="isolate")


@pytest.mark.usefixtures("schema_of_another")
def test_schema_in_code_that_is_denied_is_not_imported(trap):
    conf = {"names": [], "entry_points": {"allow": ["p-dist"]}, "options": {"ep": {"a": 1}}}
    record = record_of(initialize({**conf, "on_error": "isolate"}), "ep")
    assert record.state == "failed"
    assert "would run settings-dist 1.0" in str(record.error)
    assert not trap.exists()


def test_plugin_that_asks_for_options_later_imports_no_schema_that_is_denied_by_then(
    schema_of_another, policy, trap
):
    initialize(schema_of_another)
    policy("entry_points: {deny: [settings-dist]}")
    with pytest.raises(aimm_plugins.PluginImportError, match="denied by 'settings-dist'"):
        aimm_plugins.exec_fit("k", None)
    assert not trap.exists()


def test_hidden_metadata_of_a_denied_name_counts_too(write, site, tmp_path, monkeypatch):
    write(p=FIT)
    write_dist_info(site, "evil", "1.0", files=["p.py"])
    write_dist_info(tmp_path / "other", "evil", "3.0")
    monkeypatch.syspath_prepend(tmp_path / "other")
    conf = {"names": ["p"], "entry_points": {"deny": ["evil<2"], "allow": ["evil"]}}
    assert record_of(initialize({**conf, "on_error": "isolate"}), "p").state == "denied"


def test_refresh_takes_the_keys_of_a_plugin_that_the_policy_has_come_to_deny(plugin, policy):
    plugin()
    initialize(allowing("p-dist"))
    policy("entry_points: {deny: [p-dist]}")
    (record,) = refresh().plugins
    assert record.state == "denied"
    with refused("denied by 'p-dist'"):
        aimm_plugins.exec_fit("k", None)
