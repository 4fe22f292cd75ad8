"""What imports cost, measured in real child processes, which this file starts once."""

from __future__ import annotations

import json
import sys

import pytest

from aimm_plugins import cli
from aimm_plugins._config.json_schema import validate
from aimm_plugins._config.values import Config
from aimm_plugins._diagnostics.profile import Cost, Dependency, dependencies_in, profile
from aimm_plugins._discovery.scan import scan
from aimm_plugins._startup.admission import Admission
from aimm_plugins._startup.prepare import admission_of
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._values.report import PluginRecord

SOURCES = {
    "costly.py": "import sys, os, costly_library, colorsys\nprint('noise')\n"
    "sys.stderr.write('import time: noise\\n'); os.write(2, b'noise')\n",
    "costly_library/__init__.py": "from . import part\nmemory = bytearray(32 * 1024 * 1024)\n",
    "costly_library/part.py": "total = sum(range(300_000))\n",
    "broken_one.py": "raise ValueError('why \\udcff')\n",
    "bare_child.py": "import sys\nraise ValueError({'dataclasses', 'pickle', 'subprocess',"
    " 'tempfile', 'threading'} & set(sys.modules))\n",
    "crashes.py": "import os; os.abort()\n",
    "leaves.py": "import os; os._exit(3)\n",
    "hangs.py": "import threading; threading.Event().wait()\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profiled")
    for name, text in SOURCES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


def record(module: str, **more: object) -> PluginRecord:
    return PluginRecord(name=module, source="config", module=module, **more)


def admission(*names: str) -> Admission:
    """The rules of a conf that names some modules, and nothing else."""
    return admission_of(PROCESS.runtime, [Config(names)], scan([]))


@pytest.fixture(scope="module")
def costs(folder) -> dict[str, Cost]:
    records = [record("costly"), record("broken_one"), record("leaves")]
    records += [record("crashes"), record("denied_one", state="denied")]
    names = [each.name for each in records]
    return {cost.record.name: cost for cost in profile(records, admission(*names), runs=2)}


def test_cost_has_seconds_modules_and_memory(costs):
    cost = costs["costly"]
    assert cost.error is None
    assert len(cost.runs) == 2
    assert cost.seconds == sum(cost.runs) / 2
    assert cost.modules == 4  # with colorsys; what Python has loaded anyway is not charged
    if sys.platform == "linux":
        assert cost.memory_bytes > 30 * 1024 * 1024


def test_costliest_dependency_is_not_the_plugin_itself(costs):
    found = {dependency.name: dependency.modules for dependency in costs["costly"].dependencies}
    assert found == {"costly": 1, "costly_library": 2, "(standard library)": 1}
    assert costs["costly"].costliest.name == "costly_library"


def test_plugin_whose_own_modules_take_most_has_the_next_one_as_costliest():
    dependencies = tuple(
        Dependency(name=name, seconds=seconds, modules=1)
        for name, seconds in (("own", 2), ("b", 1))
    )
    assert Cost(record=record("own.part"), dependencies=dependencies).costliest.name == "b"
    assert Cost(record=record("own"), dependencies=dependencies[:1]).costliest is None


def test_plugin_that_fails_or_leaves_has_an_error_and_the_denied_one_is_not_imported(costs):
    assert costs["broken_one"].error.startswith("ValueError: why")
    assert "the process that imports it left with status 3" in costs["leaves"].error
    assert "the process that imports it was ended by SIGABRT" in costs["crashes"].error
    assert costs["broken_one"].seconds is None
    assert "denied_one" not in costs


def test_what_measures_the_import_is_not_imported_before_it(folder, monkeypatch):
    # By this, coverage would start in the child, with imports of its own.
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    (cost,) = profile([record("bare_child")], admission("bare_child"))
    assert cost.error == "ValueError: set()"


def test_program_that_is_no_python_is_said_to_be_none(folder, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")
    (cost,) = profile([record("costly")], admission("costly"))
    assert "sys.executable is /usr/bin/uwsgi, which is no Python interpreter" in cost.error


def test_import_that_hangs_is_ended_after_its_time(folder):
    (cost,) = profile([record("hangs")], admission("hangs"), timeout=1)
    assert "took more than 1 seconds" in cost.error


def test_lines_of_importtime_are_read_past_noise():
    lines = b"""import time:       1 |          1 |     a.b
noise
import time:       2 |          3 |   a
import time:       4 |          4 |   json.decoder
noise without an endimport time:       5 |         12 | top
""".splitlines()
    assert dependencies_in(lines, {"a", "a.b", "json.decoder", "top"}) == [
        Dependency(name="top", seconds=5e-6, modules=1),
        Dependency(name="(standard library)", seconds=4e-6, modules=1),
        Dependency(name="a", seconds=3e-6, modules=2),
    ]


def test_verb_prints_figures(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(
        "names: [costly, broken_one]\nentry_points: {enabled: false}\n"
    )
    arguments = ["profile", "--runs", "1", "--conf", "c.yaml"]
    assert cli.run([*arguments, "--format", "json"]) == 1
    out, err = capsys.readouterr()
    answer = json.loads(out)
    validate(answer, "profile")
    assert [plugin["name"] for plugin in answer["plugins"]] == ["costly", "broken_one"]
    assert "importing costly" in err
    (tmp_path / "c.yaml").write_text("names: [costly]\nentry_points: {enabled: false}\n")
    assert cli.run(arguments) == 0
    assert "costly_library" in capsys.readouterr().out
