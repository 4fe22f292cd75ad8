"""What loads is not blamed: neither by a plan, nor by `doctor`, nor by a start."""

from __future__ import annotations

import pytest

from aimm_plugins import initialize, plan
from aimm_plugins._diagnostics.doctor import examine
from aimm_plugins._diagnostics.take_inventory import take_inventory

KEY = "from aimm_plugins import fit\n@fit(['k'])\ndef learn(m): return m\n"
BINDS = """\
if (walrus := 4):
    pass
[0 for n in range(3) if (condition := n)]
for loop in range(2): pass
with open(__file__) as opened: pass
first, *rest = 1, 2
match {"a": 5}:
    case {"a": captured}: pass
"""
SOUND = {
    "finds its parts": {
        "__init__": "import pkgutil, importlib\nfor m in pkgutil.iter_modules(__path__):\n"
        "    importlib.import_module(f'{__name__}.{m.name}')\n",
        "models": KEY,
    },
    "imports a part by name": {
        "__init__": "from importlib import import_module\nimport_module('acme.models')\n",
        "models": KEY,
    },
    "imports a part in a function": {
        "__init__": "def set_up():\n    import acme.models\nset_up()\n",
        "models": KEY,
    },
    "imports a part in a method of another part": {
        "__init__": "from acme.base import Registry\nRegistry().load()\n",
        "base": "class Registry:\n    def load(self):\n        import acme.models\n",
        "models": KEY,
    },
    "runs a part": {"__init__": "exec('import acme.models')\n", "models": KEY},
    "declares by its base class": {
        "__init__": "from acme.meta import Base\nclass Mine(Base):\n    key = 'k'\n",
        "meta": "from aimm_plugins import fit\nclass Base:\n    def __init_subclass__(cls):\n"
        "        fit([cls.key])(lambda m: m)\n",
    },
    "changes the path": {
        "__init__": "import os, sys\n"
        "sys.path.append(os.path.join(os.path.dirname(__file__), 'vendored'))\n"
        "from vendored_thing import y\n" + KEY,
        "vendored/vendored_thing": "y = 1\n",
    },
    "imports what each module has": {
        "__init__": "from acme.models import __doc__, __file__\n",
        "models": KEY,
    },
    "sets an attribute of another module": {
        "__init__": "import acme.models, acme.sets\nfrom acme.models import rate\n",
        "models": KEY,
        "sets": "import acme.models\nacme.models.rate = 1\n",
    },
    "asks for its own name": {
        "__init__": "if __name__ == 'acme':\n    from acme.models import learn\n",
        "models": KEY,
    },
    "makes a module": {
        "__init__": "import sys, types\nsys.modules['acme.moves'] = m = types.ModuleType('moves')\n"
        "m.x = 1\nfrom acme.moves import x\n" + KEY
    },
    "binds names in every way": {
        "__init__": "from acme.names import walrus, condition, loop, opened, first, rest, captured\n"
        + KEY,
        "names": BINDS,
    },
    "sets names unseen": {
        "__init__": "from acme.names import x\n" + KEY,
        "names": "globals().update(x=1)\n",
    },
    "swallows a failed import": {
        "__init__": "import contextlib\nwith contextlib.suppress(ImportError):\n"
        "    import surely_not_there\n" + KEY
    },
    "swallows the failed import of a part": {
        "__init__": "import contextlib\nwith contextlib.suppress(ImportError):\n"
        "    from acme.extra import more\n" + KEY,
        "extra": "import surely_not_there\nmore = 1\n",
    },
    "imports by version": {
        "__init__": "import sys\nif sys.version_info >= (3, 99):\n    import surely_not_there\n"
        + KEY
    },
    "has hooks of an object alone": {
        "__init__": "import aimm_plugins\nclass Hooks:\n"
        "    @aimm_plugins.hookimpl(wrapper=True)\n"
        "    def aimm_fit(self): return (yield)\n"
        "aimm_plugins.get_plugin_manager().register(Hooks(), 'acme-hooks')\n"
    },
}


@pytest.mark.parametrize("kind", SOUND)
def test_sound_plugin_is_not_blamed(site, install, kind):
    files = {f"acme/{name}.py": text for name, text in SOUND[kind].items()}
    for file, text in files.items():
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).write_text(text)
    install("acme-dist", entry_points={"a": "acme"}, files=[*files])
    conf = {"names": [], "entry_points": {"allow": ["acme-dist"]}}
    planned = plan(conf)
    assert (planned.ok, planned.findings) == (True, ())
    assert examine(take_inventory(conf)) == ()
    started = initialize(conf)
    assert (started.ok, started.findings) == (True, ())


def test_lazy_package_whose_object_is_made_when_it_is_asked_is_not_blamed(site, install):
    (site / "acme").mkdir()
    (site / "acme" / "__init__.py").write_text(
        "import importlib\ndef __getattr__(name):\n    if name != 'learn':\n"
        "        raise AttributeError(name)\n"
        "    return importlib.import_module('acme.models').learn\n"
    )
    (site / "acme" / "models.py").write_text(KEY)
    install("acme-dist", entry_points={"a": "acme:learn"}, files=["acme/__init__.py"])
    for report in (plan(), initialize()):
        assert (report.ok, report.findings) == (True, ())


EXTENDS = {
    "pkgutil": "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n",
    "pkg_resources": "try:\n    __import__('pkg_resources').declare_namespace(__name__)\n"
    "except ImportError:\n    import pkgutil\n"
    "    __path__ = pkgutil.extend_path(__path__, __name__)\n",
}


@pytest.mark.parametrize("style", EXTENDS)
def test_part_of_an_old_namespace_in_another_folder_is_not_blamed(
    site, install, tmp_path, monkeypatch, style
):
    second = tmp_path / "second"
    monkeypatch.syspath_prepend(second)
    for folder, name in ((second, "other"), (site, "models")):
        (folder / "acme" / "inner").mkdir(parents=True)
        (folder / "acme" / "__init__.py").write_text(EXTENDS[style])
        (folder / "acme" / "inner" / "__init__.py").write_text(EXTENDS[style])
        (folder / "acme" / "inner" / f"{name}.py").write_text(KEY)
    install("acme-dist", entry_points={"a": "acme.inner.models"}, files=["acme/inner/models.py"])
    for report in (plan(), initialize()):
        assert (report.ok, report.findings) == (True, ())
        assert report.plugins[0].provides == (("fit", "k"),)


def test_module_that_its_package_makes_is_not_blamed(site, install):
    (site / "crafted").mkdir()
    (site / "crafted" / "__init__.py").write_text(
        "import sys, types\nsys.modules['crafted.moves'] = moves = types.ModuleType('crafted.moves')\n"
        f"exec({KEY!r}, moves.__dict__)\n"
    )
    install("acme-dist", entry_points={"a": "crafted.moves"}, files=["crafted/__init__.py"])
    for report in (plan(), initialize()):
        assert (report.ok, report.findings) == (True, ())
