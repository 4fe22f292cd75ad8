"""What a server tells about its plugins: the report, and whether it is ready for requests.

In comes what has become of a load; out goes what is served, as data for JSON. Without details only
fields that are listed here are served: texts that plugins, operators and files bring may hold
anything.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import aimm_plugins
from aimm_plugins._registry.loads import imports_under_way
from aimm_plugins._startup.prepare import is_about
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._system.log import logger
from aimm_plugins._system.names import normalized
from aimm_plugins._system.text import described, encodable, one_line, safe_text, type_name
from aimm_plugins._values.report import Finding, PluginRecord, Report
from aimm_plugins.errors import PluginLoadError

NotReady = Literal["not-started", "loading", "failed", "required-missing", "stopped"]

SHOWN_FIELDS = frozenset(
    {
        "environment",
        "name",
        "source",
        "module",
        "distribution",
        "version",
        "origin",
        "state",
        "provides",
        "provides_known",
        "import_seconds",
        "imports",
        "entry_point",
    }
)
"""Fields of a plugin's record that are served without details, with their values."""

_WITHHELD = "not shown here; it is in the server's log"
_NO_REPORT: dict[NotReady, str] = {
    "not-started": "the server has not told that it has started",
    "loading": "plugins are being loaded",
    "failed": "plugins are not loaded",
    "stopped": "the server has stopped",
}


class LoadStatus(NamedTuple):
    """How a server's plugins are now."""

    reason: NotReady | None  # why the server is not ready, whatever the report says
    error: BaseException | None = None  # what has ended the load

    def report(self) -> Report | None:
        if self.reason is None:
            return aimm_plugins.current_report()
        return self.error.report if isinstance(self.error, PluginLoadError) else None

    def readiness(self, details: bool) -> dict[str, Any]:
        """What a probe is told, as in `schemas/readiness.yaml`."""
        records = (self.report() or Report()).plugins
        reason, error = self.reason, None
        if self.error is not None:
            text = safe_text(self.error) if details else None
            error = {"type": type_name(self.error), "message": text}
        starts = PROCESS.runtime.registry.snapshot.starts
        rules = [rule for start in starts for rule in start.required]
        required = {rule.name for rule in rules if not rule.slot}
        failed = [record for record in records if record.error and record.state != "missing"]
        missing = [record for record in records if record.state == "missing"]
        missing += [one for one in failed if normalized(one.distribution or "") in required]
        for record in records:
            environment = PROCESS.runtime.environments.get(record.environment or "")
            is_down = environment is not None and not environment.is_up
            if is_down and any(is_about(rule, record) for rule in rules):
                missing.append(record)
        if reason is None and missing:
            reason = "required-missing"
        return {
            "ready": reason is None,
            "reason": reason,
            "missing": sorted(set(map(_owner, missing))),
            "failed": sorted(set(map(_owner, failed))),
            "stale": sorted({_owner(record) for record in records if record.state == "stale"}),
            "error": error,
        }

    def served_report(self, details: bool, told: set[str]) -> dict[str, Any]:
        """The report as it is served; what was logged because it is withheld is added to `told`."""
        report = self.report()
        if report is None:
            return {**Report((), self._no_report(details)).to_dict(), "ok": False}
        data: dict[str, Any] = report.to_dict() | {"ok": report.ok and self.reason is None}
        if details:
            return data
        for record in data["plugins"]:
            _log_reason(record, told)
        withheld = {"subject": "", "message": _WITHHELD, "place": None, "remedy": None}
        return {
            "ok": data["ok"],
            "plugins": [_public_record(record) for record in data["plugins"]],
            "findings": [{"code": finding["code"], **withheld} for finding in data["findings"]],
        }

    def _no_report(self, details: bool) -> list[Finding]:
        code = self.reason or "loading"
        finding = Finding(code=code, subject="", message=_NO_REPORT[code])
        if details and self.error is not None:
            message = f"{finding.message}: {described(self.error)}"
            return [finding._replace(message=message)]
        imports = imports_under_way(PROCESS.runtime.registry.loads) if details else ()
        return [
            finding._replace(subject=record.name, message=message) for record, message in imports
        ] or [finding]


def _owner(record: PluginRecord) -> str:
    return encodable(record.distribution or record.name)


def _log_reason(record: dict[str, Any], told: set[str]) -> None:
    """Have a withheld reason in the log: a start logs it at INFO, which most servers leave out."""
    who = record["distribution"] or record["name"]
    line = f"plugin {record['state']}: {who}  module {record['module']}: {record['reason']}"
    if record["reason"] and not record["error"] and line not in told:
        told.add(line)
        logger().warning("%s", one_line(line))


def _public_record(record: dict[str, Any]) -> dict[str, Any]:
    """A record with the listed fields; the schema wants the others too, so they are empty."""
    error = record["error"]
    provides = [{name: slot[name] for name in ("action", "key")} for slot in record["provides"]]
    return {
        **{name: [] if isinstance(value, list) else None for name, value in record.items()},
        **{name: value for name, value in record.items() if name in SHOWN_FIELDS},
        "provides": provides,
        "error": error and {"type": error["type"], "message": _WITHHELD},
        "reason": record["reason"] and _WITHHELD,
    }
