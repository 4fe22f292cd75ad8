"""Strict YAML: what it means, where it stands, and what is refused."""

from __future__ import annotations

import math

import pytest

from aimm_plugins import ConfigError
from aimm_plugins._yaml import MAX_BYTES, load, load_file


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("no", "no"),
        ("off", "off"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("12", 12),
        ("-3", -3),
        ("0o17", 15),
        ("0x1F", 31),
        ("017", 17),
        ("1_000", "1_000"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("2026-13-45", "2026-13-45"),
        ("2026-11-24", "2026-11-24"),
        ("12:30:45", "12:30:45"),
        ("=", "="),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("!!int '12'", 12),
        ("!!float 12", 12.0),
        ("{a: [1, {b: x}]}", {"a": [1, {"b": "x"}]}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("\ufeffa: 1", {"a": 1}),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(text, value):
    assert load(text).data == value
    assert type(load(text).data) is type(value)


def test_nan_is_a_float():
    assert math.isnan(load(".nan").data)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: 1\nb: 2\na: 3", "3:1", "'a' stands twice; the first is at line 1, column 1"),
        ("1: x", "1:1", "is not text; put it in quotes"),
        ("[a]: x", "1:1", "a key is text"),
        ("<<: {a: 1}", "1:1", "merge keys"),
        ("a: !!timestamp foo", "1:4", "is not allowed"),
        ("a: !!int abc", "1:4", "is no int"),
        ("a: !!bool 3", "1:4", "is no bool"),
        ("a: !!python/object:os.system x", "1:4", "is not allowed"),
        ("a: !!set {x}", "1:4", "is not allowed"),
        ("a: !own [x]", "1:4", "is not allowed"),
        ("a: " + "9" * 5000, "1:4", "more than 4000 digits"),
        ("a: [1", "", "is not YAML"),
        ("a:\n\t- b", "2:1", "is not YAML"),
        ("a: *nobody", "1:4", "is not YAML"),
        ("a: &x [*x]", "1:8", "stands within itself"),
        ("a\n---\nb", "2:1", "another document"),
        ("[" * 100_000, "1:", "nest"),
        ("{a: " * 200, "1:", "deeper than 100"),
        ("&a []" + "\x00", "", "is not YAML"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_its_place(text, place, message):
    with pytest.raises(ConfigError, match="(?s)" + message) as caught:
        load(text, file="conf.yaml")
    assert str(caught.value).startswith(f"conf.yaml:{place}")


def test_alias_bombs_are_refused_before_they_grow():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    with pytest.raises(ConfigError, match="aliases expanded"):
        load("\n".join(lines))


def test_depth_counts_what_aliases_bring():
    lines = ["a0: &a0 " + "[" * 60 + "]" * 60, "a1: " + "[" * 60 + "*a0" + "]" * 60]
    with pytest.raises(ConfigError, match="deeper than 100"):
        load("\n".join(lines))


def test_bytes_that_are_not_utf8_are_placed():
    with pytest.raises(ConfigError, match="2:4: is not UTF-8"):
        load(b"a: 1\nb: \xff", file="conf.yaml")


def test_too_long_a_document_is_refused():
    with pytest.raises(ConfigError, match="longer than"):
        load("#" * (MAX_BYTES + 1))


def test_file_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        load_file(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="Is a directory"):
        load_file(tmp_path)
    with pytest.raises(ConfigError, match="null"):
        load_file("a\0b")


def test_places_of_values_and_keys():
    document = load("names:\n  - a\nrules: {deny: [b]}")
    assert document.place(("names", 0)) == (2, 5)
    assert document.place(("rules", "deny"), key=True) == (3, 9)
    assert document.place(("rules", "deny", 0)) == (3, 16)
    assert document.place(("rules", "nobody")) == (3, 8)


def test_empty_document_has_no_place():
    assert load("").place(("a",)) is None
