"""Writes entry point tables into `pyproject.toml`, everything else kept as its author wrote it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aimm_plugins._authoring.project import Project
from aimm_plugins._authoring.tables import Tables, as_toml, is_made
from aimm_plugins.errors import ConfigError


class MissingExtraError(ConfigError):
    """A verb needs a package that is not installed."""

    def __init__(self, package: str, verb: str) -> None:
        super().__init__(f"aimm-plugins {verb} needs {package}: pip install 'aimm-plugins[new]'")


def write_tables(project: Project, tables: Tables) -> None:
    """Put the tables into `pyproject.toml`; comments, order and other tables stay.

    Args:
        project: The source tree.
        tables: What our groups shall hold; groups that are not in it are removed.

    Raises:
        ConfigError: There is no `pyproject.toml` with a `[project]` table, or its entry points are
            made by the build; nothing is written.
    """
    file = project.pyproject_file
    shown = str(file)
    if "project" not in project.pyproject:
        raise ConfigError("there is no [project] table to write entry points into", file=shown)
    text = file.read_bytes().decode("utf-8")
    # Worked on with the line ends that tomlkit writes, and written back with the file's own.
    newline = "\r\n" if "\r\n" in text else "\n"
    unified = text.replace("\r\n", "\n")
    new = rewritten(unified, tables)
    if new != unified:
        _replace(file, new.replace("\n", newline))


def rewritten(text: str, tables: Tables) -> str:
    """The text of a `pyproject.toml` with other tables of ours.

    Raises:
        ConfigError: tomlkit is missing, or the text is laid out in a way that it cannot change.
    """
    try:
        import tomlkit
    except ImportError as error:
        raise MissingExtraError("tomlkit", "entry-points --write") from error
    new = text
    for group in tomllib.loads(text)["project"].get("entry-points", {}):
        if is_made(group) and group not in tables:
            new = _without(new, group)
    document = tomlkit.parse(new)
    project: Any = document["project"]
    groups: Any = project.get("entry-points", {})
    for group in list(groups):
        if not is_made(group):
            continue
        if group in tables:
            _change(groups[group], tables[group])
        else:
            del groups[group]
    if "entry-points" in project and not len(groups):
        del project["entry-points"]
    new = tomlkit.dumps(document)
    added = {group: entries for group, entries in tables.items() if group not in groups}
    if added:
        new = _inserted(new, as_toml(added))
    expected = tomllib.loads(text)
    _set(expected, tables)
    try:
        done = tomllib.loads(new)
    except tomllib.TOMLDecodeError:
        done = {}
    if done != expected:
        raise ConfigError(
            "its entry points are laid out in a way that cannot be changed without rewriting it "
            "(an inline table?). Put these in by hand:\n" + as_toml(tables),
            file="pyproject.toml",
        )
    return new


def _change(table: Any, wanted: Mapping[str, str]) -> None:
    """Give a table other entries; a key that was renamed keeps its place and its comments."""
    from tomlkit.items import Null, Table, item

    names = _renamed(dict(table), wanted)
    if list(names.values()) != list(names):  # a key goes, or has another name
        if not isinstance(table, Table):  # an inline one: it has no comments
            for name in [name for name in table if name not in wanted]:
                del table[name]
        else:
            body = table.value.body
            before = [(key, each) for key, each in body if not isinstance(each, Null)]
            for name in list(table):
                del table[name]
            body.clear()
            for key, each in before:
                if key is None:
                    table.append(None, each)
                elif (name := names[key.key]) is not None:
                    table.append(key if name == key.key else name, each)
    for name, value in wanted.items():
        if name in table and table[name] != value:
            table[name] = value
    added = {name: value for name, value in wanted.items() if name not in table}
    if not added:
        return
    # tomlkit counts what stands above the next table's header as the end of this one.
    behind: list[Any] = []
    if isinstance(table, Table):
        body = table.value.body
        while body and body[-1][0] is None:
            behind.insert(0, body.pop()[1])
    for name, value in added.items():
        table.add(name, item(value))
    for each in behind:
        table.add(each)


def _renamed(standing: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str | None]:
    """What each key is called from now on, `None` for one that goes.

    A key that comes where another with the same value goes is that one under another name.
    """
    new = [name for name in wanted if name not in standing]
    names: dict[str, str | None] = {}
    for name, value in standing.items():
        names[name] = name if name in wanted else None
        same = [each for each in new if wanted[each] == value]
        if names[name] is None and same:
            names[name] = same[0]
            new.remove(same[0])
    return names


def _without(text: str, group: str) -> str:
    """The text without one group, if that has a header; what stands above other tables stays."""
    lines = text.splitlines(keepends=True)
    headers = [n for n in range(len(lines)) if _is_header(lines, n)]
    begins = [n for n in headers if _group(lines[n]) == group]
    if len(begins) != 1:
        return text
    begin = begins[0]
    end = next((n for n in headers if n > begin), len(lines))
    if end < len(lines):
        end = _above(lines, end)
    before, behind = "".join(lines[:begin]), "".join(lines[end:])
    if behind and before.endswith("\n") and not before.endswith("\n\n"):
        before += "\n"  # what was said above the group is not about what comes now
    return before + behind if behind else before.rstrip("\n") + "\n"


def _above(lines: list[str], header: int) -> int:
    """Where the comments begin that stand right above a header: they are that table's."""
    while lines[header - 1].lstrip().startswith("#"):
        header -= 1
    return header


def _set(document: dict[str, Any], tables: Tables) -> None:
    groups = document["project"].get("entry-points", {})
    others = {group: entries for group, entries in groups.items() if not is_made(group)}
    document["project"].pop("entry-points", None)
    if merged := {**others, **{group: dict(entries) for group, entries in tables.items()}}:
        document["project"]["entry-points"] = merged


def _inserted(text: str, block: str) -> str:
    """The text with new tables after the last one of `[project]`, where readers look for them."""
    lines = text.splitlines(keepends=True)
    headers = [n for n in range(len(lines)) if _is_header(lines, n)]
    last = [n for n in headers if _is_project(lines[n])]
    after = [n for n in headers if last and n > last[-1]]
    end = after[0] if after else len(lines)
    if after:
        end = _above(lines, end)
    before, behind = "".join(lines[:end]), "".join(lines[end:])
    before = before.rstrip("\n") + "\n\n" if before.strip() else ""
    return before + block + ("\n" + behind if behind else "")


def _is_header(lines: list[str], number: int) -> bool:
    """Whether a line begins a table: what stands before it is whole TOML by itself."""
    if not lines[number].startswith("["):
        return False
    try:
        tomllib.loads("".join(lines[:number]))
    except tomllib.TOMLDecodeError:
        return False
    return True


def _is_project(header: str) -> bool:
    return "project" in _alone(header)


def _group(header: str) -> str | None:
    """The group of entry points that a header begins."""
    groups = _alone(header).get("project", {})
    groups = groups.get("entry-points", {}) if isinstance(groups, dict) else {}
    return next(iter(groups), None) if isinstance(groups, dict) else None


def _alone(header: str) -> dict[str, Any]:
    try:
        return tomllib.loads(header)
    except tomllib.TOMLDecodeError:
        return {}


def _replace(file: Path, text: str) -> None:
    """Write a file as a whole or not at all."""
    new = file.with_name(f"{file.name}.new")
    try:
        new.write_bytes(text.encode("utf-8"))
        new.chmod(file.stat().st_mode & 0o7777)
        os.replace(new, file)
    finally:
        new.unlink(missing_ok=True)
