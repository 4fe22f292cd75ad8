"""The page for authors is true: what it types is run, and prints what it shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

import pytest

from tests.docs.pages import Page
from tests.support.installing import AS_AUTHORS_HAVE_IT, ROOT, environment, install_as_editable

PAGE = Page(ROOT / "docs" / "authors.md")

OPTIONS = """import aimm_plugins
from my_models.limits import most_rows

before = most_rows()
aimm_plugins.initialize("options.yaml")
print(before, most_rows())
"""


def run(folder, *command: str, **variables: str) -> str:
    """What a command of the page prints, on stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment(**AS_AUTHORS_HAVE_IT, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout.replace(str(folder.parent) + os.sep, "")


def shown(verb: str) -> tuple[list[str], str]:
    """The arguments of the command of the page that begins so, and what it prints there."""
    ((command, output, _),) = [each for each in PAGE.outputs() if each[0].startswith(verb)]
    return ["aimm_plugins", *shlex.split(command)[1:]], output


def test_tutorial_makes_a_plugin_that_does_what_the_page_shows(tmp_path):
    for package in ("copier", "hatchling"):
        pytest.importorskip(package)
    (new,) = [line for line in PAGE.commands if line.startswith("aimm-plugins new")]
    run(tmp_path, "aimm_plugins", *shlex.split(new)[1:])
    folder, site = tmp_path / "my-models", tmp_path / "site"
    for row in ("src/my_models/__init__.py", "src/my_models/py.typed", "tests/test_my_models.py"):
        assert (folder / row).is_file()
    (folder / "src" / "my_models" / "samples.py").write_text(
        PAGE.files()["src/my_models/samples.py"]
    )

    command, output = shown("aimm-plugins entry-points --write")
    assert run(folder, *command) == output
    assert run(folder, "aimm_plugins", "entry-points", "--check") == ""

    for name in ("src/my_models/options.yaml", "src/my_models/limits.py"):
        (folder / name).write_text(PAGE.files()[name])
    (published,) = [each.code for each in PAGE.blocks("toml") if "plugins.options" in each.code]
    pyproject = folder / "pyproject.toml"
    pyproject.write_text(f"{pyproject.read_text()}\n{published}")
    assert run(folder, "aimm_plugins", "entry-points", "--check") == ""

    install_as_editable(folder, site)
    assert re.search(
        r"^\d+ passed\b.* in ", run(folder, "pytest", "-q", PYTHONPATH=str(site)), re.MULTILINE
    )
    (conf,) = re.findall(r"The conf `(.*)` makes it 10 instead of 1000", PAGE.text)
    (folder / "options.yaml").write_text(conf)
    (folder / "example.py").write_text(OPTIONS)
    assert run(folder, "example", PYTHONPATH=str(site)) == "1000 10\n"
    only = ["--only", "options-have-a-sound-schema"]
    told = run(folder, "aimm_plugins", "check", "my_models", *only, PYTHONPATH=str(site))
    assert "1 passed" in told
    (folder / "conf.yaml").write_text("names: []\nentry_points: {allow: [my-models]}\n")
    command, output = shown("aimm-plugins stubs")
    assert run(folder, *command, PYTHONPATH=str(site), AIMM_PLUGINS_CONF="conf.yaml") == output
    made = (folder / "typings" / "aimm_plugins" / "_calls.pyi").read_text()
    assert "(name: Literal['my-models.steps'], state_cb: StateCallback | None, count: int)" in made


def test_plugin_that_shows_the_arguments_does_what_the_page_says(tmp_path):
    (tmp_path / "running_mean.py").write_text(PAGE.files()["running_mean.py"])
    fit, result, predict = re.search(
        r"^A host that has called `(.*)` gets `(.*)` from\n`(.*)`\.$", PAGE.text, re.M
    ).groups()
    (tmp_path / "host.py").write_text(
        "from aimm_plugins import exec_fit, exec_predict, initialize\n"
        "initialize({'names': ['running_mean']})\n"
        f"model = {fit}\nprint({predict} == {result})\n"
    )
    assert run(tmp_path, "host") == "True\n"


def test_project_with_scikit_learn_becomes_a_wheel_that_does_what_the_page_shows(tmp_path):
    for name, text in PAGE.files().items():
        path = tmp_path / name
        if name.startswith(("iris-bayes/", "try_iris")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    project = tmp_path / "iris-bayes"
    (project / "src" / "iris_bayes" / "options.json").write_text("{}")
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    build = ["wheel", "--no-deps", "--no-build-isolation", "-w", str(wheels), "./iris-bayes"]
    run(tmp_path, "pip", *build)
    offline = ["--no-index", "--find-links", str(wheels), "--no-deps", "--target", str(site)]
    run(tmp_path, "pip", "install", *offline, "iris-bayes")
    assert (site / "iris_bayes" / "options.json").exists()
    listed = run(tmp_path, "aimm_plugins", "list", PYTHONPATH=str(site))
    assert "predict:iris.bayes" in listed
    pytest.importorskip("sklearn")
    printed = run(tmp_path, "try_iris", PYTHONPATH=str(site))
    (block,) = [block for block in PAGE.blocks("console") if "try_iris" in block.code]
    assert block.code.endswith(f"$ python try_iris.py\n{printed}")
