"""What the error of an unknown key says of the process that it is raised in."""

from __future__ import annotations

import importlib
import threading
import time

import pytest

import aimm_plugins
from aimm_plugins import UnknownPluginError, exec_fit, initialize
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins.testing import isolated
from tests.conftest import names

MODEL = "@fit(['wanted'])\ndef learn(model): return model\n"


def said(key="wanted") -> str:
    with pytest.raises(UnknownPluginError) as caught:
        exec_fit(key, None)
    return str(caught.value)


def test_load_that_is_under_way_is_told_with_the_import(write, tmp_path):
    gate = tmp_path / "gate"
    wait = "import os, time\nwhile not os.path.exists({!r}): time.sleep(0.01)\n"
    write(slow=wait.format(str(gate)) + MODEL)
    thread = threading.Thread(target=initialize, args=(names("slow"),))
    thread.start()
    try:
        loads = PROCESS.runtime.registry.loads
        while not any(load.importing for load in loads):
            time.sleep(0.01)
        text = said()
    finally:
        gate.touch()
        thread.join()
    assert "config name slow (conf names[0])  slow.py is being imported, for 0." in text
    assert text.endswith("what it declares can be called when it is loaded")
    assert exec_fit("wanted", 1) == 1


def test_process_that_only_imported_modules_is_told_to_initialize(write):
    write(hand="@fit(['other'])\ndef learn(model): return model\n")
    with isolated():
        importlib.import_module("hand")
        text = said()
    assert "only hand declared something, by being imported" in text
    assert "aimm_plugins.initialize(conf)" in text


def test_module_that_declares_by_hand_is_no_remark_after_initialize(write):
    write(hand="@fit(['other'])\ndef learn(model): return model\n")
    importlib.import_module("hand")
    initialize(names())
    assert "hand" not in said()


def test_denied_plugin_that_publishes_the_key_is_named_alone(write, install):
    write(good=MODEL, other=MODEL)
    published = {"fit:wanted": "good:learn"}
    install("good-dist", "1.0", entry_points={"g": "good"}, files=["good.py"], published=published)
    install("other-dist", "1.0", entry_points={"o": "other"}, files=["other.py"])
    deny = {"allow": ["good-dist", "other-dist"], "deny": ["good-dist", "other-dist"]}
    initialize({"names": [], "entry_points": deny})
    text = said()
    assert "denied: good-dist 1.0" in text
    assert "denied by 'good-dist' (conf entry_points.deny[0])" in text
    assert "other-dist" not in text


def test_failed_plugin_that_publishes_the_key_is_named_with_its_error(write, install):
    write(bad="1 / 0\n" + MODEL)
    published = {"fit:wanted": "bad:learn"}
    install("bad-dist", "1.0", entry_points={"b": "bad"}, files=["bad.py"], published=published)
    initialize({"names": [], "entry_points": {"allow": ["bad-dist"]}, "on_error": "isolate"})
    text = said()
    assert "failed: bad-dist 1.0" in text
    assert "ZeroDivisionError: division by zero" in text
    assert aimm_plugins.current_report().failures
