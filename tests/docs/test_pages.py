"""Pages that are true as a whole: each block is run in its order, and prints what is shown."""

from __future__ import annotations

import pytest

from aimm_plugins import errors
from aimm_plugins._discovery.scan import scan
from tests.docs.pages import Page, install_projects, serve
from tests.support.installing import ROOT

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


@pytest.mark.parametrize("name", ["migration", "security"])
def test_page_with_projects_is_true(name, site, monkeypatch):
    if name == "migration":
        pytest.importorskip("stevedore")
    page = Page(ROOT / "docs" / f"{name}.md")
    install_projects(page, site)
    folder = site.parent / "host"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))  # where stevedore has its cache
    page.check(folder, site)
