"""Who answers an action and key: plain values, and the rules that compare them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from aimm_plugins._declarations.declaration import Declaration
from aimm_plugins._system.names import normalized, with_parents
from aimm_plugins._system.text import one_line
from aimm_plugins._values.actions import Action
from aimm_plugins._values.provenance import Provenance
from aimm_plugins.errors import PluginConflictError

if TYPE_CHECKING:  # reading metadata is not part of `import aimm_plugins`
    from aimm_plugins._discovery.published import Published

Slot = tuple[Action, str]
"""An action and a key."""

Lost = Mapping[tuple[str, Slot], str | PluginConflictError]
"""By plugin and slot what keeps the plugin from it: the text of a `prefer` rule, or a conflict."""

Preferences = Sequence[Mapping[str, tuple[str, str]]]
"""Layers of `"action:key"` or `"key"` to distribution or module, and the place of the rule."""


class Offer(NamedTuple):
    """What a plugin answers by one declaration, for all keys of it; fields as in `Provider`."""

    plugin: str
    who: Provenance | None  # `None` for what was declared by hand
    declaration: Declaration | None = None
    published: Published | None = None
    load: Callable[[], None] | None = None

    @property
    def provenance(self) -> Provenance:
        """Who that is, with file and line of the declaration."""
        who, declaration = self.who or Provenance(self.plugin), self.declaration
        if declaration is None:
            return who
        file, line, module = declaration.file, declaration.line, declaration.module
        return who._replace(file=file, line=line, file_module=module)

    @property
    def module(self) -> str:
        """The module that makes the declaration."""
        if self.declaration is not None:
            return self.declaration.module
        return self.plugin if self.published is None else self.published.module

    def provider(self, action: Action, key: str) -> Provider:
        made = self.declaration, self.published, self.load
        return Provider(action, key, self.plugin, self.provenance, *made)


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

    @property
    def environment(self) -> str | None:
        """The environment in whose processes it is called; `None` for this process."""
        return self.provenance.environment

    def __str__(self) -> str:
        return f"{self.action}:{one_line(self.key)}  {self.provenance}"


class PluginOwners:
    """Finds the plugin, of those with some modules, that a declaration belongs to."""

    __slots__ = ("_found", "_modules")

    def __init__(self, modules: Iterable[str]) -> None:
        self._modules = frozenset(modules)
        self._found: dict[str, str | None] = {}

    def of(self, declaration: Declaration) -> str | None:
        """The plugin's module.

        The plugin whose module, or a submodule of it, made the declaration; else the one whose
        loading first ran it; else the one during whose import by hand it ran.
        """
        return (
            self.of_module(declaration.module)
            or self.of_module(declaration.importer)
            or self.of_module(declaration.importing_module)
        )

    def ran(self, plugin: str, declaration: Declaration) -> bool:
        """Whether a declaration was made in the plugin's own import, or by hand."""
        module = declaration.importing_module
        return module is None or self.of_module(module) == plugin

    def of_module(self, module: str | None) -> str | None:
        """The plugin that a module is, or is beneath."""
        if module is None:
            return None
        if module not in self._found:
            above = with_parents(module)
            self._found[module] = next((name for name in above if name in self._modules), None)
        return self._found[module]


def is_same(one: Offer, other: Offer) -> bool:
    """Whether both are the same plugin's, or one function that was reached in two ways."""
    if one.plugin == other.plugin:
        return True
    if one.declaration is None or other.declaration is None:
        return False
    return one.declaration.target is other.declaration.target


def is_named(offer: Offer, wanted: str) -> bool:
    """Whether a `prefer` rule's distribution or module is the one that makes an offer."""
    distribution = offer.provenance.distribution
    if wanted in (offer.plugin, offer.module):
        return True
    return distribution is not None and normalized(distribution) == normalized(wanted)


def named_by(contenders: Sequence[Offer], wanted: str) -> list[Offer]:
    """Those whom a name means: a plugin in the host, before the same one in an environment."""
    exactly = [contender for contender in contenders if contender.plugin == wanted]
    return exactly or [contender for contender in contenders if is_named(contender, wanted)]


def choose(
    contenders: Sequence[Offer], slot: Slot, prefer: Preferences
) -> tuple[Offer | None, str]:
    """The one of several that answers, and what a `prefer` rule says; `None` for a conflict."""
    if len(contenders) == 1:
        return contenders[0], ""
    action, key = slot
    for layer in prefer:
        for rule in (f"{action}:{key}", key):
            if rule not in layer:
                continue
            wanted, place = layer[rule]
            matching = named_by(contenders, wanted)
            if len(matching) == 1:
                who = matching[0].provenance
                where = "" if who.environment is None else f" in environment {who.environment}"
                why = f'prefer {{"{rule}": {wanted}}} ({place}) gives {rule} to {who.owner}{where}'
                return matching[0], why
    return None, ""
