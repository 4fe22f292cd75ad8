"""Run checks: one check of one plugin or key is a trial, whose end is a `CheckResult`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import aimm_plugins
from aimm_plugins._discovery.module_location import locate
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.text import described, did_you_mean, safe_text
from aimm_plugins._values.provenance import Provenance
from aimm_plugins.errors import PluginLoadError
from aimm_plugins.testing._checks import Check, Kind, checks
from aimm_plugins.testing._conformance import Conformance
from aimm_plugins.testing._isolation import isolated
from aimm_plugins.testing._results import IMPORT_CHECK, WORK_CHECK, CheckResult, Status, Verdict
from aimm_plugins.testing._subject import Inapplicable, Subject


@dataclass(kw_only=True)
class Trial(Subject):
    """One check of one plugin or key, ready to run; the check is given the trial."""

    check: Check

    @property
    def about(self) -> str:
        return self.plugin if "plugin" in self.check.kinds and self.plugin else self.key

    def run(self) -> CheckResult:
        """Run it in a registry of its own, which holds the plugin alone."""
        about, self.notes = self.about, []
        self.plugin = self.plugin or plugin_of(self.spec)
        with isolated() as state:
            # A check of the import looks at another process, and tells what fails there.
            if not self.check.child or "plugin" not in self.check.kinds:
                state.load(self.plugin)
            place = self._place()
            with guarded() as attempt:
                self._examine()
        status, reason = self._outcome(attempt.error)
        return CheckResult(
            check=self.check.name,
            about=about,
            status=status,
            reason=reason,
            notes=tuple(dict.fromkeys(self.notes)),
            place=place,
            error=attempt.error if status == "failed" else None,
        )

    def _place(self) -> str:
        providers = self.providers()
        if self.conformance is not None:
            of_key = [provider for provider in providers if provider.key == self.key]
            fits = [provider for provider in of_key if provider.action == "fit"]
            providers = fits or of_key or providers
        if not providers:
            return str(Provenance(module=self.plugin, file=locate(self.plugin)))
        return str(providers[0].provenance)

    def _examine(self) -> None:
        """Run the check, for each example where hypothesis gives the arguments."""
        strategies = {} if self.conformance is None else self.conformance.strategies()
        if not strategies or "plugin" in self.check.kinds:
            self.check(self)
            return
        import hypothesis
        from hypothesis import strategies as st

        every: Any = list(hypothesis.HealthCheck)

        @hypothesis.settings(
            # A process for each example would take minutes.
            max_examples=1 if self.check.child else self.spec.examples,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=every,
        )
        @hypothesis.given(
            st.fixed_dictionaries({action: st.tuples(s, s) for action, s in strategies.items()})
        )
        def examine(drawn: Mapping[str, tuple[Any, Any]]) -> None:
            self.drawn = drawn
            self.check(self)

        examine()

    def _outcome(self, error: BaseException | None) -> tuple[Status, str]:
        """What an error, or none, means where the author expects a failure or does not."""
        if isinstance(error, Inapplicable):
            return "skipped", str(error)
        expected = {} if self.conformance is None else self.conformance.expected_failures
        declared = expected.get(self.check.name)
        if declared is not None:
            if error is not None:
                return "expected", declared
            text = f"it passed, and was declared to fail: {declared}. Remove that declaration."
            return "unexpected", text
        if error is None:
            return "passed", ""
        return "failed", (
            safe_text(error) if isinstance(error, AssertionError) else described(error)
        )


def plugin_of(conformance: Conformance) -> str:
    found = aimm_plugins.providers(key=conformance.key)
    kinds = {"data_access"} if conformance.data_access is not None else {"fit", "instantiate"}
    for (action, _), provider in found.items():
        if action in kinds:
            return provider.plugin
    raise LookupError(
        f"nobody provides {conformance.key!r} by now; name the module in "
        f"Conformance(plugin=...), or initialize it first"
    )


def trials(about: Iterable[Conformance | str], only: Iterable[str] = ()) -> list[Trial]:
    """The checks that concern plugins and keys, those of a plugin as such once each."""
    chosen = list(only)
    _refuse_unknown(chosen)
    found: list[Trial] = []
    seen: dict[str, dict[str, Any]] = {}

    def add(kind: Kind, conformance: Conformance | None, plugin: str) -> None:
        facts = seen.setdefault(plugin, {}) if plugin else {}
        found.extend(
            Trial(check=check, conformance=conformance, plugin=plugin, facts=facts)
            for check in checks()
            if kind in check.kinds and (not chosen or check.name in chosen)
        )

    # What is said of a key may set limits for the checks of its plugin.
    for subject in sorted(about, key=lambda subject: isinstance(subject, str)):
        conformance = subject if isinstance(subject, Conformance) else None
        plugin = subject if isinstance(subject, str) else subject.plugin or ""
        if plugin not in seen:
            add("plugin", conformance, plugin)
        if conformance is not None:
            _refuse_unknown(conformance.expected_failures, "expected_failures: ")
            add("data" if conformance.model_type is None else "model", conformance, plugin)
    return found


def _refuse_unknown(names: Iterable[str], place: str = "") -> None:
    known = [check.name for check in checks()]
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ValueError(f"{place}no check {name!r}{f'; {hint}' if hint else ''}")


def _run(to_run: Sequence[Trial], *, raises: bool) -> Iterator[CheckResult]:
    """The results of trials, but for those of what one result has called broken."""
    broken: set[str] = set()  # plugins that cannot be imported, and keys that do not work
    for number, trial in enumerate(to_run, start=1):
        if broken & {trial.plugin, trial.about}:
            continue
        try:
            result = trial.run()
        except PluginLoadError as error:
            if raises:
                raise
            result = CheckResult.of_failed_import(trial.plugin, error)
        if result.status == "failed" and result.check in (IMPORT_CHECK, WORK_CHECK):
            broken.add(result.about)
        yield replace(result, number=number, total=len(to_run))


def check_plugin(
    *about: Conformance | str,
    only: Iterable[str] = (),
    on_fail: Literal["raise", "report"] = "raise",
    on_result: Callable[[CheckResult], None] = lambda result: None,
) -> Verdict:
    """Check plugins, and say what came of it.

    Args:
        *about: What to check: what authors say of keys, and names of plugin modules, of which only
            what needs no arguments is checked.
        only: Names of checks; all by default.
        on_fail: `raise` where something failed, or `report` it in what is returned.
        on_result: Called with each result as it comes.

    Returns:
        The verdict, with a result for each check. Of a plugin that cannot be imported it has that
        alone, and of a model that does not work `fit-gives-a-predictor` alone.

    Raises:
        AssertionError: Something failed; the text has all of it, and the cause is a group of what
            was raised.
        ValueError: There is no such check.
        LookupError: Nobody provides a key.
        PluginLoadError: A plugin cannot be loaded, and `import-succeeds` was not run.

    Example:
        >>> from aimm_plugins.testing import check_plugin
        >>> check_plugin("json", only=["import-prints-nothing"]).counts["passed"]
        1
    """
    results: list[CheckResult] = []
    for result in _run(trials(about, only), raises=on_fail == "raise"):
        results.append(result)
        on_result(result)
    verdict = Verdict(tuple(results))
    if not verdict.ok and on_fail == "raise":
        raised = [result.error for result in verdict.failures if result.error is not None]
        cause = BaseExceptionGroup("what the checks raised", raised) if raised else None
        raise AssertionError(str(verdict)) from cause
    return verdict
