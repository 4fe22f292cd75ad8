"""Start the environments of a start, while this process imports plugins of its own.

What their processes report of their plugins becomes declarations here, so that the registry treats
all plugins alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from aimm_plugins._declarations.declaration import Declaration
from aimm_plugins._dispatch.direct_call import RemoteFunction
from aimm_plugins._environments.plan import identity_there
from aimm_plugins._environments.processes import Processes
from aimm_plugins._inventory.module_files import foreign_module
from aimm_plugins._loading.importer import Outcome
from aimm_plugins._registry.change import Loaded
from aimm_plugins._startup.environments.environment import Environment
from aimm_plugins._startup.prepare import PreparedStart
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._system.text import described
from aimm_plugins._values.report import Finding, Identity, PluginRecord
from aimm_plugins.errors import EnvironmentLost, PluginImportError


class StartingEnvironments:
    """The environments of one start, which begin to run when this is made.

    Those that run already, and are as they have to be, go on.
    """

    def __init__(self, runtime: Runtime, start: PreparedStart) -> None:
        self._pool = ThreadPoolExecutor(len(start.environments))
        self._live: list[tuple[Environment, Sequence[PluginRecord], Future[None] | None]] = []
        self._new: list[Environment] = []
        for planned in start.environments:
            if planned.site is None:
                continue
            environment = Environment(runtime, planned, start)
            before = runtime.environments.get(planned.name)
            if isinstance(before, Environment) and before.is_as_wanted(environment):
                environment = before
            else:
                self._new.append(environment)
            records, started = planned.plan.records, None
            if environment.account is None and any(r.state == "planned" for r in records):
                started = self._pool.submit(environment.start)
            self._live.append((environment, records, started))

    def add_to(self, outcome: Outcome) -> None:
        """Wait for them, and say what became of their plugins."""
        self._pool.shutdown()
        outcome.environments = {environment.name: environment for environment, _, _ in self._live}
        for environment, records, started in self._live:
            error = None if started is None else started.exception()
            if error is not None:  # of no matter to those that wait for their first call
                waited_for = [record for record in records if record.state == "planned"]
                _account_for(environment, waited_for, outcome, error)
            elif environment.account is not None:
                _account_for(environment, records, outcome)

    def close(self) -> None:
        """End those that this start has begun, since it leads to nothing."""
        self._pool.shutdown()
        for environment in self._new:
            environment.close("the start that it was begun for has failed")


def start_deferred(runtime: Runtime, environment: Processes) -> Outcome:
    """Start an environment for the first call of one of its plugins, and account for all."""
    assert isinstance(environment, Environment)
    outcome = Outcome()
    records = runtime.registry.snapshot.records.values()
    waiting = [r for r in records if r.state == "deferred" and r.environment == environment.name]
    outcome.records = environment.judge(waiting)
    waits = [record for record in outcome.records if record.state == "deferred"]
    if not waits:
        return outcome
    failure: Exception | None = None
    try:
        environment.start()
    except Exception as error:
        failure = error
    if environment.successor is not None:  # a refresh has replaced it meanwhile
        return start_deferred(runtime, environment.successor)
    _account_for(environment, waits, outcome, failure)
    return outcome


def _account_for(
    environment: Environment,
    records: Iterable[PluginRecord],
    outcome: Outcome,
    failure: BaseException | None = None,
) -> None:
    """Say what became of an environment's plugins, by what its process has reported, if it ran."""
    account = environment.account
    if failure is not None:
        for record in records:
            _fail(environment, record, failure, outcome)
        return
    assert account is not None
    reported: Mapping[Identity, dict[str, Any]] = account["records"]
    outcome.findings += [Finding(**finding) for finding in account["findings"]]
    for record in records:
        entry = reported.get(identity_there(record))
        if record.state in ("planned", "deferred") and entry is not None:
            _take_over(environment, record, entry, outcome)
        elif record.state in ("planned", "deferred"):
            gone = f"environment {environment.name} has no such plugin any more"
            outcome.fail(record, PluginImportError(gone))


def _take_over(
    environment: Environment, record: PluginRecord, entry: Mapping[str, Any], outcome: Outcome
) -> None:
    """Put what a process has reported of a plugin in the place of its account so far."""
    done = record._replace(
        state="planned",
        reason=None if record.state == "deferred" else record.reason,
        remedy=entry["remedy"],
        import_seconds=entry["import_seconds"],
        imports=tuple(map(tuple, entry["imports"])),
        file=entry["file"] or record.file,
    )
    error = entry["error"]
    if entry["state"] == "shadowed":
        rules = entry["reason"].split("; ")
        reason = "; ".join(f"{rule} in environment {environment.name}" for rule in rules)
        outcome.replace(record, done._replace(state="shadowed", reason=reason))
        return
    outcome.replace(record, done)
    if entry["state"] != "loaded" or (error is not None and not entry["keys"]):
        _fail(environment, done, error or PluginImportError(str(entry["reason"])), outcome)
        return
    if error is not None:  # it has lost a key to another plugin of its environment
        who = str(record.provenance)
        outcome.findings.append(Finding("environment-conflict", who, described(error)))
    foreign = foreign_module(done, environment.planned.installed) if entry["file"] else None
    outcome.findings += [] if foreign is None else [foreign]
    outcome.loaded.append(
        Loaded(
            done,
            lazily=record.state == "deferred",
            may_be_empty=entry["has_hooks"] or foreign is not None,
            elsewhere=tuple(_declared(environment, entry["keys"])),
        )
    )


def _fail(
    environment: Environment, record: PluginRecord, error: BaseException, outcome: Outcome
) -> None:
    """Account for a failure, of which the limit of memory may be the reason."""
    limit, failed = environment.rules.memory_mb, record
    if limit is not None and record.remedy is None and isinstance(error, _OF_MEMORY):
        place = environment.planned.configs[-1].where("environments", environment.name, "memory_mb")
        remedy = f"If it needs more than {limit} MB, raise memory_mb ({place})."
        failed = record._replace(remedy=remedy)
        outcome.replace(record, failed)
    outcome.fail(failed, error)


_OF_MEMORY = (MemoryError, ImportError, EnvironmentLost)
"""What an import meets where memory is short; a library that cannot be mapped is ImportError."""


def _declared(environment: Environment, keys: Iterable[tuple[Any, ...]]) -> Iterable[Declaration]:
    for action, key, module, qualname, file, line in keys:
        function = RemoteFunction(qualname, environment.call)
        yield Declaration(
            action=action,
            keys=(key,),
            target=function,  # type: ignore[arg-type]  # nobody but `RemoteCall` calls it
            function=function,  # type: ignore[arg-type]  # likewise
            module=module,
            importing_module=None,
            importer=None,
            file=file or "",
            line=line or 0,
        )
