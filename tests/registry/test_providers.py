"""Who answers what."""

from __future__ import annotations

import pytest

import aimm_plugins
from aimm_plugins import providers


def test_provider_of_one_key_is_found_under_every_action():
    aimm_plugins.instantiate("a")(dict)
    aimm_plugins.fit(["a", "b"])(lambda model: model)
    assert list(providers(key="a")) == [("instantiate", "a"), ("fit", "a")]
    assert providers("fit", "b") == {("fit", "b"): providers()["fit", "b"]}
    assert providers("predict", "a") == {}


def test_provider_whose_import_failed_is_none(write):
    write(broken="data_access('rows')(list)\nraise OSError")
    with pytest.raises(OSError):
        import broken  # noqa: F401  # for what it raises
    assert providers("data_access", "rows") == {}
