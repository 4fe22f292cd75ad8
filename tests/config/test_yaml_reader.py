"""Strict YAML: what it means, where it was written, and what is refused."""

from __future__ import annotations

import math
import os
import time
from contextlib import suppress

import pytest

from aimm_plugins import ConfigError
from aimm_plugins._config.yaml_reader import MAX_BYTES, load, load_file
from tests.support.forked.case import Case


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


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("<<: {a: 1}", {"a": 1}),
        ("<<: {}", {}),
        ("<<: []", {}),
        ("<<: {a: 1, b: 2}\na: 3", {"a": 3, "b": 2}),
        ("a: 3\n<<: {a: 1}", {"a": 3}),
        ("<<: [{a: 1, b: 1}, {b: 2, c: 2}]", {"a": 1, "b": 1, "c": 2}),
        ("<<: {<<: {a: 1, b: 1}, b: 2}\nc: 3", {"a": 1, "b": 2, "c": 3}),
        ("a: {<<: {b: {c: 1}}}", {"a": {"b": {"c": 1}}}),
        ("'<<': 1", {"<<": 1}),
        ("a: <<", {"a": "<<"}),
        ("[<<]", ["<<"]),
        ("!!str <<: 1", {"<<": 1}),
        ("<< : {a: 1}", {"a": 1}),
        ("<<<: 1", {"<<<": 1}),
    ],
)
def test_merge_key_adds_the_keys_that_are_not_written(text, value):
    assert load(text).data == value


SHARED = """\
x-base: &base
  deny: [aimm-old]
  enabled: true
x-more: &more {deny_origins: [vcs]}
names: []
entry_points:
  <<: [*base, *more]
  enabled: false
"""


def test_merged_aliases_are_part_of_the_mapping():
    assert load(SHARED).data["entry_points"] == {
        "deny": ["aimm-old"],
        "enabled": False,
        "deny_origins": ["vcs"],
    }


def test_merged_values_are_where_they_were_written():
    document = load(SHARED)
    assert document.place(("entry_points", "deny"), key=True) == (2, 3)
    assert document.place(("entry_points", "deny", 0)) == (2, 10)
    assert document.place(("entry_points", "enabled"), key=True) == (8, 3)
    assert document.place(("entry_points", "enabled")) == (8, 12)


def test_merging_shares_nothing_between_mappings():
    data = load("x: &x {a: [1]}\ny: {<<: *x}").data
    data["x"]["a"].append(2)
    assert data["y"] == {"a": [1]}


LONG = 100_000


@pytest.mark.parametrize(
    ("unit", "before", "after"),
    [
        (unit, before, after)
        for unit in (".", "1", "1.", ".1", "e1", "0x", "f", "-", "+", "~", "<", "_", "7")
        for before, after in (("", ""), ("", "x"), ("1", ""), ("-.", "e"), ("0x", "g"), ("0o", "8"))
    ],
)
def test_type_of_long_text_is_found_in_linear_time(unit, before, after):
    begin = time.thread_time()
    with suppress(ConfigError):  # a number of too many digits
        load(before + unit * (LONG // len(unit)) + after)
    assert time.thread_time() - begin < 1


def test_nan_is_a_float():
    assert math.isnan(load(".nan").data)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: 1\nb: 2\na: 3", "3:1", "'a' stands twice; the first is at line 1, column 1"),
        ("1: x", "1:1", "is not text; put it in quotes"),
        ("[a]: x", "1:1", "a key is text"),
        ("<<: 1", "1:5", "'<<' takes a mapping or a list of mappings"),
        ("<<: [{a: 1}, x]", "1:14", "'<<' takes a mapping or a list of mappings"),
        ("<<:", "1:4", "'<<' takes a mapping or a list of mappings"),
        ("<<: {a: 1, a: 2}", "1:12", "'a' stands twice; the first is at line 1, column 6"),
        ("<<: {}\n<<: {}", "2:1", "'<<' stands twice"),
        ("<<: {1: x}", "1:6", "is not text; put it in quotes"),
        ("<<: !own {a: 1}", "1:5", "is not allowed"),
        ("<<: !own [{a: 1}]", "1:5", "is not allowed"),
        ("!!merge x: {}", "1:1", "is not allowed"),
        ("a: &x {<<: *x}", "1:12", "stands within itself"),
        ("a: !!timestamp foo", "1:4", "is not allowed"),
        ("a: !!int abc", "1:4", "is no int"),
        ("a: !!bool 3", "1:4", "is no bool"),
        ("a: !!python/object:os.system x", "1:4", "is not allowed"),
        ("a: !!set {x}", "1:4", "is not allowed"),
        ("a: !own [x]", "1:4", "is not allowed"),
        ("a: " + "9" * 5000, "1:4", "more than 4000 digits"),
        ("a: [1", "", "is not YAML"),
        ("a:\n\t- b", "2:1", r"cannot start any token: '\\t'"),
        ("a: *nobody", "1:4", "is not YAML"),
        ("a: &x [*x]", "1:8", "stands within itself"),
        ("a\n---\nb", "2:1", "expected a single document in the stream but found another"),
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


def test_device_and_pipe_without_a_writer_are_read_in_time(tmp_path):
    """Neither blocks nor fills the memory; what they hold is no conf, and that is said."""
    os.mkfifo(tmp_path / "pipe")
    assert load_file(tmp_path / "pipe").is_empty
    assert load_file("/dev/null").is_empty
    with pytest.raises(ConfigError, match="longer than"):
        load_file("/dev/zero")


def test_places_of_values_and_keys():
    document = load("names:\n  - a\nrules: {deny: [b]}")
    assert document.place(("names", 0)) == (2, 5)
    assert document.place(("rules", "deny"), key=True) == (3, 9)
    assert document.place(("rules", "deny", 0)) == (3, 16)
    assert document.place(("rules", "nobody")) == (3, 8)


def test_empty_document_has_no_place():
    assert load("").place(("a",)) is None


READ = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 32, 1 << 32))
for file in sorted(Path("confs").iterdir()):
    got = out[file.stem] = attempt(initialize, str(file))
    try:
        plan(str(file))
    except ConfigError as error:
        again = pickle.loads(pickle.dumps(error))
        got["pickled"] = str(again) == str(error) and again.line == error.line
        got["file"] = error.file
out["keys"] = keys()
initialize()
out["good"] = attempt(exec_data_access, "good")
"""


def bomb(levels: int, width: int) -> str:
    """Aliases of aliases."""
    lines = ["x-0: &a0 [" + ", ".join(["lol"] * width) + "]"]
    for level in range(1, levels):
        lines.append(f"x-{level}: &a{level} [" + ", ".join([f"*a{level - 1}"] * width) + "]")
    return "\n".join([*lines, "names: []", ""])


BROKEN: dict[str, str | bytes] = {
    "empty": "",
    "blank": "  \n\n",
    "comment_only": "# names: []\n",
    "null": "null\n",
    "text": "names\n",
    "number": "5\n",
    "list": "- names\n",
    "empty_mapping": "{}\n",
    "document_marks_only": "---\n...\n",
    "two_documents": "names: []\n---\nnames: []\n",
    "bomb_of_aliases": bomb(9, 9),
    "bomb_deep": bomb(40, 2),
    "bomb_of_mappings": "x-a: &a {k: v}\n"
    + "".join(
        f"x-{n}: &{chr(98 + n)} {{" + ", ".join(f"k{i}: *{chr(97 + n)}" for i in range(9)) + "}\n"
        for n in range(9)
    )
    + "names: []\n",
    "alias_of_itself": "names: &a [*a]\n",
    "alias_of_its_parent": "&a\nnames: []\nx-loop: *a\n",
    "alias_of_nothing": "names: [*nothing]\n",
    "bomb_of_merges": "x-0: &a0 {k: ["
    + "x, " * 9
    + "x]}\n"
    + "".join(
        f"x-{n}: &a{n} {{k{n}: [" + f"*a{n - 1}, " * 9 + f"], <<: *a{n - 1}}}\n"
        for n in range(1, 9)
    )
    + "names: []\n<<: *a8\n",
    "merge_of_text": "names: []\n<<: x-a\n",
    "merge_of_an_unknown_key": "x-a: &a {nmaes: []}\nnames: []\n<<: *a\n",
    "deep_brackets": "names: " + "[" * 100_000 + "\n",
    "deep_brackets_closed": "names: " + "[" * 5_000 + "]" * 5_000 + "\n",
    "deep_mappings": "names: " + "{a: " * 5_000 + "}" * 5_000 + "\n",
    "deep_indentation": "".join(" " * n + "a:\n" for n in range(2_000)),
    "deep_dashes": "names:\n" + "- " * 5_000 + "x\n",
    "python_object": "names: [!!python/object/apply:os.system ['touch marker']]\n",
    "python_name": "names: !!python/name:os.system\n",
    "python_module": "names: [!!python/module:antigravity ]\n",
    "own_tag": "names: [!mine x]\n",
    "tagged_binary": "names: [!!binary aGk=]\n",
    "tagged_set": "names: !!set {a}\n",
    "tagged_omap": "names: !!omap [a: b]\n",
    "tagged_timestamp": "names: [!!timestamp foo]\n",
    "tagged_int": "names: [!!int abc]\n",
    "tagged_float": "names: [!!float abc]\n",
    "tagged_bool": "names: [!!bool maybe]\n",
    "tagged_null": "names: !!null x\n",
    "tagged_str_of_a_list": "names: !!str [a]\n",
    "yaml_directive": "%YAML 9.9\n---\nnames: []\n",
    "tag_directive": "%TAG ! tag:x,2000:\n---\nnames: [!a b]\n",
    "key_twice": "names: []\nnames: [good]\n",
    "key_twice_below": "names: []\nentry_points:\n  deny: [a]\n  deny: []\n",
    "key_twice_spelled_otherwise": 'names: []\n"names": []\n',
    "key_is_a_list": "names: []\n? [a]\n: b\n",
    "key_is_a_mapping": "names: []\n? {a: b}\n: c\n",
    "key_is_null": "names: []\n~: x\n",
    "key_is_a_number": "names: []\n5: x\n",
    "key_is_a_bool": "names: []\ntrue: x\n",
    "tab_as_indentation": "names:\n\t- good\n",
    "tab_in_mapping": "entry_points:\n\tdeny: []\nnames: []\n",
    "open_quote": 'names: ["good\n',
    "open_bracket": "names: [good\n",
    "bad_escape": 'names: ["\\q"]\n',
    "bad_indentation": "names:\n  - a\n - b\n",
    "colon_in_text": "names: a: b\n",
    "percent_at_start": "names: [%a]\n",
    "at_at_start": "names: [@a]\n",
    "not_utf8": b"names: [\xff\xfe]\n",
    "latin_1": "names: [modül]\n".encode("latin-1"),
    "utf16": "names: []\n".encode("utf-16"),
    "utf16_without_mark": "names: []\n".encode("utf-16-le"),
    "null_bytes": b"names: []\x00\n",
    "only_null_bytes": b"\x00" * 100,
    "control_character": b"names: [a\x07]\n",
    "delete_character": b"names: [a\x7f]\n",
    "surrogate": b"names: [a\xed\xa0\x80]\n",
    "escaped_surrogate": 'names: ["\\ud800"]\nnope: 1\n',
    "noncharacter": "names: [a\ufffe]\n",
    "binary": bytes(range(256)) * 10,
    "huge": b"names: [" + b"aaaaaaaa, " * 500_000 + b"]\n",
    "huge_text": b"names: ['" + b"a" * 5_000_000 + b"']\n",
    "huge_integer": "names: [" + "9" * 5_000 + "]\n",
    "huge_exponent": "names: [1e999999999]\n",
    "hex_integer": "names: [0x" + "f" * 100_000 + "]\n",
    "sexagesimal": "names: [190:20:30]\nprobe: 1:30\n",
    "date_that_is_none": "names: [2026-13-45]\nnope: 1\n",
    "not_a_number": "names: [.nan]\n",
    "yaml_1_1_bool_as_names": "names: yes\n",
    "enabled_yes": "names: []\nentry_points: {enabled: yes}\n",
    "names_is_text": "names: good\n",
    "names_has_numbers": "names: [1]\n",
    "names_has_null": "names: [~]\n",
    "names_has_bool": "names: [true]\n",
    "names_is_null": "names:\n",
    "deny_is_null": "names: []\nentry_points:\n  deny:\n",
    "deny_is_text": "names: []\nentry_points: {deny: bad-dist}\n",
    "deny_is_misspelled": "names: []\nentry_points: {denny: [bad-dist]}\n",
    "deny_at_the_wrong_place": "names: []\ndeny: [bad-dist]\n",
    "deny_in_another_case": "names: []\nentry_points: {Deny: [bad-dist]}\n",
    "deny_with_a_blank": "names: []\nentry_points: {'deny ': [bad-dist]}\n",
    "deny_without_a_version": "names: []\nentry_points: {deny: ['bad-dist<']}\n",
    "deny_with_a_marker": "names: []\nentry_points: {deny: ['bad-dist; python_version<\"3\"']}\n",
    "deny_with_an_extra": "names: []\nentry_points: {deny: ['bad-dist[x]']}\n",
    "deny_of_a_url": "names: []\nentry_points: {deny: ['bad-dist @ https://x']}\n",
    "deny_of_a_pattern": "names: []\nentry_points: {deny: ['bad-*']}\n",
    "deny_with_a_line_break": 'names: []\nentry_points: {deny: ["bad-dist\\n"]}\n',
    "deny_of_nothing": "names: []\nentry_points: {deny: ['']}\n",
    "deny_of_a_wrong_version": "names: []\nentry_points: {deny: ['bad-dist>=1.0.x']}\n",
    "deny_of_unicode": "names: []\nentry_points: {deny: ['bäd-dist']}\n",
    "on_error_unknown": "names: []\non_error: ignore\n",
    "load_unknown": "names: []\nload: sometimes\n",
    "probe_of_zero": "names: []\nprobe: 0\n",
    "probe_negative": "names: []\nprobe: -1\n",
    "probe_is_text": "names: []\nprobe: '5'\n",
    "probe_is_no_number": "names: []\nprobe: .nan\n",
    "verify_unknown": "names: []\nverify: signature\n",
    "locked_is_a_bool": "names: []\nlocked: true\n",
    "required_is_text": "names: []\nrequired: good-dist\n",
    "prefer_is_a_list": "names: []\nprefer: [a]\n",
    "prefer_of_null": "names: []\nprefer: {a: }\n",
}


def test_broken_confs_are_config_errors_that_say_where(case: Case) -> None:
    (case.folder / "confs").mkdir()
    for kind, content in BROKEN.items():
        file = case.folder / "confs" / f"{kind}.yaml"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    found = case.run(READ, timeout=120)
    assert (found.pop("keys"), found.pop("good")) == ([], {"value": 42})
    assert found.keys() == BROKEN.keys()
    for kind, got in found.items():
        assert got["error"] == "ConfigError", (kind, got["text"])
        assert got["text"].startswith(f"confs/{kind}.yaml")
        assert len(got["text"]) < 2000
        assert (got["file"], got["pickled"]) == (f"confs/{kind}.yaml", True)
    assert not case.marker.exists()


SOUND: dict[str, str | bytes] = {
    "bom": b"\xef\xbb\xbfnames: [good]\n",
    "crlf": b"names:\r\n- good\r\n",
    "cr": b"names:\r- good\r",
    "no_newline": b"names: [good]",
    "json": b'{"names": ["good"]}',
    "anchors": b"x-a: &a good\nnames: [*a]\n",
    "own_keys": b"names: [good]\nx-anything: {at: [all, 1, ~, 2026-13-45]}\n",
    "document_marks": b"---\nnames: [good]\n...\n",
    "explicit_str": b"names: [!!str good]\n",
    "quoted": b"names: ['good', \"good\"]\n",
    "folded": b"names:\n- >-\n  good\n",
    "comments": "# ü\nnames: [good]  # …\n".encode(),
    "merge": b"x-a: &a {names: [good]}\n<<: *a\n",
    "merge_of_nothing": b"x-a: &a {<<: {}}\nnames: [good]\n<<: *a\n",
    "merge_of_its_own": b"<<: {names: [good]}\n",
    "name_that_is_a_1_1_bool": b"names: [good]\nprefer: {on: off}\n",
}


@pytest.mark.parametrize("kind", SOUND)
def test_odd_but_sound_conf_is_read(case: Case, kind: str) -> None:
    (case.folder / "plugins.yaml").write_bytes(SOUND[kind])
    got = case.run(
        """
        out.update(account(initialize("plugins.yaml")))
        out["good"] = attempt(exec_data_access, "good")
        """
    )
    assert got["states"]["good"] == "loaded"
    assert got["good"] == {"value": 42}
