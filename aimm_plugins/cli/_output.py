"""Tables and JSON on stdout, progress on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import click

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


def print_json(data: Any) -> None:
    """JSON on stdout, never wrapped or coloured: somebody parses it."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout: by rich on a terminal, plain elsewhere; no cell is ever cut."""
    if sys.stdout.isatty():
        try:
            from rich.console import Console
            from rich.table import Table
        except ImportError:
            pass
        else:
            table = Table(box=None, pad_edge=False)
            for column in columns:
                table.add_column(column, overflow="fold")
            for row in rows:
                table.add_row(*(_escaped(cell) for cell in row))
            Console().print(table)
            return
    table_rows = [tuple(columns), *(tuple(row) for row in rows)]
    widths = [max(len(row[index]) for row in table_rows) for index in range(len(columns))]
    for row in table_rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _escaped(cell: str) -> str:
    from rich.markup import escape

    return escape(cell)


Callback = Callable[[dict[str, Any]], None]


@contextmanager
def progress() -> Generator[Callable[[str], Callback]]:
    """Show state events on stderr: bars by rich on a terminal, lines elsewhere.

    Gives a function that makes a state callback for a step. Events may be anything: what is not
    understood is shown as it is.
    """
    if sys.stderr.isatty():
        try:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
        except ImportError:
            pass
        else:
            with Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[note]}"),
                TimeElapsedColumn(),
                console=Console(stderr=True),
            ) as bars:
                yield lambda step: _bar(bars, step)
            return
    lines = _Lines()
    yield lines.callback
    lines.flush()


def _bar(bars: Any, step: str) -> Callback:
    task = bars.add_task(step, total=None, note="")

    def show(state: dict[str, Any]) -> None:
        done, total, note = _understood(state)
        bars.update(task, completed=done, total=total, note=_escaped(note))

    return show


class _Lines:
    """Plain lines, at most five a second, the last of each step always."""

    def __init__(self) -> None:
        self._held: str | None = None
        self._step: str | None = None
        self._next = 0.0

    def callback(self, step: str) -> Callback:
        self.flush()

        def show(state: dict[str, Any]) -> None:
            done, total, note = _understood(state)
            count = "" if done is None else f" {done:g}" + (f"/{total:g}" if total else "")
            line = f"{step}:{count} {note}".rstrip()
            if step != self._step:
                self.flush()
                self._step = step
            elif time.monotonic() < self._next:
                self._held = line
                return
            self._held = None
            self._next = time.monotonic() + 0.2
            click.echo(line, err=True)

        return show

    def flush(self) -> None:
        if self._held is not None:
            click.echo(self._held, err=True)
        self._held = None
        self._step = None


def _understood(state: Any) -> tuple[float | None, float | None, str]:
    """Step, total and the rest as text, of any event that a plugin may have sent."""
    if not isinstance(state, dict):
        return None, None, str(state)
    done, total = (_number(state.get(name)) for name in ("step", "total"))
    parts = [str(state[name]) for name in ("phase", "message") if state.get(name)]
    metrics = state.get("metrics")
    if isinstance(metrics, dict):
        parts += [f"{name}={_short(value)}" for name, value in metrics.items()]
    known = {"phase", "step", "total", "message", "metrics", "unit"}
    parts += [f"{name}={_short(value)}" for name, value in state.items() if name not in known]
    return done, total, " ".join(parts)


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
