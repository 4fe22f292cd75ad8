"""`aimm-plugins schema`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from aimm_plugins._config.json_schema import schema, schema_names, schema_text, validate
from aimm_plugins._config.parse import read, read_policy
from aimm_plugins._config.yaml_reader import load_file
from aimm_plugins._jobs.job_file import parse_job
from aimm_plugins._system.text import nearest
from aimm_plugins.cli._output import echo, format_option, print_json
from aimm_plugins.errors import ConfigError


@click.command("schema")
@click.argument("name", required=False)
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path())
@format_option
def schema_(name: str | None, files: Sequence[str], form: str) -> int:
    """Show a schema (JSON Schema 2020-12), list their names, or check files.

    Each FILE, YAML or JSON, is held against the schema; a conf, a policy and a job also against
    what is required of them beyond it. What does not fit is printed with its place, and the exit
    status is 1 then. No file that a FILE names is opened.
    """
    if name is None:
        names = list(schema_names())
        if form == "json":
            print_json(names)
        else:
            click.echo("\n".join(names))
        return 0
    if name not in schema_names():
        near = nearest(name, schema_names())
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise click.UsageError(f"no schema {name!r}.{hint} There are {', '.join(schema_names())}.")
    if files:
        return _check(name, files, form)
    if form == "json":
        print_json(schema(name))
    else:
        click.echo(schema_text(name), nl=False)
    return 0


def _check(name: str, files: Sequence[str], form: str) -> int:
    faults = {file: _fault(name, file) for file in files}
    wrong = [fault for fault in faults.values() if fault is not None]
    if form == "json":
        answers: list[dict[str, object]] = []
        for file, fault in faults.items():
            error = fault and {"message": str(fault), "line": fault.line, "column": fault.column}
            answers.append({"file": file, "ok": fault is None, "error": error})
        print_json({"ok": not wrong, "files": answers})
    else:
        for fault in wrong:
            echo(str(fault))
    return 1 if wrong else 0


def _fault(name: str, file: str) -> ConfigError | None:
    try:
        if name == "plugins":
            read(file)
        elif name == "policy":
            read_policy(file)
        elif name == "job":
            parse_job(load_file(file))
        else:
            document = load_file(file)
            validate(document.data, name, document=document)
    except ConfigError as error:
        return error
    return None
