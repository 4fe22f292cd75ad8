"""The fixture `make_distribution`: what is installed is found as if an installer had done it."""

from __future__ import annotations

import aimm_plugins


def test_distribution_is_found_with_its_keys_and_files(make_distribution):
    made = make_distribution(
        "my-models",
        "1.5",
        modules={"my_models": "", "my_models.mean": MEAN},
        entry_points={"mean": "my_models.mean"},
        published={"fit:mean": "my_models.mean:learn"},
        files={"my_models/data.txt": "1 2 3"},
    )
    report = aimm_plugins.initialize(
        {"names": [], "verify": "record", "entry_points": {"allow": ["my-models"]}}
    )
    (record,) = [each for each in report.plugins if each.state == "loaded"]
    assert (record.distribution, record.version, record.origin) == ("my-models", "1.5", "index")
    assert record.provides == (("fit", "mean"),)
    assert aimm_plugins.plan().plugins[-1].provides
    assert (made.folder / "my_models" / "data.txt").read_text() == "1 2 3"


MEAN = """
from aimm_plugins import fit

@fit(["mean"])
def learn(model, numbers):
    return sum(numbers) / len(numbers)
"""


def test_editable_distribution_is_seen_as_such(make_distribution):
    make_distribution(
        "dev",
        modules={"dev": MEAN},
        entry_points={"dev": "dev"},
        direct_url={"url": "file:///src", "dir_info": {"editable": True}},
    )
    (record,) = [each for each in aimm_plugins.plan().plugins if each.distribution == "dev"]
    assert record.origin == "editable"
