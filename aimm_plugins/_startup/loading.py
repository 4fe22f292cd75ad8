"""Import what a start has planned, with the options that it gives to plugins."""

from __future__ import annotations

import importlib
from functools import partial

from aimm_plugins._loading.importer import Loader, Outcome, account_for
from aimm_plugins._startup.prepare import PreparedStart
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._values.report import PluginRecord


def load(runtime: Runtime, start: PreparedStart) -> Outcome:
    """Import the plugins of a start; the only step that runs plugin code.

    A schema that is code can be asked for when the plugin is imported, so options are checked
    against it here.
    """
    if not start.environments:
        return _load_here(runtime, start)
    from aimm_plugins._startup.environments.loading import StartingEnvironments

    starting = StartingEnvironments(runtime, start)
    try:
        outcome = _load_here(runtime, start)
        starting.add_to(outcome)
    except BaseException:
        starting.close()
        raise
    outcome.undo = starting.close
    return outcome


def _load_here(runtime: Runtime, start: PreparedStart) -> Outcome:
    # What was imported once, and forgotten by Python, has declared nothing for the run to come.
    runtime.ledger.discard_unloaded_modules()
    if runtime.has_loaded:
        # A plugin that was repaired since may have new files in folders that were listed before.
        forget_listings()
    runtime.has_loaded = True
    seconds = start.policy.probe_seconds
    loader = Loader(
        runtime.ledger,
        runtime.manager,
        runtime.versions,
        runtime.registry.loads,
        denial=start.admission.denial if start.admission.is_needed else None,
        probe=None if seconds is None else partial(_probe, start, seconds),
        find=start.installed.find,
    )
    outcome = _load(runtime, start, loader)
    account_for(outcome, start.installed)
    return outcome


def _load(runtime: Runtime, start: PreparedStart, loader: Loader) -> Outcome:
    options = start.options
    runtime.admissions.append(start.admission)
    try:
        if options is None:
            return loader.load(start.plan)
        from aimm_plugins._startup.plugin_options import check_all, options_state

        with options_state(runtime).staging(options):
            outcome = loader.load(start.plan)
            check_all(options, outcome, start.admission.denial_of)
        return outcome
    finally:
        runtime.admissions.remove(start.admission)


def _probe(start: PreparedStart, seconds: float, record: PluginRecord) -> None:
    from aimm_plugins._startup.probe import probe  # most starts have none

    given = None if start.options is None else start.options.given.get(record.module)
    options = None if given is None else given.values
    verified = start.admission.proofs.verified
    probe(record.module, seconds, options, record.attribute, verified)


def forget_listings() -> None:
    """Have the path finders list their folders again.

    `invalidate_caches` is not thread-safe: it may raise KeyError when another thread runs it too.
    Retrying is enough. It may import importlib.metadata, which raises OSError in a process that has
    no file descriptors left; there are no listings of that then.
    """
    for _ in range(5):
        try:
            importlib.invalidate_caches()
        except (KeyError, OSError):
            continue
        return
