"""Two versions of one library in one program, each in an environment that `env sync` makes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

OLD = """
import sys
import sklearn
from sklearn.linear_model import LogisticRegression
from aimm_plugins import deserialize, fit, instantiate, predict, serialize
import pickle

@instantiate("iris.NAME")
def make(**options): return LogisticRegression(**options)

@fit(["iris.NAME"])
def train(model, x, y): return model.fit(x, y)

@predict(["iris.NAME"])
def classify(model, x): return model.predict(x)

@serialize(["iris.NAME"])
def to_bytes(model): return pickle.dumps(model)

@deserialize(["iris.NAME"])
def from_bytes(content): return pickle.loads(content)

@predict(["versions.NAME"])
def versions(model): return sklearn.__version__, sys.version_info[:2]
"""

CRASHING = """
import ctypes
from aimm_plugins import data_access

@data_access("crash")
def crash(really): return ctypes.string_at(0) if really else "fine"
"""

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "aimm-iris-NAME"
version = "1.0"
dependencies = ["aimm-plugins", REQUIREMENTS]
[project.entry-points."aimm.plugins"]
iris = "iris_NAME"
[tool.hatch.build.targets.wheel]
include = ["iris_NAME.py"]
"""

CONF = """
names: []
entry_points: {allow: [aimm-iris-old, aimm-iris-new, aimm-iris-crash]}
environments_folder: made
environments:
  old: {requirements: ["aimm-iris-old @ file://FOLDER/old"], python: OLD_PYTHON}
  new: {requirements: ["aimm-iris-new @ file://FOLDER/new"], python: NEW_PYTHON}
  crash: {requirements: ["aimm-iris-crash @ file://FOLDER/crash"]}
"""

HOST = """
import sys
import numpy as np
import aimm_plugins as ap

ap.initialize("plugins.yaml")
x = np.random.default_rng(0).normal(size=(200, 4))
y = (x[:, 0] > 0).astype(int)
models = {name: ap.exec_fit(name, ap.exec_instantiate(name), None, x, y) for name in ("iris.old", "iris.new")}
for round in range(2):
    for name, model in models.items():
        right = (ap.exec_predict(name, model, None, x)[1] == y).mean()
        print(name, *ap.exec_predict(name.replace("iris", "versions"), None)[1], right > 0.9)
copy, _ = ap.unpack(ap.pack("iris.old", models["iris.old"]))
print((ap.exec_predict("iris.old", copy, None, x)[1] == ap.exec_predict("iris.old", models["iris.old"], None, x)[1]).all())
for really in (False, True, False):
    try:
        print(ap.exec_data_access("crash", None, really))
    except ap.EnvironmentLost as error:
        print(str(error).partition(" of ")[2].partition(",")[0])
print("sklearn" in sys.modules)
"""


def test_one_program_calls_two_versions_of_scikit_learn_and_survives_a_crash(
    tmp_path: Path,
) -> None:
    old, new = shutil.which("python3.11") or sys.executable, shutil.which("python3.13")
    if new is None or shutil.which("uv") is None:
        pytest.skip("needs python3.13 and uv")
    for name, source, requirements in (
        ("old", OLD, '"scikit-learn<1.4", "numpy<2"'),
        ("new", OLD, '"scikit-learn>=1.6"'),
        ("crash", CRASHING, ""),
    ):
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"iris_{name}.py").write_text(source.replace("NAME", name))
        project = PROJECT.replace("NAME", name).replace("REQUIREMENTS", requirements)
        (folder / "pyproject.toml").write_text(project)
    conf = CONF.replace("FOLDER", str(tmp_path)).replace("OLD_PYTHON", old)
    (tmp_path / "plugins.yaml").write_text(conf.replace("NEW_PYTHON", new))
    sync = [sys.executable, "-m", "aimm_plugins", "env", "sync", "--conf", "plugins.yaml"]
    done = subprocess.run(sync, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "old: made\nnew: made\ncrash: made\n"
    host = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(HOST)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("AIMM_PLUGINS")},
        check=False,
    )
    assert host.returncode == 0, host.stderr
    old_line, new_line, *rest = host.stdout.splitlines()
    assert old_line.startswith("iris.old 1.3.")
    assert old_line.endswith("(3, 11) True")
    assert new_line.startswith("iris.new 1.")
    assert new_line.endswith("(3, 13) True")
    assert rest == [
        old_line,
        new_line,
        "True",
        "fine",
        "environment crash was ended by SIGSEGV",
        "fine",
        "False",
    ]


def test_an_environment_is_made_by_venv_and_pip_where_there_is_no_uv(tmp_path: Path) -> None:
    (tmp_path / "plugins.yaml").write_text(
        "names: []\nenvironments_folder: made\nenvironments: {plain: {requirements: [six]}}\n"
    )
    folders = os.environ["PATH"].split(os.pathsep)
    path = os.pathsep.join(f for f in folders if not os.path.exists(os.path.join(f, "uv")))
    command = [sys.executable, "-m", "aimm_plugins", "env"]
    for line, expected in (
        ([*command, "sync", "--conf", "plugins.yaml"], "plain: made\n"),
        (
            [
                *command,
                "run",
                "plain",
                "--conf",
                "plugins.yaml",
                "--",
                "python",
                "-c",
                "import six",
            ],
            "",
        ),
    ):
        done = subprocess.run(
            line,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": path},
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, expected), done.stderr
