"""Differences: what two fingerprints differ in, and what to do about it."""

from __future__ import annotations

import json
import pickle

import pytest

from aimm_plugins import compare
from aimm_plugins._parity.fingerprint import of_rows
from aimm_plugins._parity.rows import FingerprintRow


def row(**more) -> FingerprintRow:
    standard = {
        "action": "fit",
        "key": "k",
        "distribution": "aimm-svc",
        "version": "1.2",
        "module": "aimm_svc",
        "files": "ab" * 32,
    }
    return FingerprintRow(**{**standard, **more})


def test_equal_fingerprints_have_no_difference():
    found = compare(of_rows([row()]), of_rows([row()]))
    assert not found
    assert str(found) == "no difference"


@pytest.mark.parametrize(
    ("first", "second", "kind", "remedy"),
    [
        ([row()], [], "missing", "pip install aimm-svc==1.2"),
        ([], [row()], "unexpected", "take aimm-svc out: uninstall it, or deny it"),
        ([row()], [row(version="1.1")], "version differs", "pip install aimm-svc==1.2"),
        ([row()], [row(version=None)], "version differs", "pip install aimm-svc==1.2"),
        ([row()], [row(files=None)], "files differ", "--force-reinstall aimm-svc==1.2"),
        (
            [row()],
            [row(distribution="aimm-legacy", version="0.9")],
            "other provider",
            'prefer: {"k": aimm-svc}',
        ),
        (
            [row()],
            [row(distribution="aimm-fork")],
            "other provider",
            'prefer: {"k": aimm-svc}',
        ),
        (
            [row()],
            [row(module="aimm_svc.other")],
            "other provider",
            'prefer: {"k": aimm_svc}',
        ),
        (
            [row()],
            [row(module="aimm_svc.moved", version="1.3")],
            "version differs",
            "pip install aimm-svc==1.2",
        ),
        (
            [row(distribution=None, version=None)],
            [],
            "missing",
            "put the same aimm_svc on the path, and into `names`",
        ),
        (
            [row(distribution=None, version=None, module="__main__")],
            [],
            "missing",
            "declare it in a module; what a main program",
        ),
        (
            [row(distribution=None, version=None)],
            [row(distribution=None, version=None, module="other")],
            "other provider",
            'prefer: {"k": aimm_svc}',
        ),
    ],
)
def test_difference_says_its_kind_and_what_to_do(first, second, kind, remedy):
    (found,) = compare(of_rows(first), of_rows(second))
    assert found.kind == kind
    assert remedy in found.remedy


def test_remedy_is_indented_in_the_table_alone():
    (found,) = compare(of_rows([row()]), of_rows([]))
    assert found.remedy == "pip install aimm-svc==1.2  (and let the conf load it)"
    assert f"\n  {found.remedy}" in str(compare(of_rows([row()]), of_rows([])))


def test_keys_of_one_plugin_are_one_line_of_the_table():
    one = of_rows([row(), row(action="predict"), row(key="other")])
    other = of_rows(found._replace(version="1.1", files="cd" * 32) for found in one.rows)
    assert str(compare(one, other)).splitlines() == [
        "  what             first                      second                     keys",
        "  version differs  aimm-svc 1.2 abababababab  aimm-svc 1.1 cdcdcdcdcdcd"
        "  fit:k, fit:other, predict:k",
        "To make the second like the first:",
        "  pip install aimm-svc==1.2",
    ]


def test_differences_survive_pickling_and_json():
    found = compare(of_rows([row()]), of_rows([]))
    assert pickle.loads(pickle.dumps(found)) == found
    assert json.loads(json.dumps(found.to_dict()))["differences"][0]["kind"] == "missing"
