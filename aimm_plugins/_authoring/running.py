"""Read declarations by running the code, in a child process."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import aimm_plugins
from aimm_plugins import PluginImportError
from aimm_plugins._authoring.project import Project
from aimm_plugins._source.declarations import SourceDeclaration
from aimm_plugins._system.child import ChildError, run_task
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.modules import import_whole
from aimm_plugins._system.text import described


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
            f"the process that imports {project.root} ended with exit {result.cause} before it "
            "was done"
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
