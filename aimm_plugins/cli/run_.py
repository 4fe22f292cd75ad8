"""`aimm-plugins run`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

import click

from aimm_plugins._jobs.job_file import Job, read_job
from aimm_plugins._jobs.runner import JobError, StepRecord, run_job
from aimm_plugins.cli._output import (
    format_option,
    path_option,
    print_json,
    print_table,
    progress,
    stdout_kept,
)


@click.command("run")
@click.argument("job", metavar="JOB.yaml")
@format_option
@path_option
@click.option(
    "--dask",
    metavar="ADDRESS|local",
    help="Run the steps on the Dask cluster of this scheduler, or on a worker of its own.",
)
def command(job: str, form: str, dask: str | None) -> None:
    """Run a job: access data, make or load a model, fit, predict, save.

    Progress goes to stderr, and so does whatever plugins print; the summary, of a failed job too,
    goes to stdout. Output files are written whole or not at all; a step that fails keeps what
    earlier steps wrote, and the model that was fitted is saved all the same.
    """
    try:
        with stdout_kept():
            to_run = read_job(job)
            with ExitStack() as stack:
                # Before the plugins are loaded: an address may be wrong, or the extra missing.
                within = None if dask is None else stack.enter_context(_cluster(dask))
                done = run_job(to_run, stack.enter_context(progress()), within)
    except JobError as error:
        _show(error.done, form, error)
        raise
    _show(done, form, None)


@contextmanager
def _cluster(address: str) -> Generator[Callable[[Job], AbstractContextManager[object]]]:
    """What makes an executor on the cluster of an address."""
    try:
        from aimm_plugins.dask import cluster_client, dask_executor
    except ImportError as error:
        raise click.UsageError(f"--dask: {error}") from error
    with cluster_client(address) as client:
        yield lambda job: dask_executor(client, conf=job.plugins, keep_on_cluster=True)


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
