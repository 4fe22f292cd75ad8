"""`report`: the whole account, as text, JSON or a page."""

from __future__ import annotations

import os

import pytest

from tests.cli.conftest import CONF


def test_report_is_the_account_as_text_and_json(world, run):
    status, answer, _ = run("report", "--format", "json", *CONF)
    assert status == 0
    assert answer["ok"]
    assert "provides fit:iris.old" in run("report", *CONF)[1]
    assert run("report")[0] == 1  # without the prefer rule there is a conflict


def test_report_writes_a_page_whose_exit_status_is_that_of_the_account(world, run, tmp_path):
    status, out, err = run("report", "--html", "p.html", *CONF)
    assert (status, out) == (0, "")
    assert "wrote p.html" in err
    assert "iris.old" in (tmp_path / "p.html").read_text().replace("<wbr>", "")
    assert run("report", "--html", "p.html", "--load", *CONF)[0] == 1


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="a folder where nobody writes")
def test_page_that_cannot_be_written_is_named_by_its_own_name(run):
    status, _, err = run("report", "--html", "/proc/page.html")
    assert status == 1
    assert err.startswith("Error: /proc/page.html cannot be written: ")
