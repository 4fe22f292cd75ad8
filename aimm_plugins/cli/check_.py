"""`aimm-plugins check`."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager

import click

from aimm_plugins._system.log import logger
from aimm_plugins.cli._output import (
    echo,
    format_option,
    path_option,
    print_json,
    print_table,
    stdout_kept,
)


@click.command("check")
@click.argument("target", metavar="[DIST|MODULE|MODULE:OBJECT]", required=False)
@click.option("--only", multiple=True, metavar="CHECK", help="Run this check; may be repeated.")
@click.option("--checks", "listing", is_flag=True, help="List the checks and leave.")
@format_option
@path_option
def command(target: str | None, only: tuple[str, ...], listing: bool, form: str) -> int:
    """Check plugins: those of a distribution, a module, what MODULE:OBJECT says, or all installed.

    Plugin code runs. Arguments to call it with come from a Conformance that the distribution's
    entry points of the group `aimm_plugins.conformance` name; without one only what needs no
    arguments is checked. The exit status is 1 if a check failed.
    """
    from aimm_plugins.testing import check_plugin, find_target, uncovered_keys

    if listing:
        _list_checks(form)
        return 0
    with stdout_kept():
        try:
            about = find_target(target, only)
        except (LookupError, ValueError, TypeError) as error:
            raise click.UsageError(str(error)) from error
        with _quiet():
            verdict = check_plugin(
                *about,
                only=only,
                on_fail="report",
                on_result=lambda result: echo(str(result), err=True),
            )
            uncovered = uncovered_keys(*about)
    if form == "json":
        print_json(
            {
                "ok": verdict.ok,
                "counts": verdict.counts,
                "uncovered": list(uncovered),
                "results": [result.to_dict() for result in verdict.results],
            }
        )
    else:
        print_table(
            ["about", "check", "status", "reason"],
            [
                (
                    result.about,
                    result.check,
                    result.status,
                    _one_line(result.reason or "; ".join(result.notes)),
                )
                for result in verdict.results
            ],
        )
        echo(", ".join(f"{count} {name}" for name, count in verdict.counts.items()))
        for key in uncovered:
            echo(
                f"finding  no Conformance names {key}, so it was not called; add one, in the group "
                "aimm_plugins.conformance",
                err=True,
            )
    return 0 if verdict.ok else 1


def _list_checks(form: str) -> None:
    from aimm_plugins.testing import checks

    columns = ("check", "kinds", "claim", "summary")
    rows = [
        (check.name, " ".join(check.kinds), check.claim or "-", check.summary) for check in checks()
    ]
    if form == "json":
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(["check", "of", "claim", "what holds"], rows)


@contextmanager
def _quiet() -> Generator[None]:
    """Keep what each isolated start logs from stderr: the results of the checks have it."""
    handler = logging.NullHandler()
    logger().addHandler(handler)
    try:
        yield
    finally:
        logger().removeHandler(handler)


def _one_line(text: str) -> str:
    return " ".join(text.split()) or "-"
