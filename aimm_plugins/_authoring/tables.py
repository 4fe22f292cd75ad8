"""The entry point tables that a project's declarations ask for, and those of `pyproject.toml`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aimm_plugins import DeclarationError
from aimm_plugins._authoring.project import Project
from aimm_plugins._authoring.source import Declared, reachable
from aimm_plugins._values.actions import ACTIONS

GROUP = "aimm.plugins"
Tables = dict[str, dict[str, str]]
"""Group to name to value."""


def entry_points(project: Project, declared: Sequence[Declared]) -> Tables:
    """The tables of the group `aimm.plugins` and its actions.

    Plugins that `pyproject.toml` names already keep their entries as long as they declare
    something, or are not the project's; modules that none of them imports get entries of their own.

    Args:
        project: The source tree.
        declared: What it declares.

    Returns:
        Group to name to value, each sorted by name; groups without entries are left out.

    Raises:
        DeclarationError: A key cannot be the name of an entry point.
    """
    refuse_unfit(declared)
    tables: Tables = {}
    if plugins := _plugins(project, declared):
        tables[GROUP] = plugins
    for action in ACTIONS:
        keys = {d.key: f"{d.module}:{d.attribute}" for d in declared if d.action == action}
        if keys:
            tables[f"{GROUP}.{action}"] = dict(sorted(keys.items()))
    return tables


def refuse_unfit(declared: Iterable[Declared]) -> None:
    """Refuse keys that the file `entry_points.txt` cannot carry as names.

    Raises:
        DeclarationError: There is one.
    """
    for each in declared:
        if fault := _fault(each.key):
            file, _, line = each.place.rpartition(":")
            raise DeclarationError(
                f"the key {each.key!r} of {each.action} {fault}, which the name of an entry point "
                "cannot. Choose another key, or leave this one unpublished: a plugin without "
                "published keys loads as well, but never lazily.",
                file=file,
                line=int(line),
            )


def _fault(key: str) -> str | None:
    if "=" in key:
        return "holds '='"
    if len(key.splitlines()) != 1:
        return "holds a line break"
    if key != key.strip():
        return "begins or ends with a blank"
    if key[0] in "[#;":
        return f"begins with {key[0]!r}"
    return None


def standing(project: Project) -> Tables:
    """Our tables as `pyproject.toml` has them."""
    groups: Any = project.pyproject.get("project", {}).get("entry-points", {})
    return {group: dict(entries) for group, entries in groups.items() if is_made(group)}


def is_made(group: str) -> bool:
    """Whether a group's entries are made from the code; that of options is the author's own."""
    return group == GROUP or (group.startswith(f"{GROUP}.") and group != f"{GROUP}.options")


def are_dynamic(project: Project) -> bool:
    """Whether the build makes the entry points."""
    return "entry-points" in project.pyproject.get("project", {}).get("dynamic", ())


def difference(before: Mapping[str, Mapping[str, str]], after: Tables) -> list[str]:
    """What differs, as lines of a diff: groups, and under them entries with `-` or `+`."""
    lines: list[str] = []
    for group in sorted({*before, *after}):
        old, new = before.get(group, {}), after.get(group, {})
        if old == new:
            continue
        lines.append(f'  [project.entry-points."{group}"]')
        for name in sorted({*old, *new}):
            if name in old and old[name] != new.get(name):
                lines.append(f"- {toml_key(name)} = {toml_text(old[name])}")
            if name in new and new[name] != old.get(name):
                lines.append(f"+ {toml_key(name)} = {toml_text(new[name])}")
    return lines


def as_toml(tables: Tables) -> str:
    """The tables as they stand in `pyproject.toml`."""
    return "\n".join(
        f'[project.entry-points."{group}"]\n'
        + "".join(f"{toml_key(n)} = {toml_text(v)}\n" for n, v in entries.items())
        for group, entries in tables.items()
    )


def toml_key(name: str) -> str:
    """A name as TOML writes a key."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml_text(name)


def toml_text(value: str) -> str:
    """A text as TOML writes it."""
    shown = "".join(
        f"\\u{ord(c):04x}" if ord(c) < 0x20 or ord(c) == 0x7F else f"\\{c}" if c in '"\\' else c
        for c in value
    )
    return f'"{shown}"'


def _plugins(project: Project, declared: Sequence[Declared]) -> dict[str, str]:
    """The entries of the plugins themselves: the kept ones, in their order, then new ones."""
    declaring = {(each.module, each.attribute) for each in declared}
    covered: set[tuple[str, str]] = set()
    kept: dict[str, str] = {}
    for name, value in standing(project).get(GROUP, {}).items():
        module, _, attribute = str(value).partition(":")
        module, attribute = module.strip(), attribute.partition("[")[0].strip()
        covers = _covered(project, module, attribute, declaring)
        if covers or module not in project.modules:
            kept[name] = value
            covered |= covers
    rest = {module for module, _ in declaring - covered}
    for module in _roots(project, rest):
        kept[_free_name(module, kept)] = module
    return kept


def _covered(
    project: Project, module: str, attribute: str, declaring: set[tuple[str, str]]
) -> set[tuple[str, str]]:
    """What of the declarations one entry brings."""
    if module not in project.modules:
        return set()
    found = reachable(project, module)
    return {
        (each, name)
        for each, name in declaring
        if each in found and (not attribute or (each, name) == (module, attribute))
    }


def _roots(project: Project, modules: set[str]) -> list[str]:
    """As few modules as bring all of these when they are imported, packages before their parts."""
    rest, roots = set(modules), []
    # A package is the plugin of whatever it imports of itself; what nobody imports is its own.
    for module in sorted(project.modules, key=lambda name: (name.count("."), name)):
        own = {each for each in rest if f"{each}.".startswith(f"{module}.")}
        brought = own & reachable(project, module) if own else set()
        if brought:
            roots.append(module)
            rest -= brought
    return roots


def _free_name(module: str, taken: Mapping[str, str]) -> str:
    for name in (module.rpartition(".")[2], module):
        if name not in taken:
            return name
    number = 2
    while f"{module}-{number}" in taken:
        number += 1
    return f"{module}-{number}"
