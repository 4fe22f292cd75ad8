"""`schema`: schemas, and files that are held against them."""

from __future__ import annotations

import json

import pytest

FITTING = {
    "plugins": "names: []\nx-mine: 1\n",
    "policy": "entry_points: {deny: [a]}\n",
    "job": "model: {type: m}\n",
    "readiness": '{"ready": true, "reason": null, "missing": [], "failed": [], "stale": [], "error": null}',
}


UNFIT = {
    "plugins": ("names: []\nrequired: ['a>=1.0.x']\n", "unfit:2:12: at required[0]: 'a>=1.0.x' is"),
    "policy": ("entry_points:\n  denny: [a]\n", "unfit:2:3: at entry_points.denny: unknown key"),
    "job": ("model: {type: m}\nfit: {data: d}\n", "unfit:2:"),
    "readiness": ('{"ready": "yes"}', "unfit"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_schema_tells_which_files_do_not_fit(run, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    text, answer = UNFIT[name]
    (tmp_path / "fit").write_text(FITTING[name])
    (tmp_path / "unfit").write_text(text)
    assert run("schema", name, "fit") == (0, "", "")
    status, out, _ = run("schema", name, "fit", "unfit", "absent")
    assert status == 1
    lines = out.splitlines()
    assert lines[0].startswith(answer)
    assert lines[-1].startswith("absent: cannot be read")


def test_schema_tells_machines_where_a_file_does_not_fit(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fit").write_text("names: []\n")
    (tmp_path / "unfit").write_text("names: []\nlaod: lazy\n")
    status, answer, _ = run("schema", "plugins", "fit", "unfit", "--format", "json")
    assert (status, answer["ok"]) == (1, False)
    assert answer["files"][0] == {"file": "fit", "ok": True, "error": None}
    assert answer["files"][1]["error"]["line"] == 2
    assert "'load'" in answer["files"][1]["error"]["message"]


@pytest.mark.parametrize("name", ["plugins", "policy", "job", "readiness"])
def test_keys_of_a_file_write_no_line_and_no_escape_on_the_terminal(
    run, tmp_path, monkeypatch, name
):
    monkeypatch.chdir(tmp_path)
    key = "\x1b]0;x\x07\u2028ok: 1\u202e"
    file = "un\x1b[31m\u2028fit.json"
    (tmp_path / file).write_text(json.dumps({key: {key: 1}}))
    status, out, _ = run("schema", name, file)
    assert (status, len(out.splitlines())) == (1, 1)
    assert out.removesuffix("\n").isprintable()
