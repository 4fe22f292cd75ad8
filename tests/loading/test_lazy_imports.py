"""Since Python 3.15 a plugin may import lazily what declares its keys."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

import aimm_plugins
from aimm_plugins import exec_data_access, initialize
from aimm_plugins._source.reader import SourceReader
from tests.conftest import names

pytestmark = pytest.mark.skipif(sys.version_info < (3, 15), reason="without lazy imports")

DECLARES = "@data_access('d')\ndef f(): return 5\n"


@pytest.fixture
def all_lazy() -> Iterator[None]:
    """What `-X lazy_imports=all` sets."""
    sys.set_lazy_imports("all")  # type: ignore[attr-defined, unused-ignore]
    yield
    sys.set_lazy_imports("normal")  # type: ignore[attr-defined, unused-ignore]


@pytest.mark.parametrize(
    "line",
    [
        "lazy from . import models",
        "lazy from .models import f",
        "lazy import lazy_plugin.models",
        "lazy import lazy_plugin.models as m",
        "__lazy_modules__ = ['lazy_plugin.models']\nfrom .models import f",
    ],
)
def test_keys_of_a_module_that_is_imported_lazily_are_there(write, line):
    write(lazy_plugin____init__=line, lazy_plugin__models=DECLARES)
    (record,) = initialize(names("lazy_plugin")).plugins
    assert record.provides == (("data_access", "d"),)
    assert exec_data_access("d") == 5


def test_keys_are_there_where_the_host_imports_all_lazily(write, all_lazy):
    write(
        lazy_plugin____init__="from . import outer",
        lazy_plugin__outer="from .inner import f",
        lazy_plugin__inner=DECLARES,
    )
    initialize(names("lazy_plugin"))
    assert exec_data_access("d") == 5


def test_keys_of_a_plugin_are_there_that_somebody_imported_before(write):
    write(lazy_plugin____init__="lazy from . import models", lazy_plugin__models=DECLARES)
    __import__("lazy_plugin")
    assert aimm_plugins.providers() == {}
    initialize(names("lazy_plugin"))
    assert exec_data_access("d") == 5


def test_lazy_imports_may_form_a_circle(write):
    write(
        lazy_plugin____init__="lazy from .models import f",
        lazy_plugin__models="lazy from .base import BASE\n" + DECLARES,
        lazy_plugin__base="from .models import f\nBASE = f\n",
    )
    initialize(names("lazy_plugin"))
    assert exec_data_access("d") == 5


def test_plugin_fails_by_a_lazy_import_of_its_own_that_fails(write):
    write(lazy_plugin____init__="lazy from .gone import g\n" + DECLARES)
    (record,) = initialize(names("lazy_plugin", on_error="isolate")).plugins
    assert record.state == "failed"
    assert "lazy_plugin.gone" in str(record.error)
    assert aimm_plugins.providers() == {}


def test_plugin_is_repaired_that_has_lacked_what_it_imports_lazily(write):
    write(lazy_plugin____init__="lazy from .gone import g\n" + DECLARES)
    initialize(names("lazy_plugin", on_error="isolate"))
    write(lazy_plugin____init__=DECLARES + "# and nothing else\n")
    (record,) = initialize(names("lazy_plugin")).plugins
    assert record.provides == (("data_access", "d"),)


@pytest.mark.parametrize("line", ["lazy import lazy_costly", "lazy from lazy_costly import x"])
def test_what_the_author_imports_lazily_of_others_is_imported_when_it_is_used(write, line):
    name = line.rpartition(" ")[2]
    write(
        lazy_plugin=f"{line}\n@data_access('d')\ndef f(): return {name}\n",
        lazy_costly="raise ImportError('too dear')",
    )
    (record,) = initialize(names("lazy_plugin")).plugins
    assert record.provides == (("data_access", "d"),)
    with pytest.raises(ImportError, match="too dear"):
        exec_data_access("d")


def test_plugin_fails_by_what_it_lacks_where_the_host_imports_all_lazily(write, all_lazy):
    write(lazy_plugin="import not_there_at_all\n" + DECLARES)
    (record,) = initialize(names("lazy_plugin", on_error="isolate")).plugins
    assert record.state == "failed"
    assert "not_there_at_all" in str(record.error)


def test_what_others_import_lazily_stays_lazy(write):
    write(lazy_plugin="import lazy_library\n" + DECLARES, lazy_library="lazy import lazy_costly")
    write(lazy_costly="raise ImportError")
    initialize(names("lazy_plugin"))
    assert exec_data_access("d") == 5


def test_source_that_imports_lazily_is_read(write):
    write(lazy_plugin____init__="lazy from .models import f", lazy_plugin__models=DECLARES)
    found = SourceReader(["lazy_plugin"]).read("lazy_plugin")
    assert [declared.key for declared in found.declarations] == ["d"]
    assert not found.gaps


def test_probe_imports_what_is_lazy(write):
    write(
        lazy_plugin____init__="lazy from . import models", lazy_plugin__models="raise KeyError(5)"
    )
    (record,) = initialize(names("lazy_plugin", on_error="isolate", probe=600)).plugins
    assert "in a child process raised KeyError: 5" in str(record.error)
