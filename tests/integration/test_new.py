"""What `aimm-plugins new` makes passes its own tests and checks unchanged, whatever was answered."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aimm_plugins._authoring.scaffold import check_name
from aimm_plugins.cli import run
from aimm_plugins.errors import ConfigError
from tests.support.installing import AS_AUTHORS_HAVE_IT, environment, make_environment, pip

pytestmark = pytest.mark.integration

COMBINATIONS = [
    ("class", "data-access", "hatchling"),
    ("class", "no-data-access", "setuptools"),
    ("function", "data-access", "setuptools"),
    ("function", "no-data-access", "hatchling"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with a package of each combination."""
    pytest.importorskip("copier")
    folder = tmp_path_factory.mktemp("made")
    for style, data, backend in COMBINATIONS:
        name = f"My-{style}.{data}"
        into = str(folder / f"{style}-{data}")
        options = ["--style", style, f"--{data}", "--backend", backend, "--into", into]
        assert run(["new", name, *options]) == 0
    return folder


@pytest.fixture(scope="module")
def python(made, tmp_path_factory) -> Path:
    """A venv that sees this one's packages, with all made packages installed as wheels."""
    pytest.importorskip("hatchling")
    pytest.importorskip("setuptools")
    python = make_environment(tmp_path_factory.mktemp("venv"))
    (target,) = python.parents[1].glob("lib/python*/site-packages")
    # Copies: setuptools leaves metadata beside what it builds, as if that were installed too.
    sources = sorted(shutil.copytree(made, tmp_path_factory.mktemp("sources") / "all").iterdir())
    pip(
        sys.executable, "install", "--no-build-isolation", "--no-deps", "--target", target, *sources
    )
    return python


def done(command: list[str | Path], folder: Path) -> None:
    finished = subprocess.run(
        command,
        cwd=folder,
        env=environment(**AS_AUTHORS_HAVE_IT),
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, f"{command}\n{finished.stdout}\n{finished.stderr}"


@pytest.mark.parametrize(("style", "data", "backend"), COMBINATIONS)
def test_made_package_passes_its_tests_and_checks_unchanged(python, made, style, data, backend):
    folder = made / f"{style}-{data}"
    assert f'requires = ["{backend}>=' in (folder / "pyproject.toml").read_text()
    pytest.importorskip("pytest_asyncio")  # which warns of its own settings
    done([python, "-m", "pytest", "-q", "-p", "no:cacheprovider"], folder)
    done([python, "-m", "aimm_plugins", "entry-points", "--check"], folder)
    for tool, *arguments in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        if shutil.which(tool, path=str(Path(sys.executable).parent)) is not None:
            done([python, "-m", tool, *arguments], folder)


def test_made_package_may_use_a_library_without_types(made, tmp_path):
    mypy = Path(sys.executable).with_name("mypy")
    if not mypy.exists():
        pytest.skip("needs mypy")
    folder = shutil.copytree(made / "class-data-access", tmp_path / "package")
    (tmp_path / "untyped").mkdir()
    (tmp_path / "untyped" / "untyped_library.py").write_text(
        "def mean(x): return sum(x) / len(x)\n"
    )
    module = folder / "src" / "my_class_data_access" / "more.py"
    module.write_text(
        "import untyped_library\n\n\ndef mean(x: list[float]) -> float:\n"
        "    return untyped_library.mean(x)\n"
    )
    site = tmp_path / "untyped"
    environ = environment(PYTHONPATH=str(site), MYPYPATH="")
    command = [mypy, "--python-executable", sys.executable, "--no-incremental"]
    finished = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert "more.py" not in finished.stdout, finished.stdout


def test_package_is_made_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["new", "my-models", "--defaults", "--into", "."]) == 0
    assert (tmp_path / "src/my_models/__init__.py").is_file()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".aimm")]


def test_folder_that_holds_something_is_left_alone(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert run(["new", "my-models", "--defaults", "--into", str(tmp_path)]) == 2
    assert "no empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["", "-x", "a b", "1st", "class", "json", "aimm-plugins", "a/b"])
def test_name_that_no_package_can_have_is_refused(name):
    with pytest.raises(ConfigError):
        check_name(name)
