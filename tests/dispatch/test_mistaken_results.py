"""Results that are most likely mistakes are told by the call that made them."""

from __future__ import annotations

import asyncio
import logging

import pytest

import aimm_plugins
from aimm_plugins import exec_fit, exec_serialize, fit, serialize


async def awaited(model, *, cb=None):
    return None


PLAIN = {
    "plain": (lambda model: None, {}),
    "with a callback": (lambda model, cb: None, {"state_cb_arg_name": "cb"}),
    "asynchronous": (awaited, {}),
}


@pytest.mark.parametrize("way", PLAIN)
def test_fit_without_a_return_is_told_once_and_its_none_returned(way, caplog):
    function, options = PLAIN[way]
    fit(["forgetful"], **options)(function)
    assert exec_fit("forgetful", {}) is None
    assert asyncio.run(aimm_plugins.exec_fit_async("forgetful", {})) is None
    (line,) = [line for line in caplog.records if line.levelno == logging.WARNING]
    assert "fit:forgetful" in line.getMessage()
    assert "lack a `return`" in line.getMessage()
    assert "test_mistaken_results.py" in line.getMessage()


def test_none_of_other_actions_is_no_mistake(caplog):
    aimm_plugins.instantiate("nothing")(lambda: None)
    aimm_plugins.predict(["nothing"])(lambda model: None)
    aimm_plugins.exec_predict("nothing", aimm_plugins.exec_instantiate("nothing"))
    assert not caplog.records


@pytest.mark.parametrize("way", ["sync", "async"])
def test_text_of_serialize_is_refused(way):
    serialize(["text"])(lambda model: "{}")
    with pytest.raises(TypeError, match=r"serialize:text .* must return bytes, and returned str"):
        if way == "sync":
            exec_serialize("text", {})
        else:
            asyncio.run(aimm_plugins.exec_serialize_async("text", {}))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_whatever_holds_bytes_passes(kind):
    serialize(["bytes"])(lambda model: kind(b"{}"))
    assert bytes(exec_serialize("bytes", {})) == b"{}"
