"""Read by mypy and pyright, never run: calls, awaited calls, state events."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, assert_type

import aimm_plugins
from aimm_plugins import CancelToken, StateCallback, StateEvent, progress, reporting, state_event
from aimm_plugins.reporters import logging_reporter, rich_reporter

if TYPE_CHECKING:
    from rich.progress import Progress


def report(state: dict[str, Any]) -> None: ...


def host(bars: Progress) -> None:
    assert_type(aimm_plugins.exec_predict("m", 1, report, 2, more=3), tuple[Any, Any])
    assert_type(aimm_plugins.exec_serialize("m", 1), bytes | bytearray | memoryview)
    with reporting(report, max_per_second=5, stall_after=30, cancel=CancelToken()) as state_cb:
        assert_type(state_cb, StateCallback)
        aimm_plugins.exec_fit("m", 1, state_cb)
    with reporting(None, on_error="log", cancel=threading.Event()):
        pass
    aimm_plugins.exec_fit("m", 1, rich_reporter(bars))
    aimm_plugins.exec_fit("m", 1, logging_reporter(logging.root))
    reporting(report, on_error="hide")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # wrong on purpose


async def asynchronous_host() -> None:
    assert_type(await aimm_plugins.exec_predict_async("m", 1, report, 2), tuple[Any, Any])
    assert_type(await aimm_plugins.exec_serialize_async("m", 1), bytes | bytearray | memoryview)
    await aimm_plugins.exec_deserialize_async("m", b"")
    await aimm_plugins.exec_data_access_async("d", None, more=1)
    await aimm_plugins.exec_fit_async("m", 1, 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # wrong on purpose


@aimm_plugins.fit(["m"], state_cb_arg_name="state_cb")
async def learn(model: int, *, state_cb: StateCallback) -> int:
    steps = progress(state_cb, range(3), phase="fit", metrics={"loss": 1.0})
    assert_type(steps, Iterator[int])
    state_cb(state_event(step=1))
    event: StateEvent = {"step": 1, "metrics": {"loss": 0.5}}
    state_cb({**event, "own": 1})
    return model


@aimm_plugins.serialize(["m"])
async def save(model: int) -> bytes:
    return b""
