"""What a start, a refresh and a first call write to the log."""

from __future__ import annotations

import json
import logging
import traceback

import pytest

import aimm_plugins
from aimm_plugins import initialize, refresh
from aimm_plugins._values.report import Finding, Report
from tests.conftest import names, record_of
from tests.startup.test_refresh import only

FIELDS = {"plugin", "distribution", "version", "state", "seconds", "reason"}


@pytest.fixture
def lines(caplog):
    """The lines of the log so far, and of later calls; each call forgets those of before."""
    caplog.set_level(logging.DEBUG, "aimm_plugins")

    def lines(level=logging.INFO):
        found = [line for line in caplog.records if line.levelno >= level]
        caplog.clear()
        return found

    return lines


def fields(line):
    return {name: getattr(line, name) for name in FIELDS}


def test_line_has_the_facts_of_its_plugin_as_fields(write, install, lines):
    write(good="@fit(['k'])\ndef f(m): ...\n", denied="", bad="1/0")
    install("good-dist", "2.0", entry_points={"g": "good"}, files=["good.py"])
    install("denied-dist", entry_points={"d": "denied"}, files=["denied.py"])
    report = initialize(
        {
            "names": ["bad"],
            "entry_points": {"allow": ["good-dist", "denied-dist"], "deny": ["denied-dist"]},
            "on_error": "isolate",
        }
    )
    told = {line.plugin: fields(line) for line in lines()}
    assert told["g"] == {
        "plugin": "g",
        "distribution": "good-dist",
        "version": "2.0",
        "state": "loaded",
        "seconds": record_of(report, "g").import_seconds,
        "reason": None,
    }
    assert told["d"]["state"] == "denied"
    assert told["d"]["reason"] == record_of(report, "d").reason
    assert told["bad"]["state"] == "failed"
    assert told["bad"]["reason"] == "ZeroDivisionError: division by zero"
    json.dumps(told)


def test_fields_hold_no_control_characters(write, install, lines):
    write(good="@fit(['k'])\ndef f(m): ...\n")
    install("good-dist", entry_points={"red\x1b[31m": "good"}, files=["good.py"])
    initialize({"names": []})
    assert "red\\x1b[31m" in [line.plugin for line in lines()]


def test_finding_has_its_parts_as_fields(lines, install):
    report = initialize({"names": [], "entry_points": {"allow": ["nobody-dist"]}})
    (found,) = [f for f in report.findings if f.code == "rule-matches-nothing"]
    (line,) = [line for line in lines() if line.getMessage() == str(found)]
    assert (line.code, line.subject, line.place, line.remedy) == (
        found.code,
        found.subject,
        found.place,
        found.remedy,
    )


def test_refresh_without_a_change_logs_nothing(write, install, lines):
    write(good="@fit(['k'])\ndef f(m): ...\n", bad="1/0")
    install("some-dist", entry_points={"good": "good", "bad": "bad"}, files=["good.py", "bad.py"])
    initialize(only("some-dist", "nobody-dist", on_error="isolate"))
    assert len(lines()) >= 3
    refresh()
    assert lines() == []


def test_refresh_logs_what_has_changed_alone(write, install, lines):
    key = "@fit(['{}'])\ndef f(m): ..."
    write(one=key.format("one"), other=key.format("other"), bad="1/0")
    install("one-dist", entry_points={"one": "one", "bad": "bad"}, files=["one.py", "bad.py"])
    initialize(only("one-dist", "other-dist", on_error="isolate"))
    lines()
    install("other-dist", entry_points={"other": "other"}, files=["other.py"])
    refresh()
    assert [line.plugin for line in lines()] == ["other"]


def test_failure_that_comes_again_is_told_without_its_traceback(write, lines):
    write(bad="1/0")
    conf = names("bad", on_error="isolate")
    initialize(conf)
    (first,) = lines()
    assert first.exc_info[0] is ZeroDivisionError
    initialize(conf)
    (again,) = lines()
    assert "ZeroDivisionError" in again.getMessage()
    assert again.exc_info is None


def test_other_failure_of_the_same_plugin_has_its_traceback(write, lines):
    write(bad="1/0")
    conf = names("bad", on_error="isolate")
    initialize(conf)
    lines()
    write(bad="raise ValueError('another')")
    initialize(conf)
    (line,) = lines()
    assert line.exc_info[0] is ValueError


@pytest.mark.parametrize("source", ["1/0", "import not_there_at_all", "raise SystemExit(3)"])
def test_traceback_begins_in_the_plugin(write, caplog, source):
    write(bad=source)
    initialize(names("bad", on_error="isolate"))
    assert caplog.text.count("Traceback (most recent call last)") >= 1
    assert "importlib" not in caplog.text
    assert "_loading" not in caplog.text
    assert 'bad.py", line 3, in <module>' in caplog.text


@pytest.mark.parametrize("name", ["not_there_at_all", "unreadable"])
def test_failure_without_a_frame_of_the_plugin_has_no_frame(write, caplog, name):
    write(unreadable="def broken(:\n")
    initialize(names(name, on_error="isolate"))
    assert "importlib" not in caplog.text
    assert ", in " not in caplog.text


@pytest.mark.parametrize("value", ["plugin:g", "plugin:f"])
def test_object_that_is_no_plugin_is_told_without_a_traceback(write, install, caplog, value):
    write(plugin="def f(m): ...\n")
    install("object-dist", entry_points={"ep": value}, files=["plugin.py"])
    initialize(only("object-dist", on_error="isolate"))
    assert f"plugin failed: object-dist 1.0  entry point ep = {value}" in caplog.text
    assert "Traceback" not in caplog.text and "importer.py" not in caplog.text


def test_traceback_of_a_strict_failure_begins_in_the_plugin(write):
    write(bad="1/0")
    with pytest.raises(aimm_plugins.PluginLoadError) as caught:
        initialize(names("bad"))
    traceback = caught.value.exceptions[0].__traceback__
    assert traceback.tb_frame.f_code.co_filename.endswith("bad.py")
    assert traceback.tb_next is None


def test_import_is_told_at_debug_when_it_begins(write, lines):
    write(
        talking="import logging\nlogging.getLogger('aimm_plugins').info('in the import')\n@fit(['k'])\ndef f(m): ...\n"
    )
    initialize(names("talking"))
    begun, inside, loaded = lines(logging.DEBUG)
    assert (begun.levelno, begun.plugin) == (logging.DEBUG, "talking")
    assert begun.getMessage().startswith("importing config name talking")
    assert inside.getMessage() == "in the import"
    assert loaded.state == "loaded"


def test_module_that_is_imported_already_is_not_told_to_be_imported(write, lines):
    write(good="@fit(['k'])\ndef f(m): ...")
    initialize(names("good"))
    lines()
    initialize(names("good"))
    assert [line.levelno for line in lines(logging.DEBUG)] == [logging.INFO]


def test_log_takes_findings_and_records_of_any_text(lines):
    from aimm_plugins._startup.messages import log

    log(Report((), [Finding(code="odd", subject="\ud800", message="\x1b[2J")]))
    (line,) = lines()
    line.getMessage().encode()


IMPORTS_NAME = "with open(TRAP, 'a') as file: file.write('run ')\nfrom broken import nothing"
IMPORTS_PART = IMPORTS_NAME.replace("broken import", "broken.parts import")


@pytest.mark.parametrize("source", [IMPORTS_NAME, IMPORTS_PART], ids=["name", "submodule"])
def test_traceback_in_the_log_does_not_run_the_plugin_again(write, caplog, trap, source):
    write(broken=source.replace("TRAP", repr(str(trap))))
    initialize(names("broken", on_error="isolate"))
    assert source.splitlines()[1] in caplog.text
    assert trap.read_text() == "run "


def test_traceback_of_a_strict_failure_does_not_run_the_plugin_again(write, trap):
    write(broken=IMPORTS_NAME.replace("TRAP", repr(str(trap))))
    with pytest.raises(aimm_plugins.PluginLoadError) as caught:
        initialize(names("broken"))
    assert "from broken import nothing" in "".join(traceback.format_exception(caught.value))
    assert trap.read_text() == "run "
