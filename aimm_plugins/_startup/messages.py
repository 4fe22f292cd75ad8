"""What a start says of its plugins: in the log, and in the error of a strict call."""

from __future__ import annotations

import sys

from aimm_plugins._loading.exceptions import to_group_member
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.log import logger
from aimm_plugins._system.text import described, indented, one_line, printable, safe_text
from aimm_plugins._values.report import PluginRecord, Report
from aimm_plugins.errors import PluginImportError, PluginLoadError


def load_error(report: Report) -> PluginLoadError:
    """The error of a strict call: nothing of it stays registered."""
    undone = Report(tuple(map(_undone, report)), report.findings)
    failures = undone.failures
    members = [
        to_group_member(record.error, record.provenance)
        for record in failures
        if record.error is not None
    ]
    count = len(members)
    lines = [f"{count} plugin{'s' if count > 1 else ''} failed to load; nothing was registered"]
    lines += [_line(record) for record in failures]
    return PluginLoadError("\n".join(lines), members, undone)


def _undone(record: PluginRecord) -> PluginRecord:
    if record.state in ("denied", "missing"):
        return record
    if record.error is not None:
        return record._replace(state="failed", provides=())
    reason = "another plugin failed, and on_error is strict"
    return record._replace(state="undone", provides=(), reason=reason)


def _line(record: PluginRecord) -> str:
    text = described(record.error) if record.error is not None else str(record.reason)
    remedy = f"\n    to do: {indented(record.remedy)}" if record.remedy else ""
    return printable(f"  {record.provenance}\n    {indented(text)}{remedy}")


def log(report: Report) -> None:
    """Log one line a plugin, in the report's words.

    Where logging itself fails, by a plugin's handler or a closed stream, the report still has it
    all. Where nothing is wrong and logging is not even imported, nothing listens.
    """
    if "logging" not in sys.modules and not report.failures and not report.findings:
        return
    for record in report:
        if record.error is not None:
            line = f"plugin {record.state}: {_line(record).strip()}"
            _write("error", "%s", line, error=_printable_error(record.error))
        else:
            why = f": {one_line(record.reason)}" if record.reason else ""
            _write("info", "plugin %s: %s%s", record.state, record.provenance, why)
    for finding in report.findings:
        _write("warning", "%s", finding)


def _write(level: str, text: str, *values: object, error: BaseException | None = None) -> None:
    with guarded():
        getattr(logger(), level)(text, *values, exc_info=error)


def _printable_error(error: BaseException) -> BaseException:
    """An error whose text every handler can write; with the traceback."""
    with guarded():
        if str(error) == safe_text(error):
            return error
    return PluginImportError(described(error)).with_traceback(error.__traceback__)
