"""Names and texts that a terminal would obey, or that pretend to be lines of ours."""

from __future__ import annotations

from typing import Any

import pytest

from aimm_plugins._system.text import nearest
from tests.support.forked.case import BAD, Case

# Clears the screen, sets the window's title, writes over the line, turns the direction of writing,
# and begins a line of a report that says something else.
EVIL = "x\x1b[2J\x1b]0;title\x07\b\x7f\x9b1m\u202e\u2066\u061c\u200fy"
FORGED = "x\nloaded  forged  forged-dist 1.0"

PLACES = {
    "name_in_metadata": lambda case, text: (
        case.dist("bad-dist", "6.6.6", entry_points={"bad": "bad"})
        .joinpath("METADATA")
        .write_text("Name: " + text + "\nVersion: 6.6.6\n")
    ),
    "version": lambda case, text: (
        case.dist("bad-dist", "6.6.6", entry_points={"bad": "bad"})
        .joinpath("METADATA")
        .write_text("Name: bad-dist\nVersion: " + text + "\n")
    ),
    "folder": lambda case, text: case.dist("bad-dist", "6.6.6", entry_points={"bad": "bad"}).rename(
        case.site / ("bad" + text + "-6.6.6.dist-info")
    ),
    "entry_point_name": lambda case, text: case.dist(
        "bad-dist", "6.6.6", entry_points={EVIL: "bad"}
    ),
    "entry_point_value": lambda case, text: case.dist(
        "bad-dist", "6.6.6", entry_points={"bad": "bad" + text}
    ),
    "published_key": lambda case, text: case.dist(
        "bad-dist", "6.6.6", entry_points={"bad": "bad"}, published={"fit:" + text: "bad:bad"}
    ),
    "published_twice": lambda case, text: [
        case.dist(name, "6.6.6", entry_points={"bad": "bad"}, published={"fit:" + text: "bad:bad"})
        for name in ("bad-dist", "c-dist")
    ],
    "unknown_action": lambda case, text: case.dist(
        "bad-dist", "6.6.6", entry_points={"bad": "bad"}, published={text + ":bad": "bad:bad"}
    ),
    "direct_url": lambda case, text: case.dist(
        "bad-dist",
        "6.6.6",
        entry_points={"bad": "bad"},
        direct_url={"url": "https://x/" + text, "vcs_info": {"vcs": text}},
    ),
    "declared_key": lambda case, text: case.bad(f"@fit([{text!r}])\ndef bad(m): ...\n"),
    "declared_twice": lambda case, text: [
        case.module(name, f"@fit([{text!r}])\ndef bad(m): ...\n")
        and case.dist(name + "-dist", entry_points={name: name})
        for name in ("bad", "bad2")
    ],
    "error_text": lambda case, text: case.bad(f"raise ValueError({text!r})\n"),
    "error_note": lambda case, text: case.bad(
        f"e = ValueError(1)\ne.add_note({text!r})\nraise e\n"
    ),
    "error_class": lambda case, text: case.bad(f"raise type({text!r}, (Exception,), {{}})(1)\n"),
    "missing_module": lambda case, text: case.bad(f"__import__({text!r})\n"),
    "docstring": lambda case, text: (
        case.bad(BAD.replace("return", f"return {text!r}"))
        or case.module("bad", f'@fit(["bad"])\ndef bad(m):\n    {text!r}\n')
    ),
    "qualname": lambda case, text: case.bad(
        BAD + f"bad.__qualname__ = {text!r}\nbad.__module__ = {text!r}\n"
    ),
    "argument": lambda case, text: case.bad(f'@fit(["bad"])\ndef bad(m, x={text!r}): ...\n'),
}


@pytest.mark.parametrize("place", PLACES)
def test_nothing_of_a_stranger_commands_a_terminal_or_forges_a_line(case: Case, place: str) -> None:
    case.module("bad", BAD)
    PLACES[place](case, EVIL + FORGED)
    got = case.run(
        f"""
        import contextlib, io
        from aimm_plugins.cli import run
        told, logged = [], io.StringIO()
        logging.getLogger("aimm_plugins").addHandler(logging.StreamHandler(logged))
        logging.getLogger("aimm_plugins").setLevel(0)
        for rules in ({{"allow": ["good-dist"]}}, {{}}):
            conf = {{"names": [], "on_error": "isolate", "entry_points": rules}}
            json.dump(conf, open("conf.json", "w"))
            told += [str(plan(conf)), str(plan({{**conf, "load": "lazy"}}))]
            for load in ("lazy", "eager"):
                out.update(account(initialize({{**conf, "load": load}})))
                told += [out["text"], str(current_report())]
                for key in ({(EVIL + FORGED)!r}, {EVIL!r}, "bad", "nothing"):
                    told += [attempt(exec_fit, key, None).get("text", "")]
                unload_all()
            told += [attempt(initialize, {{**conf, "on_error": "strict"}}).get("text", "")]
            unload_all()
            for words in (
                "list", "plan", "doctor", "explain bad", "explain bad-dist", "show bad", "report --load",
                "list --format json", "doctor --format json", "report --load --format json", "show bad --format json",
            ):
                printed = io.StringIO()
                with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                    run([*words.split(), "--conf", "conf.json"])
                told += [printed.getvalue()]
        if not {place.startswith("error")}:  # else with a traceback, which is the plugin's own
            told += [logged.getvalue()]
        out["told"] = told
        """
    )
    assert got["states"]["good"] == "loaded"
    for told in got["told"]:
        assert not set(told) & set("\x1b\x07\b\x7f\x9b\u202e\u2066\u061c\u200f"), told
        assert not any(line.startswith("loaded  forged") for line in told.splitlines()), told


def test_nearest_is_found_whatever_the_case_of_its_letters() -> None:
    assert nearest("FIT:IRIS.SVC", ["fit:iris.svc", "fit:other"]) == ["fit:iris.svc"]
    assert nearest("iris.svc", ["Iris.SVC"]) == ["Iris.SVC"]


def test_nearest_of_very_many_names_is_found_among_the_likely_ones() -> None:
    names = [f"iris.model{number:06}" for number in range(100_000)]
    assert nearest("iris.modle000123", names) == ["iris.model000123"]
    assert nearest("nothing like them", names) == []


def test_a_name_that_is_alike_at_both_ends_is_near_once() -> None:
    """Of many names those of the same beginning and those of the same end are compared."""
    names = [f"fit:k{number}" for number in range(300)]
    found = nearest("fit:k999", names, count=3)
    assert len(found) == len(set(found)) == 3


@pytest.mark.parametrize("slip", ["mdel000123", "modle000123", "moddel000123", "Model000123"])
def test_nearest_of_a_large_set_is_one_slip_away_and_looked_up(slip: str) -> None:
    class Counted(frozenset[str]):
        looks = 0

        def __contains__(self, name: object) -> bool:
            self.looks += 1
            return super().__contains__(name)

        def __iter__(self) -> Any:
            raise AssertionError("goes through all of them")

    names = Counted(f"model{number:06}" for number in range(20_000))
    assert "model000123" in nearest(slip, names, count=3)
    assert names.looks < 2000
