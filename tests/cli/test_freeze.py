"""`freeze`: the freeze file, whole or not at all, with what is not in it."""

from __future__ import annotations

import pytest


@pytest.fixture
def conf(write, install, tmp_path):
    """Writes a conf about two plugins."""
    write(p="", q="")
    install("p-dist", entry_points={"p": "p"}, files=["p.py"])
    install("q-dist", entry_points={"q": "q"}, files=["q.py"])

    def conf(text: str) -> list[str]:
        (tmp_path / "plugins.yaml").write_text(f"names: []\n{text}")
        return ["--conf", str(tmp_path / "plugins.yaml")]

    return conf


def test_output_is_written_and_locks_what_it_was_made_of(conf, run, tmp_path):
    given = conf("entry_points: {allow: [p-dist]}\n")
    status, out, err = run("freeze", "-o", str(tmp_path / "lock"), *given)
    assert (status, out) == (0, "")
    assert "q-dist" in err
    text = (tmp_path / "lock").read_text()
    assert text.startswith("p-dist==1.0  # record sha256:")
    given = conf("entry_points: {allow: [p-dist]}\nlocked: lock\n")
    assert run("freeze", *given)[:2] == (0, text)


def test_required_distribution_that_is_kept_out_fails_and_writes_nothing(conf, run, tmp_path):
    given = conf("entry_points: {allow: [p-dist]}\nrequired: [q-dist]\n")
    (tmp_path / "lock").write_text("before\n")
    status, _, err = run("freeze", "-o", str(tmp_path / "lock"), *given)
    assert status == 1
    assert "required-missing: q-dist" in err
    assert f"did not write {tmp_path / 'lock'}" in err
    assert (tmp_path / "lock").read_text() == "before\n"


@pytest.mark.parametrize("required", ["not-there", "fit:nobodys"])
def test_required_name_that_nothing_answers_fails(conf, run, required):
    status, _, err = run("freeze", *conf(f"required: ['{required}']\n"))
    assert status == 1
    assert f"required-missing: {required}" in err


def test_entry_point_that_cannot_be_read_leaves_the_rest_of_its_distribution_frozen(
    conf, run, install
):
    """A record without a module has no files that would be run, and freezing goes on."""
    given = conf("")
    install("r-dist", entry_points={"odd one": "not a module", "q": "q"})
    status, out, _ = run("freeze", *given)
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == [
        "p-dist==1.0",
        "q-dist==1.0",
        "r-dist==1.0",
    ]


def test_output_goes_without_json(conf, run):
    status, _, err = run("freeze", "-o", "lock", "--format", "json", *conf(""))
    assert status == 2
    assert "-o writes the freeze file" in err
