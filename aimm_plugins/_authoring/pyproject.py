"""Writes entry point tables into `pyproject.toml`, everything else kept as its author wrote it.

The text is cut at the headers of its tables, and lines of our tables are changed. What comes of it
is read again: where it says anything else than it should, nothing is written.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

from aimm_plugins._authoring.project import Project
from aimm_plugins._authoring.tables import Tables, as_toml, is_made, toml_key
from aimm_plugins._system.files import write_atomically
from aimm_plugins.errors import ConfigError


def write_tables(project: Project, tables: Tables) -> None:
    """Put the tables into `pyproject.toml`; comments, order and other tables stay."""
    file = project.pyproject_file
    if "project" not in project.pyproject:
        raise ConfigError("there is no [project] table to write entry points into", file=str(file))
    text = file.read_bytes().decode("utf-8")
    # Worked on with one kind of line ends, and written back with the file's own.
    newline = "\r\n" if "\r\n" in text else "\n"
    unified = text.replace("\r\n", "\n")
    new = rewritten(unified, tables)
    if new != unified:
        write_atomically(str(file), new.replace("\n", newline).encode("utf-8"))


def rewritten(text: str, tables: Tables) -> str:
    """The text of a `pyproject.toml` with these tables as all that are made from code."""
    missing = dict(tables)
    pieces = _pieces(text)
    last = 0  # the last piece of the project's table: behind it readers look for new ones
    for number, piece in enumerate(pieces):
        if "project" in tomllib.loads(piece):
            if (group := _group(piece)) is not None:
                wanted = missing.pop(group, None)
                pieces[number] = _changed(piece, wanted) if wanted else ""
            if pieces[number]:
                last = number
            elif not "".join(pieces[:number]).endswith("\n\n"):
                pieces[number] = "\n"  # the comment above a removed table is not about the next
    before, behind = "".join(pieces[: last + 1]), "".join(pieces[last + 1 :])
    if not pieces[-1].strip():  # the last table was removed
        behind = f"{behind.rstrip()}\n" if behind.strip() else ""
        before = before if behind else f"{before.rstrip()}\n"
    if missing:
        before = f"{before.rstrip()}\n\n{as_toml(missing)}"
        behind = f"\n{behind}" if behind else ""
    new = before + behind
    if not _holds(new, text, tables):
        raise ConfigError(
            "its entry points are laid out in a way that cannot be changed without rewriting it "
            "(an inline table?). Put these in by hand:\n" + as_toml(tables),
            file="pyproject.toml",
        )
    return new


def _pieces(text: str) -> list[str]:
    """The text, cut at each table's header and at the comments right above it."""
    lines = text.splitlines(keepends=True)
    cuts = [0]
    for number, line in enumerate(lines):
        if line.startswith("[") and _is_toml("".join(lines[:number])):  # no line of an array
            above = number
            while above and lines[above - 1].lstrip().startswith("#"):
                above -= 1
            cuts += [above, number]
    ends = [*cuts[1:], len(lines)]
    return ["".join(lines[cut:end]) for cut, end in zip(cuts, ends, strict=True)]


def _group(piece: str) -> str | None:
    """The group of ours whose table a piece is."""
    header = piece.partition("\n")[0]
    match tomllib.loads(header) if header.startswith("[") else {}:
        case {"project": {"entry-points": dict(groups)}}:
            return next(filter(is_made, groups), None)
        case _:
            return None


def _changed(piece: str, wanted: Mapping[str, str]) -> str:
    """A table with other entries; a key that was renamed keeps its place and its comments."""
    lines = piece.splitlines(keepends=True)
    end: list[str] = []  # comments and blank lines, which stay behind new entries
    while lines[-1].startswith(("#", "\n")):
        end.insert(0, lines.pop())
    # No line of an entry over several is TOML alone: it stays, and what comes of that is refused.
    entries = {n: tomllib.loads(line) for n, line in enumerate(lines) if n and _is_toml(line)}
    current = {name: value for entry in entries.values() for name, value in entry.items()}
    names = _renamed(current, wanted)
    for number, entry in entries.items():
        for name, value in entry.items():
            key, _, rest = lines[number].partition("=")
            new = names[name]
            if new is None:
                lines[number] = ""
            else:
                key = key if new == name else f"{toml_key(new)} "
                lines[number] = f"{key}={rest.replace(str(value), wanted[new], 1)}"
    added = {name: value for name, value in wanted.items() if name not in names.values()}
    return "".join([*lines, as_toml({"": added}).partition("\n")[2], *end])


def _renamed(current: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str | None]:
    """What each key is called from now on, `None` for one that goes.

    A key that comes where another with the same value goes is that one under another name.
    """
    new = [name for name in wanted if name not in current]
    names: dict[str, str | None] = {}
    for name, value in current.items():
        names[name] = name if name in wanted else None
        same = [other for other in new if wanted[other] == value]
        if names[name] is None and same:
            names[name] = same[0]
            new.remove(same[0])
    return names


def _holds(new: str, text: str, tables: Tables) -> bool:
    """Whether a text is the other, but for our tables."""
    expected = tomllib.loads(text)
    groups = expected["project"].pop("entry-points", {})
    groups = {group: entries for group, entries in groups.items() if not is_made(group)} | tables
    if groups:
        expected["project"]["entry-points"] = groups
    return _is_toml(new) and tomllib.loads(new) == expected


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True
