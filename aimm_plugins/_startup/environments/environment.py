"""A running environment: its processes, who of them is called, and when they are started again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NoReturn

from aimm_plugins._config.environment import operator_layers
from aimm_plugins._discovery.scan import scan
from aimm_plugins._dispatch.direct_call import Request
from aimm_plugins._dispatch.raised_elsewhere import RaisedElsewhere
from aimm_plugins._environments import channel, tracing
from aimm_plugins._environments.channel import Frame
from aimm_plugins._environments.made import other_version
from aimm_plugins._environments.payload import (
    Packed,
    UnreadableError,
    culprit,
    pack,
    python_here,
    unpack,
)
from aimm_plugins._environments.plan import (
    PlannedEnvironment,
    identity_there,
    of_environment,
    travel_as_arrow,
)
from aimm_plugins._environments.process import END_SECONDS, NotTakenError, PluginProcess
from aimm_plugins._environments.processes import Processes, Slot
from aimm_plugins._environments.tables import Reduce, as_arrow
from aimm_plugins._inventory.remedies import in_environment
from aimm_plugins._policy.plan import Plan
from aimm_plugins._registry.change import Change
from aimm_plugins._registry.key_errors import call_error
from aimm_plugins._startup.environments.instance import EnvironmentInstance
from aimm_plugins._startup.messages import log
from aimm_plugins._startup.prepare import PreparedStart, decide
from aimm_plugins._startup.publish import register
from aimm_plugins._startup.runtime import Runtime
from aimm_plugins._system.child import START_SECONDS
from aimm_plugins._system.guard import reraise_interruption
from aimm_plugins._system.text import described
from aimm_plugins._values.actions import Action
from aimm_plugins._values.report import PluginRecord
from aimm_plugins.errors import ConfigError, EnvironmentLost


class Environment(Processes):
    """A running environment, whose plugins are called."""

    def __init__(self, runtime: Runtime, planned: PlannedEnvironment, start: PreparedStart) -> None:
        site = planned.site
        assert site is not None
        super().__init__(planned.rules, planned.place, planned.installed)
        self._runtime = runtime
        self.planned = planned  # what its processes may load, as it was judged last
        self._site = site
        given = {} if planned.options is None else planned.options.given
        self._setup = {
            "environment": planned.name,
            "memory_mb": planned.rules.memory_mb,
            "as_arrow": travel_as_arrow(start.installed, planned.installed),
            "options": {module: dict(options.values) for module, options in given.items()},
            "prefer": [dict(layer) for layer in start.policy.prefer],
        }
        # Top-level packages of its plugins, which are not imported here.
        self.withheld = {r.module.partition(".")[0] for r in planned.wanted.values()}
        # All that makes its processes what they are.
        files = site.made_of(self.withheld)
        self._made_of = (self.rules, site, self._setup, planned.setup, files)
        self._wanted = planned.wanted.keys()
        seconds = start.policy.probe_seconds
        self._load_seconds = START_SECONDS if seconds is None else seconds * len(self._wanted)
        self._refused: set[tuple[Action, str]] = set()
        # What its last process reported of itself and its plugins; `None` before the first.
        self.account: dict[str, Any] | None = None
        self._turn = 0

    @property
    def name(self) -> str:
        return self.rules.name

    def is_as_wanted(self, other: Environment) -> bool:
        """Whether a start that would begin another one may go on with this one."""
        is_whole = self.planned.wanted.keys() == self._wanted and not self._refused
        return not self.is_closed and is_whole and self._made_of == other._made_of

    # Calls

    def call(self, request: Request) -> Any:
        """Call a plugin in one of the processes; returns what the `exec_*` function does."""
        instance, state_cb = request.instance, request.state_cb
        is_handle = isinstance(instance, EnvironmentInstance)
        if self.successor is not None and not is_handle:
            return self.successor.call(request)
        process = self._home(instance) if is_handle else self._least_loaded()
        if (request.action, request.key) in self._refused:  # while the call was on its way
            raise call_error(self._runtime.registry, request.action, request.key)
        raised: list[BaseException] = []

        def on_event(frame: Frame) -> Packed:
            assert state_cb is not None
            try:
                state_cb(unpack(frame.body, frame.buffers, self.withheld))
            except Exception as error:
                raised.append(error)
                return pack(tuple(RaisedElsewhere.of(error, "in the host")))
            return pack(None)

        try:
            frame = process.converse(
                channel.CALL,
                self._packed(process, request),
                about=str(request),
                on_event=on_event,
                cancellations=request.cancellations,
                seconds=self.rules.call_seconds,
            )
        except NotTakenError:
            process.wait(END_SECONDS)
            return self.call(request)  # another process takes it, or its handle is lost
        if frame.kind == channel.ERROR:
            self._raise(frame, f"{request} raised", raised)
        (number,) = channel.NUMBER.unpack(frame.body)
        made = instance
        if number >= 0 and not (
            is_handle and (process, number) == (instance.home, instance.number)
        ):
            made = EnvironmentInstance(request.key, process, number)
        value = self._unpacked(frame, f"{request} returned")
        if request.action == "predict":
            return made, value
        return value if number < 0 else made

    def _packed(self, process: PluginProcess, request: Request) -> Packed:
        action, key, instance, state_cb, args, kwargs, _ = request
        number = instance.number if isinstance(instance, EnvironmentInstance) else None
        if isinstance(instance, memoryview):  # bytes to deserialize
            instance = bytes(instance)
        listens = state_cb is not None
        given = (action, key, number, instance, args, kwargs, listens, tracing.carrier())
        reducers: dict[type, Reduce] = {EnvironmentInstance: lambda h: h.reduced_for(process)}
        if self._setup["as_arrow"]:
            reducers.update(as_arrow())
        try:
            return pack(given, reducers)
        except Exception as error:
            reraise_interruption(error)
            which = culprit(instance, args, kwargs, reducers)
            raise TypeError(
                f"{request} was not called: {which} cannot be sent from the host "
                f"({python_here()}) to environment {self.name}: {described(error)}"
            ) from error

    def _unpacked(self, frame: Frame, what: str) -> Any:
        body, *buffers = frame.buffers
        try:
            return unpack(body, buffers, self.withheld)
        except UnreadableError as error:
            there = f"Python {self.account['python']}" if self.account else self._site.python
            raise TypeError(
                f"{what} {error.what} from environment {self.name} ({there}), which cannot be had "
                f"in the host ({python_here()}): {error}. Have the plugin return plain data or "
                "arrays, or import the class's module here first"
            ) from error

    def _raise(self, frame: Frame, what: str, raised: Sequence[BaseException] = ()) -> NoReturn:
        """Raise what the plugin has raised; of a callback's exception the very object."""
        content, is_of_callback = self._unpacked(frame, what)
        if is_of_callback and raised:
            raise raised[-1]
        raise self._original(content, Exception)

    def _original(self, carried: Sequence[Any], kind: type[BaseException]) -> BaseException:
        loads = partial(unpack, buffers=(), withheld=self.withheld)
        return RaisedElsewhere(*carried).original(kind, loads)

    # Processes

    def start(self) -> None:
        """Start all processes, side by side, with what was judged last; or none of them."""
        setup = self.planned.setup
        try:
            with ThreadPoolExecutor(len(self.slots)) as pool:
                for started in [pool.submit(self._running, slot, setup) for slot in self.slots]:
                    started.result()
        except BaseException:
            self.close("another process of it did not start")
            raise

    def _home(self, instance: EnvironmentInstance) -> PluginProcess:
        process = instance.home
        if process.environment != self.name:
            raise TypeError(
                f"{instance!r} is of another environment than {self.name}: exec_serialize gives "
                "its bytes, and exec_deserialize loads them"
            )
        if not process.is_running:
            lost = process.lost()
            text = (
                f"{instance!r} is lost: {lost}\nMake it again by exec_instantiate and exec_fit, or "
                "load its bytes by exec_deserialize or unpack."
            )
            lost.args = (text,)
            raise lost
        return process

    def _least_loaded(self) -> PluginProcess:
        """A process with the fewest calls under way, started if it does not run."""
        self._turn += 1
        slots = self.slots[self._turn % len(self.slots) :] + self.slots
        return self._running(min(slots, key=lambda s: 0 if s.process is None else s.process.load))

    def _running(self, slot: Slot, setup: Mapping[str, Any] | None = None) -> PluginProcess:
        with slot.lock:
            process = slot.process
            if process is not None and process.is_running:
                return process
            if self.is_closed:
                raise EnvironmentLost(f"environment {self.name} is closed", environment=self.name)
            if process is not None:
                self.last_loss = process.lost()
            if slot.has_started:
                self.check_restarts()
            reached: list[PluginRecord] = []
            if setup is None:
                records = self._runtime.registry.snapshot.records
                wanted = self.planned.wanted
                reached = [r for i, r in records.items() if i in wanted and r.is_loaded]
                self._take_away(self.judge(reached))
                setup = self.planned.setup
            if slot.has_started:
                self.count_restart()
            slot.has_started = True
            try:
                slot.process = self._start_one(setup)
            except Exception as error:
                why = other_version(self.planned.installed, self._site.python)
                if why:
                    text = f"environment {self.name} was not started. {why}\n{described(error)}"
                    error = EnvironmentLost(text, environment=self.name)
                if isinstance(error, EnvironmentLost):
                    self.last_loss = error
                raise error from None
            self._take_away(map(self._found, reached))
            if self.is_closed:  # meanwhile, when nobody knew of this process
                slot.process.leave_when_idle(self.closed_for)
            return slot.process

    def judge(self, records: Iterable[PluginRecord]) -> list[PluginRecord]:
        """Go by the rules that hold now; the accounts of some of its plugins by these.

        It was planned when a start began. Its first call may come days later, and a process that
        has crashed is started again: by then pip may have been at work there, or the rules have
        changed.

        Raises:
            ConfigError: The operator's policy or a lock cannot be read by now.
        """
        before, site = self.planned, self.planned.site
        assert site is not None
        naming = [config for config in self._runtime.confs if self.name in config.environments]
        configs = of_environment(naming) or before.configs
        installed = scan() if site.is_own else scan(site.folders, site.modules)
        start = decide(self._runtime, operator_layers(), configs, installed, here=False)
        found = before._replace(configs=configs, installed=installed)
        found = found.with_plan(start.plan, before.options, start.admission.proofs.verified)
        now = {record.identity: record for record in found.plan.records}
        allowed = {i: r for i, r in found.wanted.items() if i in before.wanted}
        self.planned = found._replace(plan=Plan(tuple(allowed.values())))
        accounts = []
        for record in records:
            current = now.get(record.identity)
            if current is not None and current.identity in allowed:
                accounts.append(record._replace(version=current.version, origin=current.origin))
                continue
            gone = f"environment {self.name} has it no more"
            reason = gone if current is None else str(current.reason)
            accounts.append(record._replace(state="denied", provides=(), reason=reason))
        return accounts

    def _take_away(self, accounts: Iterable[PluginRecord]) -> None:
        """Register which plugins are denied or failed by now, and refuse what they provided."""
        lost = [record for record in accounts if record.state in ("denied", "failed")]
        if lost:
            revoked = {record.identity for record in lost}
            with self._runtime.lock:
                snapshot = self._runtime.registry.snapshot
                records = (snapshot.records.get(identity) for identity in revoked)
                self._refused |= {slot for record in records if record for slot in record.provides}
                change = Change(lost, snapshot.prefer, revoked=revoked)
                report = register(self._runtime, change)
            log(report)

    def _found(self, record: PluginRecord) -> PluginRecord:
        """The account of a plugin by what its last process reported."""
        assert self.account is not None
        entry = self.account["records"].get(identity_there(record))
        if entry is None or entry["keys"] or entry["error"] is None:
            return record
        return record.failed(entry["error"], entry["remedy"])

    def _error(self, carried: Sequence[Any]) -> BaseException:
        error = self._original(carried, BaseException)
        options = self.planned.options
        if options is not None and isinstance(error, ConfigError):
            return options.placed(error)
        return error

    def _start_one(self, setup: Mapping[str, Any]) -> PluginProcess:
        try:
            process = PluginProcess(self.name, self._site)
        except OSError as error:
            raise EnvironmentLost(
                f"environment {self.name}: its interpreter {self._site.python} cannot be run: "
                f"{error}",
                environment=self.name,
            ) from error
        importing = "its plugins"

        def on_event(frame: Frame) -> Packed:
            nonlocal importing
            importing = unpack(frame.body, frame.buffers)
            return pack(None)

        try:
            frame = process.converse(
                channel.LOAD,
                pack({**self._setup, **setup}),
                about="loading its plugins",
                on_event=on_event,
                seconds=self._load_seconds,
            )
            if frame.kind == channel.ERROR:
                self._raise(frame, "loading its plugins raised")
            account: dict[str, Any] = self._unpacked(frame, "the account of its plugins")
        except (NotTakenError, EnvironmentLost):
            process.wait(END_SECONDS)
            raise process.lost(f"loading {importing}") from None
        except BaseException as error:
            if isinstance(error, TimeoutError):
                error.add_note(f"while loading {importing}")
            process.end("it could not load its plugins")
            raise
        for entry in account["records"].values():
            entry["remedy"] = entry["remedy"] and in_environment(self.name, entry["remedy"])
            entry["error"] = entry["error"] and self._error(entry["error"])
        self.account = account
        return process
