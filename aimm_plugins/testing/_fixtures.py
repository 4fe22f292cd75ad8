"""The pytest plugin: fixtures, what failing reports show, and conformance as parametrized tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from aimm_plugins.testing._conformance import Conformance
    from aimm_plugins.testing._distributions import InstalledDistribution
    from aimm_plugins.testing._events import StateEvents
    from aimm_plugins.testing._fresh_process import FreshProcess
    from aimm_plugins.testing._isolation import Isolated
    from aimm_plugins.testing._trials import Trial

# Everything is imported in functions: pytest loads this module in each run of all who have the
# package installed, and most of those tests have nothing to do with it.


@pytest.fixture
def aimm() -> Generator[Isolated]:
    """An empty registry and plugin manager for the test; what was registered comes back afterwards.

    All functions of `aimm_plugins` use it while the test runs.
    """
    from aimm_plugins.testing._isolation import isolated

    with isolated() as state:
        yield state


@pytest.fixture
def state_events() -> StateEvents:
    """A state callback that is the list of the events it was sent; `check()` judges them."""
    from aimm_plugins.testing._events import StateEvents

    return StateEvents()


@pytest.fixture
def make_distribution(
    aimm: Isolated, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Callable[..., InstalledDistribution]]:
    """Installs throw-away distributions: `make_distribution(name, version="1.0", ...)`.

    Each is in a folder of its own, first on `sys.path`, with dist-info and RECORD. Keywords:
    `modules`, a dict of names and sources; `entry_points`, a dict of names and values of the group
    `aimm.plugins`, or of groups and such dicts; `published`, a dict of `action:key` to
    `module:function`; `files`, a dict of paths and contents; `requires`, a tuple of requirements;
    `direct_url`, the content of that file. After the test its modules are forgotten.
    """
    from aimm_plugins.testing._distributions import forget_modules, write_distribution

    folders = []

    def make(name: str, version: str = "1.0", **options: Any) -> InstalledDistribution:
        folder = tmp_path_factory.mktemp("installed")
        made = write_distribution(folder, name, version, **options)
        folders.append(folder)
        sys.path.insert(0, str(folder))
        return made

    try:
        yield make
    finally:
        for folder in folders:
            if str(folder) in sys.path:
                sys.path.remove(str(folder))
            forget_modules(folder)


@pytest.fixture
def fresh_process() -> FreshProcess:
    """Runs code in a fresh interpreter: `fresh_process("result = 1 + x", x=1)` is 2."""
    from aimm_plugins.testing._fresh_process import FreshProcess

    return FreshProcess()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failed test who provided what, with file and line."""
    report = yield
    if report.failed and "aimm" in getattr(item, "fixturenames", ()):
        from aimm_plugins import providers

        lines = [str(provider) for provider in providers().values()]
        if lines:
            report.sections.append(("aimm_plugins: registered providers", "\n".join(lines)))
    return report


def parametrize_conformance(
    *conformances: Conformance | Iterable[Conformance],
) -> pytest.MarkDecorator:
    """Make a test of each check: the test takes `check` and calls it.

    A check that does not apply is skipped with its reason, an expected failure is an xfail, strict.

    Args:
        *conformances: One or more, or lists of them.

    Returns:
        The mark that pytest makes the tests of.

    Raises:
        ValueError: One names an unknown check, or there is none.

    Example:
        >>> from aimm_plugins.testing import Conformance, parametrize_conformance
        >>> @parametrize_conformance(Conformance(model_type="mean"))
        ... def test_conformance(check):
        ...     check()
    """
    from aimm_plugins.testing._conformance import Conformance
    from aimm_plugins.testing._trials import trials

    flat = [
        conformance
        for given in conformances
        for conformance in ([given] if isinstance(given, Conformance) else given)
    ]
    if not flat:  # pytest would skip the test
        raise ValueError("no Conformance is given, so that nothing would be checked")
    parameters = [
        pytest.param(_case(trial), id=f"{trial.about}:{trial.check.name}") for trial in trials(flat)
    ]
    return pytest.mark.parametrize("check", parameters)


def _case(trial: Trial) -> Callable[[], None]:
    def check() -> None:
        __tracebackhide__ = True
        result = trial.run()
        if result.status == "skipped":
            pytest.skip(result.reason)
        if result.status == "expected":
            pytest.xfail(result.reason)
        if result.status == "unexpected":
            pytest.fail(str(result), pytrace=False)
        if result.error is not None:
            if result.place:
                result.error.add_note(f"check {result.check} of {result.about}: {result.place}")
            raise result.error

    return check
