"""The page for operators is true: its commands print what it shows."""

from __future__ import annotations

import pytest

from aimm_plugins._discovery.scan import scan
from tests.docs.pages import Page, run, serve
from tests.support.installing import ROOT

PAGE = Page(ROOT / "docs" / "operators.md")
SVC = "from aimm_plugins import fit\n\n\n@fit(['iris.svc'])\ndef fit_svc(model): return model\n"
OPTIONS = """type: object
additionalProperties: false
properties:
  cache_mb: {type: integer}
  token: {type: string, writeOnly: true}
"""

pytestmark = pytest.mark.skipif(
    bool(scan().candidates), reason="the page shows an environment without other plugins"
)


@pytest.fixture
def server(site, monkeypatch):
    """The four distributions of the page, and its files in the current folder."""
    trees = "import no_such_library\n"
    sources = {"aimm_svc": SVC, "aimm_legacy": SVC, "aimm_trees": trees, "aimm_dev": ""}
    published = {"aimm_svc": "fit_svc", "aimm_legacy": "fit_svc"}
    monkeypatch.chdir(serve(PAGE, site, sources, published))
    (site / "svc_options.yaml").write_text(OPTIONS)
    with (site / "aimm_svc-1.2.dist-info" / "entry_points.txt").open("a") as points:
        points.write("\n[aimm.plugins.options]\nsvc = aimm_svc:svc_options.yaml\n")
    return site


@pytest.mark.parametrize("number", range(len(PAGE.outputs())))
def test_command_prints_what_the_page_shows(server, number):
    command, _, block = PAGE.outputs()[number]
    PAGE.hold(block, run(command, server))


def test_policy_narrows_the_conf(server):
    plan = run("AIMM_PLUGINS_POLICY=policy.yaml aimm-plugins plan plugins.yaml", server)
    assert "denied by 'aimm-legacy<1' (policy.yaml:3)" in plan
