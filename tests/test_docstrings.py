"""Docstrings of public functions: each has an example, and examples run as they stand."""

from __future__ import annotations

import doctest
import importlib
import inspect
import logging
import re
import sys

import pytest

MODULES = ("", ".compat", ".executors", ".reporters", ".testing", ".workers")
NEED_MORE = {"check", "fingerprint_of", "install"}
"""Functions that need a pool, an executor or another program; pages of the documentation run them."""


def _public() -> dict[str, object]:
    found = {}
    for module in (importlib.import_module(f"aimm_plugins{name}") for name in MODULES):
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if inspect.isroutine(value) or hasattr(value, "__wrapped__") or inspect.isclass(value):
                found[f"{value.__module__}.{name}"] = value
    return found


PUBLIC = _public()
FUNCTIONS = {
    name: value
    for name, value in PUBLIC.items()
    if not inspect.isclass(value) and value.__name__ not in NEED_MORE
}
EXAMPLES = [
    example
    for name, value in PUBLIC.items()
    for example in doctest.DocTestFinder().find(value, name, globs={"__name__": "__main__"})
    if example.examples
]


@pytest.fixture
def root_logger():
    """Examples may configure logging."""
    root = logging.root
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
@pytest.mark.usefixtures("root_logger")
def test_example_of_a_docstring_runs(example, capsys):
    for extra in ("rich", "tqdm"):
        if f"from {extra}" in example.docstring:
            pytest.importorskip(extra)
    runner = doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    with capsys.disabled():
        failed, tried = runner.run(example, out=sys.stderr.write)
    assert tried
    assert not failed


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring_of_a_function_has_its_sections(name):
    function = FUNCTIONS[name]
    text = inspect.getdoc(function) or ""
    signature = inspect.signature(function)
    if signature.parameters:
        assert "\nArgs:\n" in text
    if signature.return_annotation not in ("None", None):
        assert re.search(r"\n(Returns|Yields):\n", text)
    assert ">>> " in text or name.endswith("_async")
