"""`aimm-plugins run`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from aimm_plugins._jobs import JobError, StepRecord, read_job, run_job
from aimm_plugins.cli._output import (
    format_option,
    print_json,
    print_table,
    progress,
    stdout_kept,
)


@click.command("run")
@click.argument("job", metavar="JOB.yaml")
@format_option
def command(job: str, form: str) -> None:
    """Run a job: access data, make or load a model, fit, predict, save.

    Progress goes to stderr, and so does whatever plugins print; the summary, of a failed job too,
    goes to stdout. Output files are written whole or not at all; a step that fails keeps what
    earlier steps wrote.
    """
    try:
        with stdout_kept():
            todo = read_job(job)
            with progress() as callbacks:
                done = run_job(todo, callbacks)
    except JobError as error:
        _show(error.done, form, error)
        raise
    _show(done, form, None)


def _show(done: Sequence[StepRecord], form: str, error: JobError | None) -> None:
    if form == "json":
        failure = None if error is None else {"step": error.step, "message": str(error)}
        print_json({"steps": [step.to_dict() for step in done], "error": failure})
    elif done or error is None:
        print_table(
            ["step", "provides", "plugin", "distribution", "version", "seconds", "output"],
            [_row(step) for step in done],
        )


def _row(step: StepRecord) -> tuple[str, ...]:
    return (
        step.step,
        f"{step.action}:{step.key}",
        step.module,
        step.distribution or "-",
        step.version or "-",
        f"{step.seconds:.3f}",
        step.output or "-",
    )
