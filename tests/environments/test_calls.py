"""Calls of plugins that run in a process of their own."""

from __future__ import annotations

import asyncio
import os
import pickle
import threading
import time
from functools import partial
from typing import Any

import pytest

import aimm_plugins
from aimm_plugins import (
    EnvironmentLost,
    exec_data_access,
    exec_data_access_async,
    exec_deserialize,
    exec_fit,
    exec_fit_async,
    exec_instantiate,
    exec_predict,
    exec_predict_async,
    exec_serialize,
)
from tests.environments.conftest import Apart
from tests.support.threads import together

np = pytest.importorskip("numpy")


def test_a_plugin_of_an_environment_runs_in_another_process(apart: Apart) -> None:
    report = apart.start()
    assert [(r.name, r.state, r.environment) for r in report] == [("apart", "loaded", "apart")]
    assert apart.pid() != os.getpid()


def test_its_record_and_its_providers_name_the_environment(apart: Apart) -> None:
    (record,) = apart.start()
    provider = aimm_plugins.providers("predict")["predict", "counter"]
    assert (provider.environment, provider.plugin) == ("apart", "apart@apart")
    assert "in environment apart" in str(provider)
    assert record.to_dict()["environment"] == "apart"
    assert ("predict", "counter") in record.provides


def test_what_is_given_and_returned_is_that_of_any_call(apart: Apart) -> None:
    apart.start()
    assert exec_data_access("numbers", None, count=2) == [0, 1]
    given = ({"a": (1, None)}, [b"x", 2.5])
    assert exec_data_access("echo", None, *given, key={1, 2}) == (given, {"key": {1, 2}})


@pytest.mark.parametrize("size", [0, 10, 300_000, 3_000_000])
def test_arrays_arrive_as_they_were_sent(apart: Apart, size: int) -> None:
    apart.start()
    array = np.arange(size, dtype=float)
    ((back,), _) = exec_data_access("echo", None, array)
    assert np.array_equal(back, array)
    back += 1  # it is the caller's own
    assert np.array_equal(array, np.arange(size, dtype=float))


def test_an_instance_stays_in_its_process_and_is_called_by_a_handle(apart: Apart) -> None:
    apart.start()
    instance = exec_instantiate("counter", None, 5)
    assert (instance.model_type, instance.environment) == ("counter", "apart")
    assert instance.process == apart.pid()
    assert exec_fit("counter", instance, None, 3) is instance
    assert exec_predict("counter", instance) == (instance, 8)


def test_a_handle_says_where_its_instance_is(apart: Apart) -> None:
    apart.start()
    instance = exec_instantiate("counter")
    assert (
        repr(instance) == f"<instance 0 of counter in process {apart.pid()} of environment apart>"
    )
    with pytest.raises(
        AttributeError, match="has no attribute 'count' here: it is in another process"
    ):
        instance.count  # noqa: B018  # reading it raises


def test_bytes_of_an_instance_make_it_again(apart: Apart) -> None:
    apart.start()
    content = exec_serialize("counter", exec_instantiate("counter", None, 7))
    assert content == b"{'count': 7}"
    assert exec_predict("counter", exec_deserialize("counter", memoryview(content)))[1] == 7


def test_a_pickled_handle_is_its_instance_again(apart: Apart) -> None:
    apart.start()
    again = pickle.loads(pickle.dumps(exec_instantiate("counter", None, 7)))
    assert exec_predict("counter", again)[1] == 7


def test_state_events_reach_the_callback(apart: Apart) -> None:
    apart.start()
    events: list[Any] = []
    exec_fit("counter", exec_instantiate("counter"), events.append, 4)
    assert [event["progress"] for event in events] == [0, 0.25, 0.5, 0.75]


def test_what_a_callback_raises_ends_the_call_and_comes_out_as_it_is(apart: Apart) -> None:
    apart.start()
    instance = exec_instantiate("counter")
    stop = KeyError("stop")

    def callback(event: Any) -> None:
        if event["progress"] == 0.5:
            raise stop

    with pytest.raises(KeyError) as raised:
        exec_fit("counter", instance, callback, 4)
    assert raised.value is stop
    assert exec_predict("counter", instance)[1] == 2


THREADS = """
import threading

@data_access("threads", state_cb_arg_name="report")
def threads(*, report):
    mixed = []
    def work(number):
        for _ in range(30):
            try: report(number)
            except ValueError as error: mixed.append(error.args != (number,))
    started = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in started: thread.start()
    for thread in started: thread.join()
    return len(mixed), any(mixed)
"""


def test_what_a_callback_raises_reaches_the_thread_that_has_reported(apart: Apart) -> None:
    apart.plugin("other", THREADS)
    apart.start(plugins=["aimm-other"])

    def fail(number: Any) -> None:
        raise ValueError(number)

    assert exec_data_access("threads", fail) == (120, False)


def test_an_exception_has_its_class_and_the_traceback_of_the_process(apart: Apart) -> None:
    apart.start()
    with pytest.raises(ValueError, match="no such value") as raised:
        exec_data_access("fail", None, "value")
    assert raised.value.args == ("no such value",)
    notes = "\n".join(raised.value.__notes__)
    assert f"in process {apart.pid()} of environment apart:" in notes
    assert 'raise ValueError("no such value")' in notes
    assert "in data_access:fail  aimm-apart 1.0" in notes
    assert "aimm_plugins/" not in notes


def test_an_exception_whose_class_is_not_here_keeps_its_text(apart: Apart) -> None:
    apart.start()
    with pytest.raises(aimm_plugins.AimmPluginsError, match="Own: of the plugin's own class"):
        exec_data_access("fail", None, "own")


def test_what_cannot_be_sent_is_an_error_that_names_it(apart: Apart) -> None:
    apart.start()
    with pytest.raises(
        TypeError, match=r"was not called: argument 2, an object of builtins\.function"
    ):
        exec_data_access("echo", None, 1, lambda: None)
    with pytest.raises(TypeError, match=r"returned an object of apart\.Own .* in the host"):
        exec_data_access("fail", None, "object")


class OfAnotherVersion:
    """What the other side's version of its class cannot be made of."""

    def __reduce__(self) -> Any:
        return int, ("no number",)


def test_an_argument_that_cannot_be_made_there_is_an_error_before_the_call(apart: Apart) -> None:
    apart.start()
    message = (
        r"nothing was called: an argument holds something with builtins\.int in it, which cannot "
        r"be had in environment apart .*: ValueError: invalid literal .* Give plain data or arrays"
    )
    with pytest.raises(TypeError, match=message):
        exec_data_access("echo", None, OfAnotherVersion())


def test_arguments_that_do_not_fit_are_explained(apart: Apart) -> None:
    apart.start()
    with pytest.raises(TypeError, match="predict:counter cannot be called like this: too many"):
        exec_predict("counter", exec_instantiate("counter"), None, 1)
    with pytest.raises(TypeError, match="state_cb is a callable or None"):
        exec_predict("counter", None, 3)  # type: ignore[arg-type]


def test_calls_are_awaited(apart: Apart) -> None:
    apart.start()

    async def main() -> Any:
        instance = exec_instantiate("counter")
        await exec_fit_async("counter", instance, None, 2)
        return await asyncio.gather(*(exec_predict_async("counter", instance) for _ in range(5)))

    assert [result for _, result in asyncio.run(main())] == [2] * 5


def test_a_cancelled_task_ends_the_call_in_the_process(apart: Apart) -> None:
    apart.start()

    async def main() -> Any:
        instance = exec_instantiate("counter")
        began = asyncio.Event()
        loop = asyncio.get_running_loop()

        def callback(event: Any) -> None:
            loop.call_soon_threadsafe(began.set)

        task = asyncio.create_task(
            exec_fit_async("counter", instance, callback, 10_000, seconds=0.01)
        )
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return instance

    instance, pid = asyncio.run(main()), apart.pid()
    count = exec_predict("counter", instance)[1]
    time.sleep(0.2)
    assert exec_predict("counter", instance)[1] - count <= 1
    assert apart.pid() == pid


def test_a_call_whose_coroutine_is_closed_ends_in_the_process(apart: Apart) -> None:
    apart.start()
    pid = apart.pid()

    async def main() -> None:
        coroutine = exec_data_access_async("fail", None, "hang")
        coroutine.send(None)
        await asyncio.sleep(0.2)
        coroutine.close()

    asyncio.run(main())
    assert apart.pid() != pid


def test_a_token_ends_a_call_that_reports_nothing(apart: Apart) -> None:
    apart.start()
    pid, token = apart.pid(), aimm_plugins.CancelToken()
    threading.Timer(0.3, token.cancel, ["enough"]).start()
    with (
        aimm_plugins.reporting(None, cancel=token) as callback,
        pytest.raises(aimm_plugins.Cancelled),
    ):
        exec_data_access("fail", callback, "hang")
    assert apart.pid() != pid


def test_wrappers_and_monitors_of_the_host_see_the_call(apart: Apart) -> None:
    apart.start()
    seen: list[Any] = []

    class Doubling:
        @aimm_plugins.hookimpl(wrapper=True)
        def aimm_predict(self, model_type: str) -> Any:
            result = yield
            seen.append(model_type)
            return aimm_plugins.Result((result.value[0], 2 * result.value[1]))

    aimm_plugins.get_plugin_manager().register(Doubling(), "doubling")
    assert exec_predict("counter", exec_instantiate("counter", None, 4))[1] == 8
    assert seen == ["counter"]


def test_threads_call_at_once(apart: Apart) -> None:
    apart.start()
    done: list[Any] = []

    def work(number: int) -> None:
        for _ in range(20):
            done.append(exec_data_access("echo", None, number)[0] == (number,))

    together(*(partial(work, number) for number in range(8)))
    assert done == [True] * 160


def test_calls_that_follow_each_other_are_done_by_the_main_thread(apart: Apart) -> None:
    apart.plugin(
        "other",
        """
        import threading

        @data_access("thread")
        def thread(): return threading.current_thread() is threading.main_thread()
        """,
    )
    apart.start(plugins=["aimm-other"])
    assert [exec_data_access("thread") for _ in range(200)] == [True] * 200


def test_an_instance_is_of_one_process_of_several(apart: Apart) -> None:
    apart.start(processes=2)
    assert len({apart.pid() for _ in range(4)}) == 2
    for number in range(4):
        instance = exec_instantiate("counter", None, number)
        assert exec_predict("counter", instance)[1] == number


def test_output_of_a_plugin_does_not_get_into_the_protocol(
    apart: Apart, capsys: pytest.CaptureFixture[str]
) -> None:
    apart.start()
    assert exec_data_access("fail", None, "print") == "printed"
    assert exec_data_access("fail", None, "input") == ""
    assert exec_data_access("numbers") == [0, 1, 2]


def test_an_instance_of_another_environment_is_refused(apart: Apart) -> None:
    apart.plugin("other", "@predict(['other'])\ndef get(model): return 1\n")
    conf = apart.conf()
    conf["environments"]["second"] = {
        "path": conf["environments"]["apart"]["path"],
        "plugins": ["aimm-other"],
    }
    aimm_plugins.initialize(conf)
    with pytest.raises(TypeError, match="is of another environment than second: exec_serialize"):
        exec_predict("other", exec_instantiate("counter"))


def test_a_call_of_an_unloaded_environment_has_no_provider(apart: Apart) -> None:
    apart.start()
    instance = exec_instantiate("counter")
    aimm_plugins.unload_all()
    with pytest.raises(aimm_plugins.UnknownPluginError):
        exec_predict("counter", instance)
    apart.start()
    with pytest.raises(EnvironmentLost, match="was unloaded"):
        exec_predict("counter", instance)
