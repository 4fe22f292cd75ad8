"""The promises of `.github/SECURITY.md`, each held by a test that is named for it.

That of `contrib.asgi` is held by `test_nothing_written_freely_is_served` of tests/contrib.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from types import SimpleNamespace

import pytest

import aimm_plugins
from aimm_plugins import ArtifactError, ConfigError, PluginLoadError, UnknownPluginError, cli
from tests.support.bytecode import forge_bytecode
from tests.support.denials import ORIGINS
from tests.support.metadata import write_dist_info

PLUGIN = "from aimm_plugins import fit\n@fit(['evil'])\ndef f(m): return 'evil'\n"
POINTS = """
[aimm.plugins]
evil = evil_pkg.mod
[aimm.plugins.fit]
evil = evil_pkg.mod:f
[aimm.plugins.options]
evil = evil_pkg.settings:schema
"""


@pytest.fixture
def world(site, tmp_path, monkeypatch):
    """`evil-dist`, every module of which leaves a mark when it runs, and a policy."""
    mark = tmp_path / "mark"
    trap = f"open({str(mark)!r}, 'w').close()\n"
    files = ["evil_pkg/__init__.py", "evil_pkg/mod.py", "evil_pkg/settings.py"]
    (site / "evil_pkg").mkdir()
    for file in files:
        (site / file).write_text(trap + PLUGIN * ("mod" in file) + "schema = {}\n")
    info = write_dist_info(
        site, "evil-dist", entry_points=POINTS, files=files, direct_url=ORIGINS["vcs"]
    )
    monkeypatch.setenv("AIMM_PLUGINS_POLICY", str(tmp_path / "policy.yaml"))
    (tmp_path / "policy.yaml").write_text("{}")
    (tmp_path / "lock").write_text("")
    yield SimpleNamespace(mark=mark, site=site, info=info, folder=tmp_path, env=monkeypatch.setenv)
    for name in [name for name in sys.modules if name.startswith("evil_pkg")]:
        del sys.modules[name]


def _verify(world):
    (world.site / "evil_pkg/mod.py").write_text((world.site / "evil_pkg/mod.py").read_text() + " ")
    return {"verify": "record"}


def _locked(world):
    return {"locked": str(world.folder / "lock")}


def _policy(world):
    (world.folder / "policy.yaml").write_text("entry_points: {deny: [Evil.Dist]}\n")
    return {}


def _environment(world):
    world.env("AIMM_PLUGINS_DENY", "evil_dist<2")
    return {}


RULES = {
    "allow": lambda world: {"entry_points": {"allow": []}},
    "deny": lambda world: {"entry_points": {"deny": ["evil-dist>=1"]}},
    "deny_origins": lambda world: {"entry_points": {"deny_origins": ["vcs"]}},
    "verify": _verify,
    "locked": _locked,
    "AIMM_PLUGINS_POLICY": _policy,
    "AIMM_PLUGINS_DENY": _environment,
}


def _initialize(conf, path):
    aimm_plugins.initialize(conf)


def _refresh(conf, path):
    aimm_plugins.initialize(conf)
    aimm_plugins.refresh()


def _call(conf, path):
    aimm_plugins.initialize({**conf, "load": "lazy"})
    with pytest.raises(UnknownPluginError):
        aimm_plugins.exec_fit("evil", None)


def _by_name(*names):
    def way(conf, path):
        for name in names:
            aimm_plugins.initialize({**conf, "names": [name]})

    return way


def _with_options(conf, path):
    aimm_plugins.initialize({**conf, "options": {"evil": {"a": 1}}})


def _by_probe(conf, path):
    aimm_plugins.initialize({**conf, "probe": 30})


def _by_verb(*arguments):
    def way(conf, path):
        cli.run([*arguments, "--conf", path])

    return way


VERBS = [
    ["list"],
    ["plan"],
    ["show", "evil"],
    ["explain", "fit:evil"],
    ["explain", "evil-dist"],
    ["doctor"],
    ["freeze"],
    ["report"],
]
WAYS = {
    "initialize": _initialize,
    "refresh": _refresh,
    "call": _call,
    "names": _by_name("evil_pkg.mod", "evil_pkg", "evil_pkg.nope", "evil_pkg."),
    "options": _with_options,
    "probe": _by_probe,
    **{" ".join(verb): _by_verb(*verb) for verb in VERBS},
    **{f"{verb} --load": _by_verb(*verb.split(), "--load") for verb in ("list", "show evil")},
    "profile": _by_verb("profile", "--runs", "1"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rule", RULES)
def test_distribution_that_a_rule_keeps_out_gets_no_code_run(world, rule, way):
    conf = {"names": [], "on_error": "isolate", **RULES[rule](world)}
    (world.folder / "conf.json").write_text(json.dumps(conf))
    WAYS[way](conf, str(world.folder / "conf.json"))
    assert not world.mark.exists()
    assert ("fit", "evil") not in aimm_plugins.providers()


@pytest.mark.parametrize("way", ["initialize", "options", "list --load", "names"])
def test_without_a_rule_its_code_runs(world, way):
    conf = {"names": [], "on_error": "isolate"}
    (world.folder / "conf.json").write_text(json.dumps(conf))
    WAYS[way](conf, str(world.folder / "conf.json"))
    assert world.mark.exists()


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_verb_that_imports_nothing_imports_nothing_that_is_allowed_either(world, verb):
    (world.folder / "conf.json").write_text(json.dumps({"names": []}))
    cli.run([*verb, "--conf", str(world.folder / "conf.json")])
    assert not world.mark.exists()


WIDER = {
    "allow": {"names": ["evil_pkg.mod"], "entry_points": {"allow": ["evil-dist"]}},
    "nothing": {"names": ["evil_pkg.mod"]},
    "other verify": {"names": ["evil_pkg.mod"], "verify": "none"},
    "prefer": {"names": [], "prefer": {"fit:evil": "evil-dist"}},
    "required": {"names": [], "required": ["evil-dist"]},
}
POLICIES = {
    "allow": "entry_points: {allow: []}\n",
    "deny": "entry_points: {deny: [evil-dist]}\n",
    "deny_origins": "entry_points: {deny_origins: [vcs]}\n",
    "locked": "locked: lock\n",
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("conf", WIDER)
def test_conf_widens_nothing_that_the_policy_allows(world, conf, policy):
    (world.folder / "policy.yaml").write_text(POLICIES[policy])
    aimm_plugins.initialize({**WIDER[conf], "on_error": "isolate"})
    assert not world.mark.exists()


def test_bytecode_that_was_forged_is_not_run_under_verify(world):
    """A rule that compares files holds for what Python would run in their place."""
    for file in ("__init__.py", "mod.py"):
        path = world.site / "evil_pkg" / file
        path.write_text(PLUGIN if file == "mod.py" else "")
    files = ["evil_pkg/__init__.py", "evil_pkg/mod.py", "evil_pkg/settings.py"]
    for leftover in world.info.iterdir():
        leftover.unlink()
    world.info.rmdir()
    write_dist_info(world.site, "evil-dist", entry_points={"evil": "evil_pkg.mod"}, files=files)
    for file in ("__init__.py", "mod.py"):
        forge_bytecode(world.site / "evil_pkg" / file, f"open({str(world.mark)!r}, 'w')")
    aimm_plugins.initialize({"names": [], "verify": "record", "on_error": "isolate"})
    assert aimm_plugins.exec_fit("evil", None) == "evil"
    assert not world.mark.exists()


DOCUMENTS = {
    "python tag": "!!python/object/apply:os.system ['touch mark']\n",
    "aliases": "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in pairwise("abcdefghi")),
    "nesting": "[" * 100_000,
    "integer": "names: " + "9" * 100_000,
}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_reading_a_conf_runs_nothing_and_takes_no_time_out_of_proportion(
    tmp_path, monkeypatch, kind
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf.yaml").write_text(DOCUMENTS[kind])
    begun = time.process_time()
    with pytest.raises(ConfigError):
        aimm_plugins.initialize(tmp_path / "conf.yaml")
    assert time.process_time() - begun < 5
    assert not (tmp_path / "mark").exists()


def test_reading_metadata_takes_no_time_out_of_proportion(site):
    info = write_dist_info(site, "large", entry_points="[aimm.plugins]\n" + "x\n" * 50_000)
    (info / "RECORD").write_text("a,b\n" * 25_000)
    begun = time.process_time()
    with pytest.raises(PluginLoadError):
        aimm_plugins.initialize({"names": [], "entry_points": {"deny": ["other"]}})
    assert time.process_time() - begun < 5


def test_artifact_that_is_not_signed_as_the_conf_demands_is_not_unpacked(site):
    (site / "svc_mod.py").write_text(
        "from aimm_plugins import *\n"
        "@serialize(['svc'])\ndef dump(x): return b'1'\n"
        "@deserialize(['svc'])\ndef load(data): raise AssertionError('was given the bytes')\n"
    )
    conf = {"names": ["svc_mod"], "entry_points": {"enabled": False}}
    aimm_plugins.initialize(conf)
    data = aimm_plugins.pack("svc", 1)
    aimm_plugins.unload_all()
    aimm_plugins.initialize({**conf, "artifacts": {"signed": "required"}})
    with pytest.raises(ArtifactError, match="is not signed"):
        aimm_plugins.unpack(data)


def test_artifact_is_given_to_no_other_provider_than_it_names(site):
    text = (
        "from aimm_plugins import *\n"
        "@serialize(['svc'])\ndef dump(x): return b'1'\n"
        "@deserialize(['svc'])\ndef load(data): raise AssertionError('was given the bytes')\n"
    )
    for name in ("svc_one", "svc_two"):
        (site / f"{name}.py").write_text(text)
        write_dist_info(
            site, name.replace("_", "-"), entry_points={name: name}, files=[f"{name}.py"]
        )
    aimm_plugins.initialize({"names": [], "entry_points": {"allow": ["svc-one"]}})
    data = aimm_plugins.pack("svc", 1)
    aimm_plugins.unload_all()
    aimm_plugins.initialize({"names": [], "entry_points": {"allow": ["svc-two"]}})
    with pytest.raises(ArtifactError, match="svc-one"):
        aimm_plugins.unpack(data)


def test_page_of_report_runs_and_fetches_nothing_of_a_plugins_name(site, tmp_path):
    (site / "named.py").write_text("")
    name = "<img src=x onerror=alert(1)></script><script src='https://evil.example/x.js'>"
    write_dist_info(site, "named-dist", entry_points=f"[aimm.plugins]\n{name} = named\n")
    cli.run(["report", "--html", str(tmp_path / "page.html")])
    page = (tmp_path / "page.html").read_text()
    assert "<img" not in page
    assert "</script><script src" not in page
    assert "Content-Security-Policy" in page
