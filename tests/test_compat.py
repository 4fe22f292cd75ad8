"""Programs written for `aimm.plugins`."""

from __future__ import annotations

import importlib
import json
import multiprocessing.spawn
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import aimm_plugins
from aimm_plugins import AimmPluginsError, compat

# What the original's `aimm.plugins` exports.
NAMES = {
    *("Model", "initialize", "StateCallback", "model", "unload_all"),
    *("data_access", "instantiate", "fit", "predict", "serialize", "deserialize"),
    *("exec_data_access", "exec_instantiate", "exec_fit"),
    *("exec_predict", "exec_serialize", "exec_deserialize"),
}

PLUGIN = """
    import pickle
    from aimm import plugins
    from aimm.plugins import common

    @plugins.data_access("rows", state_cb_arg_name="cb")
    def rows(n, cb):
        cb({"rows": n})
        return list(range(n))

    @plugins.instantiate("mean")
    def make(start=0.0):
        return {"mean": start}

    @plugins.fit(["mean"], "cb", "instance")
    def learn(values, *, cb, instance):
        instance["mean"] = sum(values) / len(values)
        return instance

    @plugins.predict(["mean"], instance_arg_name="instance")
    def guess(n, *, instance):
        return [instance["mean"]] * n

    @plugins.serialize(["mean"])
    def dump(instance):
        return pickle.dumps(instance)

    @plugins.deserialize(["mean"])
    def load(data):
        return pickle.loads(data)

    @plugins.model
    class Constant(plugins.Model):
        def fit(self): return self
        def predict(self): return 1
        def serialize(self): return b""
        @classmethod
        def deserialize(cls, data): return cls()
"""

HOST = """
    import json, multiprocessing, sys
    from concurrent.futures import ProcessPoolExecutor
    from aimm import plugins

    def work(key):
        # As a spawned child, which begins with an empty registry.
        plugins.initialize({"names": ["host_plugin"], "entry_points": {"enabled": False}})
        return [plugins.__spec__.origin, plugins.exec_predict(key, {"mean": 2.0}, None, 1)]

    def main():
        events = []
        plugins.initialize({"names": ["host_plugin"], "entry_points": {"enabled": False}})
        data = plugins.exec_data_access("rows", events.append, 5)
        model = plugins.exec_instantiate("mean", start=3.0)
        model = plugins.exec_fit("mean", model, events.append, data)
        model = plugins.exec_deserialize("mean", plugins.exec_serialize("mean", model))
        _, prediction = plugins.exec_predict("mean", model, events.append, 2)
        children = {}
        for method in sys.argv[1:]:
            context = multiprocessing.get_context(method)
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                children[method] = pool.submit(work, "mean").result()
        try:
            import aimm.server
            server = aimm.server.__file__
        except ModuleNotFoundError as error:
            server = str(error)
        json.dump({
            "name": __name__,
            "prediction": prediction,
            "events": events,
            "children": children,
            "server": server,
            "served": plugins.__spec__.origin,
        }, sys.stdout)

    if __name__ == "__main__":
        main()
"""


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    importlib.invalidate_caches()


def original(folder: Path) -> None:
    """A package `aimm` that is not ours."""
    write(
        folder,
        {"aimm/__init__.py": "", "aimm/server.py": "", "aimm/plugins/__init__.py": "THEIRS = True"},
    )


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aimm_plugins.compat", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )


@pytest.fixture(scope="module", params=["absent", "present"])
def hosted(request, tmp_path_factory) -> dict[str, object]:
    """What a program finds, without the original and beside it."""
    folder = tmp_path_factory.mktemp(request.param)
    write(folder, {"host.py": HOST, "host_plugin.py": PLUGIN})
    if request.param == "present":
        original(folder)
    done = run(folder, "host", "spawn", "forkserver")
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "original": request.param, "folder": folder}


def test_program_and_plugin_run_on_this_package(hosted):
    assert hosted["name"] == "__main__"
    assert hosted["served"] == "aimm_plugins.compat"
    assert hosted["prediction"] == [2.0, 2.0]
    assert hosted["events"] == [{"rows": 5}]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_children_that_inherit_nothing_are_served_too(hosted, method):
    assert hosted["children"][method] == ["aimm_plugins.compat", [{"mean": 2.0}, [2.0]]]


def test_other_modules_are_the_originals(hosted):
    if hosted["original"] == "present":
        assert hosted["server"] == str(hosted["folder"] / "aimm" / "server.py")
    else:
        assert hosted["server"] == "No module named 'aimm.server'"


@pytest.fixture
def process(monkeypatch, site):
    """Undoes what serving changes in this process."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(
        multiprocessing.spawn, "get_preparation_data", multiprocessing.spawn.get_preparation_data
    )
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    yield site
    for name in [each for each in sys.modules if each.split(".")[0] == "aimm"]:
        del sys.modules[name]


@pytest.fixture
def served(process):
    compat.install()
    return process


def status(*arguments: str) -> object:
    """What the runner exits with."""
    sys.argv = ["compat", *arguments]
    with pytest.raises(SystemExit) as caught:
        compat.main()
    return caught.value.code


def test_every_name_of_the_original_is_there_and_no_other(served):
    from aimm import plugins

    assert set(plugins.__all__) == NAMES
    assert all(getattr(plugins, name) is getattr(aimm_plugins, name) for name in NAMES)
    public = {name for name in vars(plugins) if not name.startswith("_")}
    assert public == NAMES | {"common", "decorators", "execute"}


def test_modules_of_the_original_are_there(served):
    """The original's own modules have the same names as this package."""
    from aimm.plugins import common, decorators, execute

    assert common.Model is aimm_plugins.Model
    assert decorators.fit is aimm_plugins.fit
    assert execute.exec_fit is aimm_plugins.exec_fit


def test_what_the_original_does_not_have_is_not_found(served):
    with pytest.raises(ModuleNotFoundError, match=r"aimm\.plugins\.nothing"):
        import aimm.plugins.nothing  # noqa: F401  # for what it raises


def test_second_install_changes_nothing(served):
    before = list(sys.meta_path), multiprocessing.spawn.get_preparation_data
    compat.install()
    assert (list(sys.meta_path), multiprocessing.spawn.get_preparation_data) == before


def test_install_after_the_original_was_imported_is_refused(process):
    original(process)
    import aimm.plugins

    before = list(sys.meta_path)
    with pytest.raises(AimmPluginsError, match=r"imported already, from .*aimm/plugins/__init__"):
        compat.install()
    assert sys.meta_path == before
    assert aimm.plugins.THEIRS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "MODULE is missing"),
        (("--conf", "x"), "no option --conf; options of the program stand behind its MODULE"),
        (("host.py",), "'host.py' is no module name; did you mean host?"),
        (("nowhere:main",), "No module named 'nowhere'"),
        (("no/where",), "'no/where' is no module name"),
        (("nowhere",), "No module named 'nowhere'"),
        (("nowhere.main",), "No module named 'nowhere.main'"),
        (("json.decoder.main",), "No module named 'json.decoder.main'"),
        (("email",), "email is a package without __main__, and cannot be run"),
        (("json:nothing",), "json has no function 'nothing'"),
        (("json:",), "json has no function ''"),
        (("aimm.server.main",), "No module named 'aimm.server.main'"),
    ],
)
def test_wrong_use_says_what_is_wrong_and_exits_with_2(process, capsys, arguments, message):
    assert status(*arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("usage: python -m aimm_plugins.compat")
    assert captured.out == ""


def test_help_goes_to_stdout(process, capsys):
    assert status("--help") == 0
    assert "MODULE:FUNCTION" in capsys.readouterr().out


def test_program_sees_what_python_m_would_show(process, capsys):
    code = "import sys; print(__name__, __spec__.name, __file__, *sys.argv)"
    write(process, {"program.py": code})
    assert status("program", "--conf", "a", "--help") == 0
    file = process / "program.py"
    assert capsys.readouterr().out == f"__main__ program {file} {file} --conf a --help\n"


def test_package_is_run_by_its_main(process, capsys):
    write(process, {"package/__main__.py": "print(__name__, __package__)"})
    assert status("package") == 0
    assert capsys.readouterr().out == "__main__ package\n"


@pytest.mark.parametrize("code", [0, 3, "no more fuel", None])
def test_exit_status_of_the_program_is_kept(process, code):
    write(process, {"leaving.py": f"raise SystemExit({code!r})"})
    assert status("leaving") == code


def test_function_is_called_as_a_console_script_calls_it(process, capsys):
    code = "import sys\ndef main():\n    print(__name__, *sys.argv[1:])\n    return 4"
    write(process, {"script.py": code})
    assert status("script:main", "-v") == 4
    assert capsys.readouterr().out == "script -v\n"


def test_error_of_the_program_passes(process):
    write(process, {"failing.py": "raise OSError('no disk')"})
    sys.argv = ["compat", "failing"]
    with pytest.raises(OSError, match="no disk"):
        compat.main()


@pytest.mark.parametrize("program", ["needy.main", "needy.main:main"])
def test_what_the_program_misses_is_not_taken_for_the_program(process, program):
    write(process, {"needy/__init__.py": "import nowhere_at_all", "needy/main.py": ""})
    sys.argv = ["compat", program]
    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"):
        compat.main()
