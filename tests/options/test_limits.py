"""What a schema of a third party can cost, at most."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import pytest

import aimm_plugins
from aimm_plugins import ConfigError, DeclarationError, cli
from aimm_plugins._options.limits import UnjudgedError, most_steps
from aimm_plugins._system import ceilings
from aimm_plugins._system.ceilings import SCHEMA_VALUES
from tests.options.conftest import GROUPS, KEY, given, schema_of

BOMB = "^(a+)+$"
ENOUGH_TIME = 10


@pytest.fixture
def quick():
    """Fails a test that takes long."""
    begin = time.thread_time()
    yield
    assert time.thread_time() - begin < ENOUGH_TIME


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(ceilings, "SCHEMA_STEPS", 5_000)


def doubling(word, levels=40):
    """A schema whose references double at each level."""
    tree = {f"a{level}": {word: [{"$ref": f"#/$defs/a{level + 1}"}] * 2} for level in range(levels)}
    return {"$defs": {**tree, f"a{levels}": {}}, "$ref": "#/$defs/a0"}


@pytest.mark.parametrize(
    "schema",
    [
        doubling("allOf"),
        doubling("oneOf"),
        {**doubling("anyOf"), "unevaluatedProperties": False},
    ],
    ids=["allOf", "oneOf", "unevaluated"],
)
def test_references_that_double_are_given_up(few_steps, schema):
    with pytest.raises(DeclarationError, match="takes more than 5,000 steps to check"):
        schema_of(schema).check({"b": 1})


def test_sound_conf_is_not_refused_where_the_machine_is_slow(wine, monkeypatch):
    monkeypatch.setattr(ceilings, "SCHEMA_SECONDS", 0)
    wine({"properties": {"trees": {"type": "integer"}, "more": {"default": 1}}})
    conf = {"names": [], "options": {"wine": {"trees": 5}}}
    report = aimm_plugins.plan(conf)
    (record,), (finding,) = report.plugins, report.findings
    assert (record.state, finding.code) == ("planned", "options-not-checked")
    assert (
        "checked when it is loaded, since of their schema aimm_wine:options.json" in record.reason
    )
    assert "options.json is not looked at before the plugins are loaded" in finding.message
    assert given(conf["options"]) == {"trees": 5, "more": 1}


def test_values_that_a_conf_gives_may_be_many():
    schema = {"properties": {"sizes": {"items": {"type": "integer", "minimum": 0}}}}
    sizes = list(range(50_000))
    assert schema_of(schema).check({"sizes": sizes}) == ({"sizes": sizes}, [])


def test_anchor_is_looked_up_once_and_not_in_the_whole_document_each_time(quick):
    named = {f"p{number}": {"$ref": "#here"} for number in range(1300)}
    document = {"$defs": {"a": {"$anchor": "here", "type": "integer"}}, "properties": named}
    assert len(schema_of(document).check(dict.fromkeys(named, "x"))[1]) == 1300


def test_references_that_double_below_values_are_given_up(few_steps):
    levels = {
        f"a{n}": {"allOf": [{"$ref": f"#/$defs/b{n}"}] * 2} | {"default": {}} for n in range(24)
    }
    levels |= {
        f"b{n}": {"properties": {"x": {"$ref": f"#/$defs/a{n + 1}", "default": {}}}}
        for n in range(23)
    }
    with pytest.raises(DeclarationError, match="takes more than 5,000 steps"):
        schema_of({"$defs": {**levels, "b23": {}}, "$ref": "#/$defs/a0"}).check({})


@pytest.mark.parametrize("word", ["allOf", "anyOf", "oneOf"])
def test_options_of_a_schema_that_doubles_are_listed(quick, word):
    tree = doubling(word)
    document = {"$defs": tree["$defs"], "properties": {"x": {"$ref": "#/$defs/a0", "default": 1}}}
    (option,) = schema_of(document).known()
    assert (option.type, option.default) == ("anything", "1")


def test_schema_with_too_many_values_is_refused(quick):
    with pytest.raises(DeclarationError, match=f"has more than {SCHEMA_VALUES} values"):
        schema_of({"allOf": [{}] * SCHEMA_VALUES})


CIRCLES = {
    "by itself": {"$ref": "#"},
    "by a default": {"properties": {"a": {"$ref": "#", "default": {}}}},
    "by all of it": {"allOf": [{"anyOf": [{"$ref": "#"}]}]},
}


def at_depth(frames, function):
    """What a function returns to a caller with so many frames above it."""
    return function() if frames == 0 else at_depth(frames - 1, function)


@pytest.mark.parametrize("document", CIRCLES.values(), ids=CIRCLES)
@pytest.mark.parametrize("frames", [0, 250])
def test_circle_is_told_before_frames_run_out(document, frames):
    schema = schema_of(document)
    with pytest.raises(DeclarationError, match="leads in a circle, or more than 100 levels deep"):
        at_depth(frames, lambda: schema.check({"b": 1}))


def nested(levels):
    """A schema of mappings in mappings."""
    document = {}
    for _ in range(levels):
        document = {"properties": {"a": document}}
    return document


def test_schema_that_is_nested_deeper_than_the_ceiling_is_refused():
    with pytest.raises(DeclarationError, match="nested deeper than 100 levels"):
        schema_of(nested(51))


def test_schema_as_deep_as_the_ceiling_is_held_against_values_as_deep():
    values = "x"
    for _ in range(50):
        values = {"a": values}
    options, faults = schema_of(nested(50)).check(values)
    assert (options, faults) == (values, [])


@pytest.mark.parametrize("flags", ["", "(?i)"])
def test_patterns_that_are_dear_to_compile_are_refused_or_read_in_time(quick, flags):
    pattern = flags + r"[\x00-\U0010ffff]" * 40
    with suppress(DeclarationError):
        schema_of({"allOf": [{"pattern": f"{pattern}{number}"} for number in range(1000)]})


def test_schema_of_values_that_are_dear_to_compare_is_refused_in_time(quick):
    with pytest.raises(DeclarationError, match="a list of more than 500 items"):
        schema_of({"type": [{"a": number} for number in range(SCHEMA_VALUES // 2 - 10)]})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"$defs": {"a": {"$schema": "http://json-schema.org/draft-07/schema#"}}}, "of its own"),
        ({"$defs": {"a": {"$id": "https://a.example/"}}}, "of its own"),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, "leads nowhere within it"),
        ({"$id": "https://a.example/b", "$ref": "c"}, "leads nowhere within it"),
    ],
)
def test_schema_that_goes_on_beyond_its_limits_is_refused(document, message):
    with pytest.raises(DeclarationError, match=message):
        schema_of(document)


def test_own_id_and_dialect_at_the_root_are_fine():
    named = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "aimm://wine"}
    document = {
        **named,
        "$defs": {"a": {"type": "integer"}},
        "properties": {"a": {"$ref": "#/$defs/a"}},
    }
    assert len(schema_of(document).check({"a": "x"})[1]) == 1


@pytest.mark.parametrize(
    "pattern",
    [
        BOMB,
        "(a|a)*$",
        "(a|aa)+$",
        "([a-z]+)*$",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        "(.*)*x",
        "(a{1,9}){1,9}$",
        "(?:a+){2,}$",
        "(?P<n>a*)(?P=n)*b",
        "(?x) (a+) +$",
        "(a+)(?#comment)+$",
        "a?" * 40 + "a" * 40,
        "(a|a)" * 40 + "b",
        "a*" * 8 + "b",
        r"[\])]*(a+)+$",
        r"[\][](a+)+]?$",
        r"[]\](a+)+]|(b+)+$",
        pytest.param("x" * 2000, id="long"),
        pytest.param("[" * 100_000, id="many classes"),
    ],
)
def test_pattern_that_might_backtrack_for_long_counts_as_long(quick, pattern):
    assert most_steps(pattern, 40) > 10_000_000


@pytest.mark.parametrize(
    "pattern",
    [
        "^x",
        "^[a-z]+$",
        "^[a-z]+-[a-z0-9]+$",
        r"^\d{4}-\d{2}-\d{2}$",
        "^(small|medium|large)$",
        "^https?://",
    ],
)
def test_ordinary_pattern_counts_as_short(pattern):
    assert most_steps(pattern, 200) < 10_000_000


@pytest.mark.parametrize(
    ("schema", "values"),
    [
        ({"properties": {"a": {"pattern": BOMB}}}, {"a": "a" * 40 + "!"}),
        ({"properties": {"a": {"pattern": BOMB, "default": "a" * 40 + "!"}}}, {}),
        ({"patternProperties": {BOMB: {}}}, {"a" * 40 + "!": 1}),
        ({"patternProperties": {BOMB: {}}, "additionalProperties": False}, {"a" * 40 + "!": 1}),
        (
            {"allOf": [{"patternProperties": {BOMB: {}}}], "unevaluatedProperties": False},
            {"a" * 40 + "!": 1},
        ),
        ({"propertyNames": {"pattern": BOMB}}, {"a" * 40 + "!": 1}),
    ],
    ids=json.dumps,
)
def test_pattern_that_might_take_long_is_not_tried_while_nothing_is_loaded(quick, schema, values):
    with pytest.raises(UnjudgedError, match="might take too long"):
        schema_of(schema).check(values, looking=True)


def test_plan_says_that_a_pattern_is_tried_when_the_plugin_is_loaded(wine, quick):
    wine({"properties": {"a": {"pattern": BOMB}}})
    (record,) = aimm_plugins.plan({"names": [], "options": {"wine": {"a": "aaab"}}}).plugins
    assert record.state == "planned"
    assert "options are checked when it is loaded" in record.reason
    assert f"its pattern {BOMB!r} might take too long" in record.reason
    with pytest.raises(ConfigError, match="'aaab' does not match"):
        aimm_plugins.initialize({"names": [], "options": {"wine": {"a": "aaab"}}})


def test_plan_is_not_held_up_by_a_plugin_that_no_conf_gives_anything(wine, quick):
    wine({"properties": {"a": {"pattern": BOMB, "default": "a" * 40 + "!"}}}, code=KEY)
    assert aimm_plugins.plan().findings == ()


def test_show_is_not_held_up_by_a_denied_plugin(wine, quick, capsys):
    wine(
        {
            "patternProperties": {BOMB: {"writeOnly": True}},
            "properties": {"a" * 40: {"default": 1}},
        },
        groups={**GROUPS, "aimm.plugins.fit": {"wine": "aimm_wine:fit"}},
    )
    cli.run(["show", "wine"])
    assert f"{'a' * 40}: anything, default ***" in capsys.readouterr().out


def test_text_that_references_multiply_is_shortened():
    sizes = {"enum": [f"size {number}" for number in range(2000)]}
    named = {f"p{number}": {"$ref": "#/$defs/sizes"} for number in range(400)}
    known = schema_of({"$defs": {"sizes": sizes}, "properties": named}).known()
    assert known[0].type.startswith("one of size 0, size 1, ")
    assert known[0].type.endswith("size 19 and 1980 more")
    assert sum(len(str(option)) for option in known) < 200_000


def test_many_keys_that_are_missing_are_counted():
    _, (fault,) = schema_of({"required": [f"k{number}" for number in range(3000)]}).check({})
    assert fault.message.startswith("keys 'k0', 'k1', ")
    assert fault.message.endswith("'k19' and 2980 more are missing")
