"""`report`: the whole account, as text, JSON or a page."""

from __future__ import annotations

import json
import os

import pytest

from tests.cli.conftest import CONF


def test_report_is_the_account_as_text_and_json(world, run):
    status, answer, _ = run("report", "--format", "json", *CONF)
    assert status == 0
    assert answer["ok"]
    assert "provides fit:iris.old" in run("report", *CONF)[1]
    assert run("report")[0] == 1  # without the prefer rule there is a conflict


def test_report_writes_a_page_with_what_was_measured(world, run, tmp_path):
    profile = {
        "plugins": [
            {
                "name": "svc",
                "module": "looked_svc",
                "distribution": "looked-svc",
                "seconds": 1.25,
                "dependencies": [
                    {"name": "looked_svc", "seconds": 1, "modules": 1},
                    {"name": "numpy", "seconds": 0.25, "modules": 9},
                ],
            }
        ]
    }
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    status, out, err = run("report", "--html", "p.html", "--profile", "profile.json", *CONF)
    assert (status, out) == (0, "")
    assert "wrote p.html" in err
    page = (tmp_path / "p.html").read_text()
    assert "numpy 0.250 s" in page
    assert "1.250" in page
    assert run("report", "--profile", "profile.json")[0] == 2
    assert run("report", "--html", "p.html", "--profile", "plugins.yaml")[0] == 2
    assert run("report", "--html", "p.html", "--profile", "none.json")[0] == 2


def test_report_with_load_draws_the_imports(world, run, tmp_path):
    status, *_ = run("report", "--html", "p.html", "--load", *CONF)
    assert status == 1
    assert "<rect" in (tmp_path / "p.html").read_text()


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="a folder where nobody writes")
def test_page_that_cannot_be_written_is_named_by_its_own_name(run):
    status, _, err = run("report", "--html", "/proc/page.html")
    assert status == 1
    assert err.startswith("Error: /proc/page.html cannot be written: ")
