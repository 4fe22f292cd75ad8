"""Declaring: what is accepted, and how wrong use is refused."""

from __future__ import annotations

import importlib

import pytest

import aimm_plugins
from aimm_plugins import DeclarationError


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no text")


UNPRINTABLE = Unprintable()


def test_decorator_returns_the_very_object():
    def f(x):
        return x

    assert aimm_plugins.data_access("d")(f) is f
    assert aimm_plugins.fit(["a"])(f) is f


def test_imported_by_hand_is_callable_at_once():
    aimm_plugins.data_access("d")(lambda: 5)
    assert aimm_plugins.exec_data_access("d") == 5


@pytest.mark.parametrize(
    ("decorate", "message"),
    [
        (lambda: aimm_plugins.fit("svc"), r'write @fit\(\["svc"\]\)'),
        (lambda: aimm_plugins.fit([]), "empty list"),
        (lambda: aimm_plugins.fit([""]), "empty"),
        (lambda: aimm_plugins.fit([1]), "is a str"),
        (lambda: aimm_plugins.fit(["a", "a"]), "more than once"),
        (lambda: aimm_plugins.fit(5), "list of model types"),
        (lambda: aimm_plugins.fit(b"a"), "list of model types"),
        (lambda: aimm_plugins.serialize(lambda i: b""), r"@serialize\(\[...\]\)"),
        (lambda: aimm_plugins.data_access(len), "write @data_access"),
        (lambda: aimm_plugins.data_access("  "), "empty"),
        (lambda: aimm_plugins.data_access("d")(3), "cannot be called"),
        (lambda: aimm_plugins.fit(["a"], "cb")(lambda m: m), "no parameter 'cb'"),
        (lambda: aimm_plugins.fit(["a"], "cb")(lambda cb, /: 0), "by position only"),
        (lambda: aimm_plugins.fit(["a"], "progres")(lambda m, progress: m), "mean 'progress'"),
        (lambda: aimm_plugins.fit(["a"], "cb")(lambda cb, m: 0), "gets the instance"),
        (lambda: aimm_plugins.fit(["a"], "x", "x")(lambda x: 0), "both 'x'"),
        (lambda: aimm_plugins.fit([UNPRINTABLE]), "given <unprintable Unprintable>"),
        (lambda: aimm_plugins.fit(UNPRINTABLE), "given <unprintable Unprintable>"),
        (lambda: aimm_plugins.fit(["a"], "b")(lambda m=UNPRINTABLE: m), r"\(\.\.\.\) has no"),
        (lambda: aimm_plugins.fit(["a"], 3)(lambda x: 0), "name of an argument"),
        (lambda: aimm_plugins.fit(["a"], "a b")(lambda **k: 0), "name of an argument"),
    ],
)
def test_wrong_use_names_file_and_line(decorate, message):
    with pytest.raises(DeclarationError, match=message) as caught:
        decorate()
    assert caught.value.file == __file__
    assert f"{__file__}:{caught.value.line}: " in str(caught.value)


def test_names_covered_by_kwargs_are_accepted():
    aimm_plugins.fit(["a"], "cb", "model")(lambda **kwargs: sorted(kwargs))
    assert aimm_plugins.exec_fit("a", 1) == ["cb", "model"]


def test_callable_without_signature_is_accepted():
    aimm_plugins.data_access("d", state_cb_arg_name="key")(max)


def test_state_callback_may_be_first_where_another_argument_gets_the_instance():
    aimm_plugins.fit(["a"], "cb", "m")(lambda cb, m: m)
    assert aimm_plugins.exec_fit("a", 1) == 1


@pytest.mark.parametrize("make", [set, iter, dict.fromkeys])
def test_any_iterable_gives_model_types(make):
    aimm_plugins.fit(make(["a", "b"]))(lambda m: m)
    assert [key for _, key in aimm_plugins.providers()] == ["a", "b"]


def test_all_keys_or_none():
    aimm_plugins.fit(["taken"])(lambda m: m)
    with pytest.raises(DeclarationError):
        aimm_plugins.fit(["free", ""])(lambda m: m)
    assert list(aimm_plugins.providers()) == [("fit", "taken")]


def test_declared_twice_in_one_import_names_both_lines(write):
    write(twice="@fit(['k'])\ndef a(m): ...\n@fit(['k'])\ndef b(m): ...\n")
    with pytest.raises(DeclarationError, match=r"twice\.py:3") as caught:
        importlib.import_module("twice")
    assert "twice.py:5" in str(caught.value)


def test_failed_import_by_hand_leaves_nothing(write):
    write(half="@fit(['k'])\ndef a(m): ...\nraise ValueError('no')\n")
    with pytest.raises(ValueError, match="no"):
        importlib.import_module("half")
    with pytest.raises(aimm_plugins.UnknownPluginError):
        aimm_plugins.exec_fit("k", None)
    assert aimm_plugins.providers() == {}


def test_new_declaration_outside_an_import_replaces_the_old():
    aimm_plugins.data_access("d")(lambda: 1)
    assert aimm_plugins.exec_data_access("d") == 1
    aimm_plugins.data_access("d")(lambda: 2)
    assert aimm_plugins.exec_data_access("d") == 2


def test_reload_replaces(write):
    site = write(again="@data_access('d')\ndef f(): return 1\n")
    module = importlib.import_module("again")
    (site / "again.py").write_text(
        "from aimm_plugins import *\n@data_access('d')\ndef f(): return 22\n"
    )
    importlib.invalidate_caches()
    importlib.reload(module)
    assert aimm_plugins.exec_data_access("d") == 22


@pytest.mark.parametrize("is_loaded", [False, True])
def test_reload_takes_away_what_the_module_declares_no_more(write, is_loaded):
    code = "@data_access('d')\ndef f(): return 1\n"
    site = write(again=f"{code}@data_access('e')\ndef g(): return 2\n")
    if is_loaded:
        aimm_plugins.initialize({"names": ["again"], "entry_points": {"enabled": False}})
    module = importlib.import_module("again")
    (site / "again.py").write_text(f"from aimm_plugins import *\n{code}")
    importlib.invalidate_caches()
    importlib.reload(module)
    assert [key for _, key in aimm_plugins.providers()] == ["d"]
    with pytest.raises(aimm_plugins.UnknownPluginError):
        aimm_plugins.exec_data_access("e")


def test_two_modules_by_hand_conflict(write):
    write(one="@fit(['k'])\ndef a(m): ...\n", two="@fit(['k'])\ndef b(m): ...\n")
    importlib.import_module("one")
    with pytest.raises(aimm_plugins.PluginConflictError, match=r"(?s)one\.py:3.*two\.py:3"):
        importlib.import_module("two")
    assert aimm_plugins.providers()["fit", "k"].plugin == "one"


class Complete:
    def __init__(self, a=1):
        self.a = a

    def fit(self, x, *, cb=None):
        if cb:
            cb({"x": x})
        return self

    def predict(self, x):
        return x * self.a

    def serialize(self):
        return str(self.a).encode()

    @classmethod
    def deserialize(cls, data):
        return cls(int(data))


def test_bare_model_type_is_module_and_class():
    aimm_plugins.model(Complete)
    assert aimm_plugins.exec_instantiate(f"{__name__}.Complete", None, 3).a == 3


def test_model_declares_five_actions_under_its_type():
    aimm_plugins.model(model_type="m")(Complete)
    instance = aimm_plugins.exec_instantiate("m", None, a=4)
    assert aimm_plugins.exec_fit("m", instance, None, 1) is instance
    assert aimm_plugins.exec_predict("m", instance, None, 2) == (instance, 8)
    data = aimm_plugins.exec_serialize("m", instance)
    assert aimm_plugins.exec_deserialize("m", data).a == 4


def test_model_passes_the_callback_to_methods_that_name_it():
    aimm_plugins.model(model_type="m", state_cb_arg_name="cb")(Complete)
    events = []
    aimm_plugins.exec_fit("m", aimm_plugins.exec_instantiate("m"), events.append, 5)
    assert events == [{"x": 5}]


def test_model_names_all_missing_methods():
    with pytest.raises(DeclarationError, match="lacks fit, serialize, deserialize"):

        @aimm_plugins.model
        class Poor:
            def predict(self): ...


def test_inherited_abstract_methods_count_as_missing():
    with pytest.raises(DeclarationError, match="lacks fit, predict, serialize, deserialize"):

        @aimm_plugins.model
        class Poor(aimm_plugins.Model):
            pass


def test_deserialize_of_a_model_is_a_classmethod():
    with pytest.raises(DeclarationError, match="classmethod"):

        @aimm_plugins.model
        class Odd(Complete):
            def deserialize(self, data): ...


@pytest.mark.parametrize(
    ("decorate", "message"),
    [
        (lambda: aimm_plugins.model("m"), r"@model\(model_type='m'\)"),
        (lambda: aimm_plugins.model(len), "decorates a class"),
        (lambda: aimm_plugins.model(model_type="")(Complete), "empty"),
        (lambda: aimm_plugins.model(state_cb_arg_name="zz")(Complete), "no parameter 'zz'"),
        (lambda: aimm_plugins.model(state_cb_arg_name="a b")(Complete), "name of an argument"),
    ],
)
def test_wrong_model_is_refused(decorate, message):
    with pytest.raises(DeclarationError, match=message):
        decorate()


def test_overridden_method_of_an_instance_is_called():
    aimm_plugins.model(model_type="m")(Complete)

    class Other(Complete):
        def predict(self, x):
            return "other"

    assert aimm_plugins.exec_predict("m", Other(), None, 1)[1] == "other"
