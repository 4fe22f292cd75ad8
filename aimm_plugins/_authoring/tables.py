"""The entry point tables that a project's declarations ask for, and those of `pyproject.toml`.

They are written into `pyproject.toml` with everything else kept as its author wrote it. The text is
cut at the headers of its tables, and lines of our tables are changed. What comes of it is read
again: where it says anything else than it should, nothing is written.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence

from aimm_plugins import ConfigError, DeclarationError
from aimm_plugins._authoring.declarations import ProjectSource
from aimm_plugins._authoring.project import Project, texts_of
from aimm_plugins._discovery.groups import OPTIONS, PLUGINS, suffix_of
from aimm_plugins._source.declarations import SourceDeclaration
from aimm_plugins._system.files import write_atomically
from aimm_plugins._values.actions import ACTIONS

Tables = dict[str, dict[str, str]]
"""Group to name to value."""


def entry_points(source: ProjectSource, declared: Sequence[SourceDeclaration]) -> Tables:
    """The tables of the group `aimm.plugins` and its actions.

    Plugins that `pyproject.toml` names already keep their entries as long as they declare
    something, or are not the project's; modules that none of them imports get entries of their own.
    """
    _refuse_unfit(source.project, declared)
    tables: Tables = {}
    if plugins := _plugins(source, declared):
        tables[PLUGINS] = plugins
    for action in ACTIONS:
        keys = {d.key: f"{d.module}:{d.qualname}" for d in declared if d.action == action}
        if keys:
            tables[f"{PLUGINS}.{action}"] = dict(sorted(keys.items()))
    return tables


def _refuse_unfit(project: Project, declared: Iterable[SourceDeclaration]) -> None:
    """Refuse keys that the file `entry_points.txt` cannot carry as names."""
    for declaration in declared:
        key = declaration.key
        if "=" in key or key[0] in "[#;" or key != key.strip() or len(key.splitlines()) != 1:
            raise DeclarationError(
                f"the key {key!r} of {declaration.action} cannot be the name of an entry point, "
                "which does not begin with [, # or ;, holds neither = nor a line break, and has no "
                "blank at an end. Choose another key, or leave this one unpublished: a plugin "
                "without published keys loads as well, but never lazily.",
                file=project.shown(declaration.file),
                line=declaration.line,
            )


def current_tables(project: Project) -> Tables:
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


def _plugins(source: ProjectSource, declared: Sequence[SourceDeclaration]) -> dict[str, str]:
    """The entries of the plugins themselves: the kept ones, in their order, then new ones."""
    project = source.project
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
        if brought or not (module in project.modules or _is_gone(project, module)):
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


def _is_gone(project: Project, module: str) -> bool:
    """Whether a package of the project has no such part, from a source or compiled."""
    while module:
        module, _, part = module.rpartition(".")
        if module in project.modules:
            folder = project.modules[module].parent
            return not any(path.name.partition(".")[0] == part for path in folder.iterdir())
    return False


def _free_name(module: str, taken: Mapping[str, str]) -> str:
    numbered = (f"{module}-{number}" for number in range(2, len(taken) + 3))
    names = (module.rpartition(".")[2], module, *numbered)
    return next(name for name in names if name not in taken)


def write_tables(project: Project, tables: Tables) -> None:
    """Put the tables into a `pyproject.toml` with a `[project]` table; all else stays."""
    file = project.pyproject_file
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
    """A table with other entries: a key that stays keeps its line, new ones come last."""
    lines = piece.splitlines(keepends=True)
    end: list[str] = []  # comments and blank lines, which stay behind new entries
    while lines[-1].startswith(("#", "\n")):
        end.insert(0, lines.pop())
    added = dict(wanted)
    for number, line in enumerate(lines):
        # No line of an entry over several is TOML alone: it stays, and what comes of that is
        # refused.
        entry = tomllib.loads(line) if number and _is_toml(line) else {}
        for name, value in entry.items():
            key, _, rest = line.partition("=")
            new = added.pop(name, None)
            lines[number] = "" if new is None else f"{key}={rest.replace(str(value), new, 1)}"
    return "".join([*lines, as_toml({"": added}).partition("\n")[2], *end])


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
