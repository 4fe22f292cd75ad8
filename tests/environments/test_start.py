"""What a start says and does about environments: rules, states, conflicts, options, refresh."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import aimm_plugins
from aimm_plugins import (
    ConfigError,
    PluginLoadError,
    UnknownPluginError,
    exec_data_access,
    exec_predict,
)
from aimm_plugins._config.parse import read
from aimm_plugins._environments.made import wanted
from tests.environments.conftest import PLUGIN, Apart
from tests.environments.test_losses import runs, wait_for
from tests.support.metadata import write_dist_info
from tests.support.threads import in_threads

PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"

OTHER = "@data_access('other')\ndef other(): return __import__('os').getpid()\n"


def states(report: aimm_plugins.Report) -> dict[str, str]:
    """States by name of plugin and environment."""
    return {f"{record.name}@{record.environment or 'host'}": record.state for record in report}


def test_plan_tells_of_an_environment_without_running_it(apart: Apart) -> None:
    report = aimm_plugins.plan(apart.conf())
    (record,) = report
    assert (record.state, record.environment, record.distribution) == (
        "planned",
        "apart",
        "aimm-apart",
    )
    assert record.file == str(apart.site / "apart.py")
    assert "apart" not in sys.modules


def test_plugins_that_the_environment_does_not_name_stay_in_the_host(apart: Apart) -> None:
    apart.plugin("other", OTHER)
    report = apart.start()
    assert states(report) == {"other@host": "loaded", "apart@apart": "loaded"}
    assert exec_data_access("other") == os.getpid() != apart.pid()


def test_an_own_environment_without_plugins_takes_all(apart: Apart) -> None:
    apart.plugin("other", OTHER)
    conf = apart.conf()
    del conf["environments"]["apart"]["plugins"]
    assert states(aimm_plugins.initialize(conf)) == {
        "apart@apart": "loaded",
        "other@apart": "loaded",
    }
    assert exec_data_access("other") == apart.pid()


def test_a_denied_plugin_of_an_environment_is_not_started(apart: Apart) -> None:
    report = apart.start(conf={"entry_points": {"deny": ["aimm-apart"]}})
    (record,) = [record for record in report if record.name == "apart"]
    assert (record.state, record.environment) == ("denied", "apart")
    assert "deny" in str(record.reason)
    with pytest.raises(UnknownPluginError, match="denied, may have provided it: aimm-apart"):
        exec_data_access("process")


def test_a_rule_that_an_environment_satisfies_is_not_idle(apart: Apart, tmp_path: Path) -> None:
    report = apart.start(conf={"required": ["aimm-apart"], "prefer": {"process": "aimm-apart"}})
    assert [finding for finding in report.findings if "aimm-apart" in finding.subject] == []
    assert report.ok


def test_a_rule_about_nothing_is_found_once(apart: Apart) -> None:
    report = aimm_plugins.plan(apart.conf())
    subjects = [f.subject for f in report.findings if f.code == "rule-matches-nothing"]
    assert subjects == ["aimm-here", "aimm-other"]


@pytest.mark.parametrize("entry", ["aimm-aprt", "aimm-apart>=2"])
def test_an_entry_of_plugins_that_chooses_none_is_found(apart: Apart, entry: str) -> None:
    conf = apart.conf(plugins=[entry])
    for report in (aimm_plugins.plan(conf), aimm_plugins.initialize(conf)):
        (found,) = [f for f in report.findings if f.subject == entry]
        place = "conf environments.apart.plugins"
        assert (found.code, found.place) == ("rule-matches-nothing", place)
        assert str(found.remedy).startswith("Did you mean aimm-apart? Correct the name")
        (record,) = [record for record in report if record.name == "apart"]
        assert record.environment is None


def test_required_holds_in_environments(apart: Apart) -> None:
    with pytest.raises(PluginLoadError, match="aimm-apart>=2 is required"):
        apart.start(conf={"required": ["aimm-apart>=2"]})


def test_options_reach_plugins_in_environments(apart: Apart) -> None:
    apart.plugin(
        "other", "@data_access('asked')\ndef asked(): return aimm_plugins.options(__name__)\n"
    )
    options = {"aimm-other": {"level": 3, "more": [1, "a"]}}
    report = apart.start(plugins=["aimm-other"], conf={"options": options})
    assert exec_data_access("asked") == {"level": 3, "more": [1, "a"]}
    assert [f for f in report.findings if "options" in f.subject] == []
    (record,) = [record for record in report if record.name == "other"]
    assert record.options == ("level", "more")


def test_a_key_of_the_host_and_of_an_environment_is_a_conflict(apart: Apart) -> None:
    apart.plugin("here", "@data_access('process')\ndef process(): return 'here'\n")
    with pytest.raises(PluginLoadError) as raised:
        apart.start()
    text = str(raised.value)
    assert "two plugins provide data_access:process" in text
    assert "in environment apart" in text
    assert 'prefer: {"data_access:process": ' in text


def test_a_conflict_of_one_file_here_and_there_speaks_of_no_second_name(apart: Apart) -> None:
    apart.start()
    with pytest.raises(PluginLoadError) as raised:
        aimm_plugins.initialize({"names": ["apart"], "entry_points": {"enabled": False}})
    assert "in environment apart" in str(raised.value)
    assert "under two names" not in str(raised.value)


def test_a_conflict_is_settled_by_prefer(apart: Apart) -> None:
    apart.plugin("here", "@data_access('process')\ndef process(): return 'here'\n")
    apart.start(conf={"prefer": {"data_access:process": "aimm-here"}})
    assert exec_data_access("process") == "here"
    aimm_plugins.unload_all()
    report = apart.start(conf={"prefer": {"data_access:process": "aimm-apart"}})
    assert exec_data_access("process") != "here"
    (record,) = [record for record in report if record.name == "here"]
    assert record.reason.endswith("to aimm-apart in environment apart")


def test_each_line_of_a_conflict_of_one_distribution_settles_it(apart: Apart) -> None:
    conf = apart.conf(conf={"names": ["apart"]})
    with pytest.raises(PluginLoadError) as raised:
        aimm_plugins.initialize(conf)
    names = re.findall(r'prefer: \{"data_access:process": (\S+)\}', str(raised.value))
    where = []
    for name in names:
        aimm_plugins.initialize({**conf, "on_error": "isolate", "prefer": {"process": name}})
        where.append(aimm_plugins.providers("data_access")["data_access", "process"].environment)
        aimm_plugins.unload_all()
    assert (names, where) == (["apart", "apart@apart"], [None, "apart"])


def test_one_distribution_in_two_environments_is_told_apart_by_its_module(apart: Apart) -> None:
    conf = apart.conf()
    conf["environments"]["second"] = conf["environments"]["apart"]
    with pytest.raises(PluginLoadError, match=r'prefer: \{"data_access:echo": apart@second\}'):
        aimm_plugins.initialize(conf)
    rules = aimm_plugins.plan({**conf, "on_error": "isolate"})
    assert {record.plugin for record in rules} == {"apart@apart", "apart@second"}
    keys = ["numbers", "process", "echo", "pi", "counter", "fail"]
    aimm_plugins.initialize({**conf, "prefer": dict.fromkeys(keys, "apart@second")})
    provider = aimm_plugins.providers("data_access")["data_access", "process"]
    assert provider.environment == "second"


def test_a_plugin_that_fails_there_fails_here(apart: Apart) -> None:
    apart.plugin("other", "import nowhere_to_be_found\n")
    report = apart.start(plugins=["aimm-apart", "aimm-other"], conf={"on_error": "isolate"})
    assert states(report) == {"apart@apart": "loaded", "other@apart": "failed"}
    (failure,) = report.failures
    assert isinstance(failure.error, ModuleNotFoundError)
    assert "other.py" in "\n".join(failure.error.__notes__)
    assert exec_data_access("numbers") == [0, 1, 2]


def test_what_to_do_about_a_failure_is_told_by_what_is_installed_there(apart: Apart) -> None:
    apart.plugin("other", "import nowhere_to_be_found\n", requires=["nowhere-to-be-found"])
    report = apart.start(plugins=["aimm-other"], conf={"on_error": "isolate"})
    (failure,) = report.failures
    assert str(failure.remedy).startswith(
        "In environment apart: aimm-other 1.0 requires nowhere-to"
    )


def test_wrappers_alone_are_no_empty_plugin(apart: Apart) -> None:
    apart.plugin(
        "other",
        """
        @aimm_plugins.hookimpl(wrapper=True)
        def aimm_predict(model_type, instance, state_cb, args, kwargs): return (yield)
        """,
    )
    report = apart.start(plugins=["aimm-other"])
    assert [finding for finding in report.findings if finding.code == "declares-nothing"] == []


def test_a_process_that_ends_at_the_import_fails_its_plugins(apart: Apart) -> None:
    apart.plugin("other", "import os; print('gone', flush=True); os._exit(7)\n")
    with pytest.raises(
        PluginLoadError,
        match=r"EnvironmentLost: process \d+ of environment apart left with status 7",
    ):
        apart.start(plugins=["aimm-apart", "aimm-other"])
    with pytest.raises(UnknownPluginError):
        exec_data_access("numbers")


def test_a_probe_limits_what_an_import_may_take_there(apart: Apart) -> None:
    apart.plugin("other", "import threading\nthreading.Event().wait()\n")
    with pytest.raises(PluginLoadError, match="took more than 2 s") as raised:
        apart.start(plugins=["aimm-other"], conf={"probe": 2})
    assert "while loading aimm-other" in "".join(raised.value.exceptions[0].__notes__)


def test_a_strict_failure_leaves_no_process_behind(apart: Apart) -> None:
    apart.plugin("here", "raise ValueError('broken')\n")
    apart.plugin(
        "other", f"open({str(apart.site / 'pid')!r}, 'w').write(str(__import__('os').getpid()))\n"
    )
    with pytest.raises(PluginLoadError, match="broken"):
        apart.start(plugins=["aimm-apart", "aimm-other"])
    pid = int((apart.site / "pid").read_text())
    assert not Path(f"/proc/{pid}").exists()


def test_an_environment_that_is_not_there_is_missing(apart: Apart) -> None:
    conf = apart.conf(path=str(apart.site / "nowhere"))
    (record,) = [record for record in aimm_plugins.plan(conf) if record.state == "missing"]
    assert (record.environment, record.name) == ("apart", "apart")
    assert "nowhere is not there" in str(record.reason)
    place = "conf environments.apart"
    assert record.remedy == f"Correct its path, or remove the environment ({place})."
    with pytest.raises(PluginLoadError, match=r"environment apart .*nowhere is not there"):
        aimm_plugins.initialize(conf)


def test_a_lock_that_is_not_there_is_named(apart: Apart, tmp_path: Path) -> None:
    lock = str(tmp_path / "nothing.txt")
    conf = {**apart.conf(), "environments": {"apart": {"lock": lock}}}
    (record,) = [record for record in aimm_plugins.plan(conf) if record.state == "missing"]
    assert str(record.reason).startswith("its lock cannot be read: ")
    assert str(lock) in str(record.reason)
    assert str(record.remedy).startswith("Correct its lock, or remove")


def test_a_path_of_a_file_that_is_no_interpreter_is_told(apart: Apart) -> None:
    path = str(apart.site / "apart.py")
    (record,) = [r for r in aimm_plugins.plan(apart.conf(path=path)) if r.state == "missing"]
    assert record.reason == f"{path} is neither a folder nor an interpreter"
    assert str(record.remedy).startswith("Correct its path, or remove")


def test_a_plugin_of_a_missing_environment_is_not_loaded_in_the_host(apart: Apart) -> None:
    apart.plugin("other", OTHER)
    wrong = f"{sys.prefix}-misspelt"
    conf = apart.conf(path=wrong, conf={"on_error": "isolate"})
    for report in (aimm_plugins.plan(conf), aimm_plugins.initialize(conf)):
        (record,) = [record for record in report if record.state == "denied"]
        assert record.name == "apart"
        reason = f"it is to run in environment apart, and {wrong} is not there (conf environments."
        assert str(record.reason).startswith(reason)
        assert str(record.remedy).startswith("Correct its path, or remove the environment")
    assert "apart" not in sys.modules
    assert exec_data_access("other") == os.getpid()
    with pytest.raises(
        UnknownPluginError, match="missing, may have provided it: environment apart"
    ):
        exec_data_access("numbers")


def test_an_environment_without_this_package_is_missing(apart: Apart, tmp_path: Path) -> None:
    root = tmp_path / "bare"
    (root / "lib" / PYTHON / "site-packages").mkdir(parents=True)
    (root / "bin").mkdir()
    (root / "bin/python").symlink_to(sys.executable)
    report = aimm_plugins.plan(apart.conf(path=str(root)))
    (record,) = [record for record in report if record.state == "missing"]
    assert f"{root} has no aimm-plugins" in str(record.reason)
    command = f"{root}/bin/python -m pip install aimm-plugins"
    assert str(record.reason).endswith(command)
    assert str(record.remedy).startswith(f"Run `{command}`, or remove")


def test_an_environment_that_has_lost_its_interpreter_is_made_anew(
    apart: Apart, tmp_path: Path
) -> None:
    conf = apart.conf(requirements=["six"], path=None)
    del conf["environments"]["apart"]["path"]
    conf["environments_folder"] = str(tmp_path)
    config = read(conf)
    (tmp_path / "made").mkdir()
    Path(wanted(config, config.environments["apart"]).link).symlink_to("made")
    (record,) = [r for r in aimm_plugins.plan(conf) if r.state == "missing"]
    assert "has no interpreter" in str(record.reason)
    assert str(record.remedy).startswith("Run `aimm-plugins env sync apart`, or remove")


def test_an_interpreter_that_leads_nowhere_is_named(apart: Apart, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to("/gone/python3.11")
    (record,) = [r for r in aimm_plugins.plan(apart.conf(path=str(tmp_path))) if not r.module]
    assert record.reason == f"{tmp_path}/bin/python leads to /gone/python3.11, which is not there"
    assert str(record.remedy).startswith("Make it anew with a Python that is there, or remove the")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("aimm-apartt", "Did you mean aimm-apart? Correct the name"),
        ("apart", "It is a plugin of aimm-"),
    ],
)
def test_plugins_of_an_environment_that_name_nothing_are_found(
    apart: Apart, name: str, remedy: str
) -> None:
    conf = apart.conf(plugins=[name], conf={"entry_points": {"deny": ["aimm-apart"]}})
    found = [aimm_plugins.plan(conf).findings, aimm_plugins.initialize(conf).findings]
    for findings in found:
        (finding,) = [f for f in findings if f.subject == name]
        assert finding.code == "rule-matches-nothing"
        assert (
            finding.message == "no plugin of environment apart is of this distribution and version"
        )
        assert str(finding.remedy).startswith(remedy)


def test_an_interpreter_that_cannot_be_run_is_named(apart: Apart, tmp_path: Path) -> None:
    root = tmp_path / "broken"
    site = root / "lib" / "python3" / "site-packages"
    site.mkdir(parents=True)
    write_dist_info(site, "aimm-plugins")
    write_dist_info(site, "aimm-apart", entry_points={"apart": "apart"})
    (root / "bin").mkdir()
    (root / "bin" / "python").write_text("#!/no/such/python")
    with pytest.raises(PluginLoadError) as raised:
        apart.start(path=str(root))
    assert f"its interpreter {root}/bin/python cannot be run: [Errno 13]" in str(raised.value)


def test_another_version_of_this_package_is_told_where_a_process_does_not_start(
    apart: Apart, tmp_path: Path
) -> None:
    root = tmp_path / "old"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root)], check=True)
    (site,) = root.glob("lib/python*/site-packages")
    write_dist_info(site, "aimm-plugins", "0.0.1")
    (site / "aimm_plugins.py").write_text("")
    write_dist_info(site, "aimm-apart", entry_points={"apart": "apart"})
    with pytest.raises(PluginLoadError) as raised:
        apart.start(path=str(root))
    here = aimm_plugins.__version__
    assert f"It has aimm-plugins 0.0.1, and the host {here}" in str(raised.value)
    assert f"{root}/bin/python -m pip install aimm-plugins=={here}" in str(raised.value)


def test_an_older_version_that_speaks_differently_is_told_without_a_traceback(
    apart: Apart, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "old"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root)], check=True)
    (site,) = root.glob("lib/python*/site-packages")
    shutil.copytree(Path(aimm_plugins.__file__).parent, site / "aimm_plugins")
    channel = site / "aimm_plugins/_environments/channel.py"
    channel.write_text(channel.read_text().replace('MAGIC = b"aim', 'MAGIC = b"old'))
    (site / "needed.pth").write_text(sysconfig.get_path("purelib"))
    write_dist_info(site, "aimm-plugins", "0.0.1")
    write_dist_info(site, "aimm-apart", entry_points={"apart": "apart"})
    with pytest.raises(PluginLoadError) as raised:
        apart.start(path=str(root))
    text = str(raised.value)
    assert "environment apart was not started. It has aimm-plugins 0.0.1, and the host" in text
    assert "host and environment speak differently" in text
    assert "Traceback" not in text + capfd.readouterr().err


def test_a_process_that_ends_while_it_loads_names_the_plugin(apart: Apart) -> None:
    apart.plugin("other", "__import__('os')._exit(7)\n")
    with pytest.raises(PluginLoadError, match=r"status 7, during loading aimm-other 1\.0"):
        apart.start(plugins=["aimm-apart", "aimm-other"])


# Lazy


def lazy(apart: Apart) -> None:
    """Install a plugin that publishes its key."""
    apart.plugin("other", OTHER, published={"data_access:other": "other:other"})


def test_a_lazy_environment_starts_with_the_first_call(apart: Apart) -> None:
    lazy(apart)
    (record,) = [r for r in apart.start(plugins=["aimm-other"], start="lazy") if r.name == "other"]
    assert record.state == "deferred"
    assert "start: lazy" in str(record.reason)
    pid = exec_data_access("other")
    assert pid != os.getpid()
    (record,) = [r for r in aimm_plugins.current_report() if r.name == "other"]
    assert (record.state, record.environment) == ("loaded", "apart")
    assert exec_data_access("other") == pid


def test_a_lazy_environment_whose_plugins_publish_no_keys_starts_at_once(apart: Apart) -> None:
    (record,) = apart.start(start="lazy")
    assert record.state == "loaded"
    assert "no keys are published by" in str(record.reason)


def test_a_lazy_environment_that_cannot_start_fails_the_call(apart: Apart) -> None:
    apart.plugin(
        "other", "__import__('os')._exit(7)\n", published={"data_access:other": "other:other"}
    )
    apart.start(plugins=["aimm-other"], start="lazy")
    for _ in range(2):
        with pytest.raises(PluginLoadError, match="left with status 7"):
            exec_data_access("other")


SLOW = """
import os, time
with open({began!r}, "w") as stream: stream.write(str(os.getpid()))
while not os.path.exists({go!r}): time.sleep(0.01)

@data_access("other")
def other(): return __import__("os").getpid()
"""


@pytest.fixture
def starting(apart: Apart, tmp_path: Path) -> Iterator[tuple[list[Any], int, Path]]:
    """What the first call of a lazy environment answers; and the process that starts for it.

    Its plugin waits for the file that comes last.
    """
    answers: list[Any] = []

    def call() -> None:
        try:
            answers.append(exec_data_access("other"))
        except BaseException as error:
            answers.append(error)

    began, go = tmp_path / "began", tmp_path / "go"
    published = {"data_access:other": "other:other"}
    source = SLOW.format(began=str(began), go=str(go))
    apart.plugin("other", source, published=published)
    apart.start(plugins=["aimm-other"], start="lazy")
    thread = threading.Thread(target=call)
    thread.start()
    wait_for(lambda: began.exists() and began.read_text())
    yield answers, int(began.read_text()), go
    go.touch()
    thread.join()


def test_a_refresh_while_a_lazy_environment_starts_costs_no_call(
    apart: Apart, starting: tuple[list[Any], int, Path]
) -> None:
    answers, first, go = starting
    os.utime(apart.site / "aimm_other-1.0.dist-info", (time.time() + 10,) * 2)
    aimm_plugins.refresh()
    go.touch()
    wait_for(lambda: answers)
    assert answers == [exec_data_access("other")]
    wait_for(lambda: not runs(first))


def test_an_environment_that_is_unloaded_while_it_starts_leaves_no_process(
    starting: tuple[list[Any], int, Path],
) -> None:
    answers, first, go = starting
    aimm_plugins.unload_all()
    go.touch()
    wait_for(lambda: answers)
    assert isinstance(answers[0], UnknownPluginError)
    wait_for(lambda: not runs(first))


# Again


def test_initializing_again_goes_on_with_the_same_process(apart: Apart) -> None:
    apart.start()
    pid = apart.pid()
    apart.start()
    assert apart.pid() == pid


def test_refresh_goes_on_with_the_same_process_where_nothing_changed(apart: Apart) -> None:
    apart.start()
    pid = apart.pid()
    assert list(aimm_plugins.refresh()) == []
    assert apart.pid() == pid


def test_refresh_takes_up_an_upgrade_in_a_new_process(apart: Apart) -> None:
    apart.plugin("other", "@data_access('version')\ndef version(): return 1\n")
    apart.start(plugins=["aimm-other"])
    assert exec_data_access("version") == 1
    (apart.site / "aimm_other-1.0.dist-info").rename(apart.site / "gone")
    apart.plugin("other", "@data_access('version')\ndef version(): return '2'\n", version="2.0")
    os.utime(apart.site / "other.py", (time.time() + 10,) * 2)
    (record,) = [record for record in aimm_plugins.refresh() if record.name == "other"]
    assert (record.state, record.version) == ("loaded", "2.0")
    assert exec_data_access("version") == "2"


def test_refresh_takes_up_an_edit_of_any_module_of_a_plugins_package(apart: Apart) -> None:
    """Reading it, which leaves bytecode beside it, is no edit."""
    source = (
        "from .sizes import SIZE\n\n@data_access('size')\ndef size(): return SIZE, os.getpid()\n"
    )
    apart.write(parts____init__="", parts__sizes="SIZE = 1\n", parts__models="import os\n" + source)
    write_dist_info(apart.site, "aimm-other", entry_points={"parts": "parts.models"})
    apart.start(plugins=["aimm-other"])
    before = exec_data_access("size")
    aimm_plugins.refresh()
    assert exec_data_access("size") == before
    apart.write(parts__sizes="SIZE = 22\n")
    aimm_plugins.refresh()
    assert exec_data_access("size")[0] == 22


def test_a_plugin_that_was_repaired_answers_after_a_refresh(apart: Apart) -> None:
    apart.start(conf={"on_error": "isolate"})
    apart.write(apart="broken = = 1\n")
    (failed,) = aimm_plugins.refresh()
    assert (failed.state, failed.provides) == ("failed", ())
    with pytest.raises(aimm_plugins.UnknownPluginError):
        exec_data_access("numbers")
    apart.write(apart=PLUGIN)
    (again,) = aimm_plugins.refresh()
    assert again.state == "loaded"
    assert exec_data_access("numbers") == [0, 1, 2]


def test_a_plugin_that_fails_when_its_process_is_started_again_is_told_so(apart: Apart) -> None:
    apart.start(conf={"on_error": "isolate"})
    pid = apart.pid()
    apart.write(apart="raise OSError('the device is busy')\n")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not runs(pid))
    for _ in range(2):
        with pytest.raises(
            aimm_plugins.UnknownPluginError,
            match=r"failed, may have provided it: aimm-apart.*: OSError: the device is busy",
        ):
            exec_data_access("numbers")
    (record,) = aimm_plugins.current_report()
    assert record.state == "failed"
    assert "the device is busy" in str(record.error)
    apart.write(apart=PLUGIN)
    assert aimm_plugins.refresh().ok
    assert exec_data_access("numbers") == [0, 1, 2]


def test_an_environment_that_is_there_again_is_missing_no_more(
    apart: Apart, tmp_path: Path
) -> None:
    folder = tmp_path / "env"
    folder.symlink_to(sys.prefix)
    apart.start(path=str(folder), conf={"on_error": "isolate"})
    folder.unlink()
    assert "missing" in [record.state for record in aimm_plugins.refresh()]
    with pytest.raises(
        UnknownPluginError, match=r"missing, may have .* apart .* is not there. Correct its path"
    ):
        exec_data_access("no-such-key")
    folder.symlink_to(sys.prefix)
    (missing,) = [record for record in aimm_plugins.refresh() if not record.module]
    assert (missing.state, missing.reason, missing.remedy) == ("removed", "it is there again", None)
    assert exec_data_access("process") != os.getpid()


def test_refresh_takes_up_a_new_plugin_and_drops_one_that_is_gone(apart: Apart) -> None:
    apart.start(plugins=["aimm-apart", "aimm-other"])
    pid = apart.pid()
    apart.plugin("other", OTHER)
    report = aimm_plugins.refresh()
    assert states(report)["other@apart"] == "loaded"
    assert exec_data_access("other") == apart.pid() != pid
    (apart.site / "aimm_other-1.0.dist-info").rename(apart.site / "gone")
    (record,) = [record for record in aimm_plugins.refresh() if record.name == "other"]
    assert (record.state, record.environment) == ("removed", "apart")
    with pytest.raises(UnknownPluginError):
        exec_data_access("other")


def test_a_handle_of_a_replaced_environment_says_what_to_do(apart: Apart) -> None:
    apart.start(plugins=["aimm-apart", "aimm-other"])
    instance = aimm_plugins.exec_instantiate("counter")
    apart.plugin("other", OTHER)
    aimm_plugins.refresh()
    with pytest.raises(aimm_plugins.EnvironmentLost, match="started again"):
        while True:
            exec_predict("counter", instance)


def test_calls_go_on_while_refresh_puts_another_process_in_place(apart: Apart) -> None:
    apart.start(plugins=["aimm-apart", "aimm-other"])
    errors: list[BaseException] = []
    pids: set[int] = set()
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            try:
                pids.add(apart.pid())
            except BaseException as error:
                errors.append(error)

    with in_threads(call, call, call):
        for number in range(3):
            apart.plugin("other", OTHER, version=f"1.{number}")
            aimm_plugins.refresh()
            (apart.site / f"aimm_other-1.{number}.dist-info").rename(apart.site / f"gone{number}")
        stop.set()
    assert errors == []
    assert len(pids) >= 3


# Conf


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({}, "one of the keys requirements, lock, path is missing"),
        ({"path": "x", "python": "3.11"}, "path names an environment that has its python"),
        ({"path": "x", "requirements": []}, "into which no requirements go"),
        ({"path": "x", "processes": 0}, "1 at least"),
        ({"path": "x", "call_seconds": 0}, "more than 0"),
        ({"path": "x", "start": "late"}, "eager"),
        ({"path": "x", "memory": 3}, "memory_mb"),
        ({"requirements": ["scikit-learn<"]}, "environments.legacy.requirements"),
    ],
)
def test_what_is_wrong_in_a_conf_is_told_with_its_place(
    tmp_path: Path, rules: Any, message: str
) -> None:
    import yaml

    conf = tmp_path / "plugins.yaml"
    conf.write_text(yaml.safe_dump({"names": [], "environments": {"legacy": rules}}))
    with pytest.raises(ConfigError, match=message) as raised:
        aimm_plugins.plan(conf)
    assert str(conf) in str(raised.value)
    assert raised.value.line is not None


def test_processes_are_optimized_and_leave_bytecode_as_the_host_does(
    separate: tuple[Path, dict[str, Any]],
) -> None:
    """A host under `-O` and `-B` has the same `assert` and files wherever its plugins run."""
    site, conf = separate
    body = "def told(): return __debug__, sys.dont_write_bytecode"
    (site / "alone.py").write_text(
        f"import sys\nfrom aimm_plugins import data_access\n@data_access('told')\n{body}\n"
    )
    write_dist_info(site, "aimm-alone", entry_points={"alone": "alone"}, files=["alone.py"])
    code = (
        "import aimm_plugins as a\n"
        f"if __name__ == '__main__': a.initialize({conf}); print(a.exec_data_access('told'))"
    )
    host = [sys.executable, "-O", "-B", "-c", code]
    found = subprocess.run(host, capture_output=True, text=True, check=False)
    assert found.stdout == "(False, True)\n", found.stderr


@pytest.mark.skipif(sys.platform == "darwin", reason="looks at other variables")
def test_a_user_without_a_home_has_to_name_the_folder_of_environments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would be a folder `~` in each working directory, and no other would have what it has."""
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(ConfigError, match=r"is ~/.local/share, .*environments_folder in the conf"):
        aimm_plugins.plan({"names": [], "environments": {"old": {"requirements": []}}})
