"""Which plugin may read an artifact here, and why one may not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aimm_plugins._artifacts.info import ArtifactInfo
from aimm_plugins._artifacts.trust import Rules
from aimm_plugins._parity.fingerprint import owner_of
from aimm_plugins._parity.rows import FingerprintRow
from aimm_plugins._system.names import normalized, pip_install
from aimm_plugins._system.text import described
from aimm_plugins._values.report import Finding, PluginRecord


def checked(
    info: ArtifactInfo, reader: FingerprintRow, rules: Rules, records: Sequence[PluginRecord]
) -> ArtifactInfo:
    """The info, with a finding if the reader is another version or provider than it names."""
    difference = _difference(info, reader, records)
    if difference is None or rules.on_version == "ignore":
        return info
    made, here = info.provider, reader.owner
    if made == here:
        made, here = f"{made} ({info.module})", f"{here} ({reader.module})"
    message = f"the artifact of {info.model_type} was made by {made}, and {here} is here"
    if rules.on_version == "error" or (
        rules.on_version == "compatible" and difference != "another version"
    ):
        raise info.error(
            "provider" if difference == "another provider" else "version",
            f"{message}: {difference}, which artifacts.on_version: {rules.on_version} "
            f"({rules.on_version_place}) refuses.\n"
            f"To load it, {_have_it_read(info, reader, records)}\n"
            f"If {here} is known to read it, add to the conf: artifacts: {{on_version: warn}}",
        )
    finding = Finding(
        code="artifact-version-differs",
        subject=info.model_type,
        message=f"{message}: {difference}",
        remedy=f"Save it again, or {_install(info)}",
    )
    return replace(info, findings=(*info.findings, finding))


def _difference(
    info: ArtifactInfo, reader: FingerprintRow, records: Sequence[PluginRecord]
) -> str | None:
    """What the reader is if it is not exactly the plugin that the artifact names."""
    if info.module is None:  # an executor made it, and named no plugin
        return None
    module = _without_environment(info.module)
    same_module = module == _without_environment(reader.module)
    same_version = info.version == reader.version
    owner = None if info.distribution is None else normalized(info.distribution)
    if owner != reader.distribution:
        # A module may have been packaged since. But a module that is not installed can be anything,
        # and so is not the plugin of a distribution.
        packaged = owner is None and same_module
        return "another version" if packaged else "another provider"
    # Another version of the distribution may have its plugin in another module.
    if not same_module and (same_version or any(r.module == module for r in records)):
        return "another provider"
    if same_version:
        return None
    major = _differ_in_major(info.version, reader.version)
    return "another major version" if major else "another version"


def _differ_in_major(one: str | None, other: str | None) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        first, second = Version(one or ""), Version(other or "")
    except InvalidVersion:
        return True
    return (first.epoch, first.major) != (second.epoch, second.major)


def _have_it_read(
    info: ArtifactInfo, reader: FingerprintRow, records: Sequence[PluginRecord]
) -> str:
    """How to have the plugin that the artifact names read it, where another one would."""
    makers = [record for record in _makers(info, records) if record.plugin != reader.module]
    if not makers:
        return f"have {info.provider} provide it: {_install(info)}"
    maker = next((record for record in makers if record.plugin == info.module), makers[0])
    if maker.state == "denied":
        return f"do not deny {_name(maker)}: {maker.reason}"
    why = f" ({maker.state}: {maker.reason})" if maker.reason else ""
    choice = maker.distribution
    if choice is None or normalized(choice) == reader.distribution:
        choice = maker.plugin  # a rule that names the distribution would choose neither
    rule = f'prefer: {{"{info.model_type}": {choice}}}'
    return f"prefer {_name(maker)}, which is here too{why}; in the conf: {rule}"


def _without_environment(module: str | None) -> str | None:
    """The module of `module@environment`: wherever it runs, it is one plugin."""
    return module and module.partition("@")[0]


def _makers(info: ArtifactInfo, records: Sequence[PluginRecord]) -> list[PluginRecord]:
    return [
        record
        for record in records
        if (
            record.module == _without_environment(info.module)
            if info.distribution is None or record.distribution is None
            else normalized(record.distribution) == normalized(info.distribution)
        )
    ]


def _name(record: PluginRecord) -> str:
    return record.provenance.columns()[0] or record.module


def _install(info: ArtifactInfo) -> str:
    if info.distribution is None:
        return f"put {info.module} on the path, and into `names` of the conf"
    return pip_install(info.distribution + (f"=={info.version}" if info.version else ""))


def expected_reader(info: ArtifactInfo, records: Sequence[PluginRecord]) -> FingerprintRow | None:
    """The plugin that would read an artifact in a process with the plugins of a plan."""
    planned = [record for record in records if record.state in ("planned", "deferred")]
    publishing = [r for r in planned if ("deserialize", info.model_type) in r.provides]
    # A plugin that does not publish its keys is taken to have those that it had.
    readers = publishing or _makers(info, planned)
    if not readers:
        return None
    record = readers[0]
    from aimm_plugins._discovery.scan import scan

    name, version, _ = owner_of(record.plugin, record.distribution, record.version, scan)
    return FingerprintRow("deserialize", info.model_type, name, version, record.plugin, None)


def why_missing(info: ArtifactInfo, records: Sequence[PluginRecord]) -> str:
    begin = f"the artifact of {info.model_type} was made by {info.provider}, which"
    makers = _makers(info, records)
    advice, lines = "Change the rule, if it is to be loaded.", []
    for record in makers:
        if record.error is not None:
            advice = "Repair that, and call initialize(conf) or refresh()."
        if record.error is not None or record.state in ("denied", "failed", "shadowed", "missing"):
            why = record.reason or (described(record.error) if record.error else None)
            state = "failed" if record.is_loaded else record.state
            lines.append(f"{begin} is {state}: {why}\n  {record.provenance}")
    if lines:
        return "\n".join([*lines, advice])
    if makers:
        key = f"deserialize:{info.model_type}"
        here = _name(makers[0])
        return f"{begin} is here as {here} and does not provide {key}. To load it: {_install(info)}"
    if info.distribution is None:
        return f"{begin} is not loaded here. To load it, {_install(info)}."
    from aimm_plugins._discovery.scan import scan

    found = scan().find(info.distribution)
    if found is None:
        return f"{begin} is not installed here. To load it: {_install(info)}"
    return (
        f"{begin} is installed ({found.name} {found.version}) and not loaded in this process. "
        "Call initialize(conf) with a conf that loads it."
    )
