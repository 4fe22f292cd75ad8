"""Tables and blocks, on terminals of many widths and elsewhere."""

from __future__ import annotations

import io
import sys

import pytest

from aimm_plugins.cli._output import echo, print_blocks, print_table, write_file

COLUMNS = ["name", "distribution", "keys", "reason"]
ROWS = [
    [
        "forest",
        "acme-forest",
        "fit,predict:acme.forest",
        "denied by 'acme-forest' (plugins.yaml:3)",
    ],
    ["score", "acme-scorer", "fit:acme.score predict:acme.score", "-"],
]


class Terminal(io.StringIO):
    def isatty(self):
        return True

    def lines(self) -> list[str]:
        return self.getvalue().splitlines()


@pytest.fixture
def terminal(monkeypatch):
    """Prints a table on a terminal of a width; gives its lines."""

    def print_on_terminal(width: int, columns=COLUMNS, rows=ROWS) -> list[str]:
        stream = Terminal()
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setenv("COLUMNS", str(width))
        print_table(columns, rows)
        return stream.lines()

    return print_on_terminal


@pytest.mark.parametrize("width", [40, 60, 80, 100, 110, 120, 200])
def test_no_word_is_broken_and_no_line_is_too_long(terminal, width):
    lines = terminal(width)
    words = {word for cell in [*COLUMNS, *ROWS[0], *ROWS[1]] for word in cell.split()}
    assert words <= {word for line in lines for word in line.split()}
    assert max(len(line.rstrip()) for line in lines) <= width


def test_table_that_fits_has_a_line_for_each_row(terminal):
    lines = terminal(200)
    assert [line.split()[:2] for line in lines] == [COLUMNS[:2], ROWS[0][:2], ROWS[1][:2]]


def test_table_that_does_not_fit_becomes_blocks(terminal):
    assert terminal(60) == [
        "  name          forest",
        "  distribution  acme-forest",
        "  keys          fit,predict:acme.forest",
        "  reason        denied by 'acme-forest' (plugins.yaml:3)",
        "",
        "  name          score",
        "  distribution  acme-scorer",
        "  keys          fit:acme.score predict:acme.score",
        "  reason        -",
    ]


def test_name_longer_than_the_terminal_stays_whole(terminal):
    name = "a-very-long-name." * 5
    assert name in "\n".join(terminal(40, ["name", "reason"], [[name, "-"]]))


def test_sentence_in_the_last_column_is_wrapped(terminal):
    heading, *rows = terminal(50, ["name", "reason"], [["forest", "because of a rule " * 5]])
    assert heading.split() == ["name", "reason"]
    assert len(rows) > 1
    assert rows[1].startswith(" " * 8)


def test_table_of_no_rows_is_its_heading(terminal):
    assert [line.split() for line in terminal(200, rows=[])] == [COLUMNS]


def test_table_in_a_pipe_has_a_line_for_each_row_however_long(capsys):
    print_table(COLUMNS, [["a" * 200, "b" * 200, "", "c"]])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert len(lines[0]) > 400


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_sentence_on_a_terminal_is_wrapped_under_its_first_line(monkeypatch, stream):
    terminal = Terminal()
    monkeypatch.setattr(sys, stream, terminal)
    monkeypatch.setenv("COLUMNS", "40")
    text = (
        "finding  rule: no installed distribution has this name (plugins.yaml:4).\n  to do: "
        + "x" * 50
    )
    echo(text, err=stream == "stderr")
    first, *more = terminal.lines()
    assert [line.strip() for line in (first, *more)][-1] == "x" * 50
    assert " ".join(terminal.getvalue().split()) == " ".join(text.split())
    assert max(len(line) for line in (first, *more[:-1])) <= 40
    assert [line for line in more if not line.startswith(("    ", "  to do"))] == []


def test_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(OSError, match=r"none/page\.html cannot be written: there is no folder"):
        write_file(str(tmp_path / "none" / "page.html"), "")


def test_text_of_a_plugin_cannot_forge_a_line(capsys):
    print_table(["name"], [["a\nb"]])
    print_blocks([("a\nb", [("label", "x\x1b[31m")])])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["name", r"a\nb", r"a\nb", r"  label  x\x1b[31m"]


def test_blocks_leave_out_what_is_unknown(capsys):
    print_blocks([("one", [("a", "1"), ("longer", None)]), (None, [("b", "2\n3")])])
    assert capsys.readouterr().out == "one\n  a  1\n\n  b  2\n     3\n"
