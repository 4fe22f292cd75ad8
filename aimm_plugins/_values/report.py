"""The account of a call: a record for each plugin, and findings that are no plugin's failure."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from aimm_plugins._system.text import (
    aligned,
    described,
    encodable,
    indented,
    one_line,
    printable,
    safe_text,
    text_once,
    type_name,
)
from aimm_plugins._values.actions import Action
from aimm_plugins._values.provenance import Provenance

Identity = tuple[str, str, str, str | None, str | None]
"""What makes two records one plugin's: source, name, plugin, attribute, distribution."""

Source = Literal["config", "entry_point"]
Origin = Literal["index", "local", "url", "vcs", "editable", "unknown"]
State = Literal[
    "loaded",
    "stale",
    "deferred",
    "failed",
    "denied",
    "shadowed",
    "planned",
    "undone",
    "removed",
    "missing",
]


class Finding(NamedTuple):
    """Something an operator should know that is no plugin's failure.

    Attributes:
        code: Stable name of the kind, such as `broken-metadata`.
        subject: What it is about: a distribution, a rule, a module, a folder.
        message: What was found.
        place: File, folder or config line, where there is one.
        remedy: What to do about it, where something can be done.
    """

    code: str
    subject: str
    message: str
    place: str | None = None
    remedy: str | None = None

    def __str__(self) -> str:
        place = f" ({one_line(self.place)})" if self.place else ""
        remedy = f". {indented(self.remedy)}" if self.remedy else ""
        message = indented(self.message)
        return printable(f"{self.code}: {one_line(self.subject)}: {message}{place}{remedy}")

    def to_dict(self) -> dict[str, Any]:
        """JSON-serializable, as in `schemas/report.yaml`."""
        return self._asdict()


class PluginRecord(NamedTuple):
    """The account of one plugin.

    Attributes:
        name: The config name or the entry point's name.
        source: Whether a conf or an entry point brought it.
        module: The module to import.
        attribute: The object within it, for an entry point `module:object`.
        distribution: What pip installed, or `None` where no distribution owns the module.
        version: Its version; `None` where there is no distribution or it cannot be read.
        origin: Where pip got it from; `None` without a distribution.
        state: What became of it.
        provides: The (action, key) pairs that calls reach it by, sorted.
        error: What went wrong. A `loaded` plugin may have one: it lost a key to a conflict.
        reason: The rule, with its place, or the change behind a state other than `loaded`.
        import_seconds: Wall time of its import in seconds, with all that it imported; `None` where
            nothing was imported.
        imports: How many modules its import brought into the process, by top-level name, in the
            order of the import. What an earlier plugin imported counts there alone.
        entry_point: The metadata line, `name = value`.
        config_place: Where a conf names it.
        file: Source file, where known.
        options: The options that a conf sets, without their values; of secrets, where they are
            read from.
        options_schema: The file or object that says what options there are.
        environment: The environment in whose processes it runs; `None` for this process.
        remedy: What to do about the error or the state, where more is known than these say.
        provides_known: False where only the import of a planned plugin tells all its keys.
    """

    name: str
    source: Source
    module: str
    attribute: str | None = None
    distribution: str | None = None
    version: str | None = None
    origin: Origin | None = None
    state: State = "planned"
    provides: tuple[tuple[Action, str], ...] = ()
    error: BaseException | None = None
    reason: str | None = None
    import_seconds: float | None = None
    imports: tuple[tuple[str, int], ...] = ()
    entry_point: str | None = None
    config_place: str | None = None
    file: str | None = None
    options: tuple[str, ...] = ()
    options_schema: str | None = None
    environment: str | None = None
    remedy: str | None = None
    provides_known: bool = True

    @property
    def plugin(self) -> str:
        """What the registry and `prefer` rules call it: one module may run in two places."""
        return self.module if self.environment is None else f"{self.module}@{self.environment}"

    @property
    def subject(self) -> str:
        """The plugin by the name that people know: distribution, version and plugin."""
        if self.distribution is None:
            return self.name
        who = f"{self.distribution} {self.version or ''}".strip()
        return who if self.name == self.distribution else f"{who} ({self.name})"

    @property
    def is_loaded(self) -> bool:
        """Whether its module is imported and registered; a stale one answers until a restart."""
        return self.state in ("loaded", "stale")

    @property
    def options_told(self) -> str | None:
        """What is set, and by which schema, on one line; `None` without either."""
        if not self.options and self.options_schema is None:
            return None
        names = ", ".join(self.options) or "none set"
        return f"{names}; {f'schema {self.options_schema}' if self.options_schema else 'no schema'}"

    @property
    def provenance(self) -> Provenance:
        """Who this plugin is."""
        return Provenance(
            module=self.module,
            distribution=self.distribution,
            version=self.version,
            entry_point=self.entry_point,
            config_place=self.config_place,
            file=self.file,
            environment=self.environment,
        )

    @property
    def identity(self) -> Identity:
        return (self.source, self.name, self.plugin, self.attribute, self.distribution)

    @property
    def log_fields(self) -> dict[str, Any]:
        """What lines of the log about it carry beside their text, as `extra`."""
        error = None if self.error is None else described(self.error)
        return {
            "plugin": self.name,
            "distribution": self.distribution,
            "version": self.version,
            "state": self.state,
            "seconds": self.import_seconds,
            "reason": self.reason or error,
        }

    def failed(self, error: BaseException, remedy: str | None) -> "PluginRecord":
        """Its account where it fails, or is sure to."""
        return self._replace(state="failed", provides=(), reason=None, error=error, remedy=remedy)

    def differs(self, before: "PluginRecord") -> bool:
        """Whether an operator would call it a change."""
        errors = [None if r.error is None else safe_text(r.error) for r in (self, before)]
        return errors[0] != errors[1] or any(
            getattr(self, name) != getattr(before, name)
            for name in ("state", "version", "origin", "provides", "reason")
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-serializable, as in `schemas/report.yaml`."""
        error = None
        if self.error is not None:
            error = {"type": type_name(self.error), "message": safe_text(self.error)}
        data = self._asdict() | {
            "provides": [{"action": action, "key": key} for action, key in self.provides],
            "error": error,
            "imports": dict(self.imports),
            "options": list(self.options),
        }
        del data["attribute"]
        return data


class Report:
    """The account of one call, or of what is registered now; iterates over its plugins.

    A plain class and not a named tuple, which would iterate over its two fields.

    Attributes:
        plugins: A record for each plugin, in the order of loading.
        findings: What is no plugin's failure; these never fail a strict call.
    """

    __slots__ = ("findings", "plugins")

    def __init__(
        self, plugins: Iterable[PluginRecord] = (), findings: Iterable[Finding] = ()
    ) -> None:
        self.plugins: tuple[PluginRecord, ...] = tuple(plugins)
        self.findings: tuple[Finding, ...] = tuple(findings)

    def __iter__(self) -> Iterator[PluginRecord]:
        return iter(self.plugins)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Report):
            return NotImplemented
        return (self.plugins, self.findings) == (other.plugins, other.findings)

    def __hash__(self) -> int:
        return hash((self.plugins, self.findings))

    def __reduce__(self) -> tuple[Any, ...]:  # the first two protocols of pickle read no slots
        return (Report, (self.plugins, self.findings))

    def __repr__(self) -> str:
        return f"Report(plugins={self.plugins!r}, findings={self.findings!r})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What a notebook shows of it."""
        printer.text(str(self))

    @property
    def ok(self) -> bool:
        """Whether nothing failed and nothing that is required is missing."""
        return not any(
            record.error is not None or record.state in ("failed", "missing")
            for record in self.plugins
        )

    @property
    def failures(self) -> tuple[PluginRecord, ...]:
        """The records that carry an error."""
        return tuple(record for record in self.plugins if record.error is not None)

    def to_dict(self) -> dict[str, Any]:
        """JSON-serializable; `schemas/report.yaml` describes it."""
        told: dict[str, Any] = _encodable(
            {
                "ok": self.ok,
                "plugins": [record.to_dict() for record in self.plugins],
                "findings": [finding.to_dict() for finding in self.findings],
            }
        )
        return told

    def __str__(self) -> str:
        if not self.plugins and not self.findings:
            return "no plugins"
        rows = [
            (record.state, one_line(record.name), *record.provenance.columns())
            for record in self.plugins
        ]
        lines = []
        told: set[str] = set()
        for record, row in zip(self.plugins, aligned(rows), strict=True):
            lines.append(row)
            if record.provides:
                pairs = ", ".join(f"{action}:{one_line(key)}" for action, key in record.provides)
                lines.append(f"    provides {pairs}")
            if record.options:
                lines.append(f"    options {record.options_told}")
            if record.reason:
                lines.append(f"    reason: {indented(record.reason)}")
            if record.error is not None and record.state != "missing":  # whose reason says it
                text = f"{type_name(record.error)}: {text_once(record.error, told)}"
                lines.append(f"    error: {indented(text)}")
            if record.remedy:
                lines.append(f"    to do: {indented(record.remedy)}")
        lines += [f"finding  {finding}" for finding in self.findings]
        return printable("\n".join(lines))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {_encodable(key): _encodable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_encodable(each) for each in value]
    return value
