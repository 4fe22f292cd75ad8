"""Installed metadata that is broken, stale, huge or hostile: a finding at most, never the end."""

from __future__ import annotations

import os
import shutil
import socket
import zipfile
from pathlib import Path

import pytest

from tests.support.forked.case import BAD, HEADER, Case, assert_healthy, record

GROUP = b"[aimm.plugins]\n"
SOUND = GROUP + b"bad = bad\n"


def assert_sound(got: dict, *, ok: bool = True) -> None:
    """The healthy plugin works in strict mode too; what is odd is no plugin's failure."""
    assert_healthy(got, alone=False)
    assert got["isolate"]["ok"] is ok
    assert got["strict"]["error"] is None
    assert "data_access:good" in got["isolate"]["keys"]


# In an unrelated distribution: not our group, nobody's business.

STRANGERS = {
    "empty": b"",
    "line_without_equals": b"[console_scripts]\nbroken\n",
    "malformed_value": b"[console_scripts]\nx = not a value at all !!\n",
    "not_utf8": b"[console_scripts]\n\xff\xfe = \xff:\xff\n",
    "utf16": "[console_scripts]\nx = a:b\n".encode("utf-16"),
    "bom": b"\xef\xbb\xbf[console_scripts]\nx = a:b\n",
    "null_bytes": b"\x00" * 1000,
    "no_section": b"x = a:b\n",
    "section_not_closed": b"[console_scripts\nx = a:b\n",
    "section_twice": b"[a]\nx = a:b\n[a]\nx = a:b\n",
    "binary": bytes(range(256)) * 300,
    "huge_line": b"[console_scripts]\nx = " + b"a" * 3_000_000,
    "huge_file": b"[console_scripts]\n" + b"x = a:b\n" * 300_000,
    "mentions_our_group": b"[console_scripts]\nx = aimm.plugins:main\n# [aimm.plugins]\n\xff\n",
    "configparser_interpolation": b"[console_scripts]\nx = %(no)s\n",
}


@pytest.mark.parametrize("kind", STRANGERS)
def test_strangers_broken_entry_points_stop_nobody(case: Case, kind: str) -> None:
    folder = case.dist("stranger")
    (folder / "entry_points.txt").write_bytes(STRANGERS[kind])
    assert_sound(case.gauntlet())


# In our group: the line is passed over with a finding, its neighbours load.

BROKEN_LINES = {
    "no_equals": b"broken",
    "no_name": b"= bad",
    "no_value": b"broken =",
    "not_utf8": b"br\xff = bad",
    "value_not_utf8": b"broken = b\xffd",
    "spaces": b"broken = no module at all",
    "two_colons": b"broken = bad:f:g",
    "trailing_dot": b"broken = bad.",
    "leading_dot": b"broken = .bad",
    "double_dot": b"broken = bad..f",
    "no_module": b"broken = :f",
    "no_object": b"broken = bad:",
    "number": b"broken = 1bad",
    "dash": b"broken = bad-module",
    "path": b"broken = ../../etc/passwd",
    "statement": b"broken = bad; import os",
    "null": b"broken = bad\x00",
    "call": b"broken = bad()",
    "open_extras": b"broken = bad [x",
    "escape": b"broken = \x1b[2Jbad!",
    "huge": b"broken = " + b"a " * 500_000,
}


@pytest.mark.parametrize("kind", BROKEN_LINES)
def test_broken_line_of_our_group_is_a_failed_plugin_and_its_neighbours_load(
    case: Case, kind: str
) -> None:
    case.module("bad", BAD)
    folder = case.dist("bad-dist", "6.6.6")
    (folder / "entry_points.txt").write_bytes(SOUND + BROKEN_LINES[kind] + b"\n")
    got = case.gauntlet()
    assert_healthy(got, alone=False)
    assert got["bad"] == {"value": "bad"}
    (failed,) = [each for each in got["isolate"]["plugins"] if each["state"] == "failed"]
    assert failed["distribution"] == "bad-dist"
    assert "entry_points.txt:3)" in failed["error"]["message"]
    assert got["strict"]["error"] == "PluginLoadError"
    assert "bad-dist 6.6.6" in got["strict"]["text"]


SOUND_FILES = {
    "comments": b"# c\n; c\n[aimm.plugins]\n# c\n; c\nbad = bad\n",
    "bom": b"\xef\xbb\xbf" + SOUND,
    "crlf": SOUND.replace(b"\n", b"\r\n"),
    "no_newline_at_end": SOUND.rstrip(),
    "blank_lines": b"\n\n[aimm.plugins]\n\n\nbad = bad\n\n",
    "indented": b"  [aimm.plugins]\n   bad   =   bad   \n",
    "extras": GROUP + b"bad = bad [x, y]\n",
    "no_blanks": GROUP + b"bad=bad\n",
    "unrelated_garbage_before": b"[other]\n\xff\xfe\nwhat\n" + SOUND,
    "unrelated_garbage_after": SOUND + b"[other]\n\xff\xfe\nwhat\n",
    "group_twice": GROUP + GROUP + b"bad = bad\n",
    "same_line_twice": SOUND + b"bad = bad\n",
    "similar_groups": b"[aimm.plugins2]\nx = no_such\n[aimm]\ny = no_such\n"
    + SOUND
    + b"[Aimm.Plugins]\nz = no_such\n",
    "large": b"[other]\n" + b"x = a:b\n" * 100_000 + SOUND,
    "exactly_one_block": b"[other]\n" + b"#" * (65536 - 8 - len(SOUND) - 1) + b"\n" + SOUND,
    "exactly_two_blocks": b"[other]\n" + b"#" * (131072 - 8 - len(SOUND) - 1) + b"\n" + SOUND,
}


@pytest.mark.parametrize("kind", SOUND_FILES)
def test_odd_but_legal_entry_points_load(case: Case, kind: str) -> None:
    case.module("bad", BAD)
    (case.dist("bad-dist", "6.6.6") / "entry_points.txt").write_bytes(SOUND_FILES[kind])
    got = case.gauntlet()
    assert_sound(got)
    assert got["bad"] == {"value": "bad"}
    found = [each for each in got["isolate"]["plugins"] if each["name"] == "bad"]
    assert {each["version"] for each in found} == {"6.6.6"}


# What stands where entry_points.txt should.


def _folder(path: Path) -> None:
    path.mkdir()


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _random(path: Path) -> None:
    path.symlink_to("/dev/urandom")


def _null(path: Path) -> None:
    path.symlink_to("/dev/null")


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def _nine_megabytes(path: Path) -> None:
    path.write_bytes(GROUP + b"# filler of a line\n" * 450_000)


ODD_FILES = [_folder, _loop, _dangling, _fifo, _null, _socket]
ODD_PLACES = [
    ("entry_points.txt", _endless),
    ("entry_points.txt", _random),
    ("entry_points.txt", _nine_megabytes),
    ("METADATA", _endless),
    ("RECORD", _random),
    ("direct_url.json", _endless),
    *((name, make) for name in ("entry_points.txt", "METADATA", "RECORD") for make in ODD_FILES),
    *(
        (name, make)
        for name in ("direct_url.json", "INSTALLER")
        for make in (_folder, _fifo, _loop)
    ),
]


@pytest.mark.parametrize(
    ("name", "make"), ODD_PLACES, ids=lambda each: getattr(each, "__name__", each).strip("_")
)
def test_odd_file_in_a_dist_info_stops_nobody(case: Case, name: str, make) -> None:
    case.module("bad", BAD)
    folder = case.dist(
        "bad-dist", "6.6.6", entry_points={"bad": "bad"}, direct_url={"url": "file:///x"}
    )
    (folder / name).unlink()
    make(folder / name)
    got = case.gauntlet({"names": ["good"], "entry_points": {"deny": ["nobody<1"]}})
    assert_healthy(got, alone=False)
    assert got["strict"]["error"] is None
    if name != "entry_points.txt":
        assert got["bad"] == {"value": "bad"}
        assert record(got["isolate"])["version"] == "6.6.6"


METADATA = {
    "missing": None,
    "empty": b"",
    "binary": bytes(range(256)) * 30,
    "not_utf8": b"Name: bad-dist\nVersion: 6.6.6\nAuthor: \xff\xfe\n",
    "huge": b"Name: bad-dist\nVersion: 6.6.6\n" + b"Classifier: x\n" * 60_000,
    "huge_before_the_name": b"Classifier: x\n" * 800_000 + b"Name: bad-dist\nVersion: 6.6.6\n",
    "huge_field": b"Name: bad-dist\nVersion: 6.6.6\nSummary: " + b"x" * 11_000_000,
    "huge_body": b"Name: bad-dist\nVersion: 6.6.6\n\n" + b"x\n" * 6_000_000,
    "no_colon": b"Name bad-dist\nVersion 6.6.6\n",
    "no_name": b"Version: 6.6.6\n",
    "no_version": b"Name: bad-dist\n",
    "empty_fields": b"Name:\nVersion:\n",
    "unknown_fields": b"Name: UNKNOWN\nVersion: UNKNOWN\n",
    "other_name": b"Name: good-dist\nVersion: 6.6.6\n",
    "name_is_hostile": b"Name: bad-dist\x1b[2J\x00\nVersion: 6.6.6\n",
    "two_names": b"Name: bad-dist\nName: good-dist\nVersion: 6.6.6\nVersion: 7\n",
    "version_is_garbage": b"Name: bad-dist\nVersion: six\n",
    "version_not_utf8": b"Name: bad-dist\nVersion: \xff\xfe\n",
    "version_is_huge": b"Name: bad-dist\nVersion: " + b"9" * 100_000 + b"\n",
    "headers_in_body": b"\nName: bad-dist\nVersion: 6.6.6\n",
    "bom": b"\xef\xbb\xbfName: bad-dist\nVersion: 6.6.6\n",
    "continued": b"Name: bad-dist\nVersion:\n 6.6.6\n",
}


@pytest.mark.parametrize("kind", METADATA)
def test_broken_metadata_file_stops_nobody(case: Case, kind: str) -> None:
    case.module("bad", BAD)
    folder = case.dist("bad-dist", "6.6.6", entry_points={"bad": "bad"})
    (folder / "METADATA").unlink()
    if METADATA[kind] is not None:
        (folder / "METADATA").write_bytes(METADATA[kind])
    got = case.gauntlet()
    assert_healthy(got, alone=False)
    assert got["bad"] == {"value": "bad"}
    found = record(got["isolate"])
    assert found["distribution"]
    if kind != "name_is_hostile":
        assert found["distribution"] in ("bad-dist", "bad_dist")


@pytest.mark.parametrize("version", ["six", "", "\x1b[2J", "1..2", "9" * 5000])
def test_rule_by_version_keeps_out_what_has_no_readable_version(case: Case, version: str) -> None:
    case.bad(case.trap())
    folder = next(case.site.glob("bad_dist*"))
    (folder / "METADATA").write_text(f"Name: bad-dist\nVersion: {version}\n")
    folder.rename(case.site / "bad_dist.dist-info")
    got = case.gauntlet({"entry_points": {"deny": ["bad-dist<1"]}})
    assert_healthy(got)
    found = record(got["isolate"])
    if version == "9" * 5000:
        assert found["state"] in ("loaded", "denied")
        return
    assert found["state"] == "denied"
    assert "version" in found["reason"]
    assert not case.marker.exists()


DIRECT_URLS = {
    "not_json": b"{",
    "empty": b"",
    "not_utf8": b"\xff\xfe",
    "list": b"[]",
    "null": b"null",
    "deep": b"[" * 100_000,
    "deep_closed": b"[" * 50_000 + b"]" * 50_000,
    "huge_integer": b'{"url": ' + b"9" * 10_000 + b"}",
    "url_is_null": b'{"url": null, "dir_info": {"editable": true}}',
    "url_is_a_list": b'{"url": ["file:///"], "dir_info": {"editable": true}}',
    "url_cannot_be_parsed": b'{"url": "file://[::1", "dir_info": {"editable": true}}',
    "url_of_another_host": b'{"url": "file://host/share", "dir_info": {"editable": true}}',
    "url_with_null": b'{"url": "file:///a%00b", "dir_info": {"editable": true}}',
    "url_with_surrogate": b'{"url": "file:///\\udcff", "dir_info": {"editable": true}}',
    "url_of_root": b'{"url": "file:///", "dir_info": {}}',
    "dir_info_is_a_list": b'{"url": "file:///x", "dir_info": [1]}',
    "editable_is_a_str": b'{"url": "file:///x", "dir_info": {"editable": "yes"}}',
    "vcs_info_is_null": b'{"url": "https://x", "vcs_info": null}',
    "nan": b'{"url": NaN}',
    "keys_twice": b'{"url": "a", "url": "file:///x"}',
}


@pytest.mark.parametrize("kind", DIRECT_URLS)
def test_broken_direct_url_stops_nobody(case: Case, kind: str) -> None:
    case.module("bad", BAD)
    case.module("own", "@fit(['own'])\ndef f(m): ...\n")
    folder = case.dist("bad-dist", "6.6.6", entry_points={"bad": "bad"})
    (folder / "direct_url.json").write_bytes(DIRECT_URLS[kind])
    got = case.gauntlet({"names": ["own"]})
    assert_healthy(got, alone=False)
    assert got["bad"] == {"value": "bad"}
    assert record(got["isolate"])["origin"] in ("unknown", "local", "url", "vcs", "editable")
    assert record(got["isolate"], "own")["distribution"] is None


RECORDS = {
    "binary": bytes(range(256)) * 30,
    "not_utf8": b"\xff\xfe,,\n",
    "open_quote": b'"bad.py,,\n',
    "one_column": b"bad.py\n",
    "absolute": b"/bad.py,,\n",
    "climbs": b"../../../../bad.py,,\n",
    "claims_the_healthy_file": b"good.py,,\nbad.py,,\n",
    "huge": b"x/y.py,,\n" * 100_000,
    "carriage_returns": b"bad.py,,\rgood.py,,\r",
}


@pytest.mark.parametrize("kind", RECORDS)
def test_broken_record_stops_nobody(case: Case, kind: str) -> None:
    case.module("bad", BAD)
    folder = case.dist("bad-dist", "6.6.6", entry_points={"bad": "bad"})
    (folder / "RECORD").write_bytes(RECORDS[kind])
    got = case.gauntlet({"names": ["bad", "good"]})
    assert_healthy(got, alone=False)
    assert got["bad"] == {"value": "bad"}


# Folders that are no dist-info, although they are called so.

ODD_FOLDERS = {
    "no_name": ".dist-info",
    "no_name_with_version": "-1.0.dist-info",
    "no_name_egg": ".egg-info",
    "no_version": "bad_dist.dist-info",
    "many_dashes": "a-b-c-d-1-2.dist-info",
    "leftover_of_pip": "~ad_dist-1.0.dist-info",
    "upper_case": "BAD_DIST-1.0.DIST-INFO",
    "blanks": "bad dist-1.0.dist-info",
    "unicode": "модуль-1.0.dist-info",
    "surrogate": "b\udcffd-1.0.dist-info",
    "newline": "bad\n-1.0.dist-info",
    "escape": "b\x1b[2Jad-1.0.dist-info",
}


@pytest.mark.parametrize("kind", ODD_FOLDERS)
@pytest.mark.parametrize("content", ["nothing", "entry_points"])
def test_oddly_named_metadata_folder_stops_nobody(case: Case, kind: str, content: str) -> None:
    case.module("bad", BAD)
    folder = case.site / ODD_FOLDERS[kind]
    folder.mkdir()
    if content == "entry_points":
        (folder / "entry_points.txt").write_bytes(SOUND)
    assert_sound(case.gauntlet())


@pytest.mark.parametrize("make", ODD_FILES, ids=lambda make: make.__name__.strip("_"))
@pytest.mark.parametrize("name", ["bad_dist-1.0.dist-info", "bad_dist.egg-info"])
def test_odd_thing_called_like_metadata_stops_nobody(case: Case, name: str, make) -> None:
    make(case.site / name)
    assert_sound(case.gauntlet())


def test_dist_info_that_links_to_itself_stops_nobody(case: Case) -> None:
    folder = case.dist("bad-dist", "6.6.6")
    (folder / "again").symlink_to(folder)
    (case.site / "twin-1.0.dist-info").symlink_to(folder)
    assert_sound(case.gauntlet())


def test_site_folder_that_links_to_itself_stops_nobody(case: Case) -> None:
    (case.site / "loop").symlink_to(case.site)
    case.path += [str(case.site / "loop"), str(case.site / "loop" / "loop")]
    got = case.gauntlet()
    assert_sound(got)
    assert [each["name"] for each in got["isolate"]["plugins"]] == ["good"]
    assert got["isolate"]["findings"] == []


def test_egg_info_file_of_distutils_is_read(case: Case) -> None:
    case.file(
        "bad_dist-6.6.6-py3.11.egg-info", "Metadata-Version: 1.0\nName: bad-dist\nVersion: 6.6.6\n"
    )
    case.module("bad", BAD)
    got = case.gauntlet({"entry_points": {"deny": ["bad-dist"]}})
    assert_sound(got)
    assert got["isolate"]["findings"] == []


def test_stale_dist_info_beside_the_real_one_is_a_finding(case: Case) -> None:
    case.module("bad", BAD)
    case.dist("bad-dist", "6.6.6", entry_points={"bad": "bad"})
    case.dist("bad-dist", "5.0", entry_points={"bad": "bad"})
    got = case.gauntlet()
    assert_sound(got)
    assert len([each for each in got["isolate"]["plugins"] if each["name"] == "bad"]) == 1
    assert any("bad-dist" in finding["subject"] for finding in got["isolate"]["findings"])


@pytest.mark.parametrize("order", ["older_first", "newer_first"])
def test_first_folder_hides_the_second_and_says_so(case: Case, order: str) -> None:
    other = case.folder / "other"
    case.module("bad", BAD)
    case.module("bad", BAD, site=other)
    case.dist("Bad_Dist", "6.6.6" if order == "newer_first" else "5.0", entry_points={"bad": "bad"})
    case.dist(
        "bad-dist",
        "5.0" if order == "newer_first" else "6.6.6",
        entry_points={"bad": "bad"},
        site=other,
    )
    case.path.append(str(other))
    got = case.gauntlet()
    assert_sound(got)
    assert record(got["isolate"])["version"] == ("6.6.6" if order == "newer_first" else "5.0")
    assert [finding["code"] for finding in got["isolate"]["findings"]] == ["hidden-distribution"]


PATH_ITEMS = {
    "none": "None",
    "int": "5",
    "bytes": "b'/'",
    "path": "Path('/')",
    "object": "object()",
    "empty": "''",
    "missing": "'/no/such/folder'",
    "file": "str(Path('site/good.py').resolve())",
    "null": "'a\\0b'",
    "surrogate": "'/\\udcff'",
    "long": "'/' + 'x' * 100_000",
    "deep": "'/tmp' + '/x' * 100_000",
    "relative": "'site'",
    "device": "'/dev/null'",
    "hostile_str": "type('S', (str,), {'__hash__': None, 'lower': None})('site')",
    "eq_raises": "type('S', (str,), {'__eq__': lambda s, o: 1 / 0, '__hash__': lambda s: 1 / 0})('site')",
}


@pytest.mark.parametrize("kind", PATH_ITEMS)
def test_odd_item_on_the_path_stops_nobody(case: Case, kind: str) -> None:
    got = case.run(
        f"""
        sys.path.append({PATH_ITEMS[kind]})
        sys.path.insert(1, {PATH_ITEMS[kind]})
        out.update(account(initialize()))
        out["good"] = attempt(exec_data_access, "good")
        """
    )
    assert got["good"] == {"value": 42}
    assert got["ok"]


def _make_zip(case: Case, content: bytes | None = None) -> Path:
    place = case.folder / "plugins.zip"
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("bad.py", HEADER + BAD)
        archive.writestr("bad_dist-6.6.6.dist-info/METADATA", "Name: bad-dist\nVersion: 6.6.6\n")
        archive.writestr("bad_dist-6.6.6.dist-info/entry_points.txt", content or SOUND)
    case.path.append(str(place))
    return place


def test_plugin_in_a_zip_loads(case: Case) -> None:
    _make_zip(case)
    got = case.gauntlet()
    assert_sound(got)
    assert got["bad"] == {"value": "bad"}
    assert record(got["isolate"])["version"] == "6.6.6"


def test_plugin_in_a_zip_can_be_denied(case: Case) -> None:
    _make_zip(case)
    got = case.gauntlet({"names": ["bad"], "entry_points": {"deny": ["bad_dist"]}})
    assert_healthy(got)
    assert [e["state"] for e in got["isolate"]["plugins"] if e["name"] == "bad"] == ["denied"] * 2
    assert "bad" not in got["isolate"]["plugged"]


def test_broken_line_in_a_zip_is_a_failed_plugin(case: Case) -> None:
    _make_zip(case, SOUND + b"broken\n")
    got = case.gauntlet()
    assert_healthy(got, alone=False)
    assert got["bad"] == {"value": "bad"}
    assert got["isolate"]["states"]["(line 3)"] == "failed"


def test_bytes_in_a_zip_that_are_not_utf8_are_not_passed_over_in_silence(case: Case) -> None:
    _make_zip(case, SOUND + b"\xff = x\n")
    got = case.gauntlet()
    assert_healthy(got, alone=False)
    assert got["isolate"]["states"][r"\xff"] == "failed"


ZIPS = {
    "truncated": lambda content: content[: len(content) // 2],
    "no_directory": lambda content: content[:-40],
    "garbage_after": lambda content: content + b"junk" * 1000,
    "garbage": lambda content: b"PK\x03\x04" + b"\xff" * 500,
    "empty": lambda content: b"",
    "flipped": lambda content: content.replace(b"entry_points", b"entry_p\xff\xfents"),
}


@pytest.mark.parametrize("kind", ZIPS)
def test_broken_zip_on_the_path_stops_nobody(case: Case, kind: str) -> None:
    place = _make_zip(case)
    place.write_bytes(ZIPS[kind](place.read_bytes()))
    got = case.gauntlet()
    assert_healthy(got, alone=False)
    assert got["strict"]["error"] is None


FINDERS = {
    "raises": "def find_distributions(self, *a): raise RuntimeError",
    "exits": "def find_distributions(self, *a): raise SystemExit",
    "returns_none": "def find_distributions(self, *a): return None",
    "yields_none": "def find_distributions(self, *a): yield None",
    "yields_then_raises": "def find_distributions(self, *a): yield D(); raise RuntimeError",
    "yields_hostile": "def find_distributions(self, *a): yield D()",
    "yields_exiting": "def find_distributions(self, *a): yield E()",
    "is_no_function": "find_distributions = 5",
    "takes_nothing": "def find_distributions(self): return []",
    "getattr_raises": "def __getattr__(self, name): raise RuntimeError",
    "getattr_exits": "def __getattr__(self, name): raise SystemExit",
    "answers_all": "def __getattr__(self, name): return self\n    def __call__(self, *a, **k): return self",
}


@pytest.mark.parametrize("kind", FINDERS)
def test_hostile_metadata_finder_stops_nobody(case: Case, kind: str) -> None:
    got = case.run(
        f"""
class D:
    def __getattr__(self, name): raise RuntimeError(name)
class E:
    def __getattribute__(self, name): raise SystemExit(name)
class F:
    {FINDERS[kind]}
    def find_spec(self, *args): return None
sys.meta_path.append(F())
out.update(account(initialize()))
out["good"] = attempt(exec_data_access, "good")
        """
    )
    assert got["good"] == {"value": 42}
    assert got["states"]["good"] == "loaded"


ENTRY_VALUES = {
    "missing_object": ("bad:nothing", "nothing"),
    "undecorated_object": ("bad:plain", "plain"),
    "deep_missing_object": ("bad:Class.nothing", "nothing"),
    "object_of_another_plugin": ("good:nothing", "nothing"),
    "submodule_of_a_module": ("bad.sub", "bad"),
    "missing_module": ("no_such_module", "no_such_module"),
    "keyword": ("class", "class"),
    "builtin_object": ("os:path", "path"),
    "object_getattr_raises": ("bad:hostile.x", ""),
    "object_getattr_exits": ("bad:exiting.x", ""),
    "object_eq_raises": ("bad:odd", "odd"),
    "property": ("bad:Class.raising", "raising"),
    "property_of_the_class_exits": ("bad:Exiting.exiting", ""),
    "call_of_a_function": ("bad:bad.__call__", "__call__"),
    "name_of_the_module": ("bad:__name__", "__name__"),
    "keyword_object": ("bad:class", "class"),
    "own_function": ("aimm_plugins._api:initialize", "initialize"),
    "init_of_a_module": ("bad.__init__", "bad"),
    "other_case": ("BAD", "BAD"),
    "full_width": ("\uff42ad", "ad"),
}


@pytest.mark.parametrize("kind", ENTRY_VALUES)
def test_entry_point_that_names_nothing_sound_fails_alone(case: Case, kind: str) -> None:
    value, why = ENTRY_VALUES[kind]
    case.module(
        "bad",
        BAD
        + "def plain(): ...\nclass Class:\n    @property\n    def raising(s): raise RuntimeError\n"
        + "class Meta(type):\n    @property\n    def exiting(c): raise SystemExit\n"
        + "class Exiting(metaclass=Meta): ...\n"
        + "class H:\n    def __getattr__(s, n): raise RuntimeError\nhostile = H()\n"
        + "class E:\n    def __getattr__(s, n): raise SystemExit\nexiting = E()\n"
        + "class O:\n    def __eq__(s, o): raise RuntimeError\n    __hash__ = None\nodd = O()\n",
    )
    case.dist("bad-dist", "6.6.6", entry_points={"bad": value})
    got = case.gauntlet()
    assert_healthy(got)
    found = record(got["isolate"])
    assert found["state"] == "failed"
    assert why in found["error"]["message"]
    assert "bad-dist 6.6.6" in got["strict"]["text"]


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "a.b",
        "a:b",
        "a[b]",
        "\u00fc",
        "bad;good",
        "'bad'",
        "..",
        "None",
        "{0}%s",
        "bad #c",
        "good",
    ],
)
def test_entry_point_may_be_called_anything(case: Case, name: str) -> None:
    case.module("bad", BAD)
    case.dist("bad-dist", "6.6.6", entry_points={name: "bad"})
    got = case.gauntlet()
    assert_sound(got)
    assert got["bad"] == {"value": "bad"}


def test_hundreds_of_strangers_with_broken_metadata_stop_nobody(case: Case) -> None:
    for number in range(400):
        folder = case.site / f"stranger_{number}-1.0.dist-info"
        folder.mkdir()
        (folder / "entry_points.txt").write_bytes(
            b"[aimm.plugins]\nbroken\n" if number % 2 else b"\xff"
        )
    got = case.gauntlet()
    assert_healthy(got, alone=False)
    states = [each["state"] for each in got["isolate"]["plugins"]]
    assert sorted(states) == ["failed"] * 200 + ["loaded"]


def test_metadata_that_vanishes_while_plugins_load_stops_nobody(case: Case) -> None:
    case.module("aaa", "import shutil\nshutil.rmtree('site/good_dist-1.0.dist-info')\n")
    case.dist("aaa-dist", entry_points={"aaa": "aaa"})
    got = case.run(
        """
        out.update(account(initialize()))
        out["good"] = attempt(exec_data_access, "good")
        """
    )
    assert got["good"] == {"value": 42}
    assert got["states"] == {"aaa": "loaded", "good": "loaded"}


def test_uninstalled_plugin_whose_metadata_stayed_fails_alone(case: Case) -> None:
    case.bad(BAD)
    (case.site / "bad.py").unlink()
    got = case.gauntlet()
    assert_healthy(got)
    assert "bad-dist 6.6.6" in got["strict"]["text"]


def test_plugin_whose_metadata_was_removed_is_simply_gone(case: Case) -> None:
    case.bad(BAD)
    shutil.rmtree(next(case.site.glob("bad_dist*")))
    got = case.gauntlet()
    assert_sound(got)
    assert list(got["isolate"]["states"]) == ["good"]
