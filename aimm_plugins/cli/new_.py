"""`aimm-plugins new`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from aimm_plugins._authoring.scaffold import make_package


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
def command(
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
