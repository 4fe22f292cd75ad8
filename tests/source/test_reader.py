"""Declarations and gaps of plugins, read from their source."""

from __future__ import annotations

import sys

import pytest

from aimm_plugins._source.reader import SourceReader


@pytest.fixture
def read(site):
    """Reads a module that is written first."""

    def read(source: str, attribute: str | None = None, name: str = "looked_at"):
        (site / f"{name}.py").write_text(source, encoding="utf-8")
        found = SourceReader([name]).read(name, attribute)
        assert name not in sys.modules
        return found

    return read


def slots(plugin) -> list[str]:
    return [f"{declaration.action}:{declaration.key}" for declaration in plugin.declarations]


FUNCTION = "\ndef f(model, *, rate: float = 0.5) -> int:\n    '''Do it.'''\n"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (f"from aimm_plugins import fit\n@fit(['a', 'b']){FUNCTION}", ["fit:a", "fit:b"]),
        (f"from aimm_plugins import fit as learn\n@learn(('a',)){FUNCTION}", ["fit:a"]),
        (f"import aimm_plugins\n@aimm_plugins.fit(['a']){FUNCTION}", ["fit:a"]),
        (f"import aimm_plugins as ap\n@ap.data_access('a'){FUNCTION}", ["data_access:a"]),
        (f"from aimm_plugins import *\n@instantiate('a'){FUNCTION}", ["instantiate:a"]),
        (f"from aimm_plugins import *\n@fit(model_types=['a']){FUNCTION}", ["fit:a"]),
        (f"from aimm_plugins import *\n@data_access(name='a'){FUNCTION}", ["data_access:a"]),
        (f"import aimm_plugins as ap\nlearn = ap.fit\n@learn(['a']){FUNCTION}", ["fit:a"]),
        (f"from aimm_plugins import *\nK = 'a'\n@fit([K + '.b']){FUNCTION}", ["fit:a.b"]),
        (f"from aimm_plugins import *\nK: str = 'a'\n@fit([*(K,)]){FUNCTION}", ["fit:a"]),
        ("from aimm_plugins import fit\n@fit(['a'])\ndef fit(m): ...\n", ["fit:a"]),
        ("from aimm_plugins import fit\n@fit(['a'])\nasync def f(m): ...\n", ["fit:a"]),
        (f"from aimm_plugins import fit\n@print\n@fit(['a']){FUNCTION}", ["fit:a"]),
        (
            f"import aimm_plugins\nimport aimm_plugins.testing\n@aimm_plugins.fit(['a']){FUNCTION}",
            ["fit:a"],
        ),
        (f"from aimm_plugins import *\nK = ['a']\n@fit(K + ['b']){FUNCTION}", ["fit:a", "fit:b"]),
        (
            f"from aimm_plugins import *\n@fit([f'{{__name__}}.x']){FUNCTION}",
            ["fit:looked_at.x"],
        ),
        (
            f"from aimm_plugins import *\n@predict(['a'])\n@fit(['b']){FUNCTION}",
            ["fit:b", "predict:a"],
        ),
        (f"from aimm_plugins import *{FUNCTION}    ...\nfit(['a'])(f)\n", ["fit:a"]),
        (f"from aimm_plugins import *{FUNCTION}    ...\ng = fit(['a'])(f)\n", ["fit:a"]),
        ("from aimm_plugins import *\nwith open(1):\n  @fit(['a'])\n  def f(m): ...\n", ["fit:a"]),
    ],
)
def test_keys_that_are_written_out_are_found(read, source, expected):
    found = read(source)
    assert slots(found) == expected
    assert found.gaps == ()
    assert all(declaration.certain for declaration in found.declarations)


@pytest.mark.parametrize(
    "source",
    [
        "from aimm_plugins import *\nfor k in 'ab':\n  @fit([k])\n  def f(m): ...\n",
        "from aimm_plugins import *\nimport os\n@fit([os.name])\ndef f(m): ...\n",
        "from aimm_plugins import *\nK = 'a'\nK = K.upper()\n@fit([K])\ndef f(m): ...\n",
        "from aimm_plugins import *\ndef register():\n  @fit(['a'])\n  def f(m): ...\n",
        "from aimm_plugins import *\nclass C:\n  @fit(['a'])\n  def f(m): ...\n",
        "def register():\n  from aimm_plugins import fit\n  fit(['a'])(print)\n",
        "from aimm_plugins import *\nx = [fit]\n",
        "from aimm_plugins import *\nx = fit(['a'])\n",
        "from aimm_plugins import *\n@fit\ndef f(m): ...\n",
        "from aimm_plugins import *\n@fit(*['a'])\ndef f(m): ...\n",
        "from aimm_plugins import *\nK = ['a']\nK.append('b')\n@fit(K)\ndef f(m): ...\n",
        "from aimm_plugins import *\nK = 'a'\nK = 'b'\n@fit([K])\ndef f(m): ...\n",
        "from aimm_plugins import *\nif x: K = 'a'\n@fit([K])\ndef f(m): ...\n",
        "from aimm_plugins import *\nK = 'a'\ndef g():\n  global K\n  K = 'b'\n@fit([K])\ndef f(m): ...\n",
        "from aimm_plugins import *\n@fit(['a' * 3])\ndef f(m): ...\n",
        "from aimm_plugins import *\n@fit([f'{1:>9}'])\ndef f(m): ...\n",
        "from aimm_plugins import *\n@model(model_type=str(1))\nclass C: ...\n",
        "def f(:\n",
        "\0",
        "x = " + "(" * 500 + ")" * 500,
        "from aimm_plugins import *\n@fit([" + "'a' + " * 2000 + "'b'])\ndef f(m): ...\n",
    ],
)
def test_what_only_an_import_could_tell_is_a_gap(read, source):
    found = read(source)
    assert found.declarations == ()
    assert found.gaps


FACADE = {"__init__": "from .deep import ap\n", "deep": "import aimm_plugins as ap\n", "plain": ""}


@pytest.mark.parametrize(
    "source",
    [
        "from facade.deep import ap\ndef register():\n  ap.fit(['a'])(print)\n",
        "import facade.plain\ndef register():\n  facade.deep.ap.fit(['a'])(print)\n",
        "def register():\n  from facade import ap\n  return ap.fit\n",
        "class C:\n  from facade.deep import ap as base\n  base.fit(['a'])(print)\n",
        "from facade import plugin\ndef register():\n  return plugin.decorate\n"
        "def later():\n  import aimm_plugins\n  global decorate\n  decorate = aimm_plugins.fit\n",
    ],
)
def test_use_of_decorators_by_way_of_the_own_package_is_a_gap(site, source):
    (site / "facade").mkdir()
    for name, text in {**FACADE, "plugin": source}.items():
        (site / "facade" / f"{name}.py").write_text(text)
    assert SourceReader().read("facade.plugin").gaps


@pytest.mark.parametrize(
    "source",
    [
        "from aimm_plugins import *\ntry:\n  @fit(['a'])\n  def f(m): ...\nfinally: pass\n",
        "from aimm_plugins import *\nimport sys\nif sys.platform == 'x':\n  @fit(['a'])\n  def f(m): ...\n",
        "from aimm_plugins import *\nmatch 1:\n  case 1:\n    @fit(['a'])\n    def f(m): ...\n",
        "from aimm_plugins import *\nwhile True:\n  @fit(['a'])\n  def f(m): ...\n",
        "try:\n  from aimm_plugins import fit\nexcept ImportError:\n  fit = None\n"
        "@fit(['a'])\ndef f(m): ...\n",
        "if x:\n  import aimm_plugins as ap\n@ap.fit(['a'])\ndef f(m): ...\n",
    ],
)
def test_declaration_under_a_condition_is_not_certain(read, source):
    (declaration,) = read(source).declarations
    assert not declaration.certain


@pytest.mark.parametrize(
    "test", ["TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'", "0"]
)
def test_what_an_import_never_runs_is_no_declaration(read, test):
    source = f"import typing\nfrom typing import *\nfrom aimm_plugins import *\nif {test}:\n  @fit(['a'])\n  def f(m): ...\nelse:\n  @fit(['b'])\n  def g(m): ...\n"
    (declaration,) = read(source).declarations
    assert (declaration.key, declaration.certain) == ("b", True)


def test_function_is_described_with_its_place(read):
    (declaration,) = read(f"from aimm_plugins import fit\n@fit(['a']){FUNCTION}").declarations
    assert declaration.signature == "(model, *, rate: float=0.5) -> int"
    assert declaration.docstring == "Do it."
    assert (declaration.qualname, declaration.line) == ("f", 2)
    assert declaration.file and declaration.file.endswith("looked_at.py")


MODEL = """
from aimm_plugins import model

@model(model_type="iris")
class Iris:
    "A model."
    def __init__(self, rate=1): ...
    def fit(self, x, y): "Learn."
    def predict(self, x): ...
    def serialize(self): ...
    @staticmethod
    def deserialize(data): ...
"""


def test_model_class_declares_five_actions_each_with_its_own_signature(read):
    found = {made.action: made.signature for made in read(MODEL).declarations}
    assert found == {
        "instantiate": "(rate=1)",
        "fit": "(x, y)",
        "predict": "(x)",
        "serialize": "()",
        "deserialize": "(data)",
    }


def test_bare_model_has_the_key_of_its_class(read):
    found = read(MODEL.replace('@model(model_type="iris")', "@model"))
    assert {made.key for made in found.declarations} == {"looked_at.Iris"}


def test_inherited_methods_of_a_model_have_no_signature_to_tell(read):
    found = read("from aimm_plugins import *\n@model\nclass M(Model):\n  pass\n")
    assert {made.signature for made in found.declarations} == {None}


def test_object_of_an_entry_point_has_its_own_keys_alone(read):
    source = "from aimm_plugins import *\n@fit(['a'])\ndef f(m): ...\n@fit(['b'])\ndef fa(m): ...\n"
    assert slots(read(source, "f")) == ["fit:a"]


def test_submodules_that_are_imported_count_and_parents_too(site):
    folder = site / "looked_at_pkg"
    (folder / "sub").mkdir(parents=True)
    declare = "from aimm_plugins import fit\n@fit(['{}'])\ndef f(m): ...\n"
    (folder / "__init__.py").write_text(declare.format("parent"))
    (folder / "sub" / "__init__.py").write_text(
        "from . import one\nfrom .two import f\nfrom ..side import f as g\nimport looked_at_pkg.far\n"
        "try:\n  from . import maybe\nexcept ImportError: pass\n"
    )
    (folder / "sub" / "one.py").write_text(declare.format("one"))
    (folder / "sub" / "two.py").write_text("from . import one\n" + declare.format("two"))
    (folder / "sub" / "maybe.py").write_text(declare.format("maybe"))
    (folder / "sub" / "never.py").write_text(declare.format("never"))
    (folder / "side.py").write_text(declare.format("side"))
    (folder / "far.py").write_text(declare.format("far"))
    found = SourceReader(["looked_at_pkg.sub"]).read("looked_at_pkg.sub")
    assert {made.key: made.certain for made in found.declarations} == {
        "parent": True,
        "one": True,
        "two": True,
        "side": True,
        "far": True,
        "maybe": False,
    }
    another = SourceReader(["looked_at_pkg.sub", "looked_at_pkg.far"]).read("looked_at_pkg.sub")
    assert "far" not in {made.key for made in another.declarations}


def test_module_within_another_plugin_may_be_read_by_itself(site):
    folder = site / "looked_at_pkg"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "part.py").write_text("from aimm_plugins import fit\n@fit(['a'])\ndef f(m): ...\n")
    assert slots(SourceReader(["looked_at_pkg"]).read("looked_at_pkg.part")) == ["fit:a"]


def test_names_are_those_that_the_module_binds(read):
    found = read(
        "import os.path\nfrom json import loads as l\na, (b, *c) = 1, (2, 3)\nclass D: x = 1\n"
    )
    assert found.names == {"os", "l", "a", "b", "c", "D"}


@pytest.mark.parametrize(
    "source", ["from json import *", "globals()['a'] = 1", "def __getattr__(n): ..."]
)
def test_names_of_a_module_that_may_bind_others_are_unknown(read, source):
    assert read(source).names is None


def test_hook_implementations_are_seen(read):
    found = read(
        "from aimm_plugins import hookimpl\n@hookimpl\ndef aimm_fit(model_type): ...\n"
        "@hookimpl(wrapper=True)\ndef aimm_predict(model_type=None): ...\n"
    )
    assert found.has_hooks
    assert found.gaps == ()


def test_module_without_a_source_is_a_gap(site):
    (site / "looked_at.pyc").write_bytes(b"")
    assert "is no Python source" in str(SourceReader().read("looked_at").gaps[0])
    assert "is not found" in str(SourceReader().read("surely_not_there").gaps[0])


def test_odd_escapes_of_a_source_cause_no_warning(read):
    assert read(r"x = '\d'").gaps == ()


UNDECORATED = """\
import aimm_plugins as ap
@ap.fit(["k"])
def learn(m): ...
def plain(m): ...
nothing = None
alias = learn
class Holder:
    held = learn
def twice(m): ...
twice = learn
"""


@pytest.mark.parametrize(
    ("attribute", "is_told"),
    [
        *(("plain", True), ("nothing", True), ("Holder", True)),
        *(("learn", False), ("alias", False), ("Holder.held", False), ("twice", False)),
    ],
)
def test_object_that_nothing_decorates_declares_nothing(read, attribute, is_told):
    assert read(UNDECORATED, attribute).declares_nothing is is_told


@pytest.mark.parametrize(
    "call",
    ["for f in [plain]: ap.fit(['z'])(f)", "import acme_wrapper\nacme_wrapper.declare(plain)"],
)
def test_object_that_may_be_decorated_by_a_call_may_declare(read, site, call):
    (site / "acme_wrapper.py").write_text("import aimm_plugins")
    assert not read(f"{UNDECORATED}{call}\n", "plain").declares_nothing
