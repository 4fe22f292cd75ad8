"""`aimm-plugins run`."""

from __future__ import annotations

import click

from aimm_plugins._jobs import StepRecord, read_job, run_job
from aimm_plugins.cli._output import format_option, print_json, print_table, progress


@click.command("run")
@click.argument("job", metavar="JOB.yaml")
@format_option
def command(job: str, form: str) -> None:
    """Run a job: access data, make or load a model, fit, predict, save.

    Progress goes to stderr, the summary to stdout. Output files are written whole or not at all; a
    step that fails keeps what earlier steps wrote.
    """
    todo = read_job(job)
    with progress() as callbacks:
        done = run_job(todo, callbacks)
    if form == "json":
        print_json({"steps": [step.to_dict() for step in done]})
    else:
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
