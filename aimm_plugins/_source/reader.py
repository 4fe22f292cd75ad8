"""The source of plugins: of a module, with what it imports of its package."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

from aimm_plugins._discovery.module_location import locate
from aimm_plugins._source.budget import Budget
from aimm_plugins._source.declarations import Gap, ModuleSource, PluginSource
from aimm_plugins._source.foresight import foresee
from aimm_plugins._source.module import read_module
from aimm_plugins._source.outside import OutsidePackages
from aimm_plugins._source.values import PACKAGE, Evaluator


class ModuleReader:
    """Reads modules, each once.

    Args:
        find: The file of a module by its dotted name, or `None`.
        tops: The top-level modules that are read; names from others are not followed.
        budget: What it may cost; a module that costs more has a gap.
    """

    def __init__(
        self, find: Callable[[str], str | None], tops: Collection[str], budget: Budget
    ) -> None:
        self._find, self._tops = find, tops
        self._modules: dict[str, ModuleSource | None] = {}
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
        """A module and those that its import imports, and whether it surely does; itself first.

        Args:
            name: The module.
            is_part: Whether a module that is imported counts.
        """
        waiting: dict[bool, deque[str]] = {True: deque([name]), False: deque()}
        seen: set[str] = set()
        for certain, queue in waiting.items():
            while queue:
                name = queue.popleft()
                module = self.module(name) if name not in seen and is_part(name) else None
                seen.add(name)
                if module is None:
                    continue
                yield module, certain
                parts = name.split(".")
                queue.extend(".".join(parts[:count]) for count in range(1, len(parts)))
                for imported, surely in module.imports:
                    waiting[certain and surely].append(imported)


class SourceReader:
    """Reads the source of installed plugins.

    Args:
        plugins: Modules that are plugins of their own: what they declare is theirs alone, whichever
            plugin imports them.
    """

    def __init__(self, plugins: Sequence[str] = ()) -> None:
        self._plugins = frozenset(plugins)
        self._readers: dict[str, ModuleReader] = {}
        self._outside = OutsidePackages()

    def read(self, name: str, attribute: str | None = None) -> PluginSource:
        """What an import of a module would declare for the plugin that it is.

        Args:
            name: The module.
            attribute: Only what is declared by this object, for an entry point `module:object`.
        """
        top = name.partition(".")[0]
        if top not in self._readers:
            self._readers[top] = ModuleReader(locate, (top,), Budget())
        reader = self._readers[top]
        reached = list(reader.reached(name, lambda part: self._is_part(part, name)))
        if not reached:
            return PluginSource(gaps=(Gap(reason=f"{name} is not found"),))
        own, _ = reached[0]
        declarations = tuple(
            declaration if certain else replace(declaration, certain=False)
            for module, certain in reached
            for declaration in module.declarations
            if attribute is None or f"{declaration.qualname}.".startswith(f"{attribute}.")
        )
        gaps = dict.fromkeys(gap for module, _ in reached for gap in module.gaps)
        hooks = tuple(hook for module, _ in reached for hook in module.hooks)
        imported = {
            imported.partition(".")[0] for module, _ in reached for imported, _ in module.imports
        } - {top}
        gaps |= dict.fromkeys(
            Gap(reason=f"it imports {user}, which uses {PACKAGE} itself", file=own.file)
            for user in sorted(self._outside.users(imported))
        )
        # An attribute may be another name of what the module declares, or be made when it is asked.
        is_empty = not any(module.declarations for module, _ in reached) and not hooks and not gaps
        imports_unseen = any(module.imports_unseen for module, _ in reached)
        is_empty = is_empty and not imports_unseen
        is_empty = is_empty and (attribute is None or own.names is not None)
        # Functions may import other parts of the package while it is imported.
        is_empty = is_empty and self._outside.are_all(top, [module.file for module, _ in reached])
        return PluginSource(
            declarations=declarations,
            gaps=tuple(gaps),
            hooks=hooks,
            names=own.names,
            file=own.file,
            fault=foresee(name, list(reader.reached(name)), reader.module),
            imports_unseen=imports_unseen,
            declares_nothing=is_empty and not self._outside.may_declare(imported),
        )

    def _is_part(self, module: str, plugin: str) -> bool:
        """Whether what a module declares counts as that of a plugin that imports it."""
        owner = module
        while owner and owner not in self._plugins:
            owner = owner.rpartition(".")[0]
        return module == plugin or owner in ("", plugin)
