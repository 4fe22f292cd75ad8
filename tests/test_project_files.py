"""What the project's pages on GitHub rest on: the workflow and the templates."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml

from aimm_plugins import cli
from tests.support.installing import ROOT

WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"))


def steps() -> list[dict[str, object]]:
    (job,) = yaml.safe_load(WORKFLOW)["jobs"].values()
    return job["steps"]


def test_workflow_runs_what_the_readme_says():
    assert [step["run"] for step in steps() if "run" in step] == [".ci/run"]


def test_no_file_has_a_merge_that_is_not_resolved():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob(".github/**/*.*")]
    found = [page.name for page in pages if re.search(r"(?m)^[<>]{7} ", page.read_text("utf-8"))]
    assert found == []


def test_actions_are_pinned_to_commits():
    used = [str(step["uses"]) for step in steps() if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", name) for name in used)


def test_workflow_sets_up_every_interpreter_of_the_matrix():
    (versions,) = re.findall(r"python-version: \|\n((?: {12}\S+\n)+)", WORKFLOW)
    environments = (ROOT / "tox.ini").read_text(encoding="utf-8").partition("[testenv]")[0]
    named = re.findall(r"(?m)^ +py\{?([\w,]+)", environments)
    wanted = {f"3.{minor}" for names in named for minor in re.findall(r"3(\d+t?)", names)}
    assert set(versions.split()) == wanted


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_issue_template_has_what_github_asks_for(template):
    content = yaml.safe_load(template.read_text(encoding="utf-8"))
    assert content["name"]
    assert content["description"]
    for part in content["body"]:
        assert part["type"] in ("markdown", "textarea", "input")
        assert part["attributes"].get("label") or part["type"] == "markdown"


def test_citation_tells_what_the_project_tells():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name in ("version", "license", "keywords"):
        assert cited[name] == project[name]
    assert cited["url"] == project["urls"]["Homepage"]


def test_verbs_that_the_templates_name_are_there(capsys):
    named = {
        verb
        for template in TEMPLATES
        for verb in re.findall(r"`aimm-plugins ([a-z]+)", template.read_text(encoding="utf-8"))
    }
    assert named
    for verb in named:
        assert cli.run([verb, "--help"]) == 0
