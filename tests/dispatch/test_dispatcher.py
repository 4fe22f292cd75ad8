"""Calling: results, callbacks, errors, wrappers, executors, monitors."""

from __future__ import annotations

import asyncio
import functools
import inspect
import operator
import pickle
import sys
from types import SimpleNamespace

import pluggy
import pytest

import aimm_plugins
from aimm_plugins import Result, UnknownPluginError, hookimpl
from tests.conftest import names


@pytest.fixture
def manager():
    return aimm_plugins.get_plugin_manager()


def test_none_is_a_result():
    aimm_plugins.data_access("d")(lambda: None)
    assert aimm_plugins.exec_data_access("d") is None


def test_predict_adds_the_instance_it_was_given():
    aimm_plugins.predict(["m"])(lambda instance, x: x + 1)
    assert aimm_plugins.exec_predict("m", "i", None, 2) == ("i", 3)


def test_predict_may_return_another_instance():
    aimm_plugins.predict(["m"], returns_instance=True)(lambda instance: ("new", 1))
    assert aimm_plugins.exec_predict("m", "old") == ("new", 1)


def test_returns_instance_demands_a_pair():
    aimm_plugins.predict(["m"], returns_instance=True)(lambda instance: 5)
    with pytest.raises(TypeError, match=r"\(instance, prediction\) and returned int"):
        aimm_plugins.exec_predict("m", "old")


def test_callback_is_the_callers_own_object():
    aimm_plugins.data_access("d", "cb")(lambda cb: cb)
    callback = lambda state: None  # its identity is what matters
    assert aimm_plugins.exec_data_access("d", callback) is callback


@pytest.mark.parametrize("given", [(), (None,)])
def test_plugin_always_gets_a_callable(given):
    aimm_plugins.data_access("d", "cb")(lambda cb: cb({"step": 1}))
    assert aimm_plugins.exec_data_access("d", *given) is None


def test_data_in_place_of_the_callback_is_explained():
    aimm_plugins.fit(["m"])(lambda m, x: m)
    with pytest.raises(TypeError, match="comes before the arguments"):
        aimm_plugins.exec_fit("m", 1, [1, 2])


def test_data_in_place_of_the_callback_is_explained_before_a_wrapper_sees_it(manager):
    log = []

    class Both(Wrapper):
        @hookimpl(wrapper=True)
        def aimm_data_access(self):
            log.append("data access")
            return (yield)

    manager.register(Both(log))
    aimm_plugins.predict(["m"])(lambda m, x: x)
    aimm_plugins.data_access("d")(lambda x: x)
    with pytest.raises(TypeError, match="comes before the arguments"):
        aimm_plugins.exec_predict("m", 1, [1, 2])
    with pytest.raises(TypeError, match="comes before the arguments"):
        aimm_plugins.exec_data_access("d", [1, 2])
    assert log == []


@pytest.mark.parametrize(("keyword", "role"), [("cb", "state callback"), ("model", "instance")])
def test_reserved_keyword_is_an_error_that_names_it(keyword, role):
    aimm_plugins.fit(["m"], "cb", "model")(lambda x, cb, model: model)
    with pytest.raises(TypeError, match=f"{keyword!r} is where.*{role}"):
        aimm_plugins.exec_fit("m", 1, None, 2, **{keyword: 3})


def test_instance_goes_where_the_plugin_wants_it():
    aimm_plugins.fit(["m"], instance_arg_name="model")(lambda x, *, model: (x, model))
    assert aimm_plugins.exec_fit("m", "i", None, "x") == ("x", "i")


def test_unknown_argument_shows_signature_and_nearest():
    def learn(model, x, *, epochs=1): ...

    aimm_plugins.fit(["m"])(learn)
    with pytest.raises(TypeError, match=r"(?s)'epoch'.*did you mean 'epochs'.*\(model, x") as e:
        aimm_plugins.exec_fit("m", 1, None, 2, epoch=3)
    assert "test_dispatcher.py:" in str(e.value)


def test_type_error_inside_the_plugin_is_left_alone():
    aimm_plugins.fit(["m"])(lambda m: len(5))
    with pytest.raises(TypeError, match="has no len") as caught:
        aimm_plugins.exec_fit("m", 1)
    assert "in fit:m" in caught.value.__notes__[0]


def test_missing_argument_of_a_builtin_is_left_alone():
    aimm_plugins.data_access("d")(print)
    with pytest.raises(TypeError):
        aimm_plugins.exec_data_access("d", None, 1, bogus=2)


def test_wrong_instance_of_a_model_class_is_explained():
    aimm_plugins.predict(["x"])(lambda m: m)

    @aimm_plugins.model(model_type="m")
    class M:
        def fit(self): ...
        def predict(self): ...
        def serialize(self): ...
        @staticmethod
        def deserialize(data): ...

    with pytest.raises(TypeError, match="is a int, which has no method predict"):
        aimm_plugins.exec_predict("m", 5)


class Refusing:
    """Fails inside `__init__`, after taking the arguments."""

    def __init__(self, x):
        int(x)


def plus_one(function):
    @functools.wraps(function)
    def decorated(model, x):
        return function(model, x + 1)

    return decorated


@plus_one
def scale(model, x, factor=2):
    return x * factor


def shielding(function):
    @functools.wraps(function)
    def decorated(*args, **kwargs):
        return function(*args, **kwargs)

    return decorated


def claiming(*args, **kwargs):
    raise TypeError("own")


# As some decorators leave it: not what the function takes.
claiming.__signature__ = inspect.Signature()


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (claiming, (1,), {"x": 1}),
        (lambda m, x: len(x), (5,), {}),
        (lambda m, x: x(1, 2), (lambda: None,), {}),
        (lambda m, x: m.absent, (1,), {}),
        (lambda m, x: aimm_plugins.exec_fit("absent", m, [1]), (1,), {}),
        (scale, ("text",), {}),
        (shielding(lambda m, x: x), (1, 2), {}),
        (shielding(lambda m, x: x), (), {"y": 2}),
        (functools.partial(operator.add), (1,), {}),
        (operator.add, ([],), {}),
    ],
)
def test_error_of_code_that_was_entered_is_never_rewritten(function, args, kwargs):
    aimm_plugins.fit(["m"])(function)
    with pytest.raises(Exception) as plain:
        function("text", *args, **kwargs)
    with pytest.raises(type(plain.value)) as caught:
        aimm_plugins.exec_fit("m", "text", None, *args, **kwargs)
    assert str(caught.value) == str(plain.value)
    assert "in fit:m" in caught.value.__notes__[0]


def test_misfit_is_explained_though_a_default_has_no_text():
    class Unprintable:
        def __repr__(self):
            raise RuntimeError("no text")

    default = Unprintable()

    @aimm_plugins.data_access("d")
    def load(path, sep=default): ...

    with pytest.raises(TypeError, match=r"missing a required argument: 'path'\n.*load\(\.\.\.\)"):
        aimm_plugins.exec_data_access("d")


def test_error_of_a_callable_object_without_a_sound_signature_is_left_alone():
    class Odd:
        __call__ = operator.itemgetter(0)

        @property
        def __signature__(self):
            raise RuntimeError("no signature")

    aimm_plugins.data_access("d")(Odd())
    with pytest.raises(TypeError, match="itemgetter expected 1 argument"):
        aimm_plugins.exec_data_access("d")


def test_error_inside_a_constructor_is_left_alone_and_its_misfit_explained():
    aimm_plugins.instantiate("m")(Refusing)
    with pytest.raises(TypeError, match=r"int\(\) argument"):
        aimm_plugins.exec_instantiate("m", None, [])
    with pytest.raises(TypeError, match=r"'y'.*\n  Refusing\(x\)\n.*test_dispatcher\.py:"):
        aimm_plugins.exec_instantiate("m", None, y=1)


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "missing a required argument: 'x'"),
        ((1, 2, 3), {}, "4 given, with the instance, and it takes 3"),
        ((), {"y": 2}, "argument: 'x'; there is no argument 'y'"),
        ((1,), {"model": 2}, "multiple values for argument 'model'"),
        ((1,), {"facto": 2}, r"'facto' \(did you mean 'factor'\?\)"),
    ],
)
def test_misfit_names_the_argument_and_shows_the_signature(args, kwargs, message):
    def learn(model, x, factor=2): ...

    aimm_plugins.fit(["m"])(learn)
    with pytest.raises(TypeError, match=message) as caught:
        aimm_plugins.exec_fit("m", 1, None, *args, **kwargs)
    assert "\n  test_misfit_names_the_argument_and_shows_the_signature.<locals>.learn(model" in str(
        caught.value
    )
    assert "fit:m cannot be called like this" in str(caught.value)


@pytest.mark.parametrize("name", ["state_cb", "cb", "callback"])
def test_state_callback_that_was_not_asked_for_is_pointed_out(name):
    aimm_plugins.fit(["m"])(eval(f"lambda model, {name}: model"))
    with pytest.raises(TypeError, match=f"decorate with state_cb_arg_name='{name}'"):
        aimm_plugins.exec_fit("m", 1, print)


@pytest.mark.parametrize("name", ["x", "state_cb_seconds"])
def test_missing_argument_that_is_no_callback_is_not_taken_for_one(name):
    aimm_plugins.fit(["m"])(eval(f"lambda model, {name}: model"))
    with pytest.raises(TypeError, match="missing") as caught:
        aimm_plugins.exec_fit("m", 1, print)
    assert "state_cb_arg_name" not in str(caught.value)


def test_misfit_counts_what_the_caller_may_give():
    aimm_plugins.data_access("d", "cb")(lambda x, *, cb: x)
    with pytest.raises(TypeError, match=r"arguments: 2 given and it takes 1\n"):
        aimm_plugins.exec_data_access("d", None, 1, 2)


def test_misfit_of_a_decorated_function_shows_what_refused():
    """The decorator's function takes less than the one that it wraps."""
    aimm_plugins.fit(["m"])(scale)
    with pytest.raises(TypeError, match=r"(?s)'factor'.*scale\(model, x\)"):
        aimm_plugins.exec_fit("m", 1, None, 2, factor=3)


def test_misfit_never_suggests_what_the_caller_may_not_give():
    aimm_plugins.fit(["m"], "report")(lambda model, x, *, report: x)
    with pytest.raises(TypeError) as caught:
        aimm_plugins.exec_fit("m", 1, None, 2, reports=3)
    assert "did you mean" not in str(caught.value)


def test_misfit_of_a_method_is_explained():
    @aimm_plugins.model(model_type="m")
    class M:
        def fit(self, x): ...
        def predict(self): ...
        def serialize(self): ...
        @staticmethod
        def deserialize(data): ...

    with pytest.raises(TypeError, match=r"missing a required argument: 'x'\n.*fit\(x\)"):
        aimm_plugins.exec_fit("m", M())


def test_misfit_behind_a_wrapper_is_explained_too(manager):
    aimm_plugins.predict(["m"])(lambda model, x: x)
    manager.register(Wrapper([]))
    with pytest.raises(TypeError, match="missing a required argument: 'x'"):
        aimm_plugins.exec_predict("m", 1)


def test_exception_arrives_as_it_is_with_a_note_and_its_cause():
    error = KeyError("own")

    def fail(m):
        raise error from ValueError("cause")

    aimm_plugins.fit(["m"])(fail)
    for _ in range(2):
        with pytest.raises(KeyError) as caught:
            aimm_plugins.exec_fit("m", 1)
    assert caught.value is error
    assert isinstance(error.__cause__, ValueError)
    assert len(error.__notes__) == 1


def test_exception_that_takes_no_note_still_arrives():
    class Bare(Exception):
        def add_note(self, note):
            raise RuntimeError

    def fail():
        raise Bare

    aimm_plugins.data_access("d")(fail)
    with pytest.raises(Bare):
        aimm_plugins.exec_data_access("d")


def test_unknown_key_names_the_nearest_and_other_actions():
    aimm_plugins.fit(["iris.svc"])(lambda m: m)
    aimm_plugins.predict(["iris.knn"])(lambda m: m)
    with pytest.raises(UnknownPluginError, match=r"nearest: fit:iris\.svc"):
        aimm_plugins.exec_fit("iris.svm", 1)
    with pytest.raises(UnknownPluginError, match=r"under other actions: predict:iris\.knn"):
        aimm_plugins.exec_fit("iris.knn", 1)


@pytest.mark.parametrize("key", [5, None, ()])
@pytest.mark.parametrize("wrapped", [True, False])
def test_key_that_is_no_text_is_unknown(manager, key, wrapped):
    if wrapped:
        manager.register(Wrapper([]))
    with pytest.raises(UnknownPluginError, match="a key is a str"):
        aimm_plugins.exec_predict(key, 1)
    with pytest.raises(UnknownPluginError, match="a key is a str"):
        manager.hook.aimm_predict(model_type=key, instance=1, state_cb=None, args=(), kwargs={})


def test_key_that_cannot_be_hashed_is_a_type_error():
    with pytest.raises(TypeError, match="unhashable"):
        aimm_plugins.exec_predict([], 1)


def test_unknown_key_is_told_without_the_lookup_that_failed(manager):
    for _ in range(2):
        with pytest.raises(UnknownPluginError) as caught:
            aimm_plugins.exec_predict("nobody", 1)
        assert caught.value.__context__ is None
        manager.register(Wrapper([]))


def test_unknown_error_is_a_lookup_and_a_value_error():
    with pytest.raises(LookupError) as caught:
        aimm_plugins.exec_serialize("nobody", 1)
    assert isinstance(caught.value, ValueError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


class Wrapper:
    def __init__(self, log):
        self.log = log

    @hookimpl(wrapper=True)
    def aimm_predict(self, model_type, instance, args):
        self.log.append((model_type, instance, args))
        result = yield
        self.log.append(result)
        return Result((result.value[0], "wrapped"))


def test_wrapper_sees_and_changes_every_call(manager):
    aimm_plugins.predict(["m"])(lambda m, x: x)
    assert aimm_plugins.exec_predict("m", 1, None, 2) == (1, 2)
    log = []
    wrapper = Wrapper(log)
    manager.register(wrapper)
    assert aimm_plugins.exec_predict("m", 1, None, 2) == (1, "wrapped")
    assert log == [("m", 1, (2,)), Result((1, 2))]
    manager.unregister(wrapper)
    assert aimm_plugins.exec_predict("m", 1, None, 2) == (1, 2)


def test_wrapper_that_returns_no_result_is_named(manager):
    aimm_plugins.predict(["m"])(lambda m: m)

    class Bad:
        @hookimpl(wrapper=True)
        def aimm_predict(self):
            yield
            return 5

    manager.register(Bad(), "bad-wrapper")
    with pytest.raises(TypeError, match="bad-wrapper"):
        aimm_plugins.exec_predict("m", 1)


@pytest.mark.parametrize("options", [{}, {"trylast": True}, {"tryfirst": True}])
def test_executor_answers_or_passes(manager, options):
    aimm_plugins.data_access("local")(lambda: "declared")

    class Executor:
        @hookimpl(**options)
        def aimm_data_access(self, name):
            return Result(None) if name == "remote" else None

    manager.register(Executor())
    assert aimm_plugins.exec_data_access("remote") is None
    assert aimm_plugins.exec_data_access("local") == "declared"
    with pytest.raises(UnknownPluginError):
        aimm_plugins.exec_data_access("nowhere")


def test_executor_that_returns_a_bare_value_is_named(manager):
    aimm_plugins.data_access("d")(lambda: 1)

    class Executor:
        @hookimpl
        def aimm_data_access(self):
            return 5

    manager.register(Executor(), "careless")
    with pytest.raises(TypeError, match=r"Executor\.aimm_data_access of plugin careless"):
        aimm_plugins.exec_data_access("d")


@pytest.mark.parametrize("wrapper", [True, False])
def test_result_of_predict_that_is_no_pair_is_told(manager, wrapper):
    class Careless:
        if wrapper:

            @hookimpl(wrapper=True)
            def aimm_predict(self):
                return Result([*(yield).value])
        else:

            @hookimpl
            def aimm_predict(self):
                return Result(["i", 1])

    manager.register(Careless(), "careless")
    aimm_plugins.predict(["m"])(lambda instance: 1)
    told = r"returned list for predict:m; .*\(instance, prediction\).*careless"
    with pytest.raises(TypeError, match=told):
        aimm_plugins.exec_predict("m", "i")
    with pytest.raises(TypeError, match=told):
        asyncio.run(aimm_plugins.exec_predict_async("m", "i"))


def test_hook_call_gives_a_boxed_result(manager):
    aimm_plugins.serialize(["m"])(lambda m: b"x")
    aimm_plugins.deserialize(["m"])(lambda data: data.decode())
    aimm_plugins.instantiate("m")(lambda a: a)
    aimm_plugins.fit(["m"])(lambda m: m)
    assert manager.hook.aimm_serialize(model_type="m", instance=1) == Result(b"x")
    assert manager.hook.aimm_deserialize(model_type="m", instance_bytes=b"y") == Result("y")
    both = {"state_cb": None, "args": (), "kwargs": {}}
    assert manager.hook.aimm_instantiate(
        model_type="m", state_cb=None, args=(3,), kwargs={}
    ) == Result(3)
    assert manager.hook.aimm_fit(model_type="m", instance=4, **both) == Result(4)


def test_monitors_see_every_call_and_end_in_any_order(manager):
    aimm_plugins.data_access("d")(lambda: 1)
    seen = []

    def monitor(name):
        return manager.add_hookcall_monitoring(
            lambda hook, impls, kwargs: seen.append((name, hook)),
            lambda outcome, hook, impls, kwargs: None,
        )

    first, second = monitor("first"), monitor("second")
    aimm_plugins.exec_data_access("d")
    first()
    aimm_plugins.exec_data_access("d")
    second()
    aimm_plugins.exec_data_access("d")
    hook = "aimm_data_access"
    # As pluggy has it, the monitor that was added last is outermost.
    assert seen == [("second", hook), ("first", hook), ("second", hook)]


def test_tracing_of_pluggy_sees_calls(manager):
    aimm_plugins.data_access("d")(lambda: 1)
    lines = []
    manager.trace.root.setwriter(lines.append)
    undo = manager.enable_tracing()
    aimm_plugins.exec_data_access("d")
    undo()
    manager.trace.root.setwriter(None)
    assert any("aimm_data_access" in line for line in lines)


def test_misspelled_hookimpl_is_refused_whole(manager):
    class Odd:
        @hookimpl
        def aimm_fit(self): ...

        @hookimpl
        def aimm_predct(self): ...

    odd = Odd()
    with pytest.raises(pluggy.PluginValidationError, match="did you mean aimm_predict"):
        manager.register(odd)
    assert not manager.is_registered(odd)
    assert manager.hook.aimm_fit.get_hookimpls() == []


def test_cancelling_exception_of_the_callback_passes_through():
    class Stop(BaseException):
        pass

    def stop(state):
        raise Stop

    aimm_plugins.fit(["m"], "cb")(lambda m, cb: cb({}))
    with pytest.raises(Stop):
        aimm_plugins.exec_fit("m", 1, stop)


def test_call_extra_asks_its_methods_before_the_declared_function(manager):
    aimm_plugins.data_access("d")(lambda: 1)
    arguments = {"name": "d", "state_cb": None, "args": (), "kwargs": {}}
    call = manager.hook.aimm_data_access.call_extra
    assert call([lambda name: Result("extra")], arguments) == Result("extra")
    assert call([lambda name: None], arguments) == Result(1)
    assert aimm_plugins.exec_data_access("d") == 1


def test_subset_hook_caller_leaves_plugins_out(manager):
    aimm_plugins.predict(["m"])(lambda m, x: x)
    wrapper = Wrapper([])
    manager.register(wrapper)
    arguments = {"model_type": "m", "instance": 1, "state_cb": None, "args": (2,), "kwargs": {}}
    subset = manager.subset_hook_caller("aimm_predict", [wrapper])
    assert subset(**arguments) == Result((1, 2))
    assert manager.hook.aimm_predict(**arguments) == Result((1, "wrapped"))


def test_hooks_of_ones_own_stand_beside(manager):
    class Specs:
        @pluggy.HookspecMarker("aimm_plugins")
        def own_hook(self, x): ...

        @pluggy.HookspecMarker("aimm_plugins")(historic=True)
        def own_history(self, x): ...

    class Plugin:
        @hookimpl
        def own_hook(self, x):
            return x + 1

        @hookimpl
        def own_history(self, x):
            seen.append(x)

    seen = []
    if not hasattr(manager.hook, "own_hook"):
        manager.add_hookspecs(Specs)
    manager.hook.own_history.call_historic(kwargs={"x": 1})
    manager.register(Plugin())
    assert manager.hook.own_hook(x=1) == [2]
    assert seen == [1]


def test_plugin_module_may_implement_a_hook_of_the_hosts_own(manager, write):
    class Specs:
        @pluggy.HookspecMarker("aimm_plugins")
        def host_names(self, prefix): ...

    if not hasattr(manager.hook, "host_names"):
        manager.add_hookspecs(Specs)
    write(
        guest="@hookimpl\ndef host_names(prefix): return prefix + 'guest'\n@fit(['g'])\ndef f(m): ...",
        wrong="@hookimpl\ndef host_names(suffix): ...",
    )
    assert aimm_plugins.initialize(names("guest")).ok
    assert manager.hook.host_names(prefix="a ") == ["a guest"]
    with pytest.raises(aimm_plugins.PluginLoadError, match=r"takes suffix, .* it passes prefix"):
        aimm_plugins.initialize(names("wrong"))
    aimm_plugins.unload_all()
    assert manager.hook.host_names(prefix="a ") == []


def test_order_follows_tryfirst_and_trylast(manager):
    aimm_plugins.data_access("d")(lambda: order.append("declared"))
    order = []

    def executor(name, **options):
        class Executor:
            @hookimpl(**options)
            def aimm_data_access(self):
                order.append(name)

        manager.register(Executor())

    for name in ("last 1", "last 2"):
        executor(name, trylast=True)
    for name in ("first 1", "first 2"):
        executor(name, tryfirst=True)
    executor("middle")
    aimm_plugins.exec_data_access("d")
    assert order == ["first 2", "first 1", "middle", "last 1", "last 2", "declared"]


def test_executor_may_have_parameters_with_defaults(manager):
    class Executor:
        @hookimpl
        def aimm_data_access(self, name, args=("default",)):
            return Result((name, args))

    manager.register(Executor())
    name, args = aimm_plugins.exec_data_access("d", None, 1)
    assert name == "d"
    assert args in ((1,), ("default",))  # pluggy passes it or not, by version


def test_second_name_for_a_plugin_is_refused_and_the_first_stays(manager):
    plugin = SimpleNamespace()
    manager.register(plugin, "first")
    with pytest.raises(ValueError, match="second"):
        manager.register(plugin, "second")
    assert manager.get_name(plugin) == "first"


def test_unregistered_module_takes_its_declarations_along(manager):
    aimm_plugins.data_access("d")(lambda: 1)
    manager.register(sys.modules[__name__])
    assert aimm_plugins.exec_data_access("d") == 1
    manager.unregister(sys.modules[__name__])
    with pytest.raises(UnknownPluginError):
        aimm_plugins.exec_data_access("d")


def test_declaration_of_an_import_that_fails_later_is_not_called(write):
    write(failing='data_access("d")(lambda: 1)\nassert exec_data_access("d") == 1\nimport absent_x')
    with pytest.raises(ImportError):
        __import__("failing")
    with pytest.raises(UnknownPluginError):
        aimm_plugins.exec_data_access("d")


def test_result_is_a_value():
    assert Result(1) == Result(1) != Result(2)
    assert hash(Result(1)) == hash(Result(1))
    assert pickle.loads(pickle.dumps(Result("x"))) == Result("x")
    with pytest.raises(AttributeError):
        Result(1).value = 2
