"""Reading and checking a job, without running it; what it does is in tests/cli/test_cli.py."""

from __future__ import annotations

import pytest

from aimm_plugins import ConfigError, cli
from aimm_plugins._jobs.job_file import read_job

JOB = "model: {type: m}\nplugins: plugins.yaml\n"


@pytest.fixture(autouse=True)
def job(tmp_path, monkeypatch):
    """A job in the current folder that names a conf."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.yaml").write_text(JOB)


def test_conf_that_a_job_names_is_read_with_it(tmp_path):
    (tmp_path / "plugins.yaml").write_text("names: [my_models]\n")
    assert read_job("job.yaml").plugins.names == ("my_models",)


def test_wrong_conf_that_a_job_names_is_refused_with_its_own_place(tmp_path):
    (tmp_path / "plugins.yaml").write_text("nmes: []\n")
    with pytest.raises(ConfigError, match=r"^plugins\.yaml:1:1: at nmes"):
        read_job("job.yaml")


def test_conf_that_is_not_there_is_told_with_the_line_of_the_job(tmp_path):
    (tmp_path / "job.yaml").write_text("model: {type: slope}\nplugins: gone.yaml\n")
    with pytest.raises(ConfigError, match=r"job\.yaml:2:10: at plugins: gone.yaml: cannot be read"):
        read_job(tmp_path / "job.yaml")


def test_schema_verb_does_not_open_the_conf_that_a_job_names(tmp_path, capsys):
    (tmp_path / "plugins.yaml").write_text("a token of somebody's\n")
    assert cli.run(["schema", "job", "job.yaml"]) == 0
    assert capsys.readouterr().out == ""
