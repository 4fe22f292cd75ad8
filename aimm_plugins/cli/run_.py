"""`aimm-plugins run`."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

import click

from aimm_plugins._jobs.job_file import Job, read_job
from aimm_plugins._jobs.predictions import PLOT_ENDINGS, Evaluation
from aimm_plugins._jobs.runner import JobError, StepRecord, run_job
from aimm_plugins._system.files import writable_target
from aimm_plugins._system.text import one_line
from aimm_plugins.cli import _output as output


@click.command("run")
@click.argument("job", metavar="JOB.yaml")
@output.format_option
@output.path_option
@click.option(
    "--dask",
    metavar="ADDRESS|local",
    help="Run the steps on the Dask cluster of this scheduler, or on a worker of its own.",
)
@click.option(
    "--plot",
    metavar="FILE",
    help="Draw what the step evaluate found: a confusion matrix, or predicted against true "
    "numbers; .png, .svg or .pdf.",
)
def run_(job: str, form: str, dask: str | None, plot: str | None) -> None:
    """Run a job: access data, make or load a model, fit, predict, evaluate, save.

    Progress goes to stderr, and so does whatever plugins print; the summary, of a failed job too,
    goes to stdout. Output files are written whole or not at all; a step that fails keeps what
    earlier steps wrote, and the model that was fitted is saved all the same.
    """
    try:
        with output.stdout_kept():
            to_run = read_job(job)
            if plot is not None:
                _check_plot(plot, to_run)
            with ExitStack() as stack:
                # Before the plugins are loaded: an address may be wrong, or the extra missing.
                within = None if dask is None else stack.enter_context(_cluster(dask))
                done = run_job(to_run, stack.enter_context(output.progress()), within, plot)
    except JobError as error:
        _show(error.done, form, error)
        raise
    _show(done, form, None)


@contextmanager
def _cluster(address: str) -> Generator[Callable[[Job], AbstractContextManager[object]]]:
    try:
        from aimm_plugins.dask import cluster_client, dask_executor
    except ImportError as error:
        raise click.UsageError(f"--dask: {error}") from error
    with cluster_client(address) as client:
        yield lambda job: dask_executor(client, conf=job.plugins, keep_on_cluster=True)


def _check_plot(path: str, job: Job) -> None:
    """What would only turn out after the fit, which may take days."""
    from importlib.util import find_spec

    if job.evaluate is None:
        raise click.UsageError("--plot: the job has no step evaluate, whose result it shows")
    if not path.lower().endswith(PLOT_ENDINGS):
        raise click.UsageError(f"--plot: {path!r} ends with none of {', '.join(PLOT_ENDINGS)}")
    if os.path.realpath(path) in {os.path.realpath(p) for p in (job.output, job.save) if p}:
        raise click.UsageError(f"--plot: the job writes {path!r} too; name another file")
    try:
        writable_target(path)
    except OSError as error:
        raise click.UsageError(f"--plot: {error}") from error
    if find_spec("matplotlib") is None:
        text = "--plot needs matplotlib: pip install 'aimm-plugins[plot]'"
        raise click.UsageError(text)


def _show(done: Sequence[StepRecord], form: str, error: JobError | None) -> None:
    found = next((step.evaluation for step in done if step.evaluation is not None), None)
    if form == "json":
        output.print_json(
            {
                "steps": [step.to_dict() for step in done],
                "evaluation": None if found is None else found.to_dict(),
                "error": None if error is None else {"step": error.step, "message": str(error)},
            }
        )
        return
    if done or error is None:
        output.print_table(["step", "provides", "by", "seconds"], [_row(step) for step in done])
    written = [(step.step, "wrote", step.output) for step in done if step.output is not None]
    if found is not None and found.plot is not None:
        written.append(("evaluate", "drew", found.plot))
    if written:
        click.echo()
    for step, verb, path in written:
        output.echo(one_line(f"{step} {verb} {path}"))
    if found is not None:
        _show_evaluation(found)


def _row(step: StepRecord) -> tuple[str, ...]:
    distribution = f"{step.distribution} {step.version or ''}".rstrip()
    return (
        step.step,
        f"{step.action}:{step.key}",
        distribution if step.distribution else step.module,
        f"{step.seconds:.3f}",
    )


def _show_evaluation(found: Evaluation) -> None:
    click.echo()
    output.echo(str(found))
    if found.classes:
        output.print_table(
            ["class", "rows", "right", "precision", "recall", "f1", "taken for"],
            [
                (
                    score.label,
                    str(score.rows),
                    str(score.right),
                    f"{score.precision:.3f}",
                    f"{score.recall:.3f}",
                    f"{score.f1:.3f}",
                    ", ".join(f"{label} ({n})" for label, n in list(score.taken_for.items())[:3]),
                )
                for score in found.classes
            ],
        )
