"""The page: complete without scripts, escaped, small, and closed to the network."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from aimm_plugins._diagnostics.html_report import html_report
from aimm_plugins._diagnostics.take_inventory import take_inventory
from aimm_plugins._values.report import Finding, PluginRecord

EVIL = "<script>alert(1)</script>&\"'@@STYLE@@"


class Reader(HTMLParser):
    """Collects tags, attributes and texts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html.replace("<wbr>", ""))
    return reader


@pytest.fixture
def inventory(write, install):
    write(
        paged="@fit(['<b>key</b>'])\ndef f(m): ...\n", rival="@fit(['<b>key</b>'])\ndef f(m): ...\n"
    )
    install("paged-dist", entry_points={"<i>ep</i>": "paged"}, files=["paged.py"])
    install("rival-dist", entry_points={"rival": "rival"}, files=["rival.py"])
    return take_inventory({"names": [], "entry_points": {"allow": ["paged-dist", "rival-dist"]}})


def test_page_shows_plugins_providers_conflicts_and_findings(inventory):
    from dataclasses import replace

    finding = Finding(code="c", subject=EVIL, message="m", place="p", remedy="r")
    html = html_report(replace(inventory, findings=(finding,)))
    text = " ".join(read(html).texts)
    for word in (
        "paged-dist",
        "rival-dist",
        "<i>ep</i>",
        "<b>key</b>",
        "PluginConflictError",
        EVIL,
    ):
        assert word in text


def test_page_shows_options_where_some_are_set_and_no_secret(inventory, monkeypatch):
    assert "Options" not in read(html_report(inventory)).texts
    monkeypatch.setenv("PAGED_TOKEN", "hush")
    options = {"paged-dist": {"<u>a</u>": 1, "token": "env:PAGED_TOKEN"}}
    html = html_report(
        take_inventory({"names": [], "entry_points": {"allow": ["paged-dist"]}, "options": options})
    )
    texts = read(html).texts
    assert "Options" in texts
    assert "<u>a</u>, token (env:PAGED_TOKEN); no schema" in texts
    assert "hush" not in html


def test_page_names_what_it_is_about_and_counts_conflicts(inventory):
    html = html_report(inventory, about={"Host": "<b>here</b>", "Conf": "a.yaml"})
    texts = read(html).texts
    assert {"Host", "<b>here</b>", "Conf", "a.yaml", "Conflicts (1)"} <= set(texts)
    assert "; 1 conflict; " in " ".join(texts)


def test_names_may_break_after_separators_alone(inventory):
    html = html_report(inventory, about={"Conf": "/etc/a_b.c-d:e=f,g h."})
    assert "/<wbr>etc/<wbr>a_<wbr>b.<wbr>c-d:<wbr>e=<wbr>f,<wbr>g h.</div>" in html


def test_field_of_a_record_is_on_the_page_only_if_a_column_is_for_it(inventory):
    (item, other) = inventory.plugins
    texts = {name: f"is-{name}" for name in PluginRecord._fields}
    told = texts | {
        "source": "entry_point",
        "state": "failed",
        "provides": (("fit", texts["provides"]),),
        "error": ValueError(f"{texts['error']}\nis-second line"),
        "import_seconds": 1.0,
        "imports": ((texts["imports"], 1),),
        "options": (texts["options"],),
    }
    inventory = replace(
        inventory, plugins=(replace(item, record=PluginRecord(**told), declarations=()), other)
    )
    html = html_report(inventory).replace("<wbr>", "")
    shown = {word for word in texts if texts[word] in html}
    assert shown == {
        *("name", "distribution", "version", "origin", "module", "attribute", "environment"),
        *("options", "options_schema", "reason", "error", "remedy"),
    }


def test_cell_without_a_text_is_empty_also_at_the_end_of_a_row(inventory):
    from dataclasses import replace

    finding = Finding(code="c", subject="s", message="m")
    assert '<td data-label="Remedy"></tr>' in html_report(replace(inventory, findings=(finding,)))


def test_whatever_plugins_are_called_is_escaped(inventory):
    finding = Finding(code=EVIL, subject=EVIL, message=EVIL)
    html = html_report(replace(inventory, findings=(finding,)))
    tags = read(html).tags
    assert [tag for tag, _ in tags].count("script") == 1
    assert {"b", "i"}.isdisjoint(tag for tag, _ in tags)
    assert html.count("color-scheme: light dark") == 1


def test_page_lets_its_own_style_and_script_run_alone(inventory):
    html = html_report(inventory)
    policy = next(
        attrs["content"]
        for tag, attrs in read(html).tags
        if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in policy
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_page_fetches_nothing(inventory):
    for tag, attrs in read(html_report(inventory)).tags:
        for name in ("src", "href", "action", "srcset"):
            assert (attrs.get(name) or "#").startswith(("#", "data:,")), (tag, attrs)
        assert not any(name.startswith("on") or name == "style" for name in attrs)


def test_page_of_500_plugins_is_smaller_than_a_megabyte(site, install):
    for number in range(500):
        (site / f"paged_{number}.py").write_text(
            f"from aimm_plugins import *\n@model(model_type='vendor.family.{number}')\n"
            f"class M(Model): ...\n@data_access('data.{number}')\ndef f(): ...\n"
        )
        install(
            f"paged-{number}",
            entry_points={f"ep{number}": f"paged_{number}"},
            files=[f"paged_{number}.py"],
        )
    html = html_report(take_inventory())
    assert len(html.encode()) < 1_000_000


def test_page_without_anything_says_so():
    seen = take_inventory({"names": [], "entry_points": {"enabled": False}})
    text = " ".join(read(html_report(seen)).texts)
    assert "no plugins; 0 conflicts; 0 findings" in text


def test_same_environment_gives_the_same_page(inventory):
    assert html_report(inventory) == html_report(inventory)
