"""The comparison is true: each host is run with the real library, and the table is what came out."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.docs.pages import UPDATE, Block, Page
from tests.support.installing import ROOT, environment
from tests.support.metadata import write_dist_info

PAGE = Page(ROOT / "docs" / "comparison.md")
HOSTS = Page(ROOT / "tests" / "docs" / "compared_hosts.md")
LIBRARIES = {
    "Entry points alone": None,
    "pluggy": "pluggy",
    "stevedore": "stevedore",
    "catalogue": "catalogue",
    "npe2": "npe2",
    "plux": "plux",
    "aimm_plugins": "aimm-plugins",
}
# What a host does to leave `avg-mean` out: a line of its `host.py`, and what takes its place.
KEEPS_OUT = {
    "Entry points alone": (
        'entry_points(group="averages")}',
        'entry_points(group="averages") if point.dist.name != "avg-mean"}',
    ),
    "pluggy": ("manager.load", 'manager.set_blocked("mean")\nmanager.load'),
    "stevedore": (
        'import ExtensionManager\n\naverages = ExtensionManager("averages")',
        'import NamedExtensionManager\n\naverages = NamedExtensionManager("averages", ["median"])',
    ),
    "npe2": ("manager.discover()", 'manager.discover()\nmanager.disable("avg-mean")'),
    "plux": (
        "manager = PluginManager",
        "from plux.runtime.filter import global_plugin_filter\n\n"
        'global_plugin_filter.add_exclusion(name="mean")\nmanager = PluginManager',
    ),
    "aimm_plugins": (
        "initialize()",
        'initialize({"names": [], "entry_points": {"deny": ["avg-mean"]}})',
    ),
}

pytestmark = pytest.mark.skipif(
    not all(find_spec(name) for name in ("stevedore", "catalogue", "npe2", "plux")),
    reason="needs the dependency group docs",
)


@dataclass(frozen=True, slots=True)
class Section:
    """The programs of one library.

    Attributes:
        title: The library.
        files: Names and contents of files.
        entry_points: Groups with names and values.
        commands: Commands, and what is printed.
    """

    title: str
    files: dict[str, str]
    entry_points: dict[str, dict[str, str]]
    commands: list[Block]


def sections() -> list[Section]:
    """The programs of the libraries, in the order of the page."""
    found = []
    plain = [block for block in blocks_of("Entry points alone") if block.language == "toml"]
    plain += [block for block in blocks_of("Entry points alone") if block.file == "avg_median.py"]
    for title in LIBRARIES:
        languages = ("python", "yaml", "toml", "console")
        blocks = blocks_of(title)
        if not any(block.language == "toml" for block in blocks):
            blocks += plain  # its plugin is the first one
        blocks = [b for each in languages for b in blocks if b.language == each]
        (toml,) = [block.code for block in blocks if block.language == "toml"]
        found.append(
            Section(
                title=title,
                files={block.file: block.code for block in blocks if block.file},
                entry_points=tomllib.loads(toml)["project"]["entry-points"],
                commands=[block for block in blocks if block.language == "console"],
            )
        )
    return found


def blocks_of(title: str) -> list[Block]:
    """The blocks under a heading of the programs."""
    lines = HOSTS.path.read_text(encoding="utf-8").splitlines()
    begin = lines.index(f"## {title}") + 1
    ends = [number for number, line in enumerate(lines) if line.startswith("## ")]
    end = next((number for number in ends if number >= begin), len(lines))
    return [
        block
        for language in ("python", "yaml", "toml", "console")
        for block in Page(HOSTS.path).blocks(language)
        if begin < block.line <= end
    ]


def install(section: Section, site: Path, word: str, *, first: str = "", does: str = "") -> None:
    """Install the section's plugin for another word than "median".

    Args:
        section: Whose plugin.
        site: Where to.
        word: A function of `statistics`, or a word that the code never comes to.
        first: A line that its module begins with.
        does: The word by which it is called, where that is another.
    """

    def of(text: str) -> str:
        return text.replace("median", word).replace("Median", word.title().replace("_", ""))

    for name, text in section.files.items():
        if not name.startswith("avg_"):
            continue
        path = site / of(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        head, _, code = text.partition("\n")
        code = of(code)
        if does:
            code = re.sub(rf'(["-]){word}"', rf'\1{does}"', code)
            code = code.replace(f"id: avg-{word}.{word}", f"id: avg-{word}.{does}")
        path.write_text(f"{head}\n{first}\n{code}" if name.endswith(".py") else code)
    lines = ""
    for group, points in section.entry_points.items():
        lines += f"[{group}]\n"
        for name, value in points.items():
            name = does if does and name == "median" else of(name)
            lines += f"{name} = {of(value)}\n"
    write_dist_info(site, f"avg-{word.replace('_', '-')}", "1.0", entry_points=lines)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a host: its exit status, what it printed, and on stderr."""

    status: int
    printed: str
    errors: str

    @property
    def ended(self) -> str:
        """Whether it went on, and whom it named."""
        goes_on = self.status == 0 and self.printed.splitlines()[-1:] in (["4"], ["4.0"])
        told = self.printed + self.errors
        named = (
            ": distribution"
            if "avg-broken" in told
            else ": module"
            if "avg_broken" in told
            else ": entry point"
            if "broken" in told
            else ", silently"
        )
        return f"{'goes on' if goes_on else '**ends**'}{named}"


class Host:
    """One library's host in environments that differ.

    Args:
        section: Which.
        folder: An empty folder.
    """

    def __init__(self, section: Section, folder: Path) -> None:
        self.section = section
        self.folder = folder

    def run(self, name: str = "host.py", *, change: tuple[str, str] = ("", ""), **more: str):
        """Run a host of the section.

        Args:
            name: Its file.
            change: What in its text is replaced by what.
            more: What else is installed: `broken`, a line that its module begins with; `high`,
                the word by which `statistics.median_high` is called; `stranger`, a line of its
                `entry_points.txt`.
        """
        number = len(list(self.folder.iterdir()))
        site, second = (self.folder / f"{number}{part}" for part in ("-site", "-later"))
        site.mkdir()
        second.mkdir()
        install(self.section, site, "median")
        tells = "import sys; print('mean is imported', file=sys.stderr)"
        install(self.section, site, "mean", first=tells)
        if "broken" in more:
            install(self.section, site, "broken", first=more["broken"])
        if "high" in more:
            install(self.section, second, "median_high", does=more["high"])
        if "stranger" in more:
            write_dist_info(second, "stranger", entry_points=f"[other]\n{more['stranger']}\n")
        assert change[0] in self.section.files[name]
        host = site.parent / f"{number}-{name}"
        host.write_text(self.section.files[name].replace(*change))
        done = subprocess.run(
            [sys.executable, host],
            cwd=self.folder,
            # stevedore and plux keep a cache in the user's folder.
            env=environment(PYTHONPATH=f"{site}:{second}", HOME=str(self.folder)),
            capture_output=True,
            text=True,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def outcomes(self) -> dict[str, str]:
        """A cell of the table for each row."""
        title = self.section.title
        exits = self.run("careful.py", broken="raise SystemExit(3)")
        twice = self.run(high="median")
        plain = self.run()
        assert plain.printed in ("4\n", "4.0\n"), plain
        out = self.run(change=KEEPS_OUT[title]) if title in KEEPS_OUT else None
        assert out is None or out.printed in ("4\n", "4.0\n"), out
        stranger = self.run(stranger="no equals sign")
        return {
            "a plugin's import fails": self.run(broken="import no_such_library").ended,
            "the same, a careful host": self.run(
                "careful.py", broken="import no_such_library"
            ).ended,
            "`sys.exit` at import, a careful host": exits.ended,
            "malformed metadata of an unrelated distribution": (
                "goes on" if stranger.status == 0 else "**ends**"
            ),
            "two distributions on the path have a `median`": (
                "**ends**: both"
                if "avg-median-high" in twice.errors and "avg-median " in twice.errors
                else {
                    "4": "the first answers, silently",
                    "6": "the later answers, silently",
                }[twice.printed.strip().removesuffix(".0")]
            ),
            "plugins that `host.py` imports": (
                "both" if "mean is imported" in plain.errors else "the called one"
            ),
            "a plugin kept out by name": (
                "no such means"
                if out is None
                else "is imported"
                if "mean is imported" in out.errors
                else "is not imported"
            ),
            "dependencies, indirect ones too": (
                # In steps: the number changes with releases of anybody's.
                f"more than {(count - 1) // 5 * 5}"
                if (count := installed_with(LIBRARIES[title]))
                else "none"
            ),
        }


def installed_with(name: str | None) -> int:
    """How many distributions a distribution needs here, beside itself, and theirs."""
    found: set[str] = set()
    todo = [] if name is None else [name]
    while todo:
        each = canonicalize_name(todo.pop())
        if each in found:
            continue
        try:
            needed = [Requirement(text) for text in requires(each) or ()]
        except PackageNotFoundError:
            continue
        found.add(each)
        todo += [
            each.name for each in needed if not each.marker or each.marker.evaluate({"extra": ""})
        ]
    return max(0, len(found) - 1)


@pytest.mark.parametrize("section", sections(), ids=lambda section: section.title)
def test_hosts_print_what_is_shown(section, tmp_path):
    host = Host(section, tmp_path)
    for block in section.commands:
        command = block.code.partition("\n")[0].removeprefix("$ ")
        name = command.removeprefix("python ")
        more = {"broken": "import no_such_library"} if name == "careful.py" else {}
        outcome = host.run(name, **more)
        assert outcome.status == 0, outcome.errors
        output = outcome.printed
        if UPDATE:
            lines = HOSTS.path.read_text(encoding="utf-8").splitlines()
            # Blocks of equal text are told apart by where they stand.
            at = lines.index(f"## {section.title}")
            at += lines[at:].index(f"$ {command}")
            end = at + lines[at:].index("```")
            lines[at:end] = [f"$ {command}", *output.splitlines()]
            HOSTS.path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        else:
            assert f"$ {command}\n{output}" == block.code


@pytest.mark.parametrize("section", sections(), ids=lambda section: section.title)
def test_page_shows_lines_of_the_programs(section):
    row = next(
        line
        for line in PAGE.path.read_text(encoding="utf-8").splitlines()
        if line.lower().startswith(f"| {section.title.lower()} |") and "median" in line
    )
    programs = "\n".join(section.files.values())
    shown = [code for code in re.findall(r"`([^`]+)`", row) if "(" in code]
    assert len(shown) >= 2
    for code in shown:
        if not code.startswith("def "):
            code = re.sub(r"\bvalues(?=,?\))", "[1, 2, 6, 9]", code)
        assert code in programs


@cache
def table(folder: Path) -> str:
    hosts = []
    for number, section in enumerate(sections()):
        (folder / str(number)).mkdir()
        hosts.append(Host(section, folder / str(number)))
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(Host.outcomes, hosts))
    # This package first: on a narrow screen the last columns are out of sight.
    *peers, own = zip(LIBRARIES, outcomes, strict=True)
    columns = [own, *peers]
    lines = [
        f"| | {' | '.join(title for title, _ in columns)} |",
        f"| --- |{' --- |' * len(LIBRARIES)}",
        *(f"| {row} | {' | '.join(cells[row] for _, cells in columns)} |" for row in outcomes[0]),
    ]
    return "\n".join(lines)


def test_table_is_what_happens(tmp_path):
    text = PAGE.path.read_text(encoding="utf-8")
    before, _, rest = text.partition("<!-- table -->\n")
    shown, _, after = rest.partition("<!-- end of table -->")
    made = table(tmp_path) + "\n"
    if UPDATE:
        known = [f"{name} {version(name)}" for name in LIBRARIES.values() if name]
        python = ".".join(map(str, sys.version_info[:3]))
        versions = f"With CPython {python}, {', '.join(known[:-1])}."
        after = re.sub(r"^With CPython .*\.$", versions, after, flags=re.MULTILINE)
        PAGE.path.write_text(
            f"{before}<!-- table -->\n{made}<!-- end of table -->{after}", encoding="utf-8"
        )
    else:
        assert made == shown
