"""A job: access data, make or load a model, fit, predict, save."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aimm_plugins._api import calling, starting
from aimm_plugins._artifacts.pack import pack, unpack_as
from aimm_plugins._config.json_schema import validate
from aimm_plugins._config.parse import parse, read
from aimm_plugins._config.values import Config
from aimm_plugins._config.yaml_reader import Document, load_file
from aimm_plugins._startup import cluster as _executor
from aimm_plugins._startup.lifecycle import initialize
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._system.files import write_atomically
from aimm_plugins._system.text import safe_text
from aimm_plugins._values.actions import Action
from aimm_plugins.errors import AimmPluginsError, ArtifactError, ConfigError

StateCallback = Callable[[dict[str, Any]], None]


class JobError(AimmPluginsError):
    """A step of a job failed; what earlier steps wrote is kept.

    Attributes:
        step: Name of the step.
        done: The accounts of the steps before it.
    """

    step: str | None = None
    done: tuple[StepRecord, ...] = ()

    def __init__(
        self, message: str, *, step: str | None = None, done: Sequence[StepRecord] = ()
    ) -> None:
        super().__init__(message)
        self.step, self.done = step, tuple(done)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """What one step did.

    Attributes:
        step: Its name, such as `data train` or `fit`.
        action: The action.
        key: The data access name or model type.
        module: The plugin's module.
        distribution: The plugin's distribution, if any.
        version: Its version.
        seconds: Wall time of the call in seconds.
        output: The file that was written, if any.
    """

    step: str
    action: Action
    key: str
    module: str
    distribution: str | None
    version: str | None
    seconds: float
    output: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-serializable."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Call:
    """Arguments of one step.

    Attributes:
        data: Names of data accesses whose results come first.
        args: Positional arguments after them.
        kwargs: Keyword arguments.
    """

    data: tuple[str, ...] = ()
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job file that was read and is sound.

    Attributes:
        plugins: The conf of the plugins, checked.
        data: Name to data access key and arguments, in order.
        model_type: The model type.
        model: Arguments to make it with.
        load: File to load it from instead.
        fit: Arguments of the fit, if there is one.
        predict: Arguments of the prediction, if there is one.
        output: File for the predictions.
        save: File for the model.
    """

    plugins: Config
    data: Mapping[str, tuple[str, Call]]
    model_type: str
    model: Call
    load: str | None
    fit: Call | None
    predict: Call | None
    output: str | None
    save: str | None


def read_job(path: str | os.PathLike[str]) -> Job:
    """Read and check a job file.

    Raises:
        ConfigError: It cannot be read or is not what `schemas/job.yaml` says; with the place.
    """
    document = load_file(path)
    validate(document.data, "job", document=document)
    job = document.data
    conf = job.get("plugins", {"names": []})
    plugins = (
        read(conf) if isinstance(conf, str) else parse(conf, document=document, prefix=("plugins",))
    )
    data = {name: (access["access"], _call(access)) for name, access in job.get("data", {}).items()}
    model, fit, predict = job["model"], job.get("fit"), job.get("predict")
    for step, call in (("fit", fit), ("predict", predict)):
        if call is not None:
            _check_names(step, call, data, document)
    output, save = None if predict is None else predict.get("output"), job.get("save")
    if save is not None and output is not None and _same_file(save, output):
        place = document.place(("save",))
        raise ConfigError(
            f"the model would replace the predictions, which go to {output!r} too",
            file=document.file,
            line=place[0] if place else None,
            column=place[1] if place else None,
            path=("save",),
            expected="another file",
        )
    return Job(
        plugins=plugins,
        data=data,
        model_type=model["type"],
        model=_call(model),
        load=model.get("load"),
        fit=None if fit is None else _call(fit),
        predict=None if predict is None else _call(predict),
        output=output,
        save=save,
    )


def _call(step: Mapping[str, Any]) -> Call:
    data = step.get("data", ())
    return Call(
        (data,) if isinstance(data, str) else tuple(data),
        tuple(step.get("args", ())),
        step.get("kwargs", {}),
    )


def _same_file(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _check_names(
    step: str, call: Mapping[str, Any], data: Mapping[str, Any], document: Document
) -> None:
    names = call.get("data", [])
    for index, name in enumerate([names] if isinstance(names, str) else names):
        if name in data:
            continue
        path: tuple[str | int, ...] = (step, "data")
        place = document.place(path if isinstance(names, str) else (*path, index))
        raise ConfigError(
            f"no data access is called {name!r}",
            file=document.file,
            line=place[0] if place else None,
            column=place[1] if place else None,
            path=path,
            expected="one of " + ", ".join(data) if data else "a name that stands under data",
        )


def run_job(
    job: Job,
    progress: Callable[[str], StateCallback] | None = None,
    within: Callable[[Job], AbstractContextManager[object]] | None = None,
) -> tuple[StepRecord, ...]:
    """Initialize the plugins and run the steps.

    Args:
        job: The job.
        progress: Given a step's name, makes the state callback for it.
        within: Given the job, makes what is entered after the plugins are initialized and left
            after the last step, such as an executor; it takes the place of one that the conf
            asks for.

    Returns:
        The account of each step.

    Raises:
        PluginLoadError: The plugins cannot be loaded; no step was run.
        JobError: A step failed; its cause is the plugin's own exception. Outputs of earlier steps
            are kept, and no output file is ever half written.
    """
    # The conf as it was read, so that messages name its lines in the job.
    initialize(PROCESS.runtime, job.plugins, connect=within is None)
    try:
        with nullcontext() if within is None else within(job):
            return _run_steps(job, progress or (lambda step: lambda state: None))
    finally:
        _executor.close(PROCESS.runtime)


def _run_steps(job: Job, progress: Callable[[str], StateCallback]) -> tuple[StepRecord, ...]:
    runner = _Runner(progress)
    results = {
        name: runner.step(f"data {name}", "data_access", key, (), call.args, dict(call.kwargs))
        for name, (key, call) in job.data.items()
    }
    if job.load is not None:
        content = runner.read(job.load, job.model_type)
        model, _ = runner.step(
            "load",
            "deserialize",
            job.model_type,
            (content,),
            (),
            {},
            call=lambda key, data: unpack_as(data, key),
            place=job.load,
        )
    else:
        model = runner.step(
            "model", "instantiate", job.model_type, (), job.model.args, dict(job.model.kwargs)
        )
    if job.fit is not None:
        args, kwargs = runner.arguments("fit", job.fit, results)
        model = runner.step("fit", "fit", job.model_type, (model,), args, kwargs)
    if job.predict is not None:
        args, kwargs = runner.arguments("predict", job.predict, results)
        model, prediction = runner.step(
            "predict", "predict", job.model_type, (model,), args, kwargs
        )
        if job.output is not None:
            runner.write(job.output, lambda: _table(prediction, str(job.output)))
    if job.save is not None:
        artifact = runner.step("save", "serialize", job.model_type, (model,), (), {}, call=pack)
        runner.write(job.save, lambda: artifact)
    return tuple(runner.done)


class _Runner:
    """Runs steps and keeps account of them."""

    def __init__(self, progress: Callable[[str], StateCallback]) -> None:
        self.done: list[StepRecord] = []
        self._progress = progress

    def step(
        self,
        step: str,
        action: Action,
        key: str,
        given: tuple[Any, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        call: Callable[..., Any] | None = None,
        place: str | None = None,
    ) -> Any:
        function: Callable[..., Any] = call or calling.EXEC[action]
        callback = () if action in ("serialize", "deserialize") else (self._progress(step),)
        provider = starting.providers(action).get((action, key))
        begin = time.perf_counter()
        try:
            result = function(key, *given, *callback, *args, **kwargs)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # also what ends a host: a plugin's sys.exit()
            who = str(provider) if provider else None
            if isinstance(error, ArtifactError):  # its own fault, and not the plugin's
                who = place or who
            raise self._failed(step, error, who) from error
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
        return result

    def arguments(
        self, step: str, call: Call, results: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What data accesses returned, and what the job says, as arguments."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for name in call.data:
            result = results[name]
            if isinstance(result, tuple):
                args += result
            elif isinstance(result, dict):
                self._add(step, kwargs, result, f"data {name}")
            else:
                args.append(result)
        self._add(step, kwargs, call.kwargs, "kwargs")
        return (*args, *call.args), kwargs

    def _add(self, step: str, kwargs: dict[str, Any], more: Mapping[Any, Any], source: str) -> None:
        for key in more:
            if not isinstance(key, str):
                raise self._failed(
                    step, TypeError(f"{source} has a key that names no argument: {key!r}"), None
                )
            if key in kwargs:
                raise self._failed(
                    step, TypeError(f"argument {key!r} is given twice, again by {source}"), None
                )
        kwargs.update(more)

    def read(self, path: str, key: str) -> bytes:
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise self._failed("load", error, f"{path}, to load {key} from") from error

    def write(self, path: str, content: Callable[[], bytes]) -> None:
        """Write the output of the last step, whole or not at all."""
        last = self.done[-1]
        try:
            write_atomically(path, content())
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # predictions may be a generator, which is plugin code
            raise self._failed(last.step, error, f"output {path}") from error
        self.done[-1] = replace(last, output=path)

    def _failed(self, step: str, error: BaseException, who: str | None) -> JobError:
        text = f"step {step} failed"
        if who:
            text += f" in {who}"
        cause = f"{type(error).__name__}: {safe_text(error)}".replace("\n", "\n  ")
        return JobError(f"{text}\n  {cause}", step=step, done=self.done)


def _table(prediction: Any, path: str) -> bytes:
    """Predictions as CSV or JSON lines, by the file's ending.

    Raises:
        ValueError: The rows are no table, or hold what the format has no word for.
        TypeError: Likewise, for a type.
    """
    columns, rows = _rows(prediction)
    return _json_lines(columns, rows) if path.endswith(".jsonl") else _csv(columns, rows)


def _json_lines(columns: list[str] | None, rows: list[Any]) -> bytes:
    lines = []
    if columns is not None and len(set(columns)) < len(columns):
        raise ValueError(f"columns of the same name cannot be written as JSON: {columns}")
    for row in rows:
        value = (
            row
            if columns is None or isinstance(row, dict)
            else dict(zip(columns, row, strict=True))
        )
        lines.append(json.dumps(_plain(value), ensure_ascii=False, allow_nan=False) + "\n")
    return "".join(lines).encode()


def _csv(columns: list[str] | None, rows: list[Any]) -> bytes:
    if columns is None:
        first = rows[0] if rows else None
        if isinstance(first, dict):
            columns = list(first)
        elif isinstance(first, list):
            columns = [f"prediction_{index}" for index in range(len(first))]
        else:
            columns = ["prediction"]
            rows = [[row] if not isinstance(row, list | dict) else row for row in rows]
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for number, row in enumerate(rows, start=1):
        cells = row
        if isinstance(row, dict):
            unknown = [key for key in row if key not in columns]
            if unknown:
                raise ValueError(f"prediction {number} has columns the first has not: {unknown}")
            cells = [row.get(column) for column in columns]
        if not isinstance(cells, list) or len(cells) != len(columns):
            count = len(cells) if isinstance(cells, list) else 1
            raise ValueError(
                f"prediction {number} is of another width than the first: {count} values, and "
                f"{len(columns)} columns"
            )
        writer.writerow([_cell(cell) for cell in cells])
    return stream.getvalue().encode()


def _rows(prediction: Any) -> tuple[list[str] | None, list[Any]]:
    """Names of columns, where there are some, and the rows: lists, dicts by text, or scalars.

    Data frames and arrays are known by what they can do, so that neither pandas nor numpy is
    needed here.
    """
    if hasattr(prediction, "itertuples") and hasattr(prediction, "columns"):  # pandas and its kin
        rows = prediction.itertuples(index=False, name=None)
        return [str(column) for column in prediction.columns], [list(row) for row in rows]
    for name in ("to_dicts", "to_pylist"):  # polars, arrow
        if callable(getattr(prediction, name, None)):
            return None, [_row(row) for row in getattr(prediction, name)()]
    prediction = _listed(prediction)
    if isinstance(prediction, Mapping):
        columns = [str(key) for key in prediction]
        values = [_listed(value) for value in prediction.values()]
        if not values or not all(isinstance(value, list | tuple) for value in values):
            return columns, [list(prediction.values())]
        return columns, [list(row) for row in zip(*values, strict=True)]
    if isinstance(prediction, Iterable) and not isinstance(prediction, str | bytes | bytearray):
        return None, [_row(row) for row in prediction]
    return None, [prediction]


def _row(row: Any) -> Any:
    row = _listed(row)
    if isinstance(row, Mapping):
        return {str(_listed(key)): value for key, value in row.items()}
    return list(row) if isinstance(row, tuple) else row


def _listed(value: Any) -> Any:
    """An array, a series or a scalar of one as lists and numbers of Python's own."""
    convert = getattr(value, "tolist", None)
    return convert() if callable(convert) else value


def _plain(value: Any) -> Any:
    """A value as JSON has it; missing values, as numpy and pandas know them, are null."""
    value = _listed(value)
    if _missing(value):
        return None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isinf(value):
            raise ValueError(f"JSON has no number for {value}; CSV can hold it")
        return value
    if isinstance(value, Mapping):
        return {str(_listed(key)): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if callable(getattr(value, "isoformat", None)):
        return value.isoformat()
    raise TypeError(f"a prediction of type {type(value).__name__} cannot be written as JSON")


def _missing(value: Any) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    return type(value).__name__ in ("NAType", "NaTType")


def _cell(value: Any) -> Any:
    value = _listed(value)
    if isinstance(value, list | tuple | Mapping):
        return json.dumps(_plain(value), ensure_ascii=False)
    if isinstance(value, bytes | bytearray):
        raise TypeError("bytes cannot be written as CSV; predict text or numbers")
    return None if not isinstance(value, float) and _missing(value) else value
