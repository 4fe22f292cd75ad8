"""Who answers an action and key, and the conflicts of those who would: plain values and rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from aimm_plugins._declarations.ledger import Declaration
from aimm_plugins._system.text import one_line
from aimm_plugins._values.actions import ACTIONS, Action
from aimm_plugins._values.provenance import Provenance
from aimm_plugins._values.report import Finding, Identity, PluginRecord
from aimm_plugins.errors import PluginConflictError

if TYPE_CHECKING:  # reading metadata is not part of `import aimm_plugins`
    from aimm_plugins._discovery.entry_points import Published

Slot = tuple[Action, str]


class Provider(NamedTuple):
    """The plugin that answers one action and key.

    Attributes:
        action: The action.
        key: The data access name or model type.
        plugin: Module of the plugin; for what was declared by hand, the module that did.
        provenance: Who that is, with file and line of the declaration.
        declaration: What was declared; `None` for a deferred plugin, which declares when its
            module is imported.
        published: What the metadata of a deferred plugin says instead.
        load: Imports and registers a deferred plugin.
    """

    action: Action
    key: str
    plugin: str
    provenance: Provenance
    declaration: Declaration | None = None
    published: Published | None = None
    load: Callable[[], None] | None = None

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    @property
    def deferred(self) -> bool:
        """Whether its module waits for the first call."""
        return self.declaration is None

    @property
    def function(self) -> Callable[..., Any] | None:
        """What is called; `None` while it is deferred."""
        return None if self.declaration is None else self.declaration.function

    @property
    def module(self) -> str:
        """The module that makes the declaration."""
        if self.declaration is not None:
            return self.declaration.module
        return self.plugin if self.published is None else self.published.module

    @property
    def qualname(self) -> str:
        """Dotted name of the function within its module."""
        if self.declaration is not None:
            return self.declaration.qualname
        return "" if self.published is None else self.published.attribute

    @property
    def file(self) -> str | None:
        """Source file of the declaration; of a deferred plugin its module's, where known."""
        return self.provenance.file

    @property
    def line(self) -> int | None:
        """Line of the declaration, from 1; `None` while it is deferred."""
        return self.provenance.line

    @property
    def distribution(self) -> str | None:
        """The distribution that brought it, if any."""
        return self.provenance.distribution

    @property
    def version(self) -> str | None:
        """Version of that distribution."""
        return self.provenance.version

    def __str__(self) -> str:
        return f"{self.action}:{self.key}  {self.provenance}"


class Deferred(NamedTuple):
    """A plugin that is imported by the first call of one of its keys.

    Attributes:
        record: Its account so far.
        published: Its keys.
        load: Imports and registers it.
    """

    record: PluginRecord
    published: tuple[Published, ...]
    load: Callable[[], None]


class Snapshot:
    """What is registered.

    A commit replaces the snapshot as a whole. A declaration by hand adds to the inner mappings, in
    one atomic update: copying them for each would cost O(N²) for N declarations.

    Attributes:
        providers: Action to key to provider.
        records: The account of each plugin of the calls so far, by identity.
        findings: What the calls so far found beside them.
        shadowed: Keys that plugins lost to a `prefer` rule: (plugin, slot) to the reason.
        contested: Keys that plugins lost to a conflict: (plugin, slot) to the error.
        deferred: The plugins that wait for their first call, by identity.
        broken: Keys that a deferred plugin promised before it failed to load.
    """

    __slots__ = (
        "broken",
        "contested",
        "deferred",
        "findings",
        "providers",
        "records",
        "shadowed",
    )

    def __init__(
        self,
        *,
        providers: dict[Action, dict[str, Provider]] | None = None,
        records: dict[Identity, PluginRecord] | None = None,
        findings: dict[tuple[str, str, str | None], Finding] | None = None,
        shadowed: dict[tuple[str, Slot], str] | None = None,
        contested: dict[tuple[str, Slot], PluginConflictError] | None = None,
        deferred: dict[Identity, Deferred] | None = None,
        broken: dict[Slot, PluginRecord] | None = None,
    ) -> None:
        self.providers: dict[Action, dict[str, Provider]] = (
            {action: {} for action in ACTIONS} if providers is None else providers
        )
        self.records: dict[Identity, PluginRecord] = {} if records is None else records
        self.findings: dict[tuple[str, str, str | None], Finding] = (
            {} if findings is None else findings
        )
        self.shadowed: dict[tuple[str, Slot], str] = {} if shadowed is None else shadowed
        self.contested: dict[tuple[str, Slot], PluginConflictError] = (
            {} if contested is None else contested
        )
        self.deferred: dict[Identity, Deferred] = {} if deferred is None else deferred
        self.broken: dict[Slot, PluginRecord] = {} if broken is None else broken


Preferences = Sequence[Mapping[str, tuple[str, str]]]
"""Layers of `"action:key"` or `"key"` to distribution or module, and the place of the rule."""


class Owners:
    """Finds the plugin that a declaration belongs to."""

    def __init__(self, modules: Iterable[str]) -> None:
        self._modules = frozenset(modules)
        self._known: dict[str, str | None] = {}

    def of(self, declaration: Declaration | None) -> str | None:
        """The plugin's module.

        The plugin whose module, or a submodule of it, made the declaration; else the one whose
        loading first ran it; else the one during whose import by hand it ran.
        """
        if declaration is None:
            return None
        made = self._of_module(declaration.module)
        if made is not None:
            return made
        if declaration.importer is not None:
            importer = self._of_module(declaration.importer)
            if importer is not None:
                return importer
        return self._of_module(declaration.body) if declaration.body is not None else None

    def ran(self, plugin: str, declaration: Declaration) -> bool:
        """Whether a declaration was made in the plugin's own import, or by hand."""
        return declaration.body is None or self._of_module(declaration.body) == plugin

    def _of_module(self, module: str) -> str | None:
        if module not in self._known:
            name = module
            while name not in self._modules and name:
                name = name.rpartition(".")[0]
            self._known[module] = name or None
        return self._known[module]


def provider_of(declaration: Declaration, plugin: str, record: PluginRecord | None) -> Provider:
    """The provider that a declaration makes of a plugin; `record` is `None` by hand."""
    who = Provenance(module=plugin) if record is None else record.provenance
    return Provider(
        action=declaration.action,
        key=declaration.key,
        plugin=plugin,
        provenance=who._replace(
            file=declaration.file,
            line=declaration.line,
            file_module=declaration.module,
        ),
        declaration=declaration,
    )


def same_provider(one: Provider, other: Provider) -> bool:
    """Whether both are the same plugin's, or one function that was reached in two ways."""
    if one.plugin == other.plugin:
        return True
    if one.declaration is None or other.declaration is None:
        return False
    return one.declaration.target is other.declaration.target


def named(provider: Provider, wanted: str) -> bool:
    """Whether a `prefer` rule's distribution or module is this provider's."""
    distribution = provider.provenance.distribution
    if wanted in (provider.plugin, provider.module):
        return True
    return distribution is not None and _plain(distribution) == _plain(wanted)


def _plain(name: str) -> str:
    # As PEP 503; discovery's own function lies in a stage that the registry does not know.
    return "-".join(
        part for part in name.lower().replace("_", "-").replace(".", "-").split("-") if part
    )


def conflict(
    action: Action, key: str, rivals: Sequence[Provider], keeps: Provider | None = None
) -> PluginConflictError:
    """The error for a slot that several plugins provide, with the line that would settle it.

    Args:
        action: The action.
        key: The key.
        rivals: All that provide it.
        keeps: The one that had the key already, and keeps it.
    """
    rows = [each.provenance.columns() for each in rivals]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    table = "\n".join(
        "  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True) if w).rstrip()
        for row in rows
    )
    outcome = (
        "None of them is given the key."
        if keeps is None
        else f"{keeps.provenance.owner} had the key before and keeps it."
    )
    choice = rivals[-1].provenance.owner
    if sum(each.provenance.owner == choice for each in rivals) > 1:
        choice = rivals[-1].plugin
    return PluginConflictError(
        f"{_number(len(rivals))} plugins provide {action}:{one_line(key)}\n{table}\n"
        f"{outcome} To choose one, add to the conf:\n"
        f'  prefer: {{"{action}:{one_line(key)}": {choice}}}',
        action=action,
        key=key,
        providers=[each.provenance for each in rivals],
    )


def _number(count: int) -> str:
    return {2: "two", 3: "three"}.get(count, str(count))
