"""Server start-up: load plugins next to the event loop, and serve how that went.

`Startup` loads plugins once for a server and answers `/plugins` with the report and
`/plugins/ready` with 200 or 503, for readiness probes. It is an ASGI application, and its
`lifespan` fits Starlette and FastAPI; `StartupMiddleware` puts both around any application. Only
the standard library is needed.
"""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import contextvars
import json
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, Literal

import aimm_plugins
from aimm_plugins._system.log import logger
from aimm_plugins._system.text import described, safe_text
from aimm_plugins._values.report import Report
from aimm_plugins.contrib._readiness import LoadStatus

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Conf = Mapping[str, object] | str | os.PathLike[str] | None

_KINDS: dict[str | None, str] = {"": "report", "/": "report", "/ready": "ready", "/ready/": "ready"}


def _begin_load(conf: Conf, quiet: bool) -> concurrent.futures.Future[BaseException | None]:
    """Call `initialize` in a thread of its own; gives what it raised.

    The thread is not one of a pool: asyncio waits for the threads of its pool when it ends, so an
    import that hangs would keep the process from ending.
    """
    load: concurrent.futures.Future[BaseException | None] = concurrent.futures.Future()
    load.set_running_or_notify_cancel()  # a task that awaits it cannot cancel it then

    def run() -> None:
        raised = None
        try:
            aimm_plugins.initialize(conf)
        except BaseException as error:  # the event loop waits for the outcome, whatever it is
            raised = error
            if not quiet:
                logger().error("plugins are not loaded: %s", safe_text(error), exc_info=error)
        load.set_result(raised)
        if isinstance(raised, KeyboardInterrupt):
            # The host should get it, and an exception of this thread does not reach the host.
            _thread.interrupt_main()

    context = contextvars.copy_context()
    name = "aimm_plugins start-up"
    threading.Thread(target=context.run, args=(run,), name=name, daemon=True).start()
    return load


class Startup:
    """The plugins of a server: loaded when it starts, and accounted for as long as it runs.

    An instance is an ASGI application that answers `GET` and `HEAD` of `path` with the report (as
    in `schemas/report.yaml`) and of `path/ready` with the readiness (`schemas/readiness.yaml`). It
    can be mounted, at `path` or anywhere, or be served by itself. Its `lifespan` starts the load.

    A server is ready (200, else 503) once `initialize` has returned and as long as all that the
    conf or the operator's policy requires is there: every distribution loaded with all its keys,
    every key answered. A plugin that fails under `on_error: isolate` and is not required does not
    make it unready.

    Entered more than once, by several applications or event loops of a process, it loads once, and
    ends when the last of them is left. A load that is running when the server stops is not waited
    for: its thread is a daemon. `KeyboardInterrupt` from an import interrupts the main thread too.

    Args:
        conf: As for `aimm_plugins.initialize`.
        wait: Whether the server waits for plugins before it accepts connections; a number of
            seconds waits that long at most. Needs asyncio; else any event loop will do.
        on_failure: What follows when `initialize` raises. `"report"`: the server runs and is not
            ready, so that the probe can tell why. `"raise"`: the server's start fails with that
            error, which needs `wait=True`.
        details: Whether messages of errors, reasons, findings, options and paths are served. They
            may hold what the public should not read. Tracebacks go to the log only, always.
        path: Where the report is.

    Raises:
        ValueError: `on_failure` is neither, or is `"raise"` without `wait=True`; `path` does not
            begin with `/`, or ends with one.

    Reference: https://asgi.readthedocs.io/en/latest/specs/lifespan.html
    """

    def __init__(
        self,
        conf: Conf = None,
        *,
        wait: bool | float = False,
        on_failure: Literal["report", "raise"] = "report",
        details: bool = False,
        path: str = "/plugins",
    ) -> None:
        if on_failure not in ("report", "raise"):
            raise ValueError(f"on_failure is 'report' or 'raise', not {on_failure!r}")
        if on_failure == "raise" and wait is not True:
            raise ValueError(
                "on_failure='raise' needs wait=True: a server that has started cannot fail to start"
            )
        if not path.startswith("/") or path.endswith("/"):
            raise ValueError(f"path is such as '/plugins', not {path!r}")
        self._conf = conf
        self._seconds = None if wait is True else float(wait)
        self._raises = on_failure == "raise"
        self._details = details
        self._path = path
        self._lock = threading.Lock()
        self._users = 0
        self._load: concurrent.futures.Future[BaseException | None] | None = None
        self._told: set[str] = set()

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncGenerator[None]:
        """Load plugins while the context is open: `Starlette(lifespan=startup.lifespan)`.

        For a lifespan of your own, enter this one in it: `async with startup.lifespan(app): ...`

        Args:
            app: The application, as Starlette gives it; not used.

        Raises:
            PluginLoadError, ConfigError: As `initialize` raises them, under `on_failure="raise"`.
        """
        await self._enter()
        try:
            yield
        finally:
            self._leave()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._around(_no_lifespan, scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        elif not await self._answer(scope, send, mounted=True):
            await _respond(scope, send, 404, {"detail": "not found"})

    @property
    def ready(self) -> bool:
        """Whether plugins are loaded and all that is required is there."""
        return self.readiness()["ready"] is True

    def readiness(self, *, details: bool = False) -> dict[str, Any]:
        """What a probe is told, as in `schemas/readiness.yaml`.

        Args:
            details: With the message of the error that ended the load.
        """
        return self._status().readiness(details)

    def report(self) -> Report | None:
        """What is registered now, or what was tried where the load failed.

        `None` where there is neither: before the load is done, after the server has stopped, and
        where the conf could not be read.
        """
        return self._status().report()

    async def _answer(self, scope: Scope, send: Send, *, mounted: bool = False) -> bool:
        """Answer a request, if it is for one of the two addresses; returns whether it was.

        A framework that mounts an application adds its place to `root_path`, and may take it out of
        `path`.
        """
        path = _behind(scope.get("root_path", ""), scope["path"])
        path = scope["path"] if path is None else path
        inside = _behind(self._path, path)
        kind = _KINDS.get(path if inside is None and mounted else inside)
        if kind is None:
            return False
        status = self._status()
        if scope["method"] not in ("GET", "HEAD"):
            detail = {"detail": "method not allowed"}
            await _respond(scope, send, 405, detail, (b"allow", b"GET, HEAD"))
        elif kind == "ready":
            readiness = status.readiness(self._details)
            await _respond(scope, send, 200 if readiness["ready"] else 503, readiness)
        else:
            await _respond(scope, send, 200, status.served_report(self._details, self._told))
        return True

    async def _around(self, app: Application, scope: Scope, receive: Receive, send: Send) -> None:
        """Take part in the lifespan of an application, which gets and sends its messages as ever.

        The load begins before the application starts (and is waited for, if asked). An application
        that takes no lifespan is left alone.
        """
        first: Message | None = await receive()
        try:
            await self._enter()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": safe_text(error)})
            return
        answered = False

        async def receive_all() -> Message:
            nonlocal first
            message, first = first, None
            return await receive() if message is None else message

        async def send_on(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            try:
                await app(scope, receive_all, send_on)
            except Exception as error:
                if answered:
                    raise
                # An application without a lifespan raises; that is how the protocol says so.
                logger().info("the application takes no lifespan: %s", described(error))
            if not answered:
                await send({"type": "lifespan.startup.complete"})
                await receive()
                await send({"type": "lifespan.shutdown.complete"})
        finally:
            self._leave()

    async def _enter(self) -> None:
        with self._lock:
            self._users += 1
            load = self._load
            if load is None or (self._users == 1 and load.done()):
                load = self._load = _begin_load(self._conf, quiet=self._raises)
        try:
            if self._seconds != 0:
                # `wait_for` would raise when time is up, which is not a failure of the server.
                await asyncio.wait([asyncio.wrap_future(load)], timeout=self._seconds)
            error = load.result() if self._raises and load.done() else None
            if error is not None:
                if not isinstance(error, Exception):
                    raise RuntimeError("the import of plugins was interrupted") from error
                raise error
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1

    def _status(self) -> LoadStatus:
        load, users = self._load, self._users
        if load is None:
            return LoadStatus("not-started")
        if not users:
            return LoadStatus("stopped")
        if not load.done():
            return LoadStatus("loading")
        error = load.result()
        return LoadStatus(None if error is None else "failed", error)


def _behind(prefix: str, path: str) -> str | None:
    """What follows a prefix in a path, or `None` where the path is another one."""
    prefix = prefix.rstrip("/")
    if path == prefix or path.startswith(f"{prefix}/"):
        return path[len(prefix) :]
    return None


async def _no_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that does nothing."""


async def _respond(
    scope: Scope, send: Send, status: int, content: object, *headers: tuple[bytes, bytes]
) -> None:
    body = json.dumps(content).encode()
    all_headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


class StartupMiddleware:
    """An application with a `Startup` around it: its lifespan loads plugins, its addresses answer.

    `app.add_middleware(StartupMiddleware, startup=Startup("plugins.yaml"))` is all that FastAPI or
    Starlette need; `StartupMiddleware(app, startup)` does it for any ASGI application. All requests
    but those of the two addresses go to the application, also while plugins are being loaded.

    Args:
        app: The application.
        startup: What it is given.
    """

    def __init__(self, app: Application, startup: Startup) -> None:
        self._app = app
        self._startup = startup

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._startup._around(self._app, scope, receive, send)
        elif scope["type"] != "http" or not await self._startup._answer(scope, send):
            await self._app(scope, receive, send)
