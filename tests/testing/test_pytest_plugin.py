"""The pytest plugin in runs of its own: what it loads, shows and works with."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from tests.docs.pages import Page
from tests.support.installing import ROOT, environment

pytestmark = pytest.mark.integration


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
