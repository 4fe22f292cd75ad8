"""Take the inventory of a conf: from rules, metadata and sources, or from imports.

In comes a conf; out goes an `Inventory`. No plugin is imported unless the caller asks for it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from traceback import walk_tb
from typing import Any

from aimm_plugins._config.parse import read
from aimm_plugins._config.values import Conf
from aimm_plugins._discovery.scan import scan
from aimm_plugins._registry.providers import Provider, Slot
from aimm_plugins._source.declarations import SourceDeclaration
from aimm_plugins._startup.deferred import load_deferred
from aimm_plugins._startup.inventory import Inventory, InventoryItem
from aimm_plugins._startup.lifecycle import foresee, initialize
from aimm_plugins._startup.prepare import prepare
from aimm_plugins._startup.registered import current_report
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.log import silent_log
from aimm_plugins._system.signatures import shown_signature
from aimm_plugins._values.provenance import Provenance
from aimm_plugins._values.report import PluginRecord
from aimm_plugins.errors import PluginImportError, PluginLoadError


def take_inventory(conf: Conf = None, *, load: bool = False) -> Inventory:
    """Find out what there is to know about all plugins of a conf.

    With `load` all that a start or a first call would import are imported, whatever `on_error` is.
    """
    return _with_imports(conf) if load else foresee(PROCESS.runtime, conf)


def given_options(conf: Conf = None) -> dict[str, dict[str, Any]]:
    """What a conf gives to plugins, by module, secrets too, for processes that import them."""
    options = prepare(PROCESS.runtime, [read(conf)], scan()).options
    return {} if options is None else {m: dict(given.values) for m, given in options.given.items()}


def _with_imports(conf: Conf) -> Inventory:
    seen = foresee(PROCESS.runtime, conf)
    before = {item.record.identity: item for item in seen.plugins}
    # A plugin that fails must not hide what the others provide.
    config = read(conf)._replace(on_error="isolate")
    with silent_log():
        for record in initialize(PROCESS.runtime, config):
            if record.state == "deferred":  # what its first call meets is more than an import
                with suppress(PluginLoadError):
                    load_deferred(PROCESS.runtime, record.identity)
    report = current_report(PROCESS.runtime)
    providers: dict[str, dict[Slot, Provider]] = {}
    for slot, provider in PROCESS.runtime.registry.providers().items():
        providers.setdefault(provider.plugin, {})[slot] = provider
    return replace(
        seen,
        plugins=tuple(
            _imported(
                before.get(record.identity, InventoryItem(record=record)),
                record,
                providers.get(record.plugin, {}),
            )
            for record in report.plugins
        ),
        findings=report.findings,
        loaded=True,
    )


def _imported(
    item: InventoryItem, record: PluginRecord, providers: Mapping[Slot, Provider]
) -> InventoryItem:
    registered = [_of_provider(providers[slot]) for slot in record.provides if slot in providers]
    if record.environment is not None:  # its functions are in another process
        seen = {(found.action, found.key): found for found in item.declarations}
        registered = [seen.get((found.action, found.key), found) for found in registered]
    imported = record.is_loaded or record.state == "shadowed"
    lost: list[SourceDeclaration] = []
    if not imported or record.error is not None or record.reason is not None:
        # Keys that it lost to a rule or another plugin are not registered, but in its source.
        provided = frozenset(record.provides)
        lost = [found for found in item.declarations if (found.action, found.key) not in provided]
    return replace(
        item,
        record=record._replace(file=record.file or item.record.file),
        declarations=(*registered, *lost),
        keys_from="import" if imported else item.keys_from,
        place=item.place or _raised_at(record.error),
    )


def _raised_at(error: BaseException | None) -> str | None:
    """The line of a plugin or library that led to what an import failed with, not one of Python."""
    place = None
    with guarded():  # a class of errors may override what is asked for here
        if isinstance(error, PluginImportError) and error.__cause__ is not None:
            error = error.__cause__
        for frame, line in walk_tb(None if error is None else error.__traceback__):
            module = str(frame.f_globals.get("__name__"))
            if module.partition(".")[0] not in {"aimm_plugins", *sys.stdlib_module_names}:
                place = Provenance(module=module, file=frame.f_code.co_filename, line=line).place
    return place


def _of_provider(provider: Provider) -> SourceDeclaration:
    signature = docstring = None
    if provider.function is not None:
        with guarded():  # a function of an extension may have none, and `__signature__` may be odd
            signature = shown_signature(provider.function)
        with guarded():  # `__doc__` may be a property that raises
            docstring = inspect.getdoc(provider.function)
    return SourceDeclaration(
        action=provider.action,
        key=provider.key,
        module=provider.module,
        qualname=provider.qualname,
        file=provider.file,
        line=provider.line,
        signature=signature,
        docstring=docstring,
    )
