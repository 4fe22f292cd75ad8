"""What a server serves of a report, as values."""

from __future__ import annotations

import pytest

from aimm_plugins._values.report import Finding, PluginRecord, Report
from aimm_plugins.contrib._readiness import SHOWN_FIELDS, LoadStatus
from aimm_plugins.errors import PluginLoadError

SECRET = "s3cr3t"
FILLED = PluginRecord(
    name="score",
    source="config",
    module="acme_score",
    attribute=SECRET,
    distribution="acme-score",
    version="1.0",
    origin="index",
    state="failed",
    provides=(("fit", "acme.score"),),
    error=ValueError(SECRET),
    reason=SECRET,
    import_seconds=0.5,
    imports=(("acme_score", 1),),
    entry_point="score = acme_score",
    config_place=SECRET,
    file=SECRET,
    options=(SECRET,),
    options_schema=SECRET,
    remedy=SECRET,
)
FINDING = Finding(code="odd", subject=SECRET, message=SECRET, place=SECRET, remedy=SECRET)


@pytest.fixture
def served():
    """What is served of a failed load, with and without details."""
    error = PluginLoadError(SECRET, [ValueError(SECRET)], Report((FILLED,), (FINDING,)))
    return {
        details: LoadStatus("failed", error).served_report(details, set())
        for details in (False, True)
    }


def test_only_listed_fields_are_served_without_details(served):
    without, with_all = served[False]["plugins"][0], served[True]["plugins"][0]
    assert without.keys() == with_all.keys()
    same = {name for name in without if without[name] == with_all[name]}
    assert same == SHOWN_FIELDS
    assert SECRET not in str(served[False])


class NewerReport(Report):
    """A report of a later version, which tells more in every mapping."""

    def to_dict(self):
        def more(value):
            if isinstance(value, list):
                return [more(item) for item in value]
            if isinstance(value, dict):
                return {name: more(item) for name, item in value.items()} | {"newer": SECRET}
            return value

        data = super().to_dict()
        return more(data | {"plugins": [dict(record, imports={}) for record in data["plugins"]]})


def test_new_field_is_hidden_until_it_is_listed():
    report = NewerReport((FILLED,), (FINDING,))
    status = LoadStatus("failed", PluginLoadError(SECRET, [ValueError(SECRET)], report))
    assert SECRET in str(status.served_report(True, set()))
    served = status.served_report(False, set())
    served["plugins"][0].pop("imports")  # names of modules, and no fields
    assert SECRET not in str(served)
    assert SECRET not in str(status.readiness(False))


def test_every_field_of_a_record_that_is_not_listed_is_tried():
    filled = {name for name in PluginRecord._fields if SECRET in str(getattr(FILLED, name))}
    assert filled == {*PluginRecord._fields} - SHOWN_FIELDS


def test_record_says_without_details_that_there_are_an_error_and_a_reason(served):
    record = served[False]["plugins"][0]
    assert record["error"]["type"] == "ValueError"
    assert "in the server's log" in record["error"]["message"]
    assert "in the server's log" in record["reason"]


def test_readiness_names_the_error_and_withholds_its_text():
    status = LoadStatus("failed", ValueError(SECRET))
    assert status.readiness(False)["error"] == {"type": "ValueError", "message": None}
    assert status.readiness(True)["error"] == {"type": "ValueError", "message": SECRET}
