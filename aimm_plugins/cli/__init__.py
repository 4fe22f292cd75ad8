"""The command `aimm-plugins`. A verb parses, calls one function and renders what it returns.

A new verb is a line in `_VERBS` and a click command `NAME_` that returns the exit status or `None`,
in a module of this name or in one of `_MODULES`. The underscore keeps `run_.py` from replacing the
function `run`.
"""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import click

import aimm_plugins
from aimm_plugins._system.masking import masked
from aimm_plugins._system.text import nearest, printable
from aimm_plugins.errors import AimmPluginsError, ConfigError

_VERBS = {
    "run": "Run a job: access data, make or load a model, fit, predict, evaluate, save.",
    "plan": "Show what initialize would do, and why, without importing any plugin.",
    "freeze": "Print the freeze file of what a conf would load, for its key `locked`.",
    "list": "List installed plugins without importing them.",
    "show": "Show who provides a key: place, signature, docstring, and who else could.",
    "explain": "Explain why a key, distribution or module is there or not, and what to change.",
    "doctor": "Look for what is wrong with the installed plugins, with a remedy for each.",
    "diff": "Compare two reports or freezes, or one of them with this environment.",
    "profile": "Measure what importing each plugin costs: seconds, modules, memory.",
    "report": "Give the whole account, as text, JSON or one static page.",
    "check": "Run the conformance checks of plugins.",
    "env": "Make, list, remove and use the environments that a conf declares.",
    "artifact": "Look at saved models without loading them.",
    "new": "Start a new plugin package from a template.",
    "entry-points": "Print, write or check the entry points that decorators ask for.",
    "stubs": "Write type stubs for the plugins installed here.",
    "schema": "Show a schema of what this package reads and writes, or check files by it.",
}

_MODULES: dict[str, str] = {
    **dict.fromkeys(("list", "plan", "show", "explain", "doctor", "report"), "views"),
    **dict.fromkeys(("freeze", "diff"), "freezing"),
    **dict.fromkeys(("new", "entry-points", "stubs"), "authoring"),
}


class _LazyGroup(click.Group):
    """Imports a verb's module when the verb is called, so that `--help` stays quick.

    For that click's own listing of commands is replaced too: it would import each of them.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        name = f"{cmd_name.replace('-', '_')}_"
        module = importlib.import_module(f"aimm_plugins.cli.{_MODULES.get(cmd_name, name)}")
        command: click.Command = getattr(module, name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _VERBS:
            near = nearest(args[0], _VERBS)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    # Not click's own option: that fails where no metadata is, as in a frozen program.
    if value and not ctx.resilient_parsing:
        click.echo(f"aimm-plugins {aimm_plugins.__version__}")
        ctx.exit()


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done, 1 the answer is no, 2 wrong use or configuration.",
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.option(
    "-V",
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
    """Run the command line and exit: 0 done, 1 the answer is no, 2 wrong use or configuration.

    It exits with 130 if it is interrupted, and with 143 if SIGTERM ends it: like an interrupt, so
    that no child process and no half file stays. A second SIGTERM ends it at once. The process must
    be ours alone, because its standard streams are changed: a closed one is opened, and each
    accepts any text.
    """
    terminated = False

    def terminate(number: int, frame: object) -> None:
        nonlocal terminated
        terminated = True
        signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminate)
    _open_streams()
    status = run(sys.argv[1:])
    _end_stdout()
    sys.exit(143 if terminated else status)


def run(arguments: Sequence[str]) -> int:
    """Run the command line in this process; if the exit status is not 0, stderr has a message."""
    debug = "--debug" in arguments
    try:
        status: Any = group.main(list(arguments), prog_name="aimm-plugins", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return 2
    except click.Abort:
        return 130
    except SystemExit as error:  # from click, when the reader of a pipe has closed it
        return error.code if isinstance(error.code, int) else 1
    except ConfigError as error:
        return _say(error, "Wrong configuration", 2, debug)
    except (AimmPluginsError, OSError) as error:
        return _say(error, "Error", 1, debug)
    except MemoryError:
        text = "this process may not have the memory that it needs (see ulimit -v)"
        return _say(MemoryError(text), "Error", 1, debug)
    except Exception as error:
        _say(error, f"Error: unexpected {type(error).__name__}", 1, debug)
        if not debug:
            click.echo("aimm-plugins --debug ... shows where it comes from.", err=True)
        return 1
    return status if isinstance(status, int) else 0


def _say(error: Exception, what: str, status: int, debug: bool) -> int:
    from aimm_plugins.cli._output import echo

    if debug:
        text = masked("".join(traceback.format_exception(error)))
        click.echo(printable(text), err=True, nl=False)
    echo(masked(f"{what}: {error}"), err=True)
    return status


def _open_streams() -> None:
    """Make stdout and stderr accept any text; text for a closed one is dropped.

    The system gives the number of a closed descriptor to the next file that is opened, which would
    then receive what is printed. A character that a stream's encoding lacks is shown by its number.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
        if getattr(sys, name) is None:
            opened = open(number, "r" if number == 0 else "w", closefd=False)  # noqa: SIM115  # for good
            setattr(sys, name, opened)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _end_stdout() -> None:
    """Send what plugins print while Python ends to stderr, so that nothing follows the answer.

    An answer that cannot be written is dropped: Python would try again while it ends, and exit with
    120.
    """
    rest = 2
    try:
        if sys.__stdout__ is not None:
            sys.__stdout__.flush()
    except (OSError, ValueError):
        rest = os.open(os.devnull, os.O_WRONLY)
    os.dup2(rest, 1)
