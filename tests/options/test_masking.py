"""What plugins say of secrets that they were given stays out of logs and reports."""

from __future__ import annotations

import json
import logging
import textwrap
import traceback

import pytest

import aimm_plugins
from aimm_plugins import PluginLoadError, cli, initialize
from aimm_plugins._system import masking
from tests.conftest import names

SECRET = "p@ss word/1"
PLUGIN = """
    from aimm_plugins import options
    token = options(__name__)["token"]
"""
WAYS = {
    "text": "raise ConnectionError('refused for ' + token)",
    "repr": "raise ConnectionError(f'refused for {token!r}')",
    "url": "from urllib.parse import quote\n    raise OSError('db://me:' + quote(token, safe='') + '@host')",
    "cause": "raise ConnectionError('refused') from ValueError(token)",
    "context": "\n    try: raise ValueError(token)\n    finally: raise ConnectionError('refused')",
    "note": "\n    e = ConnectionError('refused')\n    e.add_note(token)\n    raise e",
    "exit": "raise SystemExit(token)",
}


@pytest.fixture
def secret(monkeypatch):
    monkeypatch.setenv("TOKEN", SECRET)
    monkeypatch.setattr(masking, "_texts", {})
    return ["p@ss", "word/1", "p%40ss"]


def conf(write, way, **more):
    write(models=PLUGIN + "    " + WAYS[way])
    return names("models", options={"models": {"token": "env:TOKEN"}}, **more)


@pytest.mark.parametrize("way", WAYS)
def test_error_of_a_plugin_is_reported_and_logged_without_the_secret(write, secret, caplog, way):
    report = initialize(conf(write, way, on_error="isolate"))
    (record,) = report.failures
    shown = [
        str(report),
        json.dumps(report.to_dict()),
        repr(record.error),
        "".join(traceback.format_exception(record.error)),
        caplog.text,
        *(str(vars(line)) for line in caplog.records),
    ]
    for text in shown:
        assert not [part for part in secret if part in text]
    if way in ("text", "url"):
        assert "***" in str(report)
    assert "models.py" in caplog.text


def test_secret_that_stands_in_the_conf_is_masked_where_the_schema_says_so(
    make_distribution, secret, caplog
):
    make_distribution(
        "aimm-models",
        modules={"models": textwrap.dedent(PLUGIN + "    " + WAYS["text"])},
        entry_points={
            "aimm.plugins": {"models": "models"},
            "aimm.plugins.options": {"models": "models:options.json"},
        },
        files={"options.json": '{"properties": {"token": {"writeOnly": true}}}'},
    )
    conf = {"names": [], "options": {"models": {"token": SECRET}}, "on_error": "isolate"}
    report = initialize(conf)
    assert "refused for ***" in str(report)
    assert SECRET not in str(report) + caplog.text + json.dumps(report.to_dict())


@pytest.mark.parametrize("way", WAYS)
def test_traceback_of_a_strict_start_has_no_secret(write, secret, way):
    with pytest.raises(PluginLoadError) as caught:
        initialize(conf(write, way))
    text = "".join(traceback.format_exception(caught.value))
    assert not [part for part in secret if part in text]


def test_error_of_a_probe_in_a_child_process_has_no_secret(write, secret):
    report = initialize(conf(write, "text", probe=60, on_error="isolate"))
    text = "".join(traceback.format_exception(report.failures[0].error))
    assert "refused for ***" in text
    assert not [part for part in secret if part in text]


def test_verbs_that_import_show_no_secret(write, secret, tmp_path, capfd, monkeypatch):
    write(models=PLUGIN + "    " + WAYS["text"])
    conf = tmp_path / "conf.yaml"
    conf.write_text(
        "names: [models]\nentry_points: {enabled: false}\noptions: {models: {token: 'env:TOKEN'}}\n"
    )
    for verb in (["profile", "--runs", "1"], ["report", "--load"], ["doctor", "--load"]):
        for form in ("table", "json"):
            assert cli.run([*verb, str(conf), "--format", form]) == 1
    assert cli.run(["--debug", "stubs", str(tmp_path / "typings"), str(conf)]) == 1
    printed = "".join(capfd.readouterr())
    assert "refused for ***" in printed
    assert not [part for part in secret if part in printed]


def test_default_that_is_a_secret_is_not_shown(write, secret, tmp_path, capfd):
    """A plugin may make an option the default of a parameter, which `show` prints with the rest."""
    declares = (
        "    from aimm_plugins import fit\n    @fit(['iris'])\n    def learn(m, token=token): ..."
    )
    write(models=PLUGIN + declares)
    conf = tmp_path / "conf.yaml"
    conf.write_text("names: [models]\noptions: {models: {token: 'env:TOKEN'}}\n")
    for form in ("table", "json"):
        arguments = ["show", "iris", "--load", "--conf", str(conf), "--format", form]
        assert cli.run(arguments) == 0
        printed = capfd.readouterr().out
        assert "(m, token='***')" in printed
        assert not [part for part in secret if part in printed]


def test_error_without_the_secret_is_the_plugins_own(write, secret):
    write(models=PLUGIN + "    raise ConnectionError('refused')")
    options = {"models": {"token": "env:TOKEN"}}
    report = initialize(names("models", options=options, on_error="isolate"))
    assert type(report.failures[0].error) is ConnectionError


def test_lines_of_a_key_are_masked_one_by_one(secret):
    masking.remember_secret("-----BEGIN-----\nMIIEpAIBAAKCAQEA\nend\n")
    assert masking.masked("bad line 'MIIEpAIBAAKCAQEA' at the end") == "bad line '***' at the end"


def test_text_of_a_few_characters_is_not_masked(secret):
    masking.remember_secret("no")
    assert masking.masked("nothing") == "nothing"


def test_secrets_that_are_replaced_all_the_time_are_forgotten_in_the_end(secret):
    for number in range(masking._MOST + 5):
        masking.remember_secret(f"token-{number:05}")
    assert len(masking._texts) == masking._MOST
    assert masking.masked(f"token-00000 token-{masking._MOST:05}") == "token-00000 ***"


def test_error_that_nobody_awaits_is_logged_without_the_secret(secret, caplog):
    from aimm_plugins._system.log import loggable, logger

    masking.remember_secret(SECRET)
    logger().error("it failed", exc_info=loggable(ValueError(f"not {SECRET}")))
    assert "ValueError: not ***" in caplog.text


def test_masked_names_of_plugins_stay_what_they_are(write, monkeypatch):
    monkeypatch.setenv("TOKEN", "models")
    monkeypatch.setattr(masking, "_texts", {})
    report = initialize(conf(write, "text", on_error="isolate"))
    assert report.to_dict()["plugins"][0]["name"] == "models"
    assert aimm_plugins.current_report().plugins[0].module == "models"
    assert logging.getLogger("aimm_plugins")


def test_missing_submodule_is_the_error_itself_beside_secrets(write, secret):
    write(models="from models.parts import x")
    masking.remember_secret(SECRET)
    (record,) = initialize(names("models", on_error="isolate")).failures
    assert type(record.error) is ModuleNotFoundError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x @ https://me:p@ss@host/x.whl y", "x @ https://***@host/x.whl y"),
        ("git+ssh://git@host/me.git", "git+ssh://***@host/me.git"),
        ("https://host/a@b, a@b", "https://host/a@b, a@b"),
    ],
)
def test_password_in_a_url_is_not_shown(text, shown):
    assert masking.without_passwords(text) == shown
