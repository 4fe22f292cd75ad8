"""One way in which the plugins of two places differ."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from aimm_plugins._values.actions import Action

Kind = Literal["missing", "unexpected", "version differs", "files differ", "other provider"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One way in which the plugins of two places differ.

    Attributes:
        kind: `missing` or `unexpected` in the second place; or provided in both, by another
            version, with other files, or by another plugin.
        provides: The (action, key) pairs concerned, sorted.
        first: Who provides them in the first place.
        second: Who does in the second.
        remedy: What makes the second place like the first.
    """

    kind: Kind
    provides: tuple[tuple[Action, str], ...]
    first: str | None
    second: str | None
    remedy: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-serializable."""
        provides = [{"action": action, "key": key} for action, key in self.provides]
        return asdict(self) | {"provides": provides}
