"""The source of plugins: of a module, with what it imports of its package."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from types import ModuleType

from aimm_plugins._discovery.module_location import HERE, Modules
from aimm_plugins._source.budget import Budget, OverBudgetError
from aimm_plugins._source.declarations import (
    Fault,
    Gap,
    ModuleSource,
    Need,
    PluginSource,
    SourceDeclaration,
)
from aimm_plugins._source.module import read_module
from aimm_plugins._source.outside import OutsidePackages
from aimm_plugins._source.values import PACKAGE, Evaluator
from aimm_plugins._system.names import with_parents
from aimm_plugins._system.text import MOST_COMPARED, nearest
from aimm_plugins._values.provenance import short_file

_OF_EACH_MODULE = frozenset(
    {*dir(ModuleType("")), "__annotations__", "__builtins__", "__cached__", "__file__", "__path__"}
)
"""Names that Python binds in modules."""


class ModuleReader:
    """Reads modules in some top-level packages, each once; names from others are not followed."""

    def __init__(
        self, find: Callable[[str], str | None], tops: Collection[str], budget: Budget
    ) -> None:
        self._find, self._tops = find, tops
        self._modules: dict[str, ModuleSource | None] = {}
        self._reached: set[str] = set()
        self._evaluator = Evaluator(self.module, budget)

    def module(self, name: str) -> ModuleSource | None:
        """A module's source; `None` where there is no such module, or it is not followed."""
        if name.partition(".")[0] not in self._tops:
            return None
        if name not in self._modules:
            file = self._find(name)
            # Modules may import each other: each sees what is read of the other so far.
            module = None if file is None else ModuleSource(name=name, file=file)
            self._modules[name] = module
            if module is not None:
                read_module(module, self._evaluator)
        return self._modules[name]

    def reached(
        self, name: str, is_part: Callable[[str], bool] = lambda name: True
    ) -> Iterator[tuple[ModuleSource, bool]]:
        """A module and those that its import imports, and whether it surely does; itself first."""
        waiting: dict[bool, deque[str]] = {True: deque([name]), False: deque()}
        seen: set[str] = set()
        for certain, queue in waiting.items():
            while queue:
                name = queue.popleft()
                module = self.module(name) if name not in seen and is_part(name) else None
                seen.add(name)
                if module is None:
                    continue
                if name in self._reached:  # each plugin of a package may reach all of it
                    costs = 1 + len(module.imports) + 10 * len(module.declarations)
                    self._evaluator.budget.take(costs)
                self._reached.add(name)
                yield module, certain
                queue.extend(reversed([*with_parents(name)][1:]))
                for imported, surely in module.imports:
                    waiting[certain and surely].append(imported)


class SourceReader:
    """Reads the source of installed plugins.

    What one of the `plugins` declares is its alone, whichever plugin imports it. A module that
    rules keep out is not read, which may share its topmost package with a plugin.
    """

    def __init__(
        self,
        plugins: Sequence[str] = (),
        modules: Modules = HERE,
        is_denied: Callable[[str], bool] = lambda module: False,
    ) -> None:
        self._modules, self._is_denied = modules, is_denied
        self._plugins = frozenset(plugins)
        self._budgets: dict[str, Budget] = {}
        self._readers: dict[tuple[str, str], ModuleReader] = {}
        self._read: dict[tuple[str, str], tuple[PluginSource, _Reached, _ByObject]] = {}
        self._outside = OutsidePackages(modules)
        self._missing = cache(modules.missing)

    def read(
        self, name: str, attribute: str | None = None, *, owner: str | None = None
    ) -> PluginSource:
        """What an import of a module would declare for the plugin that it is.

        Of an entry point `module:object` that is what the object declares. All plugins of one owner
        share one budget.
        """
        top = name.partition(".")[0]
        owner = owner or top
        budget = self._budgets.setdefault(owner, Budget())
        if (owner, top) not in self._readers:
            self._readers[owner, top] = ModuleReader(self._readable, (top,), budget)
        again = (owner, name) in self._read
        if not again:
            whole, reached = self._whole(self._readers[owner, top], name)
            by_object: dict[str, list[SourceDeclaration]] = {}
            for declaration in whole.declarations:
                by_object.setdefault(declaration.qualname, []).append(declaration)
            self._read[owner, name] = whole, reached, by_object
        whole, reached, of_objects = self._read[owner, name]
        found = whole.declarations if attribute is None else of_objects.get(attribute, ())
        if attribute is not None and whole.names is None:  # it may be made when it is asked for
            whole = replace(whole, declares_nothing=False)
        elif attribute is not None and not found and reached and attribute in reached[0][0].plain:
            whole = replace(whole, declares_nothing=self._is_closed(name, whole, reached))
        try:
            if again:
                budget.take(10 * len(found))
        except OverBudgetError as error:
            return replace(whole, declarations=(), gaps=(*whole.gaps[:1], _unread(error)))
        if attribute is None:
            return whole
        near = self._near(attribute, whole.names, budget)
        return replace(whole, declarations=tuple(found), near=near)

    def _readable(self, module: str) -> str | None:
        file = self._modules.locate(module)
        return None if file is None or self._is_denied(module) else file

    def _near(self, attribute: str, names: frozenset[str] | None, budget: Budget) -> list[str]:
        """The names that a missing object may be called by; each letter is compared with each."""
        name = attribute.partition(".")[0]
        if not name or names is None or name in names:
            return []
        work = min(len(names), MOST_COMPARED) * len(attribute) ** 2
        if work > budget.work:
            return []
        budget.take(work)
        return nearest(attribute, sorted(names))

    def _whole(self, reader: ModuleReader, name: str) -> tuple[PluginSource, _Reached]:
        """All that an import of a module would declare, and the modules that it runs."""
        reached, unread = list[tuple[ModuleSource, bool]](), list[Gap]()
        try:
            for module in reader.reached(name, lambda part: self._is_part(part, name)):
                reached.append(module)  # those before the end are kept
        except OverBudgetError as error:
            unread.append(_unread(error))
        if not reached:
            return PluginSource(gaps=(*unread, Gap(reason=f"{name} is not found"))[:1]), ()
        own, _ = reached[0]
        users = sorted(self._outside.users(_imported(name, reached)))
        outside = (f"it imports {user}, which uses {PACKAGE} itself" for user in users)
        fault: Fault | None = None
        with suppress(OverBudgetError):
            fault = self._foreseen(reader, name)
        source = PluginSource(
            declarations=tuple(
                declaration if certain else replace(declaration, certain=False)
                for module, certain in reached
                for declaration in module.declarations
            ),
            gaps=(
                *dict.fromkeys(gap for module, _ in reached for gap in module.gaps),
                *unread,
                *(Gap(reason=reason, file=own.file) for reason in outside),
            ),
            has_hooks=any(module.has_hooks for module, _ in reached),
            names=own.names,
            file=own.file,
            fault=fault,
            imports_unseen=any(module.imports_unseen for module, _ in reached),
        )
        if not source.declarations and not source.has_hooks:
            is_empty = self._is_closed(name, source, reached)
            source = replace(source, declares_nothing=is_empty)
        return source, reached

    def _is_closed(self, name: str, source: PluginSource, reached: _Reached) -> bool:
        """Whether nothing declares for a plugin but what was found in its source."""
        top = name.partition(".")[0]
        return (
            source.is_complete
            and not any(module.calls_decorators for module, _ in reached)
            # Functions may import other parts of the package while it is imported.
            and self._outside.are_all(top, [module.file for module, _ in reached])
            and not self._outside.may_declare(_imported(name, reached))
        )

    def _foreseen(self, reader: ModuleReader, plugin: str) -> Fault | None:
        """The first fault of the modules that an import of a plugin runs; `None` where none shows.

        The error is the one that Python would raise, so that a plan and a start say the same.
        """
        reached = list(reader.reached(plugin))
        certain = [module for module, surely in reached if surely]
        set_by_others = {name for module, _ in reached for name in module.set_attributes}
        may_look_elsewhere = any(module.finds_by_itself for module in certain)
        top = plugin.partition(".")[0]
        for module in certain:
            for need in () if may_look_elsewhere else module.needs:
                error = self._unmet(need, top, reader)
                if error is not None and need.attribute not in set_by_others:
                    return Fault(error, f"{short_file(need.file, module.name)}:{need.line}")
            fault = module.fault
            if isinstance(fault, SyntaxError) and not self._modules.is_this_python:
                return None  # it may be none there; what follows is not known
            if fault is not None:
                line = getattr(fault, "lineno", None) or getattr(fault, "line", None)
                place = short_file(module.file, module.name)
                return Fault(fault, f"{place}:{line}" if line else place)
        return None

    def _unmet(self, need: Need, top: str, reader: ModuleReader) -> ImportError | None:
        """What an import statement raises. Of other packages only their existence can be told."""
        first = need.module.partition(".")[0]
        if not first:
            is_in_package = need.module.startswith("..")
            why = "beyond top-level package" if is_in_package else "with no known parent package"
            return ImportError(f"attempted relative import {why}")
        if first == PACKAGE and self._modules is not HERE:
            return None  # an environment may have another version of it
        is_followed = first in (top, PACKAGE)
        missing = self._missing(need.module if is_followed else first)
        if missing is not None or not is_followed or need.attribute in (None, "*"):
            return missing
        names, file = self._names_of(need.module, reader)
        if names is None or need.attribute in names:
            return None
        if self._missing(f"{need.module}.{need.attribute}") is None:
            return None
        message = f"cannot import name {need.attribute!r} from {need.module!r} ({file})"
        return ImportError(message, name=need.module, path=file)

    def _names_of(
        self, module: str, reader: ModuleReader
    ) -> tuple[Collection[str] | None, str | None]:
        """The names in a module, if they are all known, and its file."""
        if module == PACKAGE:
            return dir(sys.modules[PACKAGE]), sys.modules[PACKAGE].__file__
        source = reader.module(module)
        if source is None or source.names is None:
            return None, None
        return source.names | _OF_EACH_MODULE, source.file

    def _is_part(self, module: str, plugin: str) -> bool:
        """Whether what a module declares counts as that of a plugin that imports it."""
        owner = next((name for name in with_parents(module) if name in self._plugins), plugin)
        return module == plugin or owner == plugin


def _unread(error: OverBudgetError) -> Gap:
    return Gap(reason=f"it is not read to its end: {error}")


def _imported(name: str, reached: _Reached) -> set[str]:
    """The top-level packages that some modules import, but for their own."""
    found = {imported for module, _ in reached for imported, _ in module.imports}
    return {imported.partition(".")[0] for imported in found} - {name.partition(".")[0]}


_Reached = Sequence[tuple[ModuleSource, bool]]
_ByObject = Mapping[str, Sequence[SourceDeclaration]]
