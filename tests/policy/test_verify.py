"""`verify: record`: files that are not those of RECORD never run."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from aimm_plugins import initialize
from tests.conftest import record_of
from tests.support.denials import ORIGINS, assert_refused
from tests.support.forked.case import BAD, Case, record


def test_verified_plugin_is_loaded(marked):
    marked()
    assert record_of(initialize({"names": [], "verify": "record"}), "ep").state == "loaded"


def test_changed_file_is_refused_by_verify(marked, site):
    mark = marked()
    (site / "p.py").write_text((site / "p.py").read_text() + "# changed\n")
    reason = assert_refused({"names": [], "verify": "record"}, mark)
    assert reason.startswith("refused by verify: record (conf verify): ")
    assert "p.py" in reason


def test_editable_install_is_refused_by_verify_with_that_reason(marked, site):
    mark = marked(direct_url={"url": site.as_uri(), "dir_info": {"editable": True}}, files=[])
    assert "editable" in assert_refused({"names": [], "verify": "record"}, mark)


def test_verify_of_the_policy_holds(marked, site, tmp_path, monkeypatch):
    mark = marked()
    (site / "p.py").write_text("changed = 1\n")
    path = tmp_path / "policy.yaml"
    path.write_text("verify: record")
    monkeypatch.setenv("AIMM_PLUGINS_POLICY", str(path))
    assert f"({path}:1)" in assert_refused({"names": [], "verify": "none"}, mark)


def recorded(case: Case, *files: str, lines: str = "", algorithm: str = "sha256") -> Path:
    """Write a RECORD with the true hashes of files."""
    folder = next(case.site.glob("bad_dist*"))
    rows = []
    for name in (*files, f"{folder.name}/METADATA", f"{folder.name}/entry_points.txt"):
        content = (case.site / name).read_bytes()
        digest = base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest()).rstrip(b"=")
        rows.append(f"{name},{algorithm}={digest.decode()},{len(content)}\n")
    (folder / "RECORD").write_text("".join(rows) + lines + f"{folder.name}/RECORD,,\n")
    return folder


def sound_package(case: Case) -> Path:
    """A package whose files all have their hash."""
    case.package("bad", BAD)
    case.file("bad/data.bin", b"\x00\x01")
    case.bad(None)
    return recorded(case, "bad/__init__.py", "bad/data.bin")


VERIFY = {
    "names": [],
    "entry_points": {"allow": ["bad-dist"]},
    "verify": "record",
    "on_error": "isolate",
}


def verified(case: Case) -> dict[str, Any]:
    """What the host makes of the plugin under `verify: record`."""
    got = case.run(
        f"""
        out["plan"] = account(plan({VERIFY!r}))
        out["done"] = account(initialize({VERIFY!r}))
        out["bad"] = attempt(exec_fit, "bad", None)
        """
    )
    assert got["plan"]["states"]["bad"] in ("planned", "denied", "failed")
    return got


def test_sha512_verifies_too(case: Case) -> None:
    sound_package(case)
    recorded(case, "bad/__init__.py", "bad/data.bin", algorithm="sha512")
    done = verified(case)["done"]
    assert done["states"]["bad"] == "loaded", done["text"]


def _changed(case: Case) -> None:
    case.package("bad", case.trap() + BAD)


def _same_size(case: Case) -> None:
    file = case.site / "bad" / "__init__.py"
    file.write_text(file.read_text().replace("return 'bad'", "return 'BAD'"))


def _data_changed(case: Case) -> None:
    case.file("bad/data.bin", b"\x00\x02")


def _removed(case: Case) -> None:
    (case.site / "bad" / "data.bin").unlink()


def _added(case: Case) -> None:
    case.file("bad/extra.py", case.trap())


def _added_in_a_new_folder(case: Case) -> None:
    case.file("bad/sub/__init__.py", case.trap())


def _added_extension(case: Case) -> None:
    case.file("bad/fast.so", b"\x7fELF")


def _no_record(case: Case) -> None:
    (next(case.site.glob("bad_dist*")) / "RECORD").unlink()


def _empty_record(case: Case) -> None:
    (next(case.site.glob("bad_dist*")) / "RECORD").write_text("")


def _binary_record(case: Case) -> None:
    (next(case.site.glob("bad_dist*")) / "RECORD").write_bytes(bytes(range(256)))


def _no_hashes(case: Case) -> None:
    (next(case.site.glob("bad_dist*")) / "RECORD").write_text("bad/__init__.py,,\nbad/data.bin,,\n")


def _unknown_algorithm(case: Case) -> None:
    (next(case.site.glob("bad_dist*")) / "RECORD").write_text(
        "bad/__init__.py,sha0=AAAA,1\nbad/data.bin,shake_128=AAAA,1\n"
    )


def _weak_algorithm(case: Case) -> None:
    recorded(case, "bad/__init__.py", "bad/data.bin", algorithm="md5")


def _file_is_a_folder(case: Case) -> None:
    (case.site / "bad" / "data.bin").unlink()
    (case.site / "bad" / "data.bin").mkdir()


def _file_is_a_fifo(case: Case) -> None:
    (case.site / "bad" / "data.bin").unlink()
    os.mkfifo(case.site / "bad" / "data.bin")


def _file_is_a_loop(case: Case) -> None:
    (case.site / "bad" / "data.bin").unlink()
    (case.site / "bad" / "data.bin").symlink_to("data.bin")


def _file_is_endless(case: Case) -> None:
    (case.site / "bad" / "data.bin").unlink()
    (case.site / "bad" / "data.bin").symlink_to("/dev/zero")


def _package_is_shadowed(case: Case) -> None:
    other = case.folder / "first"
    case.module("bad", case.trap() + BAD, site=other)
    case.path.insert(0, str(other))


def _editable(case: Case) -> None:
    (next(case.site.glob("bad_dist*")) / "direct_url.json").write_text(
        json.dumps(ORIGINS["editable"])
    )
    _no_hashes(case)


TAMPERED = [
    _changed,
    _same_size,
    _data_changed,
    _removed,
    _added,
    _added_in_a_new_folder,
    _added_extension,
    _no_record,
    _empty_record,
    _binary_record,
    _no_hashes,
    _unknown_algorithm,
    _weak_algorithm,
    _file_is_a_folder,
    _file_is_a_fifo,
    _file_is_a_loop,
    _file_is_endless,
    _package_is_shadowed,
    _editable,
]


@pytest.mark.parametrize("tamper", TAMPERED, ids=lambda make: make.__name__.strip("_"))
def test_files_that_are_not_those_of_record_never_run(case: Case, tamper) -> None:
    sound_package(case)
    tamper(case)
    got = verified(case)
    found = record(got["done"])
    assert found["state"] in ("denied", "failed")
    assert got["bad"]["error"] == "UnknownPluginError"
    assert not case.marker.exists()
    told = found["reason"] or found["error"]["message"]
    # What stands before the package on the path is no file of it.
    expected = "which no distribution has installed" if tamper is _package_is_shadowed else "verify"
    assert expected in told
    if tamper is _editable:
        assert "editable" in told


def test_bytecode_of_verified_files_is_no_tampering(case: Case) -> None:
    sound_package(case)
    case.file("bad/__pycache__/__init__.cpython-311.pyc", b"junk that Python makes anew")
    done = verified(case)["done"]
    assert done["states"]["bad"] == "loaded", done["text"]
