"""What a project declares, read from its source, or by running the code in a child process.

A key that is missing from the metadata makes a plugin fail to load, so nothing is guessed: what the
source leaves open is an error.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import aimm_plugins
from aimm_plugins import DeclarationError, PluginImportError
from aimm_plugins._authoring.project import Project
from aimm_plugins._source.budget import Budget
from aimm_plugins._source.declarations import Gap, SourceDeclaration
from aimm_plugins._source.module import not_a_decorator
from aimm_plugins._source.reader import ModuleReader
from aimm_plugins._system.child import ChildError, run_task
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.modules import import_whole
from aimm_plugins._system.text import described


class ProjectSource:
    """What a project's source declares; `to_run` is what reads keys by running the code."""

    def __init__(
        self, project: Project, to_run: str = "aimm-plugins entry-points --import"
    ) -> None:
        self.project = project
        self._to_run = to_run
        files = {name: str(file) for name, file in project.modules.items()}
        tops = {name.partition(".")[0] for name in files}
        # No honest project reaches what is allowed for the source that its own author reads.
        budget = Budget(work=10**9, module_size=64 * 1024 * 1024)
        self._reader = ModuleReader(files.get, tops, budget)

    def declarations(self) -> tuple[SourceDeclaration, ...]:
        """All that the project's modules declare, in the order of modules and lines.

        What cannot be known without running the code, or is declared twice, is one error.
        """
        modules = [m for name in self.project.modules if (m := self._reader.module(name))]
        found = [declaration for module in modules for declaration in module.declarations]
        errors = [self._error(gap) for module in modules for gap in module.gaps]
        # What an import may not declare, or not under a name that an entry point can have.
        uncertain = (
            Gap(reason=not_a_decorator(one.decorator), file=one.file, line=one.line)
            for one in found
            if not one.certain or not one.qualname
        )
        errors += (self._error(gap) for gap in dict.fromkeys(uncertain))
        errors += self._repeated(found)
        if errors:
            raise errors[0] if len(errors) == 1 else DeclarationError("\n".join(map(str, errors)))
        return tuple(found)

    def reached(self, module: str) -> frozenset[str]:
        """The project's modules that an import of one imports, itself included."""
        return frozenset(found.name for found, _ in self._reader.reached(module))

    def _error(self, gap: Gap) -> DeclarationError:
        message = gap.reason
        if not gap.is_mistake:
            message += ". Write the keys as literals, or read them by running the code: "
            message += self._to_run
        return DeclarationError(message, file=self.project.shown(gap.file), line=gap.line)

    def _repeated(self, found: Iterable[SourceDeclaration]) -> Iterator[DeclarationError]:
        first: dict[tuple[str, str], SourceDeclaration] = {}
        for declaration in found:
            before = first.setdefault((declaration.action, declaration.key), declaration)
            if before is not declaration:
                yield DeclarationError(
                    f"{declaration.action}:{declaration.key} is declared a second time; the first "
                    f"is at {self.project.shown(before.file)}:{before.line}. Remove one, or give "
                    "it another key.",
                    file=self.project.shown(declaration.file),
                    line=declaration.line,
                )


def run_declarations(project: Project) -> tuple[SourceDeclaration, ...]:
    """All that a project's modules declare when they are imported, packages before their parts.

    Everything that the project ships is imported. What it prints goes to stderr.
    """
    task = partial(
        import_project,
        [str(source) for source in project.sources],
        sorted(project.modules),
        str(project.root),
    )
    try:
        result = run_task(task, shown=True)
    except ChildError as error:
        raise PluginImportError(
            f"the modules of {project.root} cannot be imported: {error}"
        ) from error
    if not result.finished:
        raise PluginImportError(
            f"the process that imports {project.root} {result.ended} before it was done"
        )
    declared, errors = result.answers
    if errors:
        raise PluginImportError("\n".join(errors))
    return tuple(SourceDeclaration(**fields) for fields in declared)


def import_project(
    sources: Sequence[str], modules: Sequence[str], root: str
) -> Iterator[list[Any]]:
    """Import the modules in the child process; answers with what they declare, then with errors."""
    sys.path[:0] = sources
    tops = {module.partition(".")[0] for module in modules}
    declared: list[dict[str, Any]] = []
    errors: list[str] = []
    for module in modules:
        with guarded() as attempt:
            import_whole(module)
        if attempt.error is not None:
            errors.append(f"{module} cannot be imported: {described(attempt.error)}")
    for provider in aimm_plugins.providers().values():
        # A compiled module is none of the modules, which are those with a source.
        if provider.declaration is None or provider.module.partition(".")[0] not in tops:
            continue
        attribute = _attribute(provider.declaration.target, provider.module)
        file = Path(provider.file or "")
        place = f"{file.relative_to(root) if file.is_relative_to(root) else file}:{provider.line}"
        if attribute is None:
            errors.append(
                f"{place}: {provider.action}:{provider.key} is declared by "
                f"{provider.declaration.target!r}, which no name in {provider.module} stands for"
            )
        else:
            names = ("action", "key", "module", "file", "line")
            fields = {name: getattr(provider, name) for name in names}
            declared.append({**fields, "qualname": attribute})
    yield declared
    yield errors


def _attribute(target: object, module: str) -> str | None:
    """The dotted name under which a module holds an object."""
    qualname = getattr(target, "__qualname__", "")
    if isinstance(qualname, str) and "<" not in qualname:
        found: object = sys.modules[module]
        for part in qualname.split("."):
            found = getattr(found, part, None)
        if found is target:
            return qualname
    return next(
        (name for name, value in vars(sys.modules[module]).items() if value is target), None
    )
