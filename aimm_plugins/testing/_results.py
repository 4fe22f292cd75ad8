"""What came of checks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from aimm_plugins._system.text import indented, safe_text
from aimm_plugins.errors import PluginLoadError

IMPORT_CHECK = "import-succeeds"
"""Where this one fails, no other check of the plugin is run."""

WORK_CHECK = "fit-gives-a-predictor"
"""Where this one fails, no other check of the model is run."""

Status = Literal["passed", "failed", "expected", "unexpected", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The result of one check.

    Attributes:
        check: Name of the check.
        about: The key, or the plugin's module.
        status: `expected` is a failure that was declared, `unexpected` a pass in its place.
        reason: Why it failed, was skipped, or was expected to fail.
        notes: Figures that it reports.
        place: Who provides what was called, with file and line.
        error: What was raised.
        number: Which one of all that are run it is, from 1.
        total: How many these are.
    """

    check: str
    about: str
    status: Status
    reason: str = ""
    notes: tuple[str, ...] = ()
    place: str | None = None
    error: BaseException | None = field(default=None, compare=False)
    number: int = field(default=1, compare=False)
    total: int = field(default=1, compare=False)

    @classmethod
    def of_failed_import(cls, about: str, error: Exception) -> CheckResult:
        """What stands for all checks of a module that cannot be imported or loaded."""
        reason = load_failure(error)
        return cls(check=IMPORT_CHECK, about=about, status="failed", reason=reason, error=error)

    @property
    def is_of_import(self) -> bool:
        return self.check == IMPORT_CHECK

    def __str__(self) -> str:
        text = f"{self.status:10}  {self.about}  {self.check}"
        if self.notes:
            text += f"  ({'; '.join(self.notes)})"
        if self.reason:
            text += f"\n    {indented(self.reason)}"
        if self.status in ("failed", "unexpected") and self.place:
            text += f"\n    {self.place}"
        return text

    def to_dict(self) -> dict[str, Any]:
        """JSON-serializable, as `aimm-plugins check --format json` prints it."""
        return {
            "check": self.check,
            "about": self.about,
            "status": self.status,
            "reason": self.reason,
            "notes": list(self.notes),
        }


def load_failure(error: Exception) -> str:
    """Why a plugin cannot be loaded: of a group of one error, that one."""
    members = error.exceptions if isinstance(error, PluginLoadError) else ()
    return safe_text(members[0] if len(members) == 1 else error)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The results of all checks.

    Attributes:
        results: One a check.
    """

    results: tuple[CheckResult, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many checks were run, passed, failed, were expected to fail, and were skipped."""
        found = Counter(result.status for result in self.results)
        failed = found["failed"] + found["unexpected"]
        return {
            "run": found["passed"] + failed + found["expected"],
            "passed": found["passed"],
            "failed": failed,
            "expected": found["expected"],
            "skipped": found["skipped"],
        }

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The checks that failed, or passed though a failure was declared."""
        return tuple(result for result in self.results if result.status in ("failed", "unexpected"))

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        lines = [str(result) for result in self.results if result.status != "passed"]
        return "\n".join([*lines, counts])
