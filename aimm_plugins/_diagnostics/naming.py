"""How answers name a plugin, its target and its place."""

from __future__ import annotations

from aimm_plugins._values.provenance import short_file
from aimm_plugins._values.report import PluginRecord


def subject_of(record: PluginRecord) -> str:
    """The plugin by the name that people know: distribution, version and plugin."""
    if record.distribution is None:
        return record.name
    who = f"{record.distribution} {record.version or ''}".strip()
    return who if record.name == record.distribution else f"{who} ({record.name})"


def target_of(record: PluginRecord) -> str:
    """What its import names: `module`, or `module:object`."""
    return f"{record.module}:{record.attribute}" if record.attribute else record.module


def source_place(record: PluginRecord) -> str | None:
    """The plugin's source file, as far as its module's name accounts for it."""
    return record.file and short_file(record.file, record.module)
