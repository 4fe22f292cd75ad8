"""Pages that are true as a whole: each block is run in its order, and prints what is shown."""

from __future__ import annotations

import pytest

import aimm_plugins
from aimm_plugins import errors
from aimm_plugins._discovery.scan import scan
from tests.docs.pages import Page, install_projects, serve
from tests.support.installing import ROOT
from tests.support.metadata import write_dist_info

SVC = '''from aimm_plugins import fit


@fit(["iris.svc"])
def fit_svc(model, x, y, *, epochs=20):
    """Fit in place."""
    return model
'''
SOURCES = {
    "aimm_svc": SVC,
    "aimm_legacy": SVC,
    "aimm_trees": "import no_such_library\n",
    "aimm_dev": SVC.replace("iris.svc", "iris.dev"),
}
PUBLISHED = {"aimm_svc": "fit_svc", "aimm_legacy": "fit_svc"}


@pytest.mark.skipif(
    bool(scan().candidates), reason="the pages show an environment without other plugins"
)
def test_page_of_errors_is_true(site, monkeypatch):
    page = Page(ROOT / "docs" / "errors.md")
    folder = serve(page, site, SOURCES, PUBLISHED)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    page.check(folder, site)


def test_every_error_is_on_the_page():
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    known = set(errors.__all__) - {"AimmPluginsError"}
    assert {name for name in known if f"\n## {name}\n" not in text} == set()


def test_page_of_migration_is_true(site, monkeypatch):
    pytest.importorskip("stevedore")
    page = Page(ROOT / "docs" / "migration.md")
    install_projects(page, site)
    folder = site.parent / "host"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))  # where stevedore has its cache
    page.check(folder, site)


def test_allowed_plugin_can_import_a_denied_one_as_the_page_of_security_says(site):
    (site / "other_models.py").write_text("ADVICE = 'code of aimm-other'\n")
    (site / "good_models.py").write_text(
        "import other_models\nfrom aimm_plugins import fit\n\n\n"
        "@fit(['good'])\ndef learn(instance): return other_models.ADVICE\n"
    )
    for name in ("good", "other"):
        module = f"{name}_models"
        write_dist_info(site, f"aimm-{name}", entry_points={name: module}, files=[f"{module}.py"])
    report = aimm_plugins.initialize({"names": [], "entry_points": {"deny": ["aimm-other"]}})
    assert {record.name: record.state for record in report} == {"good": "loaded", "other": "denied"}
    assert aimm_plugins.exec_fit("good", None) == "code of aimm-other"
