"""Read by mypy and pyright, never run: what Starlette and FastAPI take of the server's start-up."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from aimm_plugins.contrib.asgi import Startup, StartupMiddleware

startup = Startup(Path("plugins.yaml"), wait=5.0, details=True)
Starlette(lifespan=startup.lifespan, routes=[Mount("/plugins", startup)])
Starlette(middleware=[Middleware(StartupMiddleware, startup=startup)])
application = FastAPI(lifespan=startup.lifespan)
application.mount("/plugins", startup)
application.add_middleware(StartupMiddleware, startup=startup)
StartupMiddleware(application, startup)
StartupMiddleware(startup, startup)
Startup(on_failure="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # wrong on purpose


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    async with startup.lifespan(app):
        yield


FastAPI(lifespan=lifespan)
