"""`aimm-plugins artifact`: look at saved models without loading them."""

from __future__ import annotations

import json
import sys

import pytest
import yaml

import aimm_plugins
from aimm_plugins import cli, initialize, pack
from tests.support.artifacts import install_svc


@pytest.fixture
def artifact(site):
    """An artifact that `aimm-svc` 1.2 made."""
    install_svc(site)
    initialize()
    return pack("k", 7, metadata={"run": 5})


@pytest.fixture
def run(capsys, tmp_path, artifact):
    """Runs `aimm-plugins artifact VERB model.aimm …` in this process."""

    def run(verb, *arguments, data=artifact):
        (tmp_path / "model.aimm").write_bytes(data)
        aimm_plugins.unload_all()
        sys.modules.pop("svc", None)
        capsys.readouterr()
        status = cli.run(["artifact", verb, str(tmp_path / "model.aimm"), *arguments])
        out, err = capsys.readouterr()
        assert "svc" not in sys.modules
        return status, json.loads(out) if "json" in arguments and out else out, err

    return run


def test_inspect_prints_the_info_as_json(run, artifact):
    status, out, _ = run("inspect", "--format", "json")
    assert (status, out) == (0, aimm_plugins.inspect(artifact).to_dict())


def test_inspect_prints_a_table(run):
    status, out, _ = run("inspect")
    assert status == 0
    assert "provider      aimm-svc 1.2" in out


def test_inspect_of_a_damaged_file_exits_1(run, artifact):
    status, out, err = run("inspect", data=artifact[:-1])
    assert (status, out) == (1, "")
    assert "the artifact is cut off" in err


def test_verify_says_that_it_can_be_loaded(run):
    assert run("verify")[0] == 0
    status, out, _ = run("verify", "--format", "json")
    assert (status, out["ok"], out["error"]) == (0, True, None)


def test_verify_exits_1_with_the_reason_as_json(run, tmp_path):
    conf = tmp_path / "plugins.yaml"
    conf.write_text("names: []\nentry_points: {deny: [aimm-svc]}\n")
    status, out, _ = run("verify", "--format", "json", "--conf", str(conf))
    assert (status, out["ok"], out["error"]["reason"]) == (1, False, "provider")
    assert "denied by 'aimm-svc'" in out["error"]["message"]


def test_verify_refuses_another_major_version(run, site):
    install_svc(site, "2.0")
    status, _, err = run("verify")
    assert status == 1
    assert "aimm-svc 2.0 is here: another major version" in err


def test_verify_reports_another_version_on_stderr(run, site):
    install_svc(site, "1.3")
    status, _, err = run("verify")
    assert status == 0
    assert "finding  artifact-version-differs" in err


def test_verify_of_a_wrong_conf_exits_2(run, tmp_path):
    conf = tmp_path / "plugins.yaml"
    conf.write_text(yaml.safe_dump({"names": 5}))
    assert run("verify", "--conf", str(conf))[0] == 2


def test_file_that_is_not_there_exits_2(run):
    assert cli.run(["artifact", "inspect", "none.aimm"]) == 2
