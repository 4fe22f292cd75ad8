"""What is read of source: declarations and gaps, of a module and of a plugin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aimm_plugins._discovery.published import Published
from aimm_plugins._source.statements import ImportedName
from aimm_plugins._values.actions import Action


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDeclaration:
    """A declaration that was found without importing it, or after an import that was asked for.

    Attributes:
        qualname: The function or class in that module; empty where it has no name there.
        certain: Whether an import makes it whatever conditions hold.
        decorator: The decorator as the source spells it, such as `ap.fit`; empty where the source
            was not read.
        signature: As in the source, `(model, x, *, epochs=20)`; `None` where it cannot be known.
    """

    action: Action
    key: str
    module: str
    qualname: str
    file: str | None = None
    line: int | None = None
    certain: bool = True
    decorator: str = ""
    signature: str | None = None
    docstring: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A reason why there may be more declarations than were found."""

    reason: str
    file: str | None = None
    line: int | None = None
    is_mistake: bool = False

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        return f"{place}: {self.reason}" if place else self.reason


@dataclass(frozen=True, slots=True)
class Need:
    """What an import statement needs that surely runs, and whose failure nothing catches."""

    module: str
    attribute: str | None
    file: str
    line: int


class Fault(NamedTuple):
    """What an import surely raises, and the place of the statement: file and line."""

    error: Exception
    place: str | None


@dataclass(slots=True, kw_only=True)
class ModuleSource:
    """What one module's source says.

    Attributes:
        values: What its names are bound to; `None` where that is unknown.
        stars: Modules that all names are imported from.
        names: All names that it binds; `None` where it may bind others too.
        set_attributes: The names of all attributes that it sets, which may be those of a module.
        plain: Its functions and classes without bases that have no decorator, and its constants;
            each bound once.
        calls_decorators: Whether it has `fit(["k"])(f)`, where `f` may be any object.
        imports: Modules that it imports, or objects of them, and whether it surely does.
        finds_by_itself: Whether it may change where modules are found, so that what it needs cannot
            be judged.
        imports_unseen: Whether it imports what no import statement names, or hands this package on.
        is_using: Whether its names, or attributes of them, may be decorators of this package; until
            it is read that is not known.
        fault: What its import surely raises: no Python of this version, or a decorator refuses.
    """

    name: str
    file: str
    values: dict[str, object] = field(default_factory=dict)
    stars: list[ImportedName] = field(default_factory=list)
    names: frozenset[str] | None = None
    set_attributes: set[str] = field(default_factory=set)
    plain: set[str] = field(default_factory=set)
    calls_decorators: bool = False
    imports: list[tuple[str, bool]] = field(default_factory=list)
    needs: list[Need] = field(default_factory=list)
    finds_by_itself: bool = False
    imports_unseen: bool = False
    is_using: bool = True
    fault: Exception | None = None
    declarations: list[SourceDeclaration] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    has_hooks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSource:
    """What the source of a plugin's module, and of what it imports of its package, declares.

    Attributes:
        near: Those of them that are like the object that was asked for, where that is none of them.
        declares_nothing: Whether its import surely declares nothing, nor does what it imports; of
            an entry point `module:object`, whether nothing declares that object.
        imports_unseen: Whether its import does so.
    """

    declarations: tuple[SourceDeclaration, ...] = ()
    gaps: tuple[Gap, ...] = ()
    has_hooks: bool = False
    names: frozenset[str] | None = None
    near: Sequence[str] = ()
    file: str | None = None
    fault: Fault | None = None
    declares_nothing: bool = False
    imports_unseen: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether its import surely declares nothing else."""
        return not self.gaps and not self.imports_unseen


def published_declarations(
    published: Iterable[Published], source: PluginSource | None
) -> tuple[SourceDeclaration, ...]:
    """The declarations behind keys that metadata publishes, with what the source adds to each."""
    known = {} if source is None else {(d.action, d.key): d for d in source.declarations}
    return tuple(
        known.get((key.action, key.key))
        or SourceDeclaration(
            action=key.action, key=key.key, module=key.module, qualname=key.attribute
        )
        for key in published
    )
