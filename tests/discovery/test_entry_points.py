"""Lines of `entry_points.txt`, and what they bring to which plugin."""

from __future__ import annotations

from pathlib import Path

import pytest

from aimm_plugins._discovery.published import BrokenLine
from aimm_plugins._discovery.scan import scan
from aimm_plugins._values.report import Finding
from tests.support.metadata import write_dist_info
from tests.support.scanning import codes, found


def test_value_is_split_into_module_and_object(folder):
    write_dist_info(folder, "dist", entry_points={"x": "pkg.mod : Cls.method [extra]"})
    (candidate,) = scan([str(folder)]).candidates
    assert (candidate.module, candidate.attribute) == ("pkg.mod", "Cls.method")


def test_comments_blank_lines_and_other_groups_are_passed_over(folder):
    text = "\ufeff# c\n[console_scripts]\nx\n\n[aimm.plugins]\n; c\n\n a = m \n[other]\nb = n\n"
    write_dist_info(folder, "dist", entry_points=text)
    assert found(folder) == [("dist", "a", "m")]
    assert codes(folder) == []


@pytest.mark.parametrize(
    "line", ["no separator", "= m", "a = ", "a = 1m", "a = m:", "a = m n", "a = .m"]
)
def test_broken_line_of_the_group_is_kept_apart_and_the_others_count(folder, line):
    write_dist_info(folder, "dist", entry_points=f"[aimm.plugins]\n{line}\nok = m\n")
    assert found(folder) == [("dist", "ok", "m")]
    assert [broken.line for broken in scan([str(folder)]).broken] == [line.strip()]
    assert codes(folder) == []


def test_bytes_that_are_not_utf8_spoil_one_line_only(folder):
    path = write_dist_info(folder, "dist", entry_points={})
    (path / "entry_points.txt").write_bytes(b"[x]\n\xff = \xff\n[aimm.plugins]\n\xff = m\nok = m\n")
    assert found(folder) == [("dist", "ok", "m")]
    assert [broken.line for broken in scan([str(folder)]).broken] == [r"\xff = m"]


def test_long_but_sane_file_is_read_whole(folder):
    lines = {f"name{i}": f"module_{i}" for i in range(5000)}
    write_dist_info(folder, "many", entry_points=lines)
    assert len(found(folder)) == 5000


PUBLISHED = "[aimm.plugins]\nx = pkg\n[aimm.plugins.fit]\n"


def keys(folder: Path, text: str) -> list[tuple[str, str, str, str]]:
    write_dist_info(folder, "dist", entry_points=text)
    return [
        (each.action, each.key, each.module, each.attribute)
        for each in scan([str(folder)]).published
    ]


def test_published_keys_are_read(folder):
    text = (
        PUBLISHED
        + "my model = pkg.a:f [extra]\na:b=pkg:C.run\n[aimm.plugins.predict]\niris.svc = pkg:p\n"
    )
    assert keys(folder, text) == [
        ("fit", "a:b", "pkg", "C.run"),
        ("fit", "my model", "pkg.a", "f"),
        ("predict", "iris.svc", "pkg", "p"),
    ]
    place = scan([str(folder)]).published[0].place
    assert place == str(folder / "dist-1.0.dist-info" / "entry_points.txt:5")


def test_published_key_without_a_function_is_a_finding(folder):
    assert keys(folder, PUBLISHED + "k = pkg\nok = pkg:f\n") == [("fit", "ok", "pkg", "f")]
    assert codes(folder) == ["broken-entry-point"]


def test_group_of_no_action_is_a_finding_with_the_nearest(folder):
    assert keys(folder, "[aimm.plugins]\nx = pkg\n[aimm.plugins.predic]\nk = pkg:f\n") == []
    (finding,) = scan([str(folder)]).findings
    assert finding.code == "unknown-action-group"
    assert finding.remedy == "Did you mean [aimm.plugins.predict]?"


def keys_by_plugin(folder: Path, text: str) -> dict[str, list[str]]:
    write_dist_info(folder, "dist", entry_points=text)
    installed = scan([str(folder)])
    return {
        each.name: [key.key for key in installed.keys_of(each)] for each in installed.candidates
    }


@pytest.mark.parametrize(
    ("group", "meant"),
    [
        ("aimm_plugins", "aimm.plugins"),
        ("aimm.plugin", "aimm.plugins"),
        ("aimm-plugins", "aimm.plugins"),
        ("Aimm.Plugins", "aimm.plugins"),
        ("aim.plugins", "aimm.plugins"),
        ("aimm_plugins.predict", "aimm.plugins.predict"),
        ("aimm_plugins.executor", "aimm_plugins.executors"),
    ],
)
def test_group_that_is_nearly_ours_is_a_finding_where_we_are_required(folder, group, meant):
    content = f"[{group}]\nave = ave_models\n"
    write_dist_info(folder, "ave-models", entry_points=content, requires=["aimm-plugins>=0.1"])
    write_dist_info(folder, "another", entry_points=content, requires=["numpy"])
    (finding,) = scan([str(folder)]).findings
    assert (finding.code, finding.subject) == ("misspelt-group", "ave-models 1.0")
    assert f"[{group}]" in finding.message
    assert f"call the group [{meant}]" in finding.remedy


@pytest.mark.parametrize(
    "group", ["aimm_plugins.executors", "aimm_plugins.conformance", "acme.plugins", "pytest11"]
)
def test_group_of_ours_and_of_others_is_no_finding(folder, group):
    content = f"[{group}]\nave = ave_models:x\n"
    write_dist_info(folder, "ave-models", entry_points=content, requires=["aimm-plugins"])
    assert scan([str(folder)]).findings == ()


def test_conformance_below_the_group_of_plugins_is_told_its_own_group(folder):
    write_dist_info(folder, "dist", entry_points="[aimm.plugins.conformance]\na = m:x\n")
    (finding,) = scan([str(folder)]).findings
    assert finding.remedy == "Did you mean [aimm_plugins.conformance]?"


def test_keys_belong_to_the_nearest_plugin_module(folder):
    text = "[aimm.plugins]\nx = pkg\ny = pkg.sub\n[aimm.plugins.fit]\na = pkg:f\nb = pkg.sub.m:f\nc = pkg.subs:f\n"
    assert keys_by_plugin(folder, text) == {"x": ["a", "c"], "y": ["b"]}
    assert codes(folder) == []


def test_only_plugin_of_a_distribution_has_all_its_keys(folder):
    assert keys_by_plugin(folder, PUBLISHED + "a = elsewhere:f\n") == {"x": ["a"]}
    assert codes(folder) == []


def test_plugin_of_one_object_has_the_keys_of_that_object(folder):
    text = "[aimm.plugins]\nx = pkg:C\ny = pkg:D\n[aimm.plugins.fit]\na = pkg:C\nb = pkg:C.f\nc = pkg:D\nd = pkg:Cx\n"
    assert keys_by_plugin(folder, text) == {"x": ["a", "b"], "y": ["c"]}
    assert codes(folder) == ["published-keys-without-plugin"]


def test_keys_that_could_be_anyones_are_a_finding(folder):
    text = "[aimm.plugins]\nx = pkg\ny = other\n[aimm.plugins.fit]\na = third:f\n"
    assert keys_by_plugin(folder, text) == {"x": [], "y": []}
    assert codes(folder) == ["published-keys-without-plugin"]


def test_keys_of_a_module_that_a_conf_names(folder):
    keys(folder, "[aimm.plugins.fit]\na = pkg.m:f\n")
    installed = scan([str(folder)])
    assert [each.key for each in installed.keys_of(("Dist", "pkg"))] == ["a"]
    assert installed.keys_of(("other", "pkg")) == ()


def finding_of(folder: Path, text: str) -> Finding:
    write_dist_info(folder, "dist", entry_points=text)
    (finding,) = scan([str(folder)]).findings
    return finding


def broken_of(folder: Path, text: str) -> list[BrokenLine]:
    write_dist_info(folder, "dist", entry_points=text)
    return list(scan([str(folder)]).broken)


def test_broken_lines_of_a_file_are_few_the_last_with_the_count_of_others(folder):
    broken = broken_of(folder, "[aimm.plugins]\n" + "".join(f"x{n}\n" for n in range(100_000)))
    assert len(broken) == 10
    faults = {line.fault for line in broken}
    assert faults == {
        "is not `name = value`",
        "is not `name = value`, as are 99990 more lines",
    }
    place = str(folder / "dist-1.0.dist-info" / "entry_points.txt")
    assert {line.place for line in broken} == {f"{place}:{n}" for n in range(2, 12)}


def test_long_broken_line_is_shown_in_part(folder):
    (broken,) = broken_of(folder, f"[aimm.plugins]\n{'x' * 100_000}\n")
    assert len(broken.line) < 200
    assert len(broken.name) < 200


def test_broken_lines_of_one_name_or_none_have_names_of_their_own(folder):
    names = [line.name for line in broken_of(folder, "[aimm.plugins]\na = 1\na = 2\nx\n")]
    assert names == ["(line 4)", "a", "a (line 3)"]


def test_broken_lines_of_another_group_of_ours_are_one_finding_with_their_count(folder):
    finding = finding_of(folder, "[aimm.plugins.fit]\n" + "broken\n" * 100_000)
    assert finding.code == "broken-entry-point"
    assert finding.message == (
        "`broken` is not `name = value`, passed over, as are 99999 more lines"
    )


def test_unknown_groups_of_a_file_are_one_finding_with_their_count(folder):
    groups = "".join(f"[aimm.plugins.predic{number}]\n" for number in range(3))
    finding = finding_of(folder, groups)
    assert finding.code == "unknown-action-group"
    assert "[aimm.plugins.predic0]" in finding.message
    assert finding.message.endswith("passed over, as are 2 more groups")
    assert finding.remedy == "Did you mean [aimm.plugins.predict]?"


def test_keys_of_no_plugin_are_one_finding_with_their_count(folder):
    finding = finding_of(folder, "[aimm.plugins.fit]\na = pkg:f\nb = pkg:f\n")
    assert finding.code == "published-keys-without-plugin"
    assert "publishes fit:a of pkg:f" in finding.message
    assert finding.message.endswith("as is 1 more key")


def test_schemas_of_no_plugin_are_one_finding_with_their_count(folder):
    plugins = "".join(f"plugin{number} = mod{number}\n" for number in range(9))
    schemas = "a = pkg:a.json\nb = pkg:b.json\nc = pkg:c.json\n"
    finding = finding_of(folder, f"[aimm.plugins]\n{plugins}[aimm.plugins.options]\n{schemas}")
    assert finding.code == "options-without-plugin"
    assert finding.message.endswith("as are 2 more schemas")
    assert finding.remedy.endswith("is named: plugin0, plugin1, plugin2, plugin3, plugin4, ....")


@pytest.mark.parametrize(("parts", "fault"), [(500, "1000 letters"), (21, "20 dots")])
def test_value_of_many_parts_is_broken(folder, parts, fault):
    (broken,) = broken_of(folder, f"[aimm.plugins]\nx = {'a.' * parts}a\n")
    assert f"a value of more than {fault}" in broken.fault


@pytest.mark.parametrize("module", ["mod{}", "nowhere"], ids=["own", "of no plugin"])
@pytest.mark.parametrize("attribute", ["", ":C{}"], ids=["module", "object"])
def test_thousands_of_plugins_and_keys_are_sorted_out_in_no_time(folder, module, attribute):
    count = 5000  # compared with each other, by all modules, they would take a day
    plugins = "".join(f"p{n} = mod{n}{attribute.format(n)}\n" for n in range(count))
    keys = "".join(f"k{n} = {module.format(n)}:C{n}.f\n" for n in range(count))
    schemas = "".join(f"p{n} = mod{n}:options.json\n" for n in range(count))
    write_dist_info(
        folder,
        "dist",
        entry_points=f"[aimm.plugins]\n{plugins}[aimm.plugins.fit]\n{keys}"
        f"[aimm.plugins.options]\n{schemas}",
    )
    installed = scan([str(folder)])
    brought = [len(installed.keys_of(candidate)) for candidate in installed.candidates]
    assert sum(brought) == (count if module == "mod{}" else 0)
    assert all(len(installed.options_of(f"mod{n}", "dist")) == 1 for n in range(count))


def test_two_schemas_of_one_plugin_are_both_given(folder):
    text = (
        "[aimm.plugins]\nx = pkg\n"
        "[aimm.plugins.options]\nx = pkg:a.json\npkg = pkg:b.json\nother = pkg:c.json\n"
    )
    write_dist_info(folder, "dist", entry_points=text)
    assert sorted(map(str, scan([str(folder)]).options_of("pkg", "Dist"))) == [
        "pkg:a.json",
        "pkg:b.json",
    ]
