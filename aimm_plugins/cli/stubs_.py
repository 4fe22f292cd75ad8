"""`aimm-plugins stubs`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from aimm_plugins import providers
from aimm_plugins._authoring.stubs import stale, stub_files, write_stubs
from aimm_plugins._startup import lifecycle as _lifecycle
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins.cli._output import conf_option, echo, is_conf_name, path_option, stdout_kept


@click.command("stubs")
@click.argument("folder", type=click.Path(path_type=Path), default="typings")
@click.option("--open", "open_keys", is_flag=True, help="Allow keys that are only known as str.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if stubs are stale.")
@conf_option
@path_option
def command(folder: Path, open_keys: bool, check: bool, conf: str | None) -> int:
    """Write type stubs into FOLDER for the plugins installed here: exec_* by key.

    Type checkers then know the arguments and the result of each key, and refuse unknown keys.
    pyright finds the folder "typings" by itself, mypy by `mypy_path = "typings"`. The plugins are
    imported. With --open other keys are allowed too, and wrong calls of known keys pass with them.
    """
    if is_conf_name(folder):
        folder, conf = Path("typings"), str(folder)
    if folder.is_file():
        raise click.UsageError(f"{folder} is a file, and stubs go into a folder.")
    with stdout_kept():
        _lifecycle.initialize(PROCESS.runtime, conf)
        found = providers()
        contents = stub_files(found.values(), open_keys=open_keys)
    if check:
        lines = stale(folder, contents)
        if lines:
            echo("\n".join(lines))
            echo(f"{folder} is stale: aimm-plugins stubs {folder}", err=True)
        return 1 if lines else 0
    write_stubs(folder, contents)
    echo(f"{folder / 'aimm_plugins'}: {len(found)} actions of {_keys(found)} keys", err=True)
    return 0


def _keys(found: Iterable[tuple[str, str]]) -> int:
    return len({key for _, key in found})
