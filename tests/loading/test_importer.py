"""Importing: what it costs, what failed imports leave behind, and probes in a child process."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import warnings

import pytest

import aimm_plugins
from aimm_plugins import PluginLoadError, initialize
from tests.conftest import names, record_of

SETS_AND_DECLARES = """\
import os
os.environ["AIMM_SET"] = "1"
@fit(["k"])
def learn(m): ...
"""


def side_effects(report) -> str:
    return next(f.message for f in report.findings if f.code == "side-effects")


@pytest.fixture
def untouched():
    """Puts back what a test's plugin has changed."""
    environ, path, folder = dict(os.environ), list(sys.path), os.getcwd()
    handler = signal.getsignal(signal.SIGUSR1)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with warnings.catch_warnings():
        yield
    os.environ.clear()
    os.environ.update(environ)
    sys.path[:] = path
    os.chdir(folder)
    signal.signal(signal.SIGUSR1, handler)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import os; os.environ['AIMM_SET'] = '1'", "os.environ: set AIMM_SET"),
        ("import os; os.environ['HOME'] = '/x'", "os.environ: changed HOME"),
        ("import os; del os.environ['HOME']", "os.environ: removed HOME"),
        ("import sys; sys.path.append('/x')", "sys.path: added '/x'"),
        ("import sys; sys.path.reverse()", "sys.path: reordered"),
        ("import os; os.chdir('/')", "working directory: "),
        ("import warnings; warnings.simplefilter('ignore', BytesWarning)", "warning filters"),
        ("import signal; signal.signal(signal.SIGUSR1, signal.SIG_IGN)", "changed SIGUSR1"),
        ("import logging; logging.getLogger().addHandler(logging.NullHandler())", "handlers"),
        ("import logging; logging.getLogger().setLevel(1)", "root logging level"),
    ],
)
def test_failed_plugin_tells_what_it_changed(write, monkeypatch, source, told):
    monkeypatch.setenv("HOME", "/home")
    write(bad=f"{source}\n1/0\n")
    report = initialize(names("bad", on_error="isolate"))
    assert told in side_effects(report)


def test_failed_plugin_names_the_threads_that_it_left(write):
    write(
        bad="import threading\n"
        "threading.Thread(target=aimm_plugins.stop.wait, name='left-over', daemon=True).start()\n1/0"
    )
    aimm_plugins.stop = threading.Event()
    try:
        assert "threads: added 'left-over'" in side_effects(
            initialize(names("bad", on_error="isolate"))
        )
    finally:
        aimm_plugins.stop.set()
        del aimm_plugins.stop


def test_clean_failure_and_side_effects_of_a_loaded_plugin_are_no_finding(write, monkeypatch):
    monkeypatch.delenv("AIMM_SET", raising=False)
    write(bad="1/0\n", good=SETS_AND_DECLARES)
    try:
        assert initialize(names("bad", "good", on_error="isolate")).findings == ()
    finally:
        del os.environ["AIMM_SET"]


def test_imports_are_counted_once_where_they_happened(write):
    write(
        first="import shared.one, shared.two\n",
        second="import shared.one\n",
        shared____init__="",
        shared__one="",
        shared__two="",
    )
    report = initialize(names("first", "second"))
    assert dict(record_of(report, "first").imports) == {"first": 1, "shared": 3}
    assert dict(record_of(report, "second").imports) == {"second": 1}
    assert record_of(report, "first").import_seconds > 0


def test_plugin_that_another_imported_has_no_import_of_its_own(write):
    write(outer="import inner\n", inner="@fit(['k'])\ndef f(m): ...\n")
    report = initialize(names("outer", "inner"))
    assert dict(record_of(report, "outer").imports) == {"outer": 1, "inner": 1}
    assert record_of(report, "inner").import_seconds is None
    assert record_of(report, "inner").provides == (("fit", "k"),)


def test_declarations_of_a_thread_that_a_failed_import_started_are_undone(write):
    write(
        bad="import threading\n"
        "def declare():\n    fit(['k'])(lambda m: m)\n"
        "thread = threading.Thread(target=declare)\nthread.start()\nthread.join()\n1/0\n"
    )
    initialize(names("bad", on_error="isolate"))
    assert ("fit", "k") not in aimm_plugins.providers()


@pytest.mark.parametrize(
    "trick", ["__spec__ = None", "import sys, types\nsys.modules[__name__] = Lazy()"]
)
def test_module_that_hides_its_spec_keeps_its_declarations(write, trick):
    write(odd=f"class Lazy: pass\n@fit(['k'])\ndef f(m): return 1\n{trick}\n")
    assert record_of(initialize(names("odd")), "odd").provides == (("fit", "k"),)
    assert aimm_plugins.exec_fit("k", None) == 1


def test_failing_logging_does_not_end_initialize(write):
    class Broken(logging.Handler):
        def handle(self, record):
            raise SystemExit

    write(bad="1/0\n", good="@fit(['k'])\ndef f(m): return 1\n")
    handler = Broken()
    logging.getLogger("aimm_plugins").addHandler(handler)
    try:
        initialize(names("bad", "good", on_error="isolate"))
    finally:
        logging.getLogger("aimm_plugins").removeHandler(handler)
    assert aimm_plugins.exec_fit("k", None) == 1


def test_text_that_utf8_cannot_hold_can_be_printed(write):
    write(bad="raise ValueError('told \\udcff')\n")
    report = initialize(names("bad", on_error="isolate"))
    assert "told \\udcff" in str(report)
    str(report).encode()
    assert report.to_dict()["plugins"][0]["error"]["message"] == "told \\udcff"


def test_error_whose_class_does_not_tell_its_name_is_reported(write):
    write(
        bad="class Meta(type):\n    def __getattribute__(self, name): raise RuntimeError\n"
        "class Odd(Exception, metaclass=Meta): pass\nraise Odd('told')\n"
    )
    assert "Odd" in str(initialize(names("bad", on_error="isolate")))


def test_probe_keeps_the_childs_traceback(write):
    write(bad="def deep(): raise ValueError('why')\ndeep()\n")
    with pytest.raises(PluginLoadError) as caught:
        initialize(names("bad", probe=True))
    notes = "\n".join(caught.value.exceptions[0].__notes__)
    assert "in deep" in notes


def test_plan_shows_a_probe_as_pending(write):
    write(p="")
    (record,) = aimm_plugins.plan(names("p", probe=True)).plugins
    assert (record.state, record.reason) == (
        "planned",
        "its probe in a child process is pending",
    )


@pytest.mark.parametrize(
    "source",
    [
        "@hookimpl(wrapper=True)\ndef aimm_fit(instance): return 1\n",
        "@hookimpl(wrapper=True, hookwrapper=True)\ndef aimm_fit(instance): yield\n",
        "@hookimpl\ndef aimm_fti(instance): ...\n",
        "@hookimpl\ndef aimm_fit(instance, odd): ...\n",
        "def __dir__(): raise SystemExit\n@hookimpl\ndef aimm_fit(instance): ...\n",
    ],
)
def test_what_pluggy_refuses_is_that_plugins_failure_alone(write, source):
    write(bad=source, good="@fit(['k'])\ndef f(m): return 1\n")
    report = initialize(names("bad", "good", on_error="isolate"))
    assert record_of(report, "bad").state == "failed"
    assert aimm_plugins.exec_fit("k", None) == 1


def test_module_without_hookimpls_is_not_asked_what_it_has(write):
    write(odd="def __dir__(): raise SystemExit\n@fit(['k'])\ndef f(m): return 1\n")
    assert initialize(names("odd")).ok
    assert aimm_plugins.exec_fit("k", None) == 1


def test_objects_of_a_module_are_not_touched(write):
    write(
        odd="class Odd:\n    def __getattribute__(self, name): raise SystemExit\n"
        "aimm_fit = thing = Odd()\n@fit(['k'])\ndef f(m): return 1\n"
    )
    assert initialize(names("odd")).ok
    assert aimm_plugins.exec_fit("k", None) == 1


def test_declared_functions_answer_when_every_plugin_was_taken_out():
    manager = aimm_plugins.get_plugin_manager()
    for name, _ in manager.list_name_plugin():
        manager.unregister(name=name)
    aimm_plugins.data_access("d")(lambda: 1)
    assert aimm_plugins.exec_data_access("d") == 1


@pytest.mark.parametrize(
    "source",
    [
        "__dir__ = 5\n",
        "import sys\nclass Odd:\n    __slots__ = ()\nsys.modules[__name__] = Odd()\n",
    ],
    ids=["its_dir_cannot_be_called", "replaced_by_an_object_without_a_dict"],
)
def test_module_that_pluggy_cannot_look_at_leaves_the_healthy_one_alone(write, source):
    site = write(good="@fit(['k'])\ndef f(m): return 1\n")
    (site / "unlooked.py").write_text(source)  # with nothing in it that is a function
    report = aimm_plugins.initialize(names("unlooked", "good", on_error="isolate"))
    assert record_of(report, "good").state == "loaded"
    assert aimm_plugins.exec_fit("k", None) == 1
