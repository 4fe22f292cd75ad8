"""What a project declares, read from its source; what the source leaves open is an error.

A key that is missing from the metadata makes a plugin fail to load, so nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aimm_plugins import DeclarationError
from aimm_plugins._authoring.project import Project
from aimm_plugins._source.budget import own_code_budget
from aimm_plugins._source.declarations import Gap, SourceDeclaration
from aimm_plugins._source.module import not_a_decorator
from aimm_plugins._source.reader import ModuleReader


class ProjectSource:
    """What a project's source declares.

    Args:
        project: The project.
        to_run: What reads the keys by running the code, for messages.
    """

    def __init__(
        self, project: Project, to_run: str = "aimm-plugins entry-points --import"
    ) -> None:
        self.project = project
        self._to_run = to_run
        files = {name: str(file) for name, file in project.modules.items()}
        tops = {name.partition(".")[0] for name in files}
        self._reader = ModuleReader(files.get, tops, own_code_budget())

    def declarations(self) -> tuple[SourceDeclaration, ...]:
        """All that the project's modules declare, in the order of modules and lines.

        Raises:
            DeclarationError: Something cannot be known without running the code, or is declared
                twice; all such places are named.
        """
        modules = [m for name in self.project.modules if (m := self._reader.module(name))]
        found = [declaration for module in modules for declaration in module.declarations]
        errors = [self._error(gap) for module in modules for gap in module.gaps]
        errors += (self._error(gap) for gap in dict.fromkeys(_uncertain(found)))
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


def _uncertain(found: Iterable[SourceDeclaration]) -> Iterator[Gap]:
    """What an import may not declare, or not under a name that an entry point can have."""
    for declaration in found:
        if not declaration.certain or not declaration.qualname:
            yield Gap(
                reason=not_a_decorator(declaration.decorator),
                file=declaration.file,
                line=declaration.line,
            )
