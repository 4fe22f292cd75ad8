"""Predictions of all kinds, written as CSV and JSON lines."""

from __future__ import annotations

import pytest

from aimm_plugins._jobs.predictions import encode


@pytest.mark.parametrize(
    ("unit", "csv", "json"),
    [
        ("ns", "2024-01-02 00:00:00", '"2024-01-02T00:00:00"'),
        ("us", "2024-01-02 00:00:00", '"2024-01-02T00:00:00"'),
        ("D", "2024-01-02", '"2024-01-02"'),
    ],
)
def test_times_are_written_as_times_whatever_their_unit(unit, csv, json):
    numpy = pytest.importorskip("numpy")
    times = numpy.array(["2024-01-02", "NaT"], dtype=f"datetime64[{unit}]")
    for given in (times, list(times)):
        assert encode(given, "x.csv").decode() == f'prediction\n{csv}\n""\n'
        assert encode(given, "x.jsonl").decode() == f"{json}\nnull\n"


def test_array_of_records_keeps_the_names_of_its_fields():
    numpy = pytest.importorskip("numpy")
    records = numpy.array([(1, 2.5)], dtype=[("count", int), ("size", float)])
    assert encode(records, "x.csv") == b"count,size\n1,2.5\n"
    assert encode(records, "x.jsonl") == b'{"count": 1, "size": 2.5}\n'
