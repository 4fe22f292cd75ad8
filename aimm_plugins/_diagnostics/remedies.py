"""What an operator can change so that a plugin which is kept out is loaded."""

from __future__ import annotations

from collections.abc import Iterator

from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._policy.rules import Layer
from aimm_plugins._startup.inventory import Inventory
from aimm_plugins._system.names import normalized
from aimm_plugins._values.report import PluginRecord


def remedy_for(inventory: Inventory, record: PluginRecord) -> str:
    """What to change so that calls reach a plugin.

    Args:
        inventory: All plugins, with the rules.
        record: A plugin of it that is denied, missing, shadowed or has an error.
    """
    if record.remedy is not None:
        return record.remedy
    if record.state == "missing":
        return (
            f"Install {record.name} in a version that fits, or remove the rule "
            f"({record.config_place})."
        )
    if record.state == "shadowed":
        return f"Change or remove the prefer rule ({_last_place(record.reason)})."
    if record.state == "denied":
        return _remedy_for_denied(inventory, record)
    if getattr(record.error, "providers", None):
        return "Add the prefer line of the message to the conf, or deny one of them."
    return (
        "Mend what the message names and call initialize again; `aimm-plugins doctor` looks closer."
    )


def _remedy_for_denied(inventory: Inventory, record: PluginRecord) -> str:
    installed = inventory.scans[record.environment]
    distribution = installed.find(record.distribution) if record.distribution else None
    remedies: list[str] = []
    if distribution is not None:
        for layer in inventory.policy.layers:
            remedies += _of_selection(layer, distribution)
            remedies += _of_files(inventory, layer, distribution)
    if inventory.policy.blocked(record.module):
        remedies.append("Take the block back: get_plugin_manager().unblock(...).")
    return " ".join(remedies) or (
        "Change the rule that the reason names; it is about another distribution, whose files "
        "the import would run."
    )


def _of_selection(layer: Layer, distribution: Distribution) -> Iterator[str]:
    """Remedies for rules that choose distributions by name, version and origin."""
    name, version, origin = distribution.name, distribution.version, distribution.origin
    for rule in layer.deny.get(distribution.key, ()):
        if rule.fits(version) is not False:
            yield f"Remove {rule} from deny, or narrow it to versions other than {version}."
    if origin in layer.deny_origins:
        yield (
            f"Install {name} from another origin than {origin}, or remove {origin} from "
            f"deny_origins ({layer.deny_origins[origin]})."
        )
    if layer.exclusion(distribution) is not None:
        yield f"Add {name} in a version like {version} to allow ({layer.allow_place})."


def _of_files(inventory: Inventory, layer: Layer, distribution: Distribution) -> Iterator[str]:
    """Remedies for rules that compare installed files with a lock or with RECORD."""
    if layer.locked is not None:
        lock, place = layer.locked
        entry = lock.entries.get(normalized(distribution.name))
        if (
            entry is None
            or entry.version != distribution.version
            or entry.digest != inventory.policy.digest(distribution)
        ):
            yield f"Install what {lock.file} locks (pip install -r), or freeze anew ({place})."
    if layer.verify_place is not None and inventory.policy.unverified(distribution, None):
        yield f"Reinstall {distribution.name}, or change verify ({layer.verify_place})."


def _last_place(reason: str | None) -> str:
    """The last place in brackets of a reason."""
    return (reason or "").rpartition("(")[2].partition(")")[0] or "see the reason"
