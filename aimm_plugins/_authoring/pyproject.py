"""Writes entry point tables into `pyproject.toml`, everything else kept as its author wrote it.

The text is cut at the headers of its tables, each piece is changed by tomlkit, and the pieces are
joined again. tomlkit alone would move comments: what is above a header it takes for the end of the
table before.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from aimm_plugins._authoring.project import Project
from aimm_plugins._authoring.tables import Tables, as_toml, is_made
from aimm_plugins._system.files import write_atomically
from aimm_plugins.errors import ConfigError


class MissingExtraError(ConfigError):
    def __init__(self, package: str, verb: str) -> None:
        super().__init__(f"aimm-plugins {verb} needs {package}: pip install 'aimm-plugins[new]'")


def write_tables(project: Project, tables: Tables) -> None:
    """Put the tables into `pyproject.toml`; comments, order and other tables stay.

    Raises:
        ConfigError: There is no `pyproject.toml` with a `[project]` table, or its entry points are
            laid out in a way that cannot be changed; nothing is written.
    """
    file = project.pyproject_file
    if "project" not in project.pyproject:
        raise ConfigError("there is no [project] table to write entry points into", file=str(file))
    text = file.read_bytes().decode("utf-8")
    # Worked on with the line ends that tomlkit writes, and written back with the file's own.
    newline = "\r\n" if "\r\n" in text else "\n"
    unified = text.replace("\r\n", "\n")
    new = rewritten(unified, tables)
    if new != unified:
        write_atomically(str(file), new.replace("\n", newline).encode("utf-8"))


def rewritten(text: str, tables: Tables) -> str:
    """The text of a `pyproject.toml` with these tables as all that are made from code."""
    if find_spec("tomlkit") is None:
        raise MissingExtraError("tomlkit", "entry-points --write")
    missing = dict(tables)
    pieces = _pieces(text)
    last = 0  # the last piece of the project's table: behind it readers look for new ones
    for number, piece in enumerate(pieces):
        if "project" in tomllib.loads(piece):
            pieces[number] = _changed(piece, missing)
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


def _changed(piece: str, missing: Tables) -> str:
    """A piece with other entries of ours, taken out of `missing`; empty if none is left."""
    import tomlkit

    lines = piece.splitlines(keepends=True)
    end: list[str] = []  # comments and blank lines, which stay behind new entries
    while lines[-1].startswith(("#", "\n")):
        end.insert(0, lines.pop())
    document: Any = tomlkit.parse("".join(lines))
    project = document["project"]
    groups = project.get("entry-points", {})
    for group in [group for group in groups if is_made(group)]:
        if group in missing:
            _change(groups[group], missing.pop(group))
        else:
            del groups[group]
    if "entry-points" in project and not groups:
        del project["entry-points"]
    changed = tomlkit.dumps(document)
    return changed and changed + "".join(end)


def _change(table: Any, wanted: Mapping[str, str]) -> None:
    """Give a table other entries; a key that was renamed keeps its place and its comments."""
    from tomlkit.items import Null, Table

    names = _renamed(dict(table), wanted)
    if isinstance(table, Table):  # an inline one has no comments
        items = [(key, item) for key, item in table.value.body if not isinstance(item, Null)]
        for name in list(table):
            del table[name]
        table.value.body.clear()
        for key, item in items:
            if key is None:
                table.append(None, item)
            elif (name := names[key.key]) is not None:
                table.append(key if name == key.key else name, item)
    for name in [name for name in table if name not in wanted]:
        del table[name]
    for name, value in wanted.items():
        if table.get(name) != value:
            table[name] = value


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
