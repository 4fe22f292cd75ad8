"""Stubs for the plugins that are installed, read by mypy and pyright."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import aimm_plugins
from aimm_plugins._authoring.stubs import stub_files
from aimm_plugins.cli import run
from tests.conftest import names

PLUGIN = """
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self
import decimal as dec

from aimm_plugins import StateCallback, data_access, fit, instantiate, model, predict
from aimm_plugins import deserialize, serialize

if TYPE_CHECKING:
    from fractions import Fraction

Split = Literal["train", "test"]


class Mean:
    value: float = 0.0


@data_access("numbers", state_cb_arg_name="state_cb")
def numbers(split: Split, *, most: int = 3, state_cb: StateCallback) -> list[float]: ...


@instantiate("mean")
def make(start: float = 0.0) -> Mean: ...


@fit(["mean"], state_cb_arg_name="progress")
def learn(mean: Mean, x: Iterable[float], *, weight: Fraction | None = None, progress) -> Mean: ...


@predict(["mean"])
def guess(mean: Mean, count: int, scale: dec.Decimal = dec.Decimal(1)) -> Sequence[float]: ...


@serialize(["mean"])
def save(mean: Mean) -> bytes: ...


@deserialize(["mean"])
def load(content: bytes) -> Mean: ...


@model(model_type="svc", state_cb_arg_name="progress")
class Svc:
    def __init__(self, rate: float) -> None: ...

    def fit(self, x: Sequence[float], progress: StateCallback, epochs: int = 1) -> Self: ...

    def predict(self, instance: str) -> dict[str, Any]: ...

    def serialize(self) -> bytes: ...

    @classmethod
    def deserialize(cls, instance_bytes: bytes) -> Self: ...


@predict(["pair"], returns_instance=True)
def both(instance: int, x: int) -> tuple[int, str]: ...


@fit(["kw"], instance_arg_name="me")
async def by_name(x: int, *rest: int, me: Mean, **more: str) -> Mean: ...


def later(x: int): ...


@fit(["bare"])
def bare(m, unknown: Unknown, *args): ...
"""

GOOD = """
from fractions import Fraction
from typing import Any, assert_type
import aimm_plugins
from aimm_plugins import exec_fit, exec_predict, exec_instantiate
from aplugin import Mean, Svc
from collections.abc import Sequence

assert_type(aimm_plugins.exec_data_access("numbers", None, "train"), list[float])
assert_type(aimm_plugins.exec_data_access("numbers", split="test", most=2), list[float])
mean = exec_instantiate("mean")
assert_type(mean, Mean)
assert_type(exec_fit("mean", mean, print, [1.0], weight=Fraction(1, 2)), Mean)
assert_type(exec_fit("mean", mean, x=[1.0]), Mean)
assert_type(exec_fit(model_type="mean", instance=mean, state_cb=None, x=[1.0]), Mean)
assert_type(exec_predict("mean", mean, None, 2), tuple[Mean, Sequence[float]])
assert_type(aimm_plugins.exec_serialize("mean", mean), bytes)
assert_type(aimm_plugins.exec_deserialize("mean", b""), Mean)
svc = exec_instantiate("svc", None, 0.5)
assert_type(exec_fit("svc", svc, None, [1.0], epochs=2), Svc)
assert_type(exec_predict("svc", svc, None, "text"), tuple[Svc, dict[str, Any]])
assert_type(aimm_plugins.exec_deserialize("svc", b""), Svc)
assert_type(exec_predict("pair", 1, None, 2), tuple[int, str])
assert_type(exec_fit("kw", mean, None, 1, 2, 3, other="x"), Mean)
exec_fit("bare", object(), None, object(), 1, 2)
aimm_plugins.initialize({"names": []})


async def main() -> None:
    assert_type(await aimm_plugins.exec_fit_async("mean", mean, x=[1.0]), Mean)
"""

BAD = """
import aimm_plugins
from aimm_plugins import exec_fit, exec_predict, exec_instantiate
from aplugin import Mean, Svc

mean = Mean()
svc = Svc(1.0)
exec_fit("nobody", mean)
exec_fit("mean", mean, None, ["text"])
exec_fit("mean", svc, None, [1.0])
exec_fit("mean", mean, None)
exec_fit("mean", mean, None, [1.0], epochs=2)
exec_fit("mean", mean, None, [1.0], progress=print)
exec_fit("mean", mean, [1.0], None)
exec_predict("mean", mean, None, "2")
aimm_plugins.exec_data_access("numbers", None, "valid")
exec_instantiate("svc")
exec_fit("svc", svc, None, [1.0], 2)
exec_predict("svc", svc, instance="text")
aimm_plugins.exec_serialize("pair", 1)
"""


@pytest.fixture
def project(site, tmp_path, monkeypatch):
    """A folder with the plugin, registered, and the current one."""
    (site / "aplugin.py").write_text(PLUGIN)
    (site / "good.py").write_text(GOOD)
    (site / "bad.py").write_text(BAD)
    (site / "conf.yaml").write_text("names: [aplugin]\nentry_points: {enabled: false}\n")
    monkeypatch.chdir(site)
    return site


def checked(tool: str, folder: Path) -> dict[str, set[int]]:
    """Lines with errors, by file."""
    if tool == "mypy":
        command = ["mypy", "--strict", "--output=json", "--cache-dir", str(folder / ".cache")]
        files = ["good.py", "bad.py", "dynamic.py"]
    else:
        command, files = ["pyright", "--pythonpath", sys.executable, "--outputjson"], ["."]
        (folder / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    (folder / "mypy.ini").write_text("[mypy]\nmypy_path = typings\n")
    done = subprocess.run(
        [sys.executable, "-m", *command, *files],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, set[int]] = {}
    if tool == "mypy":
        assert done.stdout or not done.returncode, done.stderr
        for line in done.stdout.splitlines():
            error = json.loads(line)
            if error["severity"] == "error":
                found.setdefault(Path(error["file"]).name, set()).add(error["line"])
    else:
        for error in json.loads(done.stdout)["generalDiagnostics"]:
            if error["severity"] == "error":
                line = error["range"]["start"]["line"] + 1
                found.setdefault(Path(error["file"]).name, set()).add(line)
    found.pop("aplugin.py", None)
    return found


@pytest.mark.parametrize("tool", ["mypy", "pyright"])
def test_type_checker_takes_good_calls_and_refuses_each_bad_one(project, tool):
    pytest.importorskip(tool)
    public = [*aimm_plugins.__all__, "compare", "inspect", "workers", "__version__"]
    (project / "dynamic.py").write_text(
        "import aimm_plugins\n" + "".join(f"print(aimm_plugins.{name})\n" for name in public)
    )
    assert run(["stubs", "--conf", "conf.yaml"]) == 0
    wrong = {n for n, line in enumerate(BAD.splitlines(), 1) if "exec_" in line and n > 3}
    assert checked(tool, project) == {"bad.py": wrong}


@pytest.mark.parametrize("tool", ["mypy", "pyright"])
def test_open_stubs_take_keys_that_are_known_as_str_only(project, tool):
    pytest.importorskip(tool)
    (project / "bad.py").write_text("")
    (project / "dynamic.py").write_text(
        "from typing import assert_type\nfrom aimm_plugins import exec_predict, exec_serialize\n"
        "from aplugin import Mean\n\n"
        "def f(key: str, mean: Mean) -> None:\n"
        "    exec_predict(key, 1, None, 'anything')\n"
        "    exec_serialize('other', 1)\n"
        "    assert_type(exec_serialize('mean', mean), bytes)\n"
        "    exec_predict()  # wrong\n"
    )
    assert run(["stubs", "--open", "--conf", "conf.yaml"]) == 0
    assert checked(tool, project) == {"dynamic.py": {9}}


def api_of(module: str, **options) -> str:
    aimm_plugins.initialize(names(module))
    return stub_files(aimm_plugins.providers().values(), **options)["_calls.pyi"]


def test_argument_behind_the_callback_can_only_be_a_keyword(write):
    write(m="@fit(['k'], state_cb_arg_name='cb')\ndef f(m: int, cb, x: str): ...")
    assert "state_cb: StateCallback | None = ..., *, x: str) -> Any" in api_of("m")


def test_argument_whose_name_is_taken_goes_by_position(write):
    write(m="@fit(['k'])\ndef f(m: int, x: int, state_cb: str): ...")
    text = api_of("m")
    assert "state_cb: StateCallback | None, x: int, state_cb_: str, /) -> Any" in text
    assert text.count("def exec_fit(") == 1


def test_types_of_a_package_are_imported_from_it(write):
    write(
        stubbed____init__="",
        stubbed__m="from fractions import Fraction as F\nclass C: ...\n"
        "@fit(['k'])\ndef f(m: C, x: 'list[C]', y: F) -> 'C | None': ...",
    )
    text = api_of("stubbed.m")
    assert "instance: stubbed.m.C, state_cb: StateCallback | None, x: list[stubbed.m.C]" in text
    assert "y: fractions.Fraction) -> stubbed.m.C | None" in text
    assert "import stubbed.m\n" in text


def test_public_names_are_those_of_the_package(write):
    write(m="@fit(['k'])\ndef f(m): ...")
    aimm_plugins.initialize(names("m"))
    stub = ast.parse(stub_files(aimm_plugins.providers().values())["__init__.pyi"])
    imported = {
        alias.asname or alias.name
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {*aimm_plugins.__all__, "compare", "inspect", "workers"} <= imported
    assert ast.get_docstring(stub) == inspect.getdoc(aimm_plugins)


def test_overload_has_the_docstring_of_the_function_that_answers(write):
    write(m='@fit([\'k\'])\ndef f(m):\n    """Fit \\\\ it.\n\n    By "care"."""\n')
    functions = [node for node in ast.parse(api_of("m")).body if hasattr(node, "name")]
    found = {node.name: ast.get_docstring(node) for node in functions}
    assert found["exec_fit"] == 'Fit \\ it.\n\nBy "care".'
    assert found["exec_predict"] == inspect.getdoc(aimm_plugins.exec_predict)


def test_docstrings_reach_the_stubs_without_control_characters(site, install):
    source = (
        "from aimm_plugins import fit\n@fit(['odd'])\ndef f(m):\n    '\\x1b[2J\\u2028\\x0c\\r'\n"
    )
    (site / "odd_docs.py").write_text(source)
    install("odd-docs", entry_points={"odd": "odd_docs"})
    aimm_plugins.initialize()
    (calls,) = (
        text
        for name, text in stub_files(aimm_plugins.providers().values()).items()
        if "calls" in name
    )
    assert not set(calls) & set("\x1b\u2028\x0c\r")
    ast.parse(calls)


def test_action_that_no_plugin_provides_takes_no_key(write):
    write(m="@fit(['k'])\ndef f(m): ...")
    assert "def exec_predict(model_type: Never, *args: Any, **kwargs: Any) -> Never" in api_of("m")


def test_deferred_plugins_are_loaded_for_their_signatures(site, install):
    (site / "m.py").write_text("from aimm_plugins import fit\n@fit(['k'])\ndef f(m: int): ...")
    install("m", entry_points={"m": "m"}, published={"fit:k": "m:f"}, files=["m.py"])
    report = aimm_plugins.initialize(
        {"names": [], "load": "lazy", "entry_points": {"allow": ["m"]}}
    )
    assert "deferred" in {record.state for record in report.plugins}
    text = stub_files(aimm_plugins.providers().values())["_calls.pyi"]
    assert "Literal['k'], instance: int" in text


def test_check_tells_when_stubs_are_stale(project, capsys):
    assert run(["stubs", "out", "--conf", "conf.yaml"]) == 0
    assert run(["stubs", "out", "--conf", "conf.yaml", "--check"]) == 0
    assert run(["stubs", "out", "--conf", "conf.yaml", "--check", "--open"]) == 1
    out, err = capsys.readouterr()
    assert out == "out/aimm_plugins/_calls.pyi\n"
    assert "aimm-plugins stubs out --open --conf conf.yaml\n" in err


def test_files_of_others_are_not_overwritten(project, capsys):
    file = project / "typings" / "aimm_plugins" / "_calls.pyi"
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    assert run(["stubs", "--conf", "conf.yaml"]) == 2
    assert "_calls.pyi" in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert [path.name for path in file.parent.iterdir()] == ["_calls.pyi"]
