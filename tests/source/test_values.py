"""Names and constants, followed from module to module."""

from __future__ import annotations

import pytest

from aimm_plugins._source.reader import SourceReader

CASES = {
    "constant of a module": (
        "from . import names\nfrom aimm_plugins import fit\n@fit([names.KEY])",
        "KEY = 'k'",
    ),
    "imported constant": (
        "from .names import KEY as OTHER\nfrom aimm_plugins import fit\n@fit([OTHER])",
        "KEY = 'k'",
    ),
    "dotted name": (
        "import followed.names\nfrom aimm_plugins import fit\n@fit([followed.names.KEY])",
        "KEY = 'k'",
    ),
    "decorator under another name": (
        "from .names import learns\n@learns(['k'])",
        "from aimm_plugins import fit as _fit\nlearns = _fit",
    ),
    "star import": (
        "from .names import *\n@fit([KEY])",
        "from aimm_plugins import *\nKEY = 'k'",
    ),
    "imported star": (
        "from . import names\n@names.fit([names.KEY])",
        "from aimm_plugins import *\nKEY = 'k'",
    ),
    "circle": (
        "KEY = 'k'\nfrom .names import fit, SAME\n@fit([SAME])",
        "from aimm_plugins import fit\nfrom . import KEY as SAME",
    ),
}


@pytest.fixture
def read(site):
    """Reads a package of two modules, of which the first is the plugin."""

    def read(plugin: str, names: str):
        folder = site / "followed"
        folder.mkdir()
        (folder / "__init__.py").write_text(plugin)
        (folder / "names.py").write_text(names)
        return SourceReader(["followed"]).read("followed")

    return read


@pytest.mark.parametrize("case", CASES)
def test_names_are_followed_from_module_to_module(read, case):
    plugin, names = CASES[case]
    found = read(f"{plugin}\ndef f(m): ...\n", names)
    assert [(d.action, d.key, d.qualname, d.certain) for d in found.declarations] == [
        ("fit", "k", "f", True)
    ]
    assert found.gaps == ()


UNKNOWN = {
    "constant that is bound twice": ("from .names import *\n@fit([KEY])", "KEY = 'a'\nKEY = 'b'"),
    "private name of a star import": ("from .names import *\n@fit([_KEY])", "_KEY = 'a'"),
    "circle of imports": (
        "from aimm_plugins import fit\nfrom .names import KEY\n@fit([KEY])",
        "from . import KEY",
    ),
    "itself": ("from aimm_plugins import fit\nKEY = KEY\n@fit([KEY])", ""),
    "third-party module": ("from aimm_plugins import fit\nimport os\n@fit([os.sep])", ""),
    "module of another package": (
        "from aimm_plugins import fit\nfrom json import KEY\n@fit([KEY])",
        "",
    ),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_key_that_no_module_surely_binds_is_a_gap(read, case):
    plugin, names = UNKNOWN[case]
    found = read(f"from aimm_plugins import *\n{plugin}\ndef f(m): ...\n", names)
    assert found.declarations == ()
    assert "is known only when the code runs" in str(found.gaps[0])


def test_decorator_in_a_function_of_a_module_that_reexports_it_is_a_gap(read):
    found = read(
        "from . import names\ndef register():\n  names.learns(['k'])(print)\n",
        "from aimm_plugins import fit as learns",
    )
    assert "followed/__init__.py:3: `names.learns` is not the decorator" in str(found.gaps[0])


def test_decorators_of_others_are_passed_over(read):
    found = read(
        "from functools import cache\nfrom other import fit\n@fit(['k'])\n@cache\ndef f(m): ...",
        "",
    )
    assert (found.declarations, found.gaps) == ((), ())


@pytest.mark.parametrize(
    "statement", ["for each in KEYS: pass", "KEYS2 = []\nKEYS2 += KEYS", "other: int"]
)
def test_names_that_a_statement_only_reads_keep_their_values(read, statement):
    source = f"from aimm_plugins import fit\nKEYS = ['k']\n{statement}\n@fit(KEYS)\ndef f(m): ...\n"
    found = read(source, "")
    assert [(d.key, d.certain) for d in found.declarations] == [("k", True)]


@pytest.mark.parametrize("statement", ["for KEYS in 'ab': pass", "KEYS += ['b']", "del KEYS"])
def test_names_that_a_statement_changes_are_unknown(read, statement):
    source = f"from aimm_plugins import fit\nKEYS = ['k']\n{statement}\n@fit(KEYS)\ndef f(m): ...\n"
    assert read(source, "").gaps
