"""The entry point tables that a project's declarations ask for, and those of `pyproject.toml`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from aimm_plugins import ConfigError, DeclarationError
from aimm_plugins._authoring.declarations import ProjectSource
from aimm_plugins._authoring.project import Project, texts_of
from aimm_plugins._discovery.groups import OPTIONS, PLUGINS, suffix_of
from aimm_plugins._source.declarations import SourceDeclaration
from aimm_plugins._values.actions import ACTIONS

Tables = dict[str, dict[str, str]]
"""Group to name to value."""


def entry_points(project: Project, declared: Sequence[SourceDeclaration]) -> Tables:
    """The tables of the group `aimm.plugins` and its actions.

    Plugins that `pyproject.toml` names already keep their entries as long as they declare
    something, or are not the project's; modules that none of them imports get entries of their own.
    """
    _refuse_unfit(project, declared)
    tables: Tables = {}
    if plugins := _plugins(project, declared):
        tables[PLUGINS] = plugins
    for action in ACTIONS:
        keys = {d.key: f"{d.module}:{d.qualname}" for d in declared if d.action == action}
        if keys:
            tables[f"{PLUGINS}.{action}"] = dict(sorted(keys.items()))
    return tables


def _refuse_unfit(project: Project, declared: Iterable[SourceDeclaration]) -> None:
    """Refuse keys that the file `entry_points.txt` cannot carry as names."""
    for declaration in declared:
        if fault := _fault(declaration.key):
            raise DeclarationError(
                f"the key {declaration.key!r} of {declaration.action} {fault}, which the name of "
                "an entry point cannot. Choose another key, or leave this one unpublished: a "
                "plugin without published keys loads as well, but never lazily.",
                file=project.shown(declaration.file),
                line=declaration.line,
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


def current_tables(project: Project) -> Tables:
    """Those of `pyproject.toml`."""
    groups = project.table("project").get("entry-points", {})
    tables = groups if isinstance(groups, Mapping) else {PLUGINS: groups}
    for group, entries in tables.items():
        texts = entries.values() if isinstance(entries, Mapping) else [None]
        if not all(isinstance(text, str) for text in texts):
            raise ConfigError(
                f'entry points are texts in a table: write [project.entry-points."{group}"], and '
                'under it NAME = "MODULE"',
                file=str(project.pyproject_file),
            )
    return {group: dict(entries) for group, entries in tables.items() if is_made(group)}


def is_made(group: str) -> bool:
    """Whether a group's entries are made from the code; that of options is the author's own."""
    return suffix_of(group) not in (None, OPTIONS)


def are_dynamic(project: Project) -> bool:
    return "entry-points" in texts_of(project.table("project").get("dynamic"))


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
                lines.append(f"- {toml_key(name)} = {_toml_text(old[name])}")
            if name in new and new[name] != old.get(name):
                lines.append(f"+ {toml_key(name)} = {_toml_text(new[name])}")
    return lines


def as_toml(tables: Tables) -> str:
    return "\n".join(
        f'[project.entry-points."{group}"]\n'
        + "".join(f"{toml_key(n)} = {_toml_text(v)}\n" for n, v in entries.items())
        for group, entries in tables.items()
    )


def toml_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml_text(name)


def _toml_text(value: str) -> str:
    # JSON's escapes are TOML's. The one character that JSON leaves and TOML forbids is DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _plugins(project: Project, declared: Sequence[SourceDeclaration]) -> dict[str, str]:
    """The entries of the plugins themselves: the kept ones, in their order, then new ones."""
    source = ProjectSource(project)
    # No source says who imports a compiled module; that will be the packages that it is in.
    compiled = {d.module for d in declared} - project.modules.keys()

    def reached(module: str) -> set[str]:
        return {*source.reached(module), *(m for m in compiled if m.startswith(f"{module}."))}

    declaring = {(declaration.module, declaration.qualname) for declaration in declared}
    covered: set[tuple[str, str]] = set()
    entries: dict[str, str] = {}
    for name, value in current_tables(project).get(PLUGINS, {}).items():
        module, _, attribute = (part.strip() for part in value.partition("[")[0].partition(":"))
        modules = reached(module)
        brought = {
            target
            for target in declaring
            if target[0] in modules and (not attribute or target == (module, attribute))
        }
        if brought or module not in project.modules:
            entries[name] = value
            covered |= brought
    # A package is the plugin of whatever it imports of itself; what no plugin imports is its own.
    missing = {module for module, _ in declaring - covered}
    for module in sorted(project.modules, key=lambda name: (name.count("."), name)):
        own = {name for name in missing if f"{name}.".startswith(f"{module}.")}
        if own and (found := own & reached(module)):
            entries[_free_name(module, entries)] = module
            missing -= found
    return entries


def _free_name(module: str, taken: Mapping[str, str]) -> str:
    numbered = (f"{module}-{number}" for number in range(2, len(taken) + 3))
    names = (module.rpartition(".")[2], module, *numbered)
    return next(name for name in names if name not in taken)
