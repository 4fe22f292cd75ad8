"""The pytest plugin: what its fixtures isolate and put back, and what else it works beside."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading

import pytest

import aimm_plugins
from aimm_plugins import exec_data_access, hookimpl
from aimm_plugins.testing import isolated
from tests.docs.pages import Page
from tests.support.installing import ROOT, environment


@pytest.fixture
def registered():
    """A data access and a wrapper that are there before the test's own state."""

    class Wrapper:
        @hookimpl(wrapper=True)
        def aimm_data_access(self, name):
            result = yield
            return aimm_plugins.Result((name, result.value))

    aimm_plugins.data_access("before")(lambda: 1)
    manager = aimm_plugins.get_plugin_manager()
    manager.register(Wrapper(), "wrapper")
    manager.set_blocked("blocked")
    return manager


# Isolation


def test_isolated_registry_begins_empty(registered):
    with isolated() as state:
        assert state.providers() == {}
        with pytest.raises(aimm_plugins.UnknownPluginError, match="Nothing was ever initialized"):
            exec_data_access("before")


def test_what_was_registered_is_there_again(registered):
    with isolated():
        aimm_plugins.data_access("before")(lambda: 2)
    assert exec_data_access("before") == ("before", 1)


def test_what_the_block_registered_is_gone(registered):
    with isolated():
        aimm_plugins.data_access("inside")(lambda: 2)
        assert exec_data_access("inside") == 2
    with pytest.raises(aimm_plugins.UnknownPluginError):
        exec_data_access("inside")


def test_wrappers_blocks_and_monitors_of_before_are_not_seen_and_come_back(registered):
    seen = []
    end = registered.add_hookcall_monitoring(
        lambda name, impls, kwargs: seen.append(name), lambda *rest: None
    )
    with isolated() as state:
        assert state.manager is registered
        assert state.manager.get_plugin("wrapper") is None
        assert not state.manager.is_blocked("blocked")
        aimm_plugins.data_access("inside")(lambda: 2)
        assert exec_data_access("inside") == 2
    assert seen == []
    assert exec_data_access("before") == ("before", 1)
    assert seen == ["aimm_data_access"]
    assert registered.is_blocked("blocked")
    end()


def test_report_of_before_is_the_same_afterwards(write):
    write(kept="@data_access('kept')\ndef f(): return 1")
    aimm_plugins.initialize({"names": ["kept"], "entry_points": {"enabled": False}})
    before = aimm_plugins.current_report()
    with isolated():
        aimm_plugins.unload_all()
    assert aimm_plugins.current_report() == before
    assert exec_data_access("kept") == 1


def test_refresh_inside_knows_nothing_of_what_was_initialized_before(write):
    write(kept="@data_access('kept')\ndef f(): return 1")
    aimm_plugins.initialize({"names": ["kept"], "entry_points": {"enabled": False}})
    with isolated() as state:
        assert aimm_plugins.refresh() == aimm_plugins.Report()
        assert state.providers() == {}


def test_module_that_was_imported_before_can_be_loaded_inside(write):
    write(kept="@data_access('kept')\ndef f(): return 1")
    aimm_plugins.initialize({"names": ["kept"], "entry_points": {"enabled": False}})
    with isolated() as state:
        state.load("kept")
        assert exec_data_access("kept") == 1


def test_module_that_was_imported_inside_can_be_loaded_again(write):
    write(again="@data_access('again')\ndef f(): return 1")
    for _ in range(2):
        with isolated() as state:
            state.load("again")
            assert exec_data_access("again") == 1
        assert aimm_plugins.providers() == {}


def test_everything_is_put_back_when_the_block_raises(registered):
    with pytest.raises(ZeroDivisionError), isolated():
        raise ZeroDivisionError
    assert exec_data_access("before") == ("before", 1)


def test_blocks_nest(registered):
    with isolated():
        aimm_plugins.data_access("outer")(lambda: 1)
        with isolated():
            assert aimm_plugins.providers() == {}
        assert exec_data_access("outer") == 1
    assert exec_data_access("before") == ("before", 1)


def test_policy_of_the_machine_is_not_seen_inside(monkeypatch, write):
    write(wanted="@data_access('wanted')\ndef f(): return 1")
    monkeypatch.setenv("AIMM_PLUGINS_POLICY", "no-such-policy.yaml")
    with isolated() as state:
        state.load("wanted")
        assert exec_data_access("wanted") == 1
    assert os.environ["AIMM_PLUGINS_POLICY"] == "no-such-policy.yaml"


def test_other_threads_use_the_isolated_state_too(registered):
    found = []
    with isolated():
        thread = threading.Thread(target=lambda: found.append(aimm_plugins.providers()))
        thread.start()
        thread.join()
    assert found == [{}]


# Fixtures


def test_aimm_loads_modules_and_no_entry_points(aimm, write):
    write(mine="@data_access('mine')\ndef f(): return 1")
    report = aimm.load("mine")
    assert [record.name for record in report.plugins] == ["mine"]
    assert list(aimm.providers()) == [("data_access", "mine")]
    assert aimm.report().plugins == report.plugins


def test_state_events_are_recorded_as_they_were_sent(state_events):
    event = {"step": 0, "total": 1}
    state_events(event)
    event["step"] = 1
    assert state_events == [{"step": 0, "total": 1}]
    assert state_events.steps == [0]


def test_empty_state_events_are_a_callback_all_the_same(state_events):
    assert list(aimm_plugins.progress(state_events, "ab")) == ["a", "b"]
    assert state_events.steps == [0, 1, 2]


def test_state_events_in_order_pass_the_check(state_events):
    for step in (0, 1, 2):
        state_events({"phase": "fit", "step": step, "total": 2, "unit": "epoch"})
    state_events({"phase": "test", "step": 0})
    state_events.check()


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([{"step": 2}, {"step": 1}], "step 1 after step 2"),
        ([{"step": 3, "total": 2}], "step 3 of a total of 2"),
        ([{"step": 1, "total": 2}], "ended at step 1 of 2"),
        ([{"step": -1}], "less than the minimum"),
        ([{"phase": 1}], "at phase"),
        ([{"metrics": {"loss": float("nan")}}], "is not JSON"),
        (["text"], "is a str, not a dict"),
        ([{}] * 2, "sent several times"),
    ],
)
def test_fault_of_state_events_is_told(state_events, events, message):
    for event in events:
        state_events(event)
    with pytest.raises(AssertionError, match=message):
        state_events.check()


def test_distribution_is_found_with_its_keys_and_files(make_distribution):
    made = make_distribution(
        "my-models",
        "1.5",
        modules={"my_models": "", "my_models.mean": MEAN},
        entry_points={"mean": "my_models.mean"},
        published={"fit:mean": "my_models.mean:learn"},
        files={"my_models/data.txt": "1 2 3"},
    )
    report = aimm_plugins.initialize(
        {"names": [], "verify": "record", "entry_points": {"allow": ["my-models"]}}
    )
    (record,) = [each for each in report.plugins if each.state == "loaded"]
    assert (record.distribution, record.version, record.origin) == ("my-models", "1.5", "index")
    assert record.provides == (("fit", "mean"),)
    assert aimm_plugins.plan().plugins[-1].provides
    assert (made.folder / "my_models" / "data.txt").read_text() == "1 2 3"


MEAN = """
from aimm_plugins import fit

@fit(["mean"])
def learn(model, numbers):
    return sum(numbers) / len(numbers)
"""


def test_two_tests_can_install_different_code_under_one_name():
    program = """
    import sys
    import pytest
    import aimm_plugins

    @pytest.mark.parametrize("value", [1, 2])
    def test_value(make_distribution, value):
        source = f"from aimm_plugins import data_access\\n@data_access('x')\\ndef f(): return {value}"
        make_distribution("mine", modules={"mine": source}, entry_points={"mine": "mine"})
        aimm_plugins.initialize({"names": [], "entry_points": {"allow": ["mine"]}})
        assert aimm_plugins.exec_data_access("x") == value

    def test_nothing_is_left():
        assert "mine" not in sys.modules
        assert not aimm_plugins.providers()
        assert not [item for item in sys.path if "installed" in item]
    """
    assert "3 passed" in run_pytest(program)


def test_editable_distribution_is_seen_as_such(make_distribution):
    make_distribution(
        "dev",
        modules={"dev": MEAN},
        entry_points={"dev": "dev"},
        direct_url={"url": "file:///src", "dir_info": {"editable": True}},
    )
    (record,) = [each for each in aimm_plugins.plan().plugins if each.distribution == "dev"]
    assert record.origin == "editable"


def test_fresh_process_gives_the_result(fresh_process):
    assert fresh_process("import sys\nresult = (x + 1, 'pytest' in sys.modules)", x=1) == (2, False)


def test_fresh_process_finds_modules_where_the_test_does(fresh_process, write):
    write(here="value = 3")
    assert fresh_process("import here\nresult = here.value") == 3


def test_error_in_a_fresh_process_is_told(fresh_process):
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        fresh_process("1 / 0")


def test_crash_of_a_fresh_process_is_told(fresh_process):
    with pytest.raises(RuntimeError, match="left with status 7"):
        fresh_process("import os\nos._exit(7)")


# pytest itself


def run_pytest(program: str, *arguments: str, folder=None, **variables: str) -> str:
    """What pytest prints of a test file, in a process of its own."""
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "test_it.py")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(textwrap.dedent(program))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, path],
            cwd=scratch,
            env=environment(**variables),
            capture_output=True,
            text=True,
            check=False,
        )
    return done.stdout + done.stderr


def test_plugin_loads_nothing_heavy_at_the_start_of_pytest():
    program = """
    import sys

    def test_loaded(pytestconfig):
        heavy = {"hypothesis", "yaml", "jsonschema", "click", "importlib_metadata", "rich"}
        assert not heavy & set(sys.modules)
        ours = [name for name in sys.modules if name.startswith("aimm_plugins.testing.")]
        assert ours == ["aimm_plugins.testing._fixtures"]
        assert pytestconfig.pluginmanager.has_plugin("aimm")
    """
    output = run_pytest(program, "-p", "no:hypothesispytest", "-p", "no:asyncio", "-p", "no:xdist")
    assert "1 passed" in output, output


def test_plugin_can_be_switched_off():
    program = """
    import sys

    def test_without():
        assert "aimm_plugins" not in sys.modules

    def test_fixture(aimm):
        pass
    """
    output = run_pytest(program, "-p", "no:aimm", "-p", "no:asyncio")
    assert "fixture 'aimm' not found" in output
    assert "1 passed" in output


def test_failing_test_shows_who_provides_what():
    program = """
    import aimm_plugins

    def test_fails(make_distribution):
        source = "from aimm_plugins import fit\\n@fit(['x'])\\ndef f(m): raise ValueError('no')"
        make_distribution("mine", "1.5", modules={"mine": source}, entry_points={"e": "mine"})
        aimm_plugins.initialize({"names": [], "entry_points": {"allow": ["mine"]}})
        aimm_plugins.exec_fit("x", None)
    """
    output = run_pytest(program, "-p", "no:asyncio")
    assert "aimm_plugins: registered providers" in output
    assert "fit:x  mine 1.5  entry point e = mine  mine.py:2" in output


def test_fixtures_work_beside_xdist_and_asyncio():
    pytest.importorskip("xdist")
    pytest.importorskip("pytest_asyncio")
    program = """
    import asyncio

    import pytest
    import aimm_plugins

    @pytest.mark.asyncio
    @pytest.mark.parametrize("number", range(6))
    async def test_own_state(aimm, state_events, number):
        assert aimm.providers() == {}
        @aimm_plugins.data_access("x", state_cb_arg_name="cb")
        async def access(cb):
            cb({"step": 1, "total": 1})
            await asyncio.sleep(0)
            return number
        assert await aimm_plugins.exec_data_access_async("x", state_events) == number
        state_events.check()
    """
    output = run_pytest(program, "-n", "2", "-o", "asyncio_default_fixture_loop_scope=function")
    assert "6 passed" in output, output


CONFORMANCE = """
import aimm_plugins
import pytest
from aimm_plugins.testing import Conformance, parametrize_conformance

@aimm_plugins.instantiate("mean")
def make(): return {{}}

@aimm_plugins.fit(["mean"])
def learn(model, numbers):
    numbers.sort()
    model["mean"] = sum(numbers) / len(numbers)
    return model

@aimm_plugins.predict(["mean"])
def guess(model):
    return model["mean"]

@parametrize_conformance(
    Conformance(model_type="mean", fit=lambda: ([3.0, 1.0],), expected_failures={expected})
)
def test_conformance(check):
    check()
"""


def test_checks_are_tests_that_fail_are_skipped_and_expected_to_fail():
    output = run_pytest(
        CONFORMANCE.format(expected={"signatures-are-typed": "to come"}), "-rA", "-p", "no:asyncio"
    )
    for line in (
        "PASSED test_it.py::test_conformance[mean:fit-gives-a-predictor]",
        "FAILED test_it.py::test_conformance[mean:fit-keeps-arguments]",
        "XFAIL test_it.py::test_conformance[mean:signatures-are-typed] - to come",
        "no plugin provides serialize:mean",
        "argument 0 was [3.0, 1.0], and is [1.0, 3.0] now",
    ):
        assert line in output, output


def test_unexpected_pass_is_a_failure():
    expected = {"fit-gives-a-predictor": "it did not once"}
    output = run_pytest(
        CONFORMANCE.format(expected=expected), "-rA", "-p", "no:asyncio", "-k", "gives-a-predictor"
    )
    assert "FAILED test_it.py::test_conformance[mean:fit-gives-a-predictor]" in output
    assert "it passed, and was declared to fail: it did not once" in output


def test_examples_of_the_page_are_true(tmp_path):
    page = Page(ROOT / "docs" / "conformance.md")
    for name, text in page.files().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-p", "no:cacheprovider", "-q"],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "1 xfailed" in done.stdout
