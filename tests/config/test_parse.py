"""Confs: what is sound, and how the rest is explained."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib.resources import files
from itertools import product
from types import MappingProxyType
from typing import Any

import pytest
import yaml

from aimm_plugins import ConfigError
from aimm_plugins._config.parse import read, read_policy
from tests.support.forked.case import BAD, Case


@pytest.mark.parametrize("conf", [None, {"names": []}, MappingProxyType({"names": ()})])
def test_empty_conf_has_the_defaults(conf):
    config = read(conf)
    assert config.names == ()
    assert config.entry_points.enabled
    assert config.entry_points.allow is None
    assert config.on_error == "strict"


def test_keys_of_the_user_are_left_alone():
    assert read({"names": [], "x-mine": {1: 2}, "entry_points": {"x-y": object()}}).names == ()


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({}, "key 'names' is missing"),
        ({"nmaes": []}, "unknown key 'nmaes'; did you mean 'names'?"),
        ({"names": "a"}, "at names: 'a' is of the wrong type (expected a list)"),
        ({"names": [1]}, "at names[0]: 1 is of the wrong type (expected text)"),
        ({"names": None}, "at names: None is of the wrong type"),
        ({"names": [], "name": []}, "unknown key 'name'; did you mean 'names'?"),
        (
            {"names": [], "entry_points": {"denny": []}},
            "at entry_points.denny: unknown key 'denny'; did you mean 'deny'?",
        ),
        ({"names": [], "entry_points": []}, "at entry_points: [] is of the wrong type"),
        ({"names": [], "entry_points": {"enabled": "no"}}, "(expected true or false)"),
        ({"names": [], "entry_points": {"allow": None}}, "at entry_points.allow: None"),
        ({"names": [], "entry_points": {"deny": ["a b"]}}, "'a b' cannot be read"),
        ({"names": [], "entry_points": {"deny": ["a>=1.x.0"]}}, "is no requirement"),
        (
            {"names": [], "environments": {"e": {"requirements": ["-i https://me:pw@h/x"]}}},
            "'-i https://***@h/x' is no requirement",
        ),
        ({"names": [], "on_error": "ignore"}, "expected one of strict, isolate"),
        (
            {"names": [], "required": ["fit:"]},
            "cannot be read (expected a distribution's name, optionally with a version specifier "
            "(PEP 508, PEP 440), a key, or an action with a key such as fit:iris.svc)",
        ),
        ({"names": [], "on_error": []}, "expected one of strict, isolate"),
        ({"names": [], "prefer": {"k": 1}}, "at prefer.k: 1 is of the wrong type"),
        ({"names": [], "prefer": {"": "a"}}, "at prefer: is empty"),
        ({"names": [], "prefer": {"k": ""}}, "at prefer.k: is empty"),
        ({"names": [], "prefer": ["a"]}, "at prefer: "),
        ({"names": [], 5: 1}, "key 5 is not text"),
        (5, "not int"),
        ([], "not list"),
        (b"conf.yaml", "not bytes"),
    ],
)
def test_wrong_conf_is_explained_with_its_path(conf, message):
    with pytest.raises(ConfigError) as caught:
        read(conf)
    assert message in str(caught.value)


def test_traceback_of_a_wrong_conf_has_that_error_alone():
    with pytest.raises(ConfigError) as caught:
        read({"nmaes": []})
    assert caught.value.__context__ is None


def test_path_as_bytes_is_refused():
    class Path:
        def __fspath__(self):
            return b"conf.yaml"

    with pytest.raises(ConfigError, match="path of a YAML file or None, not bytes"):
        read(Path())


def test_self_containing_mapping_is_refused():
    conf: dict[str, object] = {"names": [], "entry_points": {"deny": [1]}}
    conf["x-self"] = conf
    with pytest.raises(ConfigError, match="deeper than 100"):
        read(conf)


def test_fault_in_a_file_names_line_and_column(tmp_path):
    path = tmp_path / "plugins.yaml"
    path.write_text("names: []\nentry_points:\n  dney: [x]\n")
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert (caught.value.line, caught.value.column) == (3, 3)
    assert str(caught.value).startswith(f"{path}:3:3: at entry_points.dney: unknown key")


@pytest.mark.parametrize("text", ["", "  \n", "# names: []\n", "---\n# nothing\n"])
def test_empty_file_says_so_and_what_a_conf_needs(tmp_path, text):
    path = tmp_path / "plugins.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert str(caught.value) == f"{path}: is empty (expected at least names: [])"


def test_empty_policy_says_so(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text("# nothing yet\n")
    with pytest.raises(ConfigError, match=r"policy\.yaml: is empty \(expected at least \{\}\)"):
        read_policy(str(path))


def test_fault_in_a_merged_mapping_is_where_it_was_written(tmp_path):
    path = tmp_path / "plugins.yaml"
    path.write_text("names: []\nx-rules: &rules\n  dney: [x]\nentry_points: {<<: *rules}\n")
    with pytest.raises(ConfigError, match=r"plugins\.yaml:3:3: at entry_points\.dney: unknown"):
        read(path)


@pytest.mark.parametrize("rule", ["a b", "a>=1.x.0"])
def test_unreadable_rule_in_a_file_names_its_line(tmp_path, rule):
    path = tmp_path / "plugins.yaml"
    path.write_text(f"names: []\nentry_points:\n  deny:\n    - ok\n    - {rule}\n")
    with pytest.raises(ConfigError, match=r"plugins\.yaml:5:7: at entry_points\.deny\[1\]"):
        read(path)


def test_places_of_a_file_and_of_a_mapping(tmp_path):
    path = tmp_path / "plugins.yaml"
    path.write_text("names: []\nentry_points:\n  deny: [x]\n")
    assert read(path).where("entry_points", "deny", 0) == f"{path}:3"
    assert read(path).source == str(path)
    assert read({"names": []}).where("entry_points", "deny", 0) == "conf entry_points.deny[0]"
    assert read({"names": []}).source is None


@pytest.mark.parametrize(
    "rule", ["a", "A.b-c_d", "a>=1,<2", "a ~= 1.4", "a (>=1)", "a==1.*", "a!=1.5"]
)
def test_rules_that_can_be_read(rule):
    assert read({"names": [], "entry_points": {"deny": [rule]}}).entry_points.deny == (rule,)


PATHS = {
    "missing": "'no/such/file.yaml'",
    "folder": "'.'",
    "below_a_file": "'site/good.py/x.yaml'",
    "link_loop": "'loop.yaml'",
    "dangling_link": "'dangling.yaml'",
    "device": "'/dev/zero'",
    "random": "'/dev/urandom'",
    "null_device": "'/dev/null'",
    "pipe_without_a_writer": "'pipe'",
    "null_byte": "'a\\0b'",
    "surrogate": "'\\udcff.yaml'",
    "long": "'x' * 100_000",
    "empty": "''",
    "bytes": "b'plugins.yaml'",
    "path_object": "Path('no/such')",
    "odd_path_object": "type('P', (), {'__fspath__': lambda s: 5})()",
    "exiting_path_object": "type('P', (), {'__fspath__': lambda s: b'x'})()",
    "int": "5",
    "list": "['names']",
    "tuple": "()",
    "set": "{'names'}",
    "object": "object()",
    "class": "dict",
    "open_file": "open('/dev/null')",
    "bool": "True",
    "pairs": "[('names', [])]",
}


@pytest.mark.parametrize("kind", PATHS)
def test_what_is_no_conf_is_refused(case: Case, kind: str) -> None:
    (case.folder / "loop.yaml").symlink_to("loop.yaml")
    (case.folder / "dangling.yaml").symlink_to("nowhere")
    os.mkfifo(case.folder / "pipe")
    got = case.run(
        f"""
        out.update(attempt(initialize, {PATHS[kind]}))
        out["keys"] = keys()
        initialize()
        out["good"] = attempt(exec_data_access, "good")
        """
    )
    assert got["error"] in ("ConfigError", "TypeError")
    assert got["keys"] == []
    assert got["good"] == {"value": 42}


def test_pipe_with_content_is_a_conf(case: Case) -> None:
    got = case.run(
        """
        reader, writer = os.pipe()
        with open(writer, "w") as stream:
            stream.write("names: [good]")
        out.update(account(initialize(f"/dev/fd/{reader}")))
        """
    )
    assert got["states"]["good"] == "loaded"


MAPPINGS = {
    "circular": "c = {'names': []}; c['x-me'] = c",
    "circular_list": "l = []; l.append(l); c = {'names': l}",
    "deep": "c = []\nfor _ in range(50_000): c = [c]\nc = {'names': c}",
    "key_is_no_str": "c = {'names': [], 5: 1}",
    "key_is_a_tuple": "c = {'names': [], ('a',): 1}",
    "key_is_none": "c = {None: 1, 'names': []}",
    "rule_with_a_huge_number": "c = {'names': [], 'entry_points': {'deny': ['x>5,<' + '9' * 10_000]}}",
    "bytes_for_text": "c = {'names': [b'good']}",
    "generator_for_a_list": "c = {'names': (n for n in ['good'])}",
    "set_for_a_list": "c = {'names': {'good'}}",
    "str_for_a_list": "c = {'names': 'good'}",
    "range_for_a_list": "c = {'names': range(3)}",
    "dict_for_a_list": "c = {'names': {'good': 1}}",
    "int_for_a_bool": "c = {'names': [], 'entry_points': {'enabled': 1}}",
    "nan_for_seconds": "c = {'names': [], 'probe': float('nan')}",
    "unknown_key": "c = {'names': [], 'nmaes': []}",
    "huge_int": "c = {'names': [], 'probe': 10**5000}",
    "huge_int_in_a_list": "c = {'names': [10**5000]}",
    "huge_value": "c = {'names': [], 'load': 'x' * 10_000_000}",
    "surrogate_key": "c = {'names': [], '\\udcff': 1}",
}


@pytest.mark.parametrize("kind", MAPPINGS)
def test_odd_mapping_is_refused_or_read_and_harms_no_later_call(case: Case, kind: str) -> None:
    source = MAPPINGS[kind]
    case_script = f"""
{source}
try:
    account(initialize(c))
except ConfigError as error:
    out["text"] = str(error)
unload_all()
initialize()
out["good"] = attempt(exec_data_access, "good")
"""
    got = case.run(case_script)
    if kind != "circular":
        assert len(got["text"]) < 2000
    assert got["good"] == {"value": 42}


RULES_IN_SUBCLASSES = {
    "dict_get": "class M(dict):\n    def get(s, k, d=None): return d\nrules = M(deny=['bad-dist'])",
    "dict_contains": "class M(dict):\n    def __contains__(s, k): return False\nrules = M(allow=['good-dist'])",
    "dict_getitem": "class M(dict):\n    def __getitem__(s, k): return ()\nrules = M(allow=['good-dist'])",
    "str_methods": "class S(str):\n    def lower(s): return 'x'\n    strip = __str__ = __getitem__ = lambda s, *a: 'x'\n    def __iter__(s): return iter('x')\nrules = {'deny': [S('bad-dist')]}",
    "str_equality": "class S(str):\n    def __eq__(s, o): raise SystemExit\n    __hash__ = str.__hash__\nrules = {'deny': [S('bad-dist')]}",
}


@pytest.mark.parametrize("kind", RULES_IN_SUBCLASSES)
def test_rule_in_a_subclass_of_a_plain_type_holds(case: Case, kind: str) -> None:
    case.bad(BAD + case.trap())
    got = case.run(
        f"{RULES_IN_SUBCLASSES[kind]}\n"
        "out.update(account(initialize({'names': [], 'entry_points': rules})))"
    )
    assert got["states"] == {"good": "loaded", "bad": "denied"}
    assert not case.marker.exists()


# The schema, walked: at every place every type.

SCHEMA: dict[str, Any] = yaml.safe_load(
    (files("aimm_plugins") / "schemas" / "plugins.yaml").read_text("utf-8")
)


def places(schema: dict[str, Any], path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place that the schema describes."""
    yield path
    for key, below in schema.get("properties", {}).items():
        yield from places(below, (*path, key))
    if isinstance(schema.get("additionalProperties"), dict):
        yield (*path, "any")
    if "items" in schema:
        yield (*path, 0)


VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    1.5,
    1e300,
    "",
    " ",
    "x",
    "good",
    "good-dist",
    "\n",
    "a b",
    "é",
    "a" * 300,
    [],
    [[]],
    [None],
    ["x"],
    ["x", 5],
    [""],
    [{}],
    {},
    {"x": "y"},
    {"x": None},
    {"": "y"},
    {"x-a": 1},
    {"names": []},
]


def test_every_type_at_every_place_is_accepted_as_the_schema_does(case: Case) -> None:
    confs = []
    for path, value in product(places(SCHEMA), VALUES):
        made = value
        for key in reversed(path):
            made = [made] if key == 0 else {key: made}
        if path and path[0] != "names" and isinstance(made, dict):
            made = {"names": [], **made}
        confs.append(made)
    (case.folder / "confs.json").write_text(json.dumps(confs))
    got = case.run(
        """
        from aimm_plugins._config.parse import read, read_policy
        schema = yaml.safe_load((files("aimm_plugins") / "schemas" / "plugins.yaml").read_text("utf-8"))
        judge = jsonschema.Draft202012Validator(schema)
        wrong = []
        for conf in json.load(open("confs.json")):
            if conf is None:
                continue
            done = attempt(read, conf)
            if not isinstance(conf, dict | str):
                expected = ["ConfigError", "TypeError"]
            elif isinstance(conf, str):
                expected = ["ConfigError"]
            else:
                expected = [None] if judge.is_valid(conf) else ["ConfigError"]
            if done.get("error") not in expected:
                wrong.append([repr(conf)[:200], done.get("error"), done.get("text", "")[:200], expected])
        out["wrong"] = wrong
        initialize()
        out["good"] = attempt(exec_data_access, "good")
        """,
        timeout=120,
    )
    assert got["wrong"] == []
    assert got["good"] == {"value": 42}


def test_probe_that_is_neither_is_told_both_kinds():
    with pytest.raises(ConfigError, match="expected true or false or a number"):
        read({"names": [], "probe": "60s"})
    with pytest.raises(ConfigError, match="too small"):
        read({"names": [], "probe": 0})
