"""The public surface."""

from __future__ import annotations

import inspect

import aimm_plugins


def test_all_is_what_is_visible():
    for name in aimm_plugins.__all__:  # some are there once they were asked for
        getattr(aimm_plugins, name)
    visible = {
        name
        for name, value in vars(aimm_plugins).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    } - {"annotations", "TYPE_CHECKING", "Any"}
    # Names that a star import would put over everybody's are left out.
    assert sorted(aimm_plugins.__all__) == sorted(visible - {"compare", "inspect"})


def test_every_public_function_and_class_has_a_docstring():
    bare = [
        name
        for name in aimm_plugins.__all__
        if (inspect.isroutine(value := getattr(aimm_plugins, name)) or inspect.isclass(value))
        and not value.__doc__
    ]
    assert bare == []


def test_version_is_the_distributions():
    assert aimm_plugins.__version__[0].isdigit()


def test_dir_has_what_is_imported_later():
    assert set(aimm_plugins.__all__) <= set(dir(aimm_plugins))
