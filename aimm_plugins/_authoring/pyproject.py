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
    new = rewritten(text, tables)
    if new != text:
        _replace(file, new)


def rewritten(text: str, tables: Tables) -> str:
    """The text of a `pyproject.toml` with other tables of ours.

    Raises:
        ConfigError: tomlkit is missing, or the text is laid out in a way that it cannot change.
    """
    try:
        import tomlkit
    except ImportError as error:
        raise MissingExtraError("tomlkit", "entry-points --write") from error
    document = tomlkit.parse(text)
    project: Any = document["project"]
    groups: Any = project.get("entry-points", {})
    for group in list(groups):
        if not is_made(group):
            continue
        wanted = tables.get(group)
        if wanted is None:
            del groups[group]
            continue
        table = groups[group]
        for name in [name for name in table if name not in wanted]:
            del table[name]
        for name, value in wanted.items():
            if table.get(name) != value:
                table[name] = value
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
    # Comments right above the next table are that table's.
    while after and lines[end - 1].lstrip().startswith("#"):
        end -= 1
    before, behind = "".join(lines[:end]), "".join(lines[end:])
    newline = "\r\n" if "\r\n" in text else "\n"
    block = block.replace("\n", newline)
    before = before.rstrip("\r\n") + newline * 2 if before.strip() else ""
    return before + block + (newline + behind if behind else "")


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
    try:
        found: Mapping[str, Any] = tomllib.loads(header)
    except tomllib.TOMLDecodeError:
        return False
    return "project" in found


def _replace(file: Path, text: str) -> None:
    """Write a file as a whole or not at all."""
    new = file.with_name(f"{file.name}.new")
    try:
        new.write_bytes(text.encode("utf-8"))
        new.chmod(file.stat().st_mode & 0o7777)
        os.replace(new, file)
    finally:
        new.unlink(missing_ok=True)
