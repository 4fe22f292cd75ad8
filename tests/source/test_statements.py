"""What import statements bind."""

from __future__ import annotations

import ast

import pytest

from aimm_plugins._source.statements import ImportedName, imported_names, package_of


@pytest.mark.parametrize(
    ("statement", "bound", "module", "attribute"),
    [
        ("import a", "a", "a", None),
        ("import a.b.c", "a", "a", None),
        ("import a.b.c as d", "d", "a.b.c", None),
        ("from a import b", "b", "a", "b"),
        ("from a import b as c", "c", "a", "b"),
        ("from a import *", "*", "a", "*"),
        ("from . import b", "b", "pkg.sub", "b"),
        ("from .a import b", "b", "pkg.sub.a", "b"),
        ("from .. import b", "b", "pkg", "b"),
        ("from ..a.c import b", "b", "pkg.a.c", "b"),
        ("from ... import b", "b", "..", "b"),
        ("from ....a import b", "b", "..a", "b"),
    ],
)
def test_names_are_bound_to_absolute_ones(statement, bound, module, attribute):
    (node,) = ast.parse(statement).body
    assert list(imported_names(node, "pkg.sub")) == [(bound, ImportedName(module, attribute))]


@pytest.mark.parametrize(
    ("module", "file", "package"),
    [
        ("pkg.sub", "pkg/sub/__init__.py", "pkg.sub"),
        ("pkg.sub", "pkg/sub.py", "pkg"),
        ("mod", "mod.py", ""),
    ],
)
def test_package_of_a_module_is_where_relative_imports_start(module, file, package):
    assert package_of(module, file) == package
