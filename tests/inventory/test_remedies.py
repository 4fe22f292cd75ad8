"""What to do about a failure is told by plans and starts alike, and works when it is followed."""

from __future__ import annotations

import json
import re
import shutil
import sys

import pytest

import aimm_plugins
from aimm_plugins import initialize, plan
from tests.support.metadata import write_dist_info

KEY = "from aimm_plugins import fit\n\n@fit(['k'])\ndef f(m): return m\n"
ISOLATE = {"names": [], "on_error": "isolate"}


@pytest.fixture
def told(monkeypatch):
    """Gives what a plan and a start say to do, which is the same."""

    def told(**more) -> str:
        texts = []
        for report in (plan({**ISOLATE, **more}), initialize({**ISOLATE, **more})):
            (record,) = report.failures
            assert record.state == "failed"
            texts.append(record.remedy)
        assert texts[0] == texts[1]
        aimm_plugins.unload_all()
        return texts[0]

    return told


def assert_loads(**more) -> None:
    assert plan({**ISOLATE, **more}).ok
    report = initialize({**ISOLATE, **more})
    assert report.ok, report
    assert ("fit", "k") in aimm_plugins.providers()


def test_name_of_a_distribution_is_told_its_module(site, install, told):
    (site / "the_models.py").write_text(KEY)
    install("my-models", files=["the_models.py"])
    remedy = told(names=["my-models"])
    (module,) = re.findall(r"write (\S+) instead", remedy)
    assert_loads(names=[module])


def test_misspelt_name_is_told_the_nearest_module(site, install, told):
    (site / "good_models.py").write_text(KEY)
    install("good", entry_points={"g": "good_models"}, files=["good_models.py"])
    (module,) = re.findall(r"Did you mean (\S+)\?", told(names=["good_model"]))
    assert_loads(names=[module])


@pytest.mark.parametrize(
    "written", ["my_models.py", "my-models", "./my_models.py", "My-Models", "my_models/__init__.py"]
)
def test_name_that_is_spelled_as_a_file_or_distribution_is_told_its_module(site, told, written):
    (site / "my_models.py").write_text(KEY)
    (module,) = re.findall(r"Did you mean (\S+)\?", told(names=[written]))
    assert_loads(names=[module])


@pytest.mark.parametrize("written", ["my_models", "my-models"])
def test_name_in_the_working_folder_is_told_what_to_put_on_the_path(
    told, tmp_path, monkeypatch, written
):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "my_models.py").write_text(KEY)
    monkeypatch.chdir(tmp_path / "work")
    remedy = told(names=[written])
    assert ("Write my_models (conf names[0]). " in remedy) == (written != "my_models")
    (folder,) = re.findall(r"PYTHONPATH=(\S+),", remedy)
    monkeypatch.syspath_prepend(folder)
    assert_loads(names=["my_models"])
    del sys.modules["my_models"]


@pytest.mark.parametrize(
    ("requirement", "there", "command"),
    [
        ("needed>=2", None, "pip install 'needed>=2'"),
        ("needed>=2", "1.0", "pip install 'needed>=2'"),
        ("needed; extra == 'fast'", None, "pip install 'acme[fast]'"),
    ],
)
def test_missing_dependency_is_told_by_the_metadata(
    site, install, told, requirement, there, command
):
    (site / "acme.py").write_text("from needed_inside import x\n" + KEY)
    install("acme", entry_points={"a": "acme"}, files=["acme.py"], requires=[requirement])
    if there is not None:
        install("needed", there)
    remedy = told()
    assert command in remedy
    # What the command does, as far as this environment is concerned.
    (site / "needed_inside.py").write_text("x = 1\n")
    assert_loads()


def test_dependency_that_is_too_old_for_what_is_imported_of_it(site, install):
    (site / "needed.py").write_text("")
    install("needed", "1.0", files=["needed.py"])
    (site / "acme.py").write_text("from needed import newer\n" + KEY)
    install("acme", entry_points={"a": "acme"}, files=["acme.py"], requires=["needed>=2"])
    (record,) = initialize(ISOLATE).failures
    assert record.remedy == (
        "acme 1.0 requires needed>=2, and needed 1.0 is installed: pip install 'needed>=2'."
    )


# The second one Python takes for a circular import.
@pytest.mark.parametrize("source", ["from acme.models import f\n", "from . import models\n"])
def test_submodule_that_the_wheel_lacks_is_its_authors_fault(site, install, told, source):
    (site / "acme").mkdir()
    (site / "acme" / "__init__.py").write_text(source)
    install("acme-dist", entry_points={"a": "acme"}, files=["acme/__init__.py"])
    assert "acme-dist was built without acme.models" in told()


def test_submodule_that_was_installed_and_is_gone_is_installed_again(site, install, told):
    (site / "acme").mkdir()
    (site / "acme" / "__init__.py").write_text("from acme.models import f\n")
    models = site / "acme" / "models.py"
    models.write_text(KEY)
    install("acme-dist", entry_points={"a": "acme"}, files=["acme/__init__.py", "acme/models.py"])
    models.unlink()
    remedy = told()
    assert f"{models} was installed and is gone" in remedy
    assert "pip install --force-reinstall --no-deps acme-dist" in remedy
    models.write_text(KEY)
    assert_loads()


def failure(**more):
    (record,) = initialize({**ISOLATE, **more}).failures
    return record.remedy


@pytest.mark.parametrize("is_listed", [True, False])
def test_file_beside_the_module_that_is_not_there_is_its_authors_fault_or_gone(
    site, install, is_listed
):
    (site / "acme").mkdir()
    opened = "open(__file__.replace('__init__.py', 'weights.json')).close()\n"
    (site / "acme" / "__init__.py").write_text(opened + KEY)
    files = ["acme/__init__.py", *["acme/weights.json"] * is_listed]
    install("acme-dist", entry_points={"a": "acme"}, files=files)
    wanted = "weights.json was installed and is gone: pip install --force-reinstall --no-deps acme"
    assert (wanted if is_listed else "acme-dist was built without acme/weights.json") in failure()
    (site / "acme" / "weights.json").touch()
    assert_loads()


@pytest.mark.parametrize("left", [b"\0" * 40, b"from acme.models import f\n"])
def test_module_that_is_not_as_it_was_installed_is_installed_again(site, install, told, left):
    (site / "acme").mkdir()
    file = site / "acme" / "__init__.py"
    file.write_text(KEY)
    (site / "acme" / "models.py").touch()
    install("acme-dist", entry_points={"a": "acme"}, files=["acme/__init__.py", "acme/models.py"])
    file.write_bytes(left)
    wanted = "is not as it was installed, by its hash in RECORD: pip install --force-reinstall"
    assert wanted in told()


def test_entry_point_that_was_cut_off_is_installed_again(site, install, told):
    (site / "acme.py").write_text(KEY)
    folder = install(
        "acme-dist",
        entry_points={"a": "acme"},
        files=["acme.py", "acme_dist-1.0.dist-info/entry_points.txt"],
    )
    (folder / "entry_points.txt").write_text("[aimm.plugins]\na = ac")
    assert "entry_points.txt is not as it was installed: pip install --force-reinstall" in told()


def test_library_of_the_system_that_is_missing_is_to_be_installed(site, install):
    (site / "acme.py").write_text("import ctypes\nctypes.CDLL('libacme.so.1')\n" + KEY)
    install("acme-dist", entry_points={"a": "acme"}, files=["acme.py"])
    assert failure() == "Install the system's package that brings libacme.so.1."


def test_version_of_a_distribution_that_is_not_installed_is_no_missing_module(site, install):
    code = "from importlib.metadata import version\nversion('acme_models')\n"
    (site / "acme.py").write_text(code + KEY)
    install("acme-dist", entry_points={"a": "acme"}, files=["acme.py"])
    assert "no distribution acme_models is installed, and acme-dist does not require" in failure()
    (site / "acme.py").write_text(code.replace("acme_models", "acme-dist") + KEY)
    assert_loads()


@pytest.mark.parametrize(
    ("name", "hint"),
    [("predictt", "did you mean 'predict'?"), ("to_onnx", "pip install -U aimm-p")],
)
def test_name_that_this_package_lacks_is_foreseen(site, install, told, name, hint):
    (site / "acme.py").write_text(f"from aimm_plugins import {name}\n")
    install("acme-dist", entry_points={"a": "acme"}, files=["acme.py"])
    remedy = told()
    assert f"has no {name}" in remedy
    assert hint in remedy


def test_names_that_this_package_makes_when_they_are_asked_for_are_there(site, install):
    code = "from aimm_plugins import StateEvent, __version__, errors, unpack\nimport aimm_plugins.workers\n"
    (site / "acme.py").write_text(code + KEY)
    install("acme-dist", entry_points={"a": "acme"}, files=["acme.py"])
    assert_loads()


def test_deferred_plugin_whose_module_is_gone_is_told_what_the_eager_one_is(site, install, told):
    keys = {"fit:k": "gone:f"}
    install("gone-dist", entry_points={"g": "gone"}, published=keys, files=["gone.py"])
    assert told(load="lazy") == told()


def test_source_folder_of_an_editable_install_that_was_moved(site, install, told, tmp_path):
    source = tmp_path / "source"
    url = {"url": source.as_uri(), "dir_info": {"editable": True}}
    install("acme", entry_points={"a": "acme"}, direct_url=url)
    assert f"Its source folder {source} is gone" in told()


@pytest.mark.parametrize("code", ["match = = 1\n", "import annotationlib_of_the_future\n"])
def test_plugin_for_a_newer_python_is_told_so(site, install, told, code):
    (site / "acme.py").write_text(code + KEY)
    made = install("acme", entry_points={"a": "acme"}, files=["acme.py"])
    with (made / "METADATA").open("a") as metadata:
        metadata.write("Requires-Python: >=3.99\n")
    if "match" in code:
        assert "acme 1.0 is for Python >=3.99" in told()


def test_module_of_a_newer_standard_library_is_told_its_python(site, install, told):
    if sys.version_info >= (3, 15):
        pytest.skip("this Python has it")
    (site / "acme.py").write_text("import profiling\n" + KEY)
    install("acme", entry_points={"a": "acme"}, files=["acme.py"])
    assert "profiling is part of Python 3.15" in told()


def test_module_compiled_for_another_python_is_told_its_file(site, install, told):
    (site / "acme").mkdir()
    (site / "acme" / "__init__.py").write_text("")
    (site / "acme" / "core.cpython-36m-x86_64-linux-gnu.so").write_text("")
    install("acme-dist", entry_points={"a": "acme.core"}, files=["acme/__init__.py"])
    assert "core.cpython-36m-x86_64-linux-gnu.so is there" in told()


def test_compiled_file_of_nobody_names_no_command_that_cannot_work(site):
    (site / "acme").mkdir()
    (site / "acme" / "__init__.py").write_text("")
    (site / "acme" / "core.cpython-36m-x86_64-linux-gnu.so").write_text("")
    (site / "host_models.py").write_text("import acme.core\n" + KEY)
    (record,) = initialize({**ISOLATE, "names": ["host_models"]}).failures
    assert record.remedy.endswith("Install what brings it for this one.")
    assert "pip" not in record.remedy


def test_object_that_is_misspelt_is_told_the_nearest(site, install):
    (site / "acme.py").write_text(KEY.replace("def f", "def learn"))
    install("acme", entry_points={"a": "acme:lern"}, files=["acme.py"])
    for report in (plan(ISOLATE), initialize(ISOLATE)):
        (record,) = report.failures
        assert "did you mean learn? Correct the entry point or the module" in str(record.error)


@pytest.fixture
def first(tmp_path, monkeypatch, site):
    """A folder before `site` on the path."""
    folder = tmp_path / "first"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("acme", None)


def foreign(report):
    return [finding for finding in report.findings if finding.code == "foreign-module"]


@pytest.mark.parametrize("is_folder", [False, True])
def test_file_that_comes_first_on_the_path_is_told_and_removed(site, install, first, is_folder):
    (site / "acme.py").write_text(KEY)
    files, url = ["acme.py"], None
    if is_folder:  # a namespace comes first only before what a finder of editable installs knows
        source = site.parent / "source"
        source.mkdir()
        shutil.move(site / "acme.py", source / "acme.py")
        files, url = [], {"url": source.as_uri(), "dir_info": {"editable": True}}
    install("acme", entry_points={"a": "acme"}, files=files, direct_url=url)
    stray = first / ("acme" if is_folder else "acme.py")
    stray.mkdir() if is_folder else stray.write_text("x = 1\n")
    for report in (plan(ISOLATE), initialize(ISOLATE)):
        (finding,) = foreign(report)
        assert f"Remove or rename {stray}" in finding.remedy
        assert [f.code for f in report.findings] == ["foreign-module"]


@pytest.mark.parametrize(
    ("module", "is_others", "remedy"),
    [
        ("acme", True, "uninstall one of them, other or acme-dist"),
        ("colorsys", False, "Python has a module colorsys of its own"),
        ("acme.core", False, "Remove or rename {first}/acme, or take {first} off the path"),
    ],
)
def test_remedy_of_a_foreign_file_depends_on_whose_it_is(
    site, install, first, monkeypatch, module, is_others, remedy
):
    monkeypatch.delitem(sys.modules, module, raising=False)
    file = f"{module.replace('.', '/')}.py"
    for folder, text in ((site, KEY), (first, "x = 1\n")):
        path = folder / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        if path.parent != folder:
            (path.parent / "__init__.py").write_text("")
    install("acme-dist", entry_points={"a": module}, files=[file])
    if is_others:
        write_dist_info(first, "other", files=[file])
    (finding,) = foreign(plan(ISOLATE))
    assert remedy.format(first=first) in finding.remedy


def test_copy_of_what_was_installed_is_no_foreign_file(site, install, first):
    (site / "acme.py").write_text(KEY)
    install("acme", entry_points={"a": "acme"}, files=["acme.py"])
    shutil.copy(site / "acme.py", first)
    for report in (plan(ISOLATE), initialize(ISOLATE)):
        assert report.findings == ()


def test_file_of_two_distributions_is_that_of_the_later_one(site, install, told):
    (site / "shared.py").write_text("from aimm_plugins import fit\nfit(['one'])(print)\n")
    install("one", entry_points={"one": "shared"}, files=["shared.py"])
    (site / "shared.py").write_text(KEY)
    install("two", "2.0", entry_points={"two": "shared"}, files=["shared.py"])
    assert told().startswith("Uninstall two and install one again")
    report = initialize(ISOLATE)
    assert {r.name: r.state for r in report} == {"one": "failed", "two": "loaded"}
    assert "two 2.0 has installed a file of the same name over it" in str(report.failures[0].error)


def test_remedy_is_in_the_json_the_text_and_the_error(site, install):
    (site / "acme.py").write_text("import surely_not_there\n" + KEY)
    install("acme", entry_points={"a": "acme"}, files=["acme.py"])
    with pytest.raises(aimm_plugins.PluginLoadError) as caught:
        initialize({"names": []})
    remedy = "Install what provides it; its author should declare the dependency."
    report = caught.value.report
    assert json.loads(json.dumps(report.to_dict()))["plugins"][0]["remedy"] == remedy
    assert f"to do: {remedy}" in str(report)
    assert f"to do: {remedy}" in str(caught.value)


def test_module_that_is_spelled_in_another_case_is_told(site, install, told):
    (site / "Acme").mkdir()
    (site / "Acme" / "__init__.py").write_text("")
    (site / "Acme" / "Models.py").write_text(KEY)
    files = ["Acme/__init__.py", "Acme/Models.py"]
    place = install("acme-dist", entry_points={"a": "acme.models"}, files=files)
    (module,) = re.findall(r"it is called ([\w.]+),", told())
    shutil.rmtree(place)
    install("acme-dist", entry_points={"a": module}, files=files)
    assert_loads()


def test_name_that_is_spelled_in_another_case_is_told_the_module(site, told):
    (site / "My_Models.py").write_text(KEY)
    (module,) = re.findall(r"Did you mean (\S+)\?", told(names=["my_models"]))
    assert_loads(names=[module])


def test_folder_in_the_place_of_a_module_is_no_stray_module(site, install, told):
    (site / "acme.py").mkdir()
    install("acme-dist", entry_points={"a": "acme"}, files=["acme.py"])
    assert "acme.py was installed and is gone" in told()


def test_module_that_the_process_keeps_out_is_told(site, install, told, monkeypatch):
    (site / "acme.py").write_text(KEY)
    install("acme-dist", entry_points={"a": "acme"}, files=["acme.py"])
    monkeypatch.setitem(sys.modules, "acme", None)
    assert "None in its place in sys.modules" in told()
    monkeypatch.delitem(sys.modules, "acme")
    assert_loads()


def test_entry_point_that_names_a_file_is_told_the_module(site, install, told):
    (site / "acme.py").write_text(KEY)
    place = install("acme-dist", entry_points={"a": "acme.py"}, files=["acme.py"])
    (module,) = re.findall(r"its module is ([\w.]+)\.", told())
    shutil.rmtree(place)
    install("acme-dist", entry_points={"a": module}, files=["acme.py"])
    assert_loads()


def test_probe_that_misses_a_module_is_told_what_to_do(site, install, told):
    (site / "acme.py").write_text("import not_there\n")
    install("acme-dist", entry_points={"a": "acme"}, files=["acme.py"])
    assert told(probe=600) == "Install what provides it; its author should declare the dependency."


def test_source_that_only_the_compiler_refuses_is_told_to_be_mended(site, install):
    (site / "acme.py").write_text("def f():\n    nonlocal x\n")
    install("acme-dist", entry_points={"a": "acme"}, files=["acme.py"])
    (record,) = initialize(ISOLATE).failures
    assert "Mend the source" in record.remedy


def test_module_that_a_package_lacks_which_looks_for_its_parts_is_told(site, install, told):
    (site / "acme").mkdir()
    (site / "acme" / "__init__.py").write_text("import pkgutil\n[*pkgutil.iter_modules(__path__)]")
    install("acme-dist", entry_points={"a": "acme.models"}, files=["acme/__init__.py"])
    assert "names a module that acme-dist does not bring" in told()


@pytest.mark.parametrize("keys", ["'k'", "[1]", "[]", "['']", "['k', 'k']", "5", "b'k'"])
def test_what_a_decorator_refuses_is_foreseen_in_its_own_words(site, install, keys):
    (site / "acme.py").write_text(KEY.replace("['k']", keys))
    install("acme", entry_points={"a": "acme"}, files=["acme.py"])
    (foreseen,), (met,) = plan(ISOLATE).failures, initialize(ISOLATE).failures
    assert str(foreseen.error) == str(met.error)


@pytest.mark.parametrize("module", ["acme", "acme.models"])
@pytest.mark.parametrize("statement", ["from .other import y", "from . import y"])
def test_relative_import_out_of_the_topmost_package_is_foreseen(site, install, module, statement):
    """A start tells the same, and neither names a module to install."""
    dots = ".." * module.count(".")
    path = site / f"{module.replace('.', '/')}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(statement.replace(".", f".{dots}") + "\n" + KEY)
    install("acme", entry_points={"a": module}, files=[str(path.relative_to(site))])
    (foreseen,), (met,) = plan(ISOLATE).failures, initialize(ISOLATE).failures
    assert "attempted relative import" in str(met.error)
    assert (str(foreseen.error), foreseen.remedy) == (str(met.error), met.remedy)
