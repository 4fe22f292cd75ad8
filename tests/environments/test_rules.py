"""Rules about what an environment runs: asked when it is planned, and before each process."""

from __future__ import annotations

import importlib.util
import os
import py_compile
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import aimm_plugins
from aimm_plugins import ConfigError, UnknownPluginError, exec_data_access
from tests.environments.conftest import Apart
from tests.support.metadata import write_dist_info

PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"

OTHER = "@data_access('other')\ndef other(): return 1\n"

FORGED = "@data_access('other')\ndef other(): return 'forged'\n"


def in_a_folder_of_its_own(apart: Apart, tmp_path: Path) -> tuple[Path, Any]:
    """An environment whose interpreter is this one, with other packages; and its conf."""
    root = tmp_path / "other"
    site = root / "lib" / PYTHON / "site-packages"
    site.mkdir(parents=True)
    (root / "bin").mkdir()
    (root / "bin/python").symlink_to(sys.executable)
    (site / "elsewhere.py").write_text("import aimm_plugins\n")
    write_dist_info(site, "aimm-plugins")
    points = {"elsewhere": "elsewhere"}
    write_dist_info(site, "aimm-elsewhere", entry_points=points, files=["elsewhere.py"])
    conf = {"names": [], "entry_points": {"allow": ["aimm-elsewhere"]}}
    return site, {**conf, "environments": {"other": {"path": str(root)}}}


def test_verify_compares_the_files_of_an_environment(apart: Apart, tmp_path: Path) -> None:
    site, conf = in_a_folder_of_its_own(apart, tmp_path)
    conf["verify"] = "record"
    (record,) = [r for r in aimm_plugins.plan(conf) if r.environment]
    assert record.state == "planned"
    (site / "elsewhere.py").write_text("import os\n")
    (record,) = [r for r in aimm_plugins.plan(conf) if r.environment]
    assert record.state == "denied"
    assert "elsewhere.py" in str(record.reason)


def test_a_lock_holds_in_an_environment(apart: Apart, tmp_path: Path) -> None:
    _, conf = in_a_folder_of_its_own(apart, tmp_path)
    lock = tmp_path / "plugins.lock"
    lock.write_text(aimm_plugins.freeze(conf)[0])
    conf["locked"] = str(lock)
    (record,) = [r for r in aimm_plugins.plan(conf) if r.environment]
    assert record.state == "planned"
    lock.write_text(lock.read_text().replace("1.0", "1.1"))
    (record,) = [r for r in aimm_plugins.plan(conf) if r.environment]
    assert record.state == "denied"
    assert "is locked at 1.1" in str(record.reason)


def test_the_policy_of_the_operator_holds_in_an_environment(
    apart: Apart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, conf = in_a_folder_of_its_own(apart, tmp_path)
    monkeypatch.setenv("AIMM_PLUGINS_DENY", "aimm-elsewhere")
    (record,) = [r for r in aimm_plugins.plan(conf) if r.environment]
    assert record.state == "denied"
    assert "AIMM_PLUGINS_DENY" in str(record.reason)


# Again, before each process


def record_of(name: str) -> aimm_plugins.PluginRecord:
    """The account of a plugin by now."""
    (record,) = [r for r in aimm_plugins.current_report() if r.name == name and r.environment]
    return record


def end(pid: int) -> None:
    """End a process as the system does when memory is short."""
    os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):  # the host has waited for it already
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_a_file_that_was_changed_is_refused_when_a_lost_process_is_started_again(
    apart: Apart,
) -> None:
    apart.plugin("other", OTHER)
    apart.start(plugins=["aimm-apart", "aimm-other"], conf={"verify": "record"})
    assert exec_data_access("other") == 1
    end(apart.pid())
    apart.write(other=FORGED)
    with pytest.raises(UnknownPluginError, match=r"denied.*other\.py is not what was installed"):
        exec_data_access("other")
    assert exec_data_access("numbers") == [0, 1, 2]
    assert record_of("other").state == "denied"
    assert record_of("apart").state == "loaded"


def test_what_was_refused_is_taken_up_by_refresh_once_it_is_mended(apart: Apart) -> None:
    apart.plugin("other", OTHER)
    apart.start(plugins=["aimm-apart", "aimm-other"], conf={"verify": "record"})
    source = (apart.site / "other.py").read_text()
    end(apart.pid())
    apart.write(other=FORGED)
    apart.pid()
    (apart.site / "other.py").write_text(source)
    end(apart.pid())
    with pytest.raises(UnknownPluginError, match="denied"):
        exec_data_access("other")
    aimm_plugins.refresh()
    assert (exec_data_access("other"), record_of("other").state) == (1, "loaded")


def test_a_file_that_was_changed_is_refused_by_the_first_call_of_a_lazy_environment(
    apart: Apart,
) -> None:
    apart.plugin("other", OTHER, published={"data_access:other": "other:other"})
    apart.start(plugins=["aimm-other"], start="lazy", conf={"verify": "record"})
    apart.write(other=f"open({str(apart.site / 'ran')!r}, 'w')\n{FORGED}")
    for _ in range(2):
        with pytest.raises(UnknownPluginError, match=r"denied: .*other\.py is not what was"):
            exec_data_access("other")
    assert record_of("other").state == "denied"
    assert not (apart.site / "ran").exists()
    apart.write(other=OTHER)
    aimm_plugins.refresh()
    assert (exec_data_access("other"), record_of("other").state) == (1, "loaded")


def test_a_rule_that_came_since_holds_for_a_process_that_is_started_again(
    apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart.start()
    end(apart.pid())
    monkeypatch.setenv("AIMM_PLUGINS_DENY", "aimm-apart")
    with pytest.raises(UnknownPluginError, match="AIMM_PLUGINS_DENY"):
        apart.pid()


def test_rules_that_cannot_be_read_start_nothing_until_they_can(
    apart: Apart, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    apart.start()
    end(apart.pid())
    monkeypatch.setenv("AIMM_PLUGINS_POLICY", str(tmp_path / "policy.yaml"))
    with pytest.raises(ConfigError, match=r"policy\.yaml"):
        apart.pid()
    (tmp_path / "policy.yaml").write_text("names: []\n")
    assert record_of("apart").state == "loaded"
    assert apart.pid() > 0


def test_bytecode_that_is_not_that_of_the_verified_source_does_not_run(apart: Apart) -> None:
    apart.plugin("other", OTHER)
    apart.write(forged=FORGED)
    cached = importlib.util.cache_from_source(str(apart.site / "other.py"))
    py_compile.compile(
        str(apart.site / "forged.py"),
        cached,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    apart.start(plugins=["aimm-other"])
    assert exec_data_access("other") == "forged"
    aimm_plugins.unload_all()
    apart.start(plugins=["aimm-other"], conf={"verify": "record"})
    assert exec_data_access("other") == 1
