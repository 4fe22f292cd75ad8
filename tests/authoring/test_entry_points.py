"""Entry points made from decorators: read from source, by running the code, and at build time."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from aimm_plugins._authoring.declarations import read_declarations
from aimm_plugins._authoring.project import find_project
from aimm_plugins._authoring.pyproject import rewritten
from aimm_plugins._authoring.running import run_declarations
from aimm_plugins._authoring.tables import as_toml, entry_points
from aimm_plugins.cli import run
from aimm_plugins.errors import AimmPluginsError, ConfigError, DeclarationError

PYPROJECT = """\
[build-system]
requires = ["hatchling"]  # a comment

[project]
name = "my-models"
version = "1.0"

# About ruff.
[tool.ruff]
line-length = 100
"""


@pytest.fixture
def project(tmp_path):
    """Writes a project of the files given as path and text, and returns its folder."""

    def write(pyproject=PYPROJECT, **files):
        for name, text in files.items():
            path = tmp_path / (name.replace("__", "/").replace("/init", "/__init__") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if pyproject is not None:
            (tmp_path / "pyproject.toml").write_text(pyproject, encoding="utf-8")
        return tmp_path

    return write


def slots(folder):
    return {
        f"{each.action}:{each.key}": f"{each.module}:{each.qualname}"
        for each in read_declarations(find_project(folder))
    }


def tables(folder):
    found = find_project(folder)
    return entry_points(found, read_declarations(found))


FORMS = {
    "from-import": "from aimm_plugins import fit\n@fit(['k'])\ndef f(m): ...",
    "alias": "from aimm_plugins import fit as declare\n@declare(['k'])\ndef f(m): ...",
    "module": "import aimm_plugins\n@aimm_plugins.fit(['k'])\ndef f(m): ...",
    "module alias": "import aimm_plugins as ap\n@ap.fit(['k'])\ndef f(m): ...",
    "star": "from aimm_plugins import *\n@fit(['k'])\ndef f(m): ...",
    "other name": "import aimm_plugins\nlearns = aimm_plugins.fit\n@learns(['k'])\ndef f(m): ...",
    "keyword": "from aimm_plugins import fit\n@fit(model_types=['k'])\ndef f(m): ...",
    "tuple": "from aimm_plugins import fit\n@fit(('k',))\ndef f(m): ...",
    "constant": "from aimm_plugins import fit\nKEY: str = 'k'\n@fit([KEY])\ndef f(m): ...",
    "list": "from aimm_plugins import fit\nKEYS = ['k']\n@fit(KEYS)\ndef f(m): ...",
    "unpacked": "from aimm_plugins import fit\nKEYS = ['k']\n@fit([*KEYS])\ndef f(m): ...",
    "joined": "from aimm_plugins import fit\nA = ''\n@fit([A + f'{A}k'])\ndef f(m): ...",
    "async": "from aimm_plugins import fit\n@fit(['k'])\nasync def f(m): ...",
    "under others": "from aimm_plugins import fit\n@print\n@fit(['k'])\ndef f(m): ...",
}


@pytest.mark.parametrize("form", FORMS)
def test_decorator_is_read_in_every_literal_form(project, form):
    assert slots(project(mine=FORMS[form])) == {"fit:k": "mine:f"}


def test_each_action_is_read_with_its_own_argument(project):
    folder = project(
        mine="""
from aimm_plugins import data_access, deserialize, fit, instantiate, predict, serialize
@data_access(name="d", state_cb_arg_name="cb")
def data(cb): ...
@instantiate(model_type="m")
class Maker: ...
@fit(["m", "n"], "cb")
@predict(["m"])
def both(model, cb=None): ...
@serialize(["m"])
def save(model): ...
@deserialize(["m"])
def load(content): ...
"""
    )
    assert slots(folder) == {
        "data_access:d": "mine:data",
        "instantiate:m": "mine:Maker",
        "fit:m": "mine:both",
        "fit:n": "mine:both",
        "predict:m": "mine:both",
        "serialize:m": "mine:save",
        "deserialize:m": "mine:load",
    }


@pytest.mark.parametrize(
    ("decorator", "key"),
    [("@model", "mine.Svc"), ("@model()", "mine.Svc"), ("@model(model_type='k')", "k")],
)
def test_model_class_declares_five_actions(project, decorator, key):
    folder = project(mine=f"from aimm_plugins import model\n{decorator}\nclass Svc: ...")
    actions = ("instantiate", "fit", "predict", "serialize", "deserialize")
    assert slots(folder) == {f"{action}:{key}": "mine:Svc" for action in actions}


def test_names_are_followed_across_the_files_of_a_package(project):
    folder = project(
        pkg__init="from .svc import *",
        pkg__names="SVC = 'iris.svc'",
        pkg__tools="from aimm_plugins import fit as _fit\nlearns = _fit",
        pkg__svc="from . import names\nfrom pkg.tools import learns\n"
        "@learns([names.SVC])\ndef f(m): ...",
    )
    assert slots(folder) == {"fit:iris.svc": "pkg.svc:f"}
    assert tables(folder)["aimm.plugins"] == {"pkg": "pkg"}


UNCERTAIN = {
    "call": "@fit([make_key()])\ndef f(m): ...",
    "two values": "K = 'a'\nK = 'b'\n@fit([K])\ndef f(m): ...",
    "added to": "K = ['a']\nK += ['b']\n@fit(K)\ndef f(m): ...",
    "global": "K = 'a'\ndef g():\n    global K\n    K = 'b'\n@fit([K])\ndef f(m): ...",
    "condition": "if x:\n    @fit(['k'])\n    def f(m): ...",
    "loop": "for k in 'ab':\n    @fit([k])\n    def f(m): ...",
    "function": "def g():\n    @fit(['k'])\n    def f(m): ...",
    "call form": "fit(['k'])(print)",
    "unpacked": "@fit(*a)\ndef f(m): ...",
    "itself": "K = K\n@fit([K])\ndef f(m): ...",
}


@pytest.mark.parametrize("case", UNCERTAIN)
def test_what_only_the_running_code_knows_is_told_with_its_line(project, case):
    source = f"from aimm_plugins import fit\n{UNCERTAIN[case]}"
    with pytest.raises(DeclarationError, match=r"mine\.py:\d+: .*--import"):
        read_declarations(find_project(project(mine=source)))


WRONG = {
    "no list": ("@fit('k')\ndef f(m): ...", "takes a list of model types"),
    "no str": ("@fit([1])\ndef f(m): ...", "a key is a str"),
    "empty": ("@fit([])\ndef f(m): ...", "takes a list of model types"),
    "empty key": ("@fit([' '])\ndef f(m): ...", "a key is empty"),
    "no parentheses": ("@fit\ndef f(m): ...", "needs its keys in parentheses"),
    "model by position": ("@model('k')\nclass M: ...", r"write @model\(model_type=...\)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_the_decorator_would_refuse_is_not_sent_to_the_running_code(project, case):
    source, told = WRONG[case]
    with pytest.raises(DeclarationError, match=rf"mine\.py:2: .*{told}") as caught:
        read_declarations(
            find_project(project(mine=f"from aimm_plugins import fit, model\n{source}"))
        )
    assert "--import" not in str(caught.value)


def test_uncertain_decorator_itself_is_told(project):
    source = (
        "try:\n    from aimm_plugins import fit\nexcept ImportError:\n    fit = None\n"
        "@fit(['k'])\ndef f(m): ..."
    )
    with pytest.raises(DeclarationError, match=r"mine\.py:5: `fit` is not the decorator"):
        read_declarations(find_project(project(mine=source)))


def test_all_obstacles_are_told_at_once(project):
    folder = project(
        one="from aimm_plugins import fit\n@fit(k)\ndef f(m): ...",
        two="from aimm_plugins import fit\n@fit(k)\ndef f(m): ...",
    )
    with pytest.raises(DeclarationError) as caught:
        read_declarations(find_project(folder))
    assert "one.py:2" in str(caught.value)
    assert "two.py:2" in str(caught.value)


def test_key_declared_twice_names_both_places(project):
    source = "from aimm_plugins import fit\n@fit(['k'])\ndef f(m): ...\n@fit(['k'])\ndef g(m): ..."
    with pytest.raises(DeclarationError, match=r"mine\.py:4: .* first is at mine\.py:2"):
        read_declarations(find_project(project(mine=source)))


def test_strangers_decorators_and_annotations_are_passed_over(project):
    folder = project(
        mine="from other import fit\n@fit(unknown)\ndef f(m): ...\n"
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from aimm_plugins import predict\n"
    )
    assert slots(folder) == {}


@pytest.mark.parametrize("key", ["a=b", "a\nb", "[a", "#a", ";a", " a", "a\x85b"])
def test_key_that_no_entry_point_can_carry_is_an_error(project, key):
    folder = project(mine=f"from aimm_plugins import fit\n@fit([{key!r}])\ndef f(m): ...")
    with pytest.raises(DeclarationError, match=r"mine\.py:2: the key .* entry point cannot"):
        tables(folder)


@pytest.mark.parametrize("key", ["iris.svc", "a:b", "ü", "two words", 'quo"te', "a[b]", "\\"])
def test_any_other_key_survives_toml(project, key):
    folder = project(mine=f"from aimm_plugins import fit\n@fit([{key!r}])\ndef f(m): ...")
    found = tomllib.loads(as_toml(tables(folder)))["project"]["entry-points"]
    assert found == {"aimm.plugins": {"mine": "mine"}, "aimm.plugins.fit": {key: "mine:f"}}


FIT = "from aimm_plugins import fit\n@fit([__name__])\ndef f(m): ...\n"


def test_module_that_no_plugin_imports_is_a_plugin_of_its_own(project):
    folder = project(pkg__init="from pkg import one", pkg__one=FIT, pkg__two=FIT)
    assert tables(folder)["aimm.plugins"] == {"pkg": "pkg", "two": "pkg.two"}


def test_entries_of_the_author_stay_and_stale_ones_go(project):
    entries = (
        '[project.entry-points."aimm.plugins"]\n'
        'best = "pkg.one"\nstale = "pkg.none"\nforeign = "other:thing"\n'
    )
    folder = project(PYPROJECT + entries, pkg__init="", pkg__one=FIT, pkg__two=FIT, pkg__none="")
    assert tables(folder)["aimm.plugins"] == {
        "best": "pkg.one",
        "foreign": "other:thing",
        "two": "pkg.two",
    }


def test_entry_of_one_object_brings_only_that_object(project):
    entries = '[project.entry-points."aimm.plugins"]\nf = "mine:f"\n'
    source = FIT + "@fit(['g'])\ndef g(m): ...\n"
    assert tables(project(PYPROJECT + entries, mine=source))["aimm.plugins"] == {
        "f": "mine:f",
        "mine": "mine",
    }


@pytest.mark.parametrize(
    ("settings", "files"),
    [
        ("", ("src__pkg__init",)),
        ("", ("pkg__init", "tests__init", "setup")),
        ('[tool.hatch.build.targets.wheel]\npackages = ["lib/pkg"]', ("lib__pkg__init", "other")),
        ('[tool.setuptools]\npackages = ["pkg"]', ("pkg__init", "other__init")),
        ('[tool.setuptools]\npy-modules = ["pkg"]', ("pkg", "other")),
    ],
)
def test_modules_are_those_that_the_project_ships(project, settings, files):
    folder = project(PYPROJECT + settings, **dict.fromkeys(files, ""))
    assert list(find_project(folder).modules) == ["pkg"]


def test_path_may_be_a_package_or_a_module(project):
    folder = project(pkg__init="", pkg__sub__init="", pkg__sub__mod=FIT, pkg__other=FIT)
    assert list(find_project(folder / "pkg" / "sub").modules) == ["pkg.sub", "pkg.sub.mod"]
    assert list(find_project(folder / "pkg" / "other.py").modules) == ["pkg.other"]
    with pytest.raises(ConfigError, match="neither a folder"):
        find_project(folder / "nothing")


def test_broken_source_names_its_line(project):
    with pytest.raises(DeclarationError, match=r"mine\.py:1: no Python"):
        read_declarations(find_project(project(mine="def")))


# Writing


def test_write_keeps_comments_and_the_tables_of_others(project, capsys):
    folder = project(mine=FIT)
    assert run(["entry-points", str(folder), "--write"]) == 0
    text = (folder / "pyproject.toml").read_text()
    assert text == PYPROJECT.replace(
        "# About ruff.",
        '[project.entry-points."aimm.plugins"]\nmine = "mine"\n\n'
        '[project.entry-points."aimm.plugins.fit"]\nmine = "mine:f"\n\n# About ruff.',
    )
    told = capsys.readouterr()
    assert '+ mine = "mine:f"' in told.out
    assert "pip install -e ." in told.err
    assert run(["entry-points", str(folder), "--check"]) == 0
    assert run(["entry-points", str(folder), "--write"]) == 0
    assert capsys.readouterr() == ("", "")


def test_schema_of_options_is_the_authors_own_entry(project):
    own = '[project.entry-points."aimm.plugins.options"]\nmine = "mine:options.json"\n'
    folder = project(PYPROJECT + own, mine=FIT)
    assert run(["entry-points", str(folder), "--write"]) == 0
    assert own in (folder / "pyproject.toml").read_text()
    assert run(["entry-points", str(folder), "--check"]) == 0


OUT_OF_ORDER = """\
[project]
name = "p"

[tool.a]
x = 1  # kept

[project.entry-points."aimm.plugins"]  # plugins
mine = "mine"  # mine

[tool.b]

[project.entry-points."aimm.plugins.fit"]
old = "mine:f"
# about this one
good = "mine:f"

[project.entry-points.pytest11]
p = "p"

[project.entry-points."aimm.plugins.predict"]
old = "mine:f"
"""


def test_rewriting_changes_no_more_than_our_entries():
    wanted = {
        "aimm.plugins": {"mine": "mine"},
        "aimm.plugins.fit": {"good": "mine:g", "new": "mine:h"},
        "aimm.plugins.serialize": {"new": "mine:s"},
    }
    text = rewritten(OUT_OF_ORDER, wanted)
    assert "x = 1  # kept" in text
    assert 'mine = "mine"  # mine' in text
    assert "# about this one\ngood = " in text
    groups = tomllib.loads(text)["project"]["entry-points"]
    assert groups == {**wanted, "pytest11": {"p": "p"}}
    assert rewritten(text, wanted) == text


COMMENTED = """\
[project]
name = "p"

[project.entry-points."aimm.plugins.fit"]
# about old
old = "mine:f"  # behind old
stays = "mine:s"

# About predict.
[project.entry-points."aimm.plugins.predict"]
old = "mine:p"

# About serialize.
[project.entry-points."aimm.plugins.serialize"]
old = "mine:s"
# About conformance.
[project.entry-points."aimm_plugins.conformance"]
model = "mine:MODEL"
"""


def test_renamed_key_keeps_its_place_and_all_comments_stay_above_what_they_are_about():
    wanted = {
        "aimm.plugins.fit": {"new": "mine:f", "stays": "mine:s"},
        "aimm.plugins.predict": {"new": "mine:p", "other": "mine:o"},
        "aimm.plugins.serialize": {"new": "mine:s"},
    }
    renamed = COMMENTED.replace("old = ", "new = ")
    assert rewritten(COMMENTED, wanted) == renamed.replace(
        'new = "mine:p"\n', 'new = "mine:p"\nother = "mine:o"\n'
    )


def test_comment_above_the_table_behind_a_removed_one_stays():
    wanted = {
        "aimm.plugins.fit": {"old": "mine:f", "stays": "mine:s"},
        "aimm.plugins.predict": {"old": "mine:p"},
    }
    gone = '[project.entry-points."aimm.plugins.serialize"]\nold = "mine:s"\n'
    assert rewritten(COMMENTED, wanted) == COMMENTED.replace(gone, "\n")


def test_file_with_carriage_returns_keeps_them(project):
    folder = project(mine=FIT)
    file = folder / "pyproject.toml"
    file.write_bytes(COMMENTED.replace("\n", "\r\n").encode())
    assert run(["entry-points", str(folder), "--write"]) == 0
    written = file.read_bytes()
    assert b'mine = "mine"\r\n' in written
    assert written.count(b"\n") == written.count(b"\r\n")


def test_inline_tables_and_dotted_keys_are_changed_or_refused_but_never_broken():
    wanted = {"aimm.plugins": {"mine": "mine"}, "aimm.plugins.fit": {"k": "mine:f"}}
    for text in (
        '[project]\nname = "p"\nentry-points = {"aimm.plugins" = {a = "b"}}\n',
        '[project]\nname = "p"\nentry-points."aimm.plugins".a = "b"\n',
        'project = {name = "p"}\n',
    ):
        try:
            done = rewritten(text, wanted)
        except ConfigError as error:
            assert '[project.entry-points."aimm.plugins"]' in str(error)
        else:
            assert tomllib.loads(done)["project"]["entry-points"] == wanted


def test_check_tells_what_is_stale(project, capsys):
    entries = '[project.entry-points."aimm.plugins.fit"]\nold = "mine:f"\n'
    folder = project(PYPROJECT + entries, mine=FIT)
    before = (folder / "pyproject.toml").read_bytes()
    assert run(["entry-points", str(folder), "--check"]) == 1
    out, err = capsys.readouterr()
    assert '- old = "mine:f"' in out
    assert '+ mine = "mine:f"' in out
    assert "entry-points --write" in err
    assert (folder / "pyproject.toml").read_bytes() == before


def test_tables_are_printed_as_toml_and_json(project, capsys):
    folder = project(None, mine=FIT)
    wanted = {"aimm.plugins": {"mine": "mine"}, "aimm.plugins.fit": {"mine": "mine:f"}}
    assert run(["entry-points", str(folder / "mine.py")]) == 0
    assert tomllib.loads(capsys.readouterr().out)["project"]["entry-points"] == wanted
    assert run(["entry-points", str(folder), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == wanted


def test_project_that_declares_nothing_is_a_no(project, capsys):
    assert run(["entry-points", str(project(mine="x = 1"))]) == 1
    assert "declares nothing" in capsys.readouterr().err


def test_write_without_a_project_table_is_wrong_configuration(project, capsys):
    assert run(["entry-points", str(project("[tool.a]\n", mine=FIT)), "--write"]) == 2
    assert "no [project] table" in capsys.readouterr().err


def test_dynamic_entry_points_are_left_to_the_build(project, capsys):
    text = PYPROJECT.replace("version =", 'dynamic = ["entry-points"]\nversion =')
    folder = project(text, mine=FIT)
    assert run(["entry-points", str(folder), "--write"]) == 0
    assert (folder / "pyproject.toml").read_text() == text
    assert "made by the build" in capsys.readouterr().err


# Running the code


def test_import_reads_what_the_source_does_not_tell(project, capfd):
    folder = project(
        mine="from aimm_plugins import fit\nprint('noise')\nfor n in 'ab':\n"
        "    @fit([n])\n    def f(m): ...\n    globals()[f'fit_{n}'] = f\n"
    )
    assert run(["entry-points", str(folder), "--import", "--format", "json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["aimm.plugins.fit"] == {"a": "mine:fit_a", "b": "mine:f"}
    assert "noise" in err


def test_import_tells_of_every_module_that_fails(project):
    folder = project(
        one="import no_such_module",
        two="raise SystemExit(3)",
        three="from aimm_plugins import fit\nfit(['k'])(lambda m: m)\n",
    )
    with pytest.raises(AimmPluginsError) as caught:
        run_declarations(find_project(folder))
    assert "one cannot be imported: ModuleNotFoundError" in str(caught.value)
    assert "two cannot be imported: SystemExit: 3" in str(caught.value)
    assert "three.py:2: fit:k is declared by <function" in str(caught.value)


def test_import_that_ends_the_process_is_told(project):
    folder = project(mine="import os\nos._exit(7)")
    with pytest.raises(AimmPluginsError, match="ended with exit status 7"):
        run_declarations(find_project(folder))


# hatchling


HATCH = """
[build-system]
requires = ["hatchling", "aimm-plugins"]
build-backend = "hatchling.build"
[project]
name = "my-models"
version = "1.0"
dynamic = ["entry-points"]
[tool.hatch.metadata.hooks.aimm-plugins.entry-points."aimm.plugins.options"]
mine = "mine:options.json"
[tool.hatch.metadata.hooks.aimm-plugins.entry-points.pytest11]
mine = "mine"
"""


def test_hook_of_hatchling_makes_the_entry_points(project):
    pytest.importorskip("hatchling")
    from hatchling.metadata.core import ProjectMetadata
    from hatchling.plugin.manager import PluginManager

    metadata = ProjectMetadata(str(project(HATCH, mine=FIT)), PluginManager())
    assert metadata.core.entry_points == {
        "aimm.plugins": {"mine": "mine"},
        "aimm.plugins.fit": {"mine": "mine:f"},
        "aimm.plugins.options": {"mine": "mine:options.json"},
        "pytest11": {"mine": "mine"},
    }


@pytest.mark.parametrize(
    ("config", "source", "message"),
    [
        ({"imports": True}, FIT, "unknown key 'imports'"),
        ({"entry-points": {"aimm.plugins.fit": {}}}, FIT, "made from the code"),
        ({}, "", "declares anything"),
    ],
)
def test_hook_refuses_to_build_what_cannot_be_meant(project, config, source, message):
    pytest.importorskip("hatchling")
    from aimm_plugins._authoring.hatch_hook import EntryPointsHook

    with pytest.raises(AimmPluginsError, match=message):
        EntryPointsHook(str(project(HATCH, mine=source)), config).update({})


SAMPLES = sorted(Path(__file__).parents[2].glob("sample_plugins/*/pyproject.toml"))


@pytest.mark.parametrize("pyproject", SAMPLES, ids=lambda path: path.parent.name)
def test_samples_publish_what_their_code_declares(pyproject):
    assert run(["entry-points", str(pyproject.parent), "--check"]) == 0
