"""Tables and JSON on stdout, progress on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aimm_plugins import StateCallback, reporting
from aimm_plugins._system.text import one_line, printable

if TYPE_CHECKING:
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

conf_option = click.option(
    "--conf",
    envvar="AIMM_PLUGINS_CONF",
    metavar="FILE",
    help="A plugins conf; else AIMM_PLUGINS_CONF, else none.",
)


load_option = click.option(
    "--load",
    is_flag=True,
    help="Import the plugins, and show what they turn out to be.",
)


def inventory_options(verb: Verb) -> Verb:
    """The options of a verb that shows the inventory: `--load`, `--format`, `--conf`."""
    return load_option(format_option(conf_option(verb)))


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Text on stdout or stderr, without what a terminal would obey: others have named things."""
    click.echo(printable(text), err=err, nl=nl)


def print_findings(findings: Iterable[Finding]) -> None:
    """Findings on stderr, beside an answer about something else."""
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
    """Labels and their text on stdout, indented; on a terminal in its width. `None` is left out."""
    told = [(label, text) for label, text in pairs if text is not None]
    indent = max(len(label) for label, _ in told) + 4
    width = None
    if sys.stdout.isatty():
        import shutil

        width = max(shutil.get_terminal_size().columns - indent, 20)
    from textwrap import wrap

    for label, text in told:
        lines = []
        for line in text.splitlines() or [""]:
            line = _printable(line)
            lines += [line] if width is None else wrap(line, width) or [""]
        click.echo(f"  {label}".ljust(indent) + lines[0])
        for line in lines[1:]:
            click.echo(f"{' ' * indent}{line}".rstrip())


def _printable(text: str) -> str:
    """The text on one line, without what a terminal would obey."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)


def write_file(path: str, text: str) -> None:
    """Write a file whole or not at all."""
    from aimm_plugins._system.files import write_atomically

    write_atomically(path, text.encode("utf-8", "backslashreplace"))


def print_json(data: Any) -> None:
    """JSON on stdout, never wrapped or coloured: somebody parses it."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        # Escapes of the stream would be no JSON.
        text = json.dumps(data, indent=2)
    click.echo(text)


@contextmanager
def stdout_kept() -> Generator[None]:
    """Keep stdout for the answer: while open, what anybody prints goes to stderr.

    Holds for the file descriptor too, by which extensions written in C and child processes print.
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
            # What was written to the stream itself, by whoever got hold of it before.
            with suppress(OSError, ValueError):
                stdout.flush()
            os.dup2(saved, 1)
            os.close(saved)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout: by rich on a terminal, plain elsewhere; no cell is ever cut."""
    rows = [tuple(map(_printable, row)) for row in rows]
    if sys.stdout.isatty():
        try:
            from rich.console import Console
            from rich.table import Table
            from rich.text import Text
        except ImportError:
            pass
        else:
            table = Table(box=None, pad_edge=False)
            for column in columns:
                table.add_column(column, overflow="fold")
            for row in rows:
                table.add_row(*map(Text, row))  # no markup in what others named
            Console().print(table)
            return
    table_rows = [tuple(columns), *(tuple(row) for row in rows)]
    widths = [max(len(row[index]) for row in table_rows) for index in range(len(columns))]
    for row in table_rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


@contextmanager
def progress() -> Generator[Callable[[str], StateCallback]]:
    """Show state events on stderr: bars by rich on a terminal, else lines, at most five a second.

    Gives a function that makes a state callback for a step. Events may be anything: what is not
    understood is shown as it is, and a callback never raises, whatever becomes of stderr: it would
    end the plugin's work.
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
            current.close()  # the step before is over: its last event is shown
            return current.enter_context(
                reporting(lambda state: _print_line(step, state), max_per_second=5)
            )

        yield lines


def _print_line(step: str, state: dict[str, Any]) -> None:
    from aimm_plugins.reporters import summary

    event = summary(state)
    words = " ".join(filter(None, (event.count, event.phase, event.text)))
    with suppress(OSError, ValueError):  # nobody reads it any more
        echo(f"{step}: {words}".rstrip(), err=True)
