"""Run a job: initialize its plugins, then one step after another.

Each step is a method of `_JobRun`, and `run_job` calls them in order. A failed step raises
`JobError` with the accounts of the steps that were done, whose outputs are kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aimm_plugins._api import calling, starting
from aimm_plugins._artifacts.pack import pack, unpack_as
from aimm_plugins._jobs.job_file import Call, Job
from aimm_plugins._jobs.predictions import Evaluation, draw, encode, evaluate
from aimm_plugins._startup import cluster
from aimm_plugins._startup.lifecycle import initialize
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._system.files import writable_target, write_atomically
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.text import described
from aimm_plugins._values.actions import Action, StateCallback, ignore_state
from aimm_plugins.errors import AimmPluginsError, ArtifactError


class JobError(AimmPluginsError):
    """A step of a job failed; what earlier steps wrote is kept."""

    step: str | None = None
    done: tuple[StepRecord, ...] = ()

    def __init__(
        self, message: str, *, step: str | None = None, done: Sequence[StepRecord] = ()
    ) -> None:
        super().__init__(message)
        self.step, self.done = step, tuple(done)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """What one step, such as `data train` or `fit`, did, and in how many seconds."""

    step: str
    action: Action
    key: str
    module: str
    distribution: str | None
    version: str | None
    seconds: float
    output: str | None = None
    evaluation: Evaluation | None = None

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__ if name != "evaluation"}


def run_job(
    job: Job,
    progress: Callable[[str], StateCallback] | None = None,
    within: Callable[[Job], AbstractContextManager[object]] | None = None,
    plot: str | None = None,
) -> tuple[StepRecord, ...]:
    """Initialize the plugins and run the steps.

    Args:
        job: The job.
        progress: Given a step's name, makes the state callback for it.
        within: Given the job, makes what is entered after the plugins are initialized and left
            after the last step, such as an executor; it takes the place of the conf's.
        plot: File for a plot of the evaluation, with one of `PLOT_ENDINGS`.

    Raises:
        JobError: A step failed, by the plugin's own exception. Outputs of earlier steps are kept,
            and the model that they made is saved where the job says so.
    """
    run = _JobRun(job, progress or (lambda step: ignore_state))
    run.check_outputs()
    # The conf as it was read, so that messages name its lines in the job.
    initialize(PROCESS.runtime, job.plugins, connect=within is None)
    try:
        with nullcontext() if within is None else within(job):
            run.access_data()
            run.make_or_load_model()
            if job.fit is not None:
                run.fit(job.fit)
            with run.saved_if_it_fails():
                if job.predict is not None:
                    run.predict(job.predict)
                if job.evaluate is not None:
                    run.evaluate(job.evaluate.get("as"), plot)
            if job.save is not None:
                run.save_model(job.save)
            return tuple(run.done)
    finally:
        cluster.close(PROCESS.runtime)


class _JobRun:
    """The steps of one job, and what they pass on to each other."""

    def __init__(self, job: Job, progress: Callable[[str], StateCallback]) -> None:
        self.done: list[StepRecord] = []
        self._job = job
        self._progress = progress
        self._data: dict[str, Any] = {}
        self._model: Any = None
        self._prediction: Any = None
        self._truth: Any = None

    def check_outputs(self) -> None:
        """Find before the fit, which may take days, that an output cannot be written."""
        for step, path in (("predict", self._job.output), ("save", self._job.save)):
            if path is not None:
                with self._attempt(step, f"output {path}"):
                    writable_target(path)

    def access_data(self) -> None:
        job = self._job
        used = [name for call in (job.fit, job.predict) if call is not None for name in call.data]
        if job.evaluate is not None:
            used.append(job.evaluate["data"])
        for name, (key, call) in job.data.items():
            result = self._call(f"data {name}", "data_access", key, call)
            # The first step that reads an iterator would leave nothing for another one.
            self._data[name] = self._read(f"data {name}", result, used.count(name) > 1)
        if job.evaluate is not None:
            with self._attempt("evaluate"):  # before the fit, which may take days
                self._truth = _item(self._data[job.evaluate["data"]], job.evaluate)

    def make_or_load_model(self) -> None:
        key, path = self._job.model_type, self._job.load
        if path is None:
            self._model = self._call("model", "instantiate", key, self._job.model)
            return
        with self._attempt("load", f"{path}, to load {key} from"):
            content = Path(path).read_bytes()
        with self._step("load", "deserialize", key, artifact=path):
            self._model, _ = unpack_as(content, key)

    def fit(self, call: Call) -> None:
        call = self._with_data("fit", call)
        self._model = self._call("fit", "fit", self._job.model_type, call, self._model)

    def predict(self, call: Call) -> None:
        call = self._with_data("predict", call)
        key, output = self._job.model_type, self._job.output
        self._model, prediction = self._call("predict", "predict", key, call, self._model)
        prediction = self._read("predict", prediction, self._job.evaluate is not None)
        self._prediction = prediction
        if output is not None:
            with self._output(output):
                # Predictions may be a generator, which is plugin code.
                write_atomically(output, encode(prediction, output))

    def evaluate(self, kind: str | None, plot: str | None) -> None:
        with self._attempt("evaluate"):
            found = evaluate(self._truth, self._prediction, kind)
        self.done[-1] = replace(self.done[-1], evaluation=found)
        if plot is not None:
            with self._attempt("evaluate", f"output {plot}"):
                write_atomically(plot, draw(found, Path(plot).suffix.lower()))
            self.done[-1] = replace(self.done[-1], evaluation=replace(found, plot=plot))

    @contextmanager
    def saved_if_it_fails(self) -> Generator[None]:
        """Save the model where a later step fails, since fitting it may have taken days."""
        try:
            yield
        except JobError as error:
            path = self._job.save
            if path is None:
                raise
            outcome = f"The model is saved in {path}"
            try:
                self.save_model(path)
            except JobError as second:
                outcome = f"The model is lost: {second}"
            text = f"{error}\n{outcome}"
            raise JobError(text, step=error.step, done=self.done) from error.__cause__

    def save_model(self, path: str) -> None:
        key = self._job.model_type
        with self._step("save", "serialize", key):
            artifact = pack(key, self._model)
        with self._output(path):
            write_atomically(path, artifact)

    def _call(self, step: str, action: Action, key: str, call: Call, *given: Any) -> Any:
        arguments = (key, *given, self._progress(step), *call.args)
        with self._step(step, action, key):
            return calling.EXEC[action](*arguments, **call.kwargs)

    @contextmanager
    def _step(
        self, step: str, action: Action, key: str, artifact: str | None = None
    ) -> Generator[None]:
        """Keep account of the step that is done; faults of an artifact are not the plugin's."""
        provider = starting.providers(action).get((action, key))
        who = "" if provider is None else str(provider)
        begin = time.perf_counter()
        with self._attempt(step, who, artifact):
            yield
        self.done.append(
            StepRecord(
                step=step,
                action=action,
                key=key,
                module=provider.plugin if provider else "(an executor)",
                distribution=provider.distribution if provider else None,
                version=provider.version if provider else None,
                seconds=time.perf_counter() - begin,
            )
        )

    def _with_data(self, step: str, call: Call) -> Call:
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for name in call.data:
            result = self._data[name]
            if isinstance(result, tuple):
                args += result
            elif isinstance(result, dict):
                self._add(step, kwargs, result, f"data {name}")
            else:
                args.append(result)
        self._add(step, kwargs, call.kwargs, "kwargs")
        return Call(args=(*args, *call.args), kwargs=kwargs)

    def _add(self, step: str, kwargs: dict[str, Any], more: Mapping[Any, Any], source: str) -> None:
        for key in more:
            if not isinstance(key, str):
                fault = f"{source} has a key that names no argument: {key!r}"
            elif key in kwargs:
                fault = f"argument {key!r} is given twice, again by {source}"
            else:
                continue
            raise self._failed(step, "", TypeError(fault))
        kwargs.update(more)

    def _read(self, step: str, result: Any, wanted: bool) -> Any:
        """The items of an iterator, where it is to be read more than once; that is plugin code."""
        if wanted and isinstance(result, Iterator):
            with self._attempt(step):
                return list(result)
        return result

    @contextmanager
    def _output(self, path: str) -> Generator[None]:
        """Keep account of what the last step writes, whole or not at all."""
        last = self.done[-1]
        with self._attempt(last.step, f"output {path}"):
            yield
        self.done[-1] = replace(last, output=path)

    @contextmanager
    def _attempt(self, step: str, who: str = "", artifact: str | None = None) -> Generator[None]:
        """What the block raises is a failure of the step."""
        with guarded() as attempt:
            yield
        error = attempt.error
        if artifact is not None and isinstance(error, ArtifactError):
            who = artifact
        if error is not None:
            raise self._failed(step, who, error) from error

    def _failed(self, step: str, who: str, error: BaseException) -> JobError:
        text = f"step {step} failed" + (f" in {who}" if who else "")
        cause = described(error).replace("\n", "\n  ")
        return JobError(f"{text}\n  {cause}", step=step, done=self.done)


def _item(result: Any, truth: Mapping[str, Any]) -> Any:
    """The true values, out of what a data access returned."""
    known = result if isinstance(result, Mapping) else getattr(result, "columns", ())
    who, names = f"data {truth['data']}", ", ".join(map(str, known))
    if "item" in truth:
        try:
            return result[truth["item"]]
        except Exception as error:  # whatever kind of data it is
            why = f"; it has {names}" if names else f" ({described(error)})"
            raise ValueError(f"{who} has no item {truth['item']!r}{why}") from error
    if isinstance(result, tuple) and result:  # features and labels, as fit takes them
        return result[-1]
    if len(known) > 1:
        raise ValueError(f"{who} has the items {names}: say by `item` which is true")
    return result
