"""What is wrong with the installed plugins, found without importing any, each with a remedy."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from aimm_plugins._diagnostics.survey import Survey, Surveyed
from aimm_plugins._discovery.module_location import locate
from aimm_plugins._source.declarations import PluginSource
from aimm_plugins._system.text import described
from aimm_plugins._values.provenance import short_file
from aimm_plugins._values.report import Finding

_FAULTS = (
    (
        "importlib-metadata",
        ">=8.7,<10",
        "one malformed entry point of any installed distribution makes its `entry_points` raise, "
        "for everybody in the process who calls it; aimm_plugins itself reads past it",
        "pip install 'importlib-metadata>=10'",
    ),
    (
        "pluggy",
        "<1.7",
        "a parameter with a default in a hook implementation is never passed its value",
        "pip install 'pluggy>=1.7'",
    ),
)
"""Distribution, versions, fault and remedy."""


def examine(survey: Survey) -> tuple[Finding, ...]:
    """Everything that an operator or author should mend, sorted by code and subject.

    Args:
        survey: A look with sources; after imports, failures are findings too.
    """
    found = dict.fromkeys(
        (
            *survey.findings,
            *_of_libraries(survey),
            *(
                finding
                for plugin in survey.plugins
                for finding in _of_plugin(plugin, survey.loaded)
            ),
        )
    )
    return tuple(sorted(found, key=lambda each: (each.code, each.subject, each.message)))


def _of_libraries(survey: Survey) -> Iterator[Finding]:
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version

    for name, versions, fault, remedy in _FAULTS:
        distribution = survey.installed.find(name)
        if distribution is None or distribution.version is None:
            continue
        try:
            version = Version(distribution.version)
        except InvalidVersion:
            continue
        if version in SpecifierSet(versions, prereleases=True):
            yield Finding(
                code="known-fault",
                subject=f"{name} {distribution.version}",
                message=fault,
                place=distribution.place,
                remedy=f"Upgrade it: {remedy}.",
            )


def _of_plugin(plugin: Surveyed, loaded: bool) -> Iterator[Finding]:
    record = plugin.record
    who = subject_of(plugin)
    if record.error is not None:
        yield Finding(
            code="required-missing"
            if record.state == "missing"
            else "failed"
            if loaded
            else "would-fail",
            subject=who,
            message=described(record.error),
            place=record.config_place or _place(plugin),
            remedy="`aimm-plugins explain "
            + (record.distribution or record.module)
            + "` tells more.",
        )
    if record.state in ("denied", "missing") or plugin.inspection is None:
        return
    if loaded and record.error is not None:  # which says more
        return
    yield from _of_source(plugin, plugin.inspection, who)


def _of_source(plugin: Surveyed, inspection: PluginSource, who: str) -> Iterator[Finding]:
    broken = False
    for finding in faults(plugin):
        broken = True
        yield finding
    if broken:
        return
    if plugin.keys_from == "metadata":
        yield from _of_published(plugin, inspection, who)
    if inspection.gaps or inspection.hooks or inspection.declarations:
        return
    record = plugin.record
    if record.attribute is not None and inspection.names is None:
        return
    yield Finding(
        code="declares-nothing",
        subject=who,
        message=f"{record.attribute or record.module} declares nothing: no decorator of "
        "aimm_plugins and no hook implementation stands in its source",
        place=_place(plugin),
        remedy="Remove the entry point or the config name, or declare something there.",
    )


def faults(plugin: Surveyed) -> Iterator[Finding]:
    """Why the import of a plugin would fail, as far as its source tells."""
    record, inspection, who = plugin.record, plugin.inspection, subject_of(plugin)
    if inspection is None or record.state not in ("planned", "deferred", "failed"):
        return
    if record.file is None and not _is_somewhere(record.module):
        yield Finding(
            code="module-not-found",
            subject=who,
            message=f"its module {record.module} is not found",
            place=_metadata_place(plugin),
            remedy="Reinstall the distribution; if that does not help, its metadata names a module "
            "that it does not bring: tell its author."
            if record.distribution
            else "Correct the name in the conf, or put the module on the path.",
        )
        return
    attribute = record.attribute
    if attribute is not None and inspection.names is not None:
        first = attribute.partition(".")[0]
        if first not in inspection.names and locate(f"{record.module}.{first}") is None:
            yield Finding(
                code="object-not-found",
                subject=who,
                message=f"{record.module} has no {first}, which its entry point "
                f"`{record.entry_point}` names",
                place=_place(plugin),
                remedy="Tell its author: the entry point names an object that is not there.",
            )
            return
    missing = [name for name in inspection.needs if not _is_somewhere(name) and not locate(name)]
    if missing:
        yield Finding(
            code="import-not-found",
            subject=who,
            message=f"it imports {', '.join(missing)}, which is not on the path",
            place=_place(plugin),
            remedy="Install what provides it; its author should declare the dependency.",
        )


def _of_published(plugin: Surveyed, inspection: PluginSource, who: str) -> Iterator[Finding]:
    told = set(plugin.keys)
    declared = {(each.action, each.key) for each in inspection.declarations}
    certain = {(each.action, each.key) for each in inspection.declarations if each.certain}
    missing = [] if inspection.gaps else sorted(told - declared)
    more = sorted(certain - told)
    parts = [
        f"{what} " + ", ".join(f"{action}:{key}" for action, key in slots)
        for what, slots in (
            ("publishes but does not declare", missing),
            ("declares but does not publish", more),
        )
        if slots
    ]
    if parts:
        yield Finding(
            code="published-keys-differ",
            subject=who,
            message="; ".join(parts),
            place=_place(plugin),
            remedy="Tell its author: `aimm-plugins entry-points --write` publishes what the code "
            "declares, once it is installed again.",
        )


def subject_of(plugin: Surveyed) -> str:
    """The plugin by the name that people know: distribution, version and plugin."""
    record = plugin.record
    if record.distribution is None:
        return record.name
    who = f"{record.distribution} {record.version or ''}".strip()
    return who if record.name == record.distribution else f"{who} ({record.name})"


def _place(plugin: Surveyed) -> str | None:
    record = plugin.record
    return record.file and short_file(record.file, record.module)


def _metadata_place(plugin: Surveyed) -> str | None:
    return plugin.record.config_place


def _is_somewhere(module: str) -> bool:
    """Whether a module without a file is there: built in, frozen, or a namespace package."""
    known = {*sys.builtin_module_names, *sys.stdlib_module_names}
    if module in known or module in sys.modules:
        return True
    parts = module.split(".")
    if not all(part.isidentifier() for part in parts):
        return False
    return any(
        isinstance(item, str) and os.path.isdir(os.path.join(item, *parts)) for item in sys.path
    )
