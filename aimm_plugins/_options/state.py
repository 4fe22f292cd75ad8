"""What plugins are given: in the runtime, and in a call of `initialize` that is under way."""

from __future__ import annotations

import sys
from _thread import get_ident
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from aimm_plugins._config.json_schema import Misfit
from aimm_plugins._config.values import Config
from aimm_plugins._discovery.published import PublishedOptions
from aimm_plugins._discovery.scan import Scan, scan
from aimm_plugins._options.hiding import Options, Path, copied
from aimm_plugins._options.schema import Schema, read_schema
from aimm_plugins._options.schema_source import Denial
from aimm_plugins.errors import ConfigError, DeclarationError, spell_path


class Given(NamedTuple):
    """What one conf gives to one plugin; `secrets` are paths in `values` to `env:NAME` and such."""

    config: Config
    key: str
    values: Options
    secrets: Mapping[Path, str]

    def error(self, fault: Misfit, schema: Schema) -> ConfigError:
        return self.config.error(
            f"{fault.message}, says {schema}",
            ("options", self.key, *fault.path),
            expected=fault.expected,
            key=fault.at_key,
        )

    @property
    def summary(self) -> tuple[str, ...]:
        """The keys that are set, and where secrets come from; no values."""
        texts = {key: key for key in self.values}
        for path, source in self.secrets.items():
            name = ".".join(map(str, path))
            texts[name] = f"{name} ({source})"
        return tuple(texts[name] for name in sorted(texts))


class PluginOptions:
    """The options of plugins, by plugin module.

    Attributes:
        given: What confs give.
        checked: What was held against its schema already, with defaults; of a plugin that was
            imported without `initialize`, the defaults alone.
        modules: The plugin modules that this is about.
        followed: The snapshot of the registry that these are of.
    """

    def __init__(
        self,
        given: Mapping[str, Given] | None = None,
        checked: Mapping[str, Options] | None = None,
        modules: Iterable[str] = (),
        installed: Scan | None = None,
    ) -> None:
        self.given = dict(given or {})
        self.checked = dict(checked or {})
        self.modules = frozenset(modules)
        self._installed = installed
        self.followed: object = None

    def after(self, staged: PluginOptions | None, failed: Collection[str]) -> PluginOptions:
        """These and what a call gives; a plugin that failed in it keeps what it had."""
        staged = staged or PluginOptions()
        taken = (staged.modules & staged.given.keys()) - set(failed)
        kept = self.given.keys() - taken
        checked = {m: options for m, options in self.checked.items() if m in kept}
        checked |= {m: options for m, options in staged.checked.items() if m in taken}
        return PluginOptions(self.given | {m: staged.given[m] for m in taken}, checked)

    def follow(self, snapshot: object, modules: Iterable[str]) -> None:
        self.modules, self.followed = frozenset(modules), snapshot

    def plugin_of(self, module: str) -> str | None:
        return plugin_of(module, self.modules)

    def value(self, plugin: str, denial: Denial, *, by_hand: bool = False) -> Options:
        """A plugin's options, a copy of the caller's own; `by_hand` its defaults, unchecked."""
        if plugin not in self.checked:
            schema = self._schema_of(plugin, denial)
            if schema is None:
                given = self.given.get(plugin)
                self.checked[plugin] = Options() if given is None else given.values
            else:
                self.checked[plugin] = (
                    schema.defaults() if by_hand else self._checked(plugin, schema)
                )
        own: Options = copied(self.checked[plugin])
        return own

    def _checked(self, plugin: str, schema: Schema) -> Options:
        given = self.given.get(plugin)
        if given is not None:
            options, faults = schema.check(given.values, given.secrets)
            if faults:
                raise one_error([given.error(fault, schema) for fault in faults])
            return options
        options, faults = schema.check({})
        if faults:
            raise ConfigError(
                f"{plugin} needs options, and no conf gives it any: "
                + "; ".join(fault.message for fault in faults)
                + f", says {schema}",
                path=("options",),
                expected=f"an entry {schema.published.distribution.name}",
            )
        return options

    def placed(self, error: ConfigError) -> ConfigError:
        """An error about options that another process has checked, at its place in the conf."""
        given = self.given.get(str(error.path[1])) if error.path[1:] else None
        if given is None or error.line is not None:
            return error
        text = str(error).removeprefix(f"at {spell_path(error.path)}: ")
        return given.config.error(text, ("options", given.key, *error.path[2:]))

    def installed(self, *, again: bool = False) -> Scan:
        """What is installed, as far as it was when that was first asked."""
        if self._installed is None or again:
            self._installed = scan()
        return self._installed

    def _schema_of(self, plugin: str, denial: Denial) -> Schema | None:
        installed = self.installed()
        distribution = installed.publisher(plugin) if installed.options else None
        return schema_of(installed.options_of(plugin, distribution), denial)


class OptionsState:
    """The options that starts under way give to plugins."""

    def __init__(self) -> None:
        self._in_progress: list[tuple[int, PluginOptions]] = []

    @contextmanager
    def staging(self, options: PluginOptions) -> Generator[None]:
        """While open, plugins that this thread imports are given these options."""
        entry = self.stage(options)
        try:
            yield
        finally:
            self._in_progress.remove(entry)

    def stage(self, options: PluginOptions) -> tuple[int, PluginOptions]:
        """As `staging`, for good."""
        entry = (get_ident(), options)
        self._in_progress.append(entry)
        return entry

    def staged(self, *, by_any_thread: bool = False) -> list[PluginOptions]:
        """What this thread is staging, the latest first; or any: imports may start threads."""
        if not self._in_progress:  # nearly always
            return []
        own = get_ident()
        return [
            options for thread, options in self._in_progress[::-1] if by_any_thread or thread == own
        ]


def plugin_of(module: str, plugins: Collection[str]) -> str | None:
    """The plugin module that a module is, or is beneath; or the only one in the same package."""
    above = [plugin for plugin in plugins if plugin and f"{module}.".startswith(f"{plugin}.")]
    if above:
        return max(above, key=len)
    top = module.partition(".")[0]
    if getattr(sys.modules.get(top), "__file__", None) is None:
        return None  # a namespace package may be shared with other distributions
    near = [plugin for plugin in plugins if plugin.partition(".")[0] == top]
    return near[0] if len(near) == 1 else None


def schema_of(published: Sequence[PublishedOptions], denial: Denial | None = None) -> Schema | None:
    """The schema of a plugin, if it publishes one; see `read_schema`."""
    if len(published) > 1:
        raise DeclarationError(
            f"{published[0].distribution.who} publishes several schemas of the options of one "
            f"plugin, such as {published[0]} ({published[0].place}) and {published[1]} "
            f"({published[1].place}). Its author has to remove all but one."
        )
    return read_schema(published[0], denial) if published else None


def one_error(errors: Sequence[ConfigError]) -> ConfigError:
    """The first of several errors by its place, with the text of the others."""
    first, *others = sorted(errors, key=lambda error: (error.line or 0, error.column or 0))
    if not others:
        return first
    whole = ConfigError("\n".join([str(first), *(f"  and {error}" for error in others)]))
    whole.file, whole.line, whole.column = first.file, first.line, first.column
    whole.path, whole.expected = first.path, first.expected
    return whole
