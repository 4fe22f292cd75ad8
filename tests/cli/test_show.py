"""`show`: who provides a key."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES

from tests.cli.conftest import CONF, LEGACY


def test_show_gives_place_signature_docstring_and_who_else_could(world, run):
    status, answer, _ = run("show", "iris.svc", "--format", "json", *CONF)
    assert status == 0
    first, second = answer["providers"]
    assert (first["plugin"], first["provides"]) == ("legacy", False)
    assert "prefer" in first["reason"]
    assert (second["plugin"], second["provides"], second["reason"]) == ("svc", True, None)
    assert second["signature"] == "(model, x, *, epochs: int=20, progress)"
    assert second["docstring"].startswith("Fit in place.\n\nArgs:")
    assert (second["function"], second["line"]) == ("fit_svc", 6)
    text = run("show", "fit:iris.svc", *CONF)[1]
    assert "looked_svc.py:6" in text
    assert "provided by  svc  looked-svc 1.2" in text


def test_show_with_load_describes_what_was_imported(world, run, site):
    source = LEGACY.replace("def learn(model)", "def learn(model, rate: float = 1.0)")
    (site / "looked_legacy.py").write_text(source)
    status, answer, _ = run("show", "iris.old", "--load", "--format", "json", *CONF)
    (provider,) = answer["providers"]
    assert status == 0
    assert (provider["state"], provider["known_from"]) == ("loaded", "import")
    assert provider["signature"] == "(model, rate: float = 1.0)"
    assert provider["line"] == 3


def test_show_of_a_denied_key_exits_1_with_the_rule(world, run):
    status, answer, _ = run("show", "fit:dev.old", "--format", "json", *CONF)
    assert status == 1
    assert answer["providers"][0]["reason"] == "denied by 'looked-dev' (plugins.yaml:3)"


def test_show_of_an_unknown_key_exits_1_and_names_the_nearest(world, run):
    status, out, err = run("show", "fit:iris.sv", *CONF)
    assert (status, out) == (1, "")
    assert "Did you mean fit:iris.svc" in err


def test_show_of_a_name_that_is_no_key_says_what_it_is(world, run):
    status, _, err = run("show", "looked-legacy", *CONF)
    assert status == 1
    assert "looked-legacy: is a distribution, and no key; prefer {" in err


def test_show_of_an_unknown_key_tells_whose_keys_only_an_import_tells(world, run, site, install):
    (site / f"looked_native{EXTENSION_SUFFIXES[0]}").write_bytes(b"\x7fELF")
    install("looked-native", entry_points={"native": "looked_native"})
    status, _, err = run("show", "fit:iris.sv", *CONF)
    assert status == 1
    assert "Did you mean fit:iris.svc" in err
    assert "The keys of native cannot be told without importing: --load does that." in err
