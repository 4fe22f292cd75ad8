"""Fingerprints: what is registered as a digest, and what differs between two."""

from __future__ import annotations

import importlib
import json
import pickle
import sys
import zipfile

import pytest

import aimm_plugins
from aimm_plugins import Fingerprint, compare, fingerprint, initialize
from aimm_plugins._parity.fingerprint import FingerprintRow, of_rows
from tests.conftest import names

SVC = "@fit(['k'])\ndef f(m): ...\n@predict(['k'])\ndef g(m): ...\n"


def rows(print_: Fingerprint) -> dict[str, FingerprintRow]:
    return {f"{row.action}:{row.key}": row for row in print_.rows}


def again() -> Fingerprint:
    """The fingerprint of the module `p`, from nothing."""
    aimm_plugins.unload_all()
    initialize(names("p"))
    return fingerprint()


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


def test_row_tells_distribution_version_module_and_qualname(dist):
    dist()
    initialize()
    assert {
        name: (r.distribution, r.version, r.module, r.qualname)
        for name, r in rows(fingerprint()).items()
        if r.module == "p"
    } == {
        "fit:k": ("lazy-dist", "1.0", "p", "f"),
        "predict:k": ("lazy-dist", "1.0", "p", "g"),
    }


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
def test_published_name_that_is_imported_from_elsewhere_has_the_row_of_its_definition(
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
    assert rows(deferred)["fit:k"].module == "reexported.svc"


def test_model_class_has_its_own_name_in_every_row_deferred_or_loaded(write, install):
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
    assert {row.qualname for row in deferred.rows if row.module == "p"} == {"SVC"}


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
    assert (row.sources, fingerprint().digest) == KNOWN


KNOWN = (
    "ba57cfacc40e4d403568132eeabf4ebd90b5027ce93c7932b49b96476b7b7ba1",
    "ca7f964a2d2eddb802c24af204b37564ac71d6345a904c8c51cc11e77dcc18d6",
)


def test_line_ends_do_not_matter(site):
    text = b"from aimm_plugins import fit\n@fit(['k'])\ndef f(m): ...\n"
    (site / "p.py").write_bytes(text)
    unix = again()
    (site / "p.py").write_bytes(text.replace(b"\n", b"\r\n"))
    assert again() == unix


def test_file_of_the_package_that_declares_nothing_counts(write, site):
    write(p____init__=SVC, p__deep__part="X = 1\n")
    before = again()
    (site / "p" / "deep" / "part.py").write_text("X = 2\n")
    assert again() != before


def test_renamed_file_counts(write, site):
    write(p____init__=SVC, p__part="X = 1\n")
    before = again()
    (site / "p" / "part.py").rename(site / "p" / "other.py")
    assert again() != before


def test_bytecode_and_other_files_do_not_count(write, site):
    write(p____init__=SVC)
    before = again()
    (site / "p" / "__pycache__").mkdir(exist_ok=True)
    (site / "p" / "__pycache__" / "x.py").write_text("")
    (site / "p" / "data.csv").write_text("")
    assert again() == before


def test_neighbours_in_a_namespace_do_not_count(write, site):
    write(nspace__p=SVC)
    initialize(names("nspace.p"))
    before = fingerprint()
    write(nspace__stranger="")
    aimm_plugins.unload_all()
    initialize(names("nspace.p"))
    assert fingerprint() == before
    assert before.rows[0].sources is not None


def test_outermost_package_counts_for_a_plugin_deep_within(write, site):
    write(
        outermost____init__="",
        outermost__plugins____init__="",
        outermost__plugins__p=SVC,
        outermost__shared="X = 1\n",
    )
    initialize(names("outermost.plugins.p"))
    before = fingerprint()
    (site / "outermost" / "shared.py").write_text("X = 2\n")
    aimm_plugins.unload_all()
    initialize(names("outermost.plugins.p"))
    assert fingerprint() != before


def test_declaring_module_outside_the_plugin_counts_too(write, site):
    write(borrowing="import loose\n", loose=SVC)
    initialize(names("borrowing"))
    before = fingerprint()
    (site / "loose.py").write_text((site / "loose.py").read_text() + "# changed\n")
    aimm_plugins.unload_all()
    initialize(names("borrowing"))
    assert fingerprint() != before
    assert len(before.rows) == 2


def test_plugin_in_a_zip_has_the_sources_that_it_has_in_a_folder(write, site, monkeypatch):
    write(p____init__=SVC, p__part="X = 1\n")
    before = again()
    archive = site.parent / "plugins.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(site.rglob("*.py")):
            opened.write(path, path.relative_to(site))
            path.unlink()
    for name in ("p", "p.part"):
        sys.modules.pop(name, None)
    monkeypatch.syspath_prepend(archive)
    importlib.invalidate_caches()
    after = again()
    sys.modules.pop("p", None)
    assert [row.sources for row in after.rows] == [row.sources for row in before.rows]


def test_what_has_no_file_has_no_sources():
    code = "from aimm_plugins import fit\n@fit(['k'])\ndef f(m): ...\n"
    exec(compile(code, "<stdin>", "exec"), {"__name__": "typed"})
    assert rows(fingerprint())["fit:k"].sources is None


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
    assert "fit:k      p:f" in str(made)


# Comparing


def row(**more) -> FingerprintRow:
    standard = {
        "action": "fit",
        "key": "k",
        "distribution": "aimm-svc",
        "version": "1.2",
        "module": "aimm_svc",
        "qualname": "f",
        "sources": "ab" * 32,
    }
    return FingerprintRow(**{**standard, **more})


def test_equal_fingerprints_have_no_difference(made):
    found = compare(made, pickle.loads(pickle.dumps(made)))
    assert not found
    assert str(found) == "no difference"


@pytest.mark.parametrize(
    ("first", "second", "kind", "remedy"),
    [
        ([row()], [], "missing", "pip install aimm-svc==1.2"),
        ([], [row()], "unexpected", "take aimm-svc out: uninstall it, or deny it"),
        ([row()], [row(version="1.1")], "version differs", "pip install aimm-svc==1.2"),
        ([row()], [row(version=None)], "version differs", "pip install aimm-svc==1.2"),
        ([row()], [row(sources=None)], "files differ", "--force-reinstall aimm-svc==1.2"),
        (
            [row()],
            [row(distribution="aimm-legacy", version="0.9")],
            "other provider",
            'prefer: {"k": aimm-svc}',
        ),
        ([row()], [row(qualname="other")], "other provider", 'prefer: {"k": aimm-svc}'),
        (
            [row(distribution=None, version=None)],
            [],
            "missing",
            "put the same aimm_svc on the path, and into `names`",
        ),
        (
            [row(distribution=None, version=None, module="__main__")],
            [],
            "missing",
            "declare it in a module; what a main program",
        ),
        (
            [row(distribution=None, version=None)],
            [row(distribution=None, version=None, module="other")],
            "other provider",
            'prefer: {"k": aimm_svc}',
        ),
    ],
)
def test_difference_says_its_kind_and_what_to_do(first, second, kind, remedy):
    (found,) = compare(of_rows(first), of_rows(second))
    assert found.kind == kind
    assert remedy in found.remedy


def test_keys_of_one_plugin_stand_in_one_line_of_the_table():
    one = of_rows([row(), row(action="predict", qualname="g"), row(key="other")])
    other = of_rows(
        row(
            action=each.action,
            key=each.key,
            qualname=each.qualname,
            version="1.1",
            sources="cd" * 32,
        )
        for each in one.rows
    )
    assert str(compare(one, other)).splitlines() == [
        "  what             first                      second                     keys",
        "  version differs  aimm-svc 1.2 abababababab  aimm-svc 1.1 cdcdcdcdcdcd"
        "  fit:k, fit:other, predict:k",
        "To make the second like the first:",
        "  pip install aimm-svc==1.2",
    ]


def test_differences_survive_pickling_and_json():
    found = compare(of_rows([row()]), of_rows([]))
    assert pickle.loads(pickle.dumps(found)) == found
    assert json.loads(json.dumps(found.to_dict()))["differences"][0]["kind"] == "missing"
