"""`aimm-plugins check`."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import click

from aimm_plugins import testing
from aimm_plugins._system.log import silent_log
from aimm_plugins.cli import _output as output
from aimm_plugins.errors import PluginImportError, PluginLoadError


@click.command("check")
@click.argument("target", metavar="[DIST|MODULE|MODULE:OBJECT]", required=False)
@click.option("--only", multiple=True, metavar="CHECK", help="Run this check; may be repeated.")
@click.option("--quick", is_flag=True, help="Leave out checks that start processes.")
@click.option("--checks", "listing", is_flag=True, help="List the checks and leave.")
@click.option("--environment", metavar="NAME", help="Check plugins of this environment, there.")
@click.option("--among", multiple=True, hidden=True)
@output.conf_options
def check_(
    target: str | None,
    only: tuple[str, ...],
    quick: bool,
    listing: bool,
    form: str,
    environment: str | None,
    among: tuple[str, ...],
    conf: str | None,
) -> int:
    """Check plugins: those of a distribution, a module, what MODULE:OBJECT says, or all installed.

    Plugin code runs, except what a rule of the conf or the operator denies. Arguments to call
    it with come from a Conformance that the distribution's entry points of the group
    `aimm_plugins.conformance` name; without one only what needs no arguments is checked.
    Results go to stderr as they come, each with its number of all. The exit status is 1 if a
    check failed, or all plugins are denied.
    """
    if listing:
        _list_checks(form)
        return 0
    if output.is_conf_name(target):
        target, conf = None, target
    if environment is not None:
        from aimm_plugins.cli.env_ import run_check

        options = [part for name in only for part in ("--only", name)] + ["--quick"] * quick
        line = ["--format", form, *options, *([] if target is None else [target])]
        return run_check(environment, line, conf)
    if quick:
        slow = {check.name for check in testing.checks() if check.child}
        only = tuple(n for n in only or [c.name for c in testing.checks()] if n not in slow)
        if not only:
            raise click.UsageError("--quick leaves out all of these checks: they start processes.")
    with output.stdout_kept():
        verdict, uncovered = _run_checks(target, only, conf, among)
    _show(verdict, uncovered, form)
    return 0 if verdict.ok else 1


def _run_checks(
    target: str | None, only: tuple[str, ...], conf: str | None, among: tuple[str, ...]
) -> tuple[testing.Verdict, tuple[str, ...]]:
    """The verdict, and the keys that no check calls."""
    about: tuple[testing.Conformance | str, ...] = ()
    failures: list[PluginImportError] = []
    try:
        about = testing.find_target(target, only, conf, failures, among)
    except PluginImportError as error:
        failures.append(error)
    except (LookupError, ValueError, TypeError) as error:
        raise click.UsageError(str(error)) from error
    results = [testing.CheckResult.of_failed_import(str(error.name), error) for error in failures]
    for result in results:
        output.echo(str(result), err=True)
    uncovered: tuple[str, ...] = ()
    with silent_log():
        verdict = testing.check_plugin(
            *about,
            only=only,
            on_fail="report",
            on_result=lambda r: output.echo(f"{r.number}/{r.total}  {r}", err=True),
        )
        broken = {result.about for result in verdict.failures if result.is_of_import}
        sound = [s for s in about if (s if isinstance(s, str) else s.plugin) not in broken]
        with suppress(PluginLoadError):  # a result says so
            uncovered = testing.uncovered_keys(*sound)
    return testing.Verdict((*results, *verdict.results)), uncovered


def _show(verdict: testing.Verdict, uncovered: Iterable[str], form: str) -> None:
    if form == "json":
        output.print_json(
            {
                "ok": verdict.ok,
                "counts": verdict.counts,
                "uncovered": list(uncovered),
                "results": [result.to_dict() for result in verdict.results],
            }
        )
        return
    output.print_table(
        ["about", "check", "status", "reason"],
        [(result.about, result.check, result.status, _why(result)) for result in verdict.results],
    )
    output.echo(", ".join(f"{number} {name}" for name, number in verdict.counts.items()))
    for key in uncovered:
        output.echo(
            f"finding  no Conformance names {key}, so it was not called; add one, in the group "
            "aimm_plugins.conformance",
            err=True,
        )


def _list_checks(form: str) -> None:
    columns = ("check", "kinds", "claim", "summary")
    rows = [
        (check.name, " ".join(check.kinds), check.claim or "-", check.summary)
        for check in testing.checks()
    ]
    if form == "json":
        output.print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        output.print_table(["check", "of", "claim", "what holds"], rows)


def _why(result: testing.CheckResult) -> str:
    """The reason on one line; stderr has the traceback of a failed import."""
    text = result.reason or "; ".join(result.notes)
    if result.is_of_import:
        text = text.partition("\n")[0]
    return " ".join(text.split()) or "-"
