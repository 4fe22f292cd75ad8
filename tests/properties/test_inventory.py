"""All views of one environment agree, and agree with what calls do.

Environments are made of plugins, each with one fault of a dozen, and of rules. What a fault does is
not said here: only that a plan, an inventory, a start, its later reports, readiness, the errors of
calls and the calls themselves tell the same.
"""

from __future__ import annotations

import importlib
import itertools
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

import aimm_plugins
from aimm_plugins import AimmPluginsError, PluginImportError
from aimm_plugins._diagnostics.doctor import examine
from aimm_plugins._diagnostics.explanation import explain
from aimm_plugins._diagnostics.take_inventory import take_inventory
from aimm_plugins.contrib._readiness import LoadStatus
from aimm_plugins.testing import isolated
from tests.conftest import without_distributions
from tests.support.metadata import write_dist_info

DECLARE = "from aimm_plugins import fit\n\n@fit(KEYS)\ndef learn(model):\n    return __name__\n"
PLAIN = ("entry point", "module")
unique = itertools.count()


class Fault(NamedTuple):
    """How a plugin is made.

    Attributes:
        source: Of its module; `None` for no module.
        attribute: What the entry point names in it.
        published: Whether its metadata has its keys, and one more that it does not declare.
        foreign: Whether another file of the same name comes first on the path.
        is_silent: Whether nothing is wrong with it.
    """

    source: str | None = DECLARE
    attribute: str | None = None
    published: bool = False
    more: bool = False
    foreign: bool = False
    is_silent: bool = False


FAULTS = {
    "none": Fault(is_silent=True),
    "publishes": Fault(published=True, is_silent=True),
    "publishes more": Fault(published=True, more=True),
    "names its function": Fault(attribute="learn", is_silent=True),
    "names another object": Fault(attribute="lern"),
    "names nothing decorated": Fault("def learn(model): ...\n", attribute="learn"),
    "is not there": Fault(None),
    "is not there, and publishes": Fault(None, published=True),
    "lacks a submodule": Fault("from MODULE.parts import x\n" + DECLARE),
    "lacks a dependency": Fault("import surely_not_there_at_all\n" + DECLARE),
    "lacks a dependency, and publishes": Fault(
        "import surely_not_there_at_all\n" + DECLARE, published=True
    ),
    "is for another Python": Fault("match = = 1\n" + DECLARE),
    "declares nothing": Fault("x = 1\n"),
    "is refused by a decorator": Fault(DECLARE.replace("KEYS", "'bare'")),
    "is a model that lacks a method": Fault(
        "from aimm_plugins import model\n@model(model_type=KEYS[0])\nclass Svc:\n    fit = print\n"
    ),
    "lacks an argument": Fault(DECLARE.replace("KEYS", "KEYS, state_cb_arg_name='cb'")),
    "declares a key twice": Fault(DECLARE + "\n@fit(KEYS)\ndef again(model): ...\n"),
    "lacks a name of this package": Fault("from aimm_plugins import fitt\n" + DECLARE),
    "is hidden by another file": Fault(foreign=True),
    "catches what it lacks": Fault(
        "try:\n    import surely_not_there_at_all\nexcept ImportError:\n    pass\n" + DECLARE,
        is_silent=True,
    ),
}


class Environment(NamedTuple):
    """What is installed, and with which conf it is looked at."""

    faults: tuple[str, ...]
    shares: tuple[bool, ...]
    denied: frozenset[int]
    preferred: int | None
    required: tuple[str, ...]
    lazy: bool


@st.composite
def environments(draw) -> Environment:
    count = draw(st.integers(1, 4))
    numbers = st.integers(0, count - 1)
    return Environment(
        faults=tuple(draw(st.sampled_from(sorted(FAULTS))) for _ in range(count)),
        shares=tuple(draw(st.booleans()) for _ in range(count)),
        denied=draw(st.frozensets(numbers, max_size=1)),
        preferred=draw(st.none() | numbers),
        required=tuple(
            draw(
                st.sets(
                    st.sampled_from(["fit:shared", "own0", "fit:own0", "fit:nobody"]), max_size=1
                )
            )
        ),
        lazy=draw(st.booleans()),
    )


@contextmanager
def installed(environment: Environment) -> Iterator[tuple[dict[str, object], list[str]]]:
    """A folder on the path with the plugins; gives the conf and their modules."""
    folder = Path(tempfile.mkdtemp())
    first, site = folder / "first", folder / "site"
    first.mkdir()
    site.mkdir()
    run = next(unique)
    modules = [f"law{run}_{number}" for number in range(len(environment.faults))]
    for number, (name, module) in enumerate(zip(environment.faults, modules, strict=True)):
        _install(first, site, FAULTS[name], module, number, environment.shares[number])
    path = list(sys.path)
    sys.path[:] = [str(first), str(site), *without_distributions(path)]
    importlib.invalidate_caches()
    wanted = environment.preferred
    conf: dict[str, object] = {
        "names": [],
        "on_error": "isolate",
        "load": "lazy" if environment.lazy else "eager",
        "required": list(environment.required),
        "prefer": {} if wanted is None else {"fit:shared": f"dist-{modules[wanted]}"},
        "entry_points": {
            "allow": [f"dist-{module}" for module in modules],
            "deny": [f"dist-{modules[number]}" for number in environment.denied],
        },
    }
    try:
        yield conf, modules
    finally:
        sys.path[:] = path
        for name in [name for name in sys.modules if name.startswith(f"law{run}_")]:
            del sys.modules[name]
        shutil.rmtree(folder)


def _install(first: Path, site: Path, fault: Fault, module: str, number: int, shares: bool) -> None:
    keys = [f"own{number}", *(["shared"] if shares else [])]
    if fault.source is not None:
        text = fault.source.replace("KEYS", repr(keys)).replace("MODULE", module)
        (site / f"{module}.py").write_text(text)
    if fault.foreign:
        (first / f"{module}.py").write_text("y = 2\n")
    more = [f"more{number}"] if fault.more else []
    value = module if fault.attribute is None else f"{module}:{fault.attribute}"
    write_dist_info(
        site,
        f"dist-{module}",
        entry_points={f"p{number}": value},
        published={f"fit:{key}": f"{module}:learn" for key in keys + more}
        if fault.published
        else None,
        files=[f"{module}.py"] if fault.source is not None else [],
    )


def all_keys(environment: Environment) -> list[str]:
    count = range(len(environment.faults))
    return ["shared", "nobody", *(f"own{n}" for n in count), *(f"more{n}" for n in count)]


def called(environment: Environment) -> tuple[dict[str, str], dict[str, AimmPluginsError]]:
    """Who answers each key, and the errors for the others."""
    answers, errors = {}, {}
    for key in all_keys(environment):
        try:
            answers[key] = aimm_plugins.exec_fit(key, None)
        except AimmPluginsError as error:
            errors[key] = error
    return answers, errors


def states(report) -> dict[str, str]:
    """The state of each plugin, with one name for all those that calls reach."""
    same = {"planned": "there", "deferred": "there", "loaded": "there"}
    return {record.name: same.get(record.state, record.state) for record in report}


def is_doomed(item) -> bool:
    """Whether the first call of a deferred plugin will fail."""
    return item.record.state == "deferred" and not item.active


def provided(report) -> dict[str, str]:
    return {key: record.module for record in report for _, key in record.provides}


def raised(report) -> dict[str, type[BaseException]]:
    """The class of each failure.

    A `PluginImportError` carries errors that do not survive pickling. A SyntaxError does not once
    `distributed` is imported, whose tblib pickles exceptions, and loses the text of this one.
    """
    errors = {record.name: record.error for record in report.failures}
    return {
        name: type((isinstance(error, PluginImportError) and error.__cause__) or error)
        for name, error in errors.items()
    }


@settings(max_examples=60, deadline=None)
@given(environments())
def test_views_agree_with_each_other_and_with_calls(environment):
    with installed(environment) as (conf, _), isolated():
        planned = aimm_plugins.plan(conf)
        inventory = take_inventory(conf)
        started = aimm_plugins.initialize(conf)
        ready = LoadStatus(None).readiness(True)["ready"]
        answers, errors = called(environment)
        current = aimm_plugins.current_report()

        # The plan, the inventory and what the start has come to.
        assert inventory.report.to_dict() == planned.to_dict()
        assert states(planned) == states(started)
        doomed = {item.record.name for item in inventory.plugins if is_doomed(item)}
        sound = [record for record in planned if record.name not in doomed]
        assert states(current) == {**states(sound), **dict.fromkeys(doomed, "failed")}
        assert provided(sound) == provided(current) == answers
        assert planned.ok == current.ok
        if not environment.lazy:
            assert started.ok == current.ok
        told = {(finding.code, finding.subject) for finding in planned.findings}
        assert told <= {(finding.code, finding.subject) for finding in current.findings}
        assert raised(planned) == raised(current)

        # Every key, by each view that knows of keys.
        for key in all_keys(environment):
            slot = f"fit:{key}"
            assert explain(inventory, slot).there == (key in answers)
            answering = [known for known in inventory.keys_named(slot) if known.answers]
            assert [k.item.record.module for k in answering] == [*filter(None, [answers.get(key)])]
        providers = {key: p.plugin for (_, key), p in aimm_plugins.providers().items()}
        assert providers == answers
        for key, error in errors.items():
            known = inventory.keys_named(f"fit:{key}")
            failed = any(found.item.record.error is not None for found in known)
            if failed and not key.startswith("more"):
                assert any(str(record.distribution) in str(error) for record in current.failures)

        # Why a required key is missing: whom the plan names for it, the start names too.
        reasons = {record.name: str(record.reason) for record in current}
        for record in (record for record in planned if record.state == "missing"):
            named = {r.subject for r in planned if r.module and r.subject in str(record.reason)}
            assert {subject for subject in named if subject in reasons[record.name]} == named

        # Readiness, and whether doctor has anything to say.
        readiness = LoadStatus(None).readiness(True)
        missing = {record.name for record in current if record.state == "missing"}
        assert readiness["ready"] == ready == (not missing)
        assert set(readiness["missing"]) == missing
        assert bool(examine(inventory)) == (not planned.ok or bool(planned.findings))
        assert all(found.remedy for found in examine(inventory))


@settings(max_examples=20, deadline=None)
@given(environments())
def test_imports_bear_the_plan_out(environment):
    eager = environment._replace(lazy=False)  # as which --load imports all
    with installed(eager) as (conf, _), isolated():
        foreseen = take_inventory(conf)
        loaded = take_inventory(conf, load=True)
        assert states(foreseen.report) == states(loaded.report)
        assert provided(foreseen.report) == provided(loaded.report)
        for key in all_keys(environment):
            slot = f"fit:{key}"
            assert explain(foreseen, slot).there == explain(loaded, slot).there


@settings(max_examples=30, deadline=None)
@given(environments())
def test_sound_plugins_are_not_blamed(environment):
    sound = environment._replace(
        faults=tuple(name if FAULTS[name].is_silent else "none" for name in environment.faults),
        shares=(False,) * len(environment.faults),
        denied=frozenset(),
        preferred=None,
        required=(),
    )
    with installed(sound) as (conf, _), isolated():
        assert examine(take_inventory(conf)) == ()
        report = aimm_plugins.initialize(conf)
        assert (report.ok, report.findings) == (True, ())
