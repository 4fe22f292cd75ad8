"""Import a plugin in a child process first, where it can hang or crash without harm.

A timeout in this process would not help: a thread that imports cannot be stopped, and holds its
locks. Results are not kept, because what breaks a plugin is often an upgrade of something else.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from aimm_plugins._loading.exceptions import shorten_traceback
from aimm_plugins._startup.plugin_options import give
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._system.child import ChildError, run_task
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.masking import masked
from aimm_plugins._system.modules import import_whole
from aimm_plugins._system.text import described
from aimm_plugins.errors import PluginImportError

if TYPE_CHECKING:
    from aimm_plugins._discovery.verification import Verified


def probe(
    module: str,
    seconds: float,
    options: Mapping[str, Any] | None = None,
    attribute: str | None = None,
    verified: Sequence[Verified] = (),
) -> None:
    """Import a module in a child process and return when that has succeeded.

    The child gets this process's `sys.path`, environment and working directory, and neither its
    import hooks nor what it has imported. Its threads, children and output end with it. Of the
    `verified` distributions it runs only what was verified.

    Raises:
        PluginImportError: The import raised, or the child hung, crashed or left early; or no child
            process can be started here.
    """
    proofs = [tuple(each) for each in verified]
    task = partial(import_plugin, module, attribute, plain_options(options), proofs)
    try:
        result = run_task(task, seconds=seconds)
    except ChildError as reason:
        raise PluginImportError(
            f"{module} was not tried in a child process: {reason}. Leave `probe` out of the conf "
            "to import plugins in this process alone",
            name=module,
        ) from reason
    if not result.answers:
        if result.status is None:
            what = f"importing {module} in a child process took more than {seconds:g} seconds"
        else:
            what = f"the child process that imported {module} {result.ended}"
            what += " in the middle of the import"
        raise PluginImportError(what, name=module)
    raised, trace, missing = result.answers[0]
    if raised is not None:
        error = PluginImportError(
            f"importing {module} in a child process raised {masked(raised)}", name=module
        )
        if missing is not None:  # by which a remedy is found
            error.__cause__ = ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        if trace:
            error.add_note(f"In the child process:\n{masked(trace.rstrip())}")
        raise error


def import_plugin(
    module: str,
    attribute: str | None,
    options: dict[str, Any] | None,
    verified: Sequence[tuple[Any, ...]],
) -> Iterator[tuple[str | None, str, str | None]]:
    """Import a plugin in the child process; answers with what that raised, if anything.

    That is a description, a traceback, and the name of the module where one is missing.
    """
    prepare_child(module, options, verified)
    try:
        found = import_whole(module)
        if attribute is not None:
            with suppress(AttributeError):  # the host finds and words that itself
                attrgetter(attribute)(found)
    except BaseException as error:
        trace = ""
        with guarded():
            if error.__traceback__ is not None:  # without the frame of this function
                error.__traceback__ = error.__traceback__.tb_next
            shorten_traceback(error)
            trace = "".join(traceback.format_exception(error))
        name = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
        missing = name if isinstance(name, str) else None
        yield described(error)[:10_000], trace[-100_000:], missing
    else:
        yield None, "", None


def prepare_child(
    module: str, options: dict[str, Any] | None, verified: Sequence[tuple[Any, ...]]
) -> None:
    """Give a child process, which will import a plugin, what this process would have for it."""
    PROCESS.runtime.verify_imports(verified)
    if options is not None:
        give(module, options)


def plain_options(options: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A plugin's options for a child process, or `None` where they cannot be written as JSON."""
    if options is None:
        return None
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(options)))
    except (TypeError, ValueError, RecursionError):  # a host's mapping may hold anything
        return None
    return plain
