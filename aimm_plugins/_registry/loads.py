"""The loads that some thread is in the middle of, for errors and reports meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aimm_plugins._values.report import PluginRecord


class LoadUnderWay:
    """One load.

    Attributes:
        importing: The plugin whose import is under way, and when that began, by `perf_counter`.
    """

    __slots__ = ("importing",)

    def __init__(self) -> None:
        self.importing: tuple[PluginRecord, float] | None = None


def imports_under_way(loads: Iterable[LoadUnderWay]) -> list[tuple[PluginRecord, str]]:
    """The plugins that are being imported now, each with a phrase that names it and its time."""
    return [
        (
            record,
            f"{record.provenance} is being imported, for {perf_counter() - begin:.1f} s so far",
        )
        for load in tuple(loads)
        if load.importing is not None
        for record, begin in [load.importing]
    ]
