"""Say what a start would lead to, as far as metadata tells."""

from __future__ import annotations

from aimm_plugins._registry.providers import Deferred
from aimm_plugins._startup.prepare import PreparedStart, locate_module
from aimm_plugins._startup.publish import resolve_now
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._values.report import PluginRecord


def predict_resolution(runtime: Runtime, start: PreparedStart) -> list[PluginRecord]:
    """The plan's records with the conflicts and shadows that published keys lead to."""
    publishing = [
        Deferred(
            _with_file(record)._replace(state="deferred"),
            start.plan.published[record.identity],
            lambda: None,
        )
        for record in start.plan.records
        if record.state in ("planned", "deferred") and record.identity in start.plan.published
    ]
    with runtime.lock:
        resolution = resolve_now(
            runtime,
            [entry.record for entry in publishing],
            [],
            start.prefer,
            deferred=publishing,
        )
    predicted = {record.identity: record for record in resolution.records}
    records = []
    for record in start.plan.records:
        known = predicted.get(record.identity)
        if known is None:
            known = _with_file(record)
        elif known.state == "deferred":
            known = known._replace(state=record.state, reason=record.reason)
        records.append(known)
    return records


def _with_file(record: PluginRecord) -> PluginRecord:
    return record._replace(file=record.file or locate_module(record.module))
