"""What verbs have in common: options, answers on stdout as tables or JSON, progress on stderr."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from aimm_plugins import StateCallback, reporting
from aimm_plugins._config.environment import conf_or_default
from aimm_plugins._system.text import aligned, one_line, printable

if TYPE_CHECKING:
    from aimm_plugins._startup.inventory import Inventory
    from aimm_plugins._values.report import Finding

Verb = TypeVar("Verb", bound=Callable[..., Any])
Pairs = Sequence[tuple[str, str | None]]
"""Labels and their texts; a text that is `None` is left out."""

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to print the answer.",
)

_conf_option = click.option(
    "--conf",
    "named",
    metavar="FILE",
    help="A plugins conf, which may also follow as CONF; else AIMM_PLUGINS_CONF, else none.",
)
_conf_argument = click.argument("conf", metavar="[CONF]", required=False, type=click.Path())


def conf_option(verb: Verb) -> Verb:
    """The conf of a verb, by `--conf` or as its last argument; the verb is given it as `conf`."""

    @functools.wraps(verb)
    def with_conf(*, conf: str | None, named: str | None, **others: Any) -> Any:
        if conf is not None and named is not None:
            raise click.UsageError(f"two confs are given: {conf}, and --conf {named}.")
        if "" in (conf, named):
            raise click.UsageError("the name of the conf is empty.")
        found = conf_or_default(conf or named)
        return verb(conf=None if found is None else str(found), **others)

    return _conf_option(_conf_argument(with_conf))  # type: ignore[return-value]  # click replaces it


named_conf_option = click.option(
    "--conf", metavar="FILE", help="A plugins conf; else AIMM_PLUGINS_CONF."
)
"""The conf of a verb whose arguments are names."""


_GIVEN = "aimm_plugins.path"


def _put_on_path(ctx: click.Context, param: click.Parameter, folders: tuple[str, ...]) -> None:
    if folders and not ctx.resilient_parsing:
        ctx.meta[_GIVEN] = folders
        before = list(sys.path)
        sys.path[:0] = folders
        ctx.call_on_close(lambda: sys.path.__setitem__(slice(None), before))


def path_given() -> tuple[str, ...]:
    given: tuple[str, ...] = click.get_current_context().meta.get(_GIVEN, ())
    return given


path_option = click.option(
    "--path",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, resolve_path=True),
    metavar="DIR",
    expose_value=False,
    is_eager=True,
    callback=_put_on_path,
    help="Look for modules in this folder first, as with PYTHONPATH; may be given again.",
)


def is_conf_name(path: object) -> bool:
    """Whether an argument is a conf, where another one may stand in its place."""
    return str(path).endswith((".yaml", ".yml"))


def conf_options(verb: Verb) -> Verb:
    """The options of a verb that answers about a conf: `--format`, `--conf`, `--path`."""
    return format_option(conf_option(path_option(verb)))


def inventory_options(verb: Verb) -> Verb:
    """These and `--load`, of a verb that shows the inventory."""
    option = click.option(
        "--load", is_flag=True, help="Import the plugins, and show what they turn out to be."
    )
    return option(conf_options(verb))


def file_option(*names: str, help: str) -> Callable[[Verb], Verb]:
    return click.option(*names, type=click.Path(dir_okay=False), metavar="FILE", help=help)


def echo(text: str, *, err: bool = False) -> None:
    """Text on stdout or stderr, safe for a terminal: it may hold names that plugins chose.

    On a terminal it is wrapped, with no word broken, and further lines are indented.
    """
    lines = printable(text).splitlines()
    width = _terminal_width(sys.stderr if err else sys.stdout)
    if width is not None:
        lines = [part for line in lines for part in _wrapped(line, width, hanging=4)]
    click.echo("\n".join(lines), err=err)


def print_findings(findings: Iterable[Finding]) -> None:
    for finding in findings:
        echo(f"finding  {finding}", err=True)


def print_blocks(blocks: Iterable[tuple[str | None, Pairs]]) -> None:
    """Titles, each with labels and their texts under it; an empty line between two blocks."""
    for number, (title, pairs) in enumerate(blocks):
        if number:
            click.echo()
        if title is not None:
            echo(one_line(title))
        _print_pairs(pairs)


def _print_pairs(pairs: Pairs) -> None:
    """Labels and their texts, indented; on a terminal wrapped, but no word is broken."""
    shown = [(label, text) for label, text in pairs if text is not None]
    indent = max(len(label) for label, _ in shown) + 4
    width = _terminal_width(sys.stdout)
    for label, text in shown:
        lines = [printable(line) for line in text.splitlines()] or [""]
        if width is not None:
            room = max(width - indent, 20)
            lines = [part for line in lines for part in _wrapped(line, room)]
        click.echo(f"  {label}".ljust(indent) + lines[0])
        for line in lines[1:]:
            click.echo(f"{' ' * indent}{line}".rstrip())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on stdout; no name or key is ever broken or cut.

    On a terminal the last column is wrapped, which holds sentences; if that is not enough, each row
    becomes a block of labels and texts.
    """
    table = [tuple(map(one_line, row)) for row in rows]
    width = _terminal_width(sys.stdout)
    if width is not None:
        sizes = [max(map(len, cells)) for cells in zip(columns, *table, strict=True)]
        room = width - sum(sizes[:-1]) - 2 * len(sizes[:-1])
        words = [word for row in table for word in row[-1].split()]
        if room < min(sizes[-1], max(_LEAST_SENTENCE, *map(len, words or [""]))):
            print_blocks((None, list(zip(columns, row, strict=True))) for row in table)
            return
        table = [
            (*(row[:-1] if number == 0 else [""] * (len(row) - 1)), line)
            for row in table
            for number, line in enumerate(_wrapped(row[-1], room))
        ]
    click.echo("\n".join(aligned([tuple(columns), *table])))


_LEAST_SENTENCE = 24
"""Characters below which a wrapped column is harder to read than blocks."""


def _wrapped(line: str, width: int, hanging: int = 0) -> list[str]:
    """A line in lines of a width, with its indent and more for further ones; no word is broken."""
    from textwrap import wrap

    indent = " " * (len(line) - len(line.lstrip()) + hanging)
    return wrap(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    ) or [""]


def _terminal_width(stream: TextIO) -> int | None:
    if not stream.isatty():
        return None
    import shutil

    return shutil.get_terminal_size().columns


def write_file(path: str, text: str) -> None:
    from aimm_plugins._system.files import write_atomically

    write_atomically(path, text.encode("utf-8", "backslashreplace"))


def print_json(data: Any) -> None:
    """JSON in ASCII on stdout, never wrapped or coloured: a program parses it."""
    click.echo(json.dumps(data, indent=2).replace("\x7f", "\\u007f"))


@contextmanager
def stdout_kept() -> Generator[None]:
    """Keep stdout for the answer: while open, what plugins print goes to stderr.

    So does what C extensions and child processes print, which use the file descriptor.
    """
    stdout, saved = sys.stdout, None
    with suppress(OSError, ValueError, AttributeError):
        stdout.flush()
        if stdout.fileno() == 1:
            saved = os.dup(1)
            os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if saved is not None:
            # Plugins may have kept the stream itself from before, and written to that.
            with suppress(OSError, ValueError):
                stdout.flush()
            os.dup2(saved, 1)
            os.close(saved)


def inventory_of(conf: str | None, load: bool) -> Inventory:
    """The inventory of a conf; what plugins print meanwhile goes to stderr."""
    from aimm_plugins._diagnostics.take_inventory import take_inventory

    with stdout_kept():
        return take_inventory(conf, load=load)


@contextmanager
def progress() -> Generator[Callable[[str], StateCallback]]:
    """Show state events on stderr: bars by rich on a terminal, else lines, at most five a second.

    Gives a function that makes a state callback for a step. Events may be anything; one that is not
    understood is shown as it is. A callback never raises, even if stderr is closed, because that
    would end the plugin's work.
    """
    if sys.stderr.isatty():
        try:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        except ImportError:
            pass
        else:
            with Progress(
                BarColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.description}"),
                console=Console(stderr=True),
            ) as bars:
                from aimm_plugins.reporters import rich_reporter

                yield lambda step: rich_reporter(bars, step)
            return
    with ExitStack() as current:

        def lines(step: str) -> StateCallback:
            current.close()  # shows the last event of the step before
            return current.enter_context(
                reporting(lambda state: _print_line(step, state), max_per_second=5)
            )

        yield lines


def _print_line(step: str, state: dict[str, Any]) -> None:
    from aimm_plugins.reporters import summary

    event = summary(state)
    words = " ".join(filter(None, (event.count, event.phase, event.text)))
    with suppress(OSError, ValueError):  # stderr is closed
        echo(f"{step}: {words}".rstrip(), err=True)
