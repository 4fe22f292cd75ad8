"""Running checks, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

import aimm_plugins
from aimm_plugins._discovery.module_location import locate
from aimm_plugins._system.text import described, safe_text
from aimm_plugins._values.provenance import Provenance
from aimm_plugins.testing._checks import Check, Kind, checks
from aimm_plugins.testing._conformance import Conformance
from aimm_plugins.testing._isolation import isolated
from aimm_plugins.testing._results import CheckResult, Status, Verdict
from aimm_plugins.testing._subject import Inapplicable, Shared, Subject, seeing_environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One check of one plugin or key, ready to run.

    Attributes:
        check: The check.
        conformance: What the author says, if anything.
        plugin: The plugin's module; `None` for whoever provides the key.
        shared: What the checks of one plugin have in common.
    """

    check: Check
    conformance: Conformance | None
    plugin: str | None
    shared: Shared

    @property
    def about(self) -> str:
        """The key, or the plugin's module."""
        if self.conformance is not None and "plugin" not in self.check.kinds:
            return self.conformance.key
        return self.plugin or (self.conformance.key if self.conformance is not None else "")

    def run(self) -> CheckResult:
        """Run it in a registry of its own, which holds the plugin alone.

        Raises:
            LookupError: Nobody provides the key, so that there is nothing to check.
            PluginLoadError: The plugin cannot be loaded.
            KeyboardInterrupt: The run was interrupted.
        """
        plugin = self.plugin or _plugin_of(self.conformance)
        with isolated() as state:
            # What only its import in another process tells needs none here, which would leave in
            # this process what the check is about.
            if not self.check.child or "plugin" not in self.check.kinds:
                with seeing_environment(plugin):
                    state.load(plugin)
            subject = Subject(plugin=plugin, conformance=self.conformance, shared=self.shared)
            place = _place(subject)
            notes: list[str] = subject.notes
            error: BaseException | None = None
            try:
                _examined(self.check, subject)
            except Inapplicable as reason:
                return self._result("skipped", str(reason), place, notes)
            except KeyboardInterrupt:
                raise
            except BaseException as raised:  # a plugin may raise SystemExit and worse
                error = raised
        expected = {} if self.conformance is None else self.conformance.expected_failures
        declared = expected.get(self.check.name)
        if error is None:
            if declared is None:
                return self._result("passed", "", place, notes)
            text = f"it passed, and was declared to fail: {declared}. Remove that declaration."
            return self._result("unexpected", text, place, notes)
        if declared is not None:
            return self._result("expected", declared, place, notes)
        text = safe_text(error) if isinstance(error, AssertionError) else described(error)
        return self._result("failed", text, place, notes, error)

    def _result(
        self,
        status: Status,
        reason: str,
        place: str | None,
        notes: Sequence[str],
        error: BaseException | None = None,
    ) -> CheckResult:
        return CheckResult(
            check=self.check.name,
            about=self.about,
            status=status,
            reason=reason,
            notes=tuple(dict.fromkeys(notes)),
            place=place,
            error=error,
        )


def _plugin_of(conformance: Conformance | None) -> str:
    """The module that provides a key by now."""
    assert conformance is not None, "a trial has a plugin or a Conformance"
    found = aimm_plugins.providers(key=conformance.key)
    kinds = {"data_access"} if conformance.data_access is not None else {"fit", "instantiate"}
    for (action, _), provider in found.items():
        if action in kinds:
            return provider.plugin
    raise LookupError(
        f"nobody provides {conformance.key!r} by now; name the module in "
        f"Conformance(plugin=...), or initialize it first"
    )


def _place(subject: Subject) -> str | None:
    """Who provides what is called."""
    providers = subject.providers()
    if subject.conformance is not None:
        wanted = [each for each in providers if each.key == subject.key]
        providers = [each for each in wanted if each.action == "fit"] or wanted or providers
    if not providers:
        return str(Provenance(module=subject.plugin, file=locate(subject.plugin)))
    return str(providers[0].provenance)


def _examined(check: Check, subject: Subject) -> None:
    """Run a check, for each example where hypothesis gives the arguments."""
    strategies = {} if subject.conformance is None else subject.conformance.strategies()
    if not strategies or "plugin" in check.kinds:
        check(subject)
        return
    import hypothesis
    from hypothesis import strategies as st

    # A process an example would take minutes.
    count = 1 if check.child else subject.told.examples
    every: Any = list(hypothesis.HealthCheck)

    @hypothesis.settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=every,
    )
    @hypothesis.given(
        st.fixed_dictionaries({action: st.tuples(s, s) for action, s in strategies.items()})
    )
    def examine(drawn: Mapping[str, tuple[Any, Any]]) -> None:
        subject.drawn = drawn
        check(subject)

    examine()


def trials(
    conformances: Iterable[Conformance], plugins: Iterable[str] = (), only: Iterable[str] = ()
) -> list[Trial]:
    """The checks that concern plugins and keys, those of a plugin as such once each.

    Args:
        conformances: What authors say.
        plugins: Modules to look at as such, beside those that the conformances name.
        only: Names of checks; all by default.

    Raises:
        ValueError: There is no such check.
    """
    every = checks()
    names = [each.name for each in every]
    chosen = list(only)
    for name in chosen:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"no check {name!r}{hint}")
    every = tuple(each for each in every if not chosen or each.name in chosen)
    found: list[Trial] = []
    seen: dict[str | None, Shared] = {}

    def add(kind: Kind, conformance: Conformance | None, plugin: str | None) -> None:
        shared = seen.setdefault(plugin, Shared())
        found.extend(
            Trial(check=each, conformance=conformance, plugin=plugin, shared=shared)
            for each in every
            if kind in each.kinds
        )

    given = list(conformances)
    for each in given:
        each.check_names(names)
        if each.plugin not in seen or each.plugin is None:
            add("plugin", each, each.plugin)
        add("model" if each.model_type is not None else "data", each, each.plugin)
    for plugin in plugins:
        if plugin not in seen:
            add("plugin", None, plugin)
    return found


def run(
    todo: Iterable[Trial],
    *,
    told: Callable[[CheckResult], None] = lambda result: None,
) -> Verdict:
    """Run checks.

    Args:
        todo: The checks.
        told: Called with each result as it comes.
    """
    results = []
    for trial in todo:
        result = trial.run()
        told(result)
        results.append(result)
    return Verdict(tuple(results))


def check_plugin(
    *about: Conformance | str,
    only: Iterable[str] = (),
    on_fail: Literal["raise", "report"] = "raise",
) -> Verdict:
    """Check plugins, and say what came of it.

    Args:
        *about: What to check: what authors say of keys, and names of plugin modules, of which only
            what needs no arguments is checked.
        only: Names of checks; all by default.
        on_fail: `raise` where something failed, or `report` it in what is returned.

    Returns:
        The verdict, with a result for each check.

    Raises:
        AssertionError: Something failed; the text has all of it, and the cause is a group of what
            was raised.
        ValueError: There is no such check.
        LookupError: Nobody provides a key.
        PluginLoadError: A plugin cannot be loaded.
    """
    conformances = [each for each in about if isinstance(each, Conformance)]
    plugins = [each for each in about if isinstance(each, str)]
    verdict = run(trials(conformances, plugins, only))
    if not verdict.ok and on_fail == "raise":
        raised = [each.error for each in verdict.failures if each.error is not None]
        cause = BaseExceptionGroup("what the checks raised", raised) if raised else None
        raise AssertionError(str(verdict)) from cause
    return verdict
