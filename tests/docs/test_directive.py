"""The directive `aimm-plugins` in real builds of small projects."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx")

from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

MODELS = '''import no_such_library

from aimm_plugins import data_access, fit


@fit(["iris.svc"], state_cb_arg_name="progress")
def fit_svc(model, x, y, *, epochs: int = 20, progress):
    """Fit a linear SVC in place.

    Args:
        model: As made by `instantiate`.
        epochs: Passes over `x`.

    Raises:
        ValueError: `x` and `y` differ in length.
    """


@data_access("flowers")
def flowers():
    """Flowers.

    Parameters
    ----------
    none
        There are none.
    """
'''


@pytest.fixture
def build(tmp_path, site, install):
    """Builds a page as text or HTML, and returns it with the warnings."""

    def build(page: str, *, suffix: str = ".rst", builder: str = "text", **conf: object):
        source = tmp_path / "source"
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir()
        (source / f"index{suffix}").write_text(page, encoding="utf-8")
        extensions = ["aimm_plugins.contrib.sphinx"]
        if suffix == ".md":
            pytest.importorskip("myst_parser")
            extensions.append("myst_parser")
        warnings = tmp_path / "warnings"
        with warnings.open("w+") as stream, patch_docutils(), docutils_namespace():
            app = Sphinx(
                source,
                None,
                tmp_path / "out",
                tmp_path / "trees",
                builder,
                confoverrides={"extensions": extensions, "nitpicky": True, **conf},
                status=None,
                warning=stream,
                freshenv=True,
            )
            app.build()
            dependencies = app.env.dependencies
        ending = {"text": "txt", "html": "html"}[builder]
        made = (tmp_path / "out" / f"index.{ending}").read_text(encoding="utf-8")
        said = re.sub(r"\x1b\[[\d;]*m", "", warnings.read_text(encoding="utf-8"))
        build.dependencies = {str(path) for path in dependencies.get("index", ())}
        return made, said.replace(f"{source}/", "").replace(f"{site}/", "")

    return build


@pytest.fixture
def models(site, install) -> Path:
    """The distribution `my-models` 1.0 with two keys, whose module cannot be imported."""
    (site / "my_models.py").write_text(MODELS)
    install("my-models", entry_points={"mine": "my_models"})
    return site


PAGE = "Models\n======\n\n.. aimm-plugins:: my-models\n"


def test_keys_are_listed_with_signature_and_docstring(build, models):
    made, said = build(PAGE)
    assert said == ""
    assert 'mine of "my-models 1.0", module "my_models"' in made.replace("**", "")
    assert "fit iris.svc(model, x, y, *, epochs: int=20, progress)" in made
    assert "Fit a linear SVC in place." in made
    assert re.search(r"\* \*\*epochs\*\* -- Passes over", made)
    assert "Raises ValueError:" in made
    assert "data_access flowers()" in made
    assert re.search(r"none.* -- There are none", made)


OPTIONS = """\
properties:
  epochs: {description: Passes over the data., type: integer, default: 20}
  token: {type: string, writeOnly: true, default: hunter2}
"""


def published(value):
    """Entry points of a plugin with options."""
    return f"[aimm.plugins]\nmine = my_options\n[aimm.plugins.options]\nmine = {value}\n"


def test_options_are_listed_as_their_schema_names_them(build, models, install):
    (models / "my_options.py").write_text(MODELS)
    (models / "options.yaml").write_text(OPTIONS)
    install("my-options", entry_points=published("my_options:options.yaml"))
    made, said = build(".. aimm-plugins:: my-options\n")
    assert said == ""
    assert '"epochs"\n   a whole number, default 20. Passes over the data.' in made
    assert '"token"\n   text, default ***' in made
    assert "options.yaml" in {Path(path).name for path in build.dependencies}


def test_schema_of_options_that_is_code_is_named(build, models, install):
    (models / "my_options.py").write_text(MODELS)
    install("my-options", entry_points=published("my_options:Settings"))
    made, said = build(".. aimm-plugins:: my-options\n")
    assert said == ""
    assert 'Options are those of "my_options:Settings"' in made


def test_broken_schema_of_options_is_a_warning(build, models, install):
    (models / "my_options.py").write_text(MODELS)
    install("my-options", entry_points=published("my_options:gone.json"))
    _, said = build(".. aimm-plugins:: my-options\n")
    assert "there is no such file" in said


def test_no_plugin_is_imported(build, models):
    build(PAGE)
    assert not {"my_models", "no_such_library"} & set(sys.modules)


def test_markdown_page_shows_the_same(build, models):
    made, said = build("# Models\n\n```{aimm-plugins} my-models\n```\n", suffix=".md")
    assert said == ""
    assert made == build(PAGE)[0]


def test_keys_have_anchors_and_stand_in_the_index(build, models, tmp_path):
    made, _ = build(PAGE, builder="html")
    assert 'id="aimm-fit-iris-svc"' in made
    index = (tmp_path / "out" / "genindex.html").read_text(encoding="utf-8")
    assert 'href="index.html#aimm-fit-iris-svc"' in index
    assert "iris.svc (fit)" in index


def test_two_listings_of_one_distribution_do_not_clash(build, models):
    made, said = build(PAGE + "\nAgain\n-----\n\n.. aimm-plugins:: my-models\n", builder="html")
    assert said == ""
    assert made.count('id="aimm-fit-iris-svc"') == 1


def test_page_is_made_again_when_plugin_or_metadata_changes(build, models):
    build(PAGE)
    names = {Path(path).name for path in build.dependencies}
    assert {"my_models.py", "entry_points.txt"} <= names


@pytest.mark.parametrize(
    ("page", "warning"),
    [
        (
            ".. aimm-plugins:: my-model\n",
            "aimm-plugins: my-model is not installed; did you mean 'my-models'? "
            "[aimm_plugins.distribution]",
        ),
        (
            ".. aimm-plugins:: console-tool\n",
            "aimm-plugins: console-tool 1.0 has no entry point of the group aimm.plugins "
            "[aimm_plugins.distribution]",
        ),
        (
            ".. aimm-plugins:: gone\n",
            "aimm-plugins: plugin gone of gone 1.0: no_such_module is not found [aimm_plugins.key]",
        ),
        (
            ".. aimm-plugins:: bare\n",
            "aimm-plugins: plugin bare of bare 1.0: no docstring of fit:bare was found "
            "[aimm_plugins.docstring]",
        ),
        (
            ".. aimm-plugins:: empty\n",
            "aimm-plugins: plugin empty of empty 1.0: empty declares nothing [aimm_plugins.key]",
        ),
    ],
)
def test_fault_is_a_warning_at_the_line_of_the_directive(build, models, install, page, warning):
    (models / "bare.py").write_text("from aimm_plugins import fit\n@fit(['bare'])\ndef f(m): ...\n")
    (models / "empty.py").write_text("")
    install("console-tool", entry_points="[console_scripts]\ntool = console_tool:main\n")
    install("gone", entry_points={"gone": "no_such_module"})
    install("bare", entry_points={"bare": "bare"})
    install("empty", entry_points={"empty": "empty"})
    _, said = build(f"Models\n======\n\n{page}")
    assert said == f"index.rst:4: WARNING: {warning}\n"


def test_fault_in_a_docstring_names_the_plugins_file(build, models):
    module = models / "my_models.py"
    module.write_text(MODELS.replace("Fit a linear SVC in place.", "Fit *a linear SVC."))
    _, said = build(PAGE)
    assert said.startswith("my_models.py:docstring of fit_svc:1: WARNING: Inline emphasis")


def test_default_role_of_the_project_holds_in_docstrings_and_after_them(build, models):
    page = f"{PAGE}\n`after`\n"
    made, _ = build(page, builder="html", default_role="code")
    assert re.search(r"<code[^>]*>.*instantiate.*</code>", made)
    assert re.search(r"<code[^>]*>.*after.*</code>", made)
