"""`aimm-plugins entry-points`."""

from __future__ import annotations

from pathlib import Path

import click

from aimm_plugins._authoring.declarations import ProjectSource
from aimm_plugins._authoring.project import find_project
from aimm_plugins._authoring.pyproject import write_tables
from aimm_plugins._authoring.running import run_declarations
from aimm_plugins._authoring.tables import (
    are_dynamic,
    as_toml,
    current_tables,
    difference,
    entry_points,
)
from aimm_plugins.cli._output import echo, format_option, print_json


@click.command("entry-points")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("--write", is_flag=True, help="Put the tables into pyproject.toml.")
@click.option("--check", is_flag=True, help="Exit with 1 if pyproject.toml has others.")
@click.option("--import", "run", is_flag=True, help="Read the keys by running the code.")
@format_option
def command(path: Path, write: bool, check: bool, run: bool, form: str) -> int:
    """Print the entry points that a project's decorators ask for, as tables of pyproject.toml.

    PATH is a folder with a pyproject.toml (by default the current one), a package's folder or a
    module's file. The code is read and not run, which needs keys that are literals or constants;
    --import runs it, in a process of its own. Published keys let hosts load the plugin when it is
    first called.
    """
    if write and check:
        raise click.UsageError("--write or --check, not both.")
    project = find_project(path)
    declared = run_declarations(project) if run else ProjectSource(project).declarations()
    tables = entry_points(project, declared)
    if not write and not check:
        print_json(tables) if form == "json" else click.echo(as_toml(tables), nl=False)
        return 0 if declared else _nothing(path)
    if not declared:
        return _nothing(path)
    if are_dynamic(project):
        echo(f"{project.pyproject_file}: entry points are made by the build.", err=True)
        if not check or "aimm-plugins" in project.table("tool", "hatch", "metadata", "hooks"):
            return 0
        echo(
            "No [tool.hatch.metadata.hooks.aimm-plugins] makes them, so nothing was checked. Add "
            "it, or put the entry points into [project.entry-points].",
            err=True,
        )
        return 1
    lines = difference(current_tables(project), tables)
    if write:
        write_tables(project, tables)
    if form == "json":
        print_json({"stale": bool(lines), "difference": lines, "tables": tables})
    elif lines:
        echo("\n".join(lines))
    if write and lines:
        echo(
            f"{project.pyproject_file} is written; what is installed knows it once it is installed "
            "again: pip install -e .",
            err=True,
        )
    if check and lines:
        echo(
            f"{project.pyproject_file} and the code differ: aimm-plugins entry-points --write",
            err=True,
        )
        return 1
    return 0


def _nothing(path: Path) -> int:
    echo(
        f"{path} declares nothing with the decorators of aimm_plugins. What is compiled is read by "
        "running it, after a build in place: --import",
        err=True,
    )
    return 1
