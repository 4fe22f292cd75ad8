"""Errors cross process borders whole, and groups of them keep what they are."""

from __future__ import annotations

import copy
import pickle

import pytest

import aimm_plugins
from aimm_plugins import (
    AimmPluginsError,
    ArtifactError,
    Cancelled,
    ConfigError,
    DeclarationError,
    EnvironmentLost,
    ParityError,
    PluginConflictError,
    PluginImportError,
    PluginLoadError,
    PluginRecord,
    Provenance,
    Report,
    UnknownPluginError,
)
from aimm_plugins._jobs.runner import JobError, StepRecord
from aimm_plugins._values.difference import Difference
from aimm_plugins.errors import spell_path

WHO = Provenance(module="m", distribution="d", version="1", file="/x/m.py", line=3)
REPORT = Report((PluginRecord(name="m", source="config", module="m", state="failed"),))

EXAMPLES = [
    AimmPluginsError("all that it says"),
    ConfigError(
        "is wrong", file="c.yaml", line=2, column=3, path=("names", 0), expected="a right one"
    ),
    ConfigError("is wrong"),
    DeclarationError("is wrong", file="/x/m.py", line=3),
    Cancelled(reason="the window was closed"),
    PluginImportError("m failed", name="m", path="/x/m.py"),
    PluginConflictError("two", action="fit", key="k", providers=[WHO, WHO]),
    UnknownPluginError("nobody", action="fit", key="k", nearest=["kk"]),
    PluginLoadError("two failed\n  m", [ValueError("a"), ConfigError("b", line=1)], REPORT),
    ArtifactError("cut off", reason="damaged", model_type="k", distribution="d", version="1"),
    EnvironmentLost(
        "process 7 has ended", environment="legacy", pid=7, status=-9, stderr="the last line"
    ),
    ParityError(
        "others",
        differences=[
            Difference(
                kind="missing", provides=(("fit", "k"),), first="d 1", second=None, remedy="install"
            )
        ],
    ),
    JobError(
        "step fit failed",
        step="fit",
        done=[
            StepRecord(
                step="model",
                action="instantiate",
                key="k",
                module="m",
                distribution=None,
                version=None,
                seconds=0.5,
            )
        ],
    ),
]


def test_every_error_class_has_an_example():
    def below(cls):
        return {cls}.union(*map(below, cls.__subclasses__()))

    named = {value for value in vars(aimm_plugins).values() if isinstance(value, type)}
    named |= {value for value in vars(aimm_plugins.errors).values() if isinstance(value, type)}
    errors = {cls for cls in below(AimmPluginsError) if cls in named or cls is JobError}
    assert {type(each) for each in EXAMPLES} == errors


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_error_survives_pickling_both_ways(error, protocol):
    error = copy.copy(error)
    error.__notes__ = ["a note"]  # tblib, which distributed brings, has copies share the list
    again = pickle.loads(pickle.dumps(error, protocol))
    there_and_back = pickle.loads(pickle.dumps(again, protocol))
    for each in (again, there_and_back):
        assert type(each) is type(error)
        assert str(each) == str(error)
        assert each.__notes__ == ["a note"]
        assert attributes(each) == attributes(error)


def attributes(error):
    """All data of an error, exceptions by what they say."""
    data = {name: value for name, value in vars(error).items() if name != "__notes__"}
    for name in ("name", "path", "exceptions"):
        data.setdefault(name, getattr(error, name, None))
    return {
        name: repr(value) if name in ("exceptions", "args") else value
        for name, value in data.items()
    }


def load_error():
    return PluginLoadError("three", [ValueError("a"), KeyError("b"), ConfigError("c")], REPORT)


def test_load_error_is_split_into_load_errors_with_the_report():
    matched, rest = load_error().split(ConfigError)
    assert [type(each) for each in (matched, rest)] == [PluginLoadError] * 2
    assert matched.report is rest.report is REPORT
    assert [type(each) for each in matched.exceptions] == [ConfigError]
    assert [type(each) for each in rest.exceptions] == [ValueError, KeyError]


def test_load_error_passes_through_except_star():
    picked = []
    try:
        try:
            raise load_error()
        except* ConfigError as group:
            picked.append(group)
    except PluginLoadError as error:
        picked.append(error)
    assert [type(each) for each in picked] == [PluginLoadError] * 2
    assert [each.report for each in picked] == [REPORT] * 2
    assert [len(each.exceptions) for each in picked] == [1, 2]


def test_load_error_is_derived_with_its_message():
    error = load_error()
    derived = error.derive([ValueError("x")])
    assert (str(derived), derived.report) == ("three", REPORT)
    assert error.subgroup(KeyError).report is REPORT
    assert error.subgroup(OSError) is None


def test_load_error_is_an_aimm_plugins_error_and_a_group():
    with pytest.raises(AimmPluginsError):
        raise load_error()
    with pytest.raises(ExceptionGroup):
        raise load_error()


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (ConfigError, ValueError),
        (DeclarationError, ValueError),
        (PluginConflictError, ValueError),
        (UnknownPluginError, LookupError),
        (UnknownPluginError, ValueError),
        (PluginImportError, ImportError),
        (PluginLoadError, ExceptionGroup),
        (ArtifactError, ValueError),
        (ParityError, RuntimeError),
    ],
)
def test_error_is_the_builtin_that_callers_would_catch(error, builtin):
    assert issubclass(error, builtin)


def test_config_error_says_file_line_column_path_and_what_was_expected():
    assert str(EXAMPLES[1]) == "c.yaml:2:3: at names[0]: is wrong (expected a right one)"


def test_path_is_spelled_as_in_the_document():
    assert spell_path(()) == ""
    assert spell_path((0, "a", "b", 1, "c")) == "[0].a.b[1].c"


def test_declaration_error_of_a_whole_file_names_no_line():
    assert str(DeclarationError("is wrong", file="svc.py")) == "svc.py: is wrong"
