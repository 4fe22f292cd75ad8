"""What a start says of its plugins: in the log, and in the error of a strict call."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from aimm_plugins._loading.exceptions import to_group_member
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.log import loggable, logger
from aimm_plugins._system.text import (
    indented,
    one_line,
    printable,
    single_errors,
    text_once,
    type_name,
)
from aimm_plugins._values.report import Identity, PluginRecord, Report
from aimm_plugins.errors import PluginLoadError


def load_error(report: Report) -> PluginLoadError:
    """The error of a strict call: nothing of it stays registered."""
    undone = Report(tuple(map(_undone, report)), report.findings)
    failures = undone.failures
    members: list[Exception] = []
    for record in failures:
        for error in () if record.error is None else single_errors(record.error):
            member = to_group_member(error, record.provenance)
            # A conflict is one member of all its plugins. An exception need not be hashable.
            if all(member is not other for other in members):
                members.append(member)
    count, told = len(failures), set[str]()
    lines = [f"{count} plugin{'s' if count > 1 else ''} failed to load; nothing was registered"]
    lines += [_line(record, told) for record in failures]
    return PluginLoadError("\n".join(lines), members, undone)


def _undone(record: PluginRecord) -> PluginRecord:
    if record.state in ("denied", "missing"):
        return record
    if record.error is not None:
        return record._replace(state="failed", provides=())
    reason = "another plugin failed, and on_error is strict"
    return record._replace(state="undone", provides=(), reason=reason)


def _line(record: PluginRecord, told: set[str]) -> str:
    error = record.error
    text = str(record.reason) if error is None else f"{type_name(error)}: {text_once(error, told)}"
    remedy = f"\n    to do: {indented(record.remedy)}" if record.remedy else ""
    return printable(f"  {record.provenance}\n    {indented(text)}{remedy}")


def log(report: Report, before: Mapping[Identity, PluginRecord] | None = None) -> None:
    """Log one line a plugin, in the report's words, with its facts as fields of the log's record.

    Where logging itself fails, by a plugin's handler or a closed stream, the report still has it
    all. The traceback of a failure that is among the accounts of `before` was logged.
    """
    if "logging" not in sys.modules and not report.failures and not report.findings:
        return  # nothing is wrong, and nothing listens
    told: set[str] = set()
    tells_all = True
    with guarded():  # a plugin may have broken logging
        tells_all = logger().isEnabledFor(20)  # INFO; most hosts hear of warnings alone
    for record in report:
        if record.error is not None:
            line = f"plugin {record.state}: {_line(record, told).strip()}"
            known = (before or {}).get(record.identity)
            is_new = known is None or record.differs(known)
            error = loggable(record.error) if is_new and _was_raised(record.error) else None
            _write("error", "%s", line, error=error, fields=record.log_fields)
        elif tells_all:
            why = f": {one_line(record.reason)}" if record.reason else ""
            text = ("plugin %s: %s%s", record.state, record.provenance, why)
            _write("info", *text, fields=record.log_fields)
    for finding in report.findings:
        fields = finding.to_dict()
        del fields["message"]  # a name that logging keeps for itself
        _write("warning", "%s", finding, fields=fields)


def _write(
    level: str,
    text: str,
    *values: object,
    fields: Mapping[str, object],
    error: BaseException | None = None,
) -> None:
    extra = {k: printable(v) if isinstance(v, str) else v for k, v in fields.items()}
    with guarded():
        getattr(logger(), level)(text, *values, exc_info=error, extra=extra)


def _was_raised(error: BaseException) -> bool:
    """Whether a traceback tells more than the line does."""
    context = None if error.__suppress_context__ else error.__context__
    return any(found is not None for found in (error.__traceback__, error.__cause__, context))
