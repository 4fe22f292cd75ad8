"""The page in a real browser: it filters, sorts, and keeps to its policy; axe finds no fault.

Not among the tests that run by default: `tox -e browser` needs chromium and chromedriver, and the
file `axe.min.js` of npm's axe-core, by `AXE_CORE`.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from aimm_plugins._diagnostics.html_report import html_report
from aimm_plugins._diagnostics.take_inventory import take_inventory
from aimm_plugins._values.report import Finding
from tests.support.metadata import write_dist_info

webdriver = pytest.importorskip("selenium.webdriver")

from selenium.webdriver.common.by import By  # noqa: E402  # behind the importorskip
from selenium.webdriver.common.keys import Keys  # noqa: E402  # likewise

pytestmark = pytest.mark.browser

ABOUT = {
    "Host": "a-host-of-a-long.name.example.org",
    "Python": "3.13.1, /opt/a_long_name/venvs/of_servers",
    "Conf": "/etc/a_long_name/of_a_folder/for_confs/plugins.yaml",
}
EVIL = "<img src=x onerror=document.title='broken'>"


@pytest.fixture(scope="module", params=["light", "dark"])
def browser(request, tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = os.environ.get("CHROMIUM") or shutil.which("chromium") or ""
    for argument in (
        "--headless=new",
        "--no-sandbox",  # the tests may run as root
        "--disable-dev-shm-usage",
        "--window-size=1200,900",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    path = os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(path))
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": request.param}]},
    )
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> Path:
    """The page of 500 plugins, some of which are denied, missing, or in conflict."""
    site = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        for number in range(500):
            module = f"browsed_{number}"
            (site / f"{module}.py").write_text(
                "from aimm_plugins import fit\n"
                f"@fit(['iris.{number % 499}', \"{EVIL}{number}\"])\ndef f(m): ...\n"
            )
            write_dist_info(
                site,
                f"browsed-{number}",
                entry_points={f"ep{number}": module},
                files=[f"{module}.py"],
            )
        seen = take_inventory(
            {
                "names": [],
                "entry_points": {"deny": ["browsed-7", "browsed-8"]},
                "required": ["nobody"],
            }
        )
    seen = replace(seen, findings=(*seen.findings, Finding(code="odd", subject=EVIL, message="m")))
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html_report(seen, ABOUT), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser, html):
    browser.get_log("browser")
    browser.get(html.as_uri())
    yield browser
    told = [
        entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")
    ]
    assert told == []


def shown(browser) -> list[str]:
    """Names of the plugins whose rows are to be seen."""
    return browser.execute_script(
        "return Array.from(document.querySelectorAll('#plugins tbody tr'))"
        ".filter((row) => row.offsetParent !== null).map((row) => row.cells[1].textContent)"
    )


def test_filter_narrows_the_rows_and_says_how_many(opened):
    assert len(shown(opened)) == 501
    field = opened.find_element(By.ID, "text")
    field.send_keys("browsed_42 Ep421")
    assert shown(opened) == ["ep421"]
    assert opened.find_element(By.ID, "count").text == "1 of 501 plugins"
    field.send_keys(Keys.ENTER)  # leads nowhere
    assert shown(opened) == ["ep421"]
    field.clear()
    field.send_keys(" ", Keys.BACKSPACE)
    opened.find_element(By.CSS_SELECTOR, "#state option:nth-child(2)").click()
    assert shown(opened) == ["ep7", "ep8"]


OPENED = "return performance.getEntriesByType('navigation')[0].loadEventEnd"
FILTERED = """
const [text, done] = arguments;
const field = document.getElementById("text");
const begin = performance.now();
field.value = text;
field.dispatchEvent(new Event("input", {bubbles: true}));
// The second frame begins when the first one, with what the filter changed, is painted.
requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begin)));
"""


def test_page_is_small_and_tells_how_fast_it_opens_and_filters(opened, html, figures):
    size = html.stat().st_size
    load = opened.execute_script(OPENED)
    narrow = opened.execute_async_script(FILTERED, "browsed_42 ep421")
    assert shown(opened) == ["ep421"]
    widen = opened.execute_async_script(FILTERED, "")
    assert len(shown(opened)) == 501
    assert size < 1_000_000
    figures.append(
        f"page of 501 plugins: {size / 1e3:.0f} kB; opened in {load:.0f} ms, filtered to one row in "
        f"{narrow:.0f} ms, to all in {widen:.0f} ms (wanted: 1,000 kB; 1,000 ms)"
    )


def test_columns_sort_by_keyboard_both_ways(opened):
    button = opened.find_element(By.CSS_SELECTOR, "#plugins th:nth-child(2) button")
    button.send_keys(Keys.ENTER)
    header = opened.find_element(By.CSS_SELECTOR, "#plugins th:nth-child(2)")
    assert header.get_attribute("aria-sort") == "ascending"
    assert shown(opened)[:3] == ["ep0", "ep1", "ep2"]
    button.send_keys(Keys.SPACE)
    assert header.get_attribute("aria-sort") == "descending"
    assert shown(opened)[-2:] == ["ep1", "ep0"]


def test_everything_is_reached_by_the_tab_key(opened):
    opened.execute_script("document.activeElement.blur()")
    seen = set()
    for _ in range(60):
        opened.switch_to.active_element.send_keys(Keys.TAB)
        seen.add(
            opened.execute_script(
                "const e = document.activeElement; return e.id || e.textContent.trim()"
            )
        )
    assert {"Skip to the plugins", "text", "state", "Name", "Answers", "Place"} <= seen


@pytest.fixture(params=[1400, 400])
def width(request, opened):
    metrics = {"width": request.param, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    yield request.param
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


OVERFLOWING = """
const wide = (e) => e.getBoundingClientRect().right > innerWidth + 1;
return Array.from(document.querySelectorAll("header *, form *, tr:nth-child(-n+20) td"))
  .filter(wide).map((e) => e.outerHTML.slice(0, 200));
"""
BROKEN = r"""
const found = [];
const range = document.createRange();
for (const cell of document.querySelectorAll("tr:nth-child(-n+20) td, dd, pre")) {
  let before = null;
  const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    for (let i = 0; i < node.length; i += 1) {
      range.setStart(node, i);
      range.setEnd(node, i + 1);
      const [box] = range.getClientRects();
      if (!box) continue;
      const text = node.data[i];
      if (before && box.top > before.bottom - 2 && /\w/.test(before.text) && /\w/.test(text))
        found.push(cell.textContent);
      before = { text, bottom: box.bottom };
    }
  }
}
return found;
"""


def test_everything_fits_the_window(opened, width):
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    assert opened.execute_script(OVERFLOWING) == []


def test_names_break_at_separators_only(opened, width):
    assert opened.execute_script(BROKEN) == []


def test_plugin_is_a_card_on_a_narrow_screen_alone(opened, width):
    row = opened.find_element(By.CSS_SELECTOR, "#plugins tbody tr")
    cells = row.find_elements(By.TAG_NAME, "td")
    labels = [
        opened.execute_script("return getComputedStyle(arguments[0], '::before').content", cell)
        for cell in cells
    ]
    tops = [cell.rect["y"] for cell in cells if cell.text]
    if width == 400:
        assert labels[:3] == ['"State"', '"Name"', '"Distribution"']
        assert tops == sorted(set(tops))
    else:
        assert set(labels) == {"none"}
        assert len(set(tops)) == 1


def test_page_names_host_python_conf_and_version(opened, width):
    text = opened.find_element(By.TAG_NAME, "header").text
    for word in (*ABOUT, *ABOUT.values(), "1 conflict"):
        assert word in text


def test_what_plugins_are_called_runs_nowhere(opened):
    assert opened.title == "Plugins"
    assert opened.find_elements(By.TAG_NAME, "img") == []


def test_axe_finds_nothing_serious(opened):
    opened.execute_script(Path(os.environ["AXE_CORE"]).read_text(encoding="utf-8"))
    opened.execute_script(
        # All rows are alike; axe looks at each, and needs minutes for thousands.
        "for (const row of document.querySelectorAll('tbody tr:nth-child(n+12)')) row.remove()"
    )
    found = opened.execute_async_script(
        "const done = arguments[0];"
        "axe.run().then((r) => done(r.violations), (e) => done([{id: String(e), impact: 'serious'}]))"
    )
    serious = [
        (each["id"], [node["html"] for node in each.get("nodes", [])])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []
