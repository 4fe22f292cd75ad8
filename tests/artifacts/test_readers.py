"""Who can read an artifact: the plugin that it names, in a version that the conf takes."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

import aimm_plugins
from aimm_plugins import ArtifactError, initialize, pack, unpack
from tests.support.artifacts import SOURCE, assert_refused, repacked, restart


def test_missing_provider_says_what_to_install(artifact):
    restart({"names": [], "entry_points": {"enabled": False}})
    data = repacked(artifact, provider={"distribution": "aimm-x", "version": "3", "module": "x"})
    error = assert_refused(
        data, "provider", "aimm-x 3, which is not installed", "pip install aimm-x==3"
    )
    assert (error.model_type, error.distribution, error.version) == ("k", "aimm-x", "3")


def test_provider_that_is_installed_and_not_loaded_says_so(artifact):
    restart({"names": [], "entry_points": {"enabled": False}})
    assert_refused(
        artifact, "provider", "is installed (aimm-svc 1.2) and not loaded", "initialize(conf)"
    )


def test_denied_provider_names_the_rule(artifact):
    restart({"names": [], "entry_points": {"deny": ["aimm-svc<2"]}})
    assert_refused(
        artifact, "provider", "which is denied: denied by 'aimm-svc<2'", "Change the rule"
    )


def test_failed_provider_shows_its_error(artifact, dist):
    dist(source="raise ValueError('no libsvm')\n")
    restart({"names": [], "on_error": "isolate"})
    assert_refused(artifact, "provider", "which is failed: ValueError: no libsvm", "Repair that")


def test_shadowed_provider_names_the_rule(artifact, dist):
    dist(name="aimm-other", module="other")
    restart({"names": [], "prefer": {"k": "aimm-other"}})
    assert_refused(
        artifact,
        "provider",
        "aimm-other 1.2 is here: another provider",
        'prefer aimm-svc 1.2, which is here too (shadowed: prefer {"k": aimm-other} (conf prefer.k)',
        'prefer: {"k": aimm-svc}',
    )


def test_denied_provider_of_a_key_that_another_has_names_the_rule(artifact, dist):
    dist(name="aimm-other", module="other")
    restart({"names": [], "entry_points": {"deny": ["aimm-svc"]}})
    assert_refused(artifact, "provider", "do not deny aimm-svc 1.2: denied by 'aimm-svc'")


def test_conflict_about_the_key_is_shown(artifact, dist):
    dist(name="aimm-other", module="other")
    restart({"names": [], "on_error": "isolate"})
    assert_refused(
        artifact, "provider", "two plugins provide k (serialize, deserialize)", "prefer:"
    )


def test_provider_without_the_key_says_which_version_had_it(artifact, dist):
    dist("2.0", source="@serialize(['k'])\ndef dump(m): ...\n")
    restart()
    assert_refused(
        artifact, "provider", "is here as aimm-svc 2.0 and does not provide", "aimm-svc==1.2"
    )


def test_nothing_initialized_says_so(artifact):
    code = "import aimm_plugins, sys\naimm_plugins.unpack(sys.stdin.buffer.read())"
    done = subprocess.run([sys.executable, "-c", code], input=artifact, capture_output=True)
    assert b"Nothing was ever initialized or declared in this process" in done.stderr


def test_module_that_no_distribution_owns_reads_what_it_wrote(write):
    write(svc=SOURCE)
    initialize({"names": ["svc"]})
    assert unpack(pack("k", 7))[0] == 7


def test_module_that_was_packaged_later_reads_what_it_wrote(write, dist):
    write(svc=SOURCE)
    initialize({"names": ["svc"]})
    data = pack("k", 7)
    dist()
    restart()
    assert unpack(data)[0] == 7


def test_executor_may_read_what_no_plugin_provides(artifact):
    class Executor:
        @aimm_plugins.hookimpl
        def aimm_deserialize(self, model_type, instance_bytes):
            return aimm_plugins.Result((model_type, instance_bytes))

    restart({"names": [], "entry_points": {"enabled": False}})
    aimm_plugins.get_plugin_manager().register(Executor())
    assert unpack(artifact)[0] == ("k", b"7")


def test_what_the_plugin_raises_is_its_own_error(artifact):
    with pytest.raises(ValueError, match="invalid literal") as caught:
        unpack(repacked(artifact, payload=b"x"))
    assert not isinstance(caught.value, ArtifactError)


# Other versions


@pytest.mark.parametrize(
    ("rule", "version", "outcome"),
    [
        (None, "1.2", "silent"),
        (None, "1.9", "warns"),
        (None, "2.0", "refused"),
        (None, "1!1.2", "refused"),
        ("compatible", "1.9", "warns"),
        ("compatible", "2.0", "refused"),
        ("error", "1.2.1", "refused"),
        ("error", "1.2", "silent"),
        ("warn", "2.0", "warns"),
        ("ignore", "2.0", "silent"),
    ],
)
def test_other_version_follows_the_conf(artifact, dist, caplog, rule, version, outcome):
    dist(version)
    restart({"names": [], **({"artifacts": {"on_version": rule}} if rule else {})})
    caplog.set_level(logging.WARNING)
    if outcome == "refused":
        assert_refused(
            artifact, "version", f"aimm-svc {version} is here", "pip install aimm-svc==1.2"
        )
    else:
        _, info = unpack(artifact)
        assert [finding.code for finding in info.findings] == (
            ["artifact-version-differs"] if outcome == "warns" else []
        )
        assert ("artifact-version-differs" in caplog.text) == (outcome == "warns")


def test_refusal_names_the_rule_and_its_place(artifact, dist, tmp_path):
    dist("1.3")
    conf = tmp_path / "plugins.yaml"
    conf.write_text("names: []\nartifacts:\n  on_version: error\n")
    restart(str(conf))
    assert_refused(artifact, "version", f"on_version: error ({conf}:3) refuses")


def test_policy_cannot_be_widened_by_a_conf(artifact, dist, tmp_path, monkeypatch):
    policy = tmp_path / "policy.yaml"
    policy.write_text("artifacts: {on_version: error}\n")
    monkeypatch.setenv("AIMM_PLUGINS_POLICY", str(policy))
    dist("1.3")
    restart({"names": [], "artifacts": {"on_version": "ignore"}})
    assert_refused(artifact, "version", "policy.yaml:1")


# Another plugin than the one that it names

MODEL = """
@serialize(['m'])
def dump(model): return b'1'

@deserialize(['m'])
def load(data): return __name__
"""


@pytest.fixture
def twins(write, install):
    """A distribution with two plugins of one model type."""
    write(twins____init__="", twins__one=MODEL, twins__two=MODEL)
    files = ["twins/__init__.py", "twins/one.py", "twins/two.py"]
    install("aimm-svc", "1.2", entry_points={"one": "twins.one", "two": "twins.two"}, files=files)


def preferring(module, **rules):
    return {"names": [], "prefer": {"m": module}, "artifacts": rules}


@pytest.mark.parametrize("rule", ["compatible", "error"])
def test_other_plugin_of_the_same_distribution_is_refused(twins, rule):
    restart(preferring("twins.one"))
    data = pack("m", 1)
    restart(preferring("twins.two", on_version=rule))
    assert_refused(
        data,
        "provider",
        "made by aimm-svc 1.2 (twins.one), and aimm-svc 1.2 (twins.two) is here: another provider",
        'prefer: {"m": twins.one}',
    )


def test_other_plugin_of_the_same_distribution_is_refused_in_another_version_too(twins, install):
    restart(preferring("twins.one"))
    data = repacked(
        pack("m", 1), provider={"distribution": "aimm-svc", "version": "1.1", "module": "twins.one"}
    )
    restart(preferring("twins.two"))
    assert_refused(data, "provider", "another provider")


def test_plugin_that_another_version_has_moved_is_another_version(twins):
    restart(preferring("twins.one"))
    data = repacked(
        pack("m", 1), provider={"distribution": "aimm-svc", "version": "1.1", "module": "old_twins"}
    )
    instance, info = unpack(data)
    assert instance == "twins.one"
    assert [finding.code for finding in info.findings] == ["artifact-version-differs"]


@pytest.mark.parametrize("rule", ["compatible", "error"])
def test_module_that_is_not_installed_is_not_the_plugin_of_a_distribution(write, rule):
    write(svc=SOURCE)
    initialize({"names": ["svc"], "artifacts": {"on_version": rule}})
    provider = {"distribution": "aimm-svc", "version": "9.9", "module": "svc"}
    data = repacked(pack("k", 7), provider=provider)
    assert_refused(data, "provider", "made by aimm-svc 9.9, and svc is here: another provider")


def test_owner_of_the_module_counts_and_not_who_publishes_it(write, install):
    write(svc=SOURCE)
    install("aimm-svc", "1.2", files=["svc.py"])
    publisher = install("aimm-publisher", "3", entry_points={"ep": "svc"})
    restart()
    data = pack("k", 7)
    assert aimm_plugins.inspect(data).provider == "aimm-svc 1.2"
    (publisher / "entry_points.txt").unlink()
    install("aimm-svc-2", "3", entry_points={"ep": "svc"})
    restart()
    assert unpack(data)[1].findings == ()
    forged = {"distribution": "aimm-svc-2", "version": "3", "module": "svc"}
    assert_refused(repacked(data, provider=forged), "provider", "another provider")


def test_module_that_was_packaged_later_is_another_version(write, dist):
    write(svc=SOURCE)
    initialize({"names": ["svc"]})
    data = pack("k", 7)
    dist()
    restart({"names": [], "artifacts": {"on_version": "error"}})
    assert_refused(data, "version", "was made by svc, and aimm-svc 1.2 is here: another version")


def test_artifact_of_an_executor_names_no_plugin(artifact):
    data = repacked(artifact, provider=None)
    restart({"names": [], "artifacts": {"on_version": "error"}})
    assert unpack(data)[1].provider == "an executor"
