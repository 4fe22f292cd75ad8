"""The fixture `fresh_process`."""

from __future__ import annotations

import pytest


def test_fresh_process_gives_the_result(fresh_process):
    assert fresh_process("import sys\nresult = (x + 1, 'pytest' in sys.modules)", x=1) == (2, False)


def test_fresh_process_finds_modules_where_the_test_does(fresh_process, write):
    write(here="value = 3")
    assert fresh_process("import here\nresult = here.value") == 3


def test_error_in_a_fresh_process_is_told(fresh_process):
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        fresh_process("1 / 0")


def test_crash_of_a_fresh_process_is_told(fresh_process):
    with pytest.raises(RuntimeError, match="left with status 7"):
        fresh_process("import os\nos._exit(7)")
