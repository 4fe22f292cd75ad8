"""Every exception that this package raises on its own account.

    AimmPluginsError
    ├── ConfigError            (also ValueError)       a conf, policy or job that cannot be read
    ├── DeclarationError       (also ValueError)       a decorator used wrongly
    ├── PluginLoadError        (also ExceptionGroup)   plugins that failed to load, one member each
    ├── PluginImportError      (also ImportError)      carries what cannot be a member of that group
    ├── PluginConflictError    (also ValueError)       two plugins provide one action and key
    ├── UnknownPluginError     (also LookupError, ValueError)   nobody provides the action and key
    ├── ArtifactError          (also ValueError)       a saved model that cannot be read here
    ├── ParityError            (also RuntimeError)     a worker has other plugins than its host
    ├── EnvironmentLost        (also RuntimeError)     a process of an environment has ended
    └── Cancelled                                      a caller's cancel, on its way out of a plugin

Each holds its whole message as its one `str` argument and its data as attributes with defaults:
that is what survives pickling in both directions, so that errors can cross process borders.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from aimm_plugins._system.text import one_line

if TYPE_CHECKING:
    from aimm_plugins._values.difference import Difference
    from aimm_plugins._values.provenance import Provenance
    from aimm_plugins._values.report import Report

__all__ = [
    "AimmPluginsError",
    "ArtifactError",
    "Cancelled",
    "ConfigError",
    "DeclarationError",
    "EnvironmentLost",
    "ParityError",
    "PluginConflictError",
    "PluginImportError",
    "PluginLoadError",
    "UnknownPluginError",
]


class AimmPluginsError(Exception):
    """Base of all errors of this package."""


class ConfigError(AimmPluginsError, ValueError):
    """A conf, a policy or a job that is not what its schema says.

    Args:
        message: What is wrong, without the place.
        file: The file, as the host named it; `None` for a mapping.
        line: Line in `file`, from 1.
        column: Column in `line`, from 1.
        path: Keys and indices from the document's root to the fault.
        expected: What would have been right.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        path: Sequence[str | int] = (),
        expected: str | None = None,
    ) -> None:
        where = one_line(":".join(str(part) for part in (file, line, column) if part is not None))
        text = f"{where}: " if where else ""
        if path:
            text += f"at {spell_path(path)}: "
        text += message
        if expected:
            text += f" (expected {expected})"
        super().__init__(text)
        self.file, self.line, self.column = file, line, column
        self.path, self.expected = tuple(path), expected


def spell_path(path: Sequence[str | int]) -> str:
    """`("entry_points", "deny", 0)` as `entry_points.deny[0]`, on one line whatever keys hold."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return one_line(text)


class DeclarationError(AimmPluginsError, ValueError):
    """A decorator was used wrongly; the message names the file and line of the decorator.

    Attributes:
        file: Source file of the faulty declaration.
        line: Its line, from 1.
    """

    def __init__(self, message: str, *, file: str | None = None, line: int | None = None) -> None:
        where = ":".join(str(part) for part in (file, line) if part is not None)
        super().__init__(f"{where}: {message}" if where else message)
        self.file, self.line = file, line


class PluginImportError(AimmPluginsError, ImportError):
    """A plugin failed with something that cannot be a member of `PluginLoadError` itself.

    Such as `SystemExit`, `asyncio.CancelledError` or an exception that cannot be pickled.
    The original is the `__cause__`.
    """


class PluginConflictError(AimmPluginsError, ValueError):
    """Two or more plugins provide the same key for the same action.

    Attributes:
        action: The action, the first one of several.
        actions: All actions for which these plugins provide the key.
        key: The data access name or model type.
        providers: Who provides it, the one that had it first before others; the first ten of more.
        conflicts: The errors of each key, where a plugin has lost several; else empty.
    """

    def __init__(
        self,
        message: str,
        *,
        action: str | None = None,
        key: str | None = None,
        providers: Sequence[Provenance] = (),
        conflicts: Sequence[PluginConflictError] = (),
        actions: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.action, self.key, self.providers = action, key, tuple(providers)
        self.actions = tuple(actions or filter(None, [action]))
        self.conflicts = tuple(conflicts)


class UnknownPluginError(AimmPluginsError, LookupError, ValueError):
    """No registered plugin provides the key for the action.

    Attributes:
        action: The action asked for.
        key: The key asked for.
        nearest: Known keys of that action that look alike, best first.
    """

    def __init__(
        self,
        message: str,
        *,
        action: str | None = None,
        key: str | None = None,
        nearest: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.action, self.key, self.nearest = action, key, tuple(nearest)


class Cancelled(AimmPluginsError):  # noqa: N818  # like asyncio's CancelledError, a signal to unwind
    """The caller no longer wants the result; raised in the plugin by its next state event.

    A plugin lets it pass, after putting in order what must not stay half done.

    Attributes:
        reason: Why, in the words of whoever cancelled; `None` where nothing was said.
    """

    def __init__(self, message: str = "cancelled by the caller", *, reason: str | None = None):
        super().__init__(f"{message}: {reason}" if reason else message)
        self.reason = reason


class PluginLoadError(AimmPluginsError, ExceptionGroup[Exception]):
    """Plugins that failed to load under `on_error: strict`, or on their first call when lazy.

    Its members are the plugins' own exceptions, one a failed plugin, each with a note that names
    the plugin; a conflict is one member, with a note for each of its plugins. Use `except*` to pick
    some of them.

    Attributes:
        report: The account of the whole call, or `None`.
    """

    report: Report | None = None

    def __new__(
        cls, message: str, exceptions: Sequence[Exception], report: Report | None = None
    ) -> Self:
        """Make a group; a group takes its arguments here."""
        self = super().__new__(cls, message, exceptions)
        self.report = report
        return self

    def __init__(
        self, message: str, exceptions: Sequence[Exception], report: Report | None = None
    ) -> None:
        super().__init__(message, exceptions)

    def derive(self, excs: Sequence[Exception]) -> PluginLoadError:  # type: ignore[override]  # typeshed: a generic group
        """The same error with other members, as `except*` and `split` ask for."""
        return PluginLoadError(self.message, excs, self.report)

    def __str__(self) -> str:
        # The plain `str` of a group counts its members and says nothing of them.
        return self.message


class ArtifactError(AimmPluginsError, ValueError):
    """A saved model that is damaged, not trusted, or has no provider here that may read it.

    Attributes:
        reason: `damaged`, `format`, `signature`, `provider` or `version`.
        model_type: The model type, where the artifact could be read that far.
        distribution: The distribution that made it, likewise.
        version: Its version.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        model_type: str | None = None,
        distribution: str | None = None,
        version: str | None = None,
    ) -> None:
        super().__init__(message)
        self.reason, self.model_type = reason, model_type
        self.distribution, self.version = distribution, version


class ParityError(AimmPluginsError, RuntimeError):
    """A worker has other plugins than its host, or could not be initialized; it runs none of them.

    Attributes:
        differences: What differs, host first; empty where the worker could not be initialized.
    """

    def __init__(self, message: str, *, differences: Sequence[Difference] = ()) -> None:
        super().__init__(message)
        self.differences = tuple(differences)


class EnvironmentLost(AimmPluginsError, RuntimeError):  # noqa: N818  # it says what has happened
    """The process that a call or an instance was in has ended; the next call starts another.

    Attributes:
        environment: Name of the environment.
        pid: The process.
        status: Its exit status, negative where a signal ended it; `None` where that is not known.
        stderr: The last lines that it wrote to stderr.
    """

    def __init__(
        self,
        message: str,
        *,
        environment: str | None = None,
        pid: int | None = None,
        status: int | None = None,
        stderr: str = "",
    ) -> None:
        super().__init__(message)
        self.environment, self.pid, self.status, self.stderr = environment, pid, status, stderr
