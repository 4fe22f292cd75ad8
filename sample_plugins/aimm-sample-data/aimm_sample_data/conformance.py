"""What `aimm-plugins check` and the tests call the accesses with, and what they claim."""

from __future__ import annotations

from importlib.resources import as_file, files

from aimm_plugins.testing import Arguments, Conformance, arguments


def _csv() -> Arguments:
    with as_file(files("aimm_sample_data") / "wine.csv") as path:
        return arguments(str(path), target="cultivar", columns=["hue", "ash"], chunk_rows=50)


def _sql() -> Arguments:
    query = "SELECT * FROM wine WHERE proline > :least ORDER BY proline, hue"
    return arguments(query, parameters={"least": 1000}, target="cultivar", chunk_rows=20)


CONFORMANCE = [
    Conformance(
        data_access=name,
        plugin="aimm_sample_data",
        access=access,
        claims={"deterministic", "distributable"},
    )
    for name, access in (
        ("csv", _csv),
        ("sql", _sql),
        ("wine", lambda: arguments(split="train", shuffle=3)),
    )
]
