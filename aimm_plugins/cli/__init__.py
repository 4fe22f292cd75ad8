"""The command `aimm-plugins`. A verb parses, calls one function and renders what it returns."""

from __future__ import annotations

import importlib
import sys
import traceback
from typing import Any, NoReturn

import click

from aimm_plugins.errors import AimmPluginsError, ConfigError

_VERBS = {
    "run": "Run a job: access data, make or load a model, fit, predict, save.",
    "list": "List installed plugins without importing them.",
    "schema": "Show a schema of the files that this package reads and writes.",
}


class _LazyGroup(click.Group):
    """Imports a verb's module when the verb is called, so that `--help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        module = importlib.import_module(f"aimm_plugins.cli.{cmd_name}_")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _VERBS:
            from difflib import get_close_matches

            near = get_close_matches(args[0], _VERBS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # click would import each verb to ask it for its line.
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        import aimm_plugins

        click.echo(f"aimm-plugins {aimm_plugins.__version__}")
        ctx.exit()


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done, 1 the answer is no, 2 wrong use or configuration.",
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version.",
)
def group(debug: bool) -> None:
    """Find, inspect and run machine-learning plugins."""


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 1 the answer is no, 2 wrong use or configuration."""
    debug = "--debug" in sys.argv[1:]
    sys.exit(_status(debug))


def _status(debug: bool) -> int:
    try:
        status: Any = group.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return 2
    except click.Abort:
        return 130
    except ConfigError as error:
        return _say(error, 2, debug)
    except AimmPluginsError as error:
        return _say(error, 1, debug)
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        sys.stderr.close()
        return 1
    except OSError as error:
        return _say(error, 1, debug)
    return status if isinstance(status, int) else 0


def _say(error: BaseException, status: int, debug: bool) -> int:
    if debug:
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    click.echo(f"{'Error' if status == 1 else 'Wrong configuration'}: {error}", err=True)
    return status
