"""From an `entry_points.txt` to plugins, the keys that they bring, and schemas of their options.

Only our own groups are judged: bytes in a third party's group are the third party's. However many
lines are broken, a file gets one finding of each kind; and whatever is looked up in it is looked up
in tables, since a file may hold 20,000 plugins and keys.

References:
    https://packaging.python.org/specifications/entry-points/ for the file format.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter

from aimm_plugins._discovery.distribution import Distribution, requires
from aimm_plugins._discovery.groups import OPTIONS, PLUGINS, group_meant, suffix_of
from aimm_plugins._discovery.published import BrokenLine, Candidate, Published, PublishedOptions
from aimm_plugins._system.ceilings import (
    ENTRY_POINT_DOTS,
    ENTRY_POINT_LETTERS,
    ENTRY_POINT_LINES,
    ENTRY_POINTS_OF_ONE_OBJECT,
)
from aimm_plugins._system.names import parse_target, with_parents
from aimm_plugins._system.text import nearest, one_line
from aimm_plugins._values.actions import ACTIONS
from aimm_plugins._values.report import Finding

_SHOWN_LETTERS = 100
_SHOWN_NAMES = 5
_MOST_GROUPS = 20
"""Groups of a file that are compared with ours: a file has room for 500,000."""

_MOST_BROKEN = 10
_ONE_MORE = (0, "", "")


class EntryPoints:
    """What one distribution publishes in our groups, by its `entry_points.txt`.

    A key goes to the plugin whose module is the key's, or is nearest above it. Where there is but
    one plugin module, that one has all keys. All that is listed is sorted.
    """

    def __init__(self, distribution: Distribution, content: bytes) -> None:
        self.distribution = distribution
        self.candidates: list[Candidate] = []
        self.broken: list[BrokenLine] = []
        self.published: list[Published] = []
        self.options: list[PublishedOptions] = []
        self.findings: list[Finding] = []
        self._entry_points_of: dict[tuple[str, str | None], int] = {}
        self._read(content)
        self.candidates.sort(key=attrgetter("name"))
        self.broken.sort(key=attrgetter("name"))
        # By module: the objects in it that entry points name, the keys of these, and schemas.
        self._objects: dict[str, set[str | None]] = {}
        self._keys: dict[tuple[str, str | None], list[Published]] = {}
        self._schemas: dict[str, dict[str, PublishedOptions]] = {}
        self._beneath: dict[str, list[Published]] | None = None
        if self.published or self.options:
            self.published.sort(key=attrgetter("action", "key", "module", "attribute", "place"))
            self.options.sort(key=attrgetter("name", "place"))
            for candidate in self.candidates:
                self._objects.setdefault(candidate.module, set()).add(candidate.attribute)
            self._assign_keys()
            self._assign_schemas()

    def keys_of(self, module: str, attribute: str | None) -> tuple[Published, ...]:
        """The keys of a plugin; of an entry point `module:object` only those of the object."""
        if module in self._objects:
            return tuple(self._keys.get((module, attribute), ()))
        # Only a conf names this module. Without any entry point it is the only plugin.
        return tuple(self._unclaimed().get(module, ()) if self._objects else self.published)

    def options_of(self, module: str) -> tuple[PublishedOptions, ...]:
        """The schemas of a plugin's options; several where the metadata is at odds."""
        return tuple(self._schemas.get(module, {}).values())

    def _unclaimed(self) -> dict[str, list[Published]]:
        """The keys by each module above theirs that has no plugin between."""
        if self._beneath is None:
            self._beneath = {}
            for key in self.published:
                for parent in with_parents(key.module):
                    if parent in self._objects:
                        break
                    self._beneath.setdefault(parent, []).append(key)
        return self._beneath

    def _read(self, content: bytes) -> None:
        text = content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
        group: str | None = None
        other = ""
        unknown_groups: dict[str, int] = {}
        other_groups: dict[str, int] = {}
        bad_plugins: list[tuple[int, str, str]] = []
        bad_keys: list[tuple[int, str, str]] = []
        lines = 0
        for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
            if not line or line[0] in "#;":
                continue
            if line[0] == "[" and line[-1] == "]":
                other = line.strip("[]")
                group = suffix_of(other)
                if group and group not in ACTIONS and group != OPTIONS:
                    unknown_groups.setdefault(group[:_SHOWN_LETTERS], number)
                    group = None
            elif group is not None:
                if lines == ENTRY_POINT_LINES:
                    self._report(
                        "too-many-entry-points",
                        f"has more than {lines} lines in groups of {PLUGINS}; others are not read",
                        self._place(number),
                        "Tell its author, or deny the distribution.",
                    )
                    break
                fault = self._add_line(group, line, number)
                if fault is None:
                    lines += 1
                else:
                    bad = bad_keys if group else bad_plugins
                    bad.append((number, line, fault) if len(bad) < _MOST_BROKEN else _ONE_MORE)
            elif suffix_of(other) is None and len(other_groups) < _MOST_GROUPS:
                other_groups.setdefault(other, number)
        if bad_plugins:
            self._add_broken(bad_plugins)
        for number, line, fault in bad_keys[:1]:
            self._report(
                "broken-entry-point",
                f"`{_shown(line)}` {fault}, passed over",
                self._place(number),
                "Tell its author, or deny the distribution.",
                len(bad_keys) - 1,
                "line",
            )
        if unknown_groups or other_groups:
            self._report_groups(unknown_groups, other_groups)

    def _report_groups(self, unknown: Mapping[str, int], others: Mapping[str, int]) -> None:
        """Find groups that nobody reads: below ours, by what follows the dot, or nearly ours."""
        for group, number in [*unknown.items()][:1]:
            meant = group_meant(f"{PLUGINS}.{group}")
            for action in [] if meant else nearest(group, ACTIONS):
                meant = f"{PLUGINS}.{action}"
            self._report(
                "unknown-action-group",
                f"publishes keys in [{PLUGINS}.{group}], which is no action's, passed over",
                self._place(number),
                f"Did you mean [{meant}]?" if meant else f"Actions are {', '.join(ACTIONS)}.",
                len(unknown) - 1,
                "group",
            )
        misspelt = [(group, meant) for group in others if (meant := group_meant(group))]
        if misspelt and requires(self.distribution, "aimm-plugins"):
            group, meant = misspelt[0]
            self._report(
                "misspelt-group",
                f"has entry points in [{group}], which nobody reads; [{meant}] is the group",
                self._place(others[group]),
                f"Its author should call the group [{meant}], and install it again.",
                len(misspelt) - 1,
                "group",
            )

    def _add_broken(self, bad_lines: Sequence[tuple[int, str, str]]) -> None:
        """Account for lines that should be plugins; the last account for all that are too many."""
        names: set[str] = set()
        others = len(bad_lines) - _MOST_BROKEN
        for number, line, fault in bad_lines[:_MOST_BROKEN]:
            name, equals, _ = line.partition("=")
            name = _shown(name.rstrip()) if equals else ""
            if not name or name in names:
                name = f"{name} (line {number})".lstrip()
            names.add(name)
            if len(names) == _MOST_BROKEN and others > 0:
                fault += f", as are {others} more lines"
            place = self._place(number)
            self.broken.append(BrokenLine(name, _shown(line), fault, self.distribution, place))

    def _add_line(self, group: str, line: str, number: int) -> str | None:
        """Add one line of a group of ours, or return what is wrong with it."""
        if not line.isascii() and any("\ud800" <= letter <= "\udfff" for letter in line):
            return "is not UTF-8"
        name, equals, value = line.partition("=")
        name, value = name.rstrip(), value.lstrip()
        if not equals or not name:
            return "is not `name = value`"
        if len(value) > ENTRY_POINT_LETTERS:
            return f"has a value of more than {ENTRY_POINT_LETTERS} letters"
        if value.count(".") > ENTRY_POINT_DOTS:
            return f"has a value of more than {ENTRY_POINT_DOTS} dots"
        target = parse_target(value)
        if target is None:
            return "names neither `module` nor `module:object`"
        module, attribute = target
        if not group:
            known = self._entry_points_of.get(target, 0)
            if known == ENTRY_POINTS_OF_ONE_OBJECT:
                return f"is one of more than {known} of {value}"
            self._entry_points_of[target] = known + 1
            self.candidates.append(Candidate(name, value, module, attribute, self.distribution))
            return None
        if attribute is None:
            return (
                "names neither `module:object` nor `package:file.json`"
                if group == OPTIONS
                else "does not name `module:function`"
            )
        published = (name, module, attribute, self.distribution, self._place(number))
        if group == OPTIONS:
            self.options.append(PublishedOptions(*published))
        else:
            action = ACTIONS[group].name  # type: ignore[index]  # other groups are unknown
            self.published.append(Published(action, *published))
        return None

    def _assign_keys(self) -> None:
        idle = []
        for key in self.published:
            module = _nearest(key.module, self._objects)
            if module is None:
                idle.append(key)
                continue
            objects = self._objects[module]
            named = [name for name in with_parents(key.attribute) if name in objects]
            # A conf may name the module, whatever objects of it the entry points name.
            for attribute in (None, *named):
                self._keys.setdefault((module, attribute), []).append(key)
            if None not in objects and not named:
                idle.append(key)
        if idle:
            key = idle[0]
            why = (
                f"which none of its entry points in [{PLUGINS}] brings"
                if self.candidates
                else f"but has no entry point in [{PLUGINS}]"
            )
            self._report(
                "published-keys-without-plugin",
                f"publishes {key.action}:{key.key} of {key.module}:{key.attribute}, {why}",
                key.place,
                f"Its author should add `{key.module.rpartition('.')[2]} = {key.module}` to "
                f"[{PLUGINS}]; or name {key.module} in the conf.",
                len(idle) - 1,
                "key",
            )

    def _assign_schemas(self) -> None:
        modules: dict[str, dict[str, None]] = {}
        for candidate in self.candidates:
            modules.setdefault(candidate.name, {})[candidate.module] = None
        idle = []
        for schema in self.options:
            # A conf may name a module that has no entry point.
            for module in (schema.name, *modules.get(schema.name, ())):
                self._schemas.setdefault(module, {}).setdefault(str(schema), schema)
            known = schema.name in modules or schema.name in self._objects
            if not known and schema.name not in with_parents(schema.module):
                idle.append(schema)
        if idle:
            schema = idle[0]
            some = ", ".join([*modules][:_SHOWN_NAMES]) + ", ..." * (len(modules) > _SHOWN_NAMES)
            self._report(
                "options-without-plugin",
                f"publishes the schema of the options of {schema.name} ({schema}), which is no "
                f"entry point of it in [{PLUGINS}]",
                schema.place,
                f"Its author should name it as the plugin is named: {some}."
                if modules
                else "Its author should name it as the plugin's module.",
                len(idle) - 1,
                "schema",
            )

    def _report(
        self, code: str, message: str, place: str, remedy: str, others: int = 0, what: str = ""
    ) -> None:
        """Add a finding about the first of several faults of one kind, and how many others are."""
        if others == 1:
            message += f", as is 1 more {what}"
        elif others:
            message += f", as are {others} more {what}s"
        self.findings.append(Finding(code, self.distribution.subject, message, place, remedy))

    def _place(self, line: int) -> str:
        return f"{os.path.join(self.distribution.place, 'entry_points.txt')}:{line}"


def _shown(line: str) -> str:
    line = line if len(line) <= _SHOWN_LETTERS else f"{line[:_SHOWN_LETTERS]}..."
    return one_line(line.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))


def _nearest(module: str, plugins: Collection[str]) -> str | None:
    """The plugin module that a module is or lies beneath; else the only one there is."""
    for parent in with_parents(module):
        if parent in plugins:
            return parent
    return next(iter(plugins)) if len(plugins) == 1 else None
