"""The verbs of authors: `new`, `entry-points` and `stubs`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click

from aimm_plugins import providers
from aimm_plugins._authoring.declarations import ProjectSource, run_declarations
from aimm_plugins._authoring.project import Project, find_project
from aimm_plugins._authoring.scaffold import make_package
from aimm_plugins._authoring.stubs import stale, stub_files, write_stubs
from aimm_plugins._authoring.tables import (
    Tables,
    are_dynamic,
    as_toml,
    current_tables,
    difference,
    entry_points,
    write_tables,
)
from aimm_plugins._startup import lifecycle as _lifecycle
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._system.text import counted
from aimm_plugins.cli import _output as output
from aimm_plugins.errors import ConfigError


@click.command("new")
@click.argument("name")
@click.option(
    "--style",
    type=click.Choice(["class", "function"]),
    help="A class, or a function for each action.",
)
@click.option(
    "--backend", type=click.Choice(["hatchling", "setuptools"]), help="What builds the package."
)
@click.option("--data-access/--no-data-access", default=None, help="Give access to data, too.")
@click.option("--into", metavar="FOLDER", type=click.Path(path_type=Path), help="Default: NAME.")
@click.option("--defaults", is_flag=True, help="Ask nothing.")
def new_(
    name: str,
    style: str | None,
    backend: str | None,
    data_access: bool | None,
    into: Path | None,
    defaults: bool,
) -> None:
    """Start a new plugin package called NAME, with a model that works, tests, types and CI.

    What no option answers is asked on a terminal, and has its default elsewhere.
    """
    given = {"style": style, "backend": backend, "data_access": data_access}
    answers = {key: value for key, value in given.items() if value is not None}
    ask = len(answers) < len(given) and not defaults and sys.stdin.isatty()
    folder = into or Path(name)
    make_package(name, folder, answers, ask=ask)
    click.echo(f"{folder} is made. Now: cd {folder} && pip install -e . --group test && pytest")
    click.echo("(--group takes pip 25.1 or newer)")


@click.command("entry-points")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("--write", is_flag=True, help="Put the tables into pyproject.toml.")
@click.option("--check", is_flag=True, help="Exit with 1 if pyproject.toml has others.")
@click.option("--import", "run", is_flag=True, help="Read the keys by running the code.")
@output.format_option
def entry_points_(path: Path, write: bool, check: bool, run: bool, form: str) -> int:
    """Print the entry points that a project's decorators ask for, as tables of pyproject.toml.

    PATH is a folder with a pyproject.toml (by default the current one), a package's folder or a
    module's file. The code is read and not run, which needs keys that are literals or constants;
    --import runs it, in a process of its own. Published keys let hosts load the plugin when it is
    first called.
    """
    if write and check:
        raise click.UsageError("--write or --check, not both.")
    project = find_project(path)
    source = ProjectSource(project)
    declared = run_declarations(project) if run else source.declarations()
    tables = entry_points(source, declared)
    if not write and not check:
        output.print_json(tables) if form == "json" else click.echo(as_toml(tables), nl=False)
        return 0 if declared else _nothing(path)
    if not declared:
        return _nothing(path)
    if are_dynamic(project):
        output.echo(f"{project.pyproject_file}: entry points are made by the build.", err=True)
        if not check or "aimm-plugins" in project.table("tool", "hatch", "metadata", "hooks"):
            return 0
        output.echo(
            "No [tool.hatch.metadata.hooks.aimm-plugins] makes them, so nothing was checked. Add "
            "it, or put the entry points into [project.entry-points].",
            err=True,
        )
        return 1
    if "project" not in project.pyproject:
        raise ConfigError(
            "there is no [project] table to compare or to write; without --check and --write the "
            "entry points are printed",
            file=str(project.pyproject_file),
        )
    given = [*[str(path)] * (path != Path()), *["--import"] * run]
    again = shlex.join(["aimm-plugins", "entry-points", *given, "--write"])
    return _compare(project, tables, write, form, again)


def _compare(project: Project, tables: Tables, write: bool, form: str, again: str) -> int:
    """Show what differs in pyproject.toml, and write it or say what writes it."""
    lines = difference(current_tables(project), tables)
    if write:
        write_tables(project, tables)
    if form == "json":
        output.print_json({"stale": bool(lines), "difference": lines, "tables": tables})
    elif lines:
        output.echo("\n".join(lines))
    if write and lines:
        output.echo(
            f"{project.pyproject_file} is written; what is installed knows it once it is installed "
            f"again: pip install -e {shlex.quote(os.path.relpath(project.root))}",
            err=True,
        )
    if lines and not write:
        output.echo(
            f"{project.pyproject_file} and the code differ: {again}",
            err=True,
        )
        return 1
    return 0


def _nothing(path: Path) -> int:
    output.echo(
        f"{path} declares nothing with the decorators of aimm_plugins. What is compiled is read by "
        "running it, after a build in place: --import",
        err=True,
    )
    return 1


@click.command("stubs")
@click.argument("folder", type=click.Path(path_type=Path), default="typings")
@click.option("--open", "open_keys", is_flag=True, help="Allow keys that are only known as str.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if stubs are stale.")
@output.conf_option
@output.path_option
def stubs_(folder: Path, open_keys: bool, check: bool, conf: str | None) -> int:
    """Write type stubs into FOLDER for the plugins installed here: exec_* by key.

    Type checkers then know the arguments and the result of each key, and refuse unknown keys.
    pyright finds the folder "typings" by itself, mypy by `mypy_path = "typings"`. The plugins are
    imported. With --open other keys are allowed too, and wrong calls of known keys pass with them.
    """
    if output.is_conf_name(folder):
        folder, conf = Path("typings"), str(folder)
    if folder.is_file():
        raise click.UsageError(f"{folder} is a file, and stubs go into a folder.")
    with output.stdout_kept():
        report = _lifecycle.initialize(PROCESS.runtime, conf)
        names = {name for record in report for name in (record.module, record.distribution)}
        if str(folder) in names and not folder.exists():
            raise click.UsageError(
                f"{folder} is a plugin, and stubs are of all plugins: give a folder, or nothing."
            )
        found = providers()
        contents = stub_files(found.values(), open_keys=open_keys)
    if check:
        lines = stale(folder, contents)
        if lines:
            output.echo("\n".join(lines))
            again = ["aimm-plugins", "stubs", str(folder), *["--open"] * open_keys]
            again += [] if conf is None else ["--conf", conf]
            output.echo(f"{folder} is stale: {shlex.join(again)}", err=True)
        return 1 if lines else 0
    write_stubs(folder, contents)
    keys = {key for _, key in found}
    told = f"{counted(len(found), 'action')} of {counted(len(keys), 'key')}"
    output.echo(f"{folder / 'aimm_plugins'}: {told}", err=True)
    return 0
