"""What decorators refuse, by the source and by the import."""

from __future__ import annotations

import importlib

import pytest

from aimm_plugins import DeclarationError
from aimm_plugins._source.reader import SourceReader

METHODS = """\
    def fit(self, x): ...
    def predict(self, x): ...
    def serialize(self): ...
    @classmethod
    def deserialize(cls, data): ...
"""
WHOLE = f"from aimm_plugins import Model, model\n@model\nclass Svc(Model):\n{METHODS}"


@pytest.fixture
def errors(site):
    """What the source of a module foretells, and what its import raises."""

    def read(text):
        (site / "foretold.py").write_text(text, encoding="utf-8")
        fault = SourceReader(["foretold"]).read("foretold").fault
        raised = None
        try:
            importlib.import_module("foretold")
        except DeclarationError as error:
            raised = error
        return fault and fault.error, raised

    return read


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (WHOLE.replace("def deserialize", "def load"), "@model class Svc lacks deserialize"),
        (WHOLE.replace("    @classmethod\n", ""), "deserialize has no instance yet"),
        (WHOLE.replace(METHODS, "    fit = print\n"), "Svc lacks predict, serialize, deserialize"),
        (
            "from aimm_plugins import model\nclass Base:\n    def fit(self): ...\n"
            "@model(model_type='a')\nclass Svc(Base):\n    def predict(self): ...\n",
            "Svc lacks serialize, deserialize",
        ),
    ],
)
def test_class_that_lacks_a_method_fails_by_its_source_as_by_its_import(errors, text, reason):
    foretold, raised = errors(text)
    assert reason in str(raised)
    assert str(foretold) == str(raised)


def test_class_without_a_method_that_takes_the_callback_fails_by_its_source_too(errors):
    foretold, raised = errors(WHOLE.replace("@model", "@model(state_cb_arg_name='cb')"))
    for error in (foretold, raised):
        assert "Svc: state_cb_arg_name='cb': " in str(error)
        assert "has no parameter 'cb' and no **kwargs" in str(error)


@pytest.mark.parametrize(
    "text",
    [
        WHOLE,
        WHOLE.replace("@model", "@model(state_cb_arg_name='x')"),
        WHOLE.replace("@model", "@model(state_cb_arg_name='cb')").replace("self, x)", "self, **x)"),
        WHOLE.replace("@model", "@model(state_cb_arg_name='cb')")
        + "    def __init__(self, cb=None): ...\n",
        f"from aimm_plugins import model\nclass Base:\n{METHODS}\n@model\nclass Svc(Base): ...\n",
        f"from aimm_plugins import model\nclass Svc:\n{METHODS}\nmodel(Svc)\n",
        "from aimm_plugins import model\ndef full(cls):\n    for name in ('fit', 'predict', "
        "'serialize', 'deserialize'):\n        setattr(cls, name, print)\n    return cls\n"
        "@model\n@full\nclass Svc: ...\n",
        "from aimm_plugins import model\nclass Meta(type):\n    fit = predict = serialize = print\n"
        "    deserialize = print\n@model\nclass Svc(metaclass=Meta): ...\n",
        "from aimm_plugins import model\nclass Base:\n    def __init_subclass__(cls):\n"
        "        cls.fit = cls.predict = cls.serialize = cls.deserialize = print\n"
        "@model\nclass Svc(Base): ...\n",
        "from aimm_plugins import model\n@model\nclass Svc:\n    for _name in ('fit', 'predict', "
        "'serialize', 'deserialize'):\n        locals()[_name] = print\n",
        "from aimm_plugins import model\n@model\nclass Svc:\n    def fit(self): ...\n"
        "    def predict(self): ...\n    def serialize(self): ...\n    def _load(data): ...\n"
        "    deserialize = staticmethod(_load)\n",
    ],
)
def test_class_that_has_its_methods_by_any_means_is_in_order(errors, text):
    assert errors(text) == (None, None)


def test_class_that_is_refused_where_the_module_expects_it_is_in_order(errors):
    refused = "try:\n    @model\n    class Svc: ...\nexcept ValueError:\n    pass\n"
    text = f"from aimm_plugins import model\n{refused}"
    assert errors(text) == (None, None)


DECLARED = "from aimm_plugins import fit, predict\n{}\ndef learn({}): ...\n"


@pytest.mark.parametrize(
    ("decorator", "arguments", "reason"),
    [
        ("@fit(['a'], state_cb_arg_name='cb')", "model, x", "has no parameter 'cb' and no **kw"),
        ("@fit(['a'], instance_arg_name='modle')", "model", "(did you mean 'model'?)"),
        ("@fit(['a'], state_cb_arg_name='cb')", "model, cb, /", "takes 'cb' by position only"),
        ("@fit(['a'])\n@predict(['a'], instance_arg_name='m')", "model", "no parameter 'm'"),
    ],
)
def test_function_that_lacks_an_argument_fails_by_its_source_as_by_its_import(
    errors, decorator, arguments, reason
):
    foretold, raised = errors(DECLARED.format(decorator, arguments))
    assert reason in str(raised)
    assert str(foretold) == str(raised)


@pytest.mark.parametrize(
    ("decorator", "arguments"),
    [
        ("@fit(['a'], state_cb_arg_name='cb')", "model, **more"),
        ("@fit(['a'], state_cb_arg_name='cb')", "model, *, cb"),
        ("@fit(['a'], state_cb_arg_name='cb')\n@(lambda f: lambda m, cb: f)", "model"),
        ("@fit(['a'])\n@fit(['b'])", "model"),
        (
            "import contextlib\nwith contextlib.suppress(ValueError):\n  @fit('a')\n  def f(): ...",
            "",
        ),
    ],
)
def test_function_that_can_take_what_its_decorators_name_is_in_order(errors, decorator, arguments):
    assert errors(DECLARED.format(decorator, arguments)) == (None, None)


def test_key_that_is_declared_twice_fails_by_its_source_as_by_its_import(errors):
    text = "from aimm_plugins import fit\n@fit(['a'])\ndef one(m): ...\n@fit(['b', 'a'])\ndef two(m): ...\n"
    foretold, raised = errors(text)
    assert "declares fit:a a second time" in str(raised)
    assert str(foretold) == str(raised)
