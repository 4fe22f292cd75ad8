"""Whose code an import would run, and what keeps it from running."""

from __future__ import annotations

import py_compile
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from aimm_plugins import initialize
from aimm_plugins._config.values import Config, EntryPointRules
from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.ownership import ModuleFile
from aimm_plugins._policy.judge import Policy
from aimm_plugins._policy.lockfile import Lock
from aimm_plugins._policy.rules import Layer, read_layer
from aimm_plugins._values.report import Origin
from tests.conftest import record_of
from tests.support.denials import assert_denied, trapped
from tests.support.forked.case import BAD, Case, assert_healthy, record
from tests.support.metadata import Stated


def test_denied_owner_of_the_module_of_another_distribution_is_not_run(marked, install):
    mark = marked()
    install("sly-dist", entry_points={"sly": "p"})
    report = initialize({"names": [], "entry_points": {"deny": ["mark-dist"]}})
    reason = record_of(report, "sly").reason
    assert "importing p would run mark-dist 1.0, which is denied by 'mark-dist'" in reason
    assert not mark.exists()


def test_denied_owner_of_a_parent_package_is_not_run(write, install, tmp_path):
    mark = tmp_path / "ran"
    write(base____init__=f"open({str(mark)!r}, 'w')\n", base__extra="")
    install("base-dist", files=["base/__init__.py"])
    install("extra-dist", entry_points={"ep": "base.extra"}, files=["base/extra.py"])
    report = initialize({"names": ["base.extra"], "entry_points": {"deny": ["base-dist"]}})
    assert [r.state for r in report.plugins if r.module == "base.extra"] == ["denied", "denied"]
    assert not mark.exists()


def test_denied_plugins_parent_packages_never_run(case: Case) -> None:
    case.package("top", case.trap())
    case.package("top.middle", case.trap())
    case.module("top.middle.bad", case.trap() + BAD)
    case.bad(None, "top.middle.bad:bad")
    assert_denied(case, case.gauntlet({"entry_points": {"deny": ["bad-dist"]}}), "deny[0]")


def test_plan_runs_no_parent_package(case: Case) -> None:
    case.package("top", case.trap())
    case.module("top.bad", case.trap() + BAD)
    case.bad(None, "top.bad")
    got = case.run("out.update(account(plan({'names': ['top.bad', 'top.no.such']})))")
    assert got["states"]["bad"] == got["states"]["top.bad"] == "planned"
    assert not case.marker.exists()


def test_denied_distributions_keys_published_for_laziness_are_not_known(case: Case) -> None:
    case.module("bad", case.trap() + BAD)
    case.dist(
        "bad-dist", "6.6.6", entry_points="[aimm.plugins.fit]\nbad = bad:bad\n", files=["bad.py"]
    )
    for load in ("lazy", "eager"):
        got = case.gauntlet({"entry_points": {"deny": ["bad-dist"]}, "load": load})
        assert_healthy(got)
        assert got["bad"]["error"] == "UnknownPluginError"
    assert not case.marker.exists()


def test_denied_distributions_module_is_not_run_by_a_config_name(case: Case) -> None:
    trapped(case)
    got = case.gauntlet({"names": ["bad"], "entry_points": {"deny": ["bad-dist"]}})
    assert_healthy(got)
    assert [each["state"] for each in got["isolate"]["plugins"] if each["name"] == "bad"] == [
        "denied"
    ] * 2
    assert not case.marker.exists()


def test_denied_distributions_submodule_is_not_run_by_a_config_name(case: Case) -> None:
    case.package("bad", case.trap())
    case.module("bad.sub", case.trap())
    case.dist("bad-dist", "6.6.6", files=["bad/__init__.py", "bad/sub.py"])
    got = case.gauntlet({"names": ["bad.sub"], "entry_points": {"deny": ["bad-dist"]}})
    assert_denied(case, got, "bad-dist", "bad.sub")


def test_denied_distributions_package_is_not_run_for_a_strangers_submodule(case: Case) -> None:
    case.package("bad", case.trap())
    case.module("bad.extension", BAD)
    case.dist("bad-dist", "6.6.6", files=["bad/__init__.py"])
    case.dist(
        "extension-dist", entry_points={"extension": "bad.extension"}, files=["bad/extension.py"]
    )
    got = case.gauntlet({"entry_points": {"deny": ["bad-dist"]}})
    assert_denied(case, got, "bad-dist", "extension")


@pytest.mark.parametrize("value", ["bad", "bad:bad"])
def test_denied_distributions_module_is_not_run_by_anothers_entry_point(
    case: Case, value: str
) -> None:
    case.module("bad", case.trap() + BAD)
    case.dist("bad-dist", "6.6.6", files=["bad.py"])
    case.dist("front-dist", entry_points={"front": value})
    got = case.gauntlet({"entry_points": {"deny": ["bad-dist"]}})
    assert_denied(case, got, "bad-dist", "front")


def test_denied_distributions_module_is_not_run_by_anothers_published_key(case: Case) -> None:
    case.module("bad", case.trap() + BAD)
    case.dist("bad-dist", "6.6.6", files=["bad.py"])
    case.dist("front-dist", entry_points="[aimm.plugins.fit]\nbad = bad:bad\n")
    for load in ("lazy", "eager"):
        got = case.gauntlet({"entry_points": {"deny": ["bad-dist"]}, "load": load})
        assert_healthy(got)
        assert got["bad"]["error"] == "UnknownPluginError"
    assert not case.marker.exists()


def test_denied_editable_install_is_found_by_its_folder(case: Case) -> None:
    project = case.folder / "project" / "src"
    case.module("bad", case.trap() + BAD, site=project)
    case.path.append(str(project))
    case.dist(
        "bad-dist",
        "6.6.6",
        direct_url={"url": (case.folder / "project").as_uri(), "dir_info": {"editable": True}},
    )
    got = case.gauntlet({"names": ["bad"], "entry_points": {"deny": ["bad-dist"]}})
    found = assert_denied(case, got, "bad-dist")
    assert (found["distribution"], found["origin"]) == ("bad-dist", "editable")


def test_denied_editable_install_in_a_folder_with_odd_letters_is_found(case: Case) -> None:
    project = case.folder / "my project ü%20#"
    case.module("bad", case.trap() + BAD, site=project)
    case.path.append(str(project))
    case.dist(
        "bad-dist", "6.6.6", direct_url={"url": project.as_uri(), "dir_info": {"editable": True}}
    )
    got = case.gauntlet({"names": ["bad"], "entry_points": {"deny": ["bad-dist"]}})
    assert_denied(case, got, "bad-dist")


HOOK = """
import sys
from importlib.util import spec_from_file_location
class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "badpkg":
            return spec_from_file_location(name, {file!r}, submodule_search_locations=[{folder!r}])
sys.meta_path.insert({at}, Finder)
"""


def _by_path(case: Case, source: Path) -> str:
    case.path.append(str(source))
    return ""


def _by_hook(case: Case, source: Path, at: int = 99) -> str:
    package = source / "badpkg"
    return HOOK.format(file=str(package / "__init__.py"), folder=str(package), at=at)


def _by_first_hook(case: Case, source: Path) -> str:
    return _by_hook(case, source, 0)


def _by_egg_link(case: Case, source: Path) -> str:
    shutil.rmtree(next(case.site.glob("bad_dist*")))
    info = source / "bad_dist.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Name: bad-dist\nVersion: 6.6.6\n")
    (info / "top_level.txt").write_text("badpkg\n")
    (info / "entry_points.txt").write_text("[aimm.plugins]\nbad = badpkg.sub\n")
    case.file("bad-dist.egg-link", f"{source}\n.")
    return _by_path(case, source)


@pytest.mark.parametrize("name", ["badpkg.sub", "badmodule"])
@pytest.mark.parametrize("by_finder", [False, True], ids=["by_pth", "by_finder"])
def test_denied_editable_install_is_found_by_what_lies_outside_of_its_project(
    case: Case, by_finder: bool, name: str
) -> None:
    """A `.pth` file names the folder of the modules, and a finder that of each package."""
    shared = case.folder / "shared"
    (shared / "badpkg").mkdir(parents=True)
    case.module("badpkg", case.trap(), site=shared)
    case.module("badpkg.sub", case.trap(), site=shared)
    case.module("badmodule", case.trap(), site=shared)
    mapping = {name: str(shared / name) for name in ("badpkg", "badmodule")}
    file, text = "bad.pth", f"{shared}\n"
    if by_finder:
        file, text = "__editable___bad_finder.py", f"MAPPING: dict[str, str] = {mapping!r}\n"
    case.file(file, text)
    case.path.append(str(shared))
    case.dist(
        "bad-dist",
        "6.6.6",
        files=[file],
        direct_url={"url": (case.folder / "project").as_uri(), "dir_info": {"editable": True}},
    )
    got = case.gauntlet({"names": [name], "entry_points": {"deny_origins": ["editable"]}})
    found = assert_denied(case, got, "editable", name)
    assert found["distribution"] == "bad-dist"


@pytest.mark.parametrize("name", ["badpkg", "badpkg.sub"])
@pytest.mark.parametrize(
    "install", [_by_path, _by_hook, _by_first_hook, _by_egg_link], ids=lambda each: each.__name__
)
def test_denied_editable_install_of_every_kind_never_runs(case: Case, install, name: str) -> None:
    source = case.folder / "source"
    for file in ("__init__.py", "sub.py"):
        (source / "badpkg").mkdir(parents=True, exist_ok=True)
        (source / "badpkg" / file).write_text(case.trap())
    case.dist(
        "bad-dist",
        "6.6.6",
        entry_points={"bad": "badpkg.sub"},
        direct_url={"url": source.as_uri(), "dir_info": {"editable": True}},
    )
    got = case.run(
        f"""
        {install(case, source).strip().replace(chr(10), chr(10) + " " * 8)}
        conf = {{"names": [{name!r}], "on_error": "isolate", "entry_points": {{"deny": ["bad-dist"]}}}}
        out["plan"] = account(plan(conf))
        out["done"] = account(initialize(conf))
        """
    )
    assert got["done"]["states"] == {name: "denied", "bad": "denied", "good": "loaded"}
    assert got["plan"]["states"] == {name: "denied", "bad": "denied", "good": "planned"}
    assert not case.marker.exists()


@pytest.mark.parametrize("apart", [False, True], ids=["one_folder", "two_folders"])
def test_denied_part_of_a_shared_namespace_never_runs_and_the_other_loads(
    case: Case, apart: bool
) -> None:
    site = case.folder / "other" if apart else case.site
    case.path += [str(site)] * apart
    for name, place, source in (("fine", case.site, BAD), ("bad", site, case.trap())):
        case.module(f"ns.{name}", source, site=place)
        case.dist(
            f"{name}-dist", entry_points={name: f"ns.{name}"}, files=[f"ns/{name}.py"], site=place
        )
    got = case.gauntlet({"names": ["ns.bad", "ns.fine"], "entry_points": {"deny": ["bad-dist"]}})
    states = got["isolate"]["states"]
    assert states == {n: "loaded" if n in ("ns.fine", "fine", "good") else "denied" for n in states}
    assert got["bad"] == {"value": "bad"}
    assert not case.marker.exists()


def test_denied_owner_of_a_file_that_two_distributions_list_never_runs(case: Case) -> None:
    trapped(case)
    case.dist("cover-dist", entry_points={"cover": "bad"}, files=["bad.py"])
    got = case.gauntlet({"names": ["good"], "entry_points": {"deny": ["bad-dist"]}})
    assert got["isolate"]["states"] == {"good": "loaded", "bad": "denied", "cover": "denied"}
    assert not case.marker.exists()


@pytest.mark.parametrize("path", ["./bad.py", "x/../bad.py", ".//bad.py", "../site/bad.py", "{}"])
def test_denied_owner_of_a_file_that_it_lists_in_other_words_never_runs(
    case: Case, path: str
) -> None:
    source = case.module("bad", BAD + case.trap())
    case.dist("bad-dist", "6.6.6")
    case.file("bad_dist-6.6.6.dist-info/RECORD", f"{path.format(source)},,\n")
    case.dist("cover-dist", entry_points={"cover": "bad"})
    got = case.gauntlet({"entry_points": {"deny": ["bad-dist"]}})
    assert got["isolate"]["states"] == {"good": "loaded", "cover": "denied"}
    assert not case.marker.exists()


@pytest.mark.parametrize(
    "record",
    [
        b"\xef\xbb\xbfp.py,,\n",
        b"first.py,,\rp.py,,\r",
        b'first.py,"\np.py,,\n',
        b'first.py,,"a" b\np.py,,\n',
    ],
)
def test_denied_owner_of_a_file_that_its_record_nearly_hides_is_not_run(marked, install, record):
    mark = marked()
    (install("sly-dist", files=["p.py"]) / "RECORD").write_bytes(record)
    report = initialize({"names": ["p"], "entry_points": {"enabled": False, "deny": ["sly-dist"]}})
    assert record_of(report, "p").state == "denied"
    assert not mark.exists()


@pytest.mark.parametrize("way", ["config_name", "entry_point"])
@pytest.mark.parametrize("rule", ["bad-dist", "bad-dist<2"])
def test_denied_distribution_that_another_of_its_name_hides_never_runs(
    case: Case, way: str, rule: str
) -> None:
    newer = case.folder / "newer"
    case.module("bad", case.trap())
    case.module("shown", BAD, site=newer)
    case.dist("bad-dist", "1.0", entry_points={"bad": "bad"}, files=["bad.py"])
    case.dist("bad-dist", "2.0", entry_points={"shown": "shown"}, files=["shown.py"], site=newer)
    case.path.insert(0, str(newer))
    if way == "entry_point":
        case.dist("cover-dist", entry_points={"cover": "bad"})
    names = ["bad"] if way == "config_name" else []
    got = case.gauntlet({"names": names, "entry_points": {"deny": [rule]}})
    assert got["good"] == {"value": 42}
    assert got["isolate"]["states"]["bad" if names else "cover"] == "denied"
    assert not case.marker.exists()


@pytest.mark.parametrize("content", [None, "", "bad.pyc,,\n"], ids=["none", "empty", "sound"])
def test_denied_bytecode_without_source_never_runs(case: Case, content: str | None) -> None:
    source = case.folder / "source.py"
    source.write_text(case.trap())
    py_compile.compile(str(source), cfile=str(case.site / "bad.pyc"))
    folder = case.dist("bad-dist", "6.6.6", entry_points={"bad": "bad"})
    (folder / "RECORD").unlink()
    if content is not None:
        (folder / "RECORD").write_text(content)
    got = case.gauntlet({"names": ["bad", "good"], "entry_points": {"deny": ["bad-dist"]}})
    assert got["isolate"]["states"] == {"bad": "denied", "good": "loaded"}
    assert not case.marker.exists()


@pytest.mark.parametrize("kind", ["wheel", "egg"])
def test_denied_distribution_in_a_zip_never_runs(case: Case, kind: str) -> None:
    info, about = (
        ("bad_dist-6.6.6.dist-info", "METADATA") if kind == "wheel" else ("EGG-INFO", "PKG-INFO")
    )
    path = case.folder / "bad_dist-6.6.6-py3.egg"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bad.py", case.trap())
        archive.writestr(f"{info}/{about}", "Name: bad-dist\nVersion: 6.6.6\n")
        archive.writestr(f"{info}/entry_points.txt", "[aimm.plugins]\nbad = bad\n")
    case.path.append(str(path))
    got = case.gauntlet({"names": ["bad", "good"], "entry_points": {"deny": ["bad-dist"]}})
    assert got["isolate"]["states"] == {"bad": "denied", "good": "loaded"}
    assert not case.marker.exists()


def test_denied_file_behind_a_link_is_found(case: Case) -> None:
    real = case.folder / "real"
    case.module("bad", case.trap() + BAD, site=real)
    (case.folder / "linked").symlink_to(real)
    case.path.append(str(case.folder / "linked"))
    case.dist(
        "bad-dist", "6.6.6", direct_url={"url": real.as_uri(), "dir_info": {"editable": True}}
    )
    got = case.gauntlet({"names": ["bad"], "entry_points": {"deny": ["bad-dist"]}})
    assert_denied(case, got, "bad-dist")


def test_module_that_a_healthy_plugin_imports_registers_nothing_if_denied(case: Case) -> None:
    case.bad(BAD)
    case.module("user", "import bad\n@fit(['user'])\ndef f(m): return 'user'\n")
    case.dist("user-dist", entry_points={"user": "user"})
    got = case.gauntlet({"entry_points": {"deny": ["bad-dist"]}})
    assert_healthy(got, alone=False)
    assert got["isolate"]["keys"] == ["data_access:good", "fit:user"]
    assert "bad" not in got["isolate"]["plugged"]
    assert record(got["isolate"])["state"] == "denied"


def distribution(name: str, version: str | None = "1.0", origin: Origin = "index") -> Distribution:
    return Stated(name=name, version=version, origin=origin)


def policy_of(*layers: Layer, **asked: Any) -> Policy:
    """A policy that is asked without any conf, file or plugin manager."""
    silent: dict[str, Any] = {
        "blocked": lambda module: False,
        "unverified": lambda distribution, module: None,
    }
    return Policy(layers, **{**silent, **asked})


def denying(*rules: str) -> Layer:
    return read_layer(Config(entry_points=EntryPointRules(deny=rules)))


PUBLISHER = distribution("publisher")
OTHER = distribution("other", "2.0")


def test_import_of_allowed_code_is_not_objected_to() -> None:
    files = (ModuleFile("pkg.mod", "/pkg/mod.py", (PUBLISHER,)), ModuleFile("pkg", None, ()))
    assert policy_of(denying("third")).judge("pkg.mod", PUBLISHER, files) is None


@pytest.mark.parametrize("publisher", [PUBLISHER, None], ids=["distribution", "host"])
def test_every_file_that_an_import_runs_is_judged(publisher: Distribution | None) -> None:
    files = (ModuleFile("pkg.mod", "/pkg/mod.py", ()), ModuleFile("pkg", "/pkg.py", (OTHER,)))
    assert policy_of(denying("other")).judge("pkg.mod", publisher, files) == (
        "importing pkg.mod would run other 2.0, which is denied by 'other' (conf entry_points.deny[0])"
    )


def test_every_owner_of_a_file_is_judged() -> None:
    files = (ModuleFile("pkg", "/pkg.py", (PUBLISHER, distribution("fine"), OTHER)),)
    reason = policy_of(denying("other<3")).judge("pkg", PUBLISHER, files)
    assert reason is not None
    assert "other 2.0" in reason


def test_every_layer_is_asked_about_every_file() -> None:
    files = (ModuleFile("pkg", "/pkg.py", (OTHER,)),)
    for layers in ((denying("other"), Layer()), (Layer(), denying("other"))):
        assert policy_of(*layers).judge("pkg", PUBLISHER, files) is not None


def test_owner_that_may_be_is_denied_with_the_reason_why_it_is_not_known() -> None:
    doubt = "its file was not found, and to ask the finder of builder for it may run code"
    files = (ModuleFile("pkg", None, suspects=((OTHER, doubt),)),)
    assert policy_of(denying("other")).judge("pkg", None, files) == (
        "importing pkg may run other 2.0, which is denied by 'other' (conf entry_points.deny[0]); its file was not "
        "found, and to ask the finder of builder for it may run code"
    )


def test_blocked_module_is_denied_whoever_brings_it() -> None:
    policy = policy_of(blocked="pkg".__eq__)
    assert policy.judge("pkg", None) == "pkg is blocked in the plugin manager (set_blocked)"
    assert policy.judge("other", None) is None


def test_module_of_the_host_is_not_asked_for_allowance_lock_and_hashes() -> None:
    config = Config(entry_points=EntryPointRules(allow=()), verify="record")
    layer = read_layer(config)._replace(lock=Lock("lock.txt"))
    policy = policy_of(layer, unverified=lambda distribution, module: "changed")
    assert policy.judge("pkg", None) is None
    assert policy.judge("pkg", PUBLISHER) is not None


def test_hashes_are_compared_only_where_rules_allow_the_import() -> None:
    def unverified(distribution: Distribution, module: str) -> str | None:
        raise AssertionError("asked about a plugin that is denied")

    rules = EntryPointRules(deny=("publisher",))
    layer = read_layer(Config(entry_points=rules, verify="record"))
    assert policy_of(layer, unverified=unverified).judge("pkg", PUBLISHER) is not None


def test_version_that_cannot_be_read_is_denied_by_a_rule_about_versions() -> None:
    unknown = distribution("odd", None)
    assert policy_of(denying("odd<2")).judge("pkg", unknown) == (
        "denied: 'odd<2' (conf entry_points.deny[0]) is about a version, and the version of odd (unknown version) "
        "cannot be read"
    )
    assert policy_of(denying("odd")).judge("pkg", unknown) is not None
