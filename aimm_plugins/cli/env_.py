"""`aimm-plugins env`."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import click

from aimm_plugins._config.environment import OPERATOR_VARIABLES, conf_or_default
from aimm_plugins._config.parse import read
from aimm_plugins._config.values import Config, EnvironmentRules
from aimm_plugins._discovery.scan import scan
from aimm_plugins._environments.made import environment_path, wanted
from aimm_plugins._environments.making import make, remove, size_of, users
from aimm_plugins._environments.plan import look_up
from aimm_plugins._environments.site import EnvironmentSite, NoEnvironmentError, find_site
from aimm_plugins._policy.rules import Rule
from aimm_plugins._system.child import ended
from aimm_plugins._system.text import did_you_mean
from aimm_plugins.cli import _output as output
from aimm_plugins.errors import AimmPluginsError


@click.group("env")
def env_() -> None:
    """Make, list, remove and use the environments that a conf declares."""


@env_.command("sync")
@click.argument("names", nargs=-1, metavar="[NAME]... [CONF]")
@click.option("--upgrade", is_flag=True, help="Make them anew, with what the index has by now.")
@output.named_conf_option
def sync(names: Sequence[str], upgrade: bool, conf: str | None) -> None:
    """Make the environments of a conf that are not there, or not as it declares them.

    By uv where it is there, else by venv and pip. A host that runs goes on with what it has until
    it calls `refresh()`.
    """
    names, config = _names_and_config(names, conf)
    errors = []
    for rules in _chosen(config, names):
        try:
            output.echo(f"{rules.name}: {_synced(config, rules, upgrade)}")
        except AimmPluginsError as error:  # the others can be made all the same
            errors.append(error)
    if errors:
        raise AimmPluginsError("\n".join(map(str, errors))) from errors[0]


def _synced(config: Config, rules: EnvironmentRules, upgrade: bool) -> str:
    if rules.path is not None:
        return f"{_site_or_raise(config, rules).root} is used as it is"
    tell = partial(output.echo, err=True)
    try:
        return "made" if make(wanted(config, rules), tell, again=upgrade) else "is there"
    except NoEnvironmentError as error:
        raise AimmPluginsError(f"environment {rules.name}: {error}") from error


@env_.command("list")
@output.format_option
@output.conf_option
def list_(form: str, conf: str | None) -> int:
    """List the environments of a conf: whether they are there, their size and age, who runs them.

    The exit status is 1 if one is missing or out of date.
    """
    config = _config(conf)
    rows = [_row(config, rules) for rules in _chosen(config, ())]
    if form == "json":
        output.print_json({"environments": rows})
    elif rows:
        output.print_table(
            ("environment", "state", "size", "age", "processes", "folder"),
            [
                (
                    row["name"],
                    row["state"],
                    "-" if row["bytes"] is None else f"{row['bytes'] / 1e6:,.0f} MB",
                    "-" if row["age_seconds"] is None else _age(row["age_seconds"]),
                    ", ".join(map(str, row["processes"])) or "-",
                    row["folder"] or row["problem"],
                )
                for row in rows
            ],
        )
    return int(any(row["state"] != "ready" for row in rows))


@env_.command("remove")
@click.argument("names", nargs=-1, required=True, metavar="NAME... [CONF]")
@click.option("--force", is_flag=True, help="Even if a process runs it.")
@output.named_conf_option
def remove_(names: Sequence[str], force: bool, conf: str | None) -> int:
    """Remove what `env sync` has made, also for what the conf declared before."""
    (names, config), status = _names_and_config(names, conf), 0
    if not names:
        raise click.UsageError("which environment? A conf alone names none.")
    for rules in _chosen(config, names):
        if rules.path is not None:
            raise click.UsageError(f"{rules.name} was not made by `env sync`: remove it yourself")
        asked = wanted(config, rules)
        running = {pid for link in asked.own_links for pid in users(os.path.realpath(link))}
        if running and not force:
            pids = ", ".join(map(str, sorted(running)))
            output.echo(
                f"{rules.name}: is run by process {pids}; stop it, or use --force", err=True
            )
            status = 1
            continue
        for folder in remove(asked) or ["nothing of this conf was there"]:
            output.echo(f"{rules.name}: {folder}")
    return status


@env_.command("run", context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("line", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@output.named_conf_option
def run(name: str, line: Sequence[str], conf: str | None) -> int:
    """Run a command in an environment: its programs are first on PATH.

    The exit status is that of the command.
    """
    config = _config(conf)
    (rules,) = _chosen(config, [name])
    site = _site_or_raise(config, rules)
    found = shutil.which(line[0])
    if found is not None and shutil.which(line[0], path=os.path.dirname(site.python)) is None:
        output.echo(f"environment {name} has no {line[0]} of its own: this is {found}", err=True)
    try:
        status = subprocess.run(line, env=_variables(site), check=False).returncode
        return status if status >= 0 else 128 - status  # as shells have it for signals
    except FileNotFoundError as error:
        raise AimmPluginsError(f"environment {name} has no {line[0]!r}: {error}") from error


def run_check(name: str, arguments: Sequence[str], conf: str | None) -> int:
    """Run the verb `check` in an environment, by the rules that hold for its plugins here."""
    config = _config(conf)
    (rules,) = _chosen(config, [name])
    (found,) = [planned for planned in look_up([config], scan()) if planned.name == name]
    if found.site is None:
        raise AimmPluginsError(f"environment {name}: {found.plan.records[0].reason}")
    variables = _variables(found.site)
    # Where it is this process's own interpreter, what this process finds is to be found there.
    if folders := [*output.path_given(), *(found.site.path or ())]:
        variables["PYTHONPATH"] = os.pathsep.join(folders)
    line = [found.site.python, "-P", "-s", "-m", "aimm_plugins", "check", *arguments]
    line += ["--conf", os.path.abspath(conf or "")]
    for text in rules.plugins or ():
        line += ["--among", Rule(text, "").name]
    status = subprocess.run(line, env=variables, check=False).returncode
    if status < 0:
        raise AimmPluginsError(f"environment {name}: the process of the checks {ended(status)}")
    return status


def _variables(site: EnvironmentSite) -> dict[str, str]:
    """The variables of a command in an environment, with the operator's rules."""
    operator = {rule: os.environ[rule] for rule in OPERATOR_VARIABLES if rule in os.environ}
    return site._replace(is_own=False).variables() | operator


def _config(conf: str | None) -> Config:
    return read(conf_or_default(conf))


def _names_and_config(names: Sequence[str], conf: str | None) -> tuple[Sequence[str], Config]:
    """The names of environments, and the conf, which may be the last of them."""
    if conf is None and names and output.is_conf_name(names[-1]):
        names, conf = names[:-1], names[-1]
    return names, _config(conf)


def _chosen(config: Config, names: Sequence[str]) -> list[EnvironmentRules]:
    known = config.environments
    if not known:
        raise click.UsageError(
            "no conf declares an environment; give one with --conf FILE, or AIMM_PLUGINS_CONF"
            if config.source is None
            else f"{config.source} declares no environment"
        )
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"there are {', '.join(known)}"
            raise click.UsageError(f"there is no environment {name!r}; {hint}")
    return [known[name] for name in names or known]


def _site_or_raise(config: Config, rules: EnvironmentRules) -> EnvironmentSite:
    try:
        return find_site(environment_path(config, rules))
    except NoEnvironmentError as error:
        raise AimmPluginsError(f"environment {rules.name}: {error}") from error


def _row(config: Config, rules: EnvironmentRules) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(("folder", "python", "bytes", "age_seconds", "problem"))
    row |= {"name": rules.name, "state": "ready", "processes": []}
    try:
        site = find_site(environment_path(config, rules))
    except NoEnvironmentError as error:
        is_old = rules.path is None and "out of date" in str(error)
        return row | {"state": "out of date" if is_old else "missing", "problem": str(error)}
    others = [pid for pid in users(site.root) if pid != os.getpid()]
    row |= {"folder": site.root, "python": site.python, "processes": others}
    if rules.path is None:
        age = time.time() - os.lstat(wanted(config, rules).link).st_mtime
        row |= {"bytes": size_of(site.root), "age_seconds": round(age)}
    return row


def _age(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
