"""Fingerprints: what is registered, as a digest with its table."""

from __future__ import annotations

import json
import pickle
import sys

import pytest

import aimm_plugins
from aimm_plugins import Fingerprint, fingerprint, initialize
from aimm_plugins._parity.rows import FingerprintRow
from tests.conftest import names

SVC = "@fit(['k'])\ndef f(m): ...\n@predict(['k'])\ndef g(m): ...\n"


def rows(print_: Fingerprint) -> dict[str, FingerprintRow]:
    return {f"{row.action}:{row.key}": row for row in print_.rows}


@pytest.fixture
def dist(write, install):
    def dist(source=SVC, version="1.0", published=None):
        write(p=source)
        install(
            "Lazy_Dist",
            version,
            entry_points={"ep": "p"},
            published={"fit:k": "p:f", "predict:k": "p:g"} if published is None else published,
            files=["p.py"],
        )

    return dist


def test_row_names_distribution_version_and_module(dist):
    dist()
    initialize()
    assert {
        name: (r.distribution, r.version, r.module)
        for name, r in rows(fingerprint()).items()
        if r.module == "p"
    } == {
        "fit:k": ("lazy-dist", "1.0", "p"),
        "predict:k": ("lazy-dist", "1.0", "p"),
    }


def test_row_names_the_owner_of_the_module_and_not_who_publishes_it(write, install):
    write(p=SVC)
    install("owner", "2.0", files=["p.py"])
    install("publisher", entry_points={"ep": "p"})
    initialize()
    row = rows(fingerprint())["fit:k"]
    assert (row.distribution, row.version) == ("owner", "2.0")


def test_version_is_the_one_that_was_imported(dist, site):
    dist()
    initialize()
    (site / "Lazy_Dist-1.0.dist-info").rename(site / "Lazy_Dist-1.1.dist-info")
    metadata = site / "Lazy_Dist-1.1.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("1.0", "1.1"))
    assert rows(fingerprint())["fit:k"].version == "1.0"


def test_deferred_plugin_has_the_row_that_it_has_when_loaded(dist):
    dist()
    initialize({"names": [], "load": "lazy"})
    deferred = fingerprint()
    assert "p" not in sys.modules
    aimm_plugins.exec_fit("k", None)
    assert fingerprint() == deferred
    assert "p" in sys.modules


@pytest.mark.parametrize(
    "import_",
    [
        "from .svc import f, g",
        "from reexported.svc import (f,\n    h as g)",
        "from .again import *\nfrom .again import f, g",
    ],
)
def test_published_name_that_is_imported_from_elsewhere_has_the_row_that_it_has_when_loaded(
    write, install, import_
):
    write(
        reexported____init__=import_ + "\n",
        reexported__again="from .svc import f, g\n",
        reexported__svc=SVC + "h = g\n" if "h as" not in import_ else SVC.replace("def g", "def h"),
    )
    install(
        "q-dist",
        entry_points={"ep": "reexported"},
        published={"fit:k": "reexported:f", "predict:k": "reexported:g"},
    )
    initialize({"names": [], "load": "lazy"})
    deferred = fingerprint()
    aimm_plugins.exec_fit("k", None)
    assert fingerprint() == deferred
    assert rows(deferred)["fit:k"].module == "reexported"


def test_deferred_plugin_that_declares_in_another_package_keeps_its_row(write, install):
    write(thin="from thick import f, g\n", thick=SVC)
    install(
        "d",
        entry_points={"ep": "thin"},
        published={"fit:k": "thin:f", "predict:k": "thin:g"},
        files=["thin.py"],
    )
    initialize({"names": [], "load": "lazy"})
    deferred = fingerprint()
    aimm_plugins.exec_fit("k", None)
    assert fingerprint() == deferred


def test_deferred_model_class_has_the_rows_that_it_has_when_loaded(write, install):
    actions = ["instantiate", "fit", "predict", "serialize", "deserialize"]
    write(
        p="@aimm_plugins.model(model_type='k')\nclass SVC:\n def fit(self): ...\n"
        " def predict(self): ...\n def serialize(self): ...\n"
        " @classmethod\n def deserialize(cls, data): ...\n"
    )
    install("d", entry_points={"ep": "p"}, published={f"{a}:k": "p:SVC" for a in actions})
    initialize({"names": [], "load": "lazy"})
    deferred = fingerprint()
    aimm_plugins.exec_instantiate("k")
    assert fingerprint() == deferred
    assert {row.action for row in deferred.rows if row.module == "p"} == set(actions)


def test_fingerprint_does_not_depend_on_the_order_of_loading(write):
    write(a="@fit(['a'])\ndef f(m): ...\n", b="@fit(['b'])\ndef f(m): ...\n")
    initialize(names("a", "b"))
    first = fingerprint()
    aimm_plugins.unload_all()
    initialize(names("b", "a"))
    assert fingerprint() == first


def test_fingerprint_of_a_known_plugin_is_a_known_digest(site):
    """The same on every platform and Python; a change of the format needs a new `_FORMAT`."""
    (site / "p.py").write_bytes(b"from aimm_plugins import fit\n@fit(['k'])\ndef f(m): ...\n")
    initialize(names("p"))
    (row,) = fingerprint().rows
    assert (row.files, fingerprint().digest) == KNOWN


KNOWN = (
    "dfdd2e5856eb78a02355b7d04a051942fb906f48391fa8af6535a2e83d7b7afd",
    "69cae6081cc6b28ad362e4cd9856b2145c03838f9d669be119a8c54ce7c9a339",
)


def test_what_has_no_file_has_no_sources():
    code = "from aimm_plugins import fit\n@fit(['k'])\ndef f(m): ...\n"
    exec(compile(code, "<stdin>", "exec"), {"__name__": "typed"})
    assert rows(fingerprint())["fit:k"].files is None


def test_main_module_is_called_the_same_in_a_spawned_process():
    for name in ("__main__", "__mp_main__"):
        exec("from aimm_plugins import fit\n@fit(['k'])\ndef f(m): ...\n", {"__name__": name})
        assert rows(fingerprint())["fit:k"].module == "__main__"
        aimm_plugins.unload_all()


def test_fingerprint_is_kept_until_the_registry_changes(write, site):
    write(p=SVC)
    initialize(names("p"))
    first = fingerprint()
    assert fingerprint() is first
    code = "from aimm_plugins import fit\n@fit(['by.hand'])\ndef f(m): ...\n"
    exec(compile(code, "<stdin>", "exec"), {"__name__": "typed"})
    assert "fit:by.hand" in rows(fingerprint())
    aimm_plugins.unload_all()
    assert fingerprint().rows == ()


# Crossing borders


@pytest.fixture
def made(write):
    write(p=SVC)
    initialize(names("p"))
    return fingerprint()


def test_fingerprint_survives_pickling_and_json(made):
    assert pickle.loads(pickle.dumps(made)) == made
    assert Fingerprint.from_dict(json.loads(json.dumps(made.to_dict()))) == made


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(digest="0" * 64),
        lambda data: data["rows"].pop(),
        lambda data: data["rows"][0].update(version="2"),
        lambda data: data["rows"][0].update(action="fits"),
        lambda data: data["rows"][0].pop("module"),
        lambda data: data.update(rows=5),
        lambda data: data["rows"].append(5),
    ],
)
def test_changed_fingerprint_is_refused(made, change):
    data = made.to_dict()
    change(data)
    with pytest.raises(ValueError):
        Fingerprint.from_dict(data)


def test_fingerprint_prints_its_rows(made):
    assert str(made).splitlines()[0] == f"fingerprint {made.digest}"
    assert "fit:k      p  " in str(made)
