"""Sound plugins pass the rules, whatever builds and installs them and however the host is run.

Allowed where they are allowed, verified where RECORD has hashes, denied where they are denied. All
parts are real and come from PyPI: `pytest -m installers`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.installing import ROOT, environment

pytestmark = [
    pytest.mark.installers,
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform == "win32", reason="venvs have another layout"),
]

BACKENDS = {
    "setuptools": ('requires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"', ""),
    "flatsetuptools": ('requires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"', ""),
    "hatchling": ('requires = ["hatchling"]\nbuild-backend = "hatchling.build"', ""),
    "poetry": ('requires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"', ""),
    "pdm": ('requires = ["pdm-backend"]\nbuild-backend = "pdm.backend"', ""),
    "flit": ('requires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"', ""),
    "meson": (
        'requires = ["meson-python"]\nbuild-backend = "mesonpy"',
        "project('x', version: '1.0')",
    ),
}
NEEDED = (
    "setuptools>=77",
    "hatchling",
    "editables",
    "poetry-core",
    "pdm-backend",
    "flit_core",
    "meson-python",
    "ninja",
)
HOST = """
import json, sys
from aimm_plugins import initialize, unload_all
answers = {}
for name, conf in json.loads(sys.argv[1]).items():
    answers[name] = {r.distribution: [r.state, str(r.reason or r.error or "")] for r in initialize(conf)}
    unload_all()
print(json.dumps(answers))
"""
NAMES = [f"p-{name}" for name in BACKENDS]


def run(*command: object, **more: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        env=environment(**more),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def project(folder: Path, name: str) -> Path:
    """A source tree of one package with a module and a data file, as the backend's users have it."""
    system, meson = BACKENDS[name]
    module = f"p_{name}"
    package = folder / ("" if name in ("flatsetuptools", "flit", "meson") else "src") / module
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from p_NAME.sub import *\n".replace("NAME", name))
    (package / "sub.py").write_text(
        f"from aimm_plugins import fit\n\n@fit(['{name}'])\ndef learn(model): ...\n"
    )
    (folder / "README.md").write_text("A plugin.\n")
    (folder / "pyproject.toml").write_text(
        f"[build-system]\n{system}\n"
        f'[project]\nname = "p-{name}"\nversion = "1.0"\ndescription = "A plugin."\n'
        f'[project.entry-points."aimm.plugins"]\nx = "{module}"\n'
        f'[project.scripts]\np-{name}-run = "{module}:learn"\n'
        + (
            f'[tool.poetry]\npackages = [{{include = "{module}", from = "src"}}]\n'
            * (name == "poetry")
        )
        # Each installer has a place of its own for such a file.
        + '[tool.setuptools.data-files]\n"share/p" = ["README.md"]\n' * (name == "flatsetuptools")
    )
    if meson:
        files = f"'{module}/__init__.py', '{module}/sub.py'"
        (folder / "meson.build").write_text(
            f"{meson}\nimport('python').find_installation(pure: true)"
            f".install_sources([{files}], subdir: '{module}')\n"
        )
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tools, sources, wheels of them and of this package."""
    folder = tmp_path_factory.mktemp("installers")
    run(sys.executable, "-m", "venv", folder / "tools")
    tools = folder / "tools" / "bin"
    run(tools / "python", "-m", "pip", "-q", "install", "uv", "shiv", "pex", *NEEDED)
    sources = [project(folder / "src" / name, name) for name in BACKENDS]
    run(
        *(tools / "python", "-m", "pip", "-q", "wheel", "--no-deps", "--no-build-isolation"),
        *("-w", folder / "wheels", *sources),
        PATH=f"{tools}{os.pathsep}{os.environ['PATH']}",
    )
    run(sys.executable, "-m", "pip", "-q", "wheel", "-w", folder / "own", ROOT)
    return folder


def made(base: Path, name: str) -> Path:
    """A venv with this package; returns its Python."""
    uv, folder = base / "tools" / "bin" / "uv", base / name
    run(uv, "venv", "-q", "--seed", "--python", sys.executable, folder)
    python = folder / "bin" / "python"
    run(uv, "pip", "install", "-q", "--python", python, *sorted((base / "own").glob("*.whl")))
    return python


def wheels(base: Path) -> list[Path]:
    return sorted((base / "wheels").glob("*.whl"))


def judged(python: Path, *options: str, **more: str) -> dict[str, dict[str, list[str]]]:
    """What a host makes of the plugins under three confs."""
    confs = {
        "allow": {"names": [], "on_error": "isolate", "entry_points": {"allow": NAMES}},
        "verify": {
            "names": [],
            "on_error": "isolate",
            "verify": "record",
            "entry_points": {"allow": NAMES},
        },
        "deny": {"names": [], "on_error": "isolate", "entry_points": {"deny": NAMES}},
    }
    out = run(python, *options, "-c", HOST, json.dumps(confs), **more)
    answers: dict[str, dict[str, list[str]]] = json.loads(out.splitlines()[-1])
    return answers


def assert_sound(
    answers: dict[str, dict[str, list[str]]], *, verified: str | None = "loaded"
) -> None:
    """All are loaded where they are allowed, and verified; or refused there with that reason."""
    assert {name: state for name, (state, _) in answers["deny"].items()} == dict.fromkeys(
        NAMES, "denied"
    )
    wrong = {name: found for name, found in answers["allow"].items() if found[0] != "loaded"}
    assert answers["allow"].keys() == {*NAMES}
    assert not wrong
    if verified == "loaded":
        wrong = {name: found for name, found in answers["verify"].items() if found[0] != "loaded"}
        assert not wrong
    elif verified is not None:
        for state, reason in answers["verify"].values():
            assert state == "denied"
            assert verified in reason


@pytest.fixture(scope="module")
def by_pip(base: Path) -> Path:
    python = made(base, "by-pip")
    run(python, "-m", "pip", "-q", "install", "--no-deps", *wheels(base))
    return python


def test_wheels_that_pip_installs(by_pip: Path) -> None:
    assert_sound(judged(by_pip))


@pytest.mark.parametrize("option", ["-O", "-OO", "-B", "-I", "-s"])
def test_options_of_python(by_pip: Path, option: str) -> None:
    assert_sound(judged(by_pip, option))
    assert_sound(judged(by_pip))  # and what that left behind


def test_no_pycache(by_pip: Path) -> None:
    for folder in list(by_pip.parents[1].rglob("__pycache__")):
        shutil.rmtree(folder, ignore_errors=True)
    assert_sound(judged(by_pip, PYTHONDONTWRITEBYTECODE="1"))
    assert_sound(judged(by_pip))


def test_read_only_site_packages(by_pip: Path) -> None:
    (site,) = by_pip.parents[1].glob("lib/python*/site-packages")
    folders = [site, *(path for path in site.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        assert_sound(judged(by_pip))
    finally:
        for folder in folders:
            folder.chmod(0o755)


def test_venv_with_system_site_packages_of_another(by_pip: Path, base: Path) -> None:
    run(by_pip, "-m", "venv", "--without-pip", "--system-site-packages", base / "child")
    (site,) = by_pip.parents[1].glob("lib/python*/site-packages")
    assert_sound(judged(base / "child" / "bin" / "python", PYTHONPATH=str(site)))


def test_wheels_that_uv_installs(base: Path) -> None:
    python, uv = made(base, "by-uv"), base / "tools" / "bin" / "uv"
    run(uv, "pip", "install", "-q", "--no-deps", "--python", python, *wheels(base))
    assert_sound(judged(python))


@pytest.mark.parametrize("link", ["symlink", "hardlink", "copy"])
def test_links_that_uv_makes(base: Path, link: str) -> None:
    python, uv = made(base, f"by-{link}"), base / "tools" / "bin" / "uv"
    run(
        uv,
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--link-mode",
        link,
        "--python",
        python,
        *wheels(base),
    )
    # A link to a cache leads out of what was installed.
    assert_sound(judged(python), verified=None if link == "symlink" else "loaded")


def test_lock_holds_whoever_installs(by_pip: Path, base: Path) -> None:
    """What a script begins with, and where it is put, is the installer's."""
    frozen = run(by_pip, "-m", "aimm_plugins", "freeze")
    assert len(frozen.splitlines()) == len(BACKENDS)
    python, uv = made(base, "to-lock"), base / "tools" / "bin" / "uv"
    install = (uv, "pip", "install", "-q", "--no-deps", "--python", python)
    for way in (["--target", base / "uv-target"], ["--prefix", base / "uv-prefix"], []):
        run(*install, *way, *wheels(base))
        (site,) = base.glob("uv-prefix/lib/python*/site-packages") if "--prefix" in way else [""]
        site = base / "uv-target" if "--target" in way else site
        assert run(python, "-m", "aimm_plugins", "freeze", PYTHONPATH=str(site)) == frozen


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_editable_installs(base: Path, installer: str) -> None:
    python, uv = made(base, f"editable-{installer}"), base / "tools" / "bin" / "uv"
    run(uv, "pip", "install", "-q", "--python", python, *NEEDED)
    options = [part for name in BACKENDS for part in ("-e", base / "src" / name)]
    install = (
        (python, "-m", "pip", "-q", "install")
        if installer == "pip"
        else (uv, "pip", "install", "-q", "--python", python)
    )
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    run(*install, "--no-deps", "--no-build-isolation", *options, PATH=path)
    assert_sound(judged(python, PATH=path), verified="editable")


def test_target_folder(base: Path) -> None:
    python = made(base, "by-target")
    target = base / "target"
    run(python, "-m", "pip", "-q", "install", "--no-deps", "--target", target, *wheels(base))
    assert_sound(judged(python, PYTHONPATH=str(target)))


def test_user_site(base: Path) -> None:
    user = {"PYTHONUSERBASE": str(base / "user")}
    run(
        *(
            base / "tools" / "bin" / "python",
            "-m",
            "venv",
            "--system-site-packages",
            base / "of-user",
        ),
    )
    python = base / "of-user" / "bin" / "python"
    run(python, "-m", "pip", "-q", "install", *sorted((base / "own").glob("*.whl")))
    target = run(python, "-c", "import site; print(site.getusersitepackages())", **user).strip()
    # In a venv pip refuses --user; what it writes is the same.
    run(python, "-m", "pip", "-q", "install", "--no-deps", "--target", target, *wheels(base))
    assert_sound(judged(python, **user))


def test_packages_without_record_as_debian_has_them(base: Path) -> None:
    python = made(base, "by-debian")
    target = base / "dist-packages"
    run(python, "-m", "pip", "-q", "install", "--no-deps", "--target", target, *wheels(base))
    for file in (*target.glob("*.dist-info/RECORD"), *target.glob("*.dist-info/INSTALLER")):
        file.unlink()
    assert_sound(judged(python, PYTHONPATH=str(target)), verified="RECORD")


@pytest.mark.parametrize("tool", ["shiv", "pex"])
def test_archives_that_unpack_themselves(base: Path, tool: str) -> None:
    command = base / "tools" / "bin" / tool
    everything = [*wheels(base), *sorted((base / "own").glob("*.whl"))]
    archive = base / f"host.{tool}"
    if tool == "shiv":
        run(command, "-q", "-o", archive, *everything)
    else:
        run(
            command,
            *everything,
            "-o",
            archive,
            "--python",
            sys.executable,
            "--no-pypi",
            "--find-links",
            base / "own",
        )
    homes = {"SHIV_ROOT": str(base / "shiv"), "PEX_ROOT": str(base / "pex")}
    assert_sound(
        judged(
            Path(sys.executable),
            str(archive),
            **{**homes, "SHIV_INTERPRETER": "1", "PEX_INTERPRETER": "1"},
        )
    )
