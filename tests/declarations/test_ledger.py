"""Decorators and hookimpls in hostile hands, at import and in a call."""

from __future__ import annotations

import importlib
import sys

import pytest

import aimm_plugins
from tests.conftest import names
from tests.support.forked.case import BAD, Case, assert_failed, assert_healthy, record

STR = "class S(str):\n    {}\n"

REFUSED = {
    "bare_str": "@fit('bad')\ndef f(m): ...",
    "bare_bytes": "@fit(b'bad')\ndef f(m): ...",
    "no_call": "@fit\ndef f(m): ...",
    "no_call_of_data_access": "@data_access\ndef f(): ...",
    "empty_list": "@fit([])\ndef f(m): ...",
    "empty_key": "@fit(['bad', ''])\ndef f(m): ...",
    "blank_key": "@fit([' \\t'])\ndef f(m): ...",
    "none": "@fit(None)\ndef f(m): ...",
    "int": "@fit(5)\ndef f(m): ...",
    "key_none": "@data_access(None)\ndef f(): ...",
    "key_int": "@fit(['bad', 5])\ndef f(m): ...",
    "key_bytes": "@fit([b'bad'])\ndef f(m): ...",
    "key_bool": "@fit([True])\ndef f(m): ...",
    "key_unhashable": "@fit([['bad']])\ndef f(m): ...",
    "key_whose_repr_raises": "class R:\n    def __repr__(s): raise RuntimeError\n@fit([R()])\ndef f(m): ...",
    "key_whose_repr_exits": "class R:\n    def __repr__(s): raise SystemExit\n@fit([R()])\ndef f(m): ...",
    "doubles": "@fit(['bad', 'bad'])\ndef f(m): ...",
    "keys_that_raise": "def g():\n    yield 'bad'\n    raise RuntimeError('told')\n@fit(g())\ndef f(m): ...",
    "keys_that_exit": "def g():\n    yield 'bad'\n    raise SystemExit\n@fit(g())\ndef f(m): ...",
    "endless_keys_of_a_wrong_type": "import itertools\n@fit(itertools.count())\ndef f(m): ...",
    "not_callable": "fit(['bad'])(5)",
    "not_callable_whose_repr_raises": "class R:\n    def __repr__(s): raise RuntimeError\nfit(['bad'])(R())",
    "state_argument_unknown": "@fit(['bad'], state_cb_arg_name='no')\ndef f(m): ...",
    "state_argument_by_position_only": "@fit(['bad'], state_cb_arg_name='cb')\ndef f(m, cb, /): ...",
    "state_argument_is_no_str": "@fit(['bad'], state_cb_arg_name=5)\ndef f(m): ...",
    "state_argument_is_no_name": "@fit(['bad'], state_cb_arg_name='a b')\ndef f(m, **k): ...",
    "same_argument_twice": "@fit(['bad'], state_cb_arg_name='m', instance_arg_name='m')\ndef f(m): ...",
    "signature_raises": "class F:\n    def __call__(s, m): ...\n    @property\n    def __signature__(s): raise RuntimeError\nfit(['bad'], state_cb_arg_name='cb')(F())",
    "model_misses_methods": "@model\nclass M(Model): ...",
    "model_on_a_function": "@model\ndef f(): ...",
    "model_on_none": "model(5)",
    "model_with_an_empty_type": "@model(model_type='')\nclass M: ...",
    "model_property_raises": "@model\nclass M:\n    @property\n    def fit(s): raise RuntimeError",
    "model_metaclass_raises": "class T(type):\n    def __getattr__(c, n): raise RuntimeError\n@model\nclass M(metaclass=T): ...",
    "one_of_many_wrong": "@fit(['bad', 'bad_2', None])\ndef f(m): ...",
    "twice_in_one_module": BAD + BAD,
    "two_decorators_alike": "@fit(['bad'])\n@fit(['bad'])\ndef f(m): ...",
    "wrong_after_right": BAD + "@predict([])\ndef p(m): ...",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_wrong_declaration_fails_its_plugin_alone(case: Case, kind: str) -> None:
    case.bad(REFUSED[kind])
    got = case.repaired()
    assert_failed(got)
    assert got["bad_repaired"] == {"value": "bad"}


def test_declaration_error_names_file_and_line(case: Case) -> None:
    case.bad("\n\n@fit([])\ndef f(m): ...\n")
    assert "bad.py:5" in assert_failed(case.gauntlet(), "DeclarationError")["error"]["message"]


def test_double_declaration_names_both_lines(case: Case) -> None:
    case.bad(BAD + BAD)
    message = assert_failed(case.gauntlet(), "DeclarationError")["error"]["message"]
    assert "bad.py:3" in message
    assert "bad.py:6" in message


SOUND = {
    "huge_key": ("@fit(['bad', 'b' * 1_000_000])\ndef bad(m): return 'bad'", None),
    "control_characters": ("@fit(['bad', 'b\\x00\\x1b[2J\\n'])\ndef bad(m): return 'bad'", None),
    "surrogate_key": ("@fit(['bad', 'b\\udcff'])\ndef bad(m): return 'bad'", None),
    "braces_and_colon": ("@fit(['bad', 'fit:bad', '{0} %s'])\ndef bad(m): return 'bad'", None),
    "many_keys": (
        "@fit(['bad', *(f'bad{i}' for i in range(500))])\ndef bad(m): return 'bad'",
        None,
    ),
    "tuple_set_dict_generator": (
        "@fit(('bad',))\n@predict({'bad'})\n@serialize({'bad': 1})\n@deserialize(x for x in ['bad'])\n"
        "def bad(m): return 'bad'",
        None,
    ),
    "lambda": ("bad = fit(['bad'])(lambda m: 'bad')", None),
    "partial": (
        "import functools\nbad = fit(['bad'])(functools.partial(lambda a, m: a, 'bad'))",
        None,
    ),
    "builtin": ("bad = fit(['bad'])(repr)", "None"),
    "bound_method": ("class C:\n    def f(s, m): return 'bad'\nbad = fit(['bad'])(C().f)", None),
    "callable_object": (
        "class C:\n    def __call__(s, m): return 'bad'\nbad = fit(['bad'])(C())",
        None,
    ),
    "callable_whose_getattr_raises": (
        "class C:\n    def __call__(s, m): return 'bad'\n    def __getattr__(s, n): raise RuntimeError\nbad = fit(['bad'])(C())",
        None,
    ),
    "callable_that_answers_all": (
        "class C:\n    def __call__(s, *m): return 'bad'\n    def __getattr__(s, n): return s\nbad = fit(['bad'])(C())",
        None,
    ),
    "callable_without_equality": (
        "class C:\n    def __call__(s, m): return 'bad'\n    def __eq__(s, o): raise RuntimeError\n    __hash__ = None\nbad = fit(['bad'])(C())",
        None,
    ),
    "function_without_a_name": (
        "def bad(m): return 'bad'\nbad.__qualname__ = bad.__name__ = 'x\\n\\udcff'\nfit(['bad'])(bad)",
        None,
    ),
    "keyword_named_argument": (
        "@fit(['bad'], state_cb_arg_name='class')\ndef bad(m, **k): return 'bad'",
        None,
    ),
    "own_str": (
        STR.format("def __repr__(s): raise RuntimeError")
        + "@fit([S('bad')])\ndef bad(m): return 'bad'",
        None,
    ),
    "made_in_a_function": (
        "def make():\n    @fit(['bad'])\n    def f(m): return 'bad'\n    return f\nbad = make()",
        None,
    ),
    "made_by_exec": ("exec(\"@fit(['bad'])\\ndef bad(m): return 'bad'\")", None),
    "made_by_compile_without_a_name": (
        "exec(compile(\"@fit(['bad'])\\ndef bad(m): return 'bad'\", '\\udcff', 'exec'), {'fit': fit})",
        None,
    ),
    "decorator_wrapped": (
        "import functools\ndef twice(f):\n    @functools.wraps(f)\n    def g(*a): return f(*a)\n    return g\n"
        "@fit(['bad'])\n@twice\ndef bad(m): return 'bad'",
        None,
    ),
}


@pytest.mark.parametrize("kind", SOUND)
def test_odd_but_sound_declaration_works(case: Case, kind: str) -> None:
    source, value = SOUND[kind]
    case.bad(source)
    got = case.gauntlet()
    assert_healthy(got, alone=False)
    assert got["strict"]["error"] is None, got["strict"]["text"]
    assert got["bad"] == {"value": value or "bad"}
    assert got["isolate"]["keys"] == got["again"]["keys"]


HOSTILE_STR = {
    "hash": "def __hash__(s): raise RuntimeError('told')",
    "eq": "def __eq__(s, o): raise RuntimeError('told')\n    __hash__ = str.__hash__",
    "strip": "def strip(s, *a): raise SystemExit",
    "str": "def __str__(s): raise RuntimeError('told')",
    "format": "def __format__(s, f): raise RuntimeError('told')",
    "lt": "def __lt__(s, o): raise RuntimeError('told')\n    __gt__ = __lt__",
    "getattribute": "def __getattribute__(s, n): raise RuntimeError('told')",
    "lying_eq": "def __eq__(s, o): return True\n    def __hash__(s): return hash('good')",
}


@pytest.mark.parametrize("kind", HOSTILE_STR)
def test_key_that_is_a_hostile_str_harms_nobody(case: Case, kind: str) -> None:
    case.bad(STR.format(HOSTILE_STR[kind]) + "@data_access(S('bad'))\ndef f(): return 'bad'\n")
    got = case.gauntlet()
    assert_healthy(got, alone=False)
    assert record(got["isolate"])["state"] in ("loaded", "failed")
    if record(got["isolate"])["state"] == "loaded":
        assert "data_access:bad" in got["isolate"]["keys"]


CALLED = {
    "exits": ("raise SystemExit(3)", "SystemExit"),
    "interrupts": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "cancelled": ("import asyncio\n    raise asyncio.CancelledError", "CancelledError"),
    "own_base_exception": ("raise type('Own', (BaseException,), {})", "Own"),
    "recursion": ("return bad(model)", "RecursionError"),
    "stop_iteration": ("raise StopIteration", "StopIteration"),
    "type_error": ("raise TypeError('told')", "TypeError"),
    "attribute_error": ("return model.nothing", "AttributeError"),
    "unprintable": (
        "class U(Exception):\n        def __str__(s): raise RuntimeError\n    raise U",
        "U",
    ),
    "add_note_raises": (
        "class U(Exception):\n        def add_note(s, n): raise RuntimeError\n    raise U",
        "U",
    ),
    "add_note_exits": (
        "class U(Exception):\n        def add_note(s, n): raise SystemExit\n    raise U",
        "U",
    ),
    "getattribute_exits": (
        "class U(Exception):\n        def __getattribute__(s, n): raise SystemExit\n    raise U",
        "U",
    ),
    "notes_is_no_list": ("class U(Exception):\n        __notes__ = 5\n    raise U", "U"),
}


@pytest.mark.parametrize("kind", CALLED)
def test_what_a_call_raises_reaches_the_caller_as_it_is(case: Case, kind: str) -> None:
    body, error = CALLED[kind]
    case.bad(f"@fit(['bad'])\ndef bad(model):\n    {body}\n")
    got = case.run(
        """
        initialize()
        out["bad"] = attempt(exec_fit, "bad", None)
        out["twice"] = attempt(exec_fit, "bad", None)
        out["good"] = attempt(exec_data_access, "good")
        """
    )
    assert got["bad"]["error"] == got["twice"]["error"] == error
    assert got["good"] == {"value": 42}


RESULTS = {
    "none": "None",
    "no_result_of_a_hook": "type('R', (), {'value': 1})()",
    "hostile": "type('R', (), {'__getattribute__': lambda s, n: 1 / 0, '__bool__': lambda s: 1 / 0, '__eq__': lambda s, o: 1 / 0})()",
    "result_in_result": "__import__('aimm_plugins').Result(5)",
    "exception": "ValueError('not raised')",
    "not_implemented": "NotImplemented",
}


@pytest.mark.parametrize("kind", RESULTS)
def test_every_result_is_legal(case: Case, kind: str) -> None:
    case.bad(f"made = [{RESULTS[kind]}]\n@fit(['bad'])\ndef bad(model): return made[0]\n")
    got = case.run(
        """
        initialize()
        out["same"] = exec_fit("bad", None) is sys.modules["bad"].made[0]
        """
    )
    assert got["same"]


def test_hostile_instance_and_callback_arguments_reach_the_plugin_untouched(case: Case) -> None:
    case.bad("@fit(['bad'])\ndef bad(model, x, **k): return (model, x)\n")
    got = case.run(
        """
        class Hostile:
            def __getattribute__(self, name): raise SystemExit
            def __eq__(self, other): raise SystemExit
            def __bool__(self): raise SystemExit
            def __repr__(self): raise SystemExit
            __hash__ = None
        initialize()
        one, two = Hostile(), Hostile()
        given = exec_fit("bad", one, None, two, k=two)
        out["same"] = given[0] is one and given[1] is two
        out["good"] = attempt(exec_data_access, "good")
        """
    )
    assert got == {"same": True, "good": {"value": 42}}


CALLBACKS = ["5", "'text'", "[]", "object()", "0", "False", "{}"]


@pytest.mark.parametrize("value", CALLBACKS)
def test_state_callback_that_cannot_be_called_is_a_type_error(case: Case, value: str) -> None:
    case.bad(BAD)
    got = case.run(f"initialize()\nout.update(attempt(exec_fit, 'bad', None, {value}))\n")
    assert got["error"] == "TypeError"
    assert "state_cb" in got["text"]


KEYS = [
    "None",
    "5",
    "b'bad'",
    "['bad']",
    "object()",
    "''",
    "'x' * 1_000_000",
    "'\\x00'",
    "'\\udcff'",
    "type('S', (str,), {'__hash__': None})('bad')",
]


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_call_with_a_key_that_is_none_leaves_the_host_running(case: Case, key: str) -> None:
    case.bad(BAD)
    got = case.run(
        f"""
        initialize()
        out.update(attempt(exec_fit, {key}, None))
        out["good"] = attempt(exec_data_access, "good")
        """
    )
    assert got["error"] in ("UnknownPluginError", "TypeError")
    assert got["good"] == {"value": 42}


WRAPPERS = {
    "wrapper_raises": (
        "@hookimpl(wrapper=True)\ndef aimm_fit(instance):\n    yield\n    raise RuntimeError('told')",
        "RuntimeError",
    ),
    "wrapper_returns_no_result": (
        "@hookimpl(wrapper=True)\ndef aimm_fit(instance):\n    yield\n    return 5",
        "TypeError",
    ),
    "wrapper_yields_twice": (
        "@hookimpl(wrapper=True)\ndef aimm_fit(instance):\n    r = yield\n    yield\n    return r",
        "RuntimeError",
    ),
    "wrapper_exits": (
        "@hookimpl(wrapper=True)\ndef aimm_fit(instance):\n    raise SystemExit\n    yield",
        "SystemExit",
    ),
    "executor_returns_no_result": ("@hookimpl\ndef aimm_fit(instance): return 5", "TypeError"),
    "executor_raises": (
        "@hookimpl\ndef aimm_fit(instance): raise RuntimeError('told')",
        "RuntimeError",
    ),
}


@pytest.mark.parametrize("kind", WRAPPERS)
def test_hostile_hookimpl_spoils_its_own_action_alone(case: Case, kind: str) -> None:
    source, error = WRAPPERS[kind]
    case.bad(BAD + source)
    got = case.run(
        """
        initialize()
        out["bad"] = attempt(exec_fit, "bad", None)
        out["good"] = attempt(exec_data_access, "good")
        unload_all()
        out["gone"] = plugged()
        """
    )
    assert got["bad"]["error"] == error
    assert got["good"] == {"value": 42}
    assert got["gone"] == []


# Declarations that reach for another plugin, or whose parts do harm when they are looked at.

REACHING = {
    "metaclass_exits": "@fit(['bad'])\ndef bad(m): return 'bad'\nclass T(type):\n    def __instancecheck__(c, o): raise SystemExit\n    def __subclasscheck__(c, o): raise SystemExit\n    def __getattribute__(c, n): raise SystemExit\nclass M(metaclass=T): ...\n",
    "annotations_exit": "def bad(m): return 'bad'\nclass D(dict):\n    def __getitem__(s, n): raise SystemExit\n    def items(s): raise SystemExit\nbad.__annotations__ = D(m=1)\nbad = fit(['bad'])(bad)\n",
    "docstring_exits": "class D(str):\n    def __getattribute__(s, n): raise SystemExit\ndef bad(m): return 'bad'\nbad.__doc__ = D('x')\nbad = fit(['bad'])(bad)\n",
    "code_names_no_file": "def bad(m): return 'bad'\nbad.__code__ = bad.__code__.replace(co_filename='/etc/passwd\\0\\n', co_firstlineno=2**31 - 1)\nbad = fit(['bad'])(bad)\n",
    "weak_proxy": "import weakref\ndef f(m): return 'bad'\nbad = fit(['bad'])(weakref.proxy(f))\n",
    "mock": "from unittest.mock import Mock, MagicMock\nbad = fit(['bad'])(MagicMock(return_value='bad'))\n",
    "class_lies_callable": "class C:\n    __class__ = type(lambda: 0)\n    def __call__(s, m): return 'bad'\nbad = fit(['bad'])(C())\n",
    "enum_model": "import enum\n@model(model_type='bad')\nclass M(enum.Enum):\n    A = 1\n    def fit(s): return s\n    def predict(s): return 1\n    def serialize(s): return b''\n    @classmethod\n    def deserialize(c, b): return c()\n",
    "model_name_hostile": "class T(type):\n    @property\n    def __name__(c): raise SystemExit\n    @property\n    def __qualname__(c): raise SystemExit\n@model\nclass M(metaclass=T):\n    def fit(s): return s\n    def predict(s): return 1\n    def serialize(s): return b''\n    @classmethod\n    def deserialize(c, b): return c()\n",
    "model_name_int": "class T(type):\n    __name__ = 5\n@model\nclass M(metaclass=T):\n    def fit(s): return s\n    def predict(s): return 1\n    def serialize(s): return b''\n    @classmethod\n    def deserialize(c, b): return c()\n",
    "model_module_is_good": "@model\nclass M:\n    __module__ = 'good'\n    def fit(s): return s\n    def predict(s): return 1\n    def serialize(s): return b''\n    @classmethod\n    def deserialize(c, b): return c()\n",
    "key_equal_to_all": "class S(str):\n    def __eq__(s, o): return True\n    def __hash__(s): return hash('good')\n@data_access(S('x'))\ndef bad(): return 'stolen'\n",
    "key_whose_str_methods_exit": "class S(str):\n    def isprintable(s): raise SystemExit\n    def replace(s, *a): raise SystemExit\n    def strip(s, *a): raise SystemExit\n    def encode(s, *a): raise SystemExit\n    def __str__(s): raise SystemExit\n    def __format__(s, f): raise SystemExit\n@fit([S('bad')])\ndef bad(m): return 'bad'\n",
    "globals_name_hostile": "class S(str):\n    def __eq__(s, o): raise SystemExit\n    def __hash__(s): raise SystemExit\n    def partition(s, *a): raise SystemExit\n    rpartition = startswith = count = split = partition\ng = dict(globals(), __name__=S('bad'))\nexec(\"@fit(['bad'])\\ndef bad(m): return 'bad'\\n\", g)\n",
    "name_rebound_hostile_str": "class S(str):\n    def __eq__(s, o): raise SystemExit\n    def __hash__(s): raise SystemExit\n    def partition(s, *a): raise SystemExit\n    rpartition = startswith = count = split = partition\n__name__ = S('bad')\n@fit(['bad'])\ndef bad(m): return 'bad'\n",
    "declares_for_good": "import good\nexec(\"@fit(['bad'])\\ndef bad(m): return 'bad'\\n\", vars(good))\n",
    "redeclares_good": "import good\nexec(\"@data_access('good')\\ndef bad(): return 'stolen'\\n\", vars(good))\n",
    "reloads_itself": "import sys, importlib\nif not globals().get('once'):\n    once = 1\n    importlib.reload(sys.modules[__name__])\n@fit(['bad'])\ndef bad(m): return 'bad'\n",
    "reloads_good": "import good, importlib\nimportlib.reload(good)\n@fit(['bad'])\ndef bad(m): return 'bad'\n",
    "reimports_good": "import sys, good\ndel sys.modules['good']\nimport good\n@fit(['bad'])\ndef bad(m): return 'bad'\n",
    "executes_good_again": "import runpy\nrunpy.run_module('good')\nrunpy.run_path('site/good.py')\n@fit(['bad'])\ndef bad(m): return 'bad'\n",
    "executes_good_by_spec": "import importlib.util\ns = importlib.util.spec_from_file_location('good', 'site/good.py')\nm = importlib.util.module_from_spec(s)\ns.loader.exec_module(m)\n@fit(['bad'])\ndef bad(m): return 'bad'\n",
    "lazy_loader_good": "import importlib.util, sys\nsys.modules.pop('good', None)\ns = importlib.util.find_spec('good')\nl = importlib.util.LazyLoader(s.loader)\ns.loader = l\nm = importlib.util.module_from_spec(s)\nsys.modules['good'] = m\nl.exec_module(m)\n@fit(['bad'])\ndef bad(m): return 'bad'\n",
    "fork_at_import_declares": "import os\npid = os.fork()\nif pid == 0:\n    fit(['child'])(lambda m: 1)\n    os._exit(0)\nos.waitpid(pid, 0)\n@fit(['bad'])\ndef bad(m): return 'bad'\n",
    "pickles_itself": "import pickle, sys\n@fit(['bad'])\ndef bad(m): return 'bad'\ntry: pickle.loads(pickle.dumps(bad))\nexcept Exception: pass\npickle.dumps(aimm_plugins.current_report())\n",
    "spawns_pool": "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(4) as p: list(p.map(lambda n: fit([f'k{n}'])(lambda m: n), range(20)))\n@fit(['bad'])\ndef bad(m): return 'bad'\n",
    "nested_initialize_thread": "import threading\nt = threading.Thread(target=lambda: aimm_plugins.initialize({'names': ['good'], 'entry_points': {'enabled': False}}))\nt.start(); t.join(10)\n@fit(['bad'])\ndef bad(m): return 'bad'\n",
    "frozen_attr": "import types, sys\nclass M(types.ModuleType):\n    def __setattr__(s, n, v): raise SystemExit\n    def __delattr__(s, n): raise SystemExit\nsys.modules[__name__].__class__ = M\n@fit(['bad'])\ndef bad(m): return 'bad'\n",
    "marker_options_hostile": "class D(dict):\n    def get(s, *a): raise SystemExit\n    def __getitem__(s, n): raise SystemExit\ndef aimm_fit(instance): return None\naimm_fit.aimm_plugins_impl = D()\n@fit(['bad'])\ndef bad(m): return 'bad'\n",
    "hookimpl_signature_raises": "@hookimpl\ndef aimm_fit(instance): return None\nclass S:\n    @property\n    def parameters(s): raise SystemExit\naimm_fit.__signature__ = S()\n",
}


@pytest.mark.parametrize("kind", REACHING)
def test_odd_declaration_takes_nothing_from_the_healthy_plugin(case: Case, kind: str) -> None:
    case.bad(REACHING[kind])
    got = case.gauntlet()
    assert_healthy(got, alone=False)
    found = record(got["isolate"])
    assert found["state"] in ("loaded", "failed")
    assert (found["state"] == "failed") is bool(found["error"])
    assert got["isolate"]["states"] == got["again"]["states"]
    assert got["isolate"]["keys"] == got["again"]["keys"]


def test_plugin_that_another_import_runs_again_keeps_what_its_own_declared(case: Case) -> None:
    case.bad(BAD + "import good\nexec('@data_access(\"good\")\\ndef f(): return 13', vars(good))\n")
    got = case.gauntlet()
    assert_healthy(got, alone=False)
    assert record(got["isolate"], "good")["provides"] == [{"action": "data_access", "key": "good"}]
    assert got["isolate"]["ok"]


def test_module_that_python_has_forgotten_declares_nothing_any_more(write):
    write(pkg____init__="", pkg__m="@fit(['k'])\ndef f(m): return 1")
    importlib.import_module("pkg.m")
    aimm_plugins.unload_all()
    del sys.modules["pkg.m"]
    write(pkg__n="@fit(['k'])\ndef f(m): return 2")
    importlib.import_module("pkg.n")
    assert aimm_plugins.initialize(names("pkg")).ok
    assert aimm_plugins.exec_fit("k", None) == 2


def test_registered_function_answers_though_its_module_left_sys_modules(write):
    write(pkg____init__="from pkg import m", pkg__m="@fit(['k'])\ndef f(m): return 1")
    aimm_plugins.initialize(names("pkg"))
    del sys.modules["pkg.m"]
    aimm_plugins.initialize(names("pkg"))
    assert aimm_plugins.exec_fit("k", None) == 1
