"""Lock what a conf would load: one line a distribution."""

from __future__ import annotations

from functools import partial

from aimm_plugins._config.environment import conf_or_default, operator_layers
from aimm_plugins._config.parse import read
from aimm_plugins._config.values import Conf
from aimm_plugins._discovery.distribution import Distribution
from aimm_plugins._discovery.record_file import record_digest
from aimm_plugins._discovery.scan import scan
from aimm_plugins._policy.lockfile import freeze_line
from aimm_plugins._startup.predict import predict
from aimm_plugins._startup.prepare import PreparedStart, decide, with_environments
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._values.report import Finding


def freeze(runtime: Runtime, conf: Conf) -> tuple[str, tuple[Finding, ...]]:
    """The freeze file of what a conf would load, whatever is locked now; and what is not in it."""
    operator = tuple(layer._replace(locked=None) for layer in operator_layers())
    config = read(conf_or_default(conf))._replace(locked=None)
    part = partial(decide, runtime, operator)
    start = with_environments(part([config], scan()), part)
    findings, lines = _not_loaded(runtime, start), dict[str, str]()
    for distribution in _run_by(start):
        line = freeze_line(distribution, record_digest(distribution))
        if line is None:
            who = distribution.name
            why = "it has no sound name and version, or no RECORD with hashes of what it would run"
            remedy = "Install it from a wheel; an editable install cannot be locked."
        elif (locked := lines.setdefault(distribution.key, line)) != line:
            who, other = distribution.subject, locked.split()[0]
            why = f"a freeze file holds one version, and {other} of another environment is in it"
            remedy = "Freeze what is in each environment by itself, and give each a conf."
        else:
            continue
        findings.append(Finding("not-frozen", who, why, remedy=remedy))
    return "".join(lines.values()), tuple(findings)


def _not_loaded(runtime: Runtime, start: PreparedStart) -> list[Finding]:
    """A finding for each plugin that is not in the file since the conf would not load it."""
    codes = {"denied": "left-out", "missing": "environment-missing"}
    found = [
        Finding(
            codes[record.state],
            str(record.environment if record.state == "missing" else record.provenance),
            str(record.reason),
        )
        for record in start.plan.records
        if record.state in codes
    ]
    predicted = [item.record for item in predict(runtime, start).plugins]
    return found + [
        Finding("required-missing", r.name, str(r.reason), r.config_place, r.remedy)
        for r in predicted
        if r.state == "missing" and r.environment is None
    ]


def _run_by(start: PreparedStart) -> list[Distribution]:
    """The distributions whose files a start would run or go by, sorted by name."""
    owners = {name: installed.code_owners(None) for name, installed in start.scans.items()}
    found: dict[tuple[str, str], Distribution] = {}
    for record in start.plan.records:
        if record.state not in ("denied", "missing") and record.distribution is not None:
            installed = start.scans[record.environment]
            schemas = installed.options_of(record.module, record.distribution)
            modules = [record.module, *(s.module for s in schemas if not s.is_file)]
            files = [
                file
                for module in modules
                for file in owners[record.environment].files(module, installed.modules)
            ]
            publisher = installed.find(record.distribution)
            for owner in (publisher, *(owner for file in files for owner in file.owners)):
                if owner is not None:
                    found[owner.key, owner.place] = owner
    return [found[key] for key in sorted(found)]
