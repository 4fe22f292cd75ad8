"""What options cost, and what other parts show of them."""

from __future__ import annotations

import sys
import textwrap

from aimm_plugins import (
    cli,
)
from aimm_plugins.testing import check_plugin
from tests.options.conftest import CODE, KEY


def test_start_with_published_options_and_none_given_loads_jsonschema_alone(wine, fresh_process):
    made = wine(code=KEY)
    code = """\
    import sys
    sys.path.insert(0, folder)
    import aimm_plugins
    assert aimm_plugins.initialize({"names": []}).plugins[0].options_schema
    result = [each for each in ("yaml", "jsonschema", "importlib_metadata", "packaging", "json")
              if each in sys.modules]
    """
    assert set(fresh_process(textwrap.dedent(code), folder=str(made.folder))) <= {
        "json",
        "jsonschema",
    }


def test_start_without_options_does_not_load_the_part_that_handles_them(fresh_process):
    code = """\
    import sys
    import aimm_plugins
    aimm_plugins.initialize({"names": []})
    result = [each for each in sys.modules if each.startswith("aimm_plugins._option")]
    """
    assert fresh_process(textwrap.dedent(code)) == []


def test_conformance_passes_a_sound_schema(wine):
    wine(code=CODE.replace("AT_IMPORT = aimm_plugins.options(__name__)", ""))
    only = ["options-have-a-sound-schema", "entry-points-resolve"]
    verdict = check_plugin("aimm_wine", only=only)
    assert verdict.counts["passed"] == 2


def test_conformance_fails_a_default_that_does_not_fit(wine):
    wine({"properties": {"a": {"type": "integer", "default": "1"}}}, code=KEY)
    verdict = check_plugin("aimm_wine", only=["options-have-a-sound-schema"], on_fail="report")
    assert not verdict.ok


def test_options_in_a_job_are_reported_with_its_line(wine, tmp_path, capsys):
    wine()
    job = tmp_path / "job.yaml"
    job.write_text("model: {type: wine}\nplugins:\n  names: []\n  options: {wine: {trees: many}}\n")
    assert cli.run(["run", str(job)]) == 2
    assert "job.yaml:4:27: at plugins.options.wine.trees: 'many'" in capsys.readouterr().err


def test_explain_tells_the_options_of_a_plugin(wine, conf, capsys):
    wine()
    assert cli.run(["explain", "aimm-wine", "--conf", conf("wine: {trees: 3}")]) == 0
    assert "its options: trees; schema aimm_wine:options.json" in capsys.readouterr().out


def test_show_lists_the_options_that_a_file_names(wine, capsys):
    wine()
    cli.run(["show", "wine"])
    out = capsys.readouterr().out
    assert "schema: aimm_wine:options.json" in out
    assert "trees: a whole number, default 100. How many." in out
    assert "aimm_wine" not in sys.modules
