"""Checks of what importing the plugin does to a process, seen in a fresh one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from aimm_plugins._system.child import START_SECONDS, ChildResult, run_task
from aimm_plugins.errors import PluginLoadError
from aimm_plugins.testing import START_ENVIRONMENT
from aimm_plugins.testing._checks.registry import check
from aimm_plugins.testing._child_tasks import observe_import
from aimm_plugins.testing._isolation import Isolated
from aimm_plugins.testing._results import load_failure
from aimm_plugins.testing._subject import Inapplicable, Subject


def _facts(subject: Subject) -> dict[str, Any]:
    """What importing the plugin in a fresh process took and changed, found out once."""
    if not subject.facts:
        subject.facts.update(_import_facts(subject.plugin))
    if "failure" in subject.facts:
        if subject.facts["failure"] is None:
            raise Inapplicable(f"{subject.plugin} cannot be imported, as another check says")
        failure, subject.facts["failure"] = subject.facts["failure"], None  # it is told once
        raise AssertionError(failure)
    return subject.facts


def _import_facts(plugin: str) -> dict[str, Any]:
    # An import in this process may have set variables, which a child would inherit. But tests may
    # set what it cannot be imported without.
    names = {*os.environ, *START_ENVIRONMENT}
    environment: dict[str, str | None] = {name: START_ENVIRONMENT.get(name) for name in names}
    result = _observed(plugin, environment)
    if not result.answers:
        result = _observed(plugin, environment := {})
    if not result.answers:
        lines = result.text.strip().splitlines()
        why = lines[-1] if lines else f"the process {result.ended}"
        failure = f"{plugin} cannot be imported in a fresh process: {why}\n{result.text.rstrip()}"
        return {"failure": failure.rstrip()}
    facts: dict[str, Any] | None = result.answers[0]
    if facts is None:
        raise Inapplicable(f"{plugin} cannot be imported by name in another process")
    if facts["changes"] and facts["others"]:  # which may have made them
        again = _observed(plugin, environment, facts["others"]).answers
        facts["changes"] = again[0]["changes"] if again and again[0] else facts["changes"]
    return {**facts, "text": result.text}


def _observed(
    plugin: str, environment: dict[str, str | None], first: Sequence[str] = ()
) -> ChildResult:
    return run_task(
        partial(observe_import, plugin, first),
        seconds=60.0,
        start_seconds=START_SECONDS,
        environment=environment,
        in_new_folder=True,
    )


@check("plugin", child=True)
def import_succeeds(subject: Subject) -> None:
    """A fresh process can import the plugin, and a host can load it."""
    _facts(subject)
    try:
        Isolated().load(subject.plugin)
    except PluginLoadError as error:
        raise AssertionError(load_failure(error)) from error


def _check_leaves(what: str, promise: str, *prefixes: str) -> None:
    def function(subject: Subject) -> None:
        found = [change for change in _facts(subject)["changes"] if change.startswith(prefixes)]
        if found:
            raise AssertionError("importing the plugin: " + "; ".join(found))

    function.__name__ = f"import_leaves_{what}"
    function.__doc__ = f"Importing the plugin {promise}."
    check("plugin", child=True)(function)


_check_leaves("threads", "leaves no thread running", "threads")
_check_leaves("signals", "sets no signal handler", "signal handlers")
_check_leaves("environment", "sets no environment variable", "os.environ")
_check_leaves("working_directory", "does not change the working directory", "working directory")
_LOGGING = ("root logging", "globals: logging", "globals: the logger")
_check_leaves("logging", "does not configure logging", *_LOGGING)
_check_leaves("warnings", "adds no warning filter", "warning filters")
_check_leaves("path", "does not change `sys.path`", "sys.path")
_GLOBALS = "changes no hook, stream, limit, locale or random state of Python's"
_check_leaves("globals", _GLOBALS, "globals")


@check("plugin", child=True)
def import_writes_no_file(subject: Subject) -> None:
    """Importing the plugin writes no file into the working directory."""
    files = _facts(subject)["files"]
    if files:
        raise AssertionError("importing the plugin wrote " + ", ".join(files))


@check("plugin", child=True)
def import_prints_nothing(subject: Subject) -> None:
    """Importing the plugin prints nothing on stdout or stderr."""
    facts = _facts(subject)
    if facts["output"]:
        raise AssertionError(f"importing the plugin printed: {facts['text']:.500}")


@check("plugin", child=True)
def import_is_quick(subject: Subject) -> None:
    """Importing the plugin takes no longer than `import_seconds`."""
    limit = 30.0 if subject.conformance is None else subject.spec.import_seconds
    seconds = _facts(subject)["seconds"]
    if seconds > limit:
        # Once more: files that were never read before and a busy machine are not the plugin's.
        seconds = min(seconds, _import_facts(subject.plugin).get("seconds", seconds))
    subject.notes.append(f"imported in {seconds:.2f} s")
    if seconds > limit:
        raise AssertionError(f"the import took {seconds:.2f} s, and the limit is {limit:g} s")


@check("plugin", child=True)
def keys_are_stable(subject: Subject) -> None:
    """Another process that imports the plugin declares the same keys."""
    found = {tuple(slot) for slot in _facts(subject)["keys"]}
    Isolated().load(subject.plugin)
    declared = {(provider.action, provider.key) for provider in subject.providers()}
    if missing := sorted(declared - found):
        names = ", ".join(f"{action}:{key}" for action, key in missing)
        raise AssertionError(f"declared here, and not in another process: {names}")
