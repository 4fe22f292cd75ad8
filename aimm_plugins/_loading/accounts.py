"""Add to the accounts of imports what to do about failures, and files of others."""

from __future__ import annotations

from aimm_plugins._discovery.scan import Scan
from aimm_plugins._inventory.module_files import foreign_module
from aimm_plugins._loading.importer import Outcome
from aimm_plugins._system.guard import guarded


def account_for(outcome: Outcome, installed: Scan) -> None:
    """Say what to do about failures, and whether what was imported is what was installed.

    A plugin may have broken imports, and so those of what is used here.
    """
    with guarded():
        for place, record in enumerate(outcome.records):
            if record.error is not None and record.remedy is None:
                from aimm_plugins._inventory.remedies import remedy_for_failure

                remedy = remedy_for_failure(record, record.error, installed)
                outcome.records[place] = record._replace(remedy=remedy)
        for place, entry in enumerate(outcome.loaded):
            foreign = foreign_module(entry.record, installed)
            if foreign is not None:
                outcome.findings.append(foreign)
                outcome.loaded[place] = entry._replace(may_be_empty=True)
        for record in outcome.records:
            foreign = foreign_module(record, installed) if record.state == "failed" else None
            if foreign is not None:
                outcome.findings.append(foreign)
