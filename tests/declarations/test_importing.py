"""Which plugin a declaration belongs to while one is being imported."""

from __future__ import annotations

import sys

import pytest

from aimm_plugins._declarations.ledger import DeclarationLedger


def interrupted(ledger: DeclarationLedger, line: int) -> bool:
    """Import a plugin, and be interrupted at a line of what does it; whether there was one."""
    left = line

    def at_lines(frame, event, _):
        nonlocal left
        if event == "line":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return at_lines

    def at_calls(frame, *_):
        return at_lines if frame.f_code is DeclarationLedger.importing.__code__ else None

    before = sys.gettrace()
    sys.settrace(at_calls)
    try:
        ledger.importing("acme", lambda _: None)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_declarations_while_a_plugin_is_imported_are_its_own():
    ledger = DeclarationLedger()
    assert ledger.importing("acme", lambda _: ledger.current_importer("of.somebody")) == "acme"


def test_plugin_that_is_imported_by_another_has_its_own_declarations():
    ledger = DeclarationLedger()

    def outer(_):
        inner = ledger.importing("inner", lambda _: ledger.current_importer(None))
        return inner, ledger.current_importer(None)

    assert ledger.importing("outer", outer) == ("inner", "outer")


def test_import_of_another_ledger_says_nothing():
    ledger, other = DeclarationLedger(), DeclarationLedger()
    assert ledger.importing("acme", lambda _: other.current_importer(None)) is None


@pytest.mark.parametrize("line", [1, 2, 3, 4])
def test_declaration_after_an_interrupted_import_is_not_the_plugins(line):
    ledger = DeclarationLedger()
    assert interrupted(ledger, line)
    assert ledger.current_importer("by.hand") is None
    assert not interrupted(DeclarationLedger(), 5)
