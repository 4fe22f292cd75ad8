"""Tables and JSON on stdout, progress on stderr."""

from __future__ import annotations

import json
import math
import numbers
import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
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


Callback = Callable[[dict[str, Any]], None]


@contextmanager
def progress() -> Generator[Callable[[str], Callback]]:
    """Show state events on stderr: bars by rich on a terminal, lines elsewhere.

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
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                TimeElapsedColumn(),
                console=Console(stderr=True),
            ) as bars:
                yield lambda step: _bar(bars, step)
            return
    lines = _Lines()
    try:
        yield lines.callback
    finally:
        lines.flush()


def _bar(bars: Any, step: str) -> Callback:
    task = bars.add_task(step, total=None, note="")

    def show(state: dict[str, Any]) -> None:
        done, total, note = _understood(state)
        bars.update(task, completed=done, total=total, note=note)

    return show


class _Lines:
    """Plain lines, at most five a second, the last of each step always."""

    def __init__(self) -> None:
        self._held: str | None = None
        self._step: str | None = None
        self._next = 0.0
        self._lock = threading.Lock()

    def callback(self, step: str) -> Callback:
        self.flush()

        def show(state: dict[str, Any]) -> None:
            done, total, note = _understood(state)
            count = "" if done is None else f" {done:g}" + (f"/{total:g}" if total else "")
            line = f"{step}:{count} {note}".rstrip()
            with self._lock:
                if step != self._step:
                    self._flush()
                    self._step = step
                elif time.monotonic() < self._next:
                    self._held = line
                    return
                self._held = None
                self._next = time.monotonic() + 0.2
                self._print(line)

        return show

    def flush(self) -> None:
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if self._held is not None:
            self._print(self._held)
        self._held = None
        self._step = None

    def _print(self, line: str) -> None:
        with suppress(OSError, ValueError):  # nobody reads it any more
            click.echo(line, err=True)


def _understood(state: Any) -> tuple[float | None, float | None, str]:
    """Step, total and the rest as text, of any event that a plugin may have sent."""
    if not isinstance(state, dict):
        return None, None, _short(state)
    done, total = (_number(state.get(name)) for name in ("step", "total"))
    parts = [_short(state[name]) for name in ("phase", "message") if state.get(name) is not None]
    metrics = state.get("metrics")
    if isinstance(metrics, dict):
        parts += [f"{_short(name)}={_short(value)}" for name, value in metrics.items()]
    known = {"phase", "step", "total", "message", "metrics", "unit"}
    parts += [f"{_short(name)}={_short(state[name])}" for name in state if name not in known]
    return done, total, " ".join(part for part in parts if part)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _short(value: Any) -> str:
    """A value on one line, without what a terminal would obey."""
    try:
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
    except Exception:  # a stranger's __str__; showing progress must not end the work
        text = f"<unprintable {type(value).__name__}>"
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
