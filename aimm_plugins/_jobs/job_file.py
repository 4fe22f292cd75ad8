"""Read and check a job file.

A job is checked whole before any plugin is imported. `parse_job` opens nothing that the job names;
`read_job` also reads the conf that a job names by its path.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aimm_plugins._config.json_schema import validate
from aimm_plugins._config.parse import parse, read
from aimm_plugins._config.values import Config
from aimm_plugins._config.yaml_reader import Document, load_file
from aimm_plugins.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Call:
    """Arguments of one step."""

    data: tuple[str, ...] = ()
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job file that was read and is sound.

    Attributes:
        plugins: A conf, or the path of one that is not read yet.
        evaluate: The step as the file has it: `data`, and maybe `item` and `as`.
    """

    plugins: Config | str
    data: Mapping[str, tuple[str, Call]]
    model_type: str
    model: Call
    load: str | None
    fit: Call | None
    predict: Call | None
    output: str | None
    evaluate: Mapping[str, Any] | None
    save: str | None


def read_job(path: str | os.PathLike[str]) -> Job:
    """Read and check a job file, and the conf that it names."""
    document = load_file(path)
    job = parse_job(document)
    try:
        return replace(job, plugins=read(job.plugins))
    except ConfigError as error:
        if isinstance(error.__cause__, OSError):  # else the error tells what is wrong in the conf
            expected = "a conf, or the path of one"
            layer = Config(document=document)
            raise layer.error(str(error), ("plugins",), expected=expected) from error.__cause__
        raise


def parse_job(document: Document) -> Job:
    """Check a job that was read already."""
    validate(document.data, "job", document=document)
    content = document.data
    conf = content.get("plugins", {"names": []})
    if not isinstance(conf, str):
        conf = parse(conf, document=document, prefix=("plugins",))
    layer = Config(document=document)
    _check_data_names(layer, content)
    model, fit, predict = content["model"], content.get("fit"), content.get("predict")
    output, save = (predict or {}).get("output"), content.get("save")
    if output and save and os.path.realpath(output) == os.path.realpath(save):
        message = f"the model would replace the predictions, which go to {output!r} too"
        raise layer.error(message, ("save",), expected="another file")
    if "evaluate" in content and predict is None:
        message = "there is no step predict, whose predictions could be evaluated"
        raise layer.error(message, ("evaluate",), expected="predict in this job")
    return Job(
        plugins=conf,
        data={
            name: (access["access"], _call(access))
            for name, access in content.get("data", {}).items()
        },
        model_type=model["type"],
        model=_call(model),
        load=model.get("load"),
        fit=None if fit is None else _call(fit),
        predict=None if predict is None else _call(predict),
        output=output,
        evaluate=content.get("evaluate"),
        save=save,
    )


def _call(step: Mapping[str, Any]) -> Call:
    data = step.get("data", ())
    return Call(
        (data,) if isinstance(data, str) else tuple(data),
        tuple(step.get("args", ())),
        step.get("kwargs", {}),
    )


def _check_data_names(layer: Config, content: Mapping[str, Any]) -> None:
    """Every name that a step takes data from has to be defined under `data`."""
    known = content.get("data", {})
    expected = f"one of {', '.join(known)}" if known else "a name that is defined under data"
    for step in ("fit", "predict", "evaluate"):
        given = content.get(step, {}).get("data", [])
        is_list = not isinstance(given, str)
        for number, name in enumerate(given if is_list else [given]):
            if name not in known:
                path = (step, "data", number) if is_list else (step, "data")
                message = f"no data access is called {name!r}"
                raise layer.error(message, path, expected=expected)
