"""What pip and others do to the site while the host runs."""

from __future__ import annotations

import pytest

from tests.hostile.conftest import BAD, HEADER, Case, record

INSTALL = f"""
def install(name="late", version="1.0", source={HEADER!r} + "@fit(['late'])\\ndef f(m): return 'late'\\n", text=None):
    Path(f"site/{{name}}.py").write_text(source)
    folder = Path(f"site/{{name}}_dist-{{version}}.dist-info")
    folder.mkdir()
    (folder / "METADATA").write_text(f"Name: {{name}}-dist\\nVersion: {{version}}\\n")
    (folder / "entry_points.txt").write_text(text or f"[aimm.plugins]\\n{{name}} = {{name}}\\n")
def uninstall(name, version="1.0"):
    import shutil
    shutil.rmtree(f"site/{{name}}_dist-{{version}}.dist-info")
    Path(f"site/{{name}}.py").unlink()
refresh = aimm_plugins.refresh
"""


def hosted(case: Case, script: str) -> dict:
    """Run a script that can install and uninstall."""
    return case.run(INSTALL + script)


def test_plugin_installed_later_is_found(case: Case) -> None:
    got = hosted(
        case,
        """
initialize()
out["nothing"] = account(refresh())
install()
out["change"] = account(refresh())
out["late"] = attempt(exec_fit, "late", None)
""",
    )
    assert got["nothing"]["plugins"] == []
    assert got["change"]["states"] == {"late": "loaded"}
    assert got["late"] == {"value": "late"}


def test_plugin_removed_later_loses_its_keys(case: Case) -> None:
    got = hosted(
        case,
        """
install()
initialize()
uninstall("late")
out["change"] = account(refresh())
out["late"] = attempt(exec_fit, "late", None)
out["good"] = attempt(exec_data_access, "good")
out["current"] = account(current_report())["states"]
""",
    )
    assert got["change"]["states"] == {"late": "removed"}
    assert got["change"]["plugged"] == ["good"]
    assert got["late"]["error"] == "UnknownPluginError"
    assert got["good"] == {"value": 42}


def test_broken_newcomer_costs_nobody_else(case: Case) -> None:
    got = hosted(
        case,
        """
initialize({"names": [], "on_error": "isolate"})
install("broken", source="raise SystemExit(0)")
install("fine", source="from aimm_plugins import *\\n@fit(['fine'])\\ndef f(m): return 1\\n")
out["change"] = account(refresh())
out["good"] = attempt(exec_data_access, "good")
""",
    )
    assert got["change"]["states"] == {"broken": "failed", "fine": "loaded"}
    assert got["change"]["keys"] == ["data_access:good", "fit:fine"]
    assert got["good"] == {"value": 42}


def test_broken_newcomer_under_strict_changes_nothing(case: Case) -> None:
    got = hosted(
        case,
        """
initialize()
install("broken", source="raise SystemExit(0)")
install("fine", source="from aimm_plugins import *\\n@fit(['fine'])\\ndef f(m): return 1\\n")
out.update(attempt(refresh))
out["keys"] = keys()
""",
    )
    assert got["error"] == "PluginLoadError"
    assert "broken-dist" in got["text"]
    assert got["keys"] == ["data_access:good"]


def test_newcomer_that_is_denied_never_runs(case: Case) -> None:
    got = hosted(
        case,
        f"""
initialize({{"names": [], "entry_points": {{"deny": ["late-dist"]}}}})
install(source={case.trap()!r})
out["change"] = account(refresh())
""",
    )
    assert got["change"]["states"] == {"late": "denied"}
    assert not case.marker.exists()


def test_newcomer_does_not_take_a_key(case: Case) -> None:
    got = hosted(
        case,
        """
initialize({"names": [], "on_error": "isolate"})
install(source="from aimm_plugins import *\\n@data_access('good')\\ndef f(): return 'stolen'\\n")
out["change"] = account(refresh())
out["good"] = attempt(exec_data_access, "good")
""",
    )
    assert got["good"] == {"value": 42}
    assert record(got["change"], "late")["error"]["type"] == "PluginConflictError"


def test_repaired_plugin_loads_on_refresh(case: Case) -> None:
    case.bad("1 / 0\n")
    got = hosted(
        case,
        f"""
initialize({{"names": [], "on_error": "isolate"}})
Path("site/bad.py").write_text({HEADER + BAD!r})
out["change"] = account(refresh())
out["bad"] = attempt(exec_fit, "bad", None)
""",
    )
    assert got["change"]["states"] == {"bad": "loaded"}
    assert got["bad"] == {"value": "bad"}


def test_upgraded_distribution_stays_loaded_and_wants_a_restart(case: Case) -> None:
    got = hosted(
        case,
        """
install()
initialize()
uninstall("late")
install(version="2.0", source="from aimm_plugins import *\\n@fit(['late'])\\ndef f(m): return 'new'\\n")
out["change"] = account(refresh())
out["current"] = account(current_report())
out["late"] = attempt(exec_fit, "late", None)
""",
    )
    found = record(got["current"], "late")
    assert found["state"] == "loaded"
    assert "restart" in found["reason"]
    assert got["late"] == {"value": "late"}


DAMAGES = {
    "metadata_becomes_garbage": "Path('site/good_dist-1.0.dist-info/entry_points.txt').write_bytes(b'\\xff' * 100)",
    "metadata_becomes_a_folder": "Path('site/good_dist-1.0.dist-info/entry_points.txt').unlink(); Path('site/good_dist-1.0.dist-info/entry_points.txt').mkdir()",
    "site_becomes_a_file": "__import__('shutil').rmtree('site'); Path('site').write_text('')",
    "site_vanishes": "__import__('shutil').rmtree('site')",
    "module_file_vanishes": "Path('site/good.py').unlink()",
    "module_leaves_sys_modules": "del sys.modules['good']",
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_under_a_running_host_is_told_and_ends_nothing(case: Case, kind: str) -> None:
    case.bad(BAD)
    got = hosted(
        case,
        f"""
initialize({{"names": [], "on_error": "isolate"}})
call = sys.modules["good"].good
{DAMAGES[kind]}
out["change"] = account(refresh())
out["call"] = call()
out["again"] = account(initialize({{"names": [], "on_error": "isolate"}}))
""",
    )
    assert got["call"] == 42
    if kind in ("module_file_vanishes", "module_leaves_sys_modules"):
        assert "data_access:good" in got["again"]["keys"]


def test_refresh_before_initialize_changes_nothing(case: Case) -> None:
    got = hosted(case, "out.update(account(refresh()))\n")
    assert got["keys"] == got["plugins"] == []


def test_deferred_plugin_removed_before_its_first_call_loses_its_key(case: Case) -> None:
    got = hosted(
        case,
        """
install(text="[aimm.plugins]\\nlate = late\\n[aimm.plugins.fit]\\nlate = late:f\\n")
initialize({"names": [], "load": "lazy"})
out["before"] = keys()
uninstall("late")
out["change"] = account(refresh())
out["late"] = attempt(exec_fit, "late", None)
""",
    )
    assert got["before"] == ["data_access:good", "fit:late"]
    assert got["change"]["states"] == {"late": "removed"}
    assert got["late"]["error"] == "UnknownPluginError"
