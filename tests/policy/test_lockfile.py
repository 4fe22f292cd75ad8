"""Freeze files: what they hold, and what may be loaded by them."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

import aimm_plugins
from aimm_plugins import ConfigError, initialize
from aimm_plugins._policy.lockfile import freeze_line
from tests.conftest import record_of
from tests.support.denials import assert_refused, trapped
from tests.support.forked.case import Case
from tests.support.metadata import Stated, record_row


@pytest.fixture
def frozen(marked, tmp_path):
    """A freeze file of mark-dist 1.0, and a conf beside it that is locked to it."""
    from aimm_plugins._api.starting import freeze

    mark = marked()
    text, _ = freeze({"names": [], "entry_points": {"allow": ["mark-dist"]}})
    assert text.startswith("mark-dist==1.0  # record sha256:")
    (tmp_path / "locked.txt").write_text(text)
    (tmp_path / "plugins.yaml").write_text("names: []\nlocked: locked.txt\n")
    return mark


def test_locked_distribution_is_loaded_and_no_other(frozen, tmp_path, write, install):
    write(q="1/0\n")
    install("other-dist", entry_points={"other": "q"}, files=["q.py"])
    report = initialize(tmp_path / "plugins.yaml")
    assert record_of(report, "ep").state == "loaded"
    other = record_of(report, "other")
    assert other.state == "denied"
    assert "other-dist is not in" in other.reason
    assert "plugins.yaml:2" in other.reason


def test_locked_at_another_version_is_refused(frozen, tmp_path, site):
    (info,) = site.glob("mark_dist-*.dist-info")
    metadata = (info / "METADATA").read_text()
    (info / "METADATA").write_text(metadata.replace("Version: 1.0", "Version: 1.1"))
    assert "mark-dist 1.1 is locked at 1.0" in assert_refused(tmp_path / "plugins.yaml", frozen)


def test_locked_with_other_files_is_refused(frozen, tmp_path, site):
    (info,) = site.glob("mark_dist-*.dist-info")
    (site / "p.py").write_text("1/0\n")
    rows = [",".join(record_row(site, "p.py"))]
    rows += [
        row for row in (info / "RECORD").read_text().splitlines() if not row.startswith("p.py")
    ]
    (info / "RECORD").write_text("\n".join(rows) + "\n")
    assert "is not the one that was locked" in assert_refused(tmp_path / "plugins.yaml", frozen)


def codes(findings):
    return [(finding.code, finding.subject) for finding in findings]


def test_conf_that_is_locked_can_be_frozen_anew(frozen, tmp_path, write, install):
    write(q="")
    install("other-dist", entry_points={"other": "q"}, files=["q.py"])
    conf = tmp_path / "plugins.yaml"
    conf.write_text(conf.read_text() + "entry_points: {allow: [mark-dist, other-dist]}\n")
    text, findings = aimm_plugins.freeze(conf)
    assert [line.partition("==")[0] for line in text.splitlines()] == ["mark-dist", "other-dist"]
    assert findings == ()


def test_lock_that_is_gone_does_not_hinder_a_new_one(frozen, tmp_path):
    (tmp_path / "locked.txt").unlink()
    assert "mark-dist==1.0" in aimm_plugins.freeze(tmp_path / "plugins.yaml")[0]


def test_what_a_rule_keeps_out_of_the_file_is_said(marked):
    marked()
    conf = {"names": [], "entry_points": {"allow": []}}
    text, findings = aimm_plugins.freeze(conf)
    assert text == ""
    (finding,) = [finding for finding in findings if "mark-dist" in finding.subject]
    assert finding.code == "left-out"
    assert "mark-dist is not among those allowed" in finding.message


def test_required_distribution_that_is_left_out_is_missing(marked):
    marked()
    conf = {"names": [], "entry_points": {"allow": []}, "required": ["mark-dist"]}
    assert ("required-missing", "mark-dist") in codes(aimm_plugins.freeze(conf)[1])


def test_distribution_whose_module_a_plugin_is_in_is_frozen_too(marked, write, install):
    write(theirs="")
    install("theirs-dist", files=["theirs.py"])
    install("front-dist", entry_points={"front": "theirs"})
    conf = {"names": [], "entry_points": {"allow": ["front-dist", "theirs-dist"]}}
    assert "theirs-dist==1.0" in aimm_plugins.freeze(conf)[0]


def test_editable_install_cannot_be_frozen(marked, site):
    marked(direct_url={"url": site.as_uri(), "dir_info": {"editable": True}})
    text, findings = aimm_plugins.freeze({"names": [], "entry_points": {"allow": ["mark-dist"]}})
    assert text == ""
    assert [(finding.code, finding.subject) for finding in findings] == [
        ("not-frozen", "mark-dist")
    ]


LOCKS = {
    "binary": bytes(range(256)),
    "no_version": "good-dist\n",
    "range": "good-dist>=1\n",
    "no_digest": "good-dist==1.0\n",
    "short_digest": "good-dist==1.0  # record sha256:00\n",
    "other_hash": "good-dist==1.0  # record md5:" + "0" * 32 + "\n",
    "longer_hash": "good-dist==1.0  # record sha512:" + "0" * 128 + "\n",
    "hash_of_pip": "good-dist==1.0 --hash=sha256:" + "0" * 64 + "\n",
    "include": "-r other.txt\n",
    "editable": "-e .\n",
    "url": "good-dist @ https://x/good.whl\n",
    "marker": "good-dist==1.0 ; python_version>'3'  # record sha256:" + "0" * 64 + "\n",
    "extra": "good-dist[x]==1.0  # record sha256:" + "0" * 64 + "\n",
    "continued": "good-dist==1.0 \\\n  # record sha256:" + "0" * 64 + "\n",
    "null": "good\0dist==1.0  # record sha256:" + "0" * 64 + "\n",
    "endless_line": "x" * 100_000,
    "huge": "# comment\n" * 900_000,
    "twice": "good-dist==1.0  # record sha256:"
    + "0" * 64
    + "\nGood_Dist==1.0  # record sha256:"
    + "1" * 64
    + "\n",
}


@pytest.mark.parametrize("kind", LOCKS)
def test_freeze_file_that_cannot_be_read_is_an_error_and_nothing_runs(frozen, tmp_path, kind):
    text = LOCKS[kind]
    (tmp_path / "locked.txt").write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError, match=r"locked\.txt") as caught:
        initialize(tmp_path / "plugins.yaml")
    assert len(str(caught.value)) < 2000
    assert not frozen.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mark-dist==1.0\n", r"locked\.txt:1: 'mark-dist==1\.0' locks nothing"),
        ("# c\n\nmark-dist>=1  # record sha256:00\n", r"locked\.txt:3: "),
        ("\xff", "locks nothing"),
    ],
)
def test_freeze_file_that_cannot_be_read_is_an_error(frozen, tmp_path, text, message):
    (tmp_path / "locked.txt").write_text(text)
    with pytest.raises(ConfigError, match=message):
        initialize(tmp_path / "plugins.yaml")


def test_distribution_that_is_locked_twice_is_an_error(frozen, tmp_path):
    path = tmp_path / "locked.txt"
    path.write_text(path.read_text() * 2)
    with pytest.raises(ConfigError, match="locked twice, first in line 1"):
        initialize(tmp_path / "plugins.yaml")


def test_freeze_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be read: .*the file that .* locks"):
        initialize({"names": [], "locked": str(tmp_path / "none.txt")})


def test_locked_and_not_installed_is_a_finding(frozen, tmp_path):
    path = tmp_path / "locked.txt"
    path.write_text(path.read_text() + f"gone-dist==3  # record sha256:{'0' * 64}\n")
    findings = {(f.code, f.subject) for f in initialize(tmp_path / "plugins.yaml").findings}
    assert ("locked-not-installed", "gone-dist 3") in findings


def locked(case: Case, text: str | bytes) -> dict[str, Any]:
    """What the host makes of a freeze file, relative to the conf's own folder."""
    conf = case.folder / "conf"
    conf.mkdir()
    (conf / "freeze.txt").write_bytes(text.encode() if isinstance(text, str) else text)
    (conf / "plugins.yaml").write_text("names: []\non_error: isolate\nlocked: freeze.txt\n")
    return case.run(
        """
        try:
            out.update(account(initialize("conf/plugins.yaml")))
        except ConfigError as error:
            out["refused"] = str(error)
        out["good"] = attempt(exec_data_access, "good")
        """
    )


def lock_lines(case: Case) -> dict[str, str]:
    """The lines of a freeze file of both distributions, as the package writes them."""
    for folder in case.site.glob("*.dist-info"):
        name = folder.name.partition("_")[0] + ".py"
        digest = base64.urlsafe_b64encode(hashlib.sha256((case.site / name).read_bytes()).digest())
        (folder / "RECORD").write_text(f"{name},sha256={digest.rstrip(b'=').decode()},\n")
    got = case.run(
        """
        out["text"] = aimm_plugins._api.starting.freeze(None)[0]
        """
    )
    return {line.partition("==")[0]: line for line in got["text"].splitlines(keepends=True)}


LAYOUTS = {
    "crlf": lambda text: text.replace("\n", "\r\n"),
    "byte_order_mark": lambda text: "\ufeff" + text,
    "no_newline": lambda text: text.rstrip("\n"),
    "blank_lines_and_comments": lambda text: f"\n\n# c\n{text}\n  # c\n",
    "name_spelled_otherwise": lambda text: text.replace("good-dist", "Good_Dist"),
    "tabs": lambda text: text.replace("  #", "\t#\t"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_lock_of_another_layout_locks_the_same(case: Case, layout: str) -> None:
    trapped(case)
    got = locked(case, LAYOUTS[layout](lock_lines(case)["good-dist"]))
    assert got["states"] == {"bad": "denied", "good": "loaded"}
    assert not case.marker.exists()


def test_distribution_without_hashes_is_not_frozen(case: Case) -> None:
    (info,) = case.site.glob("good_dist-*.dist-info")
    rows = (info / "RECORD").read_text().splitlines()
    (info / "RECORD").write_text("".join(f"{row.partition(',')[0]},,\n" for row in rows))
    got = case.run(
        """
        text, findings = aimm_plugins.freeze()
        out.update(text=text, findings=[str(finding) for finding in findings])
        """
    )
    assert "good-dist" not in got["text"]
    assert "good-dist" in got["findings"][0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text("good-dist==1.0", encoding="utf-16"), "is not UTF-8 .*-o"),
        (lambda path: path.mkdir(), "cannot be read: Is a directory"),
    ],
)
def test_lock_that_is_no_text_says_what_it_is(tmp_path, make, message):
    make(tmp_path / "freeze.txt")
    with pytest.raises(ConfigError, match=message):
        aimm_plugins.plan({"names": [], "locked": str(tmp_path / "freeze.txt")})


FOREIGN = "x\n--index-url http://localhost/"


def test_name_that_would_write_further_lines_is_left_out() -> None:
    good, evil = (Stated(name=name, version="1.0", origin="index") for name in ("good", FOREIGN))
    digest = f"sha256:{'0' * 64}"
    assert freeze_line(good, digest) == f"good==1.0  # record {digest}\n"
    assert freeze_line(evil, digest) is None


@pytest.mark.parametrize("version", [None, "", "latest", "1.0;x"])
def test_version_that_is_none_is_left_out(version: str | None) -> None:
    odd = Stated(name="odd", version=version, origin="index")
    assert freeze_line(odd, f"sha256:{'0' * 64}") is None


@pytest.mark.parametrize("separator", ["\u2028", "\x0b", "\x0c", "\x1c", "\x85", "\x1b"])
def test_version_that_would_write_further_lines_is_not_frozen(marked, site, separator: str) -> None:
    marked()
    (info,) = site.glob("mark_dist-*.dist-info")
    version = f"1.0  # record sha256:{'0' * 64}{separator}evil==1"
    (info / "METADATA").write_text(f"Name: mark-dist\nVersion: {version}\n", encoding="utf-8")
    info.rename(site / "mark_dist.dist-info")
    text, findings = aimm_plugins.freeze({"names": [], "entry_points": {"allow": ["mark-dist"]}})
    assert text == ""
    assert ("not-frozen", "mark-dist") in {(each.code, each.subject) for each in findings}
