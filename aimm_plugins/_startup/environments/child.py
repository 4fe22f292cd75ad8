"""The side of an environment's process: load its plugins, and do the calls that the host sends.

The main thread does one call after the other, as in most programs; threads do what comes meanwhile.
One thread reads, so that a call can be cancelled while it goes on.
"""

from __future__ import annotations

import faulthandler
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from queue import SimpleQueue
from typing import Any, NoReturn

from aimm_plugins._dispatch.cancelling import CancelToken
from aimm_plugins._dispatch.raised_elsewhere import RaisedElsewhere
from aimm_plugins._environments import channel
from aimm_plugins._environments.channel import Channel, Frame, GoneError, ProtocolError
from aimm_plugins._environments.payload import VERSION, UnreadableError, pack, python_here, unpack
from aimm_plugins._environments.tables import as_arrow
from aimm_plugins._environments.tracing import continued
from aimm_plugins._loading.importer import Loader, Outcome, account_for
from aimm_plugins._policy.plan import Plan
from aimm_plugins._registry.change import Change
from aimm_plugins._startup.environments.instance import HELD
from aimm_plugins._startup.publish import register
from aimm_plugins._startup.runtime import PROCESS
from aimm_plugins._system.child_side import end_watchdog, end_with_host, take_stdin
from aimm_plugins._system.guard import guarded
from aimm_plugins._system.text import described
from aimm_plugins._values.report import PluginRecord, Report
from aimm_plugins.errors import AimmPluginsError, Cancelled

_OURS = (__package__, "aimm_plugins._dispatch", "aimm_plugins._loading")
"""Packages of frames that a traceback begins with, and that are not of a plugin."""

_Answer = tuple[int, int, bytes, list[memoryview]]
"""A frame with what has come of a call."""


def serve(descriptor: int) -> NoReturn:
    """Do what the host asks for over a socket, until it asks to leave or ends."""
    watchdog = end_with_host(take_stdin(), others=[descriptor])
    faulthandler.enable()
    sys.argv[:] = [""]
    try:
        _Server(Channel(socket.socket(fileno=descriptor))).run()
    finally:
        end_watchdog(watchdog)
    sys.exit(0)


class _Call:
    """A call under way."""

    def __init__(self, channel: Channel, frame: Frame) -> None:
        self.number = frame.number
        self.raised: BaseException | None = None
        """What the last state event has raised in the plugin."""
        self.listens = False
        self.received = [frame]  # taken out by who does it, so that nothing here keeps it alive
        self._channel = channel
        self._token = CancelToken()
        self.answers: SimpleQueue[Frame | None] = SimpleQueue()  # what the callback has led to
        self._reporting = threading.RLock()  # an answer is for the thread that has asked

    def cancel(self, reason: str | None) -> None:
        """Have the plugin's next state event, or one that waits, raise `Cancelled`."""
        self._token.cancel(reason)
        self.answers.put(None)

    def end(self) -> None:
        """Have nothing come of what a thread of the plugin reports from now on."""
        self.listens = False
        self.answers.put(None)

    def report(self, state: object) -> None:
        """What the plugin is given as its callback."""
        self._token.check()
        if not self.listens:
            return
        try:
            content = pack(state)
        except Exception as error:
            raise TypeError(
                f"this state event cannot be sent to the host: {described(error)}"
            ) from error
        with self._reporting:
            self._channel.send(channel.EVENT, self.number, *content)
            answer = self.answers.get()
        if answer is None:
            self.answers.put(None)  # other threads of the plugin may wait too
            self._token.check()
            return
        if answer.problem is not None:
            raise answer.problem
        content = unpack(answer.body, answer.buffers)
        if content is not None:
            carried = RaisedElsewhere(*content)
            self.raised = carried.original(Exception)
            if type(self.raised) is AimmPluginsError:  # its class is not to be had here
                self.raised = Cancelled(reason=carried.text)
            raise self.raised


class _Server:
    """Reads what the host sends, and has it done."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._calls: dict[int, _Call] = {}
        self._numbers = count()
        self._name = ""
        self._as_arrow = False
        self._main: SimpleQueue[_Call | None] = SimpleQueue()
        self._is_main_idle = True
        self._process = os.getpid()

    def run(self) -> None:
        """Read in a thread, and do calls in this one until the host asks to leave."""
        threading.Thread(target=self._read, daemon=True).start()
        while (call := self._main.get()) is not None:
            answer = self._do(call)
            del call
            self._is_main_idle = True  # before the host has the answer, and sends the next call
            self._send(answer)
            del answer

    def _send(self, answer: _Answer) -> None:
        try:
            self._channel.send(*answer)
        except GoneError:
            raise
        except Exception as error:  # there is no memory for it
            self._channel.send(*self._error(answer[1], error, ""))

    # The reading thread

    def _read(self) -> None:
        try:
            while True:
                self._take(self._channel.receive())
        except (EOFError, GoneError):
            os._exit(0)  # the host has ended, or wants this process to
        except ProtocolError as error:
            os.write(2, f"{error}\n".encode())
            os._exit(1)
        except BaseException as error:  # nobody would read on, and the host would wait for ever
            sys.excepthook(type(error), error, error.__traceback__)
            os._exit(1)

    def _take(self, frame: Frame) -> None:
        call = self._calls.get(frame.number)
        if frame.kind in (channel.CALL, channel.LOAD):
            self._hand_out(_Call(self._channel, frame))
        elif frame.kind == channel.ANSWER and call is not None:
            call.answers.put(frame)
        elif frame.kind == channel.CANCEL and call is not None:
            call.cancel(bytes(frame.body).decode() or None)
        elif frame.kind == channel.CANCEL:  # it is done; who gave it up waits for a word
            self._channel.send(channel.ERROR, frame.number)
        elif frame.kind == channel.DROP:
            HELD.pop(frame.number, None)
        elif frame.kind == channel.END:
            self._main.put(None)

    def _hand_out(self, call: _Call) -> None:
        self._calls[call.number] = call
        if self._is_main_idle:
            self._is_main_idle = False
            self._main.put(call)
        else:
            threading.Thread(target=self._do_in_own_thread, args=(call,), daemon=True).start()

    # The threads that do calls

    def _do_in_own_thread(self, call: _Call) -> None:
        self._send(self._do(call))

    def _do(self, call: _Call) -> _Answer:
        frame, about = call.received.pop(), ""
        try:
            if frame.problem is not None:
                raise frame.problem
            if frame.kind == channel.LOAD:
                number, value = -1, self._load(call, unpack(frame.body, frame.buffers))
            else:
                action, key, *given = self._arguments(frame)
                about = f"{action}:{key}"
                del frame
                number, value = self._call(call, action, key, *given)
                del given
            if os.getpid() != self._process:  # a fork that the plugin has made, and not ended
                sys.exit()
            try:
                body, buffers = pack(value, as_arrow() if self._as_arrow else {})
            except Exception as error:
                raise TypeError(
                    f"{about} returned an object of {type(value).__module__}."
                    f"{type(value).__qualname__}, which cannot be sent from environment "
                    f"{self._name} ({python_here()}) to the host: {described(error)}"
                ) from error
            held = channel.NUMBER.pack(number)
            return channel.RESULT, call.number, held, [memoryview(body), *buffers]
        except BaseException as error:
            if os.getpid() != self._process:
                raise
            return self._error(call.number, error, about, error is call.raised)
        finally:
            self._calls.pop(call.number, None)
            call.end()

    def _error(
        self, number: int, error: BaseException, about: str, is_of_callback: bool = False
    ) -> _Answer:
        body, _ = pack((self._carried(error, f"in {about}  "), is_of_callback))
        return channel.ERROR, number, b"", [memoryview(body)]

    def _carried(self, error: BaseException, note: str) -> tuple[Any, ...]:
        """An error on its way, without our own note: the host adds one that says more."""
        with guarded():
            error.__notes__ = [n for n in getattr(error, "__notes__", ()) if not n.startswith(note)]
            trace = error.__traceback__
            while trace is not None and trace.tb_frame.f_globals.get("__package__") in _OURS:
                trace = trace.tb_next
            error = error.with_traceback(trace)
        where = f"in process {os.getpid()} of environment {self._name}"
        return tuple(RaisedElsewhere.of(error, where))

    def _arguments(self, frame: Frame) -> Any:
        try:
            return unpack(frame.body, frame.buffers)
        except UnreadableError as error:
            raise TypeError(
                f"nothing was called: an argument holds {error.what}, which cannot be had in "
                f"environment {self._name} ({python_here()}): {error}. Give plain data or arrays"
            ) from error

    def _call(
        self,
        call: _Call,
        action: Any,
        key: str,
        number: int | None,
        instance: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        listens: bool,
        headers: Mapping[str, str],
    ) -> tuple[int, Any]:
        """Call a plugin; the number of the instance that comes of it, and the value."""
        call.listens = listens
        with continued(headers):
            result = PROCESS.calls.of(action)[key].call(instance, call.report, args, kwargs)
        if action in ("data_access", "serialize"):
            return -1, bytes(result) if isinstance(result, memoryview) else result
        made, value = result if action == "predict" else (result, None)
        if made is None:
            return -1, value
        if made is not instance or number is None:
            number = next(self._numbers)
            HELD[number] = made
        return number, value

    def _load(self, call: _Call, setup: Mapping[str, Any]) -> dict[str, Any]:
        """Initialize the plugins that the host wants; the account of it."""
        self._name = setup["environment"]
        self._as_arrow = setup["as_arrow"]
        if setup["memory_mb"] is not None:
            import resource

            limit = setup["memory_mb"] << 20
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        runtime = PROCESS.runtime
        check: Callable[[Outcome], None] | None = None
        if setup["options"]:
            from aimm_plugins._startup.plugin_options import check_all, denial_now, give_all

            options = give_all(setup["options"])
            check = partial(check_all, options, denial=partial(denial_now, runtime))
        runtime.verify_imports(setup["verified"])
        call.listens = True

        def announce(record: PluginRecord) -> None:
            """Report what is imported next, which may end this process; denies nothing."""
            call.report(str(record.provenance))

        loader = Loader(
            runtime.ledger,
            runtime.manager,
            runtime.versions,
            runtime.registry.loads,
            denial=announce,
        )
        outcome = loader.load(Plan(tuple(PluginRecord(**given) for given in setup["plugins"])))
        if check is not None:
            check(outcome)
        if any(record.state == "failed" for record in outcome.records):
            from aimm_plugins._discovery.scan import scan

            account_for(outcome, scan())
        report = register(runtime, Change(outcome.records, setup["prefer"], outcome.loaded))
        return self._account(outcome, report)

    def _account(self, outcome: Outcome, report: Report) -> dict[str, Any]:
        keys: dict[str, list[tuple[object, ...]]] = {}
        for (action, key), provider in PROCESS.runtime.registry.providers().items():
            entry = (action, key, provider.module, provider.qualname, provider.file, provider.line)
            keys.setdefault(provider.plugin, []).append(entry)
        with_hooks = {entry.record.identity for entry in outcome.loaded if entry.may_be_empty}
        as_they_are = ("state", "reason", "remedy", "import_seconds", "imports", "file")
        return {
            "python": VERSION,
            "records": {
                record.identity: {
                    **{name: getattr(record, name) for name in as_they_are},
                    "error": record.error
                    and self._carried(record.error, f"while loading {record.provenance}"),
                    "has_hooks": record.identity in with_hooks,
                    "keys": [k for k in keys.get(record.module, ()) if k[:2] in record.provides],
                }
                for record in report
            },
            "findings": [finding.to_dict() for finding in outcome.findings],
        }
