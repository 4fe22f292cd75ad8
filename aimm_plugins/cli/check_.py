"""`aimm-plugins check`."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import click

from aimm_plugins._system.log import logger
from aimm_plugins.cli._output import echo, format_option, print_json, print_table, stdout_kept


@click.command("check")
@click.argument("target", metavar="[DIST|MODULE|MODULE:OBJECT]", required=False)
@click.option("--only", multiple=True, metavar="CHECK", help="Run this check; may be repeated.")
@click.option("--checks", "listing", is_flag=True, help="List the checks and leave.")
@format_option
def command(
    target: str | None,
    only: tuple[str, ...],
    listing: bool,
    form: str,
) -> int:
    """Check plugins: those of a distribution, a module, what MODULE:OBJECT says, or all installed.

    Plugin code runs. Arguments to call it with come from a Conformance that the distribution's
    entry points of the group `aimm_plugins.conformance` name; without one only what needs no
    arguments is checked. The exit status is 1 if a check failed.
    """
    from aimm_plugins.testing._checks import checks

    if listing:
        rows = [
            (each.name, " ".join(each.kinds), each.claim or "-", each.summary) for each in checks()
        ]
        if form == "json":
            names = ("check", "kinds", "claim", "summary")
            print_json([dict(zip(names, row, strict=True)) for row in rows])
        else:
            print_table(["check", "of", "claim", "what holds"], rows)
        return 0
    from aimm_plugins.testing._target import find_target
    from aimm_plugins.testing._verdict import run, trials

    with stdout_kept():
        try:
            found = find_target(target)
            todo = trials(found.conformances, found.plugins, only)
        except (LookupError, ValueError, TypeError) as error:
            raise click.UsageError(str(error)) from error
        with _quiet():
            verdict = run(todo, told=lambda result: echo(str(result), err=True))
            uncovered = list(found.uncovered(verdict))
    counts = verdict.counts
    if form == "json":
        print_json(
            {
                "ok": verdict.ok,
                "counts": counts,
                "uncovered": uncovered,
                "results": [each.to_dict() for each in verdict.results],
            }
        )
    else:
        print_table(
            ["about", "check", "status", "reason"],
            [
                (
                    each.about,
                    each.check,
                    each.status,
                    _one_line(each.reason, each.notes),
                )
                for each in verdict.results
            ],
        )
        echo(", ".join(f"{count} {name}" for name, count in counts.items()))
        for key in uncovered:
            echo(
                f"finding  no Conformance names {key}, so it was not called; add one, in the group "
                "aimm_plugins.conformance",
                err=True,
            )
    return 0 if verdict.ok else 1


@contextmanager
def _quiet() -> Generator[None]:
    """Keep what each isolated start logs from stderr: the checks tell it, each once."""
    handler = logging.NullHandler()
    logger().addHandler(handler)
    try:
        yield
    finally:
        logger().removeHandler(handler)


def _one_line(reason: str, notes: Sequence[str]) -> str:
    return " ".join((reason or "; ".join(notes)).split()) or "-"
