"""Times statements on request: one process, one state of the registry.

Run as a script with the name of a setup. Reads a request a line as JSON (`statement`, `awaits`,
`milliseconds`), answers with nanoseconds of CPU time a run.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from itertools import repeat
from time import process_time_ns
from typing import Any

Names = dict[str, Any]

BLOCKS = 3  # timed blocks an answer; the cheapest counts, since disturbance only ever adds

KEEP = ExitStack()
"""What a setup opens and the whole process needs."""


def predict(instance: Any, x: Any) -> Any:
    """What every dispatch below ends in."""
    return x


def _ours(keys: int = 1) -> Names:
    import aimm_plugins

    names = [f"model.{number}" for number in range(keys)]
    for name in names:
        aimm_plugins.predict([name])(predict)
    return {
        "exec_predict": aimm_plugins.exec_predict,
        "manager": aimm_plugins.get_plugin_manager(),
        "key": names[keys // 2],
        "instance": object(),
        "x": 1.0,
    }


class _Wrapper:
    """A plugin that wraps the prediction."""

    @staticmethod
    def make(marker: Any, name: str) -> Any:
        """A namespace with one wrapper, for the project of `marker`."""

        def wrapper() -> Any:
            return (yield)

        return type("Wrapper", (), {name: staticmethod(marker(wrapper=True)(wrapper))})()


def ours() -> Names:
    """This package with one key."""
    return _ours()


def ours_full() -> Names:
    """This package with 10,000 keys."""
    return _ours(10_000)


def _ours_wrapped(wrappers: int) -> Names:
    import aimm_plugins

    names = _ours()
    for _ in range(wrappers):
        names["manager"].register(_Wrapper.make(aimm_plugins.hookimpl, "aimm_predict"))
    return names


def ours_wrapped_1() -> Names:
    """This package with one wrapper around the prediction."""
    return _ours_wrapped(1)


def ours_wrapped_3() -> Names:
    """This package with three wrappers."""
    return _ours_wrapped(3)


def _monitor(*arguments: Any) -> None:
    """Sees a call begin or end, and does nothing."""


def ours_monitored() -> Names:
    """This package with a monitor of hook calls."""
    names = _ours()
    names["manager"].add_hookcall_monitoring(_monitor, _monitor)
    return names


def _identity(value: Any) -> Any:
    """What the actions without an instance end in, and serializing."""
    return value


def _declare_all(plugins: Any) -> Names:
    """All six actions, by this package or the original, which has the same decorators."""
    for name in ("data_access", "instantiate"):
        getattr(plugins, name)("model.0")(_identity)
    for name in ("serialize", "deserialize"):
        getattr(plugins, name)(["model.0"])(_identity)
    plugins.fit(["model.0"])(lambda instance, x: instance)
    actions = ("data_access", "instantiate", "fit", "serialize", "deserialize")
    calls = {f"exec_{name}": getattr(plugins, f"exec_{name}") for name in actions}
    return {**calls, "ignore": _monitor, "content": b"model"}


def ours_all() -> Names:
    """This package with a key of each action."""
    import aimm_plugins

    return {**_ours(), **_declare_all(aimm_plugins)}


def _ours_unknown(keys: int) -> Names:
    import aimm_plugins

    aimm_plugins.fit([f"model.{number}" for number in range(keys)])(_identity)

    def unknown() -> None:
        try:
            aimm_plugins.exec_fit("model.77q7", None)
        except aimm_plugins.UnknownPluginError:
            return
        raise AssertionError("somebody provides it")

    return {"unknown": unknown}


def ours_unknown_1000() -> Names:
    """This package with 1,000 keys of one function."""
    return _ours_unknown(1000)


def ours_unknown_100000() -> Names:
    """This package with 100,000 keys of one function."""
    return _ours_unknown(100_000)


def original() -> Names:
    """The package that this one takes after: a dict of functions."""
    from aimm import plugins

    plugins.predict(["model.0"])(predict)
    return {
        **_declare_all(plugins),
        "exec_predict": plugins.exec_predict,
        "key": "model.0",
        "instance": object(),
        "x": 1.0,
    }


def _hook(wrappers: int = 0) -> Names:
    import pluggy

    spec, impl = pluggy.HookspecMarker("bare"), pluggy.HookimplMarker("bare")

    class Specs:
        @spec(firstresult=True)
        def predict(
            self, model_type: Any, instance: Any, state_cb: Any, args: Any, kwargs: Any
        ) -> Any: ...

    class Router:
        def __init__(self) -> None:
            self.functions = {"model.0": predict}

        @impl
        def predict(
            self, model_type: Any, instance: Any, state_cb: Any, args: Any, kwargs: Any
        ) -> Any:
            return instance, self.functions[model_type](instance, *args, **kwargs)

    manager = pluggy.PluginManager("bare")
    manager.add_hookspecs(Specs)
    manager.register(Router())
    for _ in range(wrappers):
        manager.register(_Wrapper.make(impl, "predict"))
    return {
        "hook": manager.hook.predict,
        "manager": manager,
        "key": "model.0",
        "instance": object(),
        "x": 1.0,
    }


def hook() -> Names:
    """A bare pluggy hook with one implementation that looks a function up by key."""
    return _hook()


def hook_wrapped_1() -> Names:
    """That hook with one wrapper."""
    return _hook(1)


def hook_wrapped_3() -> Names:
    """That hook with three wrappers."""
    return _hook(3)


def hook_monitored() -> Names:
    """That hook with a monitor of hook calls."""
    names = _hook()
    names["manager"].add_hookcall_monitoring(_monitor, _monitor)
    return names


def bare() -> Names:
    """No framework at all."""

    def receive(event: Any) -> None:
        """What a caller's callback costs at the least."""

    return {"predict": predict, "receive": receive, "event": _event(), "instance": None, "x": 1.0}


def _event() -> dict[str, Any]:
    return {"phase": "fit", "step": 3, "total": 20, "metrics": {"loss": 0.25}}


def ours_state() -> Names:
    """This package's prediction with a state callback."""
    import aimm_plugins

    names = _ours()

    @aimm_plugins.predict(["model.state"], state_cb_arg_name="progress")
    def with_state(instance: Any, x: Any, *, progress: Any) -> Any:
        return x

    names["key"] = "model.state"
    names["callback"] = _monitor
    return names


def original_state() -> Names:
    """The original's prediction with a state callback."""
    from aimm import plugins

    names = original()

    def with_state(instance: Any, x: Any, *, progress: Any) -> Any:
        return x

    plugins.predict(["model.state"], state_cb_arg_name="progress")(with_state)
    names["key"] = "model.state"
    names["callback"] = _monitor
    return names


def held_back() -> Names:
    """A callback whose rate limit holds back all but one event a second."""
    import aimm_plugins

    reporting: Any = aimm_plugins.reporting  # type: ignore[attr-defined,unused-ignore]  # by version
    limited = KEEP.enter_context(reporting(_monitor, max_per_second=1))
    return {"limited": limited, "event": _event()}


def ours_async() -> Names:
    """This package with a synchronous and an asynchronous function."""
    import aimm_plugins

    async def predict_async(instance: Any, x: Any) -> Any:
        return x

    names = _ours()
    aimm_plugins.predict(["model.async"])(predict_async)
    names["exec_predict_async"] = getattr(aimm_plugins, "exec_predict_async", None)
    names["predict_async"] = predict_async
    names["key_async"] = "model.async"
    return names


def compiled(statement: str, names: Names, *, awaits: bool) -> Callable[[int], int]:
    """A function that runs a statement so many times and returns nanoseconds of CPU time."""
    source = (
        f"{'async ' if awaits else ''}def loop(count):\n"
        "    items = repeat(None, count)\n"
        "    begin = process_time_ns()\n"
        "    for _ in items:\n"
        f"        {statement}\n"
        "    return process_time_ns() - begin\n"
    )
    space = {**names, "repeat": repeat, "process_time_ns": process_time_ns}
    exec(source, space)
    loop: Any = space["loop"]
    if not awaits:
        run: Callable[[int], int] = loop
        return run
    runner = KEEP.enter_context(asyncio.Runner())
    return lambda count: runner.run(loop(count))


def serve(names: Names) -> None:
    """Answer requests until there are no more."""
    gc.collect()
    gc.disable()
    empty = compiled("pass", {}, awaits=False)
    overhead = min(empty(20_000) for _ in range(20)) / 20_000
    loops: dict[str, tuple[Callable[[int], int], int]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        statement = request["statement"]
        if statement not in loops:
            loop = compiled(statement, names, awaits=request["awaits"])
            loop(10)
            count, wanted = 10, request["milliseconds"] * 1e6
            while (took := loop(count)) < wanted / 8:
                count *= 4
            loops[statement] = loop, max(1, int(count * wanted / took))
        loop, count = loops[statement]
        print(min(loop(count) for _ in range(BLOCKS)) / count - overhead, flush=True)


if __name__ == "__main__":
    with KEEP:
        serve(globals()[sys.argv[1]]())
