"""No distribution sizes the work of those who only look at it."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest

from aimm_plugins import plan
from aimm_plugins._diagnostics.take_inventory import take_inventory
from aimm_plugins._discovery.scan import scan
from aimm_plugins._system import ceilings
from tests.support.metadata import write_dist_info

ROOT = Path(__file__).parents[2]
OURS = "from aimm_plugins import fit\n"


def hostile(site: Path, entry_points: str, **sources: str) -> None:
    """Install a distribution of one module for each source."""
    for name, source in sources.items():
        (site / f"{name}.py").write_text(source)
    write_dist_info(site, "hostile", entry_points=entry_points)


def lines(group: str, *texts: str) -> str:
    return f"[{group}]\n" + "\n".join(texts) + "\n"


def test_reference_has_the_table_of_ceilings():
    page = (ROOT / "docs" / "reference" / "limits.md").read_text()
    table = re.findall(r"(?m)^\| `([A-Z_]+)` \| ([0-9,]+) \|", page)
    told = {name: float(figure.replace(",", "")) for name, figure in table}
    assert told == {
        name: value
        for name, value in vars(ceilings).items()
        if name.isupper() and not name.startswith("_")
    }


def test_eleventh_entry_point_of_one_object_is_passed_over(site):
    points = lines("aimm.plugins", *(f"e{n} = hostile" for n in range(500)))
    keys = lines("aimm.plugins.fit", *(f"k{n} = hostile:f" for n in range(500)))
    module = "from aimm_plugins import fit\n@fit([f'k{n}' for n in range(500)])\ndef f(m): ...\n"
    hostile(site, points + keys, hostile=module)
    planned, failed = [], []
    for record in plan({"names": []}):
        (failed if record.state == "failed" else planned).append(record)
    assert [len(record.provides) for record in planned] == [500] * 10
    assert "is one of more than 10 of hostile" in str(failed[0].error)
    assert "as are 480 more lines" in str(failed[-1].error)
    assert len(failed) == 10


def test_lines_beyond_the_ceiling_are_not_read_and_told_once(site):
    most = ceilings.ENTRY_POINT_LINES
    hostile(site, lines("aimm.plugins", *(f"e{n} = m{n}" for n in range(most + 5))))
    found = scan([str(site)])
    assert len(found.candidates) == most
    (finding,) = found.findings
    assert finding.code == "too-many-entry-points"
    assert finding.place.endswith(f"entry_points.txt:{most + 2}")


def test_modules_of_a_distribution_share_one_budget_for_their_source(site):
    doubling = "".join(f"A{n + 1} = A{n} + A{n}\n" for n in range(30))
    bomb = f"{OURS}A0 = ['a']\n{doubling}@fit(A30)\ndef f(m): ...\n"
    names = [f"bomb{n}" for n in range(50)]
    hostile(
        site, lines("aimm.plugins", *(f"{n} = {n}" for n in names)), **dict.fromkeys(names, bomb)
    )
    write_dist_info(site, "modest", entry_points={"modest": "modest"})
    (site / "modest.py").write_text(f"{OURS}@fit(['k'])\ndef f(m): ...\n")
    inventory = take_inventory({"names": []})
    bombs = inventory.of_distribution("hostile")
    # The later ones are not even parsed.
    assert all("is not read to its end" in str(item.source.gaps[0]) for item in bombs)
    assert bombs[-1].source.names is None
    (modest,) = inventory.of_distribution("modest")
    assert modest.keys == (("fit", "k"),)


def test_keys_of_a_module_that_all_plugins_import_are_counted_for_each(site):
    folder = site / "pkg"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "shared.py").write_text(
        f"{OURS}@fit({[f'k{n}' for n in range(2000)]})\ndef f(m): ...\n"
    )
    for number in range(200):
        (folder / f"p{number}.py").write_text("from . import shared\n")
    hostile(site, lines("aimm.plugins", *(f"e{n} = pkg.p{n}" for n in range(200))))
    items = take_inventory({"names": []}).of_distribution("hostile")
    assert 2000 <= sum(len(item.declarations) for item in items) <= ceilings.SOURCE_WORK / 10
    assert "is not read to its end" in str(items[-1].source.gaps[0])


def test_schemas_of_a_distribution_share_the_time_of_one(site):
    (site / "pkg.py").write_text("")
    # At each level twice as many, which takes far more than the time for a check.
    steps = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)}
    schema = {"$defs": {**steps, "a40": {}}, "$ref": "#/$defs/a0"}
    (site / "slow.json").write_text(str(schema).replace("'", '"'))
    plugins = lines("aimm.plugins", *(f"e{n} = pkg:C{n}" for n in range(30)))
    plugins += lines("aimm.plugins", *(f"m{n} = pkg.m{n}" for n in range(30)))
    hostile(
        site, plugins + lines("aimm.plugins.options", *(f"m{n} = pkg:slow.json" for n in range(30)))
    )
    codes = {finding.code for finding in plan({"names": []}).findings}
    assert "options-not-checked" in codes


@pytest.mark.parametrize("file", ["entry_points.txt", "RECORD", "METADATA"])
def test_metadata_in_a_zip_is_not_unpacked_beyond_the_ceiling(tmp_path, file):
    archive = tmp_path / "plugins.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as stream:
        stream.writestr("zipped-1.0.dist-info/METADATA", "Name: zipped\nVersion: 1.0\n")
        stream.writestr("zipped-1.0.dist-info/entry_points.txt", "[aimm.plugins]\nx = x\n")
        stream.writestr("zipped-1.0.dist-info/RECORD", "x.py,,\n")
    (distribution,) = scan([str(archive)]).distributions()
    size = len(distribution.read(file))
    assert distribution.read(file, size) is not None
    assert distribution.read(file, size - 1) is None
