"""The verb `env`, with a tool in uv's place that is quick and needs no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml
from click.testing import CliRunner, Result

import aimm_plugins
from aimm_plugins.cli import group

UV = """
import os, shutil, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from tests.support.metadata import write_dist_info
log = Path(__file__).with_name("log")
with log.open("a") as stream:
    stream.write(" ".join(sys.argv[1:]) + chr(10))
if sys.argv[1] == "venv":
    root = Path(sys.argv[-1])
    (root / "bin").mkdir(parents=True)
    (root / "bin/python").symlink_to(sys.executable)
    (root / "lib/python{version}/site-packages").mkdir(parents=True)
    time.sleep(float(os.environ.get("SLEEP", "0")))
else:
    if "fails" in sys.argv:
        print("no such distribution", file=sys.stderr)
        sys.exit(1)
    site = Path(sys.argv[sys.argv.index("--python") + 1]).parents[1] / "lib/python{version}/site-packages"
    if list(site.iterdir()):
        sys.exit(0)
    write_dist_info(site, "aimm-plugins")
    (site / "legacy.py").write_text("")
    write_dist_info(site, "aimm-legacy", entry_points={{"legacy": "legacy"}})
"""


class Command:
    """The verb, with a conf that it reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "plugins.yaml"
        self.log = folder / "bin" / "log"
        self.declare(requirements=["aimm-legacy==1.0"])

    def declare(self, **rules: Any) -> None:
        """Write a conf with one environment, `legacy`."""
        environments = {"legacy": rules}
        conf = {"names": [], "environments_folder": "made", "environments": environments}
        self.conf.write_text(json.dumps(conf))

    def __call__(self, *arguments: str, status: int = 0) -> Result:
        """Run it."""
        result = CliRunner().invoke(
            group, ["env", *arguments, "--conf", str(self.conf)], standalone_mode=False
        )
        assert (result.return_value or 0) == status, result.output
        if result.exception is not None:
            raise result.exception
        return result

    def made(self) -> list[Path]:
        """The folders that were made."""
        return sorted(
            p for p in (self.folder / "made").iterdir() if p.is_dir() and not p.is_symlink()
        )


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The verb."""
    tool = tmp_path / "bin" / "uv"
    tool.parent.mkdir()
    source = textwrap.dedent(UV).format(
        tests=str(Path(__file__).parents[2]), version=f"{sys.version_info[0]}.{sys.version_info[1]}"
    )
    tool.write_text(f"#!{sys.executable}\n{source}")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)
    return Command(tmp_path)


def plan(env: Command) -> aimm_plugins.PluginRecord:
    """What becomes of the environment."""
    return next(r for r in aimm_plugins.plan(env.conf) if r.environment == "legacy")


def test_sync_makes_what_the_conf_declares(env: Command) -> None:
    assert "legacy: made" in env("sync").stdout
    (root,) = env.made()
    venv, install = env.log.read_text().splitlines()
    assert venv.startswith("venv ")
    assert f"--python {root}/bin/python aimm-legacy==1.0 " in install
    assert "aimm-plugins" in install or "-e " in install
    record = plan(env)
    assert (record.name, record.state, record.version) == ("legacy", "planned", "1.0")


def test_sync_leaves_what_is_there(env: Command) -> None:
    env("sync")
    env.log.unlink()
    assert "legacy: is there" in env("sync").stdout
    assert not env.log.exists()


def test_sync_makes_anew_what_cannot_be_used_any_more(env: Command) -> None:
    env("sync")
    (root,) = env.made()
    (root / "bin/python").unlink()
    assert plan(env).state == "missing"
    assert "legacy: made" in env("sync").stdout
    assert plan(env).state == "planned"


def test_a_folder_that_cannot_be_written_to_is_named(env: Command) -> None:
    (env.folder / "made").write_text("a file")
    with pytest.raises(aimm_plugins.AimmPluginsError) as raised:
        env("sync")
    assert str(raised.value).startswith(
        f"environment legacy was not made in {env.folder}/made, which is `environments_folder`"
    )


def test_an_environment_that_was_not_made_names_the_command_that_makes_it(env: Command) -> None:
    record = plan(env)
    assert record.state == "missing"
    assert f"it was not made yet: aimm-plugins env sync legacy --conf {env.conf}" in str(
        record.reason
    )


@pytest.mark.parametrize(
    "rules",
    [
        {"requirements": ["aimm-legacy==1.1"]},
        {"requirements": ["aimm-legacy==1.0"], "python": "3.12"},
        {"lock": "lock.txt"},
    ],
)
def test_what_is_declared_otherwise_is_out_of_date(env: Command, rules: Any) -> None:
    env("sync")
    (env.folder / "lock.txt").write_text("aimm-legacy==1.0\n")
    env.declare(**rules)
    assert "it is out of date: aimm-plugins env sync legacy" in str(plan(env).reason)
    env("sync")
    assert plan(env).state == "planned"
    assert len(env.made()) == 2


def test_an_environment_follows_the_content_of_its_lock(env: Command) -> None:
    lock = env.folder / "lock.txt"
    lock.write_text("aimm-legacy==1.0\n")
    env.declare(lock="lock.txt")
    env("sync")
    assert f"-r {lock}" in env.log.read_text()
    lock.write_text("aimm-legacy==1.1\n")
    assert "out of date" in str(plan(env).reason)


def test_an_environment_follows_the_lists_that_its_lock_includes(env: Command) -> None:
    """Also where one includes the other; pip reads each from the folder of the one above."""
    (env.folder / "more").mkdir()
    (env.folder / "lock.txt").write_text("# by team\n-r more/base.txt\n-c https://host/c.txt\n")
    (env.folder / "more/base.txt").write_text("--constraint=limits.txt\n-r ../lock.txt\n")
    limits = env.folder / "more/limits.txt"
    limits.write_text("aimm-legacy<2\n")
    env.declare(lock="lock.txt")
    env("sync")
    assert plan(env).state == "planned"
    limits.write_text("aimm-legacy<1\n")
    assert "out of date" in str(plan(env).reason)
    limits.unlink()
    assert f"No such file or directory: '{limits}'" in str(plan(env).reason)


def test_an_upgrade_makes_it_anew_beside_what_runs(env: Command) -> None:
    env("sync")
    before = env.made()
    env("sync", "--upgrade")
    (link,) = [path for path in (env.folder / "made").iterdir() if path.is_symlink()]
    assert link.resolve() not in before


def test_what_fails_leaves_nothing_and_says_which_command(env: Command) -> None:
    env.declare(requirements=["fails"])
    with pytest.raises(
        aimm_plugins.AimmPluginsError, match=r"was not made: `.*uv pip install .* status 1"
    ):
        env("sync")
    assert env.made() == []
    assert plan(env).state == "missing"


def test_two_syncs_at_once_make_it_once(env: Command) -> None:
    variables = {**os.environ, "SLEEP": "1"}
    line = [sys.executable, "-m", "aimm_plugins", "env", "sync", "--conf", str(env.conf)]
    runs = [
        subprocess.Popen(
            line, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    told = [run.communicate(timeout=60) for run in runs]
    assert sorted(stdout for stdout, _ in told) == ["legacy: is there\n", "legacy: made\n"]
    assert len(env.made()) == 1


def test_what_an_interrupted_sync_has_left_is_removed_by_the_next(env: Command) -> None:
    remains = env.folder / "made" / "legacy.0badcafe"
    remains.mkdir(parents=True)
    env("sync")
    assert not remains.exists()


def test_list_tells_the_state(env: Command) -> None:
    assert "missing" in env("list", status=1).stdout
    env("sync")
    told = json.loads(env("list", "--format", "json").stdout)
    schema = files("aimm_plugins").joinpath("schemas/env.yaml").read_text("utf-8")
    jsonschema.validate(told, yaml.safe_load(schema))
    (row,) = told["environments"]
    assert (row["name"], row["state"], row["folder"]) == ("legacy", "ready", str(env.made()[0]))
    assert row["bytes"] > 0
    assert row["age_seconds"] >= 0
    env.declare(requirements=["other"])
    assert "out of date" in env("list", status=1).stdout


def test_remove_removes_all_that_was_made(env: Command) -> None:
    env("sync")
    env.declare(requirements=["aimm-legacy==1.1"])
    env("sync")
    assert str(env.made()[0]) in env("remove", "legacy").stdout
    assert env.made() == []
    assert plan(env).state == "missing"


def test_remove_leaves_what_another_conf_has_in_the_folder_of_all(
    env: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two projects may both have an environment of this name, until the conf of one is gone."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "made").symlink_to(tmp_path / "aimm-plugins" / "environments")
    confs = [tmp_path / "one.yaml", tmp_path / "two.yaml"]
    for version, conf in enumerate(confs):
        rules = {"requirements": [f"aimm-legacy=={version}"]}
        conf.write_text(json.dumps({"names": [], "environments": {"legacy": rules}}))
        env.conf = conf
        assert str(plan(env).reason).startswith("it was not made yet")
        env("sync")
    both = env.made()
    env("remove", "legacy")
    (left,) = env.made()
    assert left in both
    assert "nothing of this conf was there" in env("remove", "legacy").stdout
    confs[0].unlink()
    env("remove", "legacy")
    assert env.made() == []


def test_lists_that_name_what_is_beside_them_are_of_their_own_folder(
    env: Command, tmp_path: Path
) -> None:
    """Two projects have one text in their lists, and not one package."""
    for name in ("one", "two"):
        (tmp_path / name / "legacy").mkdir(parents=True)
        (tmp_path / name / "list.txt").write_text("./legacy\n")
        env.declare(lock=f"{name}/list.txt")
        assert "legacy: made" in env("sync").stdout
    assert len(env.made()) == 2


def test_conf_may_be_the_last_argument(env: Command, tmp_path: Path) -> None:
    path = tmp_path / "last.yaml"
    path.write_text(env.conf.read_text())
    env("sync")  # in the folder beside both confs

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(group, ["env", *arguments, str(path)], standalone_mode=False)

    assert "ready" in run("list").stdout
    assert "is there" in run("sync", "legacy").stdout
    assert isinstance(run("remove").exception, click.UsageError)
    assert env.made() != []
    run("remove", "legacy")
    assert env.made() == []


def test_what_a_process_runs_is_removed_by_force_alone(env: Command) -> None:
    env("sync")
    (root,) = env.made()
    line = [root / "bin/python", "-c", "print('ready', flush=True); input()"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert f"run by process {process.pid}" in env("remove", "legacy", status=1).output
        assert env.made() == [root]
        env("remove", "legacy", "--force")
        assert process.stdin is not None
        process.stdin.close()
    assert env.made() == []


def test_run_has_the_environment_first_on_path(
    env: Command, capfd: pytest.CaptureFixture[str]
) -> None:
    env("sync")
    line = [sys.executable, "-c", "import os; print(os.environ['PATH'].split(':')[0]); exit(5)"]
    CliRunner().invoke(
        group, ["env", "run", "legacy", "--conf", str(env.conf), "--", *line], standalone_mode=False
    )
    assert capfd.readouterr().out == f"{env.made()[0]}/bin\n"


def test_run_tells_of_a_program_that_the_environment_does_not_have(env: Command) -> None:
    """An environment by uv has no pip, so the one of another Python would be run silently."""
    env("sync")
    assert "legacy has no true of its own: this is" in env("run", "legacy", "true").output
    assert not env("run", "legacy", "python", "-V").output


def test_a_name_that_is_not_declared_is_wrong_use(env: Command) -> None:
    with pytest.raises(Exception, match=r"no environment 'legaci'; did you mean"):
        env("sync", "legaci")


def test_an_environment_of_somebody_else_is_used_as_it_is(env: Command, tmp_path: Path) -> None:
    env.declare(path=sys.prefix)
    assert "is used as it is" in env("sync").stdout
    with pytest.raises(Exception, match="was not made by `env sync`"):
        env("remove", "legacy")


def test_an_environment_that_cannot_be_made_keeps_no_other_from_it(env: Command) -> None:
    conf = json.loads(env.conf.read_text())
    conf["environments"] = {"gone": {"path": "/nowhere"}, **conf["environments"]}
    env.conf.write_text(json.dumps(conf))
    with pytest.raises(aimm_plugins.AimmPluginsError, match="environment gone: /nowhere is not"):
        env("sync")
    assert len(env.made()) == 1


def test_the_command_does_not_list_itself_among_the_processes(env: Command) -> None:
    env.declare(path=sys.prefix)
    (row,) = json.loads(env("list", "--format", "json").stdout)["environments"]
    assert os.getpid() not in row["processes"]


def test_the_status_of_a_command_that_a_signal_ended_is_that_of_shells(env: Command) -> None:
    env.declare(path=sys.prefix)
    env("run", "legacy", "sh", "-c", "kill -9 $$", status=137)


def test_rules_are_not_called_idle_while_an_environment_is_missing(env: Command) -> None:
    conf = json.loads(env.conf.read_text()) | {"entry_points": {"deny": ["aimm-legacy"]}}
    env.conf.write_text(json.dumps(conf))
    assert [f for f in aimm_plugins.plan(env.conf).findings if "aimm-legacy" in f.subject] == []
    env("sync")
    assert plan(env).state == "denied"


def test_freeze_has_the_distributions_of_environments(env: Command) -> None:
    env("sync")
    text, findings = aimm_plugins.freeze(env.conf)
    assert "aimm-legacy==1.0  # record sha256:" in text
    assert [f for f in findings if "legacy" in f.subject] == []


def test_check_runs_in_the_environment(env: Command, capfd: pytest.CaptureFixture[str]) -> None:
    env.declare(path=sys.prefix)
    line = ["check", "--environment", "legacy", "--conf", str(env.conf), "nowhere.to_be_found"]
    assert CliRunner().invoke(group, line, standalone_mode=False).return_value == 2
    assert "nowhere.to_be_found" in capfd.readouterr().err
