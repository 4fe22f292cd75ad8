"""Secrets of the environment and of files."""

from __future__ import annotations

import re
import sys

import pytest

import aimm_plugins
from aimm_plugins import (
    ConfigError,
)
from tests.options.conftest import SECRET, given


def test_secrets_come_from_the_environment_and_from_files(wine, conf, monkeypatch, tmp_path):
    wine({})
    monkeypatch.setenv("WINE_TOKEN", SECRET)
    (tmp_path / "token.txt").write_bytes(b"one\ntwo\r\n")
    text = "wine: {a: 'env:WINE_TOKEN', b: ['file:token.txt'], c: {d: 'env:WINE_TOKEN'}}"
    assert given(conf(text)) == {"a": SECRET, "b": ["one\ntwo"], "c": {"d": SECRET}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("env::HOME", "env:HOME"),
        ("file:::x", "file::x"),
        ("file:///data/model.bin", "file:///data/model.bin"),
        ("environment: x", "environment: x"),
        ("env", "env"),
    ],
)
def test_text_that_looks_like_a_secret_can_be_written(wine, text, value):
    wine({})
    assert given({"wine": {"a": text}}) == {"a": value}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("env:AIMM_NOT_SET", "the environment variable AIMM_NOT_SET is not set"),
        ("env:", "it names nothing"),
        ("file:no-such", "there is no file"),
        ("file:.", "regular file|directory"),
        ("file:latin", "is not UTF-8"),
    ],
)
def test_secret_that_cannot_be_read_is_an_error_of_the_start_and_a_finding_of_the_plan(
    wine, conf, tmp_path, text, problem
):
    wine()
    (tmp_path / "latin").write_bytes(b"gr\xfcn")
    path = conf(f"wine:\n  trees: 1\n  token: '{text}'")
    (finding,) = aimm_plugins.plan(path).findings
    assert (finding.code, finding.subject) == ("secret-missing", text)
    assert re.search(problem, finding.message, re.IGNORECASE)
    with pytest.raises(ConfigError) as caught:
        aimm_plugins.initialize(path)
    assert f"plugins.yaml:5:12: at options.wine.token: {text} cannot be read: " in str(caught.value)
    assert "aimm_wine" not in sys.modules


def test_plan_judges_what_does_not_depend_on_secrets(wine):
    wine(
        {
            "properties": {"token": {"const": "x"}, "trees": {"type": "integer"}},
            "anyOf": [{"properties": {"token": {"maxLength": 3}}}],
            "maxProperties": 2,
        }
    )
    secret = {"token": "env:AIMM_NOT_SET"}
    assert aimm_plugins.plan({"names": [], "options": {"wine": secret}}).ok
    for wrong in ({"trees": "x"}, {"b": 1, "c": 2}):
        with pytest.raises(ConfigError):
            aimm_plugins.plan({"names": [], "options": {"wine": {**secret, **wrong}}})


def test_plan_tells_that_a_secret_is_a_text_where_none_fits(wine):
    integer = {"properties": {"token": {"type": "integer"}}}
    secret = {"names": [], "options": {"wine": {"token": "env:AIMM_NOT_SET"}}}
    wine(integer)
    with pytest.raises(ConfigError, match=r"token: a secret does not fit.*expected a whole number"):
        aimm_plugins.plan(secret)
    wine({"properties": {"a": {"if": True, "then": integer["properties"]["token"]}}})
    assert aimm_plugins.plan({"names": [], "options": {"wine": {"a": "env:AIMM_NOT_SET"}}}).ok


def test_record_tells_what_is_set_and_where_secrets_come_from(wine, monkeypatch):
    wine({})
    monkeypatch.setenv("WINE_TOKEN", SECRET)
    options = {"trees": 1, "a": {"b": "env:WINE_TOKEN"}}
    (record,) = aimm_plugins.initialize({"names": [], "options": {"wine": options}}).plugins
    assert record.options == ("a", "a.b (env:WINE_TOKEN)", "trees")
